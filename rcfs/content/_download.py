"""One download: brings a range of a content from its source, however the source answers.

A download asks for its range once, and resumes where an answer broke off. It skips bytes that are already
present, and ends early when everything that it could still bring is present or is being received by a
download ahead of it.
"""

from typing import NoReturn

import attrs
import trio

from rcfs.content._content import Content
from rcfs.content._price import Meter
from rcfs.content._source import Confirm, Part, Source
from rcfs.content._storage import Sink
from rcfs.errors import ServerError, TooLargeError
from rcfs.model import CHUNK_BYTES, ByteRange, Wanted
from rcfs.transport import AbandonedError, RequestOptions

_MOST_ANSWERS = 1000
"""Answers that one download may take: 50 MB in parts of 64 KiB is 800. A server that sends more parts would
use up the whole budget."""
_ALONE_S = 300.0
_ALONE_RATE = 16 << 10
"""A body that no reader waits for is given up after `_ALONE_S` seconds if it came with fewer than
`_ALONE_RATE` bytes a second. Otherwise a server that lets every content drip would keep all of them in
memory."""
_LIVELY_S = 1.0
"""A body counts as stalled when it brought nothing for this long, in seconds; other downloads then do not
rely on it."""


@attrs.define(eq=False)
class Body:
    """A part of the content that is being received."""

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


@attrs.define(eq=False)
class Job:
    """The parts of one fetch that all its downloads share."""

    wanted: Wanted
    """The content and its record."""
    content: Content
    """Receives the bytes."""
    source: Source
    """Sends the bytes."""
    sink: Sink
    """Stores the bytes."""
    meter: Meter
    """Learns from the answers how fast the source is."""
    claim: Confirm
    """Called immediately before bytes are asked for; raises when another process fetches the content."""
    is_awaited: bool = True
    """Whether a reader has the content open; the library sets it."""
    downloads: "list[Download]" = attrs.field(factory=list)
    """The downloads that are running."""


@attrs.define(eq=False)
class Download:
    """A range of a content, and the requests that bring it."""

    _job: Job
    options: RequestOptions
    """How urgent its requests are."""
    start: int
    """First byte of the range."""
    stop: int | None
    """One past its last byte; None for the end of the content."""
    is_shortcut: bool = False
    """Whether a read asked for it although another download would bring the bytes later."""
    has_sent: bool = False
    """Whether a request was sent for it."""
    brought_bytes: int = 0
    """Number of missing bytes that it has brought."""
    body: Body | None = None
    """The body that is being received; None between two bodies."""
    _storing: trio.Event | None = None
    """Set when the latest full chunk has been stored; None before the first. The next chunk waits for it, so
    that at most two chunks are in memory."""

    async def run(self, nursery: trio.Nursery) -> None:
        """Returns when each byte of the range is present or is being received by another download.

        A chunk is stored in `nursery` while the next one arrives.

        Raises:
            PlatformError: The server or the connection failed for good.
            AbandonedError: Nothing was sent, because it was superfluous by then or the request was withdrawn.
        """
        transfer = self._job.source.transfer(self._job.wanted)

        async def take(part: Part) -> None:
            await self._take(part, nursery)

        for _answer in range(_MOST_ANSWERS):
            await transfer.run(
                self._next_range,
                take,
                self.options,
                progress=lambda: self.brought_bytes,
                confirm=self._confirm,
            )
            if self._missing(self.start) is None:
                return
        raise ServerError(f"the server did not send all of {self._job.wanted.key} in {_MOST_ANSWERS} answers")

    def _missing(self, position: int) -> int | None:
        """The first byte of the range from `position` on that no other download brings; None if all come.

        A body ahead of `position` counts as if all of it had come, unless it is stalled: of two overlapping
        bodies the one behind ends.
        """
        content = self._job.content
        size = content.size_bytes
        if size is None:
            return content.held.run_end(position)
        covered, lately_s = content.held, trio.current_time() - _LIVELY_S
        for body in [each.body for each in self._job.downloads if each is not self]:
            if body is not None and body.position >= position and body.latest_s >= lately_s:
                covered = covered.plus(body.position, size if body.stop is None else body.stop)
        gap = covered.gap(position, size if self.stop is None else min(size, self.stop))
        return None if gap is None or content.complete else gap[0]

    def _next_range(self) -> ByteRange:
        first = self._missing(self.start)
        if first is None or (self.is_shortcut and self.has_sent and not self.brought_bytes):
            raise AbandonedError("another request brings these bytes")
        if not (self._job.is_awaited or self.has_sent):
            raise AbandonedError("no reader waits for these bytes")
        return ByteRange(first, self.stop)

    def _confirm(self, *, is_request: bool = True) -> None:
        if self._missing(self.start) is None:
            raise AbandonedError("another request brought these bytes")
        self._job.claim(is_request=is_request)
        self.has_sent = self.has_sent or is_request

    async def _take(self, part: Part, nursery: trio.Nursery) -> None:
        self._job.meter.answered(part.waited_s)
        content, brought_bytes = self._job.content, self.brought_bytes
        await self._agree(part)
        # Only the end of such a part tells the size of the content, so it is received to its end.
        tells_size = part.is_whole and part.total is None
        end = await self._receive(part, nursery, may_end_early=not tells_size)
        if tells_size:
            if end != content.held.end or content.size_bytes not in (None, end):
                await self._contradict("shorter")
            content.set_size(end)
        await complete_if_whole(self._job)
        if self.brought_bytes == brought_bytes and self._missing(self.start) is not None:
            # The requester counts this as a fault: the next answer may be sound.
            raise ServerError(f"the server's answer brought no missing bytes of {self._job.wanted.key}")

    async def _agree(self, part: Part) -> None:
        """Notes the total size, and starts over when it contradicts an earlier one.

        A part that is the whole content is itself the new beginning.
        """
        content, total = self._job.content, part.total
        if total is None:
            return
        if total > self._job.sink.max_content_bytes:
            await self._refuse(f"has {total:,} bytes")
        if part.is_whole and (content.size_bytes not in (None, total) or content.held.end > total):
            await self._forget()
        if content.size_bytes is not None and content.size_bytes != total:
            await self._contradict("longer" if total > content.size_bytes else "shorter", total)
        if content.held.end > total:
            await self._contradict("shorter", total)
        content.set_size(total)

    async def _contradict(self, how: str, size_bytes: int | None = None) -> NoReturn:
        """Drops all bytes of the content, because the server now has another one, and gives up the body.

        Raises:
            ServerError: Always; the next attempt starts over.
        """
        await self._forget()
        if size_bytes is not None:
            self._job.content.set_size(size_bytes)
        raise ServerError(f"{self._job.wanted.key} is {how} on the server than before; rcfs fetches it again")

    async def _refuse(self, what: str) -> NoReturn:
        """Drops all bytes of the content, which is larger than the user allows.

        Raises:
            TooLargeError: Always.
        """
        await self._job.sink.forget()
        most = self._job.sink.max_content_bytes
        raise TooLargeError(
            f"{self._job.wanted.key} {what}, and --max-content allows {most:,}; raise it to fetch the content"
        )

    async def _forget(self) -> None:
        """Drops all bytes of the content."""
        await self._job.sink.forget()
        # A store that is still running sees the new version and drops the content from the cache. Wait for
        # it, so that it does not drop bytes that come later.
        await self._wait_stored()

    async def _wait_stored(self) -> None:
        if self._storing is not None:
            await self._storing.wait()

    async def _receive(self, part: Part, nursery: trio.Nursery, *, may_end_early: bool) -> int:
        """Takes the missing bytes from a part up to its promised end, and returns where it ended."""
        now, start, content = trio.current_time(), part.start, self._job.content
        body = self.body = Body(start, start, part.stop, now, now)
        version = content.version
        try:
            while piece := await part.receive():
                self._check(version)
                data = memoryview(piece)
                if body.stop is not None:
                    data = data[: body.stop - body.position]
                known = content.size_bytes
                if known is not None and body.position + len(data) > known:
                    await self._contradict("longer")
                if body.position + len(data) > self._job.sink.max_content_bytes:
                    await self._refuse(f"has {body.position + len(data):,} bytes or more")
                body.latest_s = trio.current_time()
                await self._write(body, data, version, nursery)
                if not self._job.is_awaited and _is_hopeless(body):
                    raise AbandonedError("no reader waits for a body that hardly moves")
                # A body that is read to its end leaves a connection that can be used again.
                if may_end_early and body.position != body.stop and self._missing(body.position) is None:
                    break
            return body.position
        finally:
            self.body = None
            self._job.meter.received(body.position - start, trio.current_time() - body.since_s)
            with trio.CancelScope(shield=True):
                await self._wait_stored()

    async def _write(self, body: Body, data: memoryview, version: int, nursery: trio.Nursery) -> None:
        """Writes the missing bytes of `data`, the next piece of `body`, and stores full chunks."""
        content = self._job.content
        end = body.position + len(data)
        while (gap := content.held.gap(body.position, end)) is not None:
            start, index = gap[0], gap[0] // CHUNK_BYTES
            stop = min(gap[1], (index + 1) * CHUNK_BYTES)
            content.write(start, data[len(data) - (end - start) : len(data) - (end - stop)])
            self.brought_bytes += stop - start
            body.position = stop
            # A shorter last chunk is stored when the body has ended where it should.
            if content.held.has(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES):
                await self._wait_stored()
                self._check(version)
                self._storing = trio.Event()
                nursery.start_soon(self._store, index, self._storing)
        body.position = end

    def _check(self, version: int) -> None:
        if self._job.content.version != version:
            raise ServerError(
                f"{self._job.wanted.key} changed on the server during the fetch; rcfs fetches it again"
            )
        if self._job.sink.excess is not None:
            raise self._job.sink.excess

    async def _store(self, index: int, stored: trio.Event) -> None:
        try:
            # Another download may have stored it since it was full.
            if self._job.content.is_full(index):
                with trio.CancelScope(shield=True):
                    await self._job.sink.store(index)
        finally:
            stored.set()


def _is_hopeless(body: Body) -> bool:
    """Whether a body comes so slowly that it is given up if no reader waits for it."""
    lasted_s = body.latest_s - body.since_s
    return lasted_s >= _ALONE_S and body.position - body.start < _ALONE_RATE * lasted_s


async def complete_if_whole(job: Job) -> None:
    """Stores all full chunks of the content, and marks it as complete if nothing is missing."""
    content = job.content
    # The requests are spent, so a mount that ends now waits the milliseconds that this takes.
    with trio.CancelScope(shield=True):  # noqa: ASYNC912 - mostly there is nothing to wait for
        while not content.complete:
            index = next(iter(content.full_drafts()), None)
            if index is None and not content.is_stored:
                break
            # Before any reader sees the end: from then on not even a kill -9 costs a second request.
            if await job.sink.finish(index):
                content.finish()
                # At once: when readers know that it is complete, the mount may end.
                job.source.ended(job.wanted, is_complete=True)
