"""The bytes of one content as they arrive, and the readers that wait for them.

The bytes may arrive in any order. An incomplete chunk is a draft, in memory; a full chunk is sealed, stored,
and from then on read from where it was stored. The chunks of a large content that come from the cache are
unchecked at first; each can be read once it has been checked.

Concurrency: all methods run in the trio thread, and the methods that are not async are atomic. Bytes are only
added, until `clear` drops them all, so a reader that learned that bytes are present can read them before
its next checkpoint. Any number of tasks write and read; a writer that passes a checkpoint compares `version`
afterwards.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

import trio

from rcfs.errors import RcfsError, StoreError
from rcfs.model import CHUNK_BYTES, ContentKey, RangeSet
from rcfs.store import Chunk, UncheckedChunk


class ReadableChunk(Protocol):
    """The bytes of one chunk, wherever they are kept."""

    @property
    def length_bytes(self) -> int:
        """Number of bytes, 1 to CHUNK_BYTES."""

    def pread(self, offset: int, size: int) -> bytes:
        """Bytes ``[offset, offset + size)`` of the chunk, without blocking; fewer past its end.

        Raises:
            OSError: The disk failed, or the bytes are gone.
        """

    def close(self) -> None:
        """Releases the bytes; `pread` must not be called afterwards."""


class Content:
    """The bytes of one content: complete, arriving, or failed."""

    def __init__(self, key: ContentKey) -> None:
        self.key = key
        self.size_bytes: int | None = None
        """Exact size; None until the server or the cache has told it."""
        self.held = RangeSet()
        """Which bytes are present, checked or not."""
        self.complete = False
        """Whether every byte is present; then the size is known. False again when a check fails."""
        self.failure: RcfsError | None = None
        """Why no more bytes will come; None while they may."""
        self.version = 0
        """Changes when the bytes are dropped: pieces that are still arriving then belong to an older
        content."""
        self._drafts: dict[int, bytearray] = {}
        self._chunks: dict[int, ReadableChunk] = {}
        """The sealed chunks that may be read."""
        self._unstored: set[int] = set()
        """Indices of the sealed chunks that were not offered to the cache yet."""
        self._unchecked: dict[int, UncheckedChunk | None] = {}
        """None for a chunk that is being checked."""
        self._progress = trio.Event()
        self._awaited: dict[trio.Event, tuple[int, int]] = {}
        """The position and size of each read that waits. Hundreds of pieces come in a second, and only the
        last piece of a read wakes its reader."""

    @property
    def is_pending(self) -> bool:
        """Whether bytes are missing that may still come."""
        return not self.complete and self.failure is None

    @property
    def arrived(self) -> int:
        """Number of bytes that are present."""
        return self.held.total

    @property
    def is_stored(self) -> bool:
        """Whether the size is known, and every chunk is sealed and was offered to the cache."""
        return self.is_stored_except(None)

    def is_stored_except(self, index: int | None) -> bool:
        """As `is_stored`, except that the sealed chunk `index`, if not None, need not be offered yet."""
        return (
            self.size_bytes is not None
            and self.chunk_count == -(-self.size_bytes // CHUNK_BYTES)
            and self._unstored <= {index}
        )

    @property
    def is_on_disk(self) -> bool:
        """Whether all sealed chunks are in the cache, and none in memory or in a spill."""
        return all(isinstance(chunk, Chunk) for chunk in self._chunks.values())

    @property
    def is_removed(self) -> bool:
        """Whether the cache has evicted a chunk that is still open; closing it frees its disk space."""
        return any(isinstance(chunk, Chunk) and chunk.is_removed for chunk in self._chunks.values())

    @property
    def memory_bytes(self) -> int:
        """Number of bytes in sealed chunks that neither the cache nor its disk took."""
        chunks = self._chunks.values()
        return sum(chunk.length_bytes for chunk in chunks if isinstance(chunk, _MemoryChunk))

    @property
    def chunk_count(self) -> int:
        """Number of chunks that are sealed, stored or not."""
        return len(self._chunks) + len(self._unchecked)

    def adopt(
        self,
        chunks: Mapping[int, ReadableChunk],
        size_bytes: int | None,
        unchecked: Mapping[int, UncheckedChunk] = MappingProxyType({}),
    ) -> None:
        """Takes over the chunks of the cache, by index; a short chunk is the last one of a known size."""
        self._chunks, self._unchecked = dict(chunks), dict(unchecked)
        lengths = {index: chunk.length_bytes for index, chunk in chunks.items()}
        lengths |= {index: chunk.length_bytes for index, chunk in unchecked.items()}
        for index, length in lengths.items():
            self.held = self.held.plus(index * CHUNK_BYTES, index * CHUNK_BYTES + length)
        self.size_bytes = size_bytes
        self._notify()

    @property
    def is_checked(self) -> bool:
        """Whether nothing is unchecked."""
        return not self._unchecked

    def unchecked(self, start: int, size: int) -> list[int]:
        """The indices of the unchecked chunks that hold some of `size` (1 or more) bytes from `start` on."""
        touched = range(start // CHUNK_BYTES, (start + size - 1) // CHUNK_BYTES + 1)
        return [index for index in touched if index in self._unchecked]

    def take_unchecked(self, index: int) -> UncheckedChunk | None:
        """The unchecked chunk `index`; the caller checks it and calls `checked`. None during a check."""
        chunk, self._unchecked[index] = self._unchecked[index], None
        return chunk

    def checked(self, index: int, chunk: Chunk | None) -> None:
        """Ends the check of the chunk `index`: its bytes are missing if it is damaged (`chunk` None)."""
        del self._unchecked[index]
        if chunk is not None:
            self._chunks[index] = chunk
        else:
            self.held = self.held.minus(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES)
            self.complete = False
        self._notify()

    def set_size(self, size_bytes: int) -> None:
        """Notes the exact size, which the server has told."""
        self.size_bytes = size_bytes
        self._notify()

    def write(self, position: int, data: memoryview) -> None:
        """Adds bytes from `position` on, which must be missing and must not cross the end of a chunk."""
        index, within = divmod(position, CHUNK_BYTES)
        draft = self._drafts.setdefault(index, bytearray())
        if within > len(draft):
            draft.extend(bytes(within - len(draft)))
        draft[within : within + len(data)] = data
        self.held = self.held.plus(position, position + len(data))
        for event, (start, size) in self._awaited.items():
            if self.holds(start, size):
                event.set()

    def is_full(self, index: int) -> bool:
        """Whether the chunk `index` is a draft without gaps."""
        start, stop = index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES
        if self.size_bytes is not None:
            stop = min(stop, self.size_bytes)
        return index in self._drafts and self.held.has(start, stop)

    def full_drafts(self) -> list[int]:
        """The indices of all drafts without gaps."""
        return [index for index in self._drafts if self.is_full(index)]

    def seal(self, index: int) -> bytearray:
        """The bytes of the full draft `index`, which becomes a sealed chunk; `note_stored` ends its storing.

        The caller must not change them.
        """
        data = self._drafts.pop(index)
        self._chunks[index] = _MemoryChunk(data)
        self._unstored.add(index)
        return data

    def note_stored(self, index: int, chunk: ReadableChunk | None) -> None:
        """Notes that the sealed chunk `index` was stored as `chunk`; None when it stays in memory."""
        if chunk is not None:
            self._chunks[index] = chunk
        self._unstored.discard(index)

    def finish(self) -> None:
        """Marks the content as complete."""
        self.complete = True
        self._notify()

    def fail(self, error: RcfsError) -> None:
        """Notes why no more bytes will come; the bytes that are present stay readable."""
        self.failure = error
        self._notify()

    def clear(self) -> None:
        """Closes all chunks, and drops all bytes and the size."""
        for chunk in self._chunks.values():
            chunk.close()
        for unchecked in self._unchecked.values():
            if unchecked is not None:
                unchecked.close()
        self._chunks = {}
        self._unchecked = {}
        self._drafts = {}
        self._unstored = set()
        self.held = RangeSet()
        self.size_bytes = None
        self.version += 1

    def has(self, start: int, size: int) -> bool:
        """Whether `size` bytes from `start` on, or all up to the end, are present and checked."""
        return self.holds(start, size) and not (self._unchecked and self.unchecked(start, size))

    def holds(self, start: int, size: int) -> bool:
        """As `has`, but unchecked bytes count as well."""
        if self.complete:
            return True
        stop = start + size
        if self.size_bytes is not None and start < self.size_bytes:
            stop = min(stop, self.size_bytes)
        return self.held.has(start, stop)

    def read(self, start: int, size: int) -> bytes:
        """Up to `size` bytes from `start` on; it ends before the first byte that is missing or unchecked.

        Raises:
            StoreError: The disk no longer holds bytes that were checked when the content was opened.
        """
        stop = min(start + size, self.held.run_end(start))
        parts = []
        while start < stop:
            index, within = divmod(start, CHUNK_BYTES)
            wanted = min(stop - start, CHUNK_BYTES - within)
            chunk = self._chunks.get(index)
            if chunk is None and index in self._unchecked:
                break
            if chunk is None:
                part = bytes(memoryview(self._drafts[index])[within : within + wanted])
            else:
                try:
                    part = chunk.pread(within, wanted)
                except OSError as exc:
                    raise StoreError(
                        f"the cache lost bytes of {self.key} while it was open; open it again"
                    ) from exc
            parts.append(part)
            start += wanted
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def wait_progress(self) -> None:
        """Returns when anything about the content has changed except that bytes arrived."""
        await self._progress.wait()

    async def wait_size(self) -> int:
        """The exact size in bytes, as soon as it is known.

        Raises:
            RcfsError: The reason why no more bytes will come.
        """
        while self.size_bytes is None:
            await self._next_progress()
        return self.size_bytes

    async def wait_for(self, start: int, size: int) -> None:
        """Returns as soon as `holds(start, size)`; unlike `Library.reach` it causes no request and no check.

        Raises:
            RcfsError: The reason why no more bytes will come.
        """
        while not self.holds(start, size):
            self._raise_failure()
            event = trio.Event()
            self._awaited[event] = (start, size)
            try:
                await event.wait()
            finally:
                del self._awaited[event]

    async def wait_complete(self) -> None:
        """Returns when every byte is present.

        Raises:
            RcfsError: The reason why no more bytes will come.
        """
        while not self.complete:
            await self._next_progress()

    async def _next_progress(self) -> None:
        self._raise_failure()
        await self._progress.wait()

    def _raise_failure(self) -> None:
        if self.failure is not None:
            # Each reader gets the error without the traceback of the reader before.
            raise self.failure.with_traceback(None)

    def _notify(self) -> None:
        self._progress.set()
        self._progress = trio.Event()
        for event in self._awaited:
            event.set()


class _MemoryChunk:
    """A chunk that is not on the disk: its bytes are lost when the content is closed."""

    def __init__(self, data: bytearray) -> None:
        self._data = data

    @property
    def length_bytes(self) -> int:
        return len(self._data)

    def pread(self, offset: int, size: int) -> bytes:
        return bytes(memoryview(self._data)[offset : offset + size])

    def close(self) -> None:
        self._data = bytearray()
