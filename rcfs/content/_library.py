"""Contents for readers: from memory, from the cache, or with exactly one fetch, whoever asks meanwhile.

Concurrency: a content stands in `_live` from the moment that somebody looks for it; everybody who looks
later joins it, so there is one look into the cache and one fetch. Only the streams of the fetch write into
it. A reader who gives up leaves a stream alone once its request was sent; before that, the last reader to
go takes it out of the queue. Between processes it is the claims that make one fetch of two.
"""

import time
from collections.abc import Awaitable, Callable, Collection
from copy import copy
from typing import Final

import attrs
import trio

from rcfs.content._content import Content
from rcfs.content._fetch import Fetch
from rcfs.content._idle import IdleContents
from rcfs.content._price import Meter
from rcfs.content._source import Source
from rcfs.content._storage import MAX_CONTENT_BYTES, Storage
from rcfs.errors import (
    ForbiddenError,
    NotFoundError,
    OfflineError,
    PurgedError,
    RcfsError,
    ServerError,
    StoreError,
    TooLargeError,
    UnreachableError,
)
from rcfs.model import CHUNK_BYTES, AttachmentKey, ContentKey, Priority, Wanted
from rcfs.store import ContentCache, FetchHistory, Refusal, SizeIndex, UncheckedChunk
from rcfs.transport import AbandonedError, Recorder

_AHEAD_BYTES: Final = 4 * CHUNK_BYTES
"""How far ahead of a sequential reader chunks are checked, in bytes, so that each core has one to check while
another one is read: a cached 50 MB took 0.16 s so, 0.3 s with 1 MiB (measured 2026-11 on two busy cores)."""
_REFUSAL_S: Final = 300.0
"""How long a definite refusal (403, 404, too large) of a content is remembered: five minutes, so that a
program that walks the tree again and again does not spend a request on it each time."""


async def _pass_over(_key: ContentKey, _data: bytes) -> None:
    """Hears of a text that nobody wants to know."""


@attrs.define(eq=False)
class _Use:
    """A content that somebody uses or a fetch fills, and what only the library knows of it."""

    content: Content
    wanted: Wanted
    """As the newest who looked for it described it."""
    users: int = 0
    """Open handles and waiting looks."""
    loaded: trio.Event = attrs.field(factory=trio.Event)
    """Set when it is known what the cache holds."""
    mark: bytes = b""
    """The claims' mark from before the look into the cache; one that never was leads to another look."""
    fetch: Fetch | None = None
    """What brings the missing bytes; None when nothing does."""
    priority: Priority | None = None
    """The class that the newest who had one gave for what is missing; None while nobody gave one."""
    by: str = ""
    """The program for which that was."""
    is_purged: bool = False
    """Whether nobody is to have it any more but those who read it now."""


class Library:
    """Gives out contents; all methods run in the trio thread."""

    def __init__(
        self,
        source: Source,
        cache: ContentCache,
        sizes: SizeIndex,
        recorder: Recorder,
        nursery: trio.Nursery,
        *,
        history: FetchHistory | None = None,
        max_content_bytes: int = MAX_CONTENT_BYTES,
        on_text: Callable[[ContentKey, bytes], Awaitable[None]] = _pass_over,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        """Makes a library.

        Args:
            source: Has the contents.
            cache: Keeps them.
            sizes: Learns their sizes.
            recorder: Hears of faults.
            nursery: Where fetches run.
            history: Where they are noted; None for nowhere.
            max_content_bytes: Size of the largest content that is fetched.
            on_text: Gets every short text that was fetched, or read from the cache; it must not raise.
            now_s: The time in seconds since 1970 UTC.
        """
        self._source = source
        self._recorder = recorder
        self._nursery = nursery
        self._now_s = now_s
        self._meter = Meter()
        self._idle = IdleContents(nursery)
        self._storage = Storage(
            cache,
            sizes,
            history,
            self._idle,
            recorder,
            nursery,
            max_content_bytes=max_content_bytes,
            on_text=on_text,
        )
        self._live: dict[ContentKey, _Use] = {}
        """What somebody who looks for a content joins."""
        self._uses: dict[Content, _Use] = {}
        """All uses; also of contents that have failed, which nobody joins any more."""
        self._refusals: dict[ContentKey, tuple[RcfsError, float]] = {}
        """Definite refusals of the server, and until when each is remembered."""

    async def look(self, wanted: Wanted) -> Content:
        """The content `wanted`, with what the cache has of it; no request is sent.

        When it is pending, `fetch` brings the rest, unless a fetch is under way. The caller ends the use with
        `release`.

        Raises:
            PurgedError: The platform has purged it, and it is not whole in the cache.
            RcfsError: A refusal of the server that is still remembered.
        """
        use = self._joinable(wanted.key)
        if use is None:
            self._require_not_refused(wanted.key)
            content = self._idle.take(wanted.key)
            use = _Use(content or Content(wanted.key), wanted)
            self._live[wanted.key] = self._uses[use.content] = use
            if content is None:
                self._nursery.start_soon(self._load, use)
            else:
                use.loaded.set()
        use.users += 1
        use.wanted = wanted
        if use.fetch is not None:
            use.fetch.is_awaited = True
        looked = False
        try:
            await use.loaded.wait()
            if wanted.purged and use.content.is_pending and use.fetch is None:
                raise PurgedError("RingCentral has purged it, and it was never fetched whole")
            looked = True
            return use.content
        finally:
            if not looked:
                self.release(use.content)

    def fetch(self, content: Content, priority: Priority, by: str = "") -> None:
        """Sees to it that what is missing of a content is being fetched, now or when it turns out damaged.

        All requests for a content have the most urgent class that was given for it while they are under way.

        Args:
            content: As `look` gave it.
            priority: The class of the requests.
            by: Name of the program that wants it; empty when unknown.
        """
        use = self._uses[content]
        use.priority, use.by = priority, by
        if use.fetch is not None:
            use.fetch.raise_to(priority)
        elif content.is_pending:
            self._start(use, priority)

    def is_fetching(self, content: Content) -> bool:
        """Whether a fetch brings what is missing of a content that `look` gave."""
        return self._uses[content].fetch is not None

    def release(self, content: Content) -> None:
        """Ends one use of a content that `look` gave."""
        use = self._uses[content]
        use.users -= 1
        if not use.users:
            if use.fetch is not None:
                use.fetch.abandon()
            self._retire(use)

    async def still_has(self, key: ContentKey) -> bool:
        """Whether the cache has not given up a content that was whole in it; it counts as used."""
        return await self._storage.touch(key)

    async def state(self, key: ContentKey) -> str:
        """``yes``, ``partial`` or ``no``: how much of the content is in the cache, or arriving."""
        if key in self._idle.keys:
            return "yes"
        use = self._joinable(key)
        if use is not None and use.content.arrived and not use.content.complete:
            return "partial"  # A reader may have seen its bytes before the disk did.
        return await self._storage.contains(key)

    async def reach(self, content: Content, start: int, size: int) -> None:
        """Returns as soon as `size` bytes from `start` on of an open content are there, or all to its end.

        When waiting for them to arrive would cost more time than a request, one is sent for them.

        Raises:
            StoreError: The cache has lost them, and nobody gave a class to `fetch` them with.
            RcfsError: The reason why no more bytes will come.
        """
        use = self._uses[content]
        while not content.has(start, size):
            await self.check(content, start, size)
            if use.fetch is not None:
                await use.fetch.reach(start, size)
            elif not content.is_pending:
                await content.wait_for(start, size)
            elif not content.holds(start, size):
                raise StoreError(f"the cache lost bytes of {content.key} while it was open")

    async def check(self, content: Content, start: int, size: int) -> None:
        """Returns when nothing is unchecked of `size` bytes from `start` on of an open content.

        What turns out to be damaged is missing then; it is being fetched if anybody gave a class for that.
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

    async def note_refusal(self, key: ContentKey, by: str) -> None:
        """Notes that the crawler `by` was refused a content."""
        await self._storage.note_refusal(Refusal(key, self._now_s(), by))

    async def forget_messages(self, account_id: str, extension_id: int, message_ids: Collection[int]) -> None:
        """Keeps nothing at hand of messages that are purged, unless it is pinned; who reads it may read on.

        The cache gives up what it has by itself; this is about contents that it could not keep.
        """
        gone = {
            key
            for key in (*self._idle.keys, *self._live)
            if isinstance(key, AttachmentKey)
            and (key.account_id, key.extension_id) == (account_id, extension_id)
            and key.message_id in message_ids
        }
        for key in gone - await self._storage.pins() if gone else ():
            if not self._idle.drop(key) and key in self._live:
                self._live[key].is_purged = True

    def forget_idle(self) -> None:
        """Closes what is kept at hand; for the end of the mount."""
        self._idle.clear()

    def _joinable(self, key: ContentKey) -> _Use | None:
        """The use that somebody who looks for a content joins; None when there is none."""
        use = self._live.get(key)
        return None if use is None or (use.fetch is not None and use.fetch.is_given_up) else use

    def _require_not_refused(self, key: ContentKey) -> None:
        if key in self._refusals:
            error, until_s = self._refusals[key]
            if trio.current_time() < until_s:
                raise copy(error)
            del self._refusals[key]

    async def _load(self, use: _Use) -> None:
        key = use.content.key
        # Before the look: what another process stores later changes the mark.
        use.mark = self._storage.claims.mark(key)
        try:
            await self._storage.take_over(use.wanted, use.content)
        except RcfsError as exc:  # Then it is as if nothing were cached.
            self._recorder.fault("cache", str(exc), key=str(key))
        except Exception as exc:  # noqa: BLE001 - the same
            self._recorder.crash("cache", exc)
        finally:
            use.loaded.set()
            self._retire(use)

    async def _check(self, content: Content, index: int, unchecked: UncheckedChunk) -> None:
        version = content.version
        chunk = await self._storage.check(content.key, index, unchecked)
        if content.version != version:
            if chunk is not None:
                chunk.close()
            return
        content.checked(index, chunk)
        use = self._uses.get(content)
        if not content.is_pending:
            return
        if use is None:
            self._idle.drop(content.key)  # The next who looks for it begins anew.
        elif use.fetch is None and use.priority is not None:
            self._start(use, use.priority)

    def _start(self, use: _Use, priority: Priority) -> None:
        """Begins to fetch what is missing."""
        use.fetch = Fetch(
            use.wanted,
            use.content,
            priority,
            use.by,
            use.mark,
            source=self._source,
            storage=self._storage,
            meter=self._meter,
            recorder=self._recorder,
            now_s=self._now_s,
        )
        self._nursery.start_soon(self._carry_out, use, use.fetch)

    async def _carry_out(self, use: _Use, fetch: Fetch) -> None:
        content = use.content
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
            use.fetch = None
            if not content.complete:
                content.fail(failure)
                self._leave(use)
            self._retire(use)

    def _remember(self, key: ContentKey, error: RcfsError) -> None:
        """Notes a refusal, in place of those that are old."""
        now = trio.current_time()
        self._refusals = {
            each: (old, until_s) for each, (old, until_s) in self._refusals.items() if now < until_s
        }
        # A copy has no trace, whose frames would keep all that was at hand: the content, the answer.
        self._refusals[key] = (copy(error), now + _REFUSAL_S)

    def _leave(self, use: _Use) -> None:
        """Lets who looks for this content from now on begin anew."""
        if self._live.get(use.content.key) is use:
            del self._live[use.content.key]

    def _retire(self, use: _Use) -> None:
        """Closes a content that nobody uses and nothing fills, or keeps it open for a while."""
        content = use.content
        if use.users or use.fetch is not None or not use.loaded.is_set() or content not in self._uses:
            return
        del self._uses[content]
        may_keep = self._live.get(content.key) is use and not use.is_purged
        self._leave(use)
        if not (may_keep and self._idle.keep(content)):
            content.clear()
