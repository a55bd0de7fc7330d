"""The requests that rcfs makes: what is asked, and which usage plan group it probably counts for.

Source: the operations of the official description and their ``x-throttling-group``.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import urlencode

import attrs

from rcfs.errors import PlatformError
from rcfs.model import AUTH, LIGHT, MEDIUM, ByteRange, ContentKey, UsageGroup

LIST_PAGE = 1000
"""Largest page of a list; more is clamped in silence."""
_BEGINNING = "2000-01-01T00:00:00.000Z"
"""A ``dateFrom`` before the platform existed: left out, the server would assume the last 24 hours."""


@attrs.frozen
class Body:
    """What a request sends."""

    content: bytes = attrs.field(repr=False)
    """All of it."""
    media_type: str
    """Its ``Content-Type``."""


def json_body(document: object) -> Body:
    """A JSON document."""
    return Body(json.dumps(document).encode(), "application/json")


def form_body(fields: Mapping[str, str]) -> Body:
    """A form with `fields`."""
    return Body(urlencode(fields).encode(), "application/x-www-form-urlencoded")


@attrs.frozen
class Request:
    """One request."""

    operation: str
    """operationId of the official description."""
    group: UsageGroup
    """Usage plan group by the documentation; the answer's header has the last word."""
    url: str
    """Absolute URL, or a path on the server."""
    params: tuple[tuple[str, str], ...] = ()
    """Query parameters, in order; names may repeat."""
    byte_range: ByteRange | None = None
    """Part that is asked for; None for the whole."""
    method: str = "GET"
    """HTTP method."""
    body: Body | None = None
    """What is sent; None for nothing."""
    repeatable: bool = attrs.field()
    """Whether sending it again does no harm when it may have been carried out already. By default True for a
    GET and False for everything else: a second DELETE purges a message, a second POST sends a text twice."""

    @repeatable.default
    def _repeatable_by_method(self) -> bool:
        return self.method == "GET"


def wire_time(moment_s: float) -> str:
    """`moment_s` (seconds since 1970 UTC) as the API writes times, in milliseconds."""
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
        extension_id: Whose mailbox; None for the login's own.
        until_s: Seconds since 1970 UTC; pinned for all pages, so that new arrivals do not shift them.
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
    """What changed in a mailbox since `token`; without one, a token for all that changes from now on.

    For that a single record is asked for, from the beginning of time: the range stays the token's.
    """
    params = (
        (("syncType", "ISync"), ("syncToken", token))
        if token
        else (("syncType", "FSync"), ("dateFrom", _BEGINNING), ("recordCount", "1"))
    )
    path = f"/restapi/v1.0/account/~/extension/{extension_id}/message-sync"
    return Request("syncMessages", LIGHT, path, params)


def read_messages(extension_id: int, message_ids: Sequence[int]) -> Request:
    """Several messages, or one.

    Args:
        extension_id: Whose mailbox.
        message_ids: 1 to `MOST_AT_ONCE` ids; none would mean all messages.
    """
    if not message_ids:
        raise ValueError("no message is named")
    ids = ",".join(map(str, message_ids))
    path = f"/restapi/v1.0/account/~/extension/{extension_id}/message-store/{ids}"
    return Request("readMessage", LIGHT, path)


def read_store_configuration() -> Request:
    """How long the account keeps messages; for administrators whose app has the scope EditAccounts."""
    return Request(
        "readMessageStoreConfiguration", LIGHT, "/restapi/v1.0/account/~/message-store-configuration"
    )


def socket_token() -> Request:
    """Leave to open a WebSocket, once and soon; for apps with the scope WebSocket."""
    return Request("authWsToken", AUTH, "/restapi/oauth/wstoken", method="POST", repeatable=True)


def redirected(request: Request, status: int, url: str, *, may_send_body: bool) -> Request:
    """What follows when the answer to `request` is a redirect with `status` to `url`.

    A GET goes there as it is. Anything else becomes a GET after 303. After 307 and 308 it stays the same, if
    `may_send_body` says that the host may see it. After 301 and 302 some clients send a POST again and some
    send a GET, so rcfs sends nothing. Source: RFC 9110, 15.4.

    Raises:
        PlatformError: The request must not go there.
    """
    if request.method != "GET":
        if status == 303:
            # A name of its own, since a GET may count for another usage plan group.
            operation = f"{request.operation} result"
            request = attrs.evolve(request, operation=operation, method="GET", body=None)
        elif status not in (307, 308):
            raise PlatformError(
                f"{request.operation}: refusing to follow HTTP {status}, which would change what is asked for"
            )
        elif not may_send_body:
            raise PlatformError(f"{request.operation}: refusing to send this to another host")
    return attrs.evolve(request, url=url, params=())


def following_page(request: Request, url: str) -> Request:
    """The page at `url`, which an answer to `request` named as the next one."""
    return attrs.evolve(request, url=url, params=())


def read_content(key: ContentKey, uri: str, byte_range: ByteRange | None) -> Request:
    """The bytes of a content, at `uri`, or when that is empty where the API has them by rule."""
    return Request(key.operation, key.group, uri or key.resource, byte_range=byte_range)
