"""The text and attachments of one message, and how its record shows its parties."""

from collections.abc import Mapping

import attrs

from rcfs.simulator.account._people import Contact, SimExtension
from rcfs.simulator.media._content import Media

ATTACHMENT_STEP = 1000
"""Distance between the attachment ids of a message; the first is the message's own id."""


@attrs.frozen
class Part:
    """One attachment: its recipe, and how its record shows it."""

    id: int
    """Attachment id, unique within its message."""
    kind: str
    """``type`` of the record."""
    media: Media
    """Recipe for its bytes."""
    on_media_host: bool = False
    """Whether its ``uri`` points to the media host."""
    fields: Mapping[str, object] = attrs.field(factory=dict)
    """Fields of the record that replace or extend id, uri, type and contentType."""
    absent: frozenset[str] = frozenset()
    """Names of the fields that the record lacks."""

    @property
    def file_name(self) -> str | None:
        """``fileName`` of the record; None when it has none."""
        name = self.fields.get("fileName")
        return name if isinstance(name, str) else None


@attrs.frozen
class Draft:
    """The unchangeable part of a message."""

    fields: dict[str, object]
    """Fields of the record, besides id, uri, times, type, direction, state and attachments."""
    parts: tuple[Part, ...] = ()
    """Attachments, in the order of the record."""

    @property
    def conversation(self) -> str:
        """Decimal id of the message's conversation; empty if it belongs to none."""
        conversation = self.fields.get("conversation")
        return str(conversation.get("id", "")) if isinstance(conversation, dict) else ""


def outside(party: Contact) -> dict[str, object]:
    """A party outside the account, as a record shows it."""
    shown: dict[str, object] = {"phoneNumber": party.number, "location": party.location}
    return shown | {"name": party.name} if party.name else shown


def inside(party: SimExtension) -> dict[str, object]:
    """A party inside the account, as a record shows it."""
    shown: dict[str, object] = {"extensionId": str(party.id), "name": party.name}
    return shown | {"extensionNumber": party.number} if party.number else shown


def sized(attachment_id: int, media: Media, file_name: str | None) -> Part:
    """A file of an MMS, whose record has a size; an empty or missing name is left out."""
    fields: dict[str, object] = {"size": media.size_bytes}
    if file_name:
        fields["fileName"] = file_name
    return Part(attachment_id, "MmsAttachment", media, on_media_host=True, fields=fields)
