"""Parses the records that the index stores as JSON texts."""

import json
from collections.abc import Iterable, Iterator

from rcfs.model import Message, message_from


def parse_message(raw: str) -> Message | None:
    """The message of a stored record; None when the record has no usable id."""
    return message_from(json.loads(raw), raw)


def parse_messages(raws: Iterable[str]) -> Iterator[Message]:
    """The messages of stored records, one at a time, without the records that have no usable id."""
    return (message for raw in raws if (message := parse_message(raw)) is not None)
