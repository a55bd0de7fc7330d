"""The parties of messages and calls, and the extended attributes of their directories and files."""

import json

from rcfs.model import Attachment, Availability, Message, Party, one_line

UNKNOWN = "unknown"
"""Name of a party without a name and a number."""

_PREFIX = "user.rcfs."
"""Prefix of the names of all extended attributes; scripts rely on it."""


def message_xattrs(message: Message) -> dict[str, str]:
    """The extended attributes of a message directory and of all files in it.

    ``duration`` is the length of the recording in seconds. ``from`` and ``to`` are numbers, or names where a
    number is missing; commas separate several recipients. Only deleted and purged messages have
    ``availability``.
    """
    durations = (a.duration_s for a in message.attachments if a.duration_s is not None)
    return named_facts(
        message_id=message.id,
        uri=_bare(_record_uri(message)),
        type=message.type,
        direction=message.direction,
        **{"from": address_of(message.sender)},
        to=",".join(filter(None, map(address_of, message.recipients))),
        read_status=message.read_status,
        availability="" if message.availability == Availability.ALIVE else message.availability,
        duration=next(durations, None),
    )


def attachment_xattrs(message: Message, attachment: Attachment) -> dict[str, str]:
    """The extended attributes of an attachment: those of its message, but its own id, URI and duration."""
    return message_xattrs(message) | named_facts(
        attachment_id=attachment.id, uri=_bare(attachment.uri), duration=attachment.duration_s
    )


def named_facts(**facts: object) -> dict[str, str]:
    """Extended attributes for `facts`, without the absent ones."""
    return {_PREFIX + name: one_line(str(fact)) for name, fact in facts.items() if fact not in (None, "")}


def address_of(party: Party) -> str:
    """The number of a party, or else its name; empty if there is neither."""
    return party.number or party.name


def _record_uri(message: Message) -> str:
    """``uri`` of the record of a message; empty if it has none."""
    record = json.loads(message.raw)
    uri = record.get("uri") if isinstance(record, dict) else None
    return uri if isinstance(uri, str) else ""


def _bare(uri: str) -> str:
    """`uri` without its query, which may hold an access token, and its fragment."""
    return uri.partition("?")[0].partition("#")[0]
