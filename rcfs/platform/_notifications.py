"""What goes over a WebSocket of the platform: frames ↔ values. Pure.

A frame is a JSON array of what it is, and a body. Of a notification nothing is believed but whose mailbox it
is about. Source: "WebSockets" of the API's documentation; the operation createSubscription.
"""

import json
import re
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlencode

import attrs

from rcfs.errors import PlatformError, ServerError
from rcfs.model import RateHeaders
from rcfs.platform._answer import rate_headers, retry_after_s
from rcfs.platform._document import decoded
from rcfs.platform._errors import refusal

SUBSCRIPTION_PATH = "/restapi/v1.0/subscription"
_STORE = "/restapi/v1.0/account/~/extension/{}/message-store"
_EXTENSION = re.compile(r"/extension/([0-9]{1,18})/message-store\b", re.ASCII)

_MAX_STATUS = 999
"""HTTP's have three digits."""


@attrs.frozen
class SocketAccess:
    """Opens one WebSocket, soon."""

    uri: str
    """Where."""
    token: str = attrs.field(repr=False)
    """With what; good once, for about half a minute."""

    def url(self, recovery: str) -> str:
        """The URL to open; `recovery` is the mark of the connection that it continues, empty for none."""
        query = {"access_token": self.token} | ({"wsc": recovery} if recovery else {})
        return f"{self.uri}{'&' if '?' in self.uri else '?'}{urlencode(query)}"


def socket_access(record: Mapping[str, Any]) -> SocketAccess:
    """What the answer of wstoken gives.

    Raises:
        ServerError: It lacks the token or the address.
    """
    uri, token = record.get("uri"), record.get("ws_access_token")
    if not isinstance(uri, str) or not isinstance(token, str) or not uri or not token:
        raise ServerError("authWsToken: the answer opens no WebSocket")
    return SocketAccess(uri, token)


@attrs.frozen
class Frame:
    """A frame of the server."""

    kind: str
    """``ConnectionDetails``, ``ClientRequest`` (an answer), ``ServerNotification``, ``Heartbeat``, ``Error``,
    or one that is new."""
    message_id: str = ""
    """Of an answer or heartbeat: that of the request."""
    status: int = 0
    """HTTP status; 0 when it has none."""
    headers: Mapping[str, str] = attrs.field(factory=dict)
    """Of an answer, as over HTTP."""
    recovery: str = ""
    """What continues this connection after it broke; empty when it does not say."""
    body: Mapping[str, Any] = attrs.field(factory=dict)
    """The body; empty when there is none, or it is no object."""

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
        """Whether the connection continues an earlier one, of which nothing was lost."""
        return self.body.get("recoveryState") == "Successful"

    @property
    def subscription_id(self) -> str:
        """Id of the subscription that it tells of; empty when there is none."""
        return _text(self.body, "id")

    @property
    def told_extension(self) -> int | None:
        """Whose mailbox has changed, by a notification; None when it does not say."""
        match = _EXTENSION.search(_text(self.body, "event"))
        return int(match[1]) if match else None

    def refusal(self, operation: str) -> PlatformError:
        """The error that it means."""
        body = json.dumps(self.body).encode()
        request_id = self.headers.get("rcrequestid", "")
        return refusal(self.status or 500, body, operation=operation, request_id=request_id)


def frame_from(text: str) -> Frame:
    """The frame that the server sent as `text`.

    Raises:
        ServerError: It is none.
    """
    parts = decoded(text, "notification")
    meta, body = [*parts, None, None][:2] if isinstance(parts, list) else (None, None)
    if not isinstance(meta, dict):
        raise ServerError("a notification is no frame")
    status, headers, mark = meta.get("status"), meta.get("headers"), meta.get("wsc")
    return Frame(
        kind=_text(meta, "type"),
        message_id=_text(meta, "messageId"),
        status=status if isinstance(status, int) and 0 <= status <= _MAX_STATUS else 0,
        headers={name.lower(): str(value) for name, value in headers.items()}
        if isinstance(headers, dict)
        else {},
        recovery=_text(mark, "token") if isinstance(mark, dict) else "",
        body=body if isinstance(body, dict) else {},
    )


def subscription_frame(message_id: str, extension_ids: Collection[int], subscription_id: str) -> str:
    """Asks to be told of these mailboxes, and no others; `subscription_id` is empty for the first time."""
    request = {
        "type": "ClientRequest",
        "messageId": message_id,
        "method": "PUT" if subscription_id else "POST",
        "path": f"{SUBSCRIPTION_PATH}/{subscription_id}" if subscription_id else SUBSCRIPTION_PATH,
    }
    body = {
        "eventFilters": [_STORE.format(number) for number in sorted(extension_ids)],
        "deliveryMode": {"transportType": "WebSocket"},
    }
    return json.dumps([request, body])


def heartbeat_frame(message_id: str) -> str:
    """Asks whether the server is there; counts for no usage plan group."""
    return json.dumps([{"type": "Heartbeat", "messageId": message_id}])


def _text(record: Mapping[str, Any], name: str) -> str:
    value = record.get(name)
    return value if isinstance(value, str) else ""
