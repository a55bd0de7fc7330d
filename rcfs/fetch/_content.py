"""The bytes of one attachment as they arrive, and the readers that wait for them.

Concurrency: all methods run in the trio thread. Bytes are only ever appended, so between two checkpoints
a reader that was told that a position is there can take it. One task appends, any number read.
"""

from collections.abc import Sequence
from typing import Protocol

import trio

from rcfs.errors import RcfsError, StoreError
from rcfs.fetch._gate import Demand
from rcfs.model import CHUNK_BYTES, ContentKey


class Chunk(Protocol):
    """Bytes of one chunk, wherever they are kept."""

    @property
    def length_bytes(self) -> int:
        """Number of bytes, 1 to CHUNK_BYTES."""

    def pread(self, offset: int, size: int) -> bytes:
        """Bytes ``[offset, offset + size)`` of the chunk, without blocking; fewer past its end.

        Raises:
            OSError: The disk failed, or the bytes are gone.
        """

    def close(self) -> None:
        """Gives the bytes back; `pread` must not be called afterwards."""


class Content:
    """One attachment's bytes from the first on: whole, arriving, or failed."""

    def __init__(self, key: ContentKey) -> None:
        self.key = key
        """Which attachment."""
        self.size_bytes: int | None = None
        """Exact size; None until the server or the cache has told it."""
        self.arrived = 0
        """Number of bytes that are there, counted from the start without a gap."""
        self.complete = False
        """Whether every byte is there; then the size is known."""
        self.failure: RcfsError | None = None
        """Why no more bytes will come; None while they may."""
        self.loaded = trio.Event()
        """Set when it is known what the cache holds."""
        self.demand: Demand | None = None
        """The request that brings the bytes; None when none is under way."""
        self.users = 0
        """Open handles and waiting opens."""
        self.wanted_by = ""
        """Name of the program for which it is fetched; empty when unknown."""
        self.requests = 0
        """Requests that were planned for it, repetitions included."""
        self._chunks: list[Chunk] = []
        self._tail = bytearray()
        self._progress = trio.Event()

    @property
    def tail(self) -> bytes:
        """A copy of the unfinished chunk: fewer than CHUNK_BYTES bytes, or a full chunk to be closed."""
        return bytes(self._tail)

    @property
    def chunks(self) -> int:
        """Number of finished chunks; also the index of the unfinished one."""
        return len(self._chunks)

    def adopt(self, chunks: Sequence[Chunk]) -> None:
        """Takes over what the cache held from the start on; only the last of a content may be short."""
        self._chunks = list(chunks)
        self.arrived = sum(chunk.length_bytes for chunk in chunks)
        self._notify()

    def learn_size(self, size_bytes: int) -> None:
        """The server told the exact size."""
        self.size_bytes = size_bytes
        self._notify()

    def append(self, data: memoryview) -> None:
        """Bytes that follow the ones that are there; they must not reach past the unfinished chunk."""
        self._tail += data
        self.arrived += len(data)
        self._notify()

    def close_chunk(self, chunk: Chunk | None) -> None:
        """Ends the unfinished chunk: `chunk` holds its bytes, or None when they stay in memory."""
        self._chunks.append(chunk if chunk is not None else _MemoryChunk(bytes(self._tail)))
        self._tail = bytearray()

    def finish(self) -> None:
        """Every byte is there."""
        self.size_bytes = self.arrived
        self.complete = True
        self._notify()

    def fail(self, error: RcfsError) -> None:
        """No more bytes will come; what is there stays readable."""
        self.failure = error
        self._notify()

    def clear(self) -> None:
        """Gives back what the cache lent, and forgets all bytes and the size."""
        for chunk in self._chunks:
            chunk.close()
        self._chunks = []
        self._tail = bytearray()
        self.arrived = 0
        self.size_bytes = None

    def has(self, start: int, size: int) -> bool:
        """Whether `size` bytes from `start` on are there, or all up to the end."""
        return self.complete or start + size <= self.arrived

    def read(self, start: int, size: int) -> bytes:
        """Up to `size` bytes from `start` on, of those that are there; empty past them.

        Raises:
            StoreError: The disk no longer holds what was checked when the content was opened.
        """
        stop = min(start + size, self.arrived)
        parts = []
        while start < stop:
            index, within = divmod(start, CHUNK_BYTES)
            wanted = min(stop - start, CHUNK_BYTES - within)
            if index < len(self._chunks):
                try:
                    part = self._chunks[index].pread(within, wanted)
                except OSError as exc:
                    raise StoreError(f"the cache lost bytes of {self.key} while it was open") from exc
            else:
                part = bytes(memoryview(self._tail)[within : within + wanted])
            parts.append(part)
            start += wanted
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def wait_size(self) -> int:
        """The exact size in bytes, as soon as it is known.

        Raises:
            RcfsError: The reason why no more bytes will come.
        """
        while self.size_bytes is None:
            await self._next_progress()
        return self.size_bytes

    async def wait_for(self, start: int, size: int) -> None:
        """Returns as soon as `has(start, size)`.

        Raises:
            RcfsError: The reason why no more bytes will come.
        """
        while not self.has(start, size):
            await self._next_progress()

    async def wait_complete(self) -> None:
        """Returns when every byte is there.

        Raises:
            RcfsError: The reason why no more bytes will come.
        """
        while not self.complete:
            await self._next_progress()

    async def _next_progress(self) -> None:
        if self.failure is not None:
            # Anew for each reader: the trace of the one before would stay with it.
            raise self.failure.with_traceback(None)
        await self._progress.wait()

    def _notify(self) -> None:
        self._progress.set()
        self._progress = trio.Event()


class _MemoryChunk:
    """A chunk that the disk would not take: its bytes live as long as somebody has the content open."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    @property
    def length_bytes(self) -> int:
        return len(self._data)

    def pread(self, offset: int, size: int) -> bytes:
        return self._data[offset : offset + size]

    def close(self) -> None:
        self._data = b""
