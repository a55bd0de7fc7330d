"""The platform as a source: requests with a range or without, and what its answers may be."""

from collections.abc import Awaitable, Callable

import attrs

from rcfs.content._placement import Head, MisplacedError, place
from rcfs.content._source import Part
from rcfs.errors import ServerError
from rcfs.model import ByteRange, Wanted
from rcfs.platform import AllowedHosts, Answer, Request, read_content
from rcfs.transport import Demand, Recorder, Requester


class PlatformSource:
    """Asks the platform for contents."""

    def __init__(self, requester: Requester, hosts: AllowedHosts, recorder: Recorder) -> None:
        self._requester = requester
        self._hosts = hosts
        self._recorder = recorder

    def price(self, wanted: Wanted) -> tuple[float, float]:
        """See `Source.price`."""
        return self._requester.price(read_content(wanted.key, "", None))

    def transfer(self, wanted: Wanted) -> "PlatformTransfer":
        """See `Source.transfer`."""
        if wanted.uri and not self._hosts.may_see_token(wanted.uri):
            self._recorder.fault(
                "content", "the record's URI is on a foreign host, asking the server instead"
            )
            wanted = attrs.evolve(wanted, uri="")
        return PlatformTransfer(wanted, self._requester)


class PlatformTransfer:
    """One stretch: what cannot be placed beyond doubt is asked for whole, and used where it is missing."""

    def __init__(self, wanted: Wanted, requester: Requester) -> None:
        self._wanted = wanted
        self._requester = requester
        self._first = 0
        """The byte that the present request is sent for."""
        self._asked: ByteRange | None = None
        """The range of the present request."""
        self._ranged = True
        """Whether a stretch is asked for by a range; False once a ranged answer could not be placed."""
        self._lenient = False
        """Whether a part that does not say where it belongs is taken for the one asked for."""

    async def run(
        self,
        missing: Callable[[], ByteRange],
        take: Callable[[Part], Awaitable[None]],
        demand: Demand,
        *,
        progress: Callable[[], int],
        confirm: Callable[[], None],
    ) -> None:
        """See `Transfer.run`."""

        async def use(answer: Answer) -> None:
            await take(self._part(answer))

        await self._requester.run(
            lambda: self._request(missing()), use, demand, progress=progress, confirm=confirm
        )

    def _request(self, stretch: ByteRange) -> Request:
        ranged = self._ranged and (stretch.start > 0 or stretch.stop is not None)
        self._first, self._asked = stretch.start, stretch if ranged else None
        return read_content(self._wanted.key, self._wanted.uri, self._asked)

    def _part(self, answer: Answer) -> Part:
        """Where the body of `answer` belongs.

        Raises:
            ServerError: It is not the content, or cannot be placed.
        """
        if answer.media_type == "text/html" and self._wanted.content_type not in ("", "text/html"):
            raise ServerError("the server answered with a web page instead of the content")
        if not answer.readable:
            raise ServerError("the server sent the content in a coding that was not asked for")
        asked = self._asked
        head = Head(answer.status, answer.content_length, answer.content_range, answer.encoded)
        try:
            placement = place(head, asked, self._first, lenient=self._lenient)
        except MisplacedError:
            self._ranged = False
            raise
        if asked is None and head.status == 206:
            # It does not give the whole, so asking for that again would bring the same part again.
            self._ranged = True
            # Of a part that does not say which it is: it is the beginning, and the server of that kind.
            self._lenient = self._lenient or head.content_range[0] is None
        return Part(
            placement.start,
            placement.stop,
            placement.total,
            is_whole=head.status == 200,
            waited_s=answer.waited_s,
            receive=answer.receive,
        )
