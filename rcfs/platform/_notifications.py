"""Makes and reads the frames on a WebSocket of the platform. Pure.

A frame is a JSON array of its metadata and a body. Of a notification, rcfs uses only the id of the extension
whose mailbox changed, or whose call ended. Source: "WebSockets" and "Event filters" of the API's
documentation; the operation createSubscription.
"""

import json
import re
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlencode

import attrs

from rcfs.errors import PlatformError, ServerError
from rcfs.model import COMPANY, RateHeaders, object_field, text_field
from rcfs.platform._answer import rate_headers, retry_after_s
from rcfs.platform._document import decoded
from rcfs.platform._errors import refusal

SUBSCRIPTION_PATH = "/restapi/v1.0/subscription"
_STORE = "/restapi/v1.0/account/~/extension/{}/message-store"
_EXTENSION = re.compile(r"/extension/([0-9]{1,18})/message-store\b", re.ASCII)
_COMPANY_CALLS = "/restapi/v1.0/account/~/telephony/sessions?statusCode=Disconnected"
_CALLS = "/restapi/v1.0/account/~/extension/{}/telephony/sessions?statusCode=Disconnected"
"""The ends of calls; without the status, several notifications would come while a call lasts."""
_CALL = re.compile(r"/account/[^/]{1,32}(?:/extension/([0-9]{1,18}))?/telephony/sessions\b", re.ASCII)

_MAX_STATUS = 999
"""Largest HTTP status: three digits."""
_TOKEN_LETTERS = 8192
"""Longest token that continues a connection; the server refuses a cut one."""


@attrs.frozen
class SocketAccess:
    """Permission to open one WebSocket soon."""

    uri: str
    """URI of the WebSocket."""
    token: str = attrs.field(repr=False)
    """Token for one use within about half a minute."""

    def url(self, recovery: str) -> str:
        """The URL to open; `recovery` is the `Frame.recovery` of a connection to continue, or empty."""
        query = {"access_token": self.token} | ({"wsc": recovery} if recovery else {})
        return f"{self.uri}{'&' if '?' in self.uri else '?'}{urlencode(query)}"


def socket_access(record: Mapping[str, Any]) -> SocketAccess:
    """The permission in the answer of wstoken.

    Raises:
        ServerError: It has no token or no URI.
    """
    uri, token = record.get("uri"), record.get("ws_access_token")
    if not isinstance(uri, str) or not isinstance(token, str) or not uri or not token:
        raise ServerError("authWsToken: the answer has no token or no URI")
    return SocketAccess(uri, token)


@attrs.frozen
class Frame:
    """A frame of the server."""

    kind: str
    """``ConnectionDetails``, ``ClientRequest`` (an answer), ``ServerNotification``, ``Heartbeat``, ``Error``,
    or a new kind."""
    message_id: str = ""
    """Id of the request that an answer or heartbeat is for; empty for other kinds."""
    status: int = 0
    """HTTP status of an answer; 0 without one."""
    headers: Mapping[str, str] = attrs.field(factory=dict)
    """Headers of an answer, as over HTTP, by name in lower case."""
    recovery: str = ""
    """Token that continues this connection after it broke; empty if the frame has none."""
    body: Mapping[str, Any] = attrs.field(factory=dict)
    """The body; empty if it is absent or no object."""

    @property
    def rate(self) -> RateHeaders | None:
        """As `Answer.rate`."""
        return rate_headers(self.headers)

    @property
    def retry_after_s(self) -> float | None:
        """As `Answer.retry_after_s`."""
        return retry_after_s(self.headers)

    @property
    def is_recovered(self) -> bool:
        """Whether the connection continues an earlier one without loss."""
        return self.body.get("recoveryState") == "Successful"

    @property
    def subscription_id(self) -> str:
        """Id of the subscription in the body; empty without one."""
        return text_field(self.body, "id")

    @property
    def told_extension(self) -> int | None:
        """Id of the extension whose mailbox changed, by a notification; None for other frames."""
        match = _EXTENSION.search(text_field(self.body, "event"))
        return int(match[1]) if match else None

    @property
    def told_call(self) -> int | None:
        """The owner of the calls of which one has ended, by a notification; None for other frames.

        It is the id of an extension, or `COMPANY` if the subscription is for all calls of the account.
        """
        match = _CALL.search(text_field(self.body, "event"))
        if match is None:
            return None
        return int(match[1]) if match[1] else COMPANY

    def refusal(self, operation: str) -> PlatformError:
        """The error for an answer that refuses `operation`."""
        body = json.dumps(self.body).encode()
        request_id = self.headers.get("rcrequestid", "")
        return refusal(self.status or 500, body, operation=operation, request_id=request_id)


def frame_from(text: str) -> Frame:
    """The frame that the server sent as `text`.

    Raises:
        ServerError: `text` is not a frame.
    """
    parts = decoded(text, "notification")
    meta, body = [*parts, None, None][:2] if isinstance(parts, list) else (None, None)
    if not isinstance(meta, dict):
        raise ServerError("the server sent a WebSocket message that is not a frame")
    status = meta.get("status")
    return Frame(
        kind=text_field(meta, "type"),
        message_id=text_field(meta, "messageId"),
        status=status if isinstance(status, int) and 0 <= status <= _MAX_STATUS else 0,
        headers={name.lower(): str(value) for name, value in object_field(meta, "headers").items()},
        recovery=text_field(object_field(meta, "wsc"), "token", _TOKEN_LETTERS),
        body=body if isinstance(body, dict) else {},
    )


def subscription_frame(
    message_id: str,
    extension_ids: Collection[int],
    subscription_id: str,
    callers: Collection[int] = (),
) -> str:
    """The frame that subscribes to exactly these mailboxes and ends of calls.

    Args:
        message_id: Id of the request.
        extension_ids: The owners of the mailboxes.
        subscription_id: The subscription to change; empty for a new one.
        callers: The owners of the calls: ids of extensions, or `COMPANY` for all calls of the account.
    """
    stores = [_STORE.format(number) for number in sorted(extension_ids)]
    calls = [_COMPANY_CALLS if owner == COMPANY else _CALLS.format(owner) for owner in sorted(callers)]
    request = {
        "type": "ClientRequest",
        "messageId": message_id,
        "method": "PUT" if subscription_id else "POST",
        "path": f"{SUBSCRIPTION_PATH}/{subscription_id}" if subscription_id else SUBSCRIPTION_PATH,
    }
    body = {
        "eventFilters": stores + calls,
        "deliveryMode": {"transportType": "WebSocket"},
    }
    return json.dumps([request, body])


def heartbeat_frame(message_id: str) -> str:
    """The frame that asks whether the server is alive; it counts for no usage plan group."""
    return json.dumps([{"type": "Heartbeat", "messageId": message_id}])
