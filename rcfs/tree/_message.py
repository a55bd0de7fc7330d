"""The names of a message and of its files, and the bytes of its texts."""

import json
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

import msgspec

from rcfs.model import Attachment, Message, valid
from rcfs.tree._facts import UNKNOWN
from rcfs.tree._media import extension_for, split_extension
from rcfs.tree._names import Names, clean, cut, fit
from rcfs.tree._times import stamp

RECORD_FILE = "message.json"
"""File of a message directory that holds the record; no attachment ever has this name."""

TEXT_FILE = "text.txt"
"""File of a message directory that holds the text of an SMS or Pager message."""

_TEXTS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {"AudioTranscription": ("transcript", ".txt"), "Text": ("text", ".txt")}
)
"""Stem and extension for attachments that people read in place, by the kind of the attachment."""

_DESCRIBED: Mapping[str, str] = MappingProxyType(
    {"AudioRecording": "voicemail", "RenderedDocument": "fax", "SourceDocument": "source"}
)
"""First word of the name of an attachment that the platform made and no sender named, by its kind."""

_HEADLINE_BYTES = 160
"""Longest headline in the name of an attachment. The rest of NAME_BYTES holds the kind before it, and after
it the count of further recipients, a number and an extension."""

_NAMED_ID = re.compile(r" \[(0|[1-9][0-9]{0,18})\]\Z", re.ASCII)
"""The end of the name of a message directory; an id is an int64, which has at most 19 digits."""


def message_name(message: Message) -> str:
    """The name of the directory of `message`: ``<time> from|to <party> [<id>]``.

    The party is its name, or else its number, or else ``unknown``. Further recipients are counted: ``to Ann
    Lee +2``. The id is never cut, so the name is unique in the mailbox.
    """
    line, more = _headline(message)
    return fit(line, f"{more} [{message.id}]")


def message_id_of(name: str) -> int | None:
    """The id in the name of a message directory; None if `name` cannot be one."""
    match = _NAMED_ID.search(name)
    return int(match[1]) if match else None


def attachment_names(message: Message) -> Iterator[tuple[str, Attachment]]:
    """The attachments that are files, with the names of the files, in the order of the record.

    A file that the sender named keeps its name. Any other is called by its kind and its message, such as
    ``voicemail 2026-11-20T01.26.19Z from Bob Ray.wav``, so that a copy still says what it is. The name
    depends on the record of this message only: a contact that gets another name elsewhere changes nothing.
    """
    names = Names((RECORD_FILE, TEXT_FILE) if message.has_text else (RECORD_FILE,))
    for attachment in message.fetched_attachments:
        yield names.unique(*_stem_and_extension(message, attachment)), attachment


def pretty_json(raw: str) -> bytes:
    """The JSON text `raw`, indented by 2 and with a newline at the end.

    All values stay as they are, and each number keeps all its digits. A lone surrogate, which UTF-8 cannot
    encode, becomes its JSON escape.
    """
    try:
        # 4 µs instead of the 58 of `json` (measured 2026-11), and each listing of a message needs the size.
        return msgspec.json.format(raw, indent=2).encode() + b"\n"
    except msgspec.DecodeError:  # It takes a lone surrogate for an unfinished pair.
        text = json.dumps(json.loads(raw), indent=2, ensure_ascii=False) + "\n"
        return text.encode("utf-8", "backslashreplace")


def exact_text(text: str) -> bytes:
    """`text` in UTF-8, unchanged except that lone surrogates become U+FFFD.

    A surrogate's bytes would make programs take the file for binary; message.json has the original.
    """
    return valid(text).encode()


def _headline(message: Message) -> tuple[str, str]:
    """The time and the first party of a message as a clean text, and a count of the other parties."""
    parties = message.counterparts
    party = next((clean(p.name) or clean(p.number) for p in parties), "") or UNKNOWN
    more = f" +{len(parties) - 1}" if len(parties) > 1 else ""
    word = "to" if message.is_outbound else "from"
    return f"{stamp(message.created_s)} {word} {party}", more


def _stem_and_extension(message: Message, attachment: Attachment) -> tuple[str, str]:
    """The stem and the extension for the file of `attachment`, before names are made unique."""
    if attachment.kind in _TEXTS:
        return _TEXTS[attachment.kind]
    sent = "" if attachment.kind in _DESCRIBED else clean(attachment.file_name)
    if sent:
        return split_extension(sent, attachment.content_type)
    line, more = _headline(message)
    what = _DESCRIBED.get(attachment.kind, "attachment")
    return f"{what} {clean(cut(line, _HEADLINE_BYTES))}{more}", extension_for(attachment.content_type)
