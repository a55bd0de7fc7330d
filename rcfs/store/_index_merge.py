"""How messages come into the index of mailboxes, and how they leave it.

Everything here runs within one transaction of the caller, and notes in `changed` what a cache of names and
texts must forget: paths relative to the extension's directory, of folders (their listing, times and texts)
and of messages in folders.

A page of a list has a thousand messages in a few folders. So what they add up to in a folder is kept in
memory and written once, by `finish`; where a message is shown is written by `_flush`, all at a time.
"""

import sqlite3
from collections.abc import Iterable
from typing import Any

from rcfs.model import FolderNames, NameFolder, Place, ShelvedMessage
from rcfs.store._checksum import FUNCTION, DamagedRowError, proved, row_checksum
from rcfs.store._index_changes import ChangedFolder, PartyName, Path, ShownMessage, fell, later
from rcfs.store._index_schema import checked, seal

_SHOWN_COLUMNS = "message, name, created_s, modified_s, spoken_bytes"
_SHOWN_WIDTH = 5


class Merge:
    """Changes to one mailbox; made for one transaction, and finished by `finish`."""

    def __init__(self, connection: sqlite3.Connection, mailbox: int, listing: int, name: NameFolder) -> None:
        """Begins with nothing changed.

        Args:
            connection: Within a transaction.
            mailbox: Number of the mailbox.
            listing: The number of the whole listing that the messages come from, or of the last one.
            name: Names the folders.
        """
        self._connection = connection
        self._mailbox = mailbox
        self._listing = listing
        self._name = name
        self._folders: dict[int, ChangedFolder] = {}
        self._by_place: dict[tuple[str, str], ChangedFolder] = {}
        self._owners: set[str] | None = None
        self._shown: list[tuple[int, int]] = []
        self._grown: set[int] = set()
        self._lessened: set[int] = set()
        self._aged: set[int] = set()
        self._unnamed: set[int] = set()
        self._acquainted: set[int] = set()
        self._changed: set[int] = set()
        self.changed: set[Path] = set()

    def put(self, message: ShelvedMessage, *, again: bool = False) -> None:
        """Take over `message`, unless what is known of it is newer; equal ones are only marked as seen.

        With `again`, equal ones are taken over, too.
        """
        known = self._sound_one(
            f"SELECT {_SHOWN_COLUMNS}, raw, home, {checked('messages')} FROM messages"  # noqa: S608
            " WHERE mailbox = ? AND id = ?",
            self._mailbox,
            message.id,
            width=_SHOWN_WIDTH + 2,
        )
        if known is None:
            self._insert(message)
            return
        *shown, raw, home = known
        before = ShownMessage(*shown)
        older = message.modified_s is not None and message.modified_s < (before.modified_s or 0.0)
        home_folder = self._folder(home)
        same_home = (home_folder.view, home_folder.key) == (message.home.view, message.home.key)
        if older or (raw == message.raw and same_home and not again):
            self._connection.execute(
                "UPDATE messages SET generation = max(generation, ?) WHERE message = ?",
                (self._listing, before.number),
            )
            return
        self._replace(before, message)

    def _sound_one(self, query: str, *parameters: object, width: int) -> tuple[Any, ...] | None:
        """The only row of the answer, see `proved`: a damaged one must not get a checksum that fits."""
        rows = proved(self._connection.execute(query, parameters), width)
        return rows[0] if rows else None

    def rename_all(self) -> None:
        """Name all folders anew."""
        rows = self._connection.execute(
            "SELECT folder FROM folders WHERE mailbox = ? AND key != ''", (self._mailbox,)
        )
        self._unnamed |= {folder for (folder,) in rows}

    def remove(self, ids: Iterable[int]) -> None:
        """Forget the messages with these ids, as far as they are known."""
        for message_id in ids:
            known = self._sound_one(
                f"SELECT {_SHOWN_COLUMNS}, {checked('messages')} FROM messages"  # noqa: S608
                " WHERE mailbox = ? AND id = ?",
                self._mailbox,
                message_id,
                width=_SHOWN_WIDTH,
            )
            if known is not None:
                self._remove(ShownMessage(*known))

    def finish(self) -> set[Path]:
        """Ends what the changes left open (empty folders, and misnamed ones), and tells all that changed."""
        self._flush()
        self._write_folders()
        for number in self._lessened:
            folder = self._folder(number)
            (left,) = self._connection.execute(
                "SELECT EXISTS (SELECT 1 FROM places WHERE folder = ?)", (number,)
            ).fetchone()
            if not left:
                self._drop(folder)
            elif number in self._aged:
                self._find_times(number)
        for number in sorted(self._unnamed):
            self._rename(number)
        for number in self._acquainted:
            self._add_names(number)
        self._connection.executemany(
            f"{seal('folders')} WHERE folder = ?", [(number,) for number in sorted(self._changed)]
        )
        return self.changed

    def _insert(self, message: ShelvedMessage) -> None:
        home = self._folder_of(message.home)
        number = self._connection.execute(
            "INSERT INTO messages"
            " (mailbox, id, name, created_s, modified_s, home, generation, spoken_bytes, raw,"
            " crc, raw_crc) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                self._mailbox,
                message.id,
                message.name,
                message.created_s,
                message.modified_s,
                home.number,
                self._listing,
                message.spoken_bytes,
                message.raw,
                *self._checksums(message, home),
            ),
        ).lastrowid
        assert number is not None  # noqa: S101 - a row was inserted
        for place in (message.home, *message.links):
            folder = self._folder_of(place)
            self._shown.append((folder.number, number))
            self._show(folder, message, place, message.spoken_bytes)
        self._index_words(number, message, "")
        self._learn_owner(message)

    def _replace(self, shown: ShownMessage, message: ShelvedMessage) -> None:
        self._flush()
        number = shown.number
        home = self._folder_of(message.home)
        self._connection.execute(
            "UPDATE messages SET name = ?, created_s = ?, modified_s = ?, home = ?,"
            " generation = max(generation, ?), spoken_bytes = ?, raw = ?, crc = ?, raw_crc = ?"
            " WHERE message = ?",
            (
                message.name,
                message.created_s,
                message.modified_s,
                home.number,
                self._listing,
                message.spoken_bytes,
                message.raw,
                *self._checksums(message, home),
                number,
            ),
        )
        places = {self._folder_of(place).number: place for place in (message.home, *message.links)}
        before = self._folders_of(number)
        for folder in before:
            if folder not in places:
                self._hide(shown, folder)
                continue
            if shown.name != message.name:
                self.changed.add((*self._folder(folder).path, shown.name))
            if fell(shown.created_s, message.created_s) or fell(shown.modified_s, message.modified_s):
                self._lessened.add(folder)
                self._aged.add(folder)
        for folder, place in places.items():
            if folder not in before:
                self._shown.append((folder, number))
            spoken_bytes = message.spoken_bytes - (shown.spoken_bytes if folder in before else 0)
            self._show(self._folder(folder), message, place, spoken_bytes)
        row = self._sound_one(
            f"SELECT text, {checked('transcripts')} FROM transcripts WHERE message = ?",  # noqa: S608
            number,
            width=1,
        )
        self._connection.execute("DELETE FROM words WHERE rowid = ?", (number,))
        self._index_words(number, message, row[0] if row else "")
        self._learn_owner(message)

    def _checksums(self, message: ShelvedMessage, home: ChangedFolder) -> tuple[int, int]:
        """The checksums of the row of a message, see `rcfs.store._index_schema.CHECKED`."""
        row = (
            self._mailbox,
            message.id,
            message.name,
            None if message.created_s is None else float(message.created_s),
            None if message.modified_s is None else float(message.modified_s),
            home.number,
            message.spoken_bytes,
        )
        return row_checksum(*row), row_checksum(message.raw)

    def _remove(self, shown: ShownMessage) -> None:
        self._flush()
        for folder in self._folders_of(shown.number):
            self._hide(shown, folder)
        for table, column in (("messages", "message"), ("transcripts", "message"), ("words", "rowid")):
            self._connection.execute(
                f"DELETE FROM {table} WHERE {column} = ?",  # noqa: S608
                (shown.number,),
            )

    def _show(self, folder: ChangedFolder, message: ShelvedMessage, place: Place, spoken_bytes: int) -> None:
        """The folder at `place` shows the message, which speaks `spoken_bytes` more there than it did."""
        folder.created_s = later(folder.created_s, message.created_s)
        folder.modified_s = later(folder.modified_s, message.modified_s)
        folder.spoken_bytes += spoken_bytes
        self._grown.add(folder.number)
        if folder.name or not folder.key:
            # Of a folder that is still without a name nobody has seen an entry.
            self.changed.add(folder.path)
            self.changed.add((*folder.path, message.name))
        for identity, name in place.parties:
            self._learn_party(folder, identity, name, message.created_s or 0.0)

    def _hide(self, shown: ShownMessage, folder_number: int) -> None:
        folder = self._folder(folder_number)
        self._connection.execute(
            "DELETE FROM places WHERE folder = ? AND message = ?", (folder_number, shown.number)
        )
        folder.spoken_bytes -= shown.spoken_bytes
        self._grown.add(folder_number)
        self._lessened.add(folder_number)
        if shown.created_s == folder.created_s or shown.modified_s == folder.modified_s:
            # Else another message is the newest, and a folder of 50,000 need not be looked through for it.
            self._aged.add(folder_number)
        self.changed |= {folder.path, (*folder.path, shown.name)}

    def _flush(self) -> None:
        """Writes what was noted of messages that are shown."""
        # In the order of the table: its pages are then filled one after the other.
        self._connection.executemany("INSERT INTO places VALUES (?, ?)", sorted(self._shown))
        self._shown.clear()

    def _write_folders(self) -> None:
        """Writes what was noted of folders and their parties."""
        for number in sorted(self._grown):
            folder = self._folder(number)
            self._changed.add(number)
            self._connection.execute(
                "UPDATE folders SET created_s = ?, modified_s = ?, spoken_bytes = ? WHERE folder = ?",
                (folder.created_s, folder.modified_s, folder.spoken_bytes, number),
            )
            parties = self._parties(folder) if folder.learned else {}
            self._connection.executemany(
                f"INSERT OR REPLACE INTO parties VALUES (?1, ?2, ?3, ?4, {FUNCTION}(?1, ?2, ?3, ?4))",  # noqa: S608
                [(number, who, parties[who].name, float(parties[who].since_s)) for who in folder.learned],
            )

    def _folders_of(self, number: int) -> list[int]:
        rows = self._connection.execute("SELECT folder FROM places WHERE message = ?", (number,))
        return [folder for (folder,) in rows]

    def _find_times(self, number: int) -> None:
        self._changed.add(number)
        self._connection.execute(
            "UPDATE folders SET (created_s, modified_s) = (SELECT max(m.created_s), max(m.modified_s)"
            " FROM places p JOIN messages m USING (message) WHERE p.folder = ?1) WHERE folder = ?1",
            (number,),
        )

    # Folders and their names

    def _folder(self, number: int) -> ChangedFolder:
        folder = self._folders.get(number)
        if folder is None:
            row = self._sound_one(
                "SELECT view, key, name, created_s, modified_s, spoken_bytes,"  # noqa: S608
                f" {checked('folders')} FROM folders WHERE folder = ?",
                number,
                width=6,
            )
            if row is None:
                raise DamagedRowError("a folder is missing")
            folder = self._folders[number] = ChangedFolder(number, *row)
            self._by_place[folder.view, folder.key] = folder
        return folder

    def _folder_of(self, place: Place) -> ChangedFolder:
        """The folder at `place`, made when there is none."""
        folder = self._by_place.get((place.view, place.key))
        if folder is not None:
            return folder
        row = self._connection.execute(
            "SELECT folder FROM folders WHERE mailbox = ? AND view = ? AND key = ?",
            (self._mailbox, place.view, place.key),
        ).fetchone()
        if row is not None:
            return self._folder(row[0])
        # Named at the end, when all is known; until then nobody else sees it.
        (number,) = self._connection.execute(
            "INSERT INTO folders (mailbox, view, key, name, folded) VALUES (?, ?, ?, '', '')"
            " RETURNING folder",
            (self._mailbox, place.view, place.key),
        ).fetchone()
        folder = self._folders[number] = ChangedFolder(number, place.view, place.key, "", parties={})
        self._by_place[place.view, place.key] = folder
        self._changed.add(number)
        if place.key:
            self._unnamed.add(number)
        self.changed.add((place.view,))
        return folder

    def _learn_party(self, folder: ChangedFolder, identity: str, name: str, since_s: float) -> None:
        """The oldest message that names a party counts, and of equally old ones the least name."""
        parties = self._parties(folder)
        known = parties.get(identity)
        if known is None:
            parties[identity] = PartyName(name, since_s)
            self._unnamed.add(folder.number)
        elif name and (not known.name or (since_s, name) < (known.since_s, known.name)):
            if name != known.name:
                self._unnamed.add(folder.number)
                self._acquainted.add(folder.number)
            known.name, known.since_s = name, since_s
        else:
            return
        folder.learned.add(identity)

    def _parties(self, folder: ChangedFolder) -> dict[str, PartyName]:
        if folder.parties is None:
            rows = self._connection.execute(
                f"SELECT identity, name, since_s, {checked('parties')} FROM parties WHERE folder = ?",  # noqa: S608
                (folder.number,),
            )
            folder.parties = {
                identity: PartyName(name, since_s) for identity, name, since_s in proved(rows, 3)
            }
        return folder.parties

    def _learn_owner(self, message: ShelvedMessage) -> None:
        owners = self._owner_identities()
        if not message.own or message.own in owners:
            return
        owners.add(message.own)
        put_owner(self._connection, self._mailbox, message.own)
        rows = self._connection.execute(
            "SELECT folder FROM parties JOIN folders USING (folder) WHERE identity = ? AND mailbox = ?",
            (message.own, self._mailbox),
        )
        # Those that have learned of it in this transaction are without their name yet.
        self._unnamed |= {folder for (folder,) in rows}

    def _owner_identities(self) -> set[str]:
        if self._owners is None:
            rows = self._connection.execute(
                f"SELECT identity, {checked('owners')} FROM owners WHERE mailbox = ?",  # noqa: S608
                (self._mailbox,),
            )
            self._owners = {identity for (identity,) in proved(rows, 1)}
        return self._owners

    def _drop(self, folder: ChangedFolder) -> None:
        """Forget a folder that shows nothing any more."""
        self._unnamed.discard(folder.number)
        folded = self._folded(folder)
        for table in ("folders", "parties"):
            self._connection.execute(f"DELETE FROM {table} WHERE folder = ?", (folder.number,))  # noqa: S608
        self.changed |= {folder.path, (folder.view,)}
        self._name_equals(folder.view, folded)

    def _rename(self, number: int) -> None:
        """Give the folder its name; and those that have or had an equal one, theirs."""
        folder = self._folder(number)
        before, after = self._folded(folder), self._names(folder).folded
        self._changed.add(number)
        self._connection.execute("UPDATE folders SET folded = ? WHERE folder = ?", (after, number))
        for folded in {before, after}:
            self._name_equals(folder.view, folded)

    def _folded(self, folder: ChangedFolder) -> str:
        (folded,) = self._connection.execute(
            "SELECT folded FROM folders WHERE folder = ?", (folder.number,)
        ).fetchone()
        return str(folded)

    def _name_equals(self, view: str, folded: str) -> None:
        """Name the folders of `view` whose plain names are equal; those that have no name yet come later."""
        if not folded:
            return
        rows = self._connection.execute(
            "SELECT folder FROM folders WHERE mailbox = ? AND view = ? AND folded = ?",
            (self._mailbox, view, folded),
        ).fetchall()
        for (equal,) in rows:
            self._set_name(self._folder(equal), qualified=len(rows) > 1)

    def _set_name(self, folder: ChangedFolder, *, qualified: bool) -> None:
        names = self._names(folder)
        name = names.qualified if qualified else names.plain
        if name == folder.name:
            return
        self._changed.add(folder.number)
        self._connection.execute("UPDATE folders SET name = ? WHERE folder = ?", (name, folder.number))
        self.changed |= {folder.path, (folder.view,)}
        folder.name = name
        self.changed.add(folder.path)

    def _names(self, folder: ChangedFolder) -> FolderNames:
        parties = {identity: party.name for identity, party in self._parties(folder).items()}
        return self._name(Place(folder.view, folder.key), parties, frozenset(self._owner_identities()))

    def _index_words(self, number: int, message: ShelvedMessage, transcript: str) -> None:
        """Lets searches find a message, also by the names that others of its folders tell."""
        said = f"{message.said}\n{transcript}" if transcript else message.said
        folders = map(self._folder_of, (message.home, *message.links))
        names = {party.name for folder in folders for party in self._parties(folder).values()}
        self._connection.execute(
            "INSERT INTO words (rowid, said, people, files) VALUES (?, ?, ?, ?)",
            (number, said, _with_names(message.people, names), message.files),
        )

    def _add_names(self, number: int) -> None:
        """Lets searches find all messages of a folder by the names that were learned of its parties."""
        names = {party.name for party in self._parties(self._folder(number)).values()}
        rows = self._connection.execute(
            "SELECT rowid, people FROM places JOIN words ON words.rowid = message WHERE folder = ?", (number,)
        ).fetchall()
        for message, before in rows:
            people = _with_names(before, names)
            if people != before:
                self._connection.execute("UPDATE words SET people = ? WHERE rowid = ?", (people, message))


def put_owner(connection: sqlite3.Connection, mailbox: int, identity: str) -> bool:
    """Notes an identity of the mailbox's owner; whether it was not known."""
    added = connection.execute(
        "INSERT OR IGNORE INTO owners VALUES (?, ?, ?)", (mailbox, identity, row_checksum(mailbox, identity))
    )
    return added.rowcount > 0


def put_transcript(connection: sqlite3.Connection, mailbox: int, message_id: int, text: str) -> bool:
    """Notes what is said in a message, beside what its record says; whether something has changed."""
    row = connection.execute(
        "SELECT message, said, text, crc FROM (SELECT message, said FROM messages"
        " JOIN words ON words.rowid = message WHERE mailbox = ? AND id = ?)"
        " LEFT JOIN transcripts USING (message)",
        (mailbox, message_id),
    ).fetchone()
    if row is not None and row[2] is not None and row_checksum(row[0], row[2]) != row[3]:
        raise DamagedRowError("a transcript is not as it was written")
    if row is None or row[2] == text:
        return False
    number, said, before, _crc = row
    if before is not None:
        said = said.removesuffix(f"\n{before}")
    connection.execute(
        "INSERT OR REPLACE INTO transcripts VALUES (?, ?, ?)", (number, text, row_checksum(number, text))
    )
    connection.execute("UPDATE words SET said = ? WHERE rowid = ?", (f"{said}\n{text}", number))
    return True


def _with_names(people: str, names: Iterable[str]) -> str:
    missing = sorted(name for name in names if name not in people)
    return " ".join(filter(None, (people, *missing)))
