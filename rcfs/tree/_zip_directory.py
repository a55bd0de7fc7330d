"""The directory of a zip archive: which members it has, and where they are.

Pure: the caller reads the bytes. The directory is one sorted list of bytes objects, which the garbage
collector does not visit: some 170 bytes for a member, so that 100,000 attachments take 17 MB.

An archive comes from a server, and is not trusted. A member is left out if it reaches past the end of the
archive, shares bytes with another member, claims more bytes than its packed ones can hold, or has no place in
the tree. So all members together are at most `_MOST_RATIO` times as large as the archive.
"""

import re
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from datetime import UTC, datetime
from struct import Struct
from typing import Final

import attrs

from rcfs.tree._names import fit
from rcfs.tree._zip_names import MemberNames
from rcfs.zipformat import (
    DEFLATED,
    END,
    END_64,
    END_64_RECORD,
    END_RECORD,
    ENTRY,
    ENTRY_RECORD,
    IS_ENCRYPTED,
    IS_ENCRYPTED_STRONGLY,
    IS_MASKED,
    IS_UTF8,
    LOCAL_RECORD,
    LOCATOR_64,
    LOCATOR_64_RECORD,
    STORED,
    from_zip64,
)

TAIL_BYTES: Final = LOCATOR_64_RECORD.size + END_64_RECORD.size + END_RECORD.size + 0xFFFF
"""Bytes at the end of an archive that hold the record about its directory, with zip64 and any comment."""
MOST_DIRECTORY_BYTES: Final = 96 << 20
"""Largest directory that is read: 500,000 members with names of 130 bytes have 88 MB."""
MOST_MEMBERS: Final = 500_000
"""Most members of a directory, which then takes 85 MB of memory; in 1 GB they have 2 kB each."""
_MOST_RENAMED = 10_000
"""Most members that get another name because an earlier one has theirs; others are left out."""
_MOST_RATIO = 1032
"""Highest ratio of deflate: 258 bytes for two bits. Source: RFC 1951, 3.2.5."""
_LARGEST = 1 << 40
"""Largest size of a member, so that no sum of them is too large for a file system."""

_ENCRYPTED: Final = IS_ENCRYPTED | IS_ENCRYPTED_STRONGLY | IS_MASKED
"""Flags of members that are encrypted, or whose directory entry is masked."""
_FACTS = Struct("<HHIIQQQ")
"""The facts behind a path in the list: flags, method, time, CRC, packed size, size, position."""
_BETWEEN = b"\1"
"""Separates names in the list; no name holds a control character."""
_AFTER = b"\2"
_PATH_END = b"\0"
_SEPARATOR = re.compile(r"[\0-\2]")


class BadZipError(ValueError):
    """The bytes are no zip archive, or its directory cannot be used."""


@attrs.frozen
class ZipExtent:
    """Where the directory of an archive lies."""

    start: int
    """Position of its first byte in the archive."""
    stop: int
    """One past its last byte."""
    shift: int
    """Number of bytes in front of the archive, which its own positions do not count."""


@attrs.frozen
class Member:
    """A file in an archive."""

    path: str
    """Its path in the tree below the directory of the archive."""
    flags: int
    method: int
    """Flags and method of compression, as in the archive."""
    time: int
    """Time of the last change in the format of MS-DOS: date in the upper 16 bits."""
    crc: int
    """CRC-32 of its bytes."""
    packed_bytes: int
    """Size of its packed bytes."""
    size_bytes: int
    """Size by the directory of the archive."""
    position: int
    """Position of its local header in the archive."""

    @property
    def is_readable(self) -> bool:
        """Whether it is neither encrypted nor packed with an unusual method."""
        return self.method in (STORED, DEFLATED) and not self.flags & _ENCRYPTED

    @property
    def modified_s(self) -> float | None:
        """Time of the last change in seconds since 1970, taken as UTC; None if it is invalid."""
        date, time = divmod(self.time, 1 << 16)
        year, month, day = (date >> 9) + 1980, date >> 5 & 15, date & 31
        try:
            at = datetime(year, month, day, time >> 11, time >> 5 & 63, (time & 31) * 2, tzinfo=UTC)
        except ValueError:
            return None
        return at.timestamp()


def zip_extent(tail: bytes, size_bytes: int) -> ZipExtent:
    """Where the directory of an archive lies.

    Args:
        tail: The last `TAIL_BYTES` bytes of the archive, or all of them.
        size_bytes: Size of the archive.

    Raises:
        BadZipError: It is no zip archive, has several parts, or its directory is too large.
    """
    at = len(tail)
    while (at := tail.rfind(END, 0, at)) >= 0:
        if at + END_RECORD.size <= len(tail):
            *_head, length, offset, comment = END_RECORD.unpack_from(tail, at)
            # Another one may be in the comment.
            if at + END_RECORD.size + comment == len(tail):
                return _extent(tail, at, length, offset, size_bytes)
    raise BadZipError("it is no zip archive, or its end is missing")


def _extent(tail: bytes, at: int, length: int, offset: int, size_bytes: int) -> ZipExtent:
    stop = size_bytes - len(tail) + at
    before = at - LOCATOR_64_RECORD.size
    if before >= 0 and LOCATOR_64_RECORD.unpack_from(tail, before)[0] == LOCATOR_64:
        before -= END_64_RECORD.size
        end64 = END_64_RECORD.unpack_from(tail, before) if before >= 0 else (0,)
        if end64[0] == END_64:
            length, offset, stop = int(end64[8]), int(end64[9]), size_bytes - len(tail) + before
    start = stop - length
    if start < 0 or start < offset:
        raise BadZipError("its directory does not lie within it")
    if length > MOST_DIRECTORY_BYTES:
        raise BadZipError(f"its directory has {length} bytes")
    return ZipExtent(start, stop, start - offset)


class ZipDirectory:
    """The members of an archive by path; never changes."""

    def __init__(self, entries: list[bytes], left_out: int) -> None:
        """Use `parse` instead."""
        self._entries = entries
        self.left_out = left_out
        """Number of members that are not shown."""

    def __len__(self) -> int:
        return len(self._entries)

    @classmethod
    def parse(cls, data: bytes, extent: ZipExtent) -> "ZipDirectory":
        """The members of an archive whose directory has the bytes `data`; for a worker thread.

        Raises:
            BadZipError: It has too many members.
        """
        names = MemberNames()
        entries: list[bytes] = []
        starts, stops = array("Q"), array("Q")
        left_out = 0
        for name, flags, facts in _entries_of(data, extent):
            method, _time, _crc, packed_bytes, size_bytes, position = facts
            path, is_directory = names.path(name, is_utf8=bool(flags & IS_UTF8))
            stop = position + LOCAL_RECORD.size + len(name) + packed_bytes
            if not path or stop > extent.start or not _is_plausible(method, flags, packed_bytes, size_bytes):
                left_out += bool(path)
                continue
            if len(entries) == MOST_MEMBERS:
                raise BadZipError(f"it has more than {MOST_MEMBERS} members")
            shown = _BETWEEN.join(part.encode() for part in path) + (_BETWEEN if is_directory else b"")
            entries.append(shown + _PATH_END + _FACTS.pack(flags, *facts))
            starts.append(position)
            stops.append(stop)
        overlapping = _overlapping(starts, stops)
        if overlapping:
            entries = [entry for at, entry in enumerate(entries) if at not in overlapping]
        entries.sort()
        entries, dropped = _unique(entries)
        return cls(entries, left_out + len(overlapping) + dropped)

    def find(self, place: bytes, name: str) -> Member | bytes | None:
        """The member `name` in the directory at `place`, or the place of that directory; None without either.

        The place of the top is empty.
        """
        wanted = place + name.encode("utf-8", "surrogatepass")
        if _SEPARATOR.search(name):
            return None
        at = bisect_left(self._entries, wanted + _PATH_END)
        if self._begins(at, wanted + _PATH_END):
            return _member(self._entries[at])
        return wanted + _BETWEEN if self.has(wanted + _BETWEEN) else None

    def has(self, place: bytes) -> bool:
        """Whether there is a directory at `place`."""
        return not place or self._begins(bisect_left(self._entries, place), place)

    def page(self, place: bytes, after: int, limit: int) -> list[tuple[int, str, Member | bytes]]:
        """At most `limit` entries of the directory at `place`, in the order of their bytes.

        Each is its cursor, its name, and what `find` gives for it. `after` is the cursor of the entry before,
        or 0 for the beginning.
        """
        entries = self._entries
        at = max(bisect_left(entries, place), after)
        found: list[tuple[int, str, Member | bytes]] = []
        while len(found) < limit and self._begins(at, place):
            path = entries[at].partition(_PATH_END)[0]
            name, between, _below = path[len(place) :].partition(_BETWEEN)
            if not name:
                at += 1  # The entry of this directory itself.
                continue
            below = place + name + between
            stop = bisect_left(entries, place + name + _AFTER, at) if between else at + 1
            found.append((stop, name.decode(), below if between else _member(entries[at])))
            at = stop
        return found

    def _begins(self, at: int, text: bytes) -> bool:
        return at < len(self._entries) and self._entries[at].startswith(text)


def _member(entry: bytes) -> Member:
    path, _end, facts = entry.partition(_PATH_END)
    flags, method, time, crc, packed_bytes, size_bytes, position = _FACTS.unpack(facts)
    return Member(
        path.replace(_BETWEEN, b"/").decode(), flags, method, time, crc, packed_bytes, size_bytes, position
    )


def _entries_of(data: bytes, extent: ZipExtent) -> Iterator[tuple[bytes, int, tuple[int, ...]]]:
    """(name, flags, other facts in the order of `_FACTS`) of each member, up to the first broken entry."""
    at = 0
    while at + ENTRY_RECORD.size <= len(data):
        row = ENTRY_RECORD.unpack_from(data, at)
        flags, method, time, date, crc = row[3:8]
        packed_bytes, size_bytes, name_bytes, extra_bytes, comment_bytes = row[8:13]
        position = row[16]
        at += ENTRY_RECORD.size
        stop = at + name_bytes + extra_bytes
        if row[0] != ENTRY or stop > len(data):
            return
        told = size_bytes, packed_bytes, position
        # A member with a missing number is left out: what stands there instead is too large.
        wide = from_zip64(data[at + name_bytes : stop], *told)
        size_bytes, packed_bytes, position = (
            number if found is None else found for number, found in zip(told, wide, strict=True)
        )
        facts = (method, date << 16 | time, crc, packed_bytes, size_bytes, position + extent.shift)
        yield data[at : at + name_bytes], flags, facts
        at = stop + comment_bytes


def _is_plausible(method: int, flags: int, packed_bytes: int, size_bytes: int) -> bool:
    """Whether `packed_bytes` can be `size_bytes` without their packing."""
    if size_bytes > _LARGEST:
        return False
    if flags & _ENCRYPTED or method not in (STORED, DEFLATED):
        return True  # Nothing reads it.
    return size_bytes == packed_bytes if method == STORED else size_bytes <= packed_bytes * _MOST_RATIO


def _overlapping(starts: "array[int]", stops: "array[int]") -> set[int]:
    """The indices of the members that share bytes with one before them."""
    overlapping: set[int] = set()
    taken = 0
    for at in sorted(range(len(starts)), key=starts.__getitem__):
        if starts[at] < taken:
            overlapping.add(at)
        else:
            taken = stops[at]
    return overlapping


def _unique(entries: list[bytes]) -> tuple[list[bytes], int]:
    """Sorted `entries` with different paths, and how many were dropped.

    A file whose path another member has, or a directory, gets a number. A second entry for a directory goes.
    """
    kept: list[bytes] = []
    renamed: list[bytes] = []
    last: bytes | None = None
    dropped = 0
    for at, entry in enumerate(entries):
        path = entry.partition(_PATH_END)[0]
        is_directory = path.endswith(_BETWEEN)
        is_taken = path == last or (not is_directory and _is_directory(entries, at + 1, path))
        last = path
        if not is_taken:
            kept.append(entry)
        elif not is_directory:
            renamed.append(entry)
    if not renamed:
        return kept, 0
    numbers: dict[bytes, int] = {}
    new: dict[bytes, bytes] = {}
    for entry in renamed:
        path, _end, facts = entry.partition(_PATH_END)
        number = numbers.get(path, 2)
        while (other := _numbered(path, number)) in new or _is_in(kept, other):
            number += 1
        numbers[path] = number + 1
        if len(new) == _MOST_RENAMED:
            dropped += 1
        else:
            new[other] = other + _PATH_END + facts
    return sorted([*kept, *new.values()]), dropped


def _is_directory(entries: list[bytes], at: int, path: bytes) -> bool:
    """Whether sorted `entries` have a directory at `path`; the one before `at` is the file at `path`."""
    place = path + _BETWEEN
    if at < len(entries) and entries[at].startswith(path + _PATH_END):
        at = bisect_left(entries, place, at)
    return at < len(entries) and entries[at].startswith(place)


def _is_in(entries: list[bytes], path: bytes) -> bool:
    """Whether sorted `entries` have a file or a directory at `path`."""
    at = bisect_left(entries, path + _PATH_END)
    return at < len(entries) and entries[at].startswith((path + _PATH_END, path + _BETWEEN))


def _numbered(path: bytes, number: int) -> bytes:
    above, between, name = path.rpartition(_BETWEEN)
    stem, dot, ending = name.decode().rpartition(".")
    if not stem or len(ending) > 10:
        stem, dot, ending = name.decode(), "", ""
    return above + between + fit(stem, f" ({number}){dot}{ending}").encode()
