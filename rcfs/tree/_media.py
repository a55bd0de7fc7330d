"""Media types: the file extension for each, and an upper estimate for the size of a content.

The standard library's `mimetypes` reads files of the system, so names would differ between machines. This
table is the same everywhere.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

from rcfs.model import Attachment, Message

UNKNOWN_EXTENSION = ".bin"
"""Extension for a media type that is missing, or not in the table."""

_EXTENSIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "application/gzip": (".gz", ".gzip", ".tgz"),
        "application/json": (".json",),
        "application/msword": (".doc", ".dot"),
        "application/pdf": (".pdf",),
        "application/rtf": (".rtf",),
        "application/smil": (".smil", ".smi"),
        "application/vnd.ms-excel": (".xls",),
        "application/vnd.ms-powerpoint": (".ppt", ".pps"),
        "application/vnd.openxmlformats-officedocument.presentationml.presentation": (".pptx",),
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": (".xlsx",),
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document": (".docx",),
        "application/x-gzip": (".gz", ".gzip", ".tgz"),
        "application/zip": (".zip",),
        "audio/3gpp": (".3gp", ".3gpp"),
        "audio/aac": (".aac",),
        "audio/amr": (".amr",),
        "audio/mp3": (".mp3",),
        "audio/mp4": (".m4a", ".mp4"),
        "audio/mpeg": (".mp3", ".mpga"),
        "audio/ogg": (".ogg", ".oga", ".opus"),
        "audio/wav": (".wav",),
        "audio/wave": (".wav",),
        "audio/x-m4a": (".m4a",),
        "audio/x-wav": (".wav",),
        "image/bmp": (".bmp", ".dib"),
        "image/gif": (".gif",),
        "image/heic": (".heic", ".heif"),
        "image/heif": (".heif", ".heic"),
        "image/jpeg": (".jpg", ".jpeg", ".jpe", ".jfif"),
        "image/jpg": (".jpg", ".jpeg", ".jpe", ".jfif"),
        "image/png": (".png",),
        "image/svg+xml": (".svg",),
        "image/tiff": (".tif", ".tiff"),
        "image/webp": (".webp",),
        "image/x-ms-bmp": (".bmp", ".dib"),
        "text/calendar": (".ics",),
        "text/csv": (".csv",),
        "text/html": (".html", ".htm"),
        "text/plain": (".txt", ".text", ".log", ".md"),
        "text/rtf": (".rtf",),
        "text/vcard": (".vcf", ".vcard"),
        "text/x-vcard": (".vcf", ".vcard"),
        "video/3gpp": (".3gp", ".3gpp"),
        "video/3gpp2": (".3g2",),
        "video/mp4": (".mp4", ".m4v"),
        "video/mpeg": (".mpg", ".mpeg", ".mpe"),
        "video/msvideo": (".avi",),
        "video/quicktime": (".mov", ".qt"),
        "video/webm": (".webm",),
        "video/x-msvideo": (".avi",),
    }
)
"""Extensions by media type: first the one that rcfs gives, then others that a sender may have given.

The types are those of voicemail, fax and MMS in observed payloads, those that the API's MMS and fax guides
accept, and others that phones send.
"""

_PLAUSIBLE = re.compile(r".(\.[A-Za-z0-9]{1,10})$", re.DOTALL)
"""An extension that looks like one to a person, after at least one other character."""

_WAV_BYTES_PER_S = 32_000
"""16 kHz, 16 bit, one channel: twice the telephone's 8 kHz."""

_OTHER_BYTES_PER_S = 40_000
"""320 kbit/s, the highest rate of MPEG-1 layer III (ISO/IEC 11172-3, 2.4.2.3)."""

_RECORDED_BYTES_PER_S: Mapping[str, int] = MappingProxyType({".wav": 16_000, ".mp3": 4_000, "": 16_000})
"""Highest rates of call recordings, by extension: telephone audio of 8 kHz and 16 bit (G.711, decoded), and
MP3 at 32 kbit/s. Most records do not say which of the two a recording is."""

_PAGE_BYTES = 512 << 10
"""A fax page at the fine resolution of ITU-T T.4, 1728 x 2200 dots, is 464 KiB before compression."""

_MMS_BYTES = 1_500_000
"""Limit of all files of an MMS together. Source: the API's MMS guide."""

LEAST_BYTES = 1 << 20
"""Smallest estimate: too large a size looks odd until the file is opened, too small a size truncates it."""

_MOST_BYTES = 1 << 30
"""Largest estimate, whatever a record claims: the largest fax has 50 MB."""

_BLOCK_BYTES = 4096
"""Estimates are multiples of a memory page, which shows people that they are estimates."""


def extension_for(content_type: str) -> str:
    """The file extension, with its dot, for a media type in lower case; ``.bin`` for an unknown one."""
    return _EXTENSIONS.get(content_type, (UNKNOWN_EXTENSION,))[0]


def split_extension(name: str, content_type: str) -> tuple[str, str]:
    """The stem and the extension of a file that the sender called `name`; the extension is never empty.

    The sender's extension stays if the media type has it, in upper or lower case, or if the media type is
    unknown. Otherwise the whole name is the stem, so that the original name stays readable.
    """
    match = _PLAUSIBLE.search(name)
    sent = match[1] if match else ""
    accepted = _EXTENSIONS.get(content_type)
    if sent and (accepted is None or sent.lower() in accepted):
        return name[: -len(sent)], sent
    return name, extension_for(content_type)


def recording_extension(uri: str) -> str:
    """The file extension of a call recording: ``.wav`` if its URI ends that way, else ``.mp3``.

    Records of calls have no media type.
    """
    return _uri_extension(uri) or ".mp3"


def estimated_recording(duration_s: int | None, uri: str) -> int:
    """A size in bytes that a call recording is unlikely to exceed, as in `estimated_size`.

    Args:
        duration_s: Its length in seconds; None if that is unknown.
        uri: Its URI, whose ending may be that of a file.
    """
    # The duration is in whole seconds: one more covers the fraction and the header.
    size = 0 if duration_s is None else (duration_s + 1) * _RECORDED_BYTES_PER_S[_uri_extension(uri)]
    return _rounded(size)


def estimated_size(message: Message, attachment: Attachment) -> int:
    """A size in bytes that the content is unlikely to exceed: a multiple of 4096, from 1 MiB to 1 GiB."""
    size = 0
    if attachment.duration_s is not None:
        is_wav = extension_for(attachment.content_type) == ".wav"
        rate = _WAV_BYTES_PER_S if is_wav else _OTHER_BYTES_PER_S
        # The record's duration is in whole seconds: one more covers the fraction and the header.
        size = max(size, (attachment.duration_s + 1) * rate)
    if message.fax_pages is not None:
        size = max(size, message.fax_pages * _PAGE_BYTES)
    if attachment.kind == "MmsAttachment":
        size = max(size, _MMS_BYTES)
    return _rounded(size)


def _rounded(size: int) -> int:
    """`size`, at least 1 MiB and at most 1 GiB, rounded up to a multiple of 4096."""
    return min(-(-max(size, LEAST_BYTES) // _BLOCK_BYTES) * _BLOCK_BYTES, _MOST_BYTES)


def _uri_extension(uri: str) -> str:
    """``.wav`` or ``.mp3`` if the path of `uri` ends so in any case, else empty."""
    path = uri.partition("#")[0].partition("?")[0].lower()
    return next((extension for extension in (".wav", ".mp3") if path.endswith(extension)), "")
