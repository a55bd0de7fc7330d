"""What a message is called, what its files are called, and the texts among them."""

import json
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

import msgspec

from rcfs.model import Attachment, Message
from rcfs.tree._facts import UNKNOWN, counterparts, is_outbound, number_of
from rcfs.tree._media import extension_for, split_extension
from rcfs.tree._names import clean, fit, unique, valid
from rcfs.tree._times import stamp

RECORD_FILE = "message.json"
"""The file of a message directory that holds the record; no attachment ever has this name."""

TEXT_FILE = "text.txt"
"""The file of a message directory that holds the text of an SMS or Pager message."""

TEXTUAL_TYPES = ("SMS", "Pager")
"""Message types whose ``subject`` is the whole text, and that have conversations; each has a directory of
its own name. Source: ``subject`` and ``conversationId`` of the schema GetMessageInfoResponse."""

_FIXED_NAMES: Mapping[str, tuple[str, str | None]] = MappingProxyType(
    {
        "AudioRecording": ("voicemail", None),
        "AudioTranscription": ("transcript", ".txt"),
        "RenderedDocument": ("fax", None),
        "SourceDocument": ("source", None),
        "Text": ("text", ".txt"),
    }
)
"""Stem and extension by the kind of an attachment, whatever the sender calls it; an extension of None is
that of the media type."""


_NAMED_ID = re.compile(r" \[(0|[1-9][0-9]{0,18})\]\Z", re.ASCII)
"""The end of a message's name; ids are at most an int64's 19 digits."""


def message_name(message: Message) -> str:
    """The name of the directory of `message`: ``<time> from|to <party> [<id>]``.

    The party is named, else numbered, else ``unknown``; further recipients are counted: ``to Ann Lee +2``.
    The id is never cut, so the name is unique in the mailbox.
    """
    parties = counterparts(message)
    party = next((clean(p.name) or clean(number_of(p)) for p in parties), "") or UNKNOWN
    more = f" +{len(parties) - 1}" if len(parties) > 1 else ""
    word = "to" if is_outbound(message) else "from"
    return fit(f"{stamp(message.created_s)} {word} {party}", f"{more} [{message.id}]")


def message_id_of(name: str) -> int | None:
    """The id of the message whose directory may be called `name`; None when no message has such a name."""
    match = _NAMED_ID.search(name)
    return int(match[1]) if match else None


def has_text(message: Message) -> bool:
    """Whether the record itself holds the text of the message."""
    return message.type in TEXTUAL_TYPES and message.subject is not None


def attachment_names(message: Message) -> Iterator[tuple[str, Attachment]]:
    """The attachments that are files of their own, with the names of the files, in the record's order.

    A Text attachment is none when the record holds the text already. Of several with the same id only the
    first is one: the platform gives one content for the id, so the others' could not be told from it.
    """
    taken = {RECORD_FILE}
    text_known = has_text(message)
    if text_known:
        taken.add(TEXT_FILE)
    ids = set()
    for attachment in message.attachments:
        if attachment.id in ids or (text_known and attachment.kind == "Text"):
            continue
        ids.add(attachment.id)
        yield unique(*_stem_and_extension(attachment), taken), attachment


def pretty_json(raw: str) -> bytes:
    """The JSON text `raw` indented by 2 for people, with a newline at the end; nothing is left out.

    What the text says is kept as it is, each number to its last digit. A lone surrogate, which UTF-8 cannot
    express, is the escape that JSON has for it.
    """
    try:
        # 4 µs instead of 58 (measured 2026-11), and each listing of a message asks for the size.
        return msgspec.json.format(raw, indent=2).encode() + b"\n"
    except msgspec.DecodeError:  # A lone surrogate, which it takes for an unfinished pair.
        text = json.dumps(json.loads(raw), indent=2, ensure_ascii=False) + "\n"
        return text.encode("utf-8", "backslashreplace")


def exact_text(text: str) -> bytes:
    """`text` in UTF-8, with nothing added; each lone surrogate is U+FFFD.

    The bytes of one would make programs take the file for binary; message.json has it as it was.
    """
    return valid(text).encode()


def _stem_and_extension(attachment: Attachment) -> tuple[str, str]:
    """What the file of `attachment` is to be called, before names are made unique."""
    if attachment.kind in _FIXED_NAMES:
        stem, extension = _FIXED_NAMES[attachment.kind]
        return stem, extension or extension_for(attachment.content_type)
    return split_extension(clean(attachment.file_name) or "attachment", attachment.content_type)
