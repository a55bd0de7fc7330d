"""Files that people drop into ``Outbox``: which are meant to be sent, and to whom.

    SMS/+12125557464.txt             a text; also SMS/+12125557464/anything.txt
    SMS/+12125557464/photo.jpg       a text with a file
    Fax/+12125557464/contract.pdf    a fax; also Fax/+12125557464.pdf
    Page/102.txt                     a message to a colleague; also Page/102/anything.txt

A name may have several recipients, with commas between them. Programs make files under other names before
they give them their own, and files that are nobody's message; those are never sent.
"""

import re
from collections.abc import Sequence
from typing import Final

import attrs

from rcfs.model import SendKind, e164, each_once, extension_number, media_type_for

OUTBOX: Final = "Outbox"
"""The directory of an extension into which people drop what is to be sent."""
DROP_DIRECTORIES: Final = ("Fax", "Page", "SMS")
"""Its directories."""
FAILED_END: Final = ".FAILED.txt"
"""End of the name of the file that says why the file beside it was not sent."""
UNKNOWN_END: Final = ".UNKNOWN.txt"
"""End of the name of the file that says that nobody knows whether the file beside it was sent."""

_PARTIAL_ENDS: Final = (
    *(".part", ".partial", ".filepart", ".tmp", ".temp", ".new"),
    *(".crdownload", ".download", ".opdownload", ".aria2", ".incomplete"),
)
"""Ends of the names of files that get their own name when they are complete."""
_UNFINISHED_ENDS: Final = (
    *_PARTIAL_ENDS,
    *("~", "#", ".swp", ".swo", ".swx", ".lock", ".lck", ".bak"),
)
"""Ends of the names of files that editors, browsers and file managers make beside the real one."""
_UNFINISHED: Final = re.compile(
    r"\..*"  # hidden: GIO's .goutputstream-*, rsync's .name.XXXXXX, lock files of LibreOffice
    r"|~.*"  # owner files of Office
    r"|#.*"  # autosaves of Emacs
    r"|sed[A-Za-z0-9]{6}"  # sed -i
    r"|(?:4913|[5-9][0-9]{3})"  # vim tries names from 4913 on, to see whether it may write
    r"|desktop\.ini|thumbs\.db",
    re.IGNORECASE | re.DOTALL,
)
_TEXT_END: Final = ".txt"


@attrs.frozen
class Drop:
    """The message that a file in ``Outbox`` is meant to be."""

    kind: SendKind
    """The kind of the message."""
    recipients: tuple[str, ...]
    """Phone numbers in E.164, or those of extensions for a page; each once."""

    @property
    def is_text(self) -> bool:
        """Whether the file is the text of the message; otherwise the message has the file."""
        return self.kind in (SendKind.SMS, SendKind.PAGE)


def is_unfinished(name: str) -> bool:
    """Whether a file with this name is never sent: a temporary or hidden one, or a report of a failure."""
    return (
        name.endswith((FAILED_END, UNKNOWN_END))
        or name.lower().endswith(_UNFINISHED_ENDS)
        or _UNFINISHED.fullmatch(name) is not None
    )


def is_partial(name: str) -> bool:
    """Whether a file with this name will get another one when it is complete."""
    return name.lower().endswith(_PARTIAL_ENDS)


def locks_of(name: str) -> tuple[str, ...]:
    """The names of the files that editors keep beside the file called `name` while they have it open."""
    return f".{name}.swp", f".~lock.{name}#"


def _recipients_of(directory: str, name: str, country: str = "") -> tuple[str, ...]:
    """The recipients that `name` in one of `DROP_DIRECTORIES` means.

    `country` as in `e164`.

    Raises:
        ValueError: `name` means no recipients; the text says why.
    """
    found = []
    for each in name.split(","):
        number = each.strip()
        found.append(extension_number(number) if directory == "Page" else e164(number, country))
    return each_once(found)


def drop_of(parts: Sequence[str], country: str = "") -> Drop | None:
    """The message that the file at `parts`, a path below ``Outbox``, is; None if it is never sent.

    `country` as in `e164`.

    Raises:
        ValueError: Nothing can be sent from there; the text says why, as a sentence without a full stop.
    """
    *above, name = parts
    if is_unfinished(name):
        return None
    if not above or above[0] not in DROP_DIRECTORIES or len(above) > len(("Fax", "+12125557464")):
        raise ValueError(
            "put the file into SMS, Fax or Page, or into a directory there called after a number"
        )
    directory = above[0]
    stem, dot, end = name.rpartition(".")
    if len(above) == 1 and not dot:
        raise ValueError(f"{name!r} has no end such as .txt, which says what it is")
    recipients = _recipients_of(directory, above[1] if len(above) > 1 else stem, country)
    is_text = f".{end}".lower() == _TEXT_END
    if directory == "Fax":
        media_type_for(SendKind.FAX, name)
        return Drop(SendKind.FAX, recipients)
    if directory == "Page":
        if not is_text:
            raise ValueError(f"{name}: a page has no files; write its text into a .txt file")
        return Drop(SendKind.PAGE, recipients)
    if is_text:
        return Drop(SendKind.SMS, recipients)
    media_type_for(SendKind.MMS, name)
    return Drop(SendKind.MMS, recipients)


def dropped_text(data: bytes) -> str:
    """The text in a dropped file: UTF-8, with line feeds, without the last one and a byte order mark.

    Raises:
        ValueError: It is not UTF-8.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("the text is not UTF-8") from None
    return text.replace("\r\n", "\n").removesuffix("\n")
