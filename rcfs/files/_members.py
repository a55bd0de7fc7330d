"""The bytes of one member of a zip archive, by position, whether it is stored or deflated.

A deflated member can only be unpacked from its beginning. So its stream keeps the last blocks, and some
states to continue from: a reader that seeks back waits until a part of the member is unpacked again, at most.
Each call unpacks at most a block, so that no archive takes more than bounded memory, or holds a thread.

The CRC is compared when a reader reaches the end and has skipped at most `_GAP_BYTES` at a time. The cache
has checked each byte of the archive before; a wrong CRC shows that the archive was made wrong.
"""

import zlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, Final

import attrs
import trio

from rcfs.errors import DamagedError, UnsupportedError
from rcfs.tree import Member
from rcfs.zipformat import LOCAL_RECORD, MEMBER, STORED

BLOCK_BYTES: Final = 1 << 20
"""Bytes that are unpacked at a time: about 5 ms of a core."""
_BLOCKS: Final = 4
"""Blocks to keep, for the kernel's read-ahead, and for readers that go back and forth."""
_STATES: Final = 16
"""Most states to keep, of 50 kB each; when there are more, every other one goes."""
_PIECE_BYTES: Final = 64 << 10
"""Packed bytes that are read at a time."""
_GAP_BYTES: Final = 4 * BLOCK_BYTES
"""Bytes that a reader of a stored member may skip, and which are still read for the CRC: the kernel does not
always read in order."""

ReadArchive = Callable[[int, int], Awaitable[bytes]]
"""Gives exactly that many bytes of the archive from a position on, from the cache."""


@attrs.define(eq=False)
class _State:
    """A state between two blocks."""

    decoder: Any
    """The object of `zlib.decompressobj`, whose type has no public name."""
    block: int = 0
    """Number of the next block."""
    used_bytes: int = 0
    """Packed bytes that it has taken."""
    crc: int = 0
    """CRC-32 of all blocks so far."""

    def copy(self) -> "_State":
        """The same state, independent of this one."""
        return attrs.evolve(self, decoder=self.decoder.copy())


class MemberStream:
    """The bytes of one member; any number of tasks may read."""

    def __init__(self, member: Member, read: ReadArchive, threads: trio.CapacityLimiter) -> None:
        """Reads `member` of the archive that `read` reads; unpacks in `threads`.

        Raises:
            UnsupportedError: The member is encrypted, or packed with another method.
        """
        if not member.is_readable:
            raise UnsupportedError("the member is encrypted, or packed with a method other than deflate")
        self.member = member
        self._read_archive = read
        self._threads = threads
        self._lock = trio.Lock()
        self._data_at: int | None = None
        self._crc, self._crc_to = 0, 0  # of a stored member
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._states: dict[int, _State] = {}
        self._spacing = 1
        self._now: _State | None = None

    async def read(self, off: int, size: int) -> bytes:
        """Up to `size` bytes from `off` on; fewer only at the end.

        Raises:
            DamagedError: The archive is not as it says.
            RcfsError: The cache no longer has the archive.
        """
        size = max(0, min(size, self.member.size_bytes - off))
        if not size:
            return b""
        async with self._lock:
            if self._data_at is None:
                self._data_at = await self._find_data()
            if self.member.method == STORED:
                return await self._read_stored(self._data_at, off, size)
            parts = []
            while size:
                index, within = divmod(off, BLOCK_BYTES)
                part = (await self._block(self._data_at, index))[within : within + size]
                parts.append(part)
                off, size = off + len(part), size - len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def cool(self) -> bool:
        """Drops what can be made again; False while somebody reads."""
        if self._lock.locked():
            return False
        self._blocks.clear()
        self._states.clear()
        self._now, self._spacing = None, 1
        return True

    async def _find_data(self) -> int:
        """The position of the first packed byte."""
        header = await self._read_archive(self.member.position, LOCAL_RECORD.size)
        signature, *_facts, name_bytes, extra_bytes = LOCAL_RECORD.unpack(header)
        if signature != MEMBER:
            raise DamagedError("the member does not begin where the archive says")
        return self.member.position + LOCAL_RECORD.size + int(name_bytes) + int(extra_bytes)

    async def _read_stored(self, data_at: int, off: int, size: int) -> bytes:
        data = await self._read_archive(data_at + off, size)
        if self._crc_to < off <= self._crc_to + _GAP_BYTES:
            gap = await self._read_archive(data_at + self._crc_to, off - self._crc_to)
            self._crc, self._crc_to = zlib.crc32(gap, self._crc), off
        if off <= self._crc_to < off + size:
            new = memoryview(data)[self._crc_to - off :]
            self._crc, self._crc_to = zlib.crc32(new, self._crc), off + size
        if off + size == self._crc_to == self.member.size_bytes:
            self._check(self._crc)
        return data

    async def _block(self, data_at: int, index: int) -> bytes:
        """The unpacked block `index`."""
        known = self._blocks.get(index)
        if known is not None:
            self._blocks.move_to_end(index)
            return known
        # A read that is cancelled in the middle of a block leaves no state behind.
        state, self._now = self._nearest(index), None
        block = await self._unpack(data_at, state)
        while state.block <= index:
            block = await self._unpack(data_at, state)
        self._now = state
        return block

    def _nearest(self, index: int) -> _State:
        """The state that is the nearest before the block `index`."""
        kept = max((number for number in self._states if number <= index), default=None)
        now = self._now
        if now is not None and now.block <= index and (kept is None or kept <= now.block):
            return now
        return _State(zlib.decompressobj(-zlib.MAX_WBITS)) if kept is None else self._states[kept].copy()

    async def _unpack(self, data_at: int, state: _State) -> bytes:
        """The next block of `state`, which moves on."""
        self._keep(state)
        member = self.member
        wanted = min(BLOCK_BYTES, member.size_bytes - state.block * BLOCK_BYTES)
        found = bytearray()
        while len(found) < wanted:
            left = min(_PIECE_BYTES, member.packed_bytes - state.used_bytes)
            packed = await self._read_archive(data_at + state.used_bytes, left) if left > 0 else b""
            part, used, state.crc = await trio.to_thread.run_sync(
                _inflate, state.decoder, packed, wanted - len(found), state.crc, limiter=self._threads
            )
            if not part and not used:
                raise DamagedError("the member has fewer bytes than the archive says")
            state.used_bytes += used
            found += part
        if state.block * BLOCK_BYTES + wanted == member.size_bytes:
            self._check(state.crc)
        block = self._blocks[state.block] = bytes(found)
        if len(self._blocks) > _BLOCKS:
            self._blocks.popitem(last=False)
        state.block += 1
        return block

    def _keep(self, state: _State) -> None:
        """Keeps some of the states that it sees."""
        if state.block and state.block % self._spacing == 0 and state.block not in self._states:
            self._states[state.block] = state.copy()
        if len(self._states) > _STATES:
            self._spacing *= 2
            self._states = {at: kept for at, kept in self._states.items() if at % self._spacing == 0}

    def _check(self, crc: int) -> None:
        if crc != self.member.crc:
            raise DamagedError("the bytes of the member do not have the CRC that the archive says")


def _inflate(decoder: Any, packed: bytes, most: int, crc: int) -> tuple[bytes, int, int]:
    """At most `most` bytes of `packed`, how many packed bytes they took, and the CRC with them."""
    try:
        found = decoder.decompress(packed, most)
    except zlib.error as exc:
        raise DamagedError(f"the member cannot be unpacked: {exc}") from exc
    used = len(packed) - len(decoder.unconsumed_tail) - len(decoder.unused_data)
    return found, max(0, used), zlib.crc32(found, crc)
