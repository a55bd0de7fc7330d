"""Reads a zip archive while it arrives: pieces of the archive in, members and their bytes out.

`ZipReader` has no socket, file or clock. It knows where each member ends, so that the caller can continue
there with a ranged request, after any end of this process.

Why not stream-unzip (0.0.101, tried 2026-11): it does not tell positions, refuses stored members whose size
follows them (which Python's own zipfile writes to a pipe), ends at the first damaged member, does not look at
the directory, bounds no output, and needs an AES library for archives that rcfs refuses. It is no faster,
since both spend their time in zlib.

A stranger's archive may do this to a reader, with these results:

    more bytes than the header says, a bomb       the member is damaged, its rest is passed over
    a size that follows the bytes, and a bomb     the same at the caller's limit, but the archive ends there
    a wrong CRC, a broken deflate stream          the member is damaged
    encrypted, or compressed by another method    the member has a problem, and is passed over
    no record where one must begin                `DamagedArchiveError`: nothing after it can be trusted
    a directory that lists other members          `agrees` is False: noted, since each member was checked
    bytes behind the directory                    ignored
"""

import re
import zlib
from collections.abc import Callable, Generator, Iterator
from typing import Final

import attrs

from rcfs.errors import RcfsError
from rcfs.exports._zip_records import (
    Member,
    Tally,
    add_entry,
    descriptor_bytes,
    entry_bytes,
    header_bytes,
    parse_member,
    unchecked_descriptor_bytes,
)
from rcfs.zipformat import (
    DEFLATED,
    END,
    END_64,
    ENTRY,
    ENTRY_RECORD,
    LOCAL_RECORD,
    LOCATOR_64,
    LOCATOR_64_RECORD,
    MEMBER,
    STORED,
)

_PACKED_PIECE: Final = 16 << 10
"""Bytes that are inflated at a time: zlib copies all that follows the end of a member."""
_PIECE: Final = 256 << 10
"""Longest piece of a member, in bytes."""
_DESCRIPTOR_ROOM: Final = 28
"""Bytes of the longest data descriptor, and of the signature of the next record."""
_MARK: Final = re.compile(rb"PK(?:\x07\x08|\x03\x04|\x01\x02)")
"""The beginning of a data descriptor, or of a record that may follow one."""


class DamagedArchiveError(RcfsError):
    """The archive cannot be read any further: no record begins where one must."""


@attrs.frozen
class Ended:
    """A member has ended."""

    end: int
    """Position of the next record in the archive."""
    size_bytes: int
    """Number of bytes of its content; of a member that was passed over, as the header says."""
    problem: str
    """Why its bytes must not be used, as part of a sentence; empty if the CRC and all sizes are right."""


Event = Member | memoryview | Ended
"""A member begins, some bytes of its content, and its end."""

_Steps = Generator[Event | None, None, None]
"""Steps of the reader; None when it needs more of the archive."""


@attrs.define
class _Body:
    """The sums over a content, up to its end."""

    crc: int = 0
    size_bytes: int = 0
    packed_bytes: int = 0
    problem: str = ""

    def add(self, data: memoryview | bytes) -> None:
        self.crc = zlib.crc32(data, self.crc)
        self.size_bytes += len(data)


class ZipReader:
    """Reads one archive; it can begin at any member."""

    def __init__(self, start: int = 0, tally: Tally | None = None, *, most_bytes: int) -> None:
        """Begins at the position `start`, where a member or the directory must begin.

        Args:
            start: Position of the first byte that will be fed.
            tally: The tally of all members before it, as `tally` was then.
            most_bytes: Size in bytes of the largest member that is read; see also `limit`.
        """
        self.finished = start
        """Position where the last member ended."""
        self.tally = Tally() if tally is None else tally
        """The members up to there."""
        self.is_done = False
        """Whether the whole archive was read."""
        self.agrees = True
        """Whether the directory lists the members that were read; True until its end."""
        self._most_bytes = most_bytes
        self._limit = most_bytes
        self._is_wanted = True
        self._buffer = b""
        self._at = 0
        self._before = start
        """Position of the buffer in the archive; `_at` is the place in it that was read up to."""
        self._steps = self._run()

    def feed(self, data: bytes) -> Iterator[Event]:
        """The events in the next bytes of the archive; take all of them before the next call.

        A piece of content is valid until the next event.

        Raises:
            DamagedArchiveError: It cannot be read any further.
        """
        if self.is_done:
            return
        self._before += self._at
        self._buffer, self._at = self._buffer[self._at :] + data, 0
        for event in self._steps:
            if event is None:
                return
            yield event

    def skip(self) -> None:
        """Passes over the bytes of the member that has just begun; its end then has no CRC to tell."""
        self._is_wanted = False

    def limit(self, most_bytes: int) -> None:
        """Ends the member that has just begun as damaged if it has more bytes than this."""
        self._limit = min(self._most_bytes, most_bytes)

    def _run(self) -> _Steps:
        yield from self._need(4)
        while True:
            signature = self._peek(4)
            if signature == MEMBER:
                yield from self._member()
                yield from self._need(4)
            elif signature in (ENTRY, END, END_64):
                yield from self._directory()
                self.is_done = True
                return
            else:
                raise DamagedArchiveError(f"no member begins at byte {self._position:,} of the archive")

    # The buffer

    @property
    def _position(self) -> int:
        return self._before + self._at

    @property
    def _available(self) -> int:
        return len(self._buffer) - self._at

    def _need(self, size: int) -> _Steps:
        while self._available < size:
            yield None

    def _peek(self, size: int) -> bytes:
        return self._buffer[self._at : self._at + size]

    def _some(self, most: int) -> memoryview:
        """The next bytes that are there, at most `most`, which are used up by that."""
        found = memoryview(self._buffer)[self._at : self._at + most]
        self._at += len(found)
        return found

    # Members

    def _member(self) -> _Steps:
        yield from self._need(LOCAL_RECORD.size)
        length = header_bytes(self._peek(LOCAL_RECORD.size))
        yield from self._need(length)
        member = parse_member(self._peek(length), self._position)
        self._at += length
        self._is_wanted, self._limit = not member.problem, self._most_bytes
        yield member
        body = _Body()
        if member.packed_bytes is not None and (member.problem or not self._is_wanted):
            yield from self._pass_over(member.packed_bytes)
            body = _Body(member.crc, member.size_bytes or 0, member.packed_bytes, member.problem)
            crc: int | None = None
        else:
            yield from self._content(member, body)
            crc = body.crc
        told = member.crc
        if member.is_described:
            told = yield from self._descriptor(body, crc)
        if crc not in (None, told):
            body.problem = body.problem or "its CRC is wrong"
        self.finished = self._position
        size_bytes = body.size_bytes if member.size_bytes is None else member.size_bytes
        self.tally.add(member.offset, member.raw_name, told, size_bytes)
        yield Ended(self.finished, body.size_bytes, body.problem)

    def _content(self, member: Member, body: _Body) -> _Steps:
        """The bytes of a member that is read, or whose end only reading tells."""
        if member.method == DEFLATED and not member.problem:
            yield from self._inflate(member, body)
        elif member.method == STORED and not member.problem and member.packed_bytes is None:
            yield from self._until_descriptor(member, body)
        elif member.packed_bytes is None:
            raise _endless(member, member.problem)
        else:
            yield from self._stored(body, member.packed_bytes)
        if not body.problem and member.size_bytes not in (None, body.size_bytes):
            body.problem = "its size is not that of its header"

    def _pass_over(self, size: int) -> _Steps:
        while size:
            size -= len(self._some(size))
            if size:
                yield None

    def _stored(self, body: _Body, packed_bytes: int) -> _Steps:
        """The bytes of a stored member whose size is known."""
        if packed_bytes > self._limit:
            body.problem = _too_large(self._limit)
        left = body.packed_bytes = packed_bytes
        while left:
            piece = self._some(min(left, _PIECE))
            if not piece:
                yield None
                continue
            left -= len(piece)
            body.add(piece)
            if not body.problem:
                yield piece

    def _inflate(self, member: Member, body: _Body) -> _Steps:
        """The bytes of a deflated member, up to the end of its stream or its packed size."""
        inflater, left = zlib.decompressobj(-zlib.MAX_WBITS), member.packed_bytes
        declared = self._limit if member.size_bytes is None else member.size_bytes
        limit = min(self._limit, declared)
        while left != 0 and not inflater.eof:
            packed = self._some(_PACKED_PIECE if left is None else min(left, _PACKED_PIECE))
            if not packed:
                yield None
                continue
            left = None if left is None else left - len(packed)
            body.packed_bytes += len(packed)
            for piece in _inflated(inflater, packed, body):
                body.add(piece)
                if body.size_bytes > limit:
                    body.problem = _too_large(limit)
                    break
                if self._is_wanted:
                    yield memoryview(piece)
            if body.problem:
                if left is None:
                    raise _endless(member, body.problem)
                yield from self._pass_over(left)
                body.packed_bytes += left
                return
        unused = len(inflater.unused_data)
        if left is None:
            self._at -= unused
            body.packed_bytes -= unused
        elif not inflater.eof or unused or left:
            body.problem = "its packed size is wrong"
            yield from self._pass_over(left)
            body.packed_bytes += left

    def _until_descriptor(self, member: Member, body: _Body) -> _Steps:
        """The bytes of a stored member that ends where its descriptor fits: sizes, CRC and what follows."""
        while True:
            yield from self._need(_DESCRIPTOR_ROOM)
            held = self._peek(min(self._available, _PIECE + _DESCRIPTOR_ROOM))
            last = len(held) - _DESCRIPTOR_ROOM
            end = self._find_descriptor(held, last, body)
            piece = memoryview(held)[: last if end is None else end]
            self._at += len(piece)
            body.add(piece)
            body.packed_bytes = body.size_bytes
            if body.size_bytes > self._limit:
                raise _endless(member, _too_large(self._limit))
            if piece and self._is_wanted:
                yield piece
            if end is not None:
                return
            if not piece:
                yield None

    @staticmethod
    def _find_descriptor(held: bytes, last: int, body: _Body) -> int | None:
        """Where the descriptor begins in `held`, at `last` or before; None if it begins later."""
        starts = {
            start
            for found in _MARK.finditer(held)
            for start in (found.start() - back for back in (0, 12, 20))
            if 0 <= start <= last
        }
        for start in sorted(starts):
            size = body.size_bytes + start
            tail = held[start : start + _DESCRIPTOR_ROOM]
            if descriptor_bytes(tail, None, size, size):
                crc = zlib.crc32(memoryview(held)[:start], body.crc)
                if descriptor_bytes(tail, crc, size, size):
                    return start
        return None

    def _descriptor(self, body: _Body, crc: int | None) -> Generator[Event | None, None, int]:
        """The CRC in the data descriptor, which is used up by that."""
        yield from self._need(_DESCRIPTOR_ROOM)
        found = self._peek(_DESCRIPTOR_ROOM)
        length = descriptor_bytes(found, crc, body.packed_bytes, body.size_bytes)
        if not length:
            body.problem = body.problem or "what follows it has another CRC or size"
            length = unchecked_descriptor_bytes(found)
        if not length:
            raise DamagedArchiveError(f"no data descriptor at byte {self._position:,} of the archive")
        self._at += length
        begin = 4 if length in (16, 24) else 0
        return int.from_bytes(found[begin : begin + 4], "little")

    # The directory

    def _directory(self) -> _Steps:
        """Compares the directory with the members; it holds at most one entry at a time."""
        listed = Tally()
        while (signature := self._peek(4)) == ENTRY:
            yield from self._record(ENTRY_RECORD.size, entry_bytes, lambda entry: add_entry(listed, entry))
            yield from self._need(4)
        if signature == END_64:
            yield from self._record(12, lambda head: 12 + int.from_bytes(head[4:], "little"))
            yield from self._need(4)
        if self._peek(4) == LOCATOR_64:
            yield from self._record(LOCATOR_64_RECORD.size, lambda _head: LOCATOR_64_RECORD.size)
            yield from self._need(4)
        self.agrees = listed == self.tally and self._peek(4) == END

    def _record(
        self,
        head_bytes: int,
        length_of: Callable[[bytes], int],
        use: Callable[[bytes], None] = lambda _record: None,
    ) -> _Steps:
        yield from self._need(head_bytes)
        length = length_of(self._peek(head_bytes))
        yield from self._need(min(length, 1 << 20))
        use(self._peek(length))
        self._at += min(length, self._available)


def _inflated(inflater: "zlib._Decompress", packed: memoryview, body: _Body) -> Iterator[bytes]:
    """The bytes that become complete with `packed`; notes in `body` if the stream is damaged."""
    rest: memoryview | bytes = packed
    while not inflater.eof:
        try:
            piece = inflater.decompress(rest, _PIECE)
        except zlib.error:
            body.problem = "its compressed bytes are damaged"
            return
        rest = inflater.unconsumed_tail
        if piece:
            yield piece
        if not rest and len(piece) < _PIECE:  # A full piece may have left more inside.
            return


def _endless(member: Member, why: str) -> DamagedArchiveError:
    """The error for a member whose size follows it, and which cannot be read so far."""
    return DamagedArchiveError(f"the end of the member at byte {member.offset:,} cannot be found: {why}")


def _too_large(limit: int) -> str:
    return f"it has more than {limit:,} bytes"
