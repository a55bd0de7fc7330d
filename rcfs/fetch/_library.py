"""Contents for readers: from memory, from the cache, or with exactly one fetch, whoever asks meanwhile.

Concurrency: a content stands in `_live` from the moment that somebody asks for it; everybody who asks
later joins it, so there is one look into the cache and one fetch. Only the fetch task appends to it. A
reader who gives up leaves the fetch alone once its request was sent; before that, the last reader to go
takes it out of the queue.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

import attrs
import trio

from rcfs.errors import ForbiddenError, NotFoundError, RcfsError, ServerError
from rcfs.fetch._content import Content
from rcfs.fetch._download import Download, Wanted
from rcfs.fetch._gate import AbandonedError, Demand
from rcfs.fetch._recorder import Recorder
from rcfs.fetch._requester import Requester
from rcfs.model import CHUNK_BYTES, ContentKey, Priority
from rcfs.platform import AllowedHosts
from rcfs.store import (
    Chunk,
    ContentCache,
    ContentInfo,
    Fetch,
    FetchHistory,
    Refusal,
    SizeIndex,
    StoredContent,
)

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_KEPT_OPEN = 64
"""Single-chunk contents kept open after their last reader: opening anew costs a thread hop and a checksum,
about 1.5 ms per MiB; 64 of them hold at most 64 MiB of disk that the cache may have given up."""
_REFUSAL_S = 300.0
"""How long a definite refusal (403, 404) of a content is remembered: five minutes, so that a program that
walks the tree again and again does not spend a request on it each time."""
_STORE_THREADS = 8
"""Threads that work for the cache at the same time; SQLite admits one writer, readers are quick."""


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
    ) -> None:
        """Makes a library whose fetches run in `nursery`, and are noted in `history` if there is one."""
        self._requester = requester
        self._hosts = hosts
        self._cache = cache
        self._sizes = sizes
        self._recorder = recorder
        self._nursery = nursery
        self._history = history
        self._threads = trio.CapacityLimiter(_STORE_THREADS)
        self._live: dict[ContentKey, Content] = {}
        self._idle: OrderedDict[ContentKey, Content] = OrderedDict()
        self._refusals: dict[ContentKey, _Refusal] = {}

    async def open(self, wanted: Wanted, priority: Callable[[], Priority]) -> Content:
        """The content `wanted`: complete, or arriving; the caller ends its use with `release`.

        `priority` is asked only when a request is needed, and may raise to refuse it.

        Raises:
            RcfsError: What `priority` raised, or a refusal of the server that is still remembered.
        """
        content = self._live.get(wanted.key)
        if content is None:
            refusal = self._refusals.get(wanted.key)
            if refusal is not None:
                if trio.current_time() < refusal.until_s:
                    raise refusal.error.with_traceback(None)
                del self._refusals[wanted.key]
            content = self._idle.pop(wanted.key, None)
            if content is None:
                content = Content(wanted.key)
                self._nursery.start_soon(self._load, wanted, content)
            self._live[wanted.key] = content
        content.users += 1
        opened = False
        try:
            await content.loaded.wait()
            if not content.complete and content.failure is None:
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
        if content.demand is not None and content.demand.abandon():
            # Its fetch is about to end with nothing; who asks from now on begins anew.
            self._live.pop(content.key, None)
        self._retire(content)

    def _retire(self, content: Content) -> None:
        """Closes a content that nobody uses and nothing fills, or keeps it at hand for a while."""
        if content.users or content.demand is not None or not content.loaded.is_set():
            return
        if self._live.get(content.key) is content:
            del self._live[content.key]
            if content.complete and content.chunks <= 1:
                self._idle[content.key] = content
                if len(self._idle) > _KEPT_OPEN:
                    _key, oldest = self._idle.popitem(last=False)
                    oldest.clear()
                return
        content.clear()

    def forget_idle(self) -> None:
        """Closes what is kept at hand; for the end of the mount."""
        while self._idle:
            self._idle.popitem()[1].clear()

    async def state(self, key: ContentKey) -> str:
        """``yes``, ``partial`` or ``no``: how much of the content is in the cache, or arriving."""
        if key in self._idle:
            return "yes"
        live = self._live.get(key)
        if live is not None and live.arrived and not live.complete:
            return "partial"  # A reader may have seen its bytes before the disk did.
        return await self._in_thread(self._cache.contains, key)

    async def _load(self, wanted: Wanted, content: Content) -> None:
        try:
            stored = await self._in_thread(self._cache.load, content.key)
            if stored is not None:
                self._adopt(content, stored)
                if content.complete and not wanted.size_known:
                    await self._in_thread(self._sizes.record, content.key, content.arrived)
        finally:
            content.loaded.set()
            self._retire(content)

    @staticmethod
    def _adopt(content: Content, stored: StoredContent) -> None:
        """Takes over the stored chunks from the start to the first gap, and closes the others."""
        chunks: list[Chunk] = []
        for index, chunk in sorted(stored.chunks.items()):
            # Only the end of a complete content may be short: an unfinished one cannot tell its end.
            if index == len(chunks) and (stored.complete or chunk.length_bytes == CHUNK_BYTES):
                chunks.append(chunk)
            else:
                chunk.close()
        content.adopt(chunks)
        if stored.complete:
            content.finish()

    def _want(self, wanted: Wanted, content: Content, priority: Priority) -> None:
        """Sees to it that a fetch of at least `priority` is under way."""
        if content.demand is not None:
            content.demand.raise_to(priority)
            return
        if wanted.uri and not self._hosts.may_see_token(wanted.uri):
            self._recorder.fault(
                "content", "the record's URI is on a foreign host, asking the server instead"
            )
            wanted = attrs.evolve(wanted, uri="")
        content.wanted_by = wanted.by()
        content.demand = Demand(priority, label=str(content.key), by=content.wanted_by)
        self._nursery.start_soon(self._fetch, wanted, content, content.demand)

    async def _fetch(self, wanted: Wanted, content: Content, demand: Demand) -> None:
        failure: RcfsError = ServerError("the fetch ended unexpectedly; see the log")
        try:
            await Download(wanted, content, self._requester, self).run(demand)
        except RcfsError as exc:
            failure = exc
            if isinstance(exc, (ForbiddenError, NotFoundError)):
                self._refusals[content.key] = _Refusal(exc, trio.current_time() + _REFUSAL_S)
            if not isinstance(exc, AbandonedError):
                self._recorder.fault("content", str(exc), key=str(content.key))
        except Exception as exc:  # noqa: BLE001 - one reader's trouble must not end the mount
            self._recorder.crash("content", exc)
        finally:
            content.demand = None
            if not content.complete:
                content.fail(failure)
                if self._live.get(content.key) is content:
                    del self._live[content.key]
            self._retire(content)

    async def keep(self, wanted: Wanted, content: Content) -> None:
        """Marks `content` complete in the cache, and remembers its size for ever."""
        info = ContentInfo(size_bytes=content.arrived, content_type=wanted.content_type)
        await self._in_thread(self._cache.put_info, content.key, info)
        await self._in_thread(self._sizes.record, content.key, content.arrived)
        if self._history is not None and content.demand is not None:
            fetch = Fetch(
                key=content.key,
                at_s=time.time(),
                program=content.wanted_by,
                priority=content.demand.priority.name.lower(),
                requests=content.requests,
                size_bytes=content.arrived,
            )
            await self._in_thread(self._history.add, fetch)

    async def note_refusal(self, key: ContentKey, by: str) -> None:
        """Notes that the crawler `by` was refused a content."""
        if self._history is not None:
            await self._in_thread(self._history.refuse, Refusal(key, time.time(), by))

    async def store_chunk(self, content: Content) -> None:
        """Ends the unfinished chunk of `content`, on the disk if it can be kept there."""
        data, index = content.tail, content.chunks
        content.close_chunk(await self._in_thread(self._cache.put_chunk, content.key, index, data))

    async def forget(self, content: Content) -> None:
        """Drops all bytes of `content`, also those on the disk: they are of something else."""
        content.clear()
        await self._in_thread(self._cache.drop, content.key)

    async def _in_thread(self, work: Callable[[*Ts], T], *arguments: *Ts) -> T:
        return await trio.to_thread.run_sync(work, *arguments, limiter=self._threads)
