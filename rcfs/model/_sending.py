"""Messages that people want to send, and the platform's rules that can be checked before anything is sent.

Source: the schemas CreateSMSMessage, CreateInternalTextMessageRequest and the operation createFaxMessage of
the official description; "Sending MMS" and "Sending faxes" of the API's documentation. Sizes are in bytes,
times in seconds since 1970-01-01 UTC.
"""

import enum
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from types import MappingProxyType
from typing import Any, Final

import attrs

MOST_MMS_FILES: Final = 10
MOST_MMS_BYTES: Final = 1_500_000
"""Most files of a text with files, and most bytes of all of them."""
MOST_FAX_BYTES: Final = 50_000_000
"""Most bytes of all files of a fax."""
MOST_GREETING_BYTES: Final = 20_000_000
"""Most bytes of a greeting or prompt. Source: ``x-request-max-body-size`` of createCustomUserGreeting."""
MOST_FAX_PAGES: Final = 200
"""Most pages of a fax; the platform counts them, after it has turned the files into pages."""
MOST_COVER_LETTERS: Final = 1024
"""Longest text of a cover page, in characters."""
HIGHEST_COVER: Final = 13
"""Highest number of a cover page; 0 is for none."""
_MOST_TEXT_UNITS: Final = 1000
_MOST_PAGE_UNITS: Final = 1024
"""Longest texts of an SMS and of a page, in units of UTF-16, of which an emoji takes two."""
_MOST_NAME_BYTES: Final = 200
"""Longest file name that is sent, in bytes of UTF-8."""
_UNSAFE: Final = frozenset('&@#$%^*"\\/\r\n')
"""Characters that the names of sent files may not have, or that a header cannot hold."""

_GSM: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_TWICE: Final = frozenset("\f^{}\\[~]|€")
"""The alphabet of texts with 160 characters, and the characters that count twice there. Source: GSM 03.38."""


class SendKind(enum.Enum):
    """The kinds of messages; the value is the word of the command line."""

    SMS = "sms"
    MMS = "mms"
    FAX = "fax"
    PAGE = "page"
    """A message between colleagues, by the numbers of extensions; the API calls it a pager message."""

    @property
    def type(self) -> str:
        """``type`` of its record."""
        return {SendKind.FAX: "Fax", SendKind.PAGE: "Pager"}.get(self, "SMS")


_PICTURE_TYPES: Final = MappingProxyType(
    {
        "jpg": "image/jpeg",
        "jpeg": "image/jpeg",
        "png": "image/png",
        "gif": "image/gif",
        "bmp": "image/bmp",
        "tif": "image/tiff",
        "tiff": "image/tiff",
    }
)
"""Media types of pictures that both texts and faxes may have, by the ends of their names."""
MMS_TYPES: Final = MappingProxyType(
    {
        **_PICTURE_TYPES,
        "svg": "image/svg+xml",
        "3gp": "video/3gpp",
        "mp4": "video/mp4",
        "mpeg": "video/mpeg",
        "mpg": "video/mpeg",
        "avi": "video/msvideo",
        "mp3": "audio/mpeg",
        "m4a": "audio/mp4",
        "amr": "audio/amr",
        "vcf": "text/vcard",
        "vcard": "text/vcard",
        "zip": "application/zip",
        "gz": "application/gzip",
        "gzip": "application/gzip",
        "rtf": "application/rtf",
    }
)
"""Media types of the files that a text may have, by the ends of their names."""
_OFFICE: Final = "application/vnd.openxmlformats-officedocument"
FAX_TYPES: Final = MappingProxyType(
    {
        "pdf": "application/pdf",
        "ps": "application/postscript",
        "doc": "application/msword",
        "docx": f"{_OFFICE}.wordprocessingml.document",
        "xls": "application/vnd.ms-excel",
        "xlsx": f"{_OFFICE}.spreadsheetml.sheet",
        "ppt": "application/vnd.ms-powerpoint",
        "pptx": f"{_OFFICE}.presentationml.presentation",
        "rtf": "application/rtf",
        "txt": "text/plain",
        "log": "text/plain",
        "csv": "text/csv",
        "xml": "text/xml",
        "htm": "text/html",
        "html": "text/html",
        **_PICTURE_TYPES,
    }
)
"""Media types of the files that a fax may have, by the ends of their names."""
GREETING_TYPES: Final = MappingProxyType({"wav": "audio/wav", "mp3": "audio/mpeg"})
"""Media types of greetings and prompts, by the ends of their names."""

_TYPES: Final = MappingProxyType({SendKind.MMS: MMS_TYPES, SendKind.FAX: FAX_TYPES})


@attrs.frozen
class SendFile:
    """A file of a message."""

    name: str
    """Its name as it is sent, see `sent_name`."""
    media_type: str
    """Its ``Content-Type``."""
    size_bytes: int
    """Its exact size."""
    sha256: str
    """Digest of its bytes, in hexadecimal digits."""
    pages: int | None = None
    """Its pages, if they could be counted; None if not."""


@attrs.frozen
class Outgoing:
    """A message that somebody wants to send; all of it, except the bytes of its files.

    Raises:
        ValueError: The platform would refuse it; the text says why, as a sentence without a full stop.
    """

    kind: SendKind
    """The kind."""
    recipients: tuple[str, ...]
    """Phone numbers in E.164, or those of extensions for a page; each once. Only a fax that is sent again may
    have no recipients, and then goes to those of the first time."""
    sender: str = ""
    """Phone number in E.164, or that of an extension for a page. Empty for a fax, whose number is a setting
    of the account."""
    text: str = attrs.field(default="", repr=False)
    """The text; empty for a fax."""
    files: tuple[SendFile, ...] = ()
    """The files, in their order."""
    cover_index: int | None = None
    """Number of the cover page of a fax, 0 for none; None for that of the account's settings."""
    cover_text: str = attrs.field(default="", repr=False)
    """Text on the cover page."""
    resolution: str = ""
    """``High`` or ``Low``; empty for the platform's default."""
    send_at_s: float | None = None
    """When the platform is to send a fax; None for at once."""
    resend_id: int | None = None
    """The fax of which the files are sent again; None for a new message."""

    def __attrs_post_init__(self) -> None:
        if len(set(self.recipients)) < len(self.recipients):
            raise ValueError("a recipient is named twice")
        if not self.recipients and self.resend_id is None:
            raise ValueError("a message needs a recipient")
        if self.kind is SendKind.FAX:
            self._check_fax()
            return
        if self.cover_index is not None or self.cover_text or self.resolution:
            raise ValueError("only a fax has a cover page and a resolution")
        if self.send_at_s is not None:
            raise ValueError("only a fax can be sent at a later time")
        if self.resend_id is not None:
            raise ValueError("only a fax can be sent again by its id")
        if not self.sender:
            raise ValueError("a message needs a number to send from")
        self._check_text()
        self._check_files()

    def _check_text(self) -> None:
        most = _MOST_PAGE_UNITS if self.kind is SendKind.PAGE else _MOST_TEXT_UNITS
        try:
            units = len(self.text.encode("utf-16-le")) // 2
        except UnicodeEncodeError:
            raise ValueError("the text is not UTF-8") from None
        if units > most:
            raise ValueError(
                f"the text has {units:,} characters, and may have {most:,} (an emoji counts as two)"
            )
        if not self.text.strip() and self.kind is not SendKind.MMS:
            raise ValueError("the text is empty")

    def _check_files(self) -> None:
        if self.kind is not SendKind.MMS:
            if self.files:
                raise ValueError(f"a message of the kind {self.kind.value} has no files")
            return
        if not self.files:
            raise ValueError("an mms needs a file; without one, send an sms")
        if len(self.files) > MOST_MMS_FILES:
            raise ValueError(f"a text may have {MOST_MMS_FILES} files, and this one has {len(self.files)}")
        self._check_sizes(MOST_MMS_BYTES, "a text")

    def _check_sizes(self, most_bytes: int, whose: str) -> None:
        empty = next((each.name for each in self.files if not each.size_bytes), None)
        if empty is not None:
            raise ValueError(f"{empty} is empty")
        total = sum(each.size_bytes for each in self.files)
        if total > most_bytes:
            raise ValueError(
                f"the files of {whose} may have {most_bytes / 1e6:g} MB together, and these have"
                f" {total / 1e6:.2f} MB"
            )

    def _check_fax(self) -> None:
        if self.sender:
            raise ValueError("the number that sends faxes is a setting of the account, and cannot be chosen")
        if self.text:
            raise ValueError("a fax has no text; give a file, or the text of the cover page")
        if self.resolution not in ("", "High", "Low"):
            raise ValueError("the resolution of a fax is High or Low")
        if self.cover_index is not None and not 0 <= self.cover_index <= HIGHEST_COVER:
            raise ValueError(f"cover pages have the numbers 1 to {HIGHEST_COVER}, and 0 is for none")
        if len(self.cover_text) > MOST_COVER_LETTERS:
            raise ValueError(
                f"the text of the cover page has {len(self.cover_text):,} characters, and may have"
                f" {MOST_COVER_LETTERS:,}"
            )
        if self.cover_text and self.cover_index == 0:
            raise ValueError("a fax without a cover page has no text for it")
        if self.resend_id is None:
            if not self.files:
                raise ValueError("a fax needs a file")
            self._check_sizes(MOST_FAX_BYTES, "a fax")
        elif self.files or self.cover_index is not None or self.cover_text or self.resolution:
            raise ValueError(
                "a fax that is sent again has the pages of the first time, and takes nothing new"
            )


def sent_name(name: str) -> str:
    """The name under which a file called `name` is sent: with ``_`` for what the platform does not allow."""
    stem, dot, end = PurePath(name).name.rpartition(".")
    if not dot:
        stem, end = end, ""
    safe = "".join("_" if each in _UNSAFE or not each.isprintable() else each for each in stem)
    room = _MOST_NAME_BYTES - len(end) - 1
    return (safe.encode("utf-8", "replace")[:room].decode("utf-8", "ignore") or "file") + dot + end


def media_type_for(kind: SendKind, name: str) -> str:
    """The media type of a file called `name` in a message of this kind.

    Raises:
        ValueError: The platform takes no such file; the text says which it takes.
    """
    types = _TYPES.get(kind)
    if types is None:
        raise ValueError(f"a message of the kind {kind.value} has no files")
    return typed(types, name, "a fax" if kind is SendKind.FAX else "a text")


def typed(types: Mapping[str, str], name: str, whose: str) -> str:
    """The media type that `types` has for the end of `name`.

    Raises:
        ValueError: It has none for it; the text says which ends it has.
    """
    found = types.get(PurePath(name).suffix.lower().removeprefix("."))
    if found is None:
        raise ValueError(f"{name}: {whose} takes no such file, only {', '.join(sorted(types))}")
    return found


def text_parts(text: str) -> int:
    """The number of parts in which a text reaches a handset: one, or several of 153 or 67 characters."""
    if all(each in _GSM or each in _GSM_TWICE for each in text):
        units, whole, part = sum(2 if each in _GSM_TWICE else 1 for each in text), 160, 153
    else:
        units, whole, part = len(text.encode("utf-16-le", "surrogatepass")) // 2, 70, 67
    return 1 if units <= whole else -(-units // part)


def each_once(numbers: Iterable[str]) -> tuple[str, ...]:
    """`numbers` in their order, each once."""
    return tuple(dict.fromkeys(numbers))


def outgoing_to_json(outgoing: Outgoing) -> dict[str, object]:
    """`outgoing` as a JSON object, for `outgoing_from_json`."""
    fields = attrs.asdict(outgoing)
    return {name: value.value if isinstance(value, SendKind) else value for name, value in fields.items()}


def outgoing_from_json(fields: Mapping[str, object]) -> Outgoing:
    """The message that `outgoing_to_json` turned into `fields`.

    Raises:
        ValueError, TypeError, KeyError: Another version of rcfs wrote it, with other words.
    """
    values: dict[str, Any] = dict(fields)
    values["kind"] = SendKind(values["kind"])
    values["recipients"] = tuple(values["recipients"])
    values["files"] = tuple(SendFile(**each) for each in values["files"])
    return Outgoing(**values)
