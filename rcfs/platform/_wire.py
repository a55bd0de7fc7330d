"""JSON records of the API → values of the model.

Every field of a record may be absent, null or of a wrong type; the value then holds its default, and
the record itself is kept whole in ``raw``. Only a record without a usable id is refused. Source: the
schemas of the official description, and payloads that deviate from them.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs

from rcfs.errors import ServerError
from rcfs.model import Attachment, Availability, Extension, Message, Party
from rcfs.platform._document import valid

Record = Mapping[str, Any]

_COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))

_LARGEST_ID = (1 << 63) - 1
"""``id`` of a message is an int64, the largest integer of SQLite. Source: schema GetMessageInfoResponse."""
_NAME_LETTERS = 1000
"""Longest name, number, type or id of a conversation, in characters; the rest is cut off. A file name has
255 bytes; the longest of these that the official description bounds is a name of 64 characters."""
_URI_LETTERS = 8192
"""Longest URI; a longer one is taken for none. httpx refuses more than 65,536."""

_TOKEN_LETTERS = 8192
"""Longest sync token; a cut one is refused, and the mailbox then loaded anew."""


def _text(record: Record, name: str, most: int = _NAME_LETTERS) -> str:
    value = record.get(name)
    # Records that an earlier version of rcfs kept may still hold half a surrogate pair.
    return valid(value[:most]) if isinstance(value, str) else ""


def _uri(record: Record) -> str:
    value = record.get("uri")
    return valid(value) if isinstance(value, str) and len(value) <= _URI_LETTERS else ""


def _int(value: object) -> int | None:
    """The value as an int: JSON integers, and decimal strings, which older payloads hold."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 20:
        return int(value)
    return None


def _natural(value: object) -> int | None:
    """The value as a number that SQLite, and the kernel, can hold: 0 to 2^63 - 1."""
    number = _int(value)
    return number if number is not None and 0 <= number <= _LARGEST_ID else None


def _size(value: object) -> int | None:
    """A size, if it has the type of one: what else a record says there cannot be trusted to be exact."""
    return _natural(value) if isinstance(value, int) else None


def _objects(value: object) -> Sequence[Record]:
    if not isinstance(value, list):
        return ()
    return [item for item in value if isinstance(item, dict)]


def parse_time(text: object) -> float | None:
    """Seconds since 1970 UTC of an ISO 8601 time with a zone; None for anything else."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.timestamp() if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def _party(value: object) -> Party:
    if not isinstance(value, dict):
        return Party()
    return Party(
        name=_text(value, "name"),
        phone_number=_text(value, "phoneNumber"),
        extension_number=_text(value, "extensionNumber"),
    )


def _attachment(record: Record) -> Attachment | None:
    attachment_id = _natural(record.get("id"))
    if attachment_id is None:
        return None
    return Attachment(
        id=attachment_id,
        kind=_text(record, "type"),
        content_type=_text(record, "contentType").partition(";")[0].strip().lower(),
        uri=_uri(record),
        file_name=_text(record, "fileName"),
        size_bytes=_size(record.get("size")),
        duration_s=_natural(record.get("vmDuration")),
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
    days = _natural(record.get("retentionPeriod"))
    if not days:
        raise ServerError("the configuration of the message store has no retention period")
    return min(days, _MOST_DAYS)


def message_from(record: Record, raw: str = "") -> Message | None:
    """The message of one record; None when it has no usable id, and so cannot be told from others.

    `raw` is the record as compact JSON text, if it is at hand.
    """
    message_id = _natural(record.get("id"))
    if message_id is None:
        return None
    conversation = record.get("conversation")
    conversation_id = _text(conversation, "id") if isinstance(conversation, dict) else ""
    if not conversation_id:
        number = _int(record.get("conversationId"))  # which is a text here, so an unsigned one may be larger
        conversation_id = "" if number is None or number < 0 else str(number)
    subject = record.get("subject")
    attachments = [_attachment(item) for item in _objects(record.get("attachments"))]
    return Message(
        id=message_id,
        type=_text(record, "type"),
        direction=_text(record, "direction"),
        sender=_party(record.get("from")),
        recipients=tuple(_party(item) for item in _objects(record.get("to"))),
        created_s=parse_time(record.get("creationTime")),
        modified_s=parse_time(record.get("lastModifiedTime")),
        availability=_text(record, "availability") or Availability.ALIVE,
        read_status=_text(record, "readStatus"),
        subject=valid(subject) if isinstance(subject, str) else None,
        conversation_id=conversation_id,
        fax_pages=_natural(record.get("faxPageCount")),
        attachments=tuple(item for item in attachments if item is not None),
        raw=raw or _raw(record),
    )


def account_from(record: Record) -> tuple[str, str]:
    """(decimal id, name) of the account of one record: its company, or main number; the name may be empty.

    Raises:
        ServerError: It has no usable id.
    """
    account_id = _natural(record.get("id"))
    if account_id is None:
        raise ServerError("the account record has no id")
    contact = record.get("contact")
    company = _text(contact, "company") if isinstance(contact, dict) else ""
    return str(account_id), _text(record, "name") or company or _text(record, "mainNumber")


def extension_from(record: Record) -> Extension | None:
    """The extension of one record; None when it has no usable id."""
    extension_id = _natural(record.get("id"))
    if extension_id is None:
        return None
    return Extension(
        id=extension_id,
        number=_text(record, "extensionNumber"),
        name=_text(record, "name"),
        type=_text(record, "type"),
        status=_text(record, "status"),
        raw=_raw(record),
    )


def is_admin(record: Record) -> bool | None:
    """Whether an extension record says that its user is an admin; None when it does not say."""
    permissions = record.get("permissions")
    admin = permissions.get("admin") if isinstance(permissions, dict) else None
    enabled = admin.get("enabled") if isinstance(admin, dict) else None
    return enabled if isinstance(enabled, bool) else None


def records_of(page: Record) -> Sequence[Record]:
    """The ``records`` of a list answer, without entries that are no objects.

    Raises:
        ServerError: There is no array of that name.
    """
    if not isinstance(page.get("records"), list):
        raise ServerError("the server's list has no records")
    return _objects(page["records"])


def next_page_url(page: Record) -> str:
    """URI of ``navigation.nextPage``; empty on the last page."""
    navigation = page.get("navigation")
    following = navigation.get("nextPage") if isinstance(navigation, dict) else None
    return _uri(following) if isinstance(following, dict) else ""


def page_totals(page: Record) -> tuple[int | None, int | None]:
    """(pages, records) that the whole list has, of which `page` is one; None for what it does not say."""
    paging = page.get("paging")
    if not isinstance(paging, dict):
        return None, None
    return _natural(paging.get("totalPages")), _natural(paging.get("totalElements"))


@attrs.frozen
class SyncAnswer:
    """What a sync of a mailbox tells."""

    records: Sequence[Record]
    """Records of messages, some of them tombstones; a message may come twice."""
    token: str
    """Continues from here; empty when the answer has none."""


def sync_answer(document: Record) -> SyncAnswer:
    """The answer to a sync.

    Raises:
        ServerError: There are no records.
    """
    info = document.get("syncInfo")
    return SyncAnswer(
        records_of(document), _text(info, "syncToken", _TOKEN_LETTERS) if isinstance(info, dict) else ""
    )


def is_tombstone(record: Record) -> bool:
    """Whether a record only says what became of a message, and nothing of the message itself.

    Source: "Message Synchronization" of the API's documentation: deleted and purged messages may carry
    only ``id`` and ``availability``.
    """
    return "availability" in record and "type" not in record and "creationTime" not in record
