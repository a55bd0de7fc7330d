"""The folders of a mailbox while messages and recordings come and go: their names, parties, times and sums.

A page of a list brings a thousand messages to a few folders. So the sums of a folder are kept in memory and
written once, by `Folders.write`, which also names the folders: only then are all of their parties known.
"""

import sqlite3
from typing import Any

from rcfs.model import FolderNames, NameFolder, Place, ShelvedMessage
from rcfs.store._checked_table import select
from rcfs.store._checksum import DamagedRowError
from rcfs.store._index_changes import ChangedFolder, ChangedPaths, PartyName, ShownEntry, later
from rcfs.store._index_schema import FOLDERS, OWNERS, PARTIES

_ANY_ENTRY = (
    "SELECT 1 FROM places WHERE folder = ?1 UNION ALL SELECT 1 FROM recording_links WHERE folder = ?1 LIMIT 1"
)
_NEWEST_ENTRIES = (
    "SELECT max(created_s), max(modified_s) FROM ("
    "SELECT m.created_s, m.modified_s FROM places p JOIN messages m USING (message) WHERE p.folder = ?1"
    " UNION ALL SELECT r.started_s, r.started_s FROM recording_links k JOIN recordings r USING (recording)"
    " WHERE k.folder = ?1)"
)


class Folders:
    """The folders of one mailbox, for one transaction."""

    def __init__(self, connection: sqlite3.Connection, mailbox: int, name: NameFolder) -> None:
        """Uses `connection` within its transaction; `name` names the folders."""
        self._connection = connection
        self._mailbox = mailbox
        self._name = name
        self._folders: dict[int, ChangedFolder] = {}
        self._by_place: dict[tuple[str, str], ChangedFolder] = {}
        self._owners: set[str] | None = None
        self._new_sums: set[int] = set()
        """Numbers of folders whose times or sizes are to be written."""
        self._lost_entries: set[int] = set()
        """Of folders that no longer show some message or recording: they may be empty."""
        self._lost_newest: set[int] = set()
        """Of folders whose newest entry may be another one now."""
        self._unnamed: set[int] = set()
        """Of folders that need a name, or may need another one."""
        self._changed: set[int] = set()
        """Of folders whose rows need a new checksum."""
        self.with_new_names: set[int] = set()
        """Of folders in which a party got a name after messages were shown there."""
        self.paths: ChangedPaths = set()
        """The paths that changed."""

    def get(self, number: int) -> ChangedFolder:
        """The folder with this number.

        Raises:
            DamagedRowError: It is missing, or not as it was written.
        """
        folder = self._folders.get(number)
        if folder is None:
            rows = select(self._connection, FOLDERS, "WHERE folder = ?", number)
            if not rows:
                raise DamagedRowError("a folder is missing")
            _number, _mailbox, view, key, name, _folded, *sums, _crc = rows[0]
            folder = self._folders[number] = ChangedFolder(number, view, key, name, *sums)
            self._by_place[folder.view, folder.key] = folder
        return folder

    def at(self, place: Place) -> ChangedFolder:
        """The folder at `place`, which is created if it is missing."""
        folder = self._by_place.get((place.view, place.key))
        if folder is not None:
            return folder
        row = self._one(
            "SELECT folder FROM folders WHERE mailbox = ? AND view = ? AND key = ?",
            self._mailbox,
            place.view,
            place.key,
        )
        if row is not None:
            return self.get(row[0])
        # It gets its name at the end, when all is known; nobody sees it before.
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
        self.paths.add((place.view,))
        return folder

    def show(self, place: Place, entry: ShelvedMessage | ShownEntry, more_spoken_bytes: int = 0) -> None:
        """Note that the folder at `place` shows `entry`, and has `more_spoken_bytes` more of speech."""
        folder = self.at(place)
        folder.created_s = later(folder.created_s, entry.created_s)
        folder.modified_s = later(folder.modified_s, entry.modified_s)
        folder.spoken_bytes += more_spoken_bytes
        self._new_sums.add(folder.number)
        if folder.name or not folder.key:
            # Nobody has seen an entry of a folder that has no name yet.
            self.paths |= {folder.path, (*folder.path, entry.name)}
        for identity, name in place.parties:
            self._learn_party(folder, identity, name, entry.created_s or 0.0)

    def hide(self, number: int, shown: ShownEntry) -> None:
        """Note that a folder no longer shows a message or recording."""
        folder = self.get(number)
        folder.spoken_bytes -= shown.spoken_bytes
        self._new_sums.add(number)
        self._lost_entries.add(number)
        if shown.created_s == folder.created_s or shown.modified_s == folder.modified_s:
            # Otherwise another entry is the newest, and a folder of 50,000 need not be searched for it.
            self._lost_newest.add(number)
        self.paths |= {folder.path, (*folder.path, shown.name)}

    def find_newest(self, number: int) -> None:
        """Note that the newest entry of a folder may be another one now."""
        self._lost_entries.add(number)
        self._lost_newest.add(number)

    def rename_all(self) -> None:
        """Give all folders the names that they should have now."""
        rows = self._connection.execute(
            "SELECT folder FROM folders WHERE mailbox = ? AND key != ''", (self._mailbox,)
        )
        self._unnamed |= {folder for (folder,) in rows}

    def add_owner(self, identity: str) -> None:
        """Add an identity of the mailbox's owner, by which no folder is named."""
        owners = self._owner_identities()
        if not identity or identity in owners:
            return
        owners.add(identity)
        add_owner(self._connection, self._mailbox, identity)
        rows = self._connection.execute(
            "SELECT folder FROM parties JOIN folders USING (folder) WHERE identity = ? AND mailbox = ?",
            (identity, self._mailbox),
        )
        # Folders that have learned of the party in this transaction have no name yet.
        self._unnamed |= {folder for (folder,) in rows}

    def party_names(self, folder: ChangedFolder) -> set[str]:
        """The names of the parties of a folder."""
        return {party.name for party in self._parties(folder).values()}

    def write(self) -> None:
        """Write all changes: sums, parties, names and checksums; folders that show nothing are removed."""
        for number in sorted(self._new_sums):
            self._write_sums(self.get(number))
        for number in self._lost_entries:
            if self._one(_ANY_ENTRY, number) is None:
                self._remove(self.get(number))
            elif number in self._lost_newest:
                self._write_newest(number)
        for number in sorted(self._unnamed):
            self._rename(number)
        self._connection.executemany(
            f"{FOLDERS.update_checksum} WHERE folder = ?", [(number,) for number in sorted(self._changed)]
        )

    def _one(self, query: str, *parameters: object) -> tuple[Any, ...] | None:
        row: tuple[Any, ...] | None = self._connection.execute(query, parameters).fetchone()
        return row

    def _write_sums(self, folder: ChangedFolder) -> None:
        self._changed.add(folder.number)
        self._connection.execute(
            "UPDATE folders SET created_s = ?, modified_s = ?, spoken_bytes = ? WHERE folder = ?",
            (folder.created_s, folder.modified_s, folder.spoken_bytes, folder.number),
        )
        parties = self._parties(folder) if folder.changed_parties else {}
        self._connection.executemany(
            PARTIES.insert(),
            [
                PARTIES.row(folder.number, identity, parties[identity].name, parties[identity].since_s)
                for identity in folder.changed_parties
            ],
        )

    def _write_newest(self, number: int) -> None:
        self._changed.add(number)
        self._connection.execute(
            f"UPDATE folders SET (created_s, modified_s) = ({_NEWEST_ENTRIES}) WHERE folder = ?1",  # noqa: S608
            (number,),
        )

    def _remove(self, folder: ChangedFolder) -> None:
        self._unnamed.discard(folder.number)
        folded = self._folded(folder)
        for table in ("folders", "parties"):
            self._connection.execute(f"DELETE FROM {table} WHERE folder = ?", (folder.number,))  # noqa: S608
        self.paths |= {folder.path, (folder.view,)}
        self._name_equals(folder.view, folded)

    # Names and parties

    def _learn_party(self, folder: ChangedFolder, identity: str, name: str, since_s: float) -> None:
        """Use the name from the oldest message that names a party; of equally old ones, the least name."""
        parties = self._parties(folder)
        known = parties.get(identity)
        if known is None:
            parties[identity] = PartyName(name, since_s)
            self._unnamed.add(folder.number)
        elif name and (not known.name or (since_s, name) < (known.since_s, known.name)):
            if name != known.name:
                self._unnamed.add(folder.number)
                self.with_new_names.add(folder.number)
            known.name, known.since_s = name, since_s
        else:
            return
        folder.changed_parties.add(identity)

    def _parties(self, folder: ChangedFolder) -> dict[str, PartyName]:
        if folder.parties is None:
            rows = select(self._connection, PARTIES, "WHERE folder = ?", folder.number)
            folder.parties = {
                identity: PartyName(name, since_s) for _folder, identity, name, since_s, _crc in rows
            }
        return folder.parties

    def _owner_identities(self) -> set[str]:
        if self._owners is None:
            rows = select(self._connection, OWNERS, "WHERE mailbox = ?", self._mailbox)
            self._owners = {identity for _mailbox, identity, _crc in rows}
        return self._owners

    def _rename(self, number: int) -> None:
        """Give the folder its name, and others whose plain name is or was equal to it, theirs."""
        folder = self.get(number)
        before, after = self._folded(folder), self._names(folder).folded
        self._changed.add(number)
        self._connection.execute("UPDATE folders SET folded = ? WHERE folder = ?", (after, number))
        for folded in {before, after}:
            self._name_equals(folder.view, folded)

    def _folded(self, folder: ChangedFolder) -> str:
        row = self._one("SELECT folded FROM folders WHERE folder = ?", folder.number)
        return str(row[0]) if row else ""

    def _name_equals(self, view: str, folded: str) -> None:
        """Name the folders of `view` whose plain names are equal; those without a name yet come later."""
        if not folded:
            return
        rows = self._connection.execute(
            "SELECT folder FROM folders WHERE mailbox = ? AND view = ? AND folded = ?",
            (self._mailbox, view, folded),
        ).fetchall()
        for (equal,) in rows:
            self._set_name(self.get(equal), qualified=len(rows) > 1)

    def _set_name(self, folder: ChangedFolder, *, qualified: bool) -> None:
        names = self._names(folder)
        name = names.qualified if qualified else names.plain
        if name == folder.name:
            return
        self._changed.add(folder.number)
        self._connection.execute("UPDATE folders SET name = ? WHERE folder = ?", (name, folder.number))
        self.paths |= {folder.path, (folder.view,)}
        folder.name = name
        self.paths.add(folder.path)

    def _names(self, folder: ChangedFolder) -> FolderNames:
        parties = {identity: party.name for identity, party in self._parties(folder).items()}
        return self._name(Place(folder.view, folder.key), parties, frozenset(self._owner_identities()))


def add_owner(connection: sqlite3.Connection, mailbox: int, identity: str) -> None:
    """Add an identity of the mailbox's owner, unless it is there already."""
    connection.execute(OWNERS.insert("IGNORE"), OWNERS.row(mailbox, identity))
