"""Converts JSON records of the API to values of the model.

Every field of a record may be absent, null or of a wrong type. The value then has its default, and ``raw``
keeps the record whole. Only a record without a usable id is refused. Source: the schemas of the official
description, and payloads that deviate from them.
"""

from rcfs.errors import ServerError
from rcfs.model._fields import (
    Record,
    compact_json,
    integer,
    media_type_field,
    natural,
    object_field,
    objects,
    party_from,
    size_field,
    text_field,
    uri_field,
)
from rcfs.model._records import Attachment, Availability, Extension, Message
from rcfs.model._text import valid
from rcfs.model._times import parse_time


def _attachment(record: Record) -> Attachment | None:
    attachment_id = natural(record.get("id"))
    if attachment_id is None:
        return None
    return Attachment(
        id=attachment_id,
        kind=text_field(record, "type"),
        content_type=media_type_field(record),
        uri=uri_field(record),
        file_name=text_field(record, "fileName"),
        size_bytes=size_field(record.get("size")),
        duration_s=natural(record.get("vmDuration")),
    )


_MOST_DAYS = 36_500
"""Longest retention that rcfs believes: a century, as dates later than the calendar's end would fail."""


def retention_days(record: Record) -> int:
    """``retentionPeriod`` of the account's message store, in days: how long faxes and voicemails are kept.

    Raises:
        ServerError: It is absent, or not a positive number.
    """
    days = natural(record.get("retentionPeriod"))
    if not days:
        raise ServerError("the server sent no retention period")
    return min(days, _MOST_DAYS)


def message_from(record: Record, raw: str = "") -> Message | None:
    """The message of one record; None if the record has no usable id.

    `raw` is the record as compact JSON text, if the caller has it.
    """
    message_id = natural(record.get("id"))
    if message_id is None:
        return None
    conversation_id = text_field(object_field(record, "conversation"), "id")
    if not conversation_id:
        # The model keeps it as text, so it may exceed an int64.
        number = integer(record.get("conversationId"))
        conversation_id = "" if number is None or number < 0 else str(number)
    subject = record.get("subject")
    attachments = [_attachment(item) for item in objects(record.get("attachments"))]
    return Message(
        id=message_id,
        type=text_field(record, "type"),
        direction=text_field(record, "direction"),
        sender=party_from(record.get("from")),
        recipients=tuple(party_from(item) for item in objects(record.get("to"))),
        created_s=parse_time(record.get("creationTime")),
        modified_s=parse_time(record.get("lastModifiedTime")),
        availability=text_field(record, "availability") or Availability.ALIVE,
        read_status=text_field(record, "readStatus"),
        subject=valid(subject) if isinstance(subject, str) else None,
        conversation_id=conversation_id,
        fax_pages=natural(record.get("faxPageCount")),
        attachments=tuple(item for item in attachments if item is not None),
        raw=raw or compact_json(record),
    )


def account_from(record: Record) -> tuple[str, str]:
    """(decimal id, name) of an account: the name of its company, or its main number, or empty.

    Raises:
        ServerError: The record has no usable id.
    """
    account_id = natural(record.get("id"))
    if account_id is None:
        raise ServerError("the server sent an account without an id")
    company = text_field(object_field(record, "contact"), "company")
    return str(account_id), text_field(record, "name") or company or text_field(record, "mainNumber")


def extension_from(record: Record) -> Extension | None:
    """The extension of one record; None if the record has no usable id."""
    extension_id = natural(record.get("id"))
    if extension_id is None:
        return None
    return Extension(
        id=extension_id,
        number=text_field(record, "extensionNumber"),
        name=text_field(record, "name"),
        type=text_field(record, "type"),
        status=text_field(record, "status"),
        raw=compact_json(record),
    )


def is_admin(record: Record) -> bool | None:
    """Whether the user of an extension record is an admin; None if the record does not tell."""
    enabled = object_field(object_field(record, "permissions"), "admin").get("enabled")
    return enabled if isinstance(enabled, bool) else None


def is_tombstone(record: Record) -> bool:
    """Whether a record holds only the availability of a message, and none of its contents.

    Source: "Message Synchronization" of the API's documentation: deleted and purged messages may carry
    only ``id`` and ``availability``.
    """
    return "availability" in record and "type" not in record and "creationTime" not in record
