"""One stream: brings a stretch of a content from its source, whatever the source does on the way.

It asks for its stretch once; what breaks is resumed where it stopped. Bytes that are there already are passed
over, and a stream ends early when all that it could still bring is there, or comes by a stream ahead of it.
"""

from collections.abc import Callable, Sequence
from typing import NoReturn

import attrs
import trio

from rcfs.content._content import Content
from rcfs.content._price import Meter
from rcfs.content._source import Part, Source
from rcfs.content._storage import Sink
from rcfs.errors import ServerError, TooLargeError
from rcfs.model import CHUNK_BYTES, ByteRange, Wanted
from rcfs.transport import AbandonedError, Demand

_MOST_ANSWERS = 1000
"""Answers that one stream may take: 50 MB in parts of 64 KiB is 800; more parts than that is a server
that would eat the whole budget."""
_ALONE_S = 300.0
_ALONE_RATE = 16 << 10
"""A body that nobody waits for is given up after so many seconds when it came with fewer bytes a second.
A server that lets each content drip would otherwise keep all of them in memory that were ever asked for."""
_LIVELY_S = 1.0
"""A stream of which nothing came for so long stalls, in seconds: on it no other one relies."""


@attrs.define(eq=False)
class Stream:
    """A stretch of a content, and what brings it."""

    demand: Demand
    """How urgent it is."""
    start: int
    """First byte of the stretch."""
    stop: int | None
    """One past its last byte; None for the end of the content."""
    shortcut: bool
    """Whether it was sent for a read, although another stream would bring the bytes later."""
    sent: bool = False
    """Whether a request was sent for it."""
    brought: int = 0
    """Bytes that were missing and came by it."""
    body: "Body | None" = None
    """What is being received; None between two bodies."""


@attrs.define(eq=False)
class Body:
    """A part, while it comes."""

    start: int
    """Where it began in the content."""
    position: int
    """The next byte that it brings."""
    stop: int | None
    """One past its last byte; None for the end of the content."""
    since_s: float
    """When it began."""
    latest_s: float
    """When the latest piece came."""


class Download:
    """Carries out one stream."""

    def __init__(
        self,
        wanted: Wanted,
        content: Content,
        stream: Stream,
        *,
        streams: Sequence[Stream],
        source: Source,
        sink: Sink,
        meter: Meter,
        claim: Callable[[], None],
        is_awaited: Callable[[], bool],
        nursery: trio.Nursery,
    ) -> None:
        """Prepares a stream.

        Args:
            wanted: What is fetched.
            content: Where the bytes are read.
            stream: The stream.
            streams: All streams of the content; this one, too.
            source: Has the bytes.
            sink: Stores the bytes.
            meter: Learns from the answers.
            claim: Called in the moment before each request; raises when another process fetches this.
            is_awaited: Whether somebody has the content open.
            nursery: Where a chunk is stored while the next one arrives.
        """
        self._wanted = wanted
        self._content = content
        self._stream = stream
        self._streams = streams
        self._source = source
        self._sink = sink
        self._meter = meter
        self._claim = claim
        self._is_awaited = is_awaited
        self._nursery = nursery
        self._stored = trio.Event()
        """Set when no chunk is being stored: at most one is, so that no more than two lie in memory, and none
        when no body is being received."""
        self._stored.set()

    async def run(self) -> None:
        """Returns when nothing of the stretch is missing that is not on its way.

        Raises:
            PlatformError: The server or the connection failed for good.
            AbandonedError: Nothing was sent, as it was superfluous by then, or its demand was dropped.
        """
        stream = self._stream
        transfer = self._source.transfer(self._wanted)
        for _answer in range(_MOST_ANSWERS):
            await transfer.run(
                self._next_range,
                self._take,
                stream.demand,
                progress=lambda: stream.brought,
                confirm=self._confirm,
            )
            if self._missing(stream.start) is None:
                return
        raise ServerError(f"the server sends {self._wanted.key} in more than {_MOST_ANSWERS} parts")

    def _missing(self, position: int) -> int | None:
        """The first byte of the stretch from `position` on that nobody else brings; None when there is none.

        A body ahead of `position` counts as if all of it had come, unless it stalls: of two bodies that
        overlap the one behind ends.
        """
        content = self._content
        size = content.size_bytes
        if size is None:
            return content.held.run_end(position)
        covered, lately_s = content.held, trio.current_time() - _LIVELY_S
        bodies = [stream.body for stream in self._streams if stream is not self._stream]
        for body in bodies:
            if body is not None and body.position >= position and body.latest_s >= lately_s:
                covered = covered.plus(body.position, size if body.stop is None else body.stop)
        gap = covered.gap(position, size if self._stream.stop is None else min(size, self._stream.stop))
        return None if gap is None or content.complete else gap[0]

    def _next_range(self) -> ByteRange:
        stream = self._stream
        first = self._missing(stream.start)
        if first is None or (stream.shortcut and stream.sent and not stream.brought):
            raise AbandonedError("another request brings these bytes")
        return ByteRange(first, stream.stop)

    def _confirm(self) -> None:
        if self._missing(self._stream.start) is None:
            raise AbandonedError("another request brought these bytes")
        self._claim()
        self._stream.sent = True

    async def _take(self, part: Part) -> None:
        self._meter.answered(part.waited_s)
        content = self._content
        brought = self._stream.brought
        await self._agree(part)
        # Only the end of such a part says how long the content is, so it is received to its end.
        tells_size = part.is_whole and part.total is None
        end = await self._receive(part, may_end_early=not tells_size)
        if tells_size:
            if end != content.held.end or content.size_bytes not in (None, end):
                await self._contradict("shorter")
            content.learn_size(end)
        await settle(content, self._sink)
        if self._stream.brought == brought and self._missing(self._stream.start) is not None:
            # A fault like any other, which the requester counts: the next answer may be sound.
            raise ServerError(f"the server sends nothing of the rest of {self._wanted.key}")

    async def _agree(self, part: Part) -> None:
        """Notes the total, and begins anew when it contradicts an earlier one.

        A part that is the whole content is itself the new beginning.
        """
        content, total = self._content, part.total
        if total is None:
            return
        if total > self._sink.max_content_bytes:
            await self._refuse(f"has {total:,} bytes")
        if part.is_whole and (content.size_bytes not in (None, total) or content.held.end > total):
            await self._forget()
        if content.size_bytes is not None and content.size_bytes != total:
            await self._contradict("longer" if total > content.size_bytes else "shorter", total)
        if content.held.end > total:
            await self._contradict("shorter", total)
        content.learn_size(total)

    async def _contradict(self, how: str, size_bytes: int | None = None) -> NoReturn:
        """Drops what there is of the content, because the server now has another one, and gives up the body.

        Raises:
            ServerError: Always; a repetition begins anew.
        """
        await self._forget()
        if size_bytes is not None:
            self._content.learn_size(size_bytes)
        raise ServerError(f"{self._wanted.key} has become another: {how} than before")

    async def _refuse(self, what: str) -> NoReturn:
        """Drops what there is of the content, which is larger than any that is wanted.

        Raises:
            TooLargeError: Always.
        """
        most = self._sink.max_content_bytes
        await self._sink.forget()
        raise TooLargeError(f"{self._wanted.key} {what}; --max-content allows {most:,}")

    async def _forget(self) -> None:
        """Drops what there is of the content."""
        await self._sink.forget()
        # Who stores finds another version then, and drops all there is: not what is about to come.
        await self._stored.wait()

    async def _receive(self, part: Part, *, may_end_early: bool) -> int:
        """Takes what is missing out of a part up to its promised end, and returns where it ended."""
        now, start = trio.current_time(), part.start
        body = self._stream.body = Body(start, start, part.stop, now, now)
        version = self._content.version
        try:
            while piece := await part.receive():
                self._check(version)
                data = memoryview(piece)
                if body.stop is not None:
                    data = data[: body.stop - body.position]
                known = self._content.size_bytes
                if known is not None and body.position + len(data) > known:
                    await self._contradict("longer")
                if body.position + len(data) > self._sink.max_content_bytes:
                    await self._refuse("does not end")
                body.latest_s = trio.current_time()
                await self._use(body, data, version)
                if not self._is_awaited() and self._is_hopeless(body):
                    raise AbandonedError("nobody waits for what hardly comes")
                # At the end of the body the connection is left to be used again.
                if may_end_early and body.position != body.stop and self._missing(body.position) is None:
                    break
            return body.position
        finally:
            self._stream.body = None
            self._meter.received(body.position - start, trio.current_time() - body.since_s)
            with trio.CancelScope(shield=True):
                await self._stored.wait()

    @staticmethod
    def _is_hopeless(body: Body) -> bool:
        """Whether a body comes so slowly that it is no use to go on with it for nobody."""
        lasted_s = body.latest_s - body.since_s
        return lasted_s >= _ALONE_S and body.position - body.start < _ALONE_RATE * lasted_s

    async def _use(self, body: Body, data: memoryview, version: int) -> None:
        """Writes what is missing of `data`, the next of `body`."""
        content = self._content
        end = body.position + len(data)
        while (gap := content.held.gap(body.position, end)) is not None:
            start, index = gap[0], gap[0] // CHUNK_BYTES
            stop = min(gap[1], (index + 1) * CHUNK_BYTES)
            content.write(start, data[len(data) - (end - start) : len(data) - (end - stop)])
            self._stream.brought += stop - start
            body.position = stop
            # A shorter last chunk is stored when the body has ended where it should.
            if content.held.has(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES):
                await self._stored.wait()
                self._check(version)
                self._stored = trio.Event()
                self._nursery.start_soon(self._store, index, self._stored)
        body.position = end

    def _check(self, version: int) -> None:
        if self._content.version != version:
            raise ServerError(f"{self._wanted.key} changed while it was read")
        if self._sink.excess is not None:
            raise self._sink.excess

    async def _store(self, index: int, stored: trio.Event) -> None:
        try:
            # Another stream may have stored it since it was full.
            if self._content.is_full(index):
                with trio.CancelScope(shield=True):
                    await self._sink.store(index)
        finally:
            stored.set()


async def settle(content: Content, sink: Sink) -> None:
    """Stores what is full of `content`, and completes it if nothing is missing."""
    # The requests are spent, so a mount that ends now waits the milliseconds that it takes.
    with trio.CancelScope(shield=True):  # noqa: ASYNC912 - mostly there is nothing to wait for
        while not content.complete:
            index = next(iter(content.full_drafts()), None)
            if index is None and not content.is_stored:
                break
            # Before any reader sees the end: from then on not even a kill -9 costs a second request.
            if await sink.finish(index):
                content.finish()
