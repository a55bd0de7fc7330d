"""Events that a client can subscribe to, and their bodies.

Source: "Event filters" of RingCentral's API documentation; schemas MessageEvent, InstantMessageEvent and
VoicemailMessageEvent of the official description. There is no filter for the messages of a whole account, but
there is one for its telephony sessions.
"""

import re
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any

import attrs

from rcfs.simulator._params import Query, iso_time
from rcfs.simulator.account._message_filter import DIRECTIONS, MESSAGE_TYPES
from rcfs.simulator.account._plan import SimMessage
from rcfs.simulator.account._records import Json

_PATH = re.compile(r"/restapi/v1\.0/account/([^/?]+)(?:/extension/([^/?]+))?/([^?]+)(?:\?(.*))?")

SESSIONS = "telephony/sessions"
"""Events about calls, see `_call_events`."""

_CODES = (
    *("Setup", "Proceeding", "Answered", "Disconnected", "Gone", "Parked", "Hold", "VoiceMail", "FaxReceive"),
    "VoiceMailScreening",
)
"""Values of ``statusCode`` (documentation of the event)."""

_INSTANT, _VOICEMAIL, _FAX = "message-store/instant", "voicemail", "fax"

_SINGLE = MappingProxyType(
    {_INSTANT: ("SMS", "type=SMS"), _VOICEMAIL: ("VoiceMail", ""), _FAX: ("Fax", "direction=Inbound")}
)
"""Events that carry a whole incoming message: its type, and the query that a filter must have."""


@attrs.frozen
class EventFilter:
    """Events of one message store, or about the calls of an extension or of the whole account."""

    extension_id: int | None
    """The owner of the store or of the calls; None for the whole account."""
    resource: str = "message-store"
    """``message-store`` for all changes; `SESSIONS` for calls; the others carry each incoming message."""
    query: str = ""
    """The query as the client sent it."""
    types: Collection[str] = MESSAGE_TYPES
    """Types of messages that match."""
    directions: Collection[str] = DIRECTIONS
    """Directions of messages or calls that match."""
    codes: Collection[str] = ()
    """States of a call that match; empty for all."""
    recorded_only: bool = False
    """Whether only recorded calls match."""

    @classmethod
    def parse(cls, path: str) -> tuple[str, str | None, "EventFilter"]:
        """The account, the extension, and the filter that `path` names; the caller sets its extension id.

        The extension is None for the events of the whole account.

        Raises:
            ValueError: The simulator has no such events.
            ApiError: 400, a type or direction is unknown.
        """
        match = _PATH.fullmatch(path)
        if match is None:
            raise ValueError("no message store")
        account, extension, resource, query = match[1], match[2], match[3], match[4] or ""
        if resource == SESSIONS:
            return account, extension, cls._of_sessions(query)
        if extension is None:
            raise ValueError("no such events of a whole account")
        if resource in _SINGLE:
            kind, needed = _SINGLE[resource]
            if query != needed:
                raise ValueError(f"the query must be {needed!r}")
            return account, extension, cls(0, resource, query, (kind,), ("Inbound",))
        asked = Query(query)
        if resource != "message-store" or not asked.fields().keys() <= {"type", "direction"}:
            raise ValueError("no such events")
        types = asked.choices("type", MESSAGE_TYPES) or MESSAGE_TYPES
        directions = asked.choices("direction", DIRECTIONS) or DIRECTIONS
        return account, extension, cls(0, resource, query, types, directions)

    @classmethod
    def _of_sessions(cls, query: str) -> "EventFilter":
        asked = Query(query)
        # phoneNumber, missedCall and sipData are documented, but not simulated.
        if not asked.fields().keys() <= {"direction", "statusCode", "withRecordings"}:
            raise ValueError("no such filter of telephony sessions")
        directions = asked.choices("direction", DIRECTIONS) or DIRECTIONS
        codes = asked.choices("statusCode", _CODES)
        recorded_only = asked.choices("withRecordings", ("true", "false")) == {"true"}
        return cls(None, SESSIONS, query, (), directions, codes, recorded_only)

    def path(self, account_id: int) -> str:
        """The filter as a path, with ids."""
        query = f"?{self.query}" if self.query else ""
        place = f"/restapi/v1.0/account/{account_id}"
        if self.extension_id is not None:
            place += f"/extension/{self.extension_id}"
        return f"{place}/{self.resource}{query}"


@attrs.frozen
class MessageEvent:
    """A message that has arrived or changed."""

    message: SimMessage
    """The message."""
    is_new: bool
    """Whether it has just arrived."""
    record: Callable[[], Json]
    """Makes the message's record."""

    def body(self, wanted: EventFilter) -> Json | None:
        """The body of the notification for the filter `wanted`; None if the filter does not match."""
        message = self.message
        if (
            wanted.extension_id != message.extension_id
            or message.type not in wanted.types
            or message.direction not in wanted.directions
        ):
            return None
        if wanted.resource == "message-store":
            change: Json = {"type": message.type, "newCount": int(self.is_new)}
            change["updatedCount"] = int(not self.is_new)
            if self.is_new:
                change["newMessageIds"] = [message.id]
            return _changes(message.extension_id, [change], message.last_modified)
        return _single(self.record(), wanted.resource) if self.is_new else None


@attrs.frozen
class MadeUpEvent:
    """An event that a test asks for, whether the changes happened or not."""

    extension_id: int
    """The owner of the message store."""
    changes: Collection[Mapping[str, Any]]
    """The changes, as the event lists them (schema MessageChanges)."""
    time_s: float
    """Time of the event, in the account's time."""

    def body(self, wanted: EventFilter) -> Json | None:
        """The body of the notification for the filter `wanted`; None if the filter does not match."""
        if (wanted.extension_id, wanted.resource) != (self.extension_id, "message-store"):
            return None
        return _changes(self.extension_id, self.changes, self.time_s)


def _changes(extension_id: int, changes: Collection[Mapping[str, Any]], time_s: float) -> Json:
    """The body of an event about a message store; the caller adds the owner."""
    return {
        "extensionId": str(extension_id),
        "lastUpdated": iso_time(time_s),
        "changes": [dict(change) for change in changes],
    }


def _single(record: Json, resource: str) -> Json:
    """The body of an event about one message; ids in it are strings, except a voicemail's."""
    body = {name: value for name, value in record.items() if name != "uri"}
    if resource == _VOICEMAIL:
        return body | {"type": "Voicemail"}
    return body | {name: str(body[name]) for name in ("id", "conversationId") if name in body}
