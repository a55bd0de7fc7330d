"""Fields of JSON records, each of which may be absent, null, of a wrong type, or out of all reason."""

from collections.abc import Mapping, Sequence
from typing import Any

from rcfs.model._text import valid

Record = Mapping[str, Any]

_LARGEST_ID = (1 << 63) - 1
"""``id`` of a message is an int64, the largest integer of SQLite. Source: schema GetMessageInfoResponse."""
_NAME_LETTERS = 1000
"""Longest name, number, type or id of a conversation, in characters; the rest is cut off. A file name has
255 bytes; the longest of these that the official description bounds is a name of 64 characters."""
_URI_LETTERS = 8192
"""Longest URI; a longer one is taken for none. httpx refuses more than 65,536."""


def text_field(record: Record, name: str, most: int = _NAME_LETTERS) -> str:
    """The text called `name`, cut after `most` characters; empty when there is none."""
    value = record.get(name)
    # Records that an earlier version of rcfs kept may still hold half a surrogate pair.
    return valid(value[:most]) if isinstance(value, str) else ""


def uri_field(record: Record) -> str:
    """``uri`` of a record; empty when there is none, or it is too long to be one."""
    value = record.get("uri")
    return valid(value) if isinstance(value, str) and len(value) <= _URI_LETTERS else ""


def integer(value: object) -> int | None:
    """The value as an int: JSON integers, and decimal strings, which older payloads hold."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 20:
        return int(value)
    return None


def natural(value: object) -> int | None:
    """The value as a number that SQLite, and the kernel, can hold: 0 to 2^63 - 1."""
    number = integer(value)
    return number if number is not None and 0 <= number <= _LARGEST_ID else None


def size_field(value: object) -> int | None:
    """A size, if it has the type of one: what else a record says there cannot be trusted to be exact."""
    return natural(value) if isinstance(value, int) else None


def objects(value: object) -> Sequence[Record]:
    """The objects in a JSON array; none when `value` is no array."""
    if not isinstance(value, list):
        return ()
    return [item for item in value if isinstance(item, dict)]
