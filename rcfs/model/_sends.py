"""Messages on their way out: how far each is, from the wish to its delivery.

Times are in seconds since 1970-01-01 UTC by the platform's clock.
"""

import enum
from collections.abc import Mapping
from typing import Any, Final

import attrs

from rcfs.model._sending import Outgoing, SendKind, outgoing_from_json, outgoing_to_json

UNSENT: Final = "unsent"
"""The event in the log of a mount that names files in Outbox which end with it; `rcfs umount` repeats it."""


class SendState(enum.Enum):
    """How far a message is."""

    WAITING = "Waiting"
    """Nothing was sent, or certainly nothing was carried out."""
    ASKED = "Asked"
    """A request may be under way, or its answer is lost: nothing is sent before rcfs has looked for it."""
    SENT = "Sent"
    """The platform has the message; `Send.status` tells how far it is there."""
    REFUSED = "Refused"
    """The platform does not take it; see `Send.problem`."""
    UNKNOWN = "Unknown"
    """rcfs cannot find out whether it was sent, and leaves it to a person."""

    @property
    def is_settled(self) -> bool:
        """Whether rcfs sends nothing for it any more unless a person asks for that."""
        return self not in (SendState.WAITING, SendState.ASKED)


@attrs.frozen
class Send:
    """A message that somebody wants to send, and how far it is."""

    id: str
    """Its id in rcfs: a random text of letters and digits."""
    outgoing: Outgoing
    """The message."""
    state: SendState
    """How far it is."""
    created_s: float
    """When it was wanted."""
    since_s: float
    """When the state began."""
    asked_s: float = 0.0
    """When a request for it may have been carried out first; 0.0 if none was sent."""
    ended_s: float = 0.0
    """When the latest request ended without an answer; 0.0 while it may be under way, or after a kill."""
    attempts: int = 0
    """Number of requests that may have been carried out."""
    looks: int = 0
    """Number of looks for it since the latest request."""
    next_s: float = 0.0
    """When rcfs sends it, or looks for it, again; 0.0 for at once."""
    message_id: int | None = None
    """The platform's id of the message; None until it is known."""
    status: str = ""
    """The platform's word for its delivery, see `Delivery.status`; empty when unknown."""
    is_final: bool = False
    """Whether the platform will not tell more of its delivery."""
    problem: str = ""
    """Why it waits, was refused, is unknown or was not delivered, as a sentence without a full stop."""

    @property
    def is_failed(self) -> bool:
        """Whether it did not, or will not, reach its recipients."""
        return self.state is SendState.REFUSED or (self.state is SendState.SENT and bool(self.problem))


def send_to_json(send: Send) -> dict[str, Any]:
    """`send` as a JSON object, for `send_from_json`; without id, state and the times of those."""
    fields = attrs.asdict(send, recurse=False, filter=lambda field, _value: field.name not in _OUTSIDE)
    return fields | {"outgoing": outgoing_to_json(send.outgoing)}


def send_from_json(
    send_id: str, state: str, created_s: float, since_s: float, fields: Mapping[str, Any]
) -> Send:
    """The send that `send_to_json` turned into `fields`.

    Raises:
        ValueError, TypeError, KeyError: Another version of rcfs wrote it, with other words.
    """
    values = dict(fields)
    outgoing = outgoing_from_json(values.pop("outgoing"))
    return Send(send_id, outgoing, SendState(state), created_s, since_s, **values)


_OUTSIDE = frozenset({"id", "state", "created_s", "since_s"})
"""The fields that a list of intents has as columns of its own."""


def send_words(send: Send) -> str:
    """How far a message is, for a person: a line without a full stop."""
    match send.state:
        case SendState.WAITING:
            return f"waits: {send.problem}" if send.problem else "waits to be sent"
        case SendState.ASKED:
            return f"was asked for: {send.problem}" if send.problem else "is being sent"
        case SendState.REFUSED:
            return f"not sent: {send.problem}"
        case SendState.UNKNOWN:
            return f"unknown whether it was sent: {send.problem}"
        case SendState.SENT:
            if send.problem:
                return f"not delivered: {send.problem}"
            words = {"": "accepted", "Queued": "queued", "Sent": "sent", "Delivered": "delivered"}
            return words.get(send.status, send.status)


def kind_words(kind: SendKind) -> str:
    """The kind of a message with its article, for a sentence."""
    return {
        SendKind.SMS: "a text",
        SendKind.MMS: "a text with files",
        SendKind.FAX: "a fax",
        SendKind.PAGE: "a page",
    }[kind]
