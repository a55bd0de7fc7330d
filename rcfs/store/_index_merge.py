"""How messages come into the index of mailboxes, and how they leave it.

Everything here runs within one transaction of the caller, and notes in `touched` what a cache of names and
texts must forget: paths relative to the extension's directory, of folders (their listing, times and texts)
and of messages in folders.
"""

import sqlite3
from collections.abc import Iterable

import attrs

from rcfs.model import FolderNames, NameFolder, Place, ShelvedMessage

Path = tuple[str, ...]

_SHOWN_COLUMNS = "message, name, created_s, modified_s, spoken_bytes"


@attrs.define
class _Folder:
    number: int
    view: str
    key: str
    name: str

    @property
    def path(self) -> Path:
        return (self.view, self.name) if self.name else (self.view,)


@attrs.frozen
class _Shown:
    """A message as it was shown until now."""

    number: int
    name: str
    created_s: float | None
    modified_s: float | None
    spoken_bytes: int


class Merge:
    """Changes to one mailbox; made for one transaction, and finished by `finish`."""

    def __init__(
        self, connection: sqlite3.Connection, mailbox: int, generation: int, name: NameFolder
    ) -> None:
        """Begins with nothing changed.

        Args:
            connection: Within a transaction.
            mailbox: Number of the mailbox.
            generation: What marks the messages that were seen.
            name: Names the folders.
        """
        self._connection = connection
        self._mailbox = mailbox
        self._generation = generation
        self._name = name
        self._folders: dict[int, _Folder] = {}
        self._by_place: dict[tuple[str, str], _Folder] = {}
        self._lessened: set[int] = set()
        self._unnamed: set[int] = set()
        self.touched: set[Path] = set()

    def put(self, message: ShelvedMessage) -> None:
        """Take over `message`, unless what is known of it is newer; equal ones are only marked as seen."""
        known = self._connection.execute(
            f"SELECT {_SHOWN_COLUMNS}, raw, home FROM messages WHERE mailbox = ? AND id = ?",  # noqa: S608
            (self._mailbox, message.id),
        ).fetchone()
        if known is None:
            self._insert(message)
            return
        *shown, raw, home = known
        before = _Shown(*shown)
        older = message.modified_s is not None and message.modified_s < (before.modified_s or 0.0)
        home_folder = self._folder(home)
        same_home = (home_folder.view, home_folder.key) == (message.home.view, message.home.key)
        if older or (raw == message.raw and same_home):
            self._connection.execute(
                "UPDATE messages SET generation = max(generation, ?) WHERE message = ?",
                (self._generation, before.number),
            )
            return
        self._replace(before, message)

    def remove(self, ids: Iterable[int]) -> None:
        """Forget the messages with these ids, as far as they are known."""
        for message_id in ids:
            known = self._connection.execute(
                f"SELECT {_SHOWN_COLUMNS} FROM messages WHERE mailbox = ? AND id = ?",  # noqa: S608
                (self._mailbox, message_id),
            ).fetchone()
            if known is not None:
                self._remove(_Shown(*known))

    def finish(self) -> set[Path]:
        """Ends what the changes left open (empty folders, and misnamed ones), and tells all that changed."""
        for number in self._lessened:
            folder = self._folder(number)
            (left,) = self._connection.execute(
                "SELECT EXISTS (SELECT 1 FROM places WHERE folder = ?)", (number,)
            ).fetchone()
            if left:
                self._find_times(number)
            else:
                self._drop(folder)
        for number in sorted(self._unnamed):
            self._rename(number)
        return self.touched

    def _insert(self, message: ShelvedMessage) -> None:
        home = self._folder_of(message.home)
        number = self._connection.execute(
            "INSERT INTO messages"
            " (mailbox, id, name, created_s, modified_s, home, generation, spoken_bytes, raw)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING message",
            (
                self._mailbox,
                message.id,
                message.name,
                message.created_s,
                message.modified_s,
                home.number,
                self._generation,
                message.spoken_bytes,
                message.raw,
            ),
        ).fetchone()[0]
        for place in (message.home, *message.links):
            self._show(number, message, place, 0)
        self._index_words(number, message, "")
        self._learn_owner(message)

    def _replace(self, shown: _Shown, message: ShelvedMessage) -> None:
        number = shown.number
        home = self._folder_of(message.home)
        self._connection.execute(
            "UPDATE messages SET name = ?, created_s = ?, modified_s = ?, home = ?,"
            " generation = max(generation, ?), spoken_bytes = ?, raw = ? WHERE message = ?",
            (
                message.name,
                message.created_s,
                message.modified_s,
                home.number,
                self._generation,
                message.spoken_bytes,
                message.raw,
                number,
            ),
        )
        places = {self._folder_of(place).number: place for place in (message.home, *message.links)}
        for folder in self._folders_of(number):
            if folder not in places:
                self._hide(shown, folder)
                continue
            if shown.name != message.name:
                self.touched.add((*self._folder(folder).path, shown.name))
            if _fell(shown.created_s, message.created_s) or _fell(shown.modified_s, message.modified_s):
                self._lessened.add(folder)
        for place in places.values():
            self._show(number, message, place, shown.spoken_bytes)
        row = self._connection.execute("SELECT text FROM transcripts WHERE message = ?", (number,)).fetchone()
        self._connection.execute("DELETE FROM words WHERE rowid = ?", (number,))
        self._index_words(number, message, row[0] if row else "")
        self._learn_owner(message)

    def _remove(self, shown: _Shown) -> None:
        for folder in self._folders_of(shown.number):
            self._hide(shown, folder)
        for table, column in (("messages", "message"), ("transcripts", "message"), ("words", "rowid")):
            self._connection.execute(
                f"DELETE FROM {table} WHERE {column} = ?",  # noqa: S608
                (shown.number,),
            )

    def _show(self, number: int, message: ShelvedMessage, place: Place, before_bytes: int) -> None:
        """The folder at `place` shows the message, which spoke `before_bytes` there if it did before."""
        folder = self._folder_of(place)
        cursor = self._connection.execute(
            "INSERT OR IGNORE INTO places VALUES (?, ?)", (folder.number, number)
        )
        spoken_bytes = message.spoken_bytes - (0 if cursor.rowcount else before_bytes)
        self._connection.execute(
            "UPDATE folders SET created_s = max(ifnull(created_s, ?1), ifnull(?1, created_s)),"
            " modified_s = max(ifnull(modified_s, ?2), ifnull(?2, modified_s)),"
            " spoken_bytes = spoken_bytes + ?3 WHERE folder = ?4",
            (message.created_s, message.modified_s, spoken_bytes, folder.number),
        )
        if folder.name or not folder.key:
            # Of a folder that is still without a name nobody has seen an entry.
            self.touched |= {folder.path, (*folder.path, message.name)}
        for identity, name in place.parties:
            self._learn_party(folder, identity, name, message.created_s or 0.0)

    def _hide(self, shown: _Shown, folder_number: int) -> None:
        folder = self._folder(folder_number)
        self._connection.execute(
            "DELETE FROM places WHERE folder = ? AND message = ?", (folder_number, shown.number)
        )
        self._connection.execute(
            "UPDATE folders SET spoken_bytes = spoken_bytes - ? WHERE folder = ?",
            (shown.spoken_bytes, folder_number),
        )
        self._lessened.add(folder_number)
        self.touched |= {folder.path, (*folder.path, shown.name)}

    def _folders_of(self, number: int) -> list[int]:
        rows = self._connection.execute("SELECT folder FROM places WHERE message = ?", (number,))
        return [folder for (folder,) in rows]

    def _find_times(self, number: int) -> None:
        self._connection.execute(
            "UPDATE folders SET (created_s, modified_s) = (SELECT max(m.created_s), max(m.modified_s)"
            " FROM places p JOIN messages m USING (message) WHERE p.folder = ?1) WHERE folder = ?1",
            (number,),
        )

    # Folders and their names

    def _folder(self, number: int) -> _Folder:
        folder = self._folders.get(number)
        if folder is None:
            row = self._connection.execute(
                "SELECT view, key, name FROM folders WHERE folder = ?", (number,)
            ).fetchone()
            folder = self._folders[number] = _Folder(number, *row)
            self._by_place[folder.view, folder.key] = folder
        return folder

    def _folder_of(self, place: Place) -> _Folder:
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
        folder = self._folders[number] = _Folder(number, place.view, place.key, "")
        self._by_place[place.view, place.key] = folder
        if place.key:
            self._unnamed.add(number)
        self.touched.add((place.view,))
        return folder

    def _learn_party(self, folder: _Folder, identity: str, name: str, since_s: float) -> None:
        cursor = self._connection.execute(
            "INSERT INTO parties VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET name = ?3, since_s = ?4"
            " WHERE ?3 != '' AND (name = '' OR ?4 < since_s OR (?4 = since_s AND ?3 < name))",
            (folder.number, identity, name, since_s),
        )
        if cursor.rowcount:
            self._unnamed.add(folder.number)

    def _learn_owner(self, message: ShelvedMessage) -> None:
        if not message.own:
            return
        cursor = self._connection.execute(
            "INSERT OR IGNORE INTO owners VALUES (?, ?)", (self._mailbox, message.own)
        )
        if cursor.rowcount:
            rows = self._connection.execute(
                "SELECT folder FROM parties JOIN folders USING (folder) WHERE identity = ? AND mailbox = ?",
                (message.own, self._mailbox),
            )
            self._unnamed |= {folder for (folder,) in rows}

    def _drop(self, folder: _Folder) -> None:
        """Forget a folder that shows nothing any more."""
        self._unnamed.discard(folder.number)
        folded = self._folded(folder)
        for table in ("folders", "parties"):
            self._connection.execute(f"DELETE FROM {table} WHERE folder = ?", (folder.number,))  # noqa: S608
        self.touched |= {folder.path, (folder.view,)}
        self._name_equals(folder.view, folded)

    def _rename(self, number: int) -> None:
        """Give the folder its name; and those that have or had an equal one, theirs."""
        folder = self._folder(number)
        before, after = self._folded(folder), self._names(folder).folded
        self._connection.execute("UPDATE folders SET folded = ? WHERE folder = ?", (after, number))
        for folded in {before, after}:
            self._name_equals(folder.view, folded)

    def _folded(self, folder: _Folder) -> str:
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

    def _set_name(self, folder: _Folder, *, qualified: bool) -> None:
        names = self._names(folder)
        name = names.qualified if qualified else names.plain
        if name == folder.name:
            return
        self._connection.execute("UPDATE folders SET name = ? WHERE folder = ?", (name, folder.number))
        self.touched |= {folder.path, (folder.view,)}
        folder.name = name
        self.touched.add(folder.path)

    def _names(self, folder: _Folder) -> FolderNames:
        parties = dict(
            self._connection.execute("SELECT identity, name FROM parties WHERE folder = ?", (folder.number,))
        )
        owners = {
            identity
            for (identity,) in self._connection.execute(
                "SELECT identity FROM owners WHERE mailbox = ?", (self._mailbox,)
            )
        }
        return self._name(Place(folder.view, folder.key), parties, frozenset(owners))

    def _index_words(self, number: int, message: ShelvedMessage, transcript: str) -> None:
        said = f"{message.said}\n{transcript}" if transcript else message.said
        self._connection.execute(
            "INSERT INTO words (rowid, said, people, files) VALUES (?, ?, ?, ?)",
            (number, said, message.people, message.files),
        )


def _fell(before_s: float | None, after_s: float | None) -> bool:
    """Whether a time became earlier, so that a folder's newest may not be its newest any more."""
    return before_s is not None and (after_s is None or after_s < before_s)
