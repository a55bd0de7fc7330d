"""The platform as a source: requests with or without a range, and the checks of its answers."""

from collections.abc import Awaitable, Callable, Hashable, MutableMapping

import attrs

from rcfs.content._placement import Head, MisplacedError, place
from rcfs.content._source import Confirm, Part
from rcfs.errors import ServerError
from rcfs.model import (
    AttachmentKey,
    ByteRange,
    ContentKey,
    DatasetKey,
    GreetingKey,
    RecordingKey,
    ReportKey,
    Wanted,
)
from rcfs.platform import Answer, Request, read_content
from rcfs.transport import Pool, Recorder, Requester, RequestOptions, Route


class PlatformSource:
    """Fetches contents from the platform."""

    def __init__(self, requester: Requester, recorder: Recorder, pool: Pool | None = None) -> None:
        """Fetches with the login of `requester`, or with all of `pool`."""
        self._requester = requester
        self._recorder = recorder
        self._pool = pool
        self._logins: dict[ContentKey, str] = {}
        """The further login that brought the latest bytes of each content that is being fetched."""

    def price(self, wanted: Wanted) -> tuple[float, float]:
        """See `Source.price`."""
        request, route = read_content(wanted.key, "", None), self._route(wanted)
        if route is None:
            return self._requester.price(request)
        prices = [self._requester.price(request, each.lane) for each in route.able()]
        return 1 / sum(1 / price_s for price_s, _wait_s in prices), min(wait_s for _price_s, wait_s in prices)

    def transfer(self, wanted: Wanted) -> "PlatformTransfer":
        """See `Source.transfer`."""
        if wanted.uri and not self._requester.hosts.may_see_token(wanted.uri):
            self._recorder.fault(
                "content",
                "the record's URI is on a host that must not see the token; rcfs asks the server instead",
            )
            wanted = attrs.evolve(wanted, uri="")
        route = self._route(wanted)
        return PlatformTransfer(wanted, self._requester, self._recorder, self._logins, route)

    def _route(self, wanted: Wanted) -> Route | None:
        """The logins that may bring a content; None for the requester's own.

        An export is known only to the login that asked for it.
        """
        if self._pool is None or isinstance(wanted.key, (ReportKey, DatasetKey)):
            return None
        return self._pool.route(*_permission(wanted))

    def remark(self, wanted: Wanted, /) -> str:
        """See `Source.remark`."""
        login = self._logins.get(wanted.key)
        return f"with the login '{login}'" if login else ""

    def ended(self, wanted: Wanted, *, is_complete: bool) -> None:  # noqa: ARG002 - what the source knows ends
        """See `Source.ended`."""
        self._logins.pop(wanted.key, None)


def _permission(wanted: Wanted) -> tuple[Hashable, str]:
    """The subject of a permission for a content, and the scope that it needs.

    Source: ``x-app-permission`` of the official description.
    """
    key = wanted.key
    if isinstance(key, RecordingKey):
        return (key.kind, wanted.owner), "ReadCallRecording"
    if isinstance(key, AttachmentKey):
        return (key.kind, key.extension_id), "ReadMessages"
    return (key.kind, key.extension_id if isinstance(key, GreetingKey) else 0), "ReadAccounts"


class PlatformTransfer:
    """Brings one range; asks for the whole content once the answer to a range could not be placed."""

    def __init__(
        self,
        wanted: Wanted,
        requester: Requester,
        recorder: Recorder,
        logins: MutableMapping[ContentKey, str],
        route: Route | None = None,
    ) -> None:
        self._wanted = wanted
        self._recorder = recorder
        self._requester = requester
        self._logins = logins
        self._route = route
        self._first = 0
        """The first missing byte when the latest request was made."""
        self._asked: ByteRange | None = None
        """The range of the latest request; None when it asked for the whole content."""
        self._ranged = True
        """Whether requests have a range; False once the answer to a range could not be placed."""
        self._lenient = False
        """Whether a part without a position counts as the range that was asked for; see `place`."""

    async def run(
        self,
        missing: Callable[[], ByteRange],
        take: Callable[[Part], Awaitable[None]],
        options: RequestOptions,
        *,
        progress: Callable[[], int],
        confirm: Confirm,
        reserve: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """See `Transfer.run`."""

        async def use(answer: Answer) -> None:
            part = self._part(answer)
            if self._route is not None:
                self._logins[self._wanted.key] = self._route.note_success()
            await take(part)

        await self._requester.run(
            lambda: self._request(missing()),
            use,
            options,
            progress=progress,
            confirm=confirm,
            reserve=reserve,
            lane=self._route,
        )

    def _request(self, missing: ByteRange) -> Request:
        ranged = self._ranged and (missing.start > 0 or missing.stop is not None)
        self._first, self._asked = missing.start, missing if ranged else None
        return read_content(self._wanted.key, self._wanted.uri, self._asked)

    def _may_be_a_web_page(self) -> bool:
        """Whether the content itself may be HTML: an attachment whose record does not say otherwise."""
        wanted = self._wanted
        return isinstance(wanted.key, AttachmentKey) and wanted.content_type in ("", "text/html")

    def _part(self, answer: Answer) -> Part:
        """The part of the content that `answer` brings.

        Raises:
            ServerError: It is not the content, or its position is unclear.
        """
        if answer.media_type == "text/html" and not self._may_be_a_web_page():
            raise ServerError(
                "the server sent a web page instead of the content; perhaps your network wants you to sign in"
            )
        if not answer.readable:
            raise ServerError("the server sent the content in a coding that rcfs did not ask for")
        asked = self._asked
        head = Head(answer.status, answer.content_length, answer.content_range, answer.encoded)
        try:
            placement = place(head, asked, self._first, lenient=self._lenient)
        except MisplacedError:
            self._ranged = False
            raise
        if asked is None and head.status == 206:
            # The server does not send the whole, so the same request would bring the same part again.
            self._ranged = True
            # A part without a position that answers a request for the whole is the beginning. This server
            # does not send positions, so the next part has none either.
            self._lenient = self._lenient or head.content_range[0] is None

        async def receive() -> bytes:
            piece = await answer.receive()
            self._recorder.received(len(piece))
            return piece

        return Part(
            placement.start,
            placement.stop,
            placement.total,
            is_whole=head.status == 200,
            waited_s=answer.waited_s,
            receive=receive,
        )
