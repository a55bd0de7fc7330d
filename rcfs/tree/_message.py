"""What a message is called, what its files are called, and the texts among them."""

import json
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

import msgspec

from rcfs.model import Attachment, Message, valid
from rcfs.tree._facts import UNKNOWN, counterparts, is_outbound, number_of
from rcfs.tree._media import extension_for, split_extension
from rcfs.tree._names import Names, clean, cut, fit
from rcfs.tree._times import stamp

RECORD_FILE = "message.json"
"""The file of a message directory that holds the record; no attachment ever has this name."""

TEXT_FILE = "text.txt"
"""The file of a message directory that holds the text of an SMS or Pager message."""

_TEXTS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {"AudioTranscription": ("transcript", ".txt"), "Text": ("text", ".txt")}
)
"""Stem and extension by the kind of an attachment: of what is read where it is, beside message.json."""

_DESCRIBED: Mapping[str, str] = MappingProxyType(
    {"AudioRecording": "voicemail", "RenderedDocument": "fax", "SourceDocument": "source"}
)
"""What an attachment is, by its kind: of what the platform makes, so that no sender has named it."""

_HEADLINE_BYTES = 160
"""So much of a headline stands in the name of an attachment: with the kind before it, and what counts further
recipients, a number and an extension after it, a name has room."""

_NAMED_ID = re.compile(r" \[(0|[1-9][0-9]{0,18})\]\Z", re.ASCII)
"""The end of a message's name; ids are at most an int64's 19 digits."""


def message_name(message: Message) -> str:
    """The name of the directory of `message`: ``<time> from|to <party> [<id>]``.

    The party is named, else numbered, else ``unknown``; further recipients are counted: ``to Ann Lee +2``.
    The id is never cut, so the name is unique in the mailbox.
    """
    line, more = _headline(message)
    return fit(line, f"{more} [{message.id}]")


def message_id_of(name: str) -> int | None:
    """The id of the message whose directory may be called `name`; None when no message has such a name."""
    match = _NAMED_ID.search(name)
    return int(match[1]) if match else None


def attachment_names(message: Message) -> Iterator[tuple[str, Attachment]]:
    """The attachments that are files of their own, with the names of the files, in the record's order.

    What a sender has named keeps its name. Anything else is called what it is, and then as its message:
    ``voicemail 2026-11-20T01.26.19Z from Bob Ray.wav``, so that a file says what it is wherever it was copied
    to. That comes from the record of the message alone, and changes only if the platform changes the record:
    another name for a number elsewhere changes nothing.
    """
    names = Names((RECORD_FILE, TEXT_FILE) if message.has_text else (RECORD_FILE,))
    for attachment in message.fetched_attachments:
        yield names.unique(*_stem_and_extension(message, attachment)), attachment


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


def _headline(message: Message) -> tuple[str, str]:
    """(when a message was made, and from or to whom, as a clean text; how many more there are)."""
    parties = counterparts(message)
    party = next((clean(p.name) or clean(number_of(p)) for p in parties), "") or UNKNOWN
    more = f" +{len(parties) - 1}" if len(parties) > 1 else ""
    word = "to" if is_outbound(message) else "from"
    return f"{stamp(message.created_s)} {word} {party}", more


def _stem_and_extension(message: Message, attachment: Attachment) -> tuple[str, str]:
    """What the file of `attachment` is to be called, before names are made unique."""
    if attachment.kind in _TEXTS:
        return _TEXTS[attachment.kind]
    sent = "" if attachment.kind in _DESCRIBED else clean(attachment.file_name)
    if sent:
        return split_extension(sent, attachment.content_type)
    line, more = _headline(message)
    what = _DESCRIBED.get(attachment.kind, "attachment")
    return f"{what} {clean(cut(line, _HEADLINE_BYTES))}{more}", extension_for(attachment.content_type)
