"""Contents on the disk: what the cache has of one, and where the bytes go that a fetch brings.

What waits for the disk runs in worker threads: one set of them for reading, which is quick, and another for
writing, for which SQLite may have to wait.
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
    Claims,
    ContentCache,
    ContentInfo,
    FetchHistory,
    FetchRecord,
    Refusal,
    SizeIndex,
    Spill,
    SpilledChunk,
    StoredContent,
    UncheckedChunk,
)
from rcfs.transport import Recorder

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

MAX_CONTENT_BYTES = 4 << 30
"""Largest content that is fetched unless told otherwise, in bytes. Attachments have a few MB, recordings up
to some hundred, archives of an export 1 GB: more is a body without an end, which would fill the disk."""
_MEMORY_BYTES = 64 << 20
"""What all contents together may hold in memory, in bytes, where neither the cache nor its disk takes them:
some hundred voicemails, and little enough for a small machine."""
_TEXT_BYTES = 64 << 10
"""Longest text that is told: a voicemail of ten minutes has 10 kB of transcript."""
_LOOK_THREADS = 8
"""Threads that look into the cache at the same time; they are quick."""
_STORE_THREADS = 4
"""Threads that write into the cache at the same time: SQLite admits one, and all may have to wait for another
process. Reads of cached contents have other threads, so that they never wait with them."""


class Storage:
    """The cache, the learned sizes and the record of fetches; all methods run in the trio thread."""

    def __init__(
        self,
        cache: ContentCache,
        sizes: SizeIndex,
        history: FetchHistory | None,
        idle: IdleContents,
        recorder: Recorder,
        nursery: trio.Nursery,
        *,
        max_content_bytes: int,
        on_text: Callable[[ContentKey, bytes], Awaitable[None]],
    ) -> None:
        """See `rcfs.content.Library`, which makes it."""
        self.cache = cache
        self.sizes = sizes
        self.history = history
        self.idle = idle
        self.max_content_bytes = max_content_bytes
        """Size of the largest content that is to be fetched, in bytes."""
        self.in_memory: WeakSet[Content] = WeakSet()
        """Contents of which chunks had to stay in memory."""
        self._recorder = recorder
        self._nursery = nursery
        self._on_text = on_text
        self._lookers = trio.CapacityLimiter(_LOOK_THREADS)
        self._storers = trio.CapacityLimiter(_STORE_THREADS)
        self._told_no_room = False

    @property
    def claims(self) -> Claims:
        """Which contents other processes are fetching."""
        return self.cache.claims

    async def take_over(self, wanted: Wanted, content: Content) -> None:
        """Takes over what the cache has of `content`, in place of what it had."""
        stored = await self._looking(self._look, wanted)
        if stored is not None:
            content.clear()
            _adopt(content, stored)
            if content.complete:
                self.tell_text(wanted, content)

    def _look(self, wanted: Wanted) -> StoredContent | None:
        """What the cache has of a content, whose size is noted if the index may lack it. Runs in a thread."""
        stored = self.cache.load(wanted.key)
        if stored is not None and stored.info is not None and not wanted.size_known:
            self.sizes.record(wanted.key, stored.info.size_bytes)
        return stored

    async def check(self, key: ContentKey, index: int, unchecked: UncheckedChunk) -> Chunk | None:
        """The chunk after checking it; None when it is damaged, or cannot be checked, which is as bad."""
        try:
            return await self._looking(self.cache.check, key, index, unchecked)
        except Exception as exc:  # noqa: BLE001 - the content is fetched again
            self._recorder.crash("cache", exc)
            return None

    async def touch(self, key: ContentKey) -> bool:
        """See `ContentCache.touch`."""
        return await self._briefly(self.cache.touch, key)

    async def contains(self, key: ContentKey) -> str:
        """See `ContentCache.contains`."""
        return await self._briefly(self.cache.contains, key)

    async def pins(self) -> frozenset[ContentKey]:
        """See `ContentCache.pins`."""
        return await self._looking(self.cache.pins)

    async def note_refusal(self, refusal: Refusal) -> None:
        """Notes that a crawler was refused a content."""
        if self.history is not None:
            await self.storing(self.history.refuse, refusal)

    def tell_text(self, wanted: Wanted, content: Content) -> None:
        """Tells a short text that is all there to who wants to know."""
        if wanted.content_type == "text/plain" and content.arrived <= _TEXT_BYTES:
            self._nursery.start_soon(self._on_text, content.key, content.read(0, content.arrived))

    def has_memory(self) -> bool:
        """Whether contents may hold more in memory."""
        return sum(content.memory_bytes for content in self.in_memory) <= _MEMORY_BYTES

    def tell_no_room(self, error: OSError) -> None:
        """Says once that no disk takes what is fetched. Any thread may call it."""
        if not self._told_no_room:
            self._told_no_room = True
            self._recorder.fault("cache", f"contents are read through memory: {error.strerror}")

    async def storing(self, work: Callable[[*Ts], T], *arguments: *Ts) -> T:
        """What `work` returns, in one of the threads that write."""
        return await trio.to_thread.run_sync(work, *arguments, limiter=self._storers)

    async def _looking(self, work: Callable[[*Ts], T], *arguments: *Ts) -> T:
        return await trio.to_thread.run_sync(work, *arguments, limiter=self._lookers)

    async def _briefly(self, work: Callable[[*Ts], T], *arguments: *Ts) -> T:
        """As `_looking`, for what may be given up: it goes on alone, and nobody hears what it finds."""
        return await trio.to_thread.run_sync(work, *arguments, limiter=self._lookers, abandon_on_cancel=True)


def _adopt(content: Content, stored: StoredContent) -> None:
    """Takes over the stored chunks; without a known size only full ones, as any may be the last."""
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
    """Where the bytes of one fetch go: each full chunk to the cache, else to a spill, else to memory."""

    def __init__(
        self, storage: Storage, wanted: Wanted, content: Content, record: Callable[[], FetchRecord]
    ) -> None:
        """Stores `content`, which is `wanted`; `record` tells in the end who caused the fetch."""
        self._storage = storage
        self._wanted = wanted
        self._content = content
        self._record = record
        self._noted_bytes = content.size_bytes
        """The size that stands beside the stored chunks; None while none does."""
        self._spill: Spill | None = None
        """Where chunks lie that the cache could not keep; None while there are none."""
        self.excess: RcfsError | None = None
        """Why no more may be taken in, as neither disk nor memory has room; None while one has."""

    @property
    def max_content_bytes(self) -> int:
        """Size of the largest content that is to be fetched, in bytes."""
        return self._storage.max_content_bytes

    async def look_again(self) -> None:
        """Takes over what the cache has of the content by now, in place of what it had."""
        await self._storage.take_over(self._wanted, self._content)
        self._noted_bytes = self._content.size_bytes

    async def store(self, index: int) -> None:
        """Seals the full draft `index`, and stores it on the disk if it can be kept there.

        The size is noted beside it as soon as it is known, which makes it whole when all chunks are there. In
        the index it is noted for ever: from now on it has an exact size, also when it is never whole.
        """
        await self._store(index, ending=False)

    async def finish(self, index: int | None) -> bool:
        """As `store`, if there is an `index`; whether all is stored now. If so, who caused it was noted."""
        return await self._store(index, ending=True)

    async def forget(self) -> None:
        """Drops all bytes of the content, also those on the disk: they are of something else."""
        self._content.clear()
        self._noted_bytes = self._spill = self.excess = None
        await self._storage.storing(self._storage.cache.drop, self._content.key)

    def close(self) -> None:
        """Nothing more will come. What lies in a spill stays until the content is closed."""
        self._spill = None

    async def _store(self, index: int | None, *, ending: bool) -> bool:
        """As `finish`; unless it is `ending`, it is not said or noted that all is stored."""
        content, storage = self._content, self._storage
        version, size_bytes = content.version, content.size_bytes
        data = None if index is None else content.seal(index)
        whole = ending and (content.is_stored if index is None else content.is_last(index))
        info = None
        if size_bytes is not None and size_bytes != self._noted_bytes:
            info = ContentInfo(size_bytes=size_bytes, content_type=self._wanted.content_type)
        record = self._record() if whole else None
        # All at once, because a thread is not had for less than a fifth of a millisecond.
        chunk = await storage.storing(self._keep, index, data, info, record)
        storage.idle.sweep()  # To make room, others may have been evicted.
        if chunk is None and data is not None:
            storage.in_memory.add(content)
            if not storage.has_memory():
                self.excess = NoRoomError(f"neither disk nor memory has room for {content.key}")
        if content.version != version:
            # Meanwhile the content turned out to be another.
            if chunk is not None:
                chunk.close()
            await storage.storing(storage.cache.drop, content.key)
            return False
        if index is not None:
            content.place(index, chunk)
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
        """Stores what there is of it; the stored chunk, if any. Runs in a thread."""
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
        # One that the cache cannot hold whole would drive out all others, and then itself.
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
