"""Contents on the disk: the bytes that the cache has of one, and where the bytes of a fetch go.

Disk work runs in worker threads: one set for reading, which is quick, and another for writing, where SQLite
may have to wait.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar, TypeVarTuple
from weakref import WeakSet

import trio

from rcfs.content._content import Content
from rcfs.content._idle import IdleContents
from rcfs.errors import NoRoomError, RcfsError
from rcfs.model import CHUNK_BYTES, ContentKey, Wanted
from rcfs.store import (
    Chunk,
    ContentCache,
    ContentInfo,
    FetchHistory,
    FetchRecord,
    SizeIndex,
    Spill,
    SpilledChunk,
    StoredContent,
)
from rcfs.transport import Recorder

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

MAX_CONTENT_BYTES = 4 << 30
"""Default size of the largest content that is fetched, in bytes. Attachments have a few MB, recordings up to
some hundred, archives of an export 1 GB: a larger body probably never ends, and would fill the disk."""
_MEMORY_BYTES = 64 << 20
"""Most bytes that all contents together may hold in memory when neither the cache nor its disk takes them:
some hundred voicemails, and little enough for a small machine."""
MAX_TEXT_BYTES = 64 << 10
"""Longest text that `on_text` gets: a voicemail of ten minutes has 10 kB of transcript."""
_READ_THREADS = 8
"""Threads that may read the cache at the same time; reads are quick."""
_WRITE_THREADS = 4
"""Threads that may write to the cache at the same time: SQLite admits one, and all may have to wait for
another process. Reads of cached contents have other threads, so that they never wait behind writes."""


class Storage:
    """The cache, the learned sizes and the record of fetches; all methods run in the trio thread."""

    def __init__(
        self,
        cache: ContentCache,
        sizes: SizeIndex,
        recorder: Recorder,
        nursery: trio.Nursery,
        *,
        on_text: Callable[[ContentKey, bytes], Awaitable[None]],
        history: FetchHistory | None = None,
        max_content_bytes: int = MAX_CONTENT_BYTES,
    ) -> None:
        """Keeps contents in `cache`, which the caller closes.

        Args:
            cache: Keeps the bytes.
            sizes: Keeps the exact sizes.
            recorder: Logs faults.
            nursery: Where tasks run.
            on_text: Gets every short text that was fetched, or read from the cache; it must not raise.
            history: Keeps a record of every fetch; None for no record.
            max_content_bytes: Size of the largest content that is fetched.
        """
        self.cache = cache
        self.sizes = sizes
        self.history = history
        self.max_content_bytes = max_content_bytes
        self.idle = IdleContents(nursery)
        """Contents without a reader that stay open for a while."""
        self.in_memory: WeakSet[Content] = WeakSet()
        """The contents with chunks that neither the cache nor its disk took."""
        self._recorder = recorder
        self._nursery = nursery
        self._on_text = on_text
        self._readers = trio.CapacityLimiter(_READ_THREADS)
        self._writers = trio.CapacityLimiter(_WRITE_THREADS)
        self._told_no_room = False
        self._evictions = 0
        """The cache's evictions at the latest sweep of `idle`."""

    async def take_over(self, wanted: Wanted, content: Content) -> None:
        """Replaces the bytes of `content` by those in the cache, if there are any."""
        stored = await self.reading(self._load, wanted)
        if stored is not None:
            content.clear()
            _adopt(content, stored)
            if content.complete:
                self.tell_text(wanted, content)

    def _load(self, wanted: Wanted) -> StoredContent | None:
        """The cached chunks of a content; notes its size if the index may lack it. Runs in a thread."""
        stored = self.cache.load(wanted.key)
        if stored is not None and stored.info is not None and not wanted.size_known:
            self.sizes.record(wanted.key, stored.info.size_bytes)
        return stored

    def tell_text(self, wanted: Wanted, content: Content) -> None:
        """Passes a complete content to `on_text` if it is a short text."""
        if wanted.content_type == "text/plain" and content.arrived <= MAX_TEXT_BYTES:
            self.tell(content.key, content.read(0, content.arrived))

    def tell(self, key: ContentKey, text: bytes) -> None:
        """Passes a short text to `on_text`."""
        self._nursery.start_soon(self._on_text, key, text)

    def close_evicted(self) -> None:
        """Closes the idle contents that the cache has evicted since the last call, which frees their room."""
        if (evictions := self.cache.evictions) != self._evictions:
            self._evictions = evictions
            self.idle.sweep()

    def has_memory(self) -> bool:
        """Whether contents may hold more in memory."""
        return sum(content.memory_bytes for content in self.in_memory) <= _MEMORY_BYTES

    def tell_no_room(self, error: OSError) -> None:
        """Logs once that no disk takes the fetched bytes. Any thread may call it."""
        if not self._told_no_room:
            self._told_no_room = True
            self._recorder.fault(
                "cache",
                f"no disk takes what rcfs fetches ({error.strerror}); it stays in memory while it is open",
            )

    async def writing(self, work: Callable[[*Ts], T], *arguments: *Ts) -> T:
        """The result of `work`, which runs in one of the threads that write."""
        return await trio.to_thread.run_sync(work, *arguments, limiter=self._writers)

    async def reading(self, work: Callable[[*Ts], T], *arguments: *Ts) -> T:
        """The result of `work`, which runs in one of the threads that read."""
        return await trio.to_thread.run_sync(work, *arguments, limiter=self._readers)

    async def reading_briefly(self, work: Callable[[*Ts], T], *arguments: *Ts) -> T:
        """As `reading`, but a caller that is cancelled leaves at once; `work` then ends without it."""
        return await trio.to_thread.run_sync(work, *arguments, limiter=self._readers, abandon_on_cancel=True)


def _adopt(content: Content, stored: StoredContent) -> None:
    """Takes over the stored chunks; while the size is unknown only full ones, as any may be the last."""
    size_bytes = None if stored.info is None else stored.info.size_bytes
    chunks, unchecked = dict(stored.chunks), dict(stored.unchecked)
    if size_bytes is None:
        for some in (chunks, unchecked):
            for index in [index for index, chunk in some.items() if chunk.length_bytes < CHUNK_BYTES]:
                some.pop(index).close()
    content.adopt(chunks, size_bytes, unchecked)
    if stored.complete:
        content.finish()


class Sink:
    """Stores the full chunks of one fetch: in the cache, else in a spill, else in memory."""

    def __init__(
        self, storage: Storage, wanted: Wanted, content: Content, record: Callable[[], FetchRecord]
    ) -> None:
        """Stores `content`, which is `wanted`; `record` makes the entry for the history at the end."""
        self._storage = storage
        self._wanted = wanted
        self._content = content
        self._record = record
        self._noted_bytes = content.size_bytes
        """The size that the cache has with the stored chunks; None while it has none."""
        self._spill: Spill | None = None
        """Holds the chunks that the cache could not keep; None before the first such chunk."""
        self.excess: RcfsError | None = None
        """The error to end the fetch with when neither disk nor memory has room; None while one has."""
        self.max_content_bytes = storage.max_content_bytes
        """Size of the largest content that may be fetched."""

    async def look_again(self) -> None:
        """Replaces the bytes of the content by those that the cache has by now, if there are any."""
        await self._storage.take_over(self._wanted, self._content)
        self._noted_bytes = self._content.size_bytes

    async def store(self, index: int) -> None:
        """Seals the full draft `index`, and stores it on the disk if there is room.

        The size of the content is stored with the chunk as soon as it is known: the cache needs it to tell
        that all chunks are there. The index keeps it too, so the file has an exact size from now on.
        """
        await self._store(index, ending=False)

    async def finish(self, index: int | None) -> bool:
        """As `store`, if there is an `index`; whether the whole content is stored and in the history now."""
        return await self._store(index, ending=True)

    async def forget(self) -> None:
        """Drops all bytes of the content, also those on the disk: the server now has another content."""
        self._content.clear()
        self._noted_bytes = self._spill = self.excess = None
        await self._storage.writing(self._storage.cache.drop, self._content.key)

    def close(self) -> None:
        """Ends the storing. Chunks in a spill stay until the content is closed."""
        self._spill = None

    async def _store(self, index: int | None, *, ending: bool) -> bool:
        """As `finish`; unless `ending`, it returns False and adds nothing to the history."""
        content, storage = self._content, self._storage
        version, size_bytes = content.version, content.size_bytes
        data = None if index is None else content.seal(index)
        whole = ending and content.is_stored_except(index)
        info = None
        if size_bytes is not None and size_bytes != self._noted_bytes:
            info = ContentInfo(size_bytes=size_bytes, content_type=self._wanted.content_type)
        record = self._record() if whole else None
        # All in one thread call, because each call costs a fifth of a millisecond.
        chunk = await storage.writing(self._keep, index, data, info, record)
        storage.close_evicted()
        if chunk is None and data is not None:
            storage.in_memory.add(content)
            if not storage.has_memory():
                self.excess = NoRoomError(
                    f"neither disk nor memory has room for {content.key}; free disk space"
                )
        if content.version != version:
            # Meanwhile the server sent another content, and `forget` dropped this one.
            if chunk is not None:
                chunk.close()
            await storage.writing(storage.cache.drop, content.key)
            return False
        if index is not None:
            content.note_stored(index, chunk)
        if info is not None:
            self._noted_bytes = size_bytes
        if whole:
            storage.tell_text(self._wanted, content)
        return whole

    def _keep(
        self,
        index: int | None,
        data: bytearray | None,
        info: ContentInfo | None,
        record: FetchRecord | None,
    ) -> Chunk | SpilledChunk | None:
        """Stores those of the chunk, the size and the history entry that are given. Runs in a thread.

        Returns:
            The stored chunk; None without a chunk, or when neither cache nor spill took it.
        """
        storage, key, chunk = self._storage, self._content.key, None
        if index is not None and data is not None:
            chunk = self._keep_chunk(index, data, info)
        elif info is not None:
            storage.cache.put_info(key, info)
        if info is not None:
            storage.sizes.record(key, info.size_bytes)
        if record is not None and storage.history is not None:
            storage.history.add(record)
        return chunk

    def _keep_chunk(
        self, index: int, data: bytearray, info: ContentInfo | None
    ) -> Chunk | SpilledChunk | None:
        """The chunk after storing it in the cache, else in a spill; None when neither takes it."""
        cache, content = self._storage.cache, self._content
        # A content that is larger than the cache would evict all others, and then itself.
        so_far = index * CHUNK_BYTES if content.size_bytes is None else content.size_bytes
        if cache.admits(so_far):
            chunk = cache.put_chunk(content.key, index, data, info)
            if chunk is not None:
                return chunk
        try:
            spill = self._spill
            if spill is None:
                spill = self._spill = cache.spill()
            return spill.put(index, data)
        except OSError as exc:
            self._storage.tell_no_room(exc)
            return None
