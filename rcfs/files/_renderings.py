"""The bytes of a text as they were at one time: in memory, or in a file without a name if they are many.

A call log of a large company may have gigabytes. So a text above `SHORT_BYTES` goes to the disk of the cache,
piece by piece, and only a digest for each chunk of 1 MiB stays in memory. Two versions of a text are compared
by these digests, and a new version takes over the chunks in which nothing has changed.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from hashlib import blake2b
from typing import Final

import attrs
import trio

from rcfs.errors import NoRoomError, StoreError
from rcfs.model import CHUNK_BYTES, format_size
from rcfs.store import Spill, SpilledChunk

SHORT_BYTES: Final = 8 * CHUNK_BYTES
"""Longest text that stays in memory: a conversation of some 80,000 messages."""
_DIGEST_BYTES: Final = 16


@attrs.frozen(eq=False)
class Rendering:
    """All bytes of a text; they never change."""

    rest: bytes
    """The bytes after the chunks."""
    chunks: tuple[SpilledChunk, ...] = ()
    """Whole chunks from the beginning of the text; empty for a short text."""
    digests: tuple[bytes, ...] = ()
    """The digests of the chunks."""

    @property
    def size_bytes(self) -> int:
        """Number of bytes."""
        return len(self.chunks) * CHUNK_BYTES + len(self.rest)

    @property
    def version(self) -> bytes:
        """A digest; equal for equal bytes."""
        hasher = blake2b(digest_size=_DIGEST_BYTES)
        for part in (*self.digests, self.rest):
            hasher.update(part)
        return hasher.digest()

    def read(self, off: int, size: int) -> bytes:
        """Up to `size` bytes from `off` on; fewer only at the end.

        Raises:
            StoreError: The disk failed.
        """
        chunked_bytes = len(self.chunks) * CHUNK_BYTES
        if off >= chunked_bytes:
            return self.rest[off - chunked_bytes : off - chunked_bytes + size]
        stop = min(off + size, self.size_bytes)
        found = bytearray()
        while off < min(stop, chunked_bytes):
            index, start = divmod(off, CHUNK_BYTES)
            part = self._pread(index, start, min(stop - off, CHUNK_BYTES - start))
            found += part
            off += len(part)
        return bytes(found + self.rest[: max(0, stop - chunked_bytes)])

    def begins(self, other: "Rendering") -> bool:
        """Whether `other` begins with these bytes, or is equal to them; reads at most `SHORT_BYTES`.

        Raises:
            StoreError: The disk failed.
        """
        count = len(self.digests)
        if self.size_bytes > other.size_bytes or self.digests != other.digests[:count]:
            return False
        chunked_bytes = count * CHUNK_BYTES
        for start in range(0, len(self.rest), CHUNK_BYTES):
            part = self.rest[start : start + CHUNK_BYTES]
            if other.read(chunked_bytes + start, len(part)) != part:
                return False
        return True

    def equals(self, other: "Rendering") -> bool:
        """Whether `other` has the same bytes; raises as `begins`."""
        return self.size_bytes == other.size_bytes and self.begins(other)

    def _pread(self, index: int, start: int, size: int) -> bytes:
        try:
            return self.chunks[index].pread(start, size)
        except OSError as exc:
            raise StoreError(f"the disk of the cache failed: {exc.strerror or exc}") from exc


class Renderer:
    """Renders texts in worker threads."""

    def __init__(self, spill: Callable[[], Spill]) -> None:
        """Takes files for long texts from `spill`, which raises OSError if there can be none."""
        self._spill = spill

    def render(self, pieces: Iterable[bytes], before: Rendering | None = None) -> Rendering:
        """The text that `pieces` make. A cancelled caller ends it between two pieces.

        Args:
            pieces: The bytes.
            before: An earlier rendering, from which equal chunks are taken.

        Raises:
            NoRoomError: The text is long, and the disk of the cache has no room for it.
        """
        spilling = _Spilling(self._spill, before)
        pending = bytearray()
        for piece in pieces:
            with suppress(RuntimeError):  # Not in a thread of trio.
                trio.from_thread.check_cancelled()
            pending += piece
            if spilling.chunks or len(pending) > SHORT_BYTES:
                stop = len(pending) - len(pending) % CHUNK_BYTES
                for start in range(0, stop, CHUNK_BYTES):
                    spilling.put(bytes(pending[start : start + CHUNK_BYTES]))
                del pending[:stop]
        return Rendering(bytes(pending), tuple(spilling.chunks), tuple(spilling.digests))


class _Spilling:
    """The chunks of a rendering that is being made."""

    def __init__(self, spill: Callable[[], Spill], before: Rendering | None) -> None:
        self._make = spill
        self._spill: Spill | None = None
        self._before = before
        self.chunks: list[SpilledChunk] = []
        self.digests: list[bytes] = []

    def put(self, data: bytes) -> None:
        digest = blake2b(data, digest_size=_DIGEST_BYTES).digest()
        index = len(self.chunks)
        known = self._before
        if known is not None and known.digests[index : index + 1] == (digest,):
            chunk = known.chunks[index]
        else:
            chunk = self._written(index, data)
        self.chunks.append(chunk)
        self.digests.append(digest)

    def _written(self, index: int, data: bytes) -> SpilledChunk:
        try:
            if self._spill is None:
                self._spill = self._make()
            return self._spill.put(index, data)
        except OSError as exc:
            raise NoRoomError(
                f"the disk of the cache has no room for a long text ({exc.strerror or exc} after"
                f" {format_size(index * CHUNK_BYTES)})"
            ) from exc
