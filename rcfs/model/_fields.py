"""Fields of JSON records, each of which may be absent, null, of a wrong type, or absurdly large."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rcfs.model._keys import is_usable_id
from rcfs.model._records import Party
from rcfs.model._text import valid

Record = Mapping[str, Any]

_LARGEST_ID = (1 << 63) - 1
"""Largest int64, which the ids of messages are, and the integers of SQLite. Source: schema
GetMessageInfoResponse."""
_NAME_LETTERS = 1000
"""Longest name, number, type or conversation id, in characters; the rest is cut off. A file name has 255
bytes at most, and the longest bound in the official description is 64 characters, for a name."""
_URI_LETTERS = 8192
"""Longest URI; a longer one is ignored. httpx refuses more than 65,536."""
_COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def text_field(record: Record, name: str, most: int = _NAME_LETTERS) -> str:
    """The text called `name`, cut after `most` characters; empty if it is no text."""
    value = record.get(name)
    # Records that an earlier version of rcfs stored may hold half a surrogate pair.
    return valid(value[:most]) if isinstance(value, str) else ""


def id_field(record: Record) -> str:
    """``id`` of a record whose ids are texts, or integers in some payloads; empty if no path can have it."""
    value = record.get("id")
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value) if 0 <= value < 1 << 64 else ""
    value = valid(value) if isinstance(value, str) else ""
    return value if is_usable_id(value) else ""


def uri_field(record: Record, name: str = "uri") -> str:
    """The URI called `name`; empty if it is no text, or too long."""
    value = record.get(name)
    return valid(value) if isinstance(value, str) and len(value) <= _URI_LETTERS else ""


def media_type_field(record: Record) -> str:
    """``contentType`` of a record, in lower case, without parameters; empty if it is no text."""
    return text_field(record, "contentType").partition(";")[0].strip().lower()


def object_field(record: Record, name: str) -> Record:
    """The object called `name`; empty if it is no object."""
    value = record.get(name)
    return value if isinstance(value, dict) else {}


def integer(value: object) -> int | None:
    """The value of a JSON integer, or of a decimal string, as older payloads have it; None for others."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 20:
        return int(value)
    return None


def natural(value: object) -> int | None:
    """The value as a number that SQLite and the kernel can hold, 0 to 2^63 - 1; None for others."""
    number = integer(value)
    return number if number is not None and 0 <= number <= _LARGEST_ID else None


def size_field(value: object) -> int | None:
    """A size that is a JSON integer; None for others, as a size of a wrong type may also be inexact."""
    return natural(value) if isinstance(value, int) else None


def objects(value: object) -> Sequence[Record]:
    """The objects in a JSON array; empty if `value` is no array."""
    if not isinstance(value, list):
        return ()
    return [item for item in value if isinstance(item, dict)]


def party_from(value: object) -> Party:
    """The sender or recipient in a record; an empty party if `value` is no object."""
    if not isinstance(value, dict):
        return Party()
    return Party(
        name=text_field(value, "name"),
        phone_number=text_field(value, "phoneNumber"),
        extension_number=text_field(value, "extensionNumber"),
    )


def compact_json(record: Record) -> str:
    """`record` as JSON text without line feeds, nothing left out."""
    text = _COMPACT.encode(record)
    # UTF-8 has no lone surrogates, and the text is stored in files, so JSON's escape takes their place.
    return text.encode("utf-8", "backslashreplace").decode()
