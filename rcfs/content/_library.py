"""Contents for readers: from memory, from the cache, or with exactly one fetch, whoever asks meanwhile.

Concurrency: a content stands in `_live` from the moment that somebody asks for it; everybody who asks
later joins it, so there is one look into the cache and one fetch. Only the streams of the fetch write into
it. A reader who gives up leaves a stream alone once its request was sent; before that, the last reader to
go takes it out of the queue. Between processes it is the claims that make one fetch of two.
"""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection
from copy import copy
from typing import TypeVar, TypeVarTuple

import attrs
import trio

from rcfs.content._content import Content
from rcfs.content._download import Wanted
from rcfs.content._fetch import Fetch
from rcfs.content._price import Meter
from rcfs.errors import (
    ForbiddenError,
    NoRoomError,
    NotFoundError,
    OfflineError,
    PurgedError,
    RcfsError,
    ServerError,
    TooLargeError,
    UnreachableError,
)
from rcfs.model import CHUNK_BYTES, ContentKey, Priority
from rcfs.platform import AllowedHosts
from rcfs.store import (
    Chunk,
    ContentCache,
    ContentInfo,
    FetchHistory,
    FetchRecord,
    Refusal,
    SizeIndex,
    SpilledChunk,
    StoredContent,
    UncheckedChunk,
    share_of_descriptors,
)
from rcfs.transport import AbandonedError, Recorder, Requester

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_KEPT_OPEN = 64
"""Chunks of contents kept open after their last reader: opening anew costs a thread hop and the checks, about
1.5 ms per MiB; 64 of them hold at most 64 MiB of memory where contents of one chunk could not be stored.
Larger contents that are in memory are given up at once. Fewer where the process may open fewer than 512
files."""
_KEPT_OPEN_S = 60.0
"""How long chunks on the disk are kept open after their last reader, in seconds."""
_SWEEP_S = 1.0
"""How often rcfs looks whether the cache, in this process or another, gave up what is kept open, in seconds:
at most 64 calls of fstat, 0.1 ms."""
_AHEAD_BYTES = 4 * CHUNK_BYTES
"""How far ahead of a sequential reader chunks are checked, in bytes, so that each core has one to check while
another one is read: a cached 50 MB took 0.16 s so, 0.3 s with 1 MiB (measured 2026-11 on two busy cores)."""
MAX_CONTENT_BYTES = 4 << 30
"""Largest content that is fetched unless told otherwise, in bytes. Attachments have a few MB, recordings up
to some hundred, archives of an export 1 GB: more is a body without an end, which would fill the disk."""
_MEMORY_BYTES = 64 << 20
"""What all contents together may hold in memory, in bytes, where neither the cache nor its disk takes them:
some hundred voicemails, and little enough for a small machine."""
_REFUSAL_S = 300.0
"""How long a definite refusal (403, 404, too large) of a content is remembered: five minutes, so that a
program that walks the tree again and again does not spend a request on it each time."""
_TEXT_BYTES = 64 << 10
"""Longest text that is told: a voicemail of ten minutes has 10 kB of transcript."""
_LOOK_THREADS = 8
"""Threads that look into the cache at the same time; they are quick."""
_STORE_THREADS = 4
"""Threads that write into the cache at the same time: SQLite admits one, and all may have to wait for another
process. Reads of cached contents have other threads, so that they never wait with them."""


async def _pass_over(_key: ContentKey, _data: bytes) -> None:
    """Hears of a text that nobody wants to know."""


@attrs.frozen
class _Refusal:
    error: RcfsError
    until_s: float


class Library:
    """Gives out contents; all methods run in the trio thread."""

    def __init__(
        self,
        requester: Requester,
        hosts: AllowedHosts,
        cache: ContentCache,
        sizes: SizeIndex,
        recorder: Recorder,
        nursery: trio.Nursery,
        history: FetchHistory | None = None,
        max_content_bytes: int = MAX_CONTENT_BYTES,
    ) -> None:
        """Makes a library whose fetches run in `nursery`, and are noted in `history` if there is one.

        A content of more than `max_content_bytes` is not fetched.
        """
        self._max_content_bytes = max_content_bytes
        self._requester = requester
        self._hosts = hosts
        self._cache = cache
        self._sizes = sizes
        self._recorder = recorder
        self._nursery = nursery
        self._history = history
        self._lookers = trio.CapacityLimiter(_LOOK_THREADS)
        self._storers = trio.CapacityLimiter(_STORE_THREADS)
        self._meter = Meter()
        self._live: dict[ContentKey, Content] = {}
        self._idle: OrderedDict[ContentKey, Content] = OrderedDict()
        self._idle_chunks = 0
        self._kept_open = share_of_descriptors(8, _KEPT_OPEN)
        self._idle_since: dict[ContentKey, float] = {}
        """Since when each of those idle contents is kept that lie on the disk."""
        self._sweeping = False
        self._refusals: dict[ContentKey, _Refusal] = {}
        self._told_no_room = False
        self.on_text: Callable[[ContentKey, bytes], Awaitable[None]] = _pass_over
        """Gets every short text that was fetched, or read from the cache; it must not raise."""

    @property
    def max_content_bytes(self) -> int:
        """See `Keeper.max_content_bytes`."""
        return self._max_content_bytes

    async def open(self, wanted: Wanted, priority: Callable[[], Priority]) -> Content:
        """The content `wanted`: complete, or arriving; the caller ends its use with `release`.

        `priority` is asked only when a request is needed, and may raise to refuse it. All requests for a
        content have the most urgent class that was given for it.

        Raises:
            PurgedError: The platform has purged it, and it is not whole in the cache.
            RcfsError: What `priority` raised, or a refusal of the server that is still remembered.
        """
        content = self._live.get(wanted.key)
        if content is None:
            refusal = self._refusals.get(wanted.key)
            if refusal is not None:
                if trio.current_time() < refusal.until_s:
                    raise copy(refusal.error)
                del self._refusals[wanted.key]
            content = self._take_idle(wanted.key)
            if content is None:
                content = Content(wanted.key)
                self._nursery.start_soon(self._load, wanted, content)
            self._live[wanted.key] = content
        content.users += 1
        content.renew = lambda: self._want(wanted, content, priority())
        opened = False
        try:
            await content.loaded.wait()
            if not content.complete and content.failure is None:
                if wanted.purged and content.fetch is None:
                    raise PurgedError("RingCentral has purged it, and it was never fetched whole")
                self._want(wanted, content, priority())
            opened = True
            return content
        finally:
            if not opened:
                self.release(content)

    def release(self, content: Content) -> None:
        """Ends one use of a content that `open` gave."""
        content.users -= 1
        if content.users:
            return
        if content.fetch is not None and content.fetch.abandon():
            self.dismiss(content)
        self._retire(content)

    async def still_has(self, key: ContentKey) -> bool:
        """Whether the cache has not given up a content that was whole in it; it counts as used."""
        return await self._looked_up(self._cache.touch, key)

    async def reach(self, content: Content, start: int, size: int) -> None:
        """Returns as soon as `size` bytes from `start` on of an open content are there, or all to its end.

        When waiting for them to arrive would cost more time than a request, one is sent for them.

        Raises:
            RcfsError: The reason why no more bytes will come.
        """
        while not content.has(start, size):
            await self.check(content, start, size)
            if content.fetch is not None:
                await content.fetch.reach(start, size)
            else:
                await content.wait_for(start, size)

    async def check(self, content: Content, start: int, size: int) -> None:
        """Returns when nothing is unchecked of `size` bytes from `start` on of an open content.

        What turns out to be damaged is missing then, and being fetched.
        """
        while content.unchecked(start, size):
            self.look_ahead(content, start, size)
            await content.wait_progress()

    def look_ahead(self, content: Content, start: int, size: int) -> None:
        """Begins to check what is unchecked of these bytes, and of those after them if that is likely read.

        That is so when what lies before them has been checked, and so was read before.
        """
        index = start // CHUNK_BYTES
        ahead = _AHEAD_BYTES if index and not content.unchecked(start - CHUNK_BYTES, 1) else 0
        for each in content.unchecked(start, size + ahead):
            unchecked = content.take_unchecked(each)
            if unchecked is not None:
                self._nursery.start_soon(self._check, content, each, unchecked)

    async def _check(self, content: Content, index: int, unchecked: UncheckedChunk) -> None:
        edition = content.edition
        try:
            chunk = await self._in_thread(self._cache.check, content.key, index, unchecked)
        except Exception as exc:  # noqa: BLE001 - what cannot be checked is as good as damaged
            self._recorder.crash("cache", exc)
            chunk = None
        if content.edition != edition:
            if chunk is not None:
                chunk.close()
            return
        content.checked(index, chunk)
        if content.complete or content.failure is not None:
            return
        if self._idle.get(content.key) is content:
            # Its damaged chunk is gone already, which was counted.
            self._take_idle(content.key)
            self._idle_chunks -= 1
            content.clear()
        elif content.fetch is None:
            try:
                content.renew()
            except RcfsError as exc:
                content.fail(exc)
                self.dismiss(content)
            except Exception as exc:  # noqa: BLE001 - one reader's trouble must not end the mount
                self._recorder.crash("content", exc)
                content.fail(ServerError("what was damaged cannot be fetched again; see the log"))
                self.dismiss(content)

    def _retire(self, content: Content) -> None:
        """Closes a content that nobody uses and nothing fills, or keeps it at hand for a while."""
        if content.users or content.fetch is not None or not content.loaded.is_set():
            return
        if self._live.get(content.key) is content:
            del self._live[content.key]
            most = self._kept_open if content.is_on_disk else 1
            kept = content.complete and not (content.is_removed or content.is_purged)
            if kept and content.chunk_count <= most:
                self._idle[content.key] = content
                self._idle_chunks += content.chunk_count
                if content.is_on_disk:
                    self._idle_since[content.key] = trio.current_time()
                    if not self._sweeping:
                        self._sweeping = True
                        self._nursery.start_soon(self._sweep_on)
                while len(self._idle) > self._kept_open or self._idle_chunks > self._kept_open:
                    oldest = self._take_idle(next(iter(self._idle)))
                    if oldest is not None:
                        oldest.clear()
                return
        content.clear()

    def _take_idle(self, key: ContentKey) -> Content | None:
        """A content that was kept at hand, and is so no more; None when it was not."""
        content = self._idle.pop(key, None)
        self._idle_since.pop(key, None)
        if content is not None:
            self._idle_chunks -= content.chunk_count
        return content

    async def _sweep_on(self) -> None:
        """Sweeps until nothing on the disk is kept open."""
        try:
            while self._idle_since:
                await trio.sleep(_SWEEP_S)
                self._sweep()
        finally:
            self._sweeping = False

    def _sweep(self) -> None:
        """Closes what the cache has given up, so that its room comes back, and what was kept for long."""
        now_s = trio.current_time()
        for key, since_s in list(self._idle_since.items()):
            if now_s >= since_s + _KEPT_OPEN_S or self._idle[key].is_removed:
                content = self._take_idle(key)
                if content is not None:
                    content.clear()

    async def forget_messages(self, account_id: str, extension_id: int, message_ids: Collection[int]) -> None:
        """Keeps nothing at hand of messages that are purged, unless it is pinned; who reads it may read on.

        The cache gives up what it has by itself; this is about contents that it could not keep.
        """
        gone = {
            key
            for key in (*self._idle, *self._live)
            if (key.account_id, key.extension_id) == (account_id, extension_id)
            and key.message_id in message_ids
        }
        for key in gone - await self._in_thread(self._cache.pins) if gone else ():
            idle = self._take_idle(key)
            if idle is not None:
                idle.clear()
            elif key in self._live:
                self._live[key].is_purged = True

    def forget_idle(self) -> None:
        """Closes what is kept at hand; for the end of the mount."""
        for content in self._idle.values():
            content.clear()
        self._idle.clear()
        self._idle_since.clear()
        self._idle_chunks = 0

    async def state(self, key: ContentKey) -> str:
        """``yes``, ``partial`` or ``no``: how much of the content is in the cache, or arriving."""
        if key in self._idle:
            return "yes"
        live = self._live.get(key)
        if live is not None and live.arrived and not live.complete:
            return "partial"  # A reader may have seen its bytes before the disk did.
        return await self._looked_up(self._cache.contains, key)

    async def _load(self, wanted: Wanted, content: Content) -> None:
        try:
            await self.look_again(wanted, content)
        except RcfsError as exc:  # Then it is as if nothing were cached.
            self._recorder.fault("cache", str(exc), key=str(content.key))
        except Exception as exc:  # noqa: BLE001 - the same
            self._recorder.crash("cache", exc)
        finally:
            content.loaded.set()
            self._retire(content)

    async def look_again(self, wanted: Wanted, content: Content) -> None:
        """Takes over what the cache has of `content`, in place of what it had."""
        # Before the look: what another process stores later changes the mark.
        content.mark = self._cache.claims.mark(content.key)
        stored = await self._in_thread(self._look, wanted)
        if stored is not None:
            content.clear()
            self._adopt(content, stored)
            if content.complete:
                self._tell_text(wanted, content)

    def _look(self, wanted: Wanted) -> StoredContent | None:
        """What the cache has of a content, whose size is noted if the index may lack it. Runs in a thread."""
        stored = self._cache.load(wanted.key)
        if stored is not None and stored.info is not None and not wanted.size_known:
            self._sizes.record(wanted.key, stored.info.size_bytes)
        return stored

    @staticmethod
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

    def _want(self, wanted: Wanted, content: Content, priority: Priority) -> None:
        """Sees to it that a fetch of at least `priority` is under way."""
        if content.fetch is not None:
            content.fetch.raise_to(priority)
            return
        if wanted.uri and not self._hosts.may_see_token(wanted.uri):
            self._recorder.fault(
                "content", "the record's URI is on a foreign host, asking the server instead"
            )
            wanted = attrs.evolve(wanted, uri="")
        content.wanted_by = wanted.by()
        content.fetch = Fetch(
            wanted,
            content,
            priority,
            requester=self._requester,
            holder=self,
            claims=self._cache.claims,
            meter=self._meter,
            recorder=self._recorder,
        )
        self._nursery.start_soon(self._fetch, content, content.fetch)

    async def _fetch(self, content: Content, fetch: Fetch) -> None:
        failure: RcfsError = ServerError("the fetch ended unexpectedly; see the log")
        try:
            await fetch.run()
        except RcfsError as exc:
            failure = exc
            if isinstance(exc, (ForbiddenError, NotFoundError, TooLargeError)):
                self._remember(content.key, exc)
            # That the server cannot be asked is noted once, not for every file that somebody tries.
            if not isinstance(exc, (AbandonedError, OfflineError, UnreachableError)):
                self._recorder.failure("content", exc, key=str(content.key))
        except Exception as exc:  # noqa: BLE001 - one reader's trouble must not end the mount
            self._recorder.crash("content", exc)
        finally:
            content.fetch = None
            if not content.complete:
                content.fail(failure)
                self.dismiss(content)
            self._retire(content)

    def _remember(self, key: ContentKey, error: RcfsError) -> None:
        """Notes a refusal, in place of those that are old."""
        now = trio.current_time()
        self._refusals = {each: refusal for each, refusal in self._refusals.items() if now < refusal.until_s}
        # A copy has no trace, whose frames would keep all that was at hand: the content, the answer.
        self._refusals[key] = _Refusal(copy(error), now + _REFUSAL_S)

    def dismiss(self, content: Content) -> None:
        """Lets who asks for this attachment from now on begin anew: `content` is about to fail."""
        if self._live.get(content.key) is content:
            del self._live[content.key]

    async def store(self, wanted: Wanted, content: Content, index: int) -> None:
        """Seals the full draft `index` of `content`, and stores it on the disk if it can be kept there.

        The size is noted beside it as soon as it is known, which makes it whole when all chunks are there. In
        the index it is noted for ever: from now on it has an exact size, also when it is never whole.
        """
        await self._store(wanted, content, index, ending=False)

    async def finish(self, wanted: Wanted, content: Content, index: int | None) -> bool:
        """As `store`, if there is an `index`; whether all is stored now. If so, who caused it was noted."""
        return await self._store(wanted, content, index, ending=True)

    async def _store(self, wanted: Wanted, content: Content, index: int | None, *, ending: bool) -> bool:
        """As `finish`; unless it is `ending`, it is not said or noted that all is stored."""
        edition, size_bytes = content.edition, content.size_bytes
        data = None if index is None else content.seal(index)
        whole = ending and (content.is_stored if index is None else content.is_last(index))
        info = None
        if size_bytes is not None and size_bytes != content.noted_bytes:
            info = ContentInfo(size_bytes=size_bytes, content_type=wanted.content_type)
        record = self._record(content) if whole else None
        # All at once, because a thread is not had for less than a fifth of a millisecond.
        chunk = await self._storing(self._keep, content, index, data, info, record)
        self._sweep()  # To make room, others may have been evicted.
        if chunk is None and data is not None and self._memory_bytes() > _MEMORY_BYTES:
            content.excess = NoRoomError(f"neither disk nor memory has room for {content.key}")
        if content.edition != edition:
            # Meanwhile the content turned out to be another.
            if chunk is not None:
                chunk.close()
            await self._storing(self._cache.drop, content.key)
            return False
        if index is not None:
            content.place(index, chunk)
        if info is not None:
            content.noted_bytes = size_bytes
        if whole:
            self._tell_text(wanted, content)
        return whole

    def _keep(
        self,
        content: Content,
        index: int | None,
        data: bytearray | None,
        info: ContentInfo | None,
        record: FetchRecord | None,
    ) -> Chunk | SpilledChunk | None:
        """Stores what there is of it; the stored chunk, if any. Runs in a thread."""
        key, chunk = content.key, None
        if index is not None and data is not None:
            chunk = self._keep_chunk(content, index, data, info)
        elif info is not None:
            self._cache.put_info(key, info)
        if info is not None:
            self._sizes.record(key, info.size_bytes)
        if record is not None and self._history is not None:
            self._history.add(record)
        return chunk

    def _keep_chunk(
        self, content: Content, index: int, data: bytearray, info: ContentInfo | None
    ) -> Chunk | SpilledChunk | None:
        """The chunk after storing it in the cache, else in a spill; None when neither takes it."""
        # One that the cache cannot hold whole would drive out all others, and then itself.
        so_far = index * CHUNK_BYTES if content.size_bytes is None else content.size_bytes
        if self._cache.admits(so_far):
            chunk = self._cache.put_chunk(content.key, index, data, info)
            if chunk is not None:
                return chunk
        try:
            spill = content.spill
            if spill is None:
                spill = content.spill = self._cache.spill()
            return spill.put(index, data)
        except OSError as exc:
            if not self._told_no_room:
                self._told_no_room = True
                self._recorder.fault("cache", f"contents are read through memory: {exc.strerror}")
            return None

    def _memory_bytes(self) -> int:
        """What contents hold in memory that are in use or at hand."""
        return sum(content.memory_bytes for content in (*self._live.values(), *self._idle.values()))

    @staticmethod
    def _record(content: Content) -> FetchRecord | None:
        """Who caused the fetch of `content`; None when nothing was fetched."""
        if content.fetch is None:
            return None
        return FetchRecord(
            key=content.key,
            at_s=time.time(),
            program=content.wanted_by,
            priority=content.fetch.priority.name.lower(),
            requests=content.requests,
            size_bytes=content.arrived,
        )

    def _tell_text(self, wanted: Wanted, content: Content) -> None:
        if wanted.content_type == "text/plain" and content.arrived <= _TEXT_BYTES:
            self._nursery.start_soon(self.on_text, content.key, content.read(0, content.arrived))

    async def note_refusal(self, key: ContentKey, by: str) -> None:
        """Notes that the crawler `by` was refused a content."""
        if self._history is not None:
            await self._storing(self._history.refuse, Refusal(key, time.time(), by))

    async def forget(self, content: Content) -> None:
        """Drops all bytes of `content`, also those on the disk: they are of something else."""
        content.clear()
        await self._storing(self._cache.drop, content.key)

    async def _in_thread(self, work: Callable[[*Ts], T], *arguments: *Ts) -> T:
        return await trio.to_thread.run_sync(work, *arguments, limiter=self._lookers)

    async def _looked_up(self, work: Callable[[*Ts], T], *arguments: *Ts) -> T:
        """As `_in_thread`, for what may be given up: it goes on alone, and nobody hears what it finds."""
        return await trio.to_thread.run_sync(work, *arguments, limiter=self._lookers, abandon_on_cancel=True)

    async def _storing(self, work: Callable[[*Ts], T], *arguments: *Ts) -> T:
        return await trio.to_thread.run_sync(work, *arguments, limiter=self._storers)
