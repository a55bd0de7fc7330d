"""The requests that rcfs makes, each with the usage plan group that it probably counts for.

Source: the operations of the official description and their ``x-throttling-group``.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import urlencode

import attrs

from rcfs.errors import PlatformError
from rcfs.model import AUTH, LIGHT, MEDIUM, ByteRange, ContentKey, UsageGroup
from rcfs.platform._multipart import MultipartBody

LIST_PAGE = 1000
"""Largest page of a list; the server silently reduces larger numbers."""
_BEGINNING = "2000-01-01T00:00:00.000Z"
"""A ``dateFrom`` before the platform existed; without one, the server assumes the last 24 hours."""


@attrs.frozen
class Body:
    """The body of a request."""

    content: bytes = attrs.field(repr=False)
    """The bytes, as they are sent."""
    media_type: str
    """Its ``Content-Type``."""


def json_body(document: object) -> Body:
    """A body that holds `document` as JSON."""
    return Body(json.dumps(document).encode(), "application/json")


def form_body(fields: Mapping[str, str]) -> Body:
    """A body that holds a form with `fields`."""
    return Body(urlencode(fields).encode(), "application/x-www-form-urlencoded")


@attrs.frozen
class Request:
    """One request to the platform."""

    operation: str
    """operationId of the official description."""
    group: UsageGroup
    """Usage plan group by the documentation; a header of the answer overrides it."""
    url: str
    """Absolute URL, or a path on the server."""
    params: tuple[tuple[str, str], ...] = ()
    """Query parameters, in order; names may repeat."""
    byte_range: ByteRange | None = None
    """The part to fetch; None for the whole."""
    method: str = "GET"
    """HTTP method."""
    body: Body | MultipartBody | None = None
    """The body; None for a request without one."""
    repeatable: bool = attrs.field()
    """Whether sending it again is harmless when the server may have carried it out already. By default True
    for a GET and False for everything else: a second DELETE purges a message, a second POST sends a text
    twice."""

    @repeatable.default
    def _repeatable_by_method(self) -> bool:
        return self.method == "GET"


def wire_time(moment_s: float) -> str:
    """`moment_s` (seconds since 1970 UTC) in the API's format, with milliseconds."""
    moment = datetime.fromtimestamp(moment_s, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def read_account() -> Request:
    """The account of the login."""
    return Request("readAccountInfo", LIGHT, "/restapi/v1.0/account/~")


def read_own_extension() -> Request:
    """The extension of the login."""
    return Request("readExtension", LIGHT, "/restapi/v1.0/account/~/extension/~")


def list_extensions() -> Request:
    """The first page of all extensions."""
    return Request(
        "listExtensions", MEDIUM, "/restapi/v1.0/account/~/extension", (("perPage", str(LIST_PAGE)),)
    )


def list_messages(extension_id: int | None, *, until_s: float, per_page: int = LIST_PAGE) -> Request:
    """The first page of a mailbox, from the beginning to `until_s`, trash included.

    Args:
        extension_id: The owner of the mailbox; None for the login's own.
        until_s: Seconds since 1970 UTC; the same for all pages, so that new messages do not shift them.
        per_page: Messages per page, 1 to LIST_PAGE.
    """
    owner = "~" if extension_id is None else extension_id
    return Request(
        "listMessages",
        LIGHT,
        f"/restapi/v1.0/account/~/extension/{owner}/message-store",
        (
            ("availability", "Alive"),
            ("availability", "Deleted"),
            ("dateFrom", _BEGINNING),
            ("dateTo", wire_time(until_s)),
            ("perPage", str(per_page)),
            ("page", "1"),
        ),
    )


def sync_messages(extension_id: int, *, token: str = "") -> Request:
    """All changes of a mailbox since `token`; without a token, a new one for changes from now on.

    The request for a new token asks for a single record, but with a range from the beginning, which then
    stays the range of the token.
    """
    params = (
        (("syncType", "ISync"), ("syncToken", token))
        if token
        else (("syncType", "FSync"), ("dateFrom", _BEGINNING), ("recordCount", "1"))
    )
    path = f"/restapi/v1.0/account/~/extension/{extension_id}/message-sync"
    return Request("syncMessages", LIGHT, path, params)


def read_messages(extension_id: int, message_ids: Sequence[int]) -> Request:
    """The messages with these ids.

    Args:
        extension_id: The owner of the mailbox.
        message_ids: 1 to `MOST_AT_ONCE` ids; the server takes an empty list for all messages.
    """
    if not message_ids:
        raise ValueError("a request for no message would be one for all messages")
    ids = ",".join(map(str, message_ids))
    path = f"/restapi/v1.0/account/~/extension/{extension_id}/message-store/{ids}"
    return Request("readMessage", LIGHT, path)


def read_store_configuration() -> Request:
    """How long the account keeps messages; for administrators whose app has the scope EditAccounts."""
    return Request(
        "readMessageStoreConfiguration", LIGHT, "/restapi/v1.0/account/~/message-store-configuration"
    )


def socket_token() -> Request:
    """Permission to open one WebSocket soon; for apps with the scope WebSocket."""
    return Request("authWsToken", AUTH, "/restapi/oauth/wstoken", method="POST", repeatable=True)


def redirected(request: Request, status: int, url: str, *, may_send_body: bool) -> Request:
    """The request that follows when the answer to `request` is a redirect with `status` to `url`.

    A GET stays as it is. Any other request becomes a GET after 303; after 307 and 308 it stays the same, if
    `may_send_body` allows the host to see it. After 301 and 302 some clients repeat a POST and some send a
    GET, so rcfs sends nothing. Source: RFC 9110, 15.4.

    Raises:
        PlatformError: rcfs does not follow this redirect.
    """
    if request.method != "GET":
        if status == 303:
            # A name of its own, since a GET may count for another usage plan group.
            operation = f"{request.operation} result"
            request = attrs.evolve(request, operation=operation, method="GET", body=None)
        elif status not in (307, 308):
            raise PlatformError(
                f"{request.operation}: rcfs does not follow HTTP {status}, which would change the request"
            )
        elif not may_send_body:
            raise PlatformError(
                f"{request.operation}: rcfs does not follow a redirect of this request to another host"
            )
    return following_page(request, url)


def following_page(request: Request, url: str) -> Request:
    """The request for the page at `url`, the next one by an answer to `request`."""
    return attrs.evolve(request, url=url, params=())


def read_content(key: ContentKey, uri: str, byte_range: ByteRange | None) -> Request:
    """The bytes of a content, at `uri` or, if that is empty, at the path of its `key`."""
    return Request(key.operation, key.group, uri or key.resource, byte_range=byte_range)
