"""The rows of a damaged database, read from its pages without SQLite, which stops at the first fault.

The caller keeps rows whose checksum fits, so damage elsewhere on the page or in the schema does not matter.
Deleted rows are not found: rcfs's small databases overwrite them.

Source: https://www.sqlite.org/fileformat2.html, "B-tree Pages", "Record Format" and "The Write-Ahead Log".
"""

import contextlib
import os
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

_PAGE_BYTES = 4096
"""Size of a page: SQLite's default since 3.12, so that a damaged header does not matter."""
_WAL_HEADER_BYTES = 32
_FRAME_HEADER_BYTES = 24
_INTERIOR_INDEX, _LEAF_INDEX, _LEAF_TABLE = 0x02, 0x0A, 0x0D
"""Kinds of pages with rows: tables without row numbers are stored as indices, with rows on interior pages,
too."""
_LONGEST_ROW_BYTES = 64 << 20
"""Longest row that is read: a record of the platform has 16 MiB at most, and damage may tell any length."""
_INTEGER_BYTES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
"""Length of integers in bytes, by the type in the record's header."""
_REAL = 7
_ZERO, _ONE = 8, 9
_FIRST_BLOB = 12
"""More types: even ones from here on are bytes, odd ones are texts."""

Row = tuple[int, tuple[object, ...]]
"""The row number, 0 in a table without, and the stored values: whole real numbers are integers."""


def salvaged_rows(path: Path) -> Iterator[Row]:
    """All rows that can be decoded in the database `path` and its log; many of them may be nonsense.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        pages = _Pages(file, _logged_pages(path))
        for number in pages:
            page = pages[number]
            for offset in _cells(page) if number > 1 else ():  # The first page has the schema.
                # A damaged cell is skipped.
                with contextlib.suppress(IndexError, KeyError, ValueError, struct.error):
                    yield _row(pages, page, offset)


class _Pages:
    """The pages of a database by their numbers, from 1 on; they are read when they are needed."""

    def __init__(self, file: BinaryIO, logged: Mapping[int, bytes]) -> None:
        """`logged` has the pages that are newer in the log than in `file`."""
        self._file = file
        self._logged = logged
        stored = file.seek(0, os.SEEK_END) // _PAGE_BYTES
        self._stored = range(1, stored + 1)

    def __len__(self) -> int:
        return len(self._stored) + len(self._logged)

    def __iter__(self) -> Iterator[int]:
        yield from self._stored
        # Damage may tell any number.
        yield from (number for number in self._logged if number not in self._stored)

    def __getitem__(self, number: int) -> bytes:
        if number in self._logged:
            return self._logged[number]
        if number not in self._stored:
            raise KeyError(number)
        self._file.seek((number - 1) * _PAGE_BYTES)
        return self._file.read(_PAGE_BYTES).ljust(_PAGE_BYTES, b"\0")


def _logged_pages(path: Path) -> dict[int, bytes]:
    """The pages in the log of the database `path`, by their numbers."""
    pages: dict[int, bytes] = {}
    with contextlib.suppress(FileNotFoundError):
        log = path.with_name(f"{path.name}-wal").read_bytes()
        pending: dict[int, bytes] = {}
        salts = log[16:24]
        step = _FRAME_HEADER_BYTES + _PAGE_BYTES
        for start in range(_WAL_HEADER_BYTES, len(log) - step + 1, step):
            number, committed, found = struct.unpack_from(">II8s", log, start)
            if found != salts:
                break  # A frame from before the log was restarted.
            pending[number] = log[start + _FRAME_HEADER_BYTES : start + step]
            if committed:
                pages |= pending
                pending = {}
    return pages


def _cells(page: bytes) -> Iterator[int]:
    """Offsets of the rows on a page."""
    kind = page[0]
    if kind in (_INTERIOR_INDEX, _LEAF_INDEX, _LEAF_TABLE):
        (count,) = struct.unpack_from(">H", page, 3)
        first = 12 if kind == _INTERIOR_INDEX else 8
        for place in range(first, min(first + 2 * count, _PAGE_BYTES - 1), 2):
            yield struct.unpack_from(">H", page, place)[0]


def _row(pages: _Pages, page: bytes, offset: int) -> Row:
    kind = page[0]
    if kind == _INTERIOR_INDEX:
        offset += 4  # the page below
    size, offset = _varint(page, offset)
    rowid = 0
    if kind == _LEAF_TABLE:
        rowid, offset = _varint(page, offset)
    most = _PAGE_BYTES - 35 if kind == _LEAF_TABLE else (_PAGE_BYTES - 12) * 64 // 255 - 23
    if size <= most:
        return rowid, _record(page[offset : offset + size])
    if size > _LONGEST_ROW_BYTES:
        raise ValueError("it is too long")
    least = (_PAGE_BYTES - 12) * 32 // 255 - 23
    local = least + (size - least) % (_PAGE_BYTES - 4)
    local = local if local <= most else least
    payload = page[offset : offset + local]
    (number,) = struct.unpack_from(">I", page, offset + local)
    for _page in range(len(pages)):
        if len(payload) >= size:
            break
        (following,) = struct.unpack_from(">I", pages[number])
        payload += pages[number][4:]
        number = following
    return rowid, _record(payload[:size])


def _record(payload: bytes) -> tuple[object, ...]:
    header_bytes, offset = _varint(payload, 0)
    values: list[object] = []
    at = header_bytes
    while offset < header_bytes:
        kind, offset = _varint(payload, offset)
        if kind == 0:
            values.append(None)
        elif kind in (_ZERO, _ONE):
            values.append(kind - _ZERO)
        elif kind == _REAL:
            values.append(struct.unpack_from(">d", payload, at)[0])
            at += 8
        elif kind < _FIRST_BLOB:
            size = _INTEGER_BYTES[kind]
            values.append(int.from_bytes(payload[at : at + size], signed=True))
            at += size
        else:
            size = (kind - _FIRST_BLOB) // 2
            data = payload[at : at + size]
            if len(data) != size:
                raise ValueError("it is cut short")
            values.append(data.decode() if kind % 2 else data)
            at += size
    return tuple(values)


def _varint(data: bytes, offset: int) -> tuple[int, int]:
    """The integer of 1 to 9 bytes at `offset`, and the offset behind it."""
    value = 0
    for place in range(offset, offset + 8):
        value = value << 7 | data[place] & 0x7F
        if data[place] < 0x80:
            return value, place + 1
    return value << 8 | data[offset + 8], offset + 9
