"""Recordings and their links in folders of contacts, while calls come into the index and leave it."""

import sqlite3
import zlib
from collections.abc import Iterable, Mapping, Sequence

from rcfs.model import COMPANY, NameFolder, Place, ShelvedRecording, valid
from rcfs.store._call_changes import KnownRecording
from rcfs.store._call_logs import ChangedLogs
from rcfs.store._call_schema import RECORDINGS
from rcfs.store._checked_table import Row, select
from rcfs.store._index_changes import Path, ShownEntry, became_earlier
from rcfs.store._index_folders import Folders
from rcfs.store._index_mailboxes import count_change, mailbox_of
from rcfs.store._index_merge import index_new_names
from rcfs.store._index_values import finite

MOST_RECORDINGS = 1000
"""Recordings of one call that are kept. A real call has one for each transfer, and searches number them."""
_UPDATE = (
    f"UPDATE recordings SET ({RECORDINGS.row_columns})"  # noqa: S608 - our own words
    f" = ({', '.join('?' * (len(RECORDINGS.columns) + 1))}) WHERE recording = ?"
)


def name_checksum(name: str) -> int:
    """The value of the column `named`."""
    return zlib.crc32(name.encode("utf-8", "surrogatepass"))


class ChangedRecordings:
    """The recordings of one account, for one transaction that ends after `finish`."""

    def __init__(
        self, connection: sqlite3.Connection, account_id: str, logs: ChangedLogs, name: NameFolder
    ) -> None:
        """Uses `connection` within its transaction; `name` names the folders."""
        self._connection = connection
        self._account_id = account_id
        self._logs = logs
        self._name = name
        self._folders: dict[int, tuple[int, Folders]] = {}
        """By owner: the number of the mailbox, and its folders."""
        self._new_links: list[tuple[int, int]] = []
        self.changed: set[tuple[int, str, str]] = set()
        """(owner, month, file name) of the recordings that changed."""

    def put(self, call: int, recordings: Sequence[ShelvedRecording], *, is_new: bool = False) -> None:
        """Make `recordings` those of a call, in this order; a new call has none yet."""
        known = {} if is_new else {recording.id: recording for recording in self._of(call)}
        wanted = {recording.id: recording for recording in recordings[:MOST_RECORDINGS]}
        for place, recording in enumerate(wanted.values()):
            self._put(call, place, recording, known.get(recording.id))
        for recording_id, before in known.items():
            if recording_id not in wanted:
                self._remove(before)

    def remove(self, call: int) -> None:
        """Remove all recordings of a call."""
        for recording in self._of(call):
            self._remove(recording)

    def mark_gone(self, recording_id: str) -> None:
        """Note that the platform no longer has a recording."""
        for number, log, *values, gone, _crc in self._select("WHERE id = ?", recording_id):
            owner = self._logs.numbered(log) if self._logs.is_own(log) else None
            if owner is not None and not gone:
                self._connection.execute(_UPDATE, (*RECORDINGS.row(log, *values, 1), number))
                self._logs.change(owner)
                self.changed.add((owner.owner, owner.month, values[3]))

    def finish(self) -> frozenset[tuple[int, Path]]:
        """Write the links, sums and names of folders; (extension id, path) of the folders that changed."""
        self._write_links()
        found: set[tuple[int, Path]] = set()
        for owner, (mailbox, folders) in self._folders.items():
            folders.write()
            index_new_names(self._connection, folders)
            if folders.paths:
                count_change(self._connection, mailbox)
            found |= {(owner, path) for path in folders.paths}
        return frozenset(found)

    def _select(self, rest: str, *parameters: object) -> list[Row]:
        return select(self._connection, RECORDINGS, rest, *parameters)

    def _of(self, call: int) -> list[KnownRecording]:
        return [_known(row) for row in self._select("WHERE call = ? ORDER BY place", call)]

    def _put(self, call: int, place: int, recording: ShelvedRecording, before: KnownRecording | None) -> None:
        log = self._logs.at(recording.owner, recording.month)
        name, started_s = valid(recording.name), finite(recording.started_s)
        other = self._named(log.number, name, 0 if before is None else before.number)
        if other is not None:
            # Another record of the same call has it, under the same name in the same directory.
            if before is not None:
                self._remove(before)
            if other.id != recording.id:
                return
            # The newest record keeps it, because that record may have taken the place of the other.
            before = other
        uri = valid(recording.uri)
        fields = (log.number, call, place, recording.id, name, name_checksum(name), started_s)
        row = RECORDINGS.row(*fields, recording.duration_s, uri, 0 if before is None else before.gone)
        after = KnownRecording(0, log.number, place, recording.id, name, started_s, recording.duration_s, uri)
        if before is None:
            number = self._connection.execute(RECORDINGS.insert(), row).lastrowid
            assert number is not None  # noqa: S101 - a row was inserted
            self._count(log.number, name, 1)
        else:
            number = before.number
            if other is not None or not after.is_shown_as(before):
                self._connection.execute(_UPDATE, (*row, number))
                self._count(before.log, before.name, -1)
                self._count(log.number, name, 1)
        links = recording.links if recording.owner != COMPANY else ()
        self._link(ShownEntry(number, name, started_s, started_s), recording.owner, links, before)

    def _named(self, log: int, name: str, number: int) -> KnownRecording | None:
        """The recording of this name in a log, unless its number is `number`; None without one."""
        found = self._select(
            "WHERE log = ? AND named = ? AND name = ? AND recording != ?",
            *(log, name_checksum(name), name, number),
        )
        return _known(found[0]) if found else None

    def _count(self, log_number: int, name: str, change: int) -> None:
        log = self._logs.numbered(log_number)
        log.recordings += change
        self._logs.change(log)
        self.changed.add((log.owner, log.month, name))

    def _remove(self, recording: KnownRecording) -> None:
        self._link(recording.entry, self._logs.numbered(recording.log).owner, (), recording)
        self._connection.execute("DELETE FROM recordings WHERE recording = ?", (recording.number,))
        self._count(recording.log, recording.name, -1)

    # Links

    def _link(
        self, entry: ShownEntry, owner: int, places: Iterable[Place], before: KnownRecording | None
    ) -> None:
        """Show a recording in the folders at `places` of its owner's mailbox, and in no others."""
        wanted: Mapping[int, Place] = {}
        if places:
            folders = self._folders_of(owner)
            wanted = {folders.at(place).number: place for place in places}
        present = () if before is None else self._linked(before.number)
        if before is not None and present:
            owner_before = self._logs.numbered(before.log).owner
            self._unlink(before, owner_before, [each for each in present if each not in wanted])
            for folder in (each for each in present if each in wanted):
                self._rename(self._folders_of(owner), folder, before, entry)
        for number, place in wanted.items():
            if number not in present:
                self._new_links.append((number, entry.number))
            if number not in present or before is None or before.entry != entry:
                self._folders_of(owner).show(place, entry)

    def _unlink(self, recording: KnownRecording, owner: int, folders: Iterable[int]) -> None:
        for folder in folders:
            self._connection.execute(
                "DELETE FROM recording_links WHERE folder = ? AND recording = ?", (folder, recording.number)
            )
            self._folders_of(owner).hide(folder, recording.entry)

    def _rename(self, folders: Folders, folder: int, before: KnownRecording, after: ShownEntry) -> None:
        if before.name != after.name:
            folders.paths.add((*folders.get(folder).path, before.name))
        if became_earlier(before.started_s, after.created_s):
            folders.find_newest(folder)

    def _folders_of(self, owner: int) -> Folders:
        known = self._folders.get(owner)
        if known is None:
            mailbox = mailbox_of(self._connection, self._account_id, owner)
            known = self._folders[owner] = mailbox, Folders(self._connection, mailbox, self._name)
        return known[1]

    def _linked(self, recording: int) -> set[int]:
        """The numbers of the folders that hold a link to a recording."""
        self._write_links()
        rows = self._connection.execute(
            "SELECT folder FROM recording_links WHERE recording = ?", (recording,)
        )
        return {folder for (folder,) in rows}

    def _write_links(self) -> None:
        self._connection.executemany("INSERT INTO recording_links VALUES (?, ?)", sorted(self._new_links))
        self._new_links.clear()


def _known(row: Row) -> KnownRecording:
    number, log, _call, place, recording_id, name, _named, started_s, duration_s, uri, gone, _crc = row
    return KnownRecording(number, log, place, recording_id, name, started_s, duration_s, uri, gone)
