"""All that brings one content: its main stream, shortcuts for who reads elsewhere, and what is left then.

The main stream asks for everything that is missing, from the first gap on: for a content of which nothing
is there, one request without a range. A read far ahead of it may be worth a shortcut (`rcfs.content._price`).
Streams that meet do not bring the same bytes twice. When none is under way and something is missing still,
the next main stream brings it.
"""

import math
from collections.abc import Callable

import trio

from rcfs.content._content import Content
from rcfs.content._download import Download, Stream, settle
from rcfs.content._price import Meter, Start, Terms, Underway, decide, extent, follows
from rcfs.content._source import Source
from rcfs.content._storage import Sink, Storage
from rcfs.errors import RcfsError, WaitError
from rcfs.model import Priority, Wanted
from rcfs.store import FetchRecord
from rcfs.transport import AbandonedError, Demand, Recorder

_POLL_S = 0.2
"""How often another process that fetches the same content is looked after: a fifth of a second is not felt
after a wait of seconds, and costs one system call."""

_LATER_S = 1.0
"""When a read is considered again for which nothing can be decided yet."""


class ElsewhereError(WaitError):
    """Another process fetches this content, or did since the cache was looked into; nothing was sent."""


class Fetch:
    """Brings one content; all methods run in the trio thread."""

    def __init__(
        self,
        wanted: Wanted,
        content: Content,
        priority: Priority,
        by: str,
        mark: bytes,
        *,
        source: Source,
        storage: Storage,
        meter: Meter,
        recorder: Recorder,
        now_s: Callable[[], float],
    ) -> None:
        """Prepares a fetch; nothing is under way before `run`.

        Args:
            wanted: What is fetched.
            content: Where its bytes go.
            priority: The class of its requests.
            by: Name of the program for which it is fetched; empty when unknown.
            mark: The claims' mark of it, from before the look into the cache.
            source: Has the bytes.
            storage: Keeps them.
            meter: How fast the source is.
            recorder: Hears of faults.
            now_s: The time in seconds since 1970 UTC.
        """
        self._wanted = wanted
        self._content = content
        self._priority = priority
        self._by = by
        self._mark = mark
        self._source = source
        self._claims = storage.claims
        self._sink = Sink(storage, wanted, content, self._record)
        self._meter = meter
        self._recorder = recorder
        self._now_s = now_s
        self._requests = 0
        """Requests that were sent, repetitions included."""
        self.is_awaited = True
        """Whether somebody has the content open; who knows sets it."""
        self.is_given_up = False
        """Whether the content is about to fail, because nobody wants it any more."""
        self._streams: list[Stream] = []
        self._start: Callable[[Stream], None] | None = None
        """Starts a stream; None while none can be."""
        self._claimed = False
        self._ended = trio.Event()
        self._abandoned = trio.Event()
        self._failure: RcfsError | None = None
        self._shortcut_s = -math.inf
        """When the latest shortcut was taken; infinity when no more shall be."""
        self._seekers = 0
        """Reads that wait."""

    def raise_to(self, priority: Priority) -> None:
        """Makes all its requests, also later ones, at least as urgent as `priority`."""
        self._priority = min(self._priority, priority)
        for stream in self._streams:
            stream.demand.raise_to(priority)

    def abandon(self) -> None:
        """Nobody has the content open: withdraws what was not sent, and gives up if nothing is left."""
        self.is_awaited = False
        under_way = [stream for stream in self._streams if not stream.demand.abandon()]
        if not under_way and not self._content.complete:
            self.is_given_up = True
            self._abandoned.set()

    async def run(self) -> None:
        """Returns when the content is complete.

        Raises:
            PlatformError: The server or the connection failed for good.
            AbandonedError: Nobody wants it any more, and no request is under way.
        """
        try:
            while not self._content.complete:
                try:
                    await self._bring()
                except ElsewhereError:
                    await self._claim_in_turn()
                    # Before the look: what another process stores later changes the mark.
                    self._mark = self._claims.mark(self._content.key)
                    await self._sink.look_again()
        finally:
            self._sink.close()
            if self._claimed:
                self._claims.give_back(self._content.key)

    async def reach(self, start: int, size: int) -> None:
        """Returns as soon as the bytes are there, be they unchecked.

        When waiting for them costs more than a request, one is sent.

        Raises:
            RcfsError: The reason why no more bytes will come.
        """
        content = self._content
        self._seekers += 1
        try:
            while not content.holds(start, size):
                with trio.move_on_after(self._consider(start, size)):
                    await content.wait_for(start, size)
        finally:
            self._seekers -= 1
            if not self._seekers:
                for stream in self._streams:
                    if stream.shortcut:
                        stream.demand.abandon()

    def _consider(self, start: int, size: int) -> float:
        """How long to wait before the read is considered again; it may have caused a request."""
        content = self._content
        size_bytes = content.size_bytes
        if self._shortcut_s == math.inf:
            return math.inf
        if size_bytes is None or start >= size_bytes or self._start is None:
            return _LATER_S
        if self._brings_next(content.held.run_end(start), size_bytes):
            # Nearly every read of a large file, and what a request costs is asked of a database.
            return _LATER_S
        terms = self._terms()
        decision = decide(
            size_bytes, content.held, self._underway(size_bytes, terms), (start, start + size), terms
        )
        if not isinstance(decision, Start):
            return decision.for_s
        self._shortcut_s = trio.current_time()
        self._start(self._stream(decision, size_bytes, shortcut=True))
        return terms.worth_s

    def _brings_next(self, first: int, size_bytes: int) -> bool:
        """Whether a body is about to bring the byte `first`."""
        bodies = [stream.body for stream in self._streams if stream.body is not None]
        return any(
            follows(first, body.position, size_bytes if body.stop is None else body.stop) for body in bodies
        )

    def _terms(self) -> Terms:
        price_s, slot_s = self._source.price(self._wanted)
        return Terms(
            price_s=price_s,
            slot_s=slot_s,
            first_byte_s=self._meter.first_byte_s,
            rate=self._meter.rate,
            since_last_s=trio.current_time() - self._shortcut_s,
        )

    def _underway(self, size_bytes: int, terms: Terms) -> list[Underway]:
        now, found = trio.current_time(), []
        for stream in self._streams:
            body = stream.body
            stop = size_bytes if stream.stop is None else stream.stop
            if body is None:
                start = self._content.held.run_end(stream.start)
                found.append(Underway(start, stop, terms.rate, terms.slot_s + terms.first_byte_s))
            else:
                rate = self._meter.rate_of(body.position - body.start, now - body.since_s)
                found.append(Underway(body.position, max(stop, body.stop or 0), rate))
        return found

    def _stream(self, found: Start, size_bytes: int, *, shortcut: bool) -> Stream:
        # A shortcut is tried once: what it would bring comes anyway.
        demand = self._demand()
        if shortcut:
            demand.attempts = 1
        return Stream(demand, found.start, None if found.stop == size_bytes else found.stop, shortcut)

    def _next_stream(self) -> Stream:
        """A main stream, for the first gap."""
        content = self._content
        size_bytes, first = content.size_bytes, content.held.run_end(0)
        if size_bytes is None or not content.held.spans:
            return Stream(self._demand(), first, None, shortcut=False)
        found = extent(size_bytes, content.held, (), first, self._terms())
        return self._stream(found, size_bytes, shortcut=False)

    def _demand(self) -> Demand:
        return Demand(self._priority, label=str(self._content.key), by=self._by)

    async def _bring(self) -> None:
        """Lets streams run until the content is complete.

        Raises:
            PlatformError, AbandonedError: As `run`.
            ElsewhereError: Another process has the claim, or had it.
        """
        self._failure = None
        async with trio.open_nursery() as nursery:

            def start(stream: Stream) -> None:
                self._streams.append(stream)
                nursery.start_soon(self._carry_out, stream, nursery)

            self._start = start
            try:
                while not self._content.complete and self._failure is None:
                    if not self._streams:
                        # A connection may break behind the last byte.
                        await settle(self._content, self._sink)
                        if self._content.complete:
                            break
                        if not self.is_awaited:
                            self.is_given_up = True
                            self._failure = AbandonedError("nobody waits for the rest any more")
                            break
                        start(self._next_stream())
                    self._ended = trio.Event()
                    await self._ended.wait()
            finally:
                self._start = None
                nursery.cancel_scope.cancel()
        if self._failure is not None:
            raise self._failure

    async def _carry_out(self, stream: Stream, nursery: trio.Nursery) -> None:
        try:
            await Download(
                self._wanted,
                self._content,
                stream,
                streams=self._streams,
                source=self._source,
                sink=self._sink,
                meter=self._meter,
                claim=self._claim,
                is_awaited=lambda: self.is_awaited,
                nursery=nursery,
            ).run()
        except AbandonedError as exc:
            if self._abandoned.is_set():
                self._failure = exc
        except RcfsError as exc:
            if stream.shortcut:
                self._recorder.fault("shortcut", str(exc), key=str(self._content.key))
            else:
                self._failure = exc
        finally:
            if stream.shortcut and stream.sent and not stream.brought:
                # This server, or this content, is not one for shortcuts.
                self._shortcut_s = math.inf
            self._streams.remove(stream)
            self._ended.set()

    def _claim(self) -> None:
        """Returns if a request may be sent: no other process fetches this content, or has since the look."""
        key = self._content.key
        # Once it is claimed, a mark that changes was for another content with the same one.
        if not self._claimed:
            self._claimed = self._claims.take(key)
            if not self._claimed or self._claims.mark(key) != self._mark:
                raise ElsewhereError("another process fetches this content")
        self._requests += 1

    async def _claim_in_turn(self) -> None:
        """Waits until no other process fetches this content."""
        while not (self._claimed or self._claims.take(self._content.key)):
            with trio.move_on_after(_POLL_S):
                await self._abandoned.wait()
            if self._abandoned.is_set():
                raise AbandonedError("nobody waits for what another process fetches")
        self._claimed = True

    def _record(self) -> FetchRecord:
        """Who caused this fetch, and what it took."""
        return FetchRecord(
            key=self._content.key,
            at_s=self._now_s(),
            program=self._by,
            priority=self._priority.name.lower(),
            requests=self._requests,
            size_bytes=self._content.arrived,
        )
