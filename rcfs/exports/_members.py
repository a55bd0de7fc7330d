"""The members of a report's archives, by their paths: records of a mailbox, and contents of attachments.

Source: "Message Store Exports" of the API's documentation. Its pictures and its text have two layouts:

    account/ACCOUNT/extension/EXTENSION/message-store.json
    account/ACCOUNT/extension/EXTENSION/message-store/MESSAGE/content/ATTACHMENT.suffix
    account/ACCOUNT/extension/EXTENSION/message-store/content/MESSAGE[/ATTACHMENT][.suffix]

A path never names a file here: only its numbers are used.
"""

import re
from typing import Final

import attrs

from rcfs.model import Attachment, Message, natural

_OWNER: Final = r"/?account/(?P<account>[0-9]+)/extension/(?P<extension>[0-9]+)/message-store"
_CONTENT: Final = re.compile(
    _OWNER + r"/(?:(?P<message>[0-9]+)/content/(?P<attachment>[0-9]+)"
    r"|content/(?P<other_message>[0-9]+)(?:/(?P<other_attachment>[0-9]+))?)"
    r"(?:\.(?P<suffix>[^/.]*))?"
)
_RECORDS: Final = re.compile(_OWNER + r"\.json")
_MOST_LETTERS: Final = 300
"""Longest path that is looked at: four ids of 19 digits and the words take 160."""
_OTHER_SUFFIXES: Final = {"jpg": "jpeg", "tif": "tiff", "txt": "plain", "vcf": "vcard", "mp3": "mpeg"}
"""File name extensions that are not the second half of their media type."""


@attrs.frozen
class Place:
    """The place of a content in an account."""

    extension_id: int
    """Extension of the mailbox."""
    message_id: int
    """Id of the message."""
    attachment_id: int | None
    """Id of the attachment; None when the path does not tell it."""
    suffix: str
    """File name extension without its dot, in lower case; empty when the path has none."""

    def attachment(self, message: Message) -> Attachment | None:
        """The attachment of `message` at this place; None without one, or with several."""
        if self.attachment_id is not None:
            return next((each for each in message.attachments if each.id == self.attachment_id), None)
        found = message.fetched_attachments
        if len(found) > 1:
            found = tuple(each for each in found if _may_be(each.content_type, self.suffix))
        return found[0] if len(found) == 1 else None


def content_place(name: str, account_id: str) -> Place | None:
    """The place of the content at the path `name`; None for any other path, or another account."""
    match = _CONTENT.fullmatch(name) if len(name) <= _MOST_LETTERS else None
    if match is None or match["account"] != account_id:
        return None
    extension_id = natural(match["extension"])
    message_id = natural(match["message"] or match["other_message"])
    attachment = match["attachment"] or match["other_attachment"]
    attachment_id = None if attachment is None else natural(attachment)
    if extension_id is None or message_id is None or (attachment is not None and attachment_id is None):
        return None
    return Place(extension_id, message_id, attachment_id, (match["suffix"] or "").lower())


def records_place(name: str, account_id: str) -> int | None:
    """The extension whose records are at the path `name`; None for any other path, or another account."""
    match = _RECORDS.fullmatch(name) if len(name) <= _MOST_LETTERS else None
    return natural(match["extension"]) if match is not None and match["account"] == account_id else None


def _may_be(content_type: str, suffix: str) -> bool:
    """Whether a file of this media type may have this extension."""
    subtype = content_type.partition("/")[2].removeprefix("x-")
    return subtype in (suffix, _OTHER_SUFFIXES.get(suffix))
