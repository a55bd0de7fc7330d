"""Everything that brings one content: its main download, shortcuts for reads elsewhere, and the rest.

The main download asks for everything that is missing, from the first gap on: for a content without any
bytes that is one request without a range. A read far ahead of it may be worth a shortcut
(`rcfs.content._price`). Downloads that meet do not bring the same bytes twice. When all have ended and
bytes are still missing, the next main download brings them.
"""

import math
from collections.abc import Callable

import trio

from rcfs.content._content import Content
from rcfs.content._download import Download, Job, complete_if_whole
from rcfs.content._price import InFlight, Meter, RequestCost, Wait, decide, follows, range_for
from rcfs.content._source import Source
from rcfs.content._storage import Sink, Storage
from rcfs.errors import RcfsError, WaitError
from rcfs.model import Priority, Wanted
from rcfs.store import FetchRecord
from rcfs.transport import AbandonedError, Recorder, RequestOptions

_POLL_S = 0.2
"""How often rcfs looks whether another process has fetched the same content, in seconds: nobody notices this
after a wait of seconds, and it costs one system call."""
_LATER_S = 1.0
"""When a read is considered again for which nothing can be decided yet, in seconds."""


class ElsewhereError(WaitError):
    """Another process fetches this content, or has since the look into the cache; nothing was sent."""


class Fetch:
    """Brings one content; all methods run in the trio thread."""

    def __init__(
        self,
        wanted: Wanted,
        content: Content,
        priority: Priority,
        program: str,
        mark: bytes,
        *,
        source: Source,
        storage: Storage,
        meter: Meter,
        recorder: Recorder,
        now_s: Callable[[], float],
    ) -> None:
        """Prepares a fetch; nothing is sent before `run`.

        Args:
            wanted: The content and its record.
            content: Where its bytes go.
            priority: The class of its requests.
            program: Name of the program for which it is fetched; empty when unknown.
            mark: The content's mark in `Claims`, taken before the look into the cache.
            source: Sends the bytes.
            storage: Keeps them.
            meter: Knows how fast the source is.
            recorder: Logs faults.
            now_s: The time in seconds since 1970 UTC.
        """
        self._content = content
        self._priority = priority
        self._program = program
        self._mark = mark
        self._claims = storage.cache.claims
        self._sink = Sink(storage, wanted, content, self._record)
        self._recorder = recorder
        self._now_s = now_s
        self._job = Job(wanted, content, source, self._sink, meter, self._claim)
        self._requests = 0
        """Requests that were sent, repetitions included."""
        self.is_given_up = False
        """Whether the content is about to fail because no reader waits for it any more."""
        self._start: Callable[[Download], None] | None = None
        """Starts a download; None while none can be started."""
        self._claimed = False
        self._ended = trio.Event()
        self._abandoned = trio.Event()
        self._failure: RcfsError | None = None
        self._shortcut_s = -math.inf
        """When the latest shortcut was taken; infinity when no further one may be."""
        self._waiting_reads = 0

    def resume(self) -> None:
        """Notes that a reader has the content open again."""
        self._job.is_awaited = True

    def raise_to(self, priority: Priority) -> None:
        """Makes all its requests, also later ones, at least as urgent as `priority`."""
        self._priority = min(self._priority, priority)
        for download in self._job.downloads:
            download.options.raise_to(priority)

    def abandon(self) -> None:
        """Withdraws the requests that were not sent, because no reader has the content open any more.

        If nothing was sent, the fetch ends.
        """
        self._job.is_awaited = False
        # A list and not any(): each of them must be abandoned.
        under_way = [each for each in self._job.downloads if not each.options.abandon()]
        if not under_way and not self._content.complete:
            self.is_given_up = True
            self._abandoned.set()

    async def run(self) -> None:
        """Returns when the content is complete.

        Raises:
            PlatformError: The server or the connection failed for good.
            AbandonedError: No reader waits for it any more, and no request is in flight.
        """
        try:
            while not self._content.complete:
                try:
                    await self._bring()
                except ElsewhereError:
                    await self._claim_in_turn()
                    # Before the look: if another process stores the content after it, the mark changes.
                    self._mark = self._claims.mark(self._content.key)
                    await self._sink.look_again()
        finally:
            self._sink.close()
            self._job.source.ended(self._job.wanted, is_complete=self._content.complete)
            if self._claimed:
                self._claims.give_back(self._content.key)

    async def reach(self, start: int, size: int) -> None:
        """Returns as soon as `size` bytes from `start` on are present, checked or not.

        When waiting for them costs more than a request, one is sent.

        Raises:
            RcfsError: The reason why no more bytes will come.
        """
        content = self._content
        self._waiting_reads += 1
        try:
            while not content.holds(start, size):
                with trio.move_on_after(self._consider(start, size)):
                    await content.wait_for(start, size)
        finally:
            self._waiting_reads -= 1
            if not self._waiting_reads:
                for download in self._job.downloads:
                    if download.is_shortcut:
                        download.options.abandon()

    def _consider(self, start: int, size: int) -> float:
        """Sends a request for a read if that is worth it; seconds after which to consider the read again."""
        content, size_bytes = self._content, self._content.size_bytes
        if self._shortcut_s == math.inf:
            return math.inf
        if size_bytes is None or start >= size_bytes or self._start is None:
            return _LATER_S
        if self._brings_next(content.held.run_end(start), size_bytes):
            # Nearly every read of a large file ends here; the cost of a request is asked of a database.
            return _LATER_S
        cost = self._cost()
        in_flight = self._in_flight(size_bytes, cost)
        decision = decide(size_bytes, content.held, in_flight, (start, start + size), cost)
        if isinstance(decision, Wait):
            return decision.for_s
        self._shortcut_s = trio.current_time()
        self._start(self._download(*decision, is_shortcut=True))
        return cost.worth_s

    def _brings_next(self, first: int, size_bytes: int) -> bool:
        """Whether a body is about to bring the byte `first`."""
        bodies = [each.body for each in self._job.downloads if each.body is not None]
        return any(
            follows(first, body.position, size_bytes if body.stop is None else body.stop) for body in bodies
        )

    def _cost(self) -> RequestCost:
        price_s, slot_s = self._job.source.price(self._job.wanted)
        return RequestCost(
            price_s=price_s,
            slot_s=slot_s,
            first_byte_s=self._job.meter.first_byte_s,
            rate=self._job.meter.rate,
            since_last_s=trio.current_time() - self._shortcut_s,
        )

    def _in_flight(self, size_bytes: int, cost: RequestCost) -> list[InFlight]:
        now, found = trio.current_time(), []
        for download in self._job.downloads:
            body = download.body
            stop = size_bytes if download.stop is None else download.stop
            if body is None:
                start = self._content.held.run_end(download.start)
                found.append(InFlight(start, stop, cost.rate, cost.slot_s + cost.first_byte_s))
            else:
                rate = self._job.meter.rate_of(body.position - body.start, now - body.since_s)
                found.append(InFlight(body.position, max(stop, body.stop or 0), rate))
        return found

    def _download(self, start: int, stop: int | None, *, is_shortcut: bool = False) -> Download:
        options = RequestOptions(self._priority, label=str(self._content.key), program=self._program)
        if is_shortcut:
            options.attempts = 1  # Its bytes come anyway, so it is tried once.
        stop = None if stop == self._content.size_bytes else stop
        return Download(self._job, options, start, stop, is_shortcut)

    def _next_download(self) -> Download:
        """A main download, for the first gap."""
        size_bytes, held = self._content.size_bytes, self._content.held
        first = held.run_end(0)
        if size_bytes is None or not held.spans:
            return self._download(first, None)
        return self._download(*range_for(size_bytes, held, (), first, self._cost()))

    async def _bring(self) -> None:
        """Runs downloads until the content is complete.

        Raises:
            PlatformError, AbandonedError: As `run`.
            ElsewhereError: Another process has the claim, or had it.
        """
        self._failure = None
        async with trio.open_nursery() as nursery:

            def start(download: Download) -> None:
                self._job.downloads.append(download)
                nursery.start_soon(self._carry_out, download, nursery)

            self._start = start
            try:
                while not self._content.complete and self._failure is None:
                    if not self._job.downloads:
                        # A connection may break behind the last byte.
                        await complete_if_whole(self._job)
                        if self._content.complete:
                            break
                        if not self._job.is_awaited:
                            self.is_given_up = True
                            self._failure = AbandonedError("no reader waits for the rest of the content")
                            break
                        start(self._next_download())
                    self._ended = trio.Event()
                    await self._ended.wait()
            finally:
                self._start = None
                nursery.cancel_scope.cancel()
        if self._failure is not None:
            raise self._failure

    async def _carry_out(self, download: Download, nursery: trio.Nursery) -> None:
        try:
            await download.run(nursery)
        except AbandonedError as exc:
            if self._abandoned.is_set():
                self._failure = exc
        except RcfsError as exc:
            if download.is_shortcut:
                self._recorder.fault("shortcut", str(exc), key=str(self._content.key))
            else:
                self._failure = exc
        finally:
            if download.is_shortcut and download.has_sent and not download.brought_bytes:
                # This server does not serve ranges, or not of this content.
                self._shortcut_s = math.inf
            self._job.downloads.remove(download)
            self._ended.set()

    def _claim(self, *, is_request: bool = True) -> None:
        """Claims the content before bytes are asked for, and counts the requests.

        Raises:
            ElsewhereError: Another process fetches it, or has fetched it since the look into the cache.
        """
        key = self._content.key
        # Once it is claimed, a change of the mark was about another content that shares the mark.
        if not self._claimed:
            self._claimed = self._claims.take(key)
            if not self._claimed or self._claims.mark(key) != self._mark:
                raise ElsewhereError("another process fetches this content")
        self._requests += is_request

    async def _claim_in_turn(self) -> None:
        """Claims the content when no other process fetches it any more."""
        while not (self._claimed or self._claims.take(self._content.key)):
            with trio.move_on_after(_POLL_S):
                await self._abandoned.wait()
            if self._abandoned.is_set():
                raise AbandonedError("no reader waits for the content, which another process fetches")
        self._claimed = True

    def _record(self) -> FetchRecord:
        """The program that caused this fetch, and its requests and bytes."""
        return FetchRecord(
            key=self._content.key,
            at_s=self._now_s(),
            program=self._program,
            priority=self._priority.name.lower(),
            requests=self._requests,
            size_bytes=self._content.arrived,
            remark=self._job.source.remark(self._job.wanted),
        )
