"""What a message says about its parties, and the extended attributes of its directory and files."""

import json

from rcfs.model import Attachment, Availability, Message, Party, one_line

UNKNOWN = "unknown"
"""Stands for a party without name and number."""

_PREFIX = "user.rcfs."
"""The part of the name space of extended attributes that is ours: scripts rely on it."""


def counterparts(message: Message) -> tuple[Party, ...]:
    """To whom an outbound message went, in the record's order; from whom any other came."""
    return message.recipients if is_outbound(message) else (message.sender,)


def is_outbound(message: Message) -> bool:
    """Whether the owner of the mailbox sent it; a record that does not say is taken for inbound."""
    return message.direction == "Outbound"


def number_of(party: Party) -> str:
    """The phone number, else the extension number, else nothing."""
    return party.phone_number or party.extension_number


def message_xattrs(message: Message) -> dict[str, str]:
    """The extended attributes that a message directory and all files in it have.

    ``duration`` is that of the recording, in seconds; ``from`` and ``to`` are numbers, or names where
    there is no number, ``to`` separated by commas; ``availability`` marks what is deleted or purged.
    """
    durations = (a.duration_s for a in message.attachments if a.duration_s is not None)
    return _named(
        message_id=message.id,
        uri=_bare(_record_uri(message)),
        type=message.type,
        direction=message.direction,
        **{"from": _address(message.sender)},
        to=",".join(filter(None, map(_address, message.recipients))),
        read_status=message.read_status,
        availability="" if message.availability == Availability.ALIVE else message.availability,
        duration=next(durations, None),
    )


def attachment_xattrs(message: Message, attachment: Attachment) -> dict[str, str]:
    """The extended attributes of an attachment: those of its message, with its own id, URI and duration."""
    return message_xattrs(message) | _named(
        attachment_id=attachment.id, uri=_bare(attachment.uri), duration=attachment.duration_s
    )


def _named(**facts: object) -> dict[str, str]:
    """`facts` as extended attributes, without those that are absent."""
    return {_PREFIX + name: one_line(str(fact)) for name, fact in facts.items() if fact not in (None, "")}


def _address(party: Party) -> str:
    return number_of(party) or party.name


def _record_uri(message: Message) -> str:
    """``uri`` of the message's record; empty when it has none."""
    record = json.loads(message.raw)
    uri = record.get("uri") if isinstance(record, dict) else None
    return uri if isinstance(uri, str) else ""


def _bare(uri: str) -> str:
    """`uri` without query and fragment: a query may hold an access token."""
    return uri.partition("?")[0].partition("#")[0]
