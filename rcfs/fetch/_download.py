"""Brings one content from the server, whole, whatever the server does on the way.

One GET without end; what breaks is resumed where it stopped; what cannot be placed beyond doubt is asked
for whole, of which only the missing bytes are used.
"""

from collections.abc import Callable
from typing import Protocol

import attrs
import trio

from rcfs.errors import ServerError
from rcfs.fetch._content import Content
from rcfs.fetch._gate import Demand
from rcfs.fetch._placement import Head, MisplacedError, Placement, place
from rcfs.fetch._requester import Requester
from rcfs.model import CHUNK_BYTES, ByteRange, ContentKey
from rcfs.platform import Answer, Request, read_content

_MOST_ANSWERS = 1000
"""Answers that one content may take: 50 MB in parts of 64 KiB is 800; more parts than that is a server
that would eat the whole budget."""


@attrs.frozen
class Wanted:
    """A content that somebody wants to read."""

    key: ContentKey
    """Which attachment."""
    uri: str
    """Where the payload says it is; empty when it does not, or names a host that rcfs will not use."""
    content_type: str
    """Media type by the record; empty when unknown."""
    size_known: bool = False
    """Whether the exact size is in the index already."""
    by: Callable[[], str] = str
    """Names the program that wants it; asked once, and only when a request is needed."""


class Keeper(Protocol):
    """Where the bytes of a content go."""

    async def store_chunk(self, content: Content) -> None:
        """Ends the unfinished chunk of `content`, which has bytes."""

    async def keep(self, wanted: Wanted, content: Content) -> None:
        """Notes that every byte of `content`, which is `wanted`, has been stored."""

    async def forget(self, content: Content) -> None:
        """Drops all bytes of `content`."""


class Download:
    """One transfer into one content."""

    def __init__(
        self,
        wanted: Wanted,
        content: Content,
        requester: Requester,
        keeper: Keeper,
    ) -> None:
        """Prepares a transfer, whose bytes `keeper` keeps."""
        self._wanted = wanted
        self._content = content
        self._requester = requester
        self._keeper = keeper
        self._ranged = True
        """Whether a rest is asked for by a range; False once a ranged answer could not be placed."""
        self._lenient = False
        """Whether a part that does not say where it belongs is taken for the one asked for."""

    async def run(self, demand: Demand) -> None:
        """Returns when the content is complete.

        Raises:
            PlatformError: The server or the connection failed for good.
            AbandonedError: The demand was dropped before anything was sent.
        """
        for _answer in range(_MOST_ANSWERS):
            arrived = self._content.arrived
            await self._requester.run(
                self._request, self._take, demand, progress=lambda: self._content.arrived
            )
            if self._content.complete:
                return
            if self._content.arrived == arrived:
                raise ServerError(f"the server sends nothing of the rest of {self._wanted.key}")
        raise ServerError(f"the server sends {self._wanted.key} in more than {_MOST_ANSWERS} parts")

    def _asked(self) -> ByteRange | None:
        arrived = self._content.arrived
        return ByteRange(arrived) if arrived and self._ranged else None

    def _request(self) -> Request:
        self._content.requests += 1
        return read_content(self._wanted.key, self._wanted.uri, self._asked())

    async def _take(self, answer: Answer) -> None:
        if answer.media_type == "text/html" and self._wanted.content_type not in ("", "text/html"):
            raise ServerError("the server answered with a web page instead of the content")
        if not answer.readable:
            raise ServerError("the server sent the content in a coding that was not asked for")
        head = Head(answer.status, answer.content_length, answer.content_range, answer.encoded)
        asked = self._asked()
        try:
            placement = place(head, asked, self._content.arrived, lenient=self._lenient)
        except MisplacedError:
            self._ranged = False
            raise
        if asked is None and head.status == 206 and head.content_range[0] is None:
            # Asked for the whole it sent a part without saying which: its beginning, and it is of that kind.
            self._ranged = self._lenient = True
        await self._agree(placement)
        end = await self._receive(answer, placement)
        content = self._content
        whole = head.status == 200 and placement.total is None
        if whole and (end != content.arrived or content.size_bytes not in (None, end)):
            await self._keeper.forget(content)
            raise ServerError(f"{self._wanted.key} is shorter or longer than it was before")
        if whole or head.status == 416 or content.arrived == content.size_bytes:
            # The request is spent, so a mount that ends now waits the millisecond that it takes.
            with trio.CancelScope(shield=True):
                if content.arrived > content.chunks * CHUNK_BYTES:
                    await self._keeper.store_chunk(content)
                # Before any reader sees the end: from then on not even a kill -9 costs a second request.
                await self._keeper.keep(self._wanted, content)
            content.finish()

    async def _agree(self, placement: Placement) -> None:
        """Notes the total, and begins anew when it contradicts an earlier one."""
        content = self._content
        if placement.total is None:
            return
        if content.size_bytes is not None and content.size_bytes != placement.total:
            await self._keeper.forget(content)
            content.learn_size(placement.total)
            raise ServerError(f"the size of {self._wanted.key} changed while it was read")
        if content.arrived > placement.total:
            await self._keeper.forget(content)
            raise ServerError(f"{self._wanted.key} is shorter than what is cached of it")
        content.learn_size(placement.total)

    async def _receive(self, answer: Answer, placement: Placement) -> int:
        """Appends what is new in the body and returns its end; bytes beyond the promised end are not used."""
        content = self._content
        position = placement.start
        while piece := await answer.receive():
            if placement.stop is not None:
                piece = piece[: placement.stop - position]
            fresh = memoryview(piece)[max(0, content.arrived - position) :]
            position += len(piece)
            while fresh:
                room = CHUNK_BYTES - (content.arrived - content.chunks * CHUNK_BYTES)
                content.append(fresh[:room])
                fresh = fresh[room:]
                if content.arrived == (content.chunks + 1) * CHUNK_BYTES:
                    await self._keeper.store_chunk(content)
        return position
