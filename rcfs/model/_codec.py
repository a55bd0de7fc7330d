"""JSON records of the API → values of the model.

Every field of a record may be absent, null or of a wrong type; the value then holds its default, and
the record itself is kept whole in ``raw``. Only a record without a usable id is refused. Source: the
schemas of the official description, and payloads that deviate from them.
"""

import json

from rcfs.errors import ServerError
from rcfs.model._fields import Record, integer, natural, objects, size_field, text_field, uri_field
from rcfs.model._records import Attachment, Availability, Extension, Message, Party
from rcfs.model._text import valid
from rcfs.model._times import parse_time

_COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def _party(value: object) -> Party:
    if not isinstance(value, dict):
        return Party()
    return Party(
        name=text_field(value, "name"),
        phone_number=text_field(value, "phoneNumber"),
        extension_number=text_field(value, "extensionNumber"),
    )


def _attachment(record: Record) -> Attachment | None:
    attachment_id = natural(record.get("id"))
    if attachment_id is None:
        return None
    return Attachment(
        id=attachment_id,
        kind=text_field(record, "type"),
        content_type=text_field(record, "contentType").partition(";")[0].strip().lower(),
        uri=uri_field(record),
        file_name=text_field(record, "fileName"),
        size_bytes=size_field(record.get("size")),
        duration_s=natural(record.get("vmDuration")),
    )


def _raw(record: Record) -> str:
    text = _COMPACT.encode(record)
    # A lone surrogate, which no UTF-8 has, as the escape that JSON has for it: the text is kept in a file.
    return text.encode("utf-8", "backslashreplace").decode()


_MOST_DAYS = 36_500
"""Longest retention that is believed: a century, which no account outlives and no calendar ends in."""


def retention_days(record: Record) -> int:
    """``retentionPeriod`` of the account's message store, in days: how long faxes and voicemails are kept.

    Raises:
        ServerError: There is none, or it is no number of days.
    """
    days = natural(record.get("retentionPeriod"))
    if not days:
        raise ServerError("the configuration of the message store has no retention period")
    return min(days, _MOST_DAYS)


def message_from(record: Record, raw: str = "") -> Message | None:
    """The message of one record; None when it has no usable id, and so cannot be told from others.

    `raw` is the record as compact JSON text, if it is at hand.
    """
    message_id = natural(record.get("id"))
    if message_id is None:
        return None
    conversation = record.get("conversation")
    conversation_id = text_field(conversation, "id") if isinstance(conversation, dict) else ""
    if not conversation_id:
        number = integer(
            record.get("conversationId")
        )  # which is a text here, so an unsigned one may be larger
        conversation_id = "" if number is None or number < 0 else str(number)
    subject = record.get("subject")
    attachments = [_attachment(item) for item in objects(record.get("attachments"))]
    return Message(
        id=message_id,
        type=text_field(record, "type"),
        direction=text_field(record, "direction"),
        sender=_party(record.get("from")),
        recipients=tuple(_party(item) for item in objects(record.get("to"))),
        created_s=parse_time(record.get("creationTime")),
        modified_s=parse_time(record.get("lastModifiedTime")),
        availability=text_field(record, "availability") or Availability.ALIVE,
        read_status=text_field(record, "readStatus"),
        subject=valid(subject) if isinstance(subject, str) else None,
        conversation_id=conversation_id,
        fax_pages=natural(record.get("faxPageCount")),
        attachments=tuple(item for item in attachments if item is not None),
        raw=raw or _raw(record),
    )


def account_from(record: Record) -> tuple[str, str]:
    """(decimal id, name) of the account of one record: its company, or main number; the name may be empty.

    Raises:
        ServerError: It has no usable id.
    """
    account_id = natural(record.get("id"))
    if account_id is None:
        raise ServerError("the account record has no id")
    contact = record.get("contact")
    company = text_field(contact, "company") if isinstance(contact, dict) else ""
    return str(account_id), text_field(record, "name") or company or text_field(record, "mainNumber")


def extension_from(record: Record) -> Extension | None:
    """The extension of one record; None when it has no usable id."""
    extension_id = natural(record.get("id"))
    if extension_id is None:
        return None
    return Extension(
        id=extension_id,
        number=text_field(record, "extensionNumber"),
        name=text_field(record, "name"),
        type=text_field(record, "type"),
        status=text_field(record, "status"),
        raw=_raw(record),
    )


def is_admin(record: Record) -> bool | None:
    """Whether an extension record says that its user is an admin; None when it does not say."""
    permissions = record.get("permissions")
    admin = permissions.get("admin") if isinstance(permissions, dict) else None
    enabled = admin.get("enabled") if isinstance(admin, dict) else None
    return enabled if isinstance(enabled, bool) else None


def is_tombstone(record: Record) -> bool:
    """Whether a record only says what became of a message, and nothing of the message itself.

    Source: "Message Synchronization" of the API's documentation: deleted and purged messages may carry
    only ``id`` and ``availability``.
    """
    return "availability" in record and "type" not in record and "creationTime" not in record
