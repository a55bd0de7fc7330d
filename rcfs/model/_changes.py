"""Changes of messages that people want: what is wanted, what the platform said last, and how far it is.

One value stands for all that is wanted of one message, so that contrary wishes cancel each other out.
"""

import json
from enum import StrEnum

import attrs

from rcfs.model._fields import Record, natural, object_field, text_field
from rcfs.model._records import Availability, Message

READ = "Read"
UNREAD = "Unread"
"""Values of ``readStatus``. Source: MessageReadStatusEnum of the official description."""

DELETE_LIMIT = 100
"""Deletions in an hour that need no confirmation, unless the user sets another number."""


class Action(StrEnum):
    """The change that a request makes."""

    MARK_READ = "mark read"
    MARK_UNREAD = "mark unread"
    TRASH = "trash"
    RESTORE = "restore"
    PURGE = "purge"
    DELETE_CONVERSATION = "delete conversation"
    """As TRASH, for all messages of a conversation at once."""

    @property
    def is_deletion(self) -> bool:
        """Whether it counts for the limit of deletions."""
        return self in (Action.TRASH, Action.PURGE, Action.DELETE_CONVERSATION)


class ChangeState(StrEnum):
    """How far a change is."""

    WAITING = "waiting"
    """It waits to be sent."""
    HELD = "held"
    """It is a deletion beyond the limit, so rcfs sends it only after a confirmation."""
    ASKED = "asked"
    """A request may be under way, or its answer is lost: the message is read before anything else is sent."""
    DONE = "done"
    """The platform has made the change; kept for a while, because older records may still arrive."""
    WITHDRAWN = "withdrawn"
    """It was refused, or is not wanted any more; removed when the index shows the platform's state again."""

    @property
    def is_open(self) -> bool:
        """Whether the message is to be shown as people want it."""
        return self in (ChangeState.WAITING, ChangeState.HELD, ChangeState.ASKED)


@attrs.frozen
class Standing:
    """The state of a message, as the platform tells it."""

    read_status: str
    """``Read`` or ``Unread``; empty when absent."""
    availability: str
    """``Alive``, ``Deleted`` or ``Purged``."""
    modified_s: float | None = None
    """``lastModifiedTime``, in seconds since 1970 UTC; None when absent."""

    @classmethod
    def of(cls, message: Message) -> "Standing":
        """The state in the record of `message`."""
        return cls(message.read_status, message.availability, message.modified_s)

    def is_older(self, other: "Standing") -> bool:
        """Whether this was certainly said before `other`."""
        return self.modified_s is not None and self.modified_s < (other.modified_s or 0.0)


GONE = Standing("", Availability.PURGED)
"""Of a message that the platform no longer has."""


@attrs.frozen(kw_only=True)
class MessageChange:
    """The change of one message that people want."""

    owner_id: int
    """The extension whose mailbox has the message."""
    message_id: int
    state: ChangeState
    created_s: float
    """When it was wanted, in seconds since 1970 UTC."""
    changed_s: float
    """When `state` or what is wanted changed last, likewise."""
    was: Standing
    """The latest state that is known; after a success, the one that the platform must have."""
    read_status: str = ""
    """``Read`` or ``Unread``; empty if nobody wants to change it."""
    availability: str = ""
    """``Alive``, ``Deleted`` or ``Purged``; empty if nobody wants to change it."""
    asked: Action | None = None
    """The action of the latest request, if that is under way, uncertain or done."""
    conversation_id: str = ""
    """The conversation that is to be deleted, and the message with it; empty for the message alone."""
    is_confirmed: bool = False
    """Whether somebody has confirmed this deletion, so that it does not count for the limit."""
    is_alone: bool = False
    """Whether the platform has refused a request for several messages, so that this one gets its own."""
    record: str = ""
    """The record of a message that is to be purged, since the index may drop it; else empty."""

    @property
    def key(self) -> tuple[int, int]:
        """Owner and message."""
        return self.owner_id, self.message_id

    @property
    def next_action(self) -> Action | None:
        """The next request; None if the message is as wanted, or can no longer become so."""
        was = self.was.availability
        if self.read_status not in ("", self.was.read_status) and was != Availability.PURGED:
            return Action.MARK_READ if self.read_status == READ else Action.MARK_UNREAD
        if was == Availability.ALIVE and self.availability in (Availability.DELETED, Availability.PURGED):
            return Action.TRASH
        if was == Availability.DELETED and self.availability == Availability.PURGED:
            return Action.PURGE
        if was == Availability.DELETED and self.availability == Availability.ALIVE:
            return Action.RESTORE
        return None

    @property
    def body(self) -> str:
        """All fields but `state` and the two times, as JSON."""
        optional = {
            "readStatus": self.read_status,
            "availability": self.availability,
            "asked": str(self.asked or ""),
            "conversationId": self.conversation_id,
            "confirmed": self.is_confirmed,
            "alone": self.is_alone,
            "record": self.record,
        }
        was = {
            "readStatus": self.was.read_status,
            "availability": self.was.availability,
            "modified": self.was.modified_s,
        }
        fields = {name: value for name, value in optional.items() if value}
        return json.dumps({"owner": self.owner_id, "message": self.message_id, "was": was, **fields})

    @classmethod
    def parse(cls, body: str, state: str, created_s: float, changed_s: float) -> "MessageChange | None":
        """The change with this `body`; None if another version of rcfs wrote it, in other words."""
        try:
            fields: Record = json.loads(body)
            owner_id, message_id = natural(fields.get("owner")), natural(fields.get("message"))
            was = object_field(fields, "was")
            if owner_id is None or message_id is None:
                return None
            asked, modified_s = text_field(fields, "asked"), was.get("modified")
            return cls(
                owner_id=owner_id,
                message_id=message_id,
                state=ChangeState(state),
                created_s=created_s,
                changed_s=changed_s,
                was=Standing(
                    text_field(was, "readStatus"),
                    text_field(was, "availability"),
                    None if modified_s is None else float(modified_s),
                ),
                read_status=text_field(fields, "readStatus"),
                availability=text_field(fields, "availability"),
                asked=Action(asked) if asked else None,
                conversation_id=text_field(fields, "conversationId"),
                is_confirmed=bool(fields.get("confirmed")),
                is_alone=bool(fields.get("alone")),
                record=str(fields.get("record", "")),
            )
        except (AttributeError, TypeError, ValueError):
            return None


@attrs.frozen
class ChangeRules:
    """The changes that a process may make."""

    read_write: bool = False
    """Whether people may change messages through the file system, and rcfs sends the outbox by itself."""
    allow_purge: bool = False
    """Whether they may also purge messages there."""
    delete_limit: int = DELETE_LIMIT
    """Deletions in an hour that need no confirmation."""
