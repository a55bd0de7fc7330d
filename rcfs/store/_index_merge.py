"""How messages come into the index of mailboxes, and how they leave it, within one transaction."""

import sqlite3
from collections.abc import Iterable

from rcfs.model import NameFolder, ShelvedMessage
from rcfs.store._checked_table import Row, select, verified
from rcfs.store._index_changes import ChangedPaths, ShownEntry, became_earlier
from rcfs.store._index_folders import Folders
from rcfs.store._index_schema import MESSAGES, RECORDS, TRANSCRIPTS

_COLUMNS = f"{MESSAGES.row_columns}, {RECORDS.row_columns}"
_PLACES = ", ".join("?" * (len(MESSAGES.columns) + len(RECORDS.columns) + 2))


class Merge:
    """Changes to one mailbox, for one transaction that ends after `finish`."""

    def __init__(self, connection: sqlite3.Connection, mailbox: int, listing: int, name: NameFolder) -> None:
        """Begins with nothing changed.

        Args:
            connection: Within a transaction.
            mailbox: Number of the mailbox.
            listing: Number of the whole listing that the messages come from, or of the last one.
            name: Names the folders.
        """
        self._connection = connection
        self._mailbox = mailbox
        self._listing = listing
        self._new_places: list[tuple[int, int]] = []
        """(folder, message) of the rows of `places` that are to be written."""
        self.folders = Folders(connection, mailbox, name)
        """The folders of the mailbox."""

    def put(self, message: ShelvedMessage, *, again: bool = False) -> None:
        """Put `message` into the index, unless the index has it already, unchanged or from a newer record.

        With `again`, an unchanged one is put again. Otherwise it is only marked as brought by the listing.
        """
        rows = self._rows(message.id)
        if not rows:
            self._insert(message)
            return
        *_row, home_number, _spoken_bytes, _crc, raw = rows[0]
        before, home = _shown(rows[0]), self.folders.get(home_number)
        is_older = message.modified_s is not None and message.modified_s < (before.modified_s or 0.0)
        same_home = (home.view, home.key) == (message.home.view, message.home.key)
        if is_older or (raw == message.raw and same_home and not again):
            self._connection.execute(
                "UPDATE messages SET generation = max(generation, ?) WHERE message = ?",
                (self._listing, before.number),
            )
            return
        self._replace(before, message)

    def remove(self, ids: Iterable[int]) -> None:
        """Remove the messages with these ids, where the index has them."""
        for message_id in ids:
            for row in self._rows(message_id):
                self._remove(_shown(row))

    def finish(self) -> ChangedPaths:
        """The paths that changed, after writing the sums and names of folders and the words for searches."""
        self._write_places()
        self.folders.write()
        index_new_names(self._connection, self.folders)
        return self.folders.paths

    def _rows(self, message_id: int) -> list[Row]:
        """The row of a message and its record, if it has one.

        Raises:
            DamagedRowError: The row is damaged, which a new checksum would hide.
        """
        query = f"SELECT {MESSAGES.listed()}, raw FROM messages WHERE mailbox = ? AND id = ?"  # noqa: S608
        return verified(self._connection.execute(query, (self._mailbox, message_id)), MESSAGES)

    def _insert(self, message: ShelvedMessage) -> None:
        number = self._connection.execute(
            f"INSERT INTO messages ({_COLUMNS}, generation) VALUES ({_PLACES}, ?)",  # noqa: S608
            (*self._row(message), self._listing),
        ).lastrowid
        assert number is not None  # noqa: S101 - a row was inserted
        for place in (message.home, *message.links):
            self._new_places.append((self.folders.at(place).number, number))
            self.folders.show(place, message, message.spoken_bytes)
        self._index_words(number, message, "")
        self.folders.add_owner(message.own)

    def _replace(self, shown: ShownEntry, message: ShelvedMessage) -> None:
        number = shown.number
        before = self._folders_of(number)
        self._connection.execute(
            f"UPDATE messages SET ({_COLUMNS}) = ({_PLACES}), generation = max(generation, ?)"  # noqa: S608
            " WHERE message = ?",
            (*self._row(message), self._listing, number),
        )
        places = {self.folders.at(place).number: place for place in (message.home, *message.links)}
        for folder in before:
            if folder not in places:
                self._hide(shown, folder)
                continue
            if shown.name != message.name:
                self.folders.paths.add((*self.folders.get(folder).path, shown.name))
            if became_earlier(shown.created_s, message.created_s) or became_earlier(
                shown.modified_s, message.modified_s
            ):
                self.folders.find_newest(folder)
        for folder, place in places.items():
            if folder not in before:
                self._new_places.append((folder, number))
            self.folders.show(
                place, message, message.spoken_bytes - (shown.spoken_bytes if folder in before else 0)
            )
        transcripts = select(self._connection, TRANSCRIPTS, "WHERE message = ?", number)
        self._connection.execute("DELETE FROM words WHERE rowid = ?", (number,))
        self._index_words(number, message, transcripts[0][1] if transcripts else "")
        self.folders.add_owner(message.own)

    def _row(self, message: ShelvedMessage) -> Row:
        """The values of `_COLUMNS`."""
        return (
            *MESSAGES.row(
                self._mailbox,
                message.id,
                message.name,
                message.created_s,
                message.modified_s,
                self.folders.at(message.home).number,
                message.spoken_bytes,
            ),
            *RECORDS.row(message.raw),
        )

    def _remove(self, shown: ShownEntry) -> None:
        for folder in self._folders_of(shown.number):
            self._hide(shown, folder)
        for table, column in (("messages", "message"), ("transcripts", "message"), ("words", "rowid")):
            self._connection.execute(
                f"DELETE FROM {table} WHERE {column} = ?",  # noqa: S608
                (shown.number,),
            )

    def _hide(self, shown: ShownEntry, folder: int) -> None:
        self._connection.execute(
            "DELETE FROM places WHERE folder = ? AND message = ?", (folder, shown.number)
        )
        self.folders.hide(folder, shown)

    def _folders_of(self, number: int) -> list[int]:
        self._write_places()
        rows = self._connection.execute("SELECT folder FROM places WHERE message = ?", (number,))
        return [folder for (folder,) in rows]

    def _write_places(self) -> None:
        # In the order of the table, so that its pages are filled one after the other.
        self._connection.executemany("INSERT INTO places VALUES (?, ?)", sorted(self._new_places))
        self._new_places.clear()

    def _index_words(self, number: int, message: ShelvedMessage, transcript: str) -> None:
        """Let searches find a message, also by the names that other messages of its folders tell."""
        said = f"{message.said}\n{transcript}" if transcript else message.said
        folders = map(self.folders.at, (message.home, *message.links))
        names = set().union(*map(self.folders.party_names, folders))
        self._connection.execute(
            "INSERT INTO words (rowid, said, people, files) VALUES (?, ?, ?, ?)",
            (number, said, _with_names(message.people, names), message.files),
        )


def index_new_names(connection: sqlite3.Connection, folders: Folders) -> None:
    """Let searches find the messages of folders whose parties got names, by these names."""
    for folder in folders.with_new_names:
        names = folders.party_names(folders.get(folder))
        rows = connection.execute(
            "SELECT rowid, people FROM places JOIN words ON words.rowid = message WHERE folder = ?", (folder,)
        ).fetchall()
        for message, before in rows:
            people = _with_names(before, names)
            if people != before:
                connection.execute("UPDATE words SET people = ? WHERE rowid = ?", (people, message))


def put_transcript(connection: sqlite3.Connection, mailbox: int, message_id: int, text: str) -> bool:
    """Let searches find a message by its transcript; whether that has changed something."""
    row = connection.execute(
        "SELECT message, said FROM messages JOIN words ON words.rowid = message WHERE mailbox = ? AND id = ?",
        (mailbox, message_id),
    ).fetchone()
    if row is None:
        return False
    number, said = row
    for _message, before, _crc in select(connection, TRANSCRIPTS, "WHERE message = ?", number):
        if before == text:
            return False
        said = said.removesuffix(f"\n{before}")
    connection.execute(TRANSCRIPTS.insert(), TRANSCRIPTS.row(number, text))
    connection.execute("UPDATE words SET said = ? WHERE rowid = ?", (f"{said}\n{text}", number))
    return True


def _shown(row: Row) -> ShownEntry:
    number, _mailbox, _id, name, created_s, modified_s, _home, spoken_bytes, _crc, _raw = row
    return ShownEntry(number, name, created_s, modified_s, spoken_bytes)


def _with_names(people: str, names: Iterable[str]) -> str:
    missing = sorted(name for name in names if name not in people)
    return " ".join(filter(None, (people, *missing)))
