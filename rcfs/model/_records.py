"""Extensions, messages and attachments, as the API's records have them; any field may be absent there.

Source: schemas GetMessageInfoResponse, MessageAttachmentInfo, GetExtensionListInfoResponse of the
official description. Times are seconds since 1970-01-01 UTC (float), None when the record has none.
"""

from enum import StrEnum

import attrs

TEXTUAL_TYPES = ("SMS", "Pager")
"""Message types whose ``subject`` is the whole text, and which have conversations. Source: ``subject`` and
``conversationId`` of the schema GetMessageInfoResponse."""


INBOUND = "Inbound"
OUTBOUND = "Outbound"
"""Directions of messages and calls, as the API names them."""


class Availability(StrEnum):
    """The state of a message: first Alive, then Deleted (in the trash), then Purged, then gone."""

    ALIVE = "Alive"
    DELETED = "Deleted"
    PURGED = "Purged"


@attrs.frozen
class Party:
    """A sender or recipient; all fields empty for a caller who hides the number."""

    name: str = ""
    """Display name; empty when unknown."""
    phone_number: str = ""
    """Number as sent, usually E.164; empty when unknown."""
    extension_number: str = ""
    """Short number within the account; empty when outside or unknown."""

    @property
    def number(self) -> str:
        """The phone number, or else the extension number; empty if there is neither."""
        return self.phone_number or self.extension_number


@attrs.frozen
class Attachment:
    """One attachment record of a message."""

    id: int
    """Unique within its message only."""
    kind: str = ""
    """``type`` of the record: AudioRecording, AudioTranscription, Text, SourceDocument,
    RenderedDocument, MmsAttachment, or a new type; empty when absent."""
    content_type: str = ""
    """Media type without parameters, in lower case; empty when absent."""
    uri: str = ""
    """Absolute URI of the content as the payload gave it; empty when absent."""
    file_name: str = ""
    """Name chosen by the sender's device: untrusted; empty when absent."""
    size_bytes: int | None = None
    """Exact size from metadata; None when absent, as for all kinds except MMS files."""
    duration_s: int | None = None
    """Length of a voicemail in seconds; None when absent."""


@attrs.frozen
class Message:
    """One message record."""

    id: int
    """Unique within the account."""
    type: str = ""
    """SMS, VoiceMail, Fax, Pager, or a new type; empty when absent."""
    direction: str = ""
    """Inbound or Outbound; empty when absent."""
    sender: Party = Party()
    """``from`` of the record; an empty party when absent."""
    recipients: tuple[Party, ...] = ()
    """``to`` of the record, in its order."""
    created_s: float | None = None
    """``creationTime``."""
    modified_s: float | None = None
    """``lastModifiedTime``."""
    availability: str = Availability.ALIVE
    """Alive, Deleted or Purged; Alive when absent."""
    read_status: str = ""
    """Read or Unread; empty when absent."""
    subject: str | None = None
    """The whole text of an SMS or Pager message; None when absent."""
    conversation_id: str = ""
    """Exact decimal id of the conversation (it may exceed 2^53); empty when the message has none."""
    fax_pages: int | None = None
    """Number of pages of a fax; None when absent."""
    attachments: tuple[Attachment, ...] = ()
    """The attachments in the record's order, without entries that are no objects or have no id."""
    raw: str = "{}"
    """The record itself as compact JSON text, nothing left out."""

    @property
    def is_outbound(self) -> bool:
        """Whether the owner sent the message; one without a direction counts as inbound."""
        return self.direction == OUTBOUND

    @property
    def counterparts(self) -> tuple[Party, ...]:
        """The recipients of an outbound message, in the order of the record; the sender of any other."""
        return self.recipients if self.is_outbound else (self.sender,)

    @property
    def has_text(self) -> bool:
        """Whether the record itself has the text of the message."""
        return self.type in TEXTUAL_TYPES and self.subject is not None

    @property
    def fetched_attachments(self) -> tuple[Attachment, ...]:
        """The attachments that are files of their own, each fetched with a request, in the record's order.

        A Text attachment is left out if the record has the text. Of several with the same id only the first
        counts, as the platform has one content for an id.
        """
        first: dict[int, Attachment] = {}
        for attachment in self.attachments:
            if not (self.has_text and attachment.kind == "Text"):
                first.setdefault(attachment.id, attachment)
        return tuple(first.values())


@attrs.frozen
class Extension:
    """One extension record."""

    id: int
    """Internal id, which is not the number."""
    number: str = ""
    """Extension number; empty when absent."""
    name: str = ""
    """Display name, untrusted; empty when absent."""
    type: str = ""
    """User, Department, Announcement, … or a new type; empty when absent."""
    status: str = ""
    """Enabled, Disabled, Frozen, NotActivated, Unassigned; empty when absent."""
    raw: str = "{}"
    """The record itself as compact JSON text."""
    seen_s: int | None = attrs.field(default=None, eq=False)
    """When rcfs first saw this record, in seconds since 1970-01-01 UTC; None if that is not recorded."""
