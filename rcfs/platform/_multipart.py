"""Bodies of several parts, with files that are read while they are sent.

Source: RFC 7578 for ``multipart/form-data``, RFC 2046, 5.1 for ``multipart/mixed``.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import attrs

from rcfs.errors import StoreError
from rcfs.private import reason_of

_PIECE_BYTES: Final = 256 << 10
"""Bytes that are read at once: a body of 50 MB takes little memory, and 200 hops to a thread."""


@attrs.frozen
class FilePart:
    """A file as a part of a body."""

    field: str
    """Name of the form's field; without effect in ``multipart/mixed``."""
    file_name: str
    """Its name for the receiver, without quotes and line feeds."""
    media_type: str
    """Its ``Content-Type``."""
    path: Path
    """The file, which nobody may change while it is sent."""
    size_bytes: int
    """Its exact size."""


@attrs.frozen
class TextPart:
    """A text as a part of a body."""

    field: str
    """Name of the form's field; without effect in ``multipart/mixed``."""
    text: str = attrs.field(repr=False)
    """The text."""
    media_type: str = ""
    """Its ``Content-Type``; empty for none, which means plain text."""


def json_part(document: object) -> TextPart:
    """The part with the fields of a message, which comes first."""
    return TextPart("json", json.dumps(document), "application/json")


@attrs.frozen
class MultipartBody:
    """A body of parts; each `pieces` yields the same bytes, so a repeated request has the same body."""

    parts: Sequence[TextPart | FilePart]
    """The parts, in their order."""
    boundary: str
    """The line between parts: letters, digits and hyphens that occur in no part."""
    subtype: str = "form-data"
    """``form-data`` or ``mixed``."""

    @property
    def media_type(self) -> str:
        """Its ``Content-Type``."""
        return f"multipart/{self.subtype}; boundary={self.boundary}"

    @property
    def size_bytes(self) -> int:
        """Its exact size."""
        return sum(len(self._head(part)) + _size_of(part) + len(b"\r\n") for part in self.parts) + len(
            self._end
        )

    def pieces(self) -> Iterator[bytes]:
        """The bytes of the body, from its beginning; for a worker thread, as it reads files.

        Raises:
            StoreError: A file is missing, or has not the size that its part says.
        """
        for part in self.parts:
            yield self._head(part)
            if isinstance(part, TextPart):
                yield part.text.encode()
            else:
                for start in range(0, part.size_bytes, _PIECE_BYTES):
                    yield _piece(part, start)
            yield b"\r\n"
        yield self._end

    @property
    def _end(self) -> bytes:
        return f"--{self.boundary}--\r\n".encode()

    def _head(self, part: TextPart | FilePart) -> bytes:
        fields = [f"--{self.boundary}"]
        place = "attachment" if self.subtype == "mixed" else f'form-data; name="{part.field}"'
        if isinstance(part, FilePart):
            fields.append(f'Content-Disposition: {place}; filename="{part.file_name}"')
        elif self.subtype != "mixed":
            fields.append(f"Content-Disposition: {place}")
        if part.media_type:
            fields.append(f"Content-Type: {part.media_type}")
        return "\r\n".join((*fields, "", "")).encode()


def _size_of(part: TextPart | FilePart) -> int:
    return part.size_bytes if isinstance(part, FilePart) else len(part.text.encode())


def _piece(part: FilePart, start: int) -> bytes:
    """The bytes of a file from `start`; it stays open no longer, since a body may be abandoned."""
    wanted = min(_PIECE_BYTES, part.size_bytes - start)
    try:
        with part.path.open("rb") as file:
            file.seek(start)
            piece = file.read(wanted)
    except OSError as exc:
        raise StoreError(f"a file to send cannot be read: {reason_of(exc)}") from exc
    if len(piece) != wanted:
        raise StoreError("a file to send has become shorter")
    return piece
