"""Contents for readers: from memory, from the cache, or from one fetch that all readers share.

Concurrency: a content is in `_live` from the first `look` on; later callers join it, so there is one look
into the cache and one fetch. Only the downloads of the fetch write into it. When a reader gives up, a request
that was sent continues; a request that was not sent leaves the queue together with the last reader. Between
processes, claims prevent a second fetch.
"""

import time
from collections.abc import Callable, Collection
from copy import copy
from typing import Final

import attrs
import trio

from rcfs.content._content import Content
from rcfs.content._fetch import Fetch
from rcfs.content._price import Meter
from rcfs.content._source import Source
from rcfs.content._storage import Storage
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
from rcfs.store import Refusal, UncheckedChunk
from rcfs.transport import AbandonedError, Recorder

_AHEAD_BYTES: Final = 4 * CHUNK_BYTES
"""How far ahead of a sequential reader chunks are checked, in bytes, so that every core has a chunk to check:
a cached 50 MB takes 0.16 s with this, 0.3 s with 1 MiB (measured 2026-11 on two busy cores)."""
_REMEMBERED_S: Final = 300.0
"""How long a definite error of a content (403, 404, too large) is remembered, in seconds: a program that
walks the tree again and again must not spend a request on it each time."""


@attrs.define(eq=False)
class _Use:
    """A content that has a reader or a fetch, and the library's notes about it."""

    content: Content
    wanted: Wanted
    """The content as the latest `look` described it."""
    users: int = 0
    """Number of open handles and waiting looks."""
    loaded: trio.Event = attrs.field(factory=trio.Event)
    """Set after the look into the cache."""
    mark: bytes = b""
    """The content's mark in `Claims` from before the look into the cache; empty when there was no look, so
    that the fetch begins with one."""
    fetch: Fetch | None = None
    """Brings the missing bytes; None when no fetch runs."""
    priority: Priority | None = None
    """The class that the latest `Library.fetch` gave; None before the first."""
    program: str = ""
    """The program that the latest `Library.fetch` named; empty when unknown."""
    is_purged: bool = False
    """Whether the content is dropped with its last reader, because its message was purged."""


class Library:
    """Opens contents for readers, and fetches what is missing; all methods run in the trio thread."""

    def __init__(
        self,
        source: Source,
        storage: Storage,
        recorder: Recorder,
        nursery: trio.Nursery,
        *,
        now_s: Callable[[], float] = time.time,
        on_missing: Callable[[ContentKey], None] = lambda _key: None,
    ) -> None:
        """Starts with no content open.

        Args:
            source: Sends the contents.
            storage: Keeps them.
            recorder: Logs faults.
            nursery: Where fetches run.
            now_s: The time in seconds since 1970 UTC.
            on_missing: Called when the server answers that it does not have a content (404).
        """
        self._source = source
        self._storage = storage
        self._cache = storage.cache
        self._idle = storage.idle
        self._recorder = recorder
        self._nursery = nursery
        self._now_s = now_s
        self._on_missing = on_missing
        self._meter = Meter()
        self._live: dict[ContentKey, _Use] = {}
        """The uses that a further `look` joins."""
        self._uses: dict[Content, _Use] = {}
        """All uses; also of contents that have failed, which no further `look` joins."""
        self._remembered: dict[ContentKey, tuple[RcfsError, float]] = {}
        """Definite errors, and until when each is remembered."""

    async def look(self, wanted: Wanted) -> Content:
        """The content `wanted`, with the bytes that the cache has; no request is sent.

        When it is pending, the caller may call `fetch` for the rest. The caller ends the use with `release`.

        Raises:
            PurgedError: The platform has purged it, and the cache does not hold all of it.
            RcfsError: A definite error of the last minutes that is still remembered.
        """
        use = self._joinable(wanted.key)
        if use is None:
            self._raise_remembered(wanted.key)
            content = self._idle.take(wanted.key)
            use = _Use(content or Content(wanted.key), wanted)
            self._live[wanted.key] = self._uses[use.content] = use
            if content is None:
                # Before the look: if another process stores the content after it, the mark changes.
                use.mark = self._cache.claims.mark(wanted.key)
            if content is not None or self._cache.lacks(wanted.key):
                use.loaded.set()
            else:
                self._nursery.start_soon(self._load, use)
        use.users += 1
        use.wanted = wanted
        if use.fetch is not None:
            use.fetch.resume()
        looked = False
        try:
            await use.loaded.wait()
            if wanted.purged and use.content.is_pending and use.fetch is None:
                raise PurgedError("RingCentral purged this file before rcfs had fetched all of it")
            looked = True
            return use.content
        finally:
            if not looked:
                self.release(use.content)

    def fetch(self, content: Content, priority: Priority, program: str = "") -> None:
        """Starts to fetch the missing bytes of a content; bytes that turn out damaged are fetched later.

        All requests of one fetch have the most urgent class that was given during it.

        Args:
            content: A content from `look`.
            priority: The class of the requests.
            program: Name of the program that wants it; empty when unknown.
        """
        use = self._uses[content]
        use.priority, use.program = priority, program
        if use.fetch is not None:
            use.fetch.raise_to(priority)
        elif content.is_pending:
            self._start(use, priority)

    def is_fetching(self, content: Content) -> bool:
        """Whether a fetch is running for a content from `look`."""
        return self._uses[content].fetch is not None

    def release(self, content: Content) -> None:
        """Ends one use of a content from `look`."""
        use = self._uses[content]
        use.users -= 1
        if not use.users:
            if use.fetch is not None:
                use.fetch.abandon()
            self._retire(use)

    async def still_has(self, key: ContentKey) -> bool:
        """Whether the cache still holds a content that was complete in it; this counts as a use."""
        still_has = self._cache.use(key)
        if still_has is None:
            still_has = await self._storage.reading_briefly(self._cache.touch, key)
        return still_has

    async def state(self, key: ContentKey) -> str:
        """``yes``, ``partial`` or ``no``: whether the content is in the cache, or arriving."""
        if key in self._idle.keys:
            return "yes"
        use = self._joinable(key)
        if use is not None and use.content.arrived and not use.content.complete:
            return "partial"  # A reader may have seen bytes that are not on the disk yet.
        return await self._storage.reading_briefly(self._cache.contains, key)

    async def reach(self, content: Content, start: int, size: int) -> None:
        """Returns as soon as `size` bytes from `start` on, or all to the end, of an open content can be read.

        When waiting for them would take longer than a request is worth, one is sent for them.

        Raises:
            StoreError: The cache has lost them, and `fetch` was never called for the content.
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
                raise StoreError(f"the cache lost bytes of {content.key} while it was open; open it again")

    async def check(self, content: Content, start: int, size: int) -> None:
        """Returns when `size` bytes from `start` on of an open content have been checked.

        A damaged chunk is missing then; a fetch brings it again if `fetch` was ever called for the content.
        """
        while content.unchecked(start, size):
            self.look_ahead(content, start, size)
            await content.wait_progress()

    def look_ahead(self, content: Content, start: int, size: int) -> None:
        """Starts to check the unchecked chunks of these bytes, and for a sequential reader those behind them.

        A reader counts as sequential if the chunk before these bytes has been checked.
        """
        index = start // CHUNK_BYTES
        ahead = _AHEAD_BYTES if index and not content.unchecked(start - CHUNK_BYTES, 1) else 0
        for each in content.unchecked(start, size + ahead):
            unchecked = content.take_unchecked(each)
            if unchecked is not None:
                self._nursery.start_soon(self._check, content, each, unchecked)

    async def note_refusal(self, key: ContentKey, program: str) -> None:
        """Adds to the history that rcfs refused a content to the crawler `program`."""
        if self._storage.history is not None:
            refusal = Refusal(key, self._now_s(), program)
            await self._storage.writing(self._storage.history.refuse, refusal)

    async def forget_messages(self, account_id: str, extension_id: int, message_ids: Collection[int]) -> None:
        """Closes the contents of purged messages that are kept open, unless they are pinned.

        Readers may continue to read a content until they close it. The cache drops its copies by itself; this
        is for contents that it could not keep.
        """
        gone = {
            key
            for key in (*self._idle.keys, *self._live)
            if isinstance(key, AttachmentKey)
            and (key.account_id, key.extension_id) == (account_id, extension_id)
            and key.message_id in message_ids
        }
        for key in gone - await self._storage.reading(self._cache.pins) if gone else ():
            if not self._idle.drop(key) and key in self._live:
                self._live[key].is_purged = True

    def forget_idle(self) -> None:
        """Closes the contents that are kept open without a reader; for the end of the mount."""
        self._idle.clear()

    def _joinable(self, key: ContentKey) -> _Use | None:
        """The use of a content that a further `look` joins; None to begin a new one."""
        use = self._live.get(key)
        return None if use is None or (use.fetch is not None and use.fetch.is_given_up) else use

    def _raise_remembered(self, key: ContentKey) -> None:
        error, until_s = self._remembered.get(key, (None, 0.0))
        if error is not None and trio.current_time() < until_s:
            raise copy(error)

    async def _load(self, use: _Use) -> None:
        try:
            await self._storage.take_over(use.wanted, use.content)
        except RcfsError as exc:  # The content is fetched as if nothing were cached.
            self._recorder.fault("cache", str(exc), key=str(use.content.key))
        except Exception as exc:  # noqa: BLE001 - the same
            self._recorder.crash("cache", exc)
        finally:
            use.loaded.set()
            self._retire(use)

    async def _check(self, content: Content, index: int, unchecked: UncheckedChunk) -> None:
        version, chunk = content.version, None
        try:
            chunk = await self._storage.reading(self._cache.check, content.key, index, unchecked)
        except Exception as exc:  # noqa: BLE001 - then it counts as damaged, and is fetched again
            self._recorder.crash("cache", exc)
        if content.version != version:
            if chunk is not None:
                chunk.close()
            return
        content.checked(index, chunk)
        use = self._uses.get(content)
        if not content.is_pending:
            return
        if use is None:
            self._idle.drop(content.key)  # The next `look` starts over.
        elif use.fetch is None and use.priority is not None:
            self._start(use, use.priority)

    def _start(self, use: _Use, priority: Priority) -> None:
        """Starts a fetch of the missing bytes."""
        use.fetch = Fetch(
            use.wanted,
            use.content,
            priority,
            use.program,
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
        failure: RcfsError = ServerError("unexpected error while rcfs fetched this content; see the log")
        try:
            await fetch.run()
        except RcfsError as exc:
            failure = exc
            if isinstance(exc, (ForbiddenError, NotFoundError, TooLargeError)):
                self._remember(content.key, exc)
            if isinstance(exc, NotFoundError):
                self._on_missing(content.key)
            # An outage is logged once, not for every file that a reader tries.
            if not isinstance(exc, (AbandonedError, OfflineError, UnreachableError)):
                self._recorder.failure("content", exc, key=str(content.key))
        except Exception as exc:  # noqa: BLE001 - an error of one content must not end the mount
            self._recorder.crash("content", exc)
        finally:
            use.fetch = None
            if not content.complete:
                content.fail(failure)
                self._leave(use)
            self._retire(use)

    def _remember(self, key: ContentKey, error: RcfsError) -> None:
        """Remembers a definite error, and drops those that are too old."""
        now = trio.current_time()
        self._remembered = {
            each: (old, until_s) for each, (old, until_s) in self._remembered.items() if now < until_s
        }
        # A copy has no traceback, whose frames would keep the content and the answer in memory.
        self._remembered[key] = (copy(error), now + _REMEMBERED_S)

    def _leave(self, use: _Use) -> None:
        """Lets the next `look` for this content start over."""
        if self._live.get(use.content.key) is use:
            del self._live[use.content.key]

    def _retire(self, use: _Use) -> None:
        """Closes a content without readers and fetch, or keeps it open for a while."""
        content = use.content
        if use.users or use.fetch is not None or not use.loaded.is_set() or content not in self._uses:
            return
        del self._uses[content]
        may_keep = self._live.get(content.key) is use and not use.is_purged
        self._leave(use)
        if not (may_keep and self._idle.keep(content)):
            content.clear()
