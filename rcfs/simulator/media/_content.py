"""Contents of the simulated account: recipes for the bytes of attachments, and objects that read them.

A :class:`Media` value is a recipe of a few fields. A :class:`SimContent` makes its bytes at the first read
and keeps them as long as it lives, so an account of any size stores no content.
"""

import hashlib
import struct
from collections.abc import Callable, Iterator
from importlib import resources
from typing import Protocol

import attrs

from rcfs.simulator._dice import filler

_PIECE_BYTES = 1 << 20
"""Bytes read at once for a checksum; any size would do, this is a chunk of the cache."""


class MediaBases:
    """The few pictures and recordings of which many attachments are variations, each made once.

    Two threads that ask for the same base at once may both make it; the results are equal.
    """

    def __init__(self) -> None:
        self._made: dict[str, bytes] = {}

    def base(self, name: str, make: Callable[[], bytes]) -> bytes:
        """The bytes that `make` returns; from memory after the first call for `name`."""
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]

    def asset(self, name: str) -> bytes:
        """The bytes of the file `name` in the simulator's package."""
        return self.base(name, (resources.files("rcfs.simulator") / "assets" / name).read_bytes)


class Media(Protocol):
    """A recipe for bytes; equal recipes make equal bytes."""

    @property
    def content_type(self) -> str:
        """Media type without parameters."""

    @property
    def size_bytes(self) -> int | None:
        """Exact size; None if it is known only after rendering."""

    def render(self, bases: MediaBases) -> bytes:
        """The bytes."""


@attrs.frozen
class TextMedia:
    """Text in UTF-8."""

    text: str
    """The text, possibly empty."""
    content_type: str = "text/plain"
    """``text/plain`` or ``text/vcard``."""

    @property
    def size_bytes(self) -> int:
        """Exact size."""
        return len(self.text.encode())

    def render(self, _bases: MediaBases) -> bytes:
        """The text's bytes."""
        return self.text.encode()


@attrs.frozen
class BytesMedia:
    """A file that a client uploaded."""

    data: bytes = attrs.field(repr=False)
    """Its bytes."""
    content_type: str
    """Media type without parameters."""

    @property
    def size_bytes(self) -> int:
        """Exact size."""
        return len(self.data)

    def render(self, _bases: MediaBases) -> bytes:
        """The bytes."""
        return self.data


@attrs.frozen
class LaterMedia:
    """A recipe that is made only when its bytes are needed: lists of messages need only its type."""

    content_type: str
    """Media type without parameters."""
    make: Callable[[], Media] = attrs.field(repr=False)
    """Makes the recipe."""
    size_bytes: None = None

    def render(self, bases: MediaBases) -> bytes:
        """The bytes."""
        return self.make().render(bases)


@attrs.frozen
class Mp4Media:
    """A two-second clip, padded to its size by a ``free`` box.

    The asset is ffmpeg's ``testsrc2`` (160x120, 8 frames a second, H.264 baseline) with a sine tone (AAC),
    made with ``-movflags +faststart`` and the ``+bitexact`` flags.
    """

    key: str
    """Makes this clip's bytes differ from those of all others."""
    size_bytes: int
    """Exact size, at least 16 KiB (the clip itself has about 12)."""
    content_type: str = "video/mp4"

    def render(self, bases: MediaBases) -> bytes:
        """The clip and its box.

        A ``free`` box may be anywhere among the boxes, and players skip it (ISO/IEC 14496-12, 8.1.2). At the
        end it moves no offset. Its length field includes the eight bytes of its header.
        """
        clip = bases.asset("clip.mp4")
        box_bytes = self.size_bytes - len(clip)
        return clip + struct.pack(">I4s", box_bytes, b"free") + filler(box_bytes - 8, self.key)


class SimContent:
    """The content of one attachment, as the media server has it.

    The first :meth:`read` makes the bytes, which takes some milliseconds; they live as long as this object.
    Use one object per request, in one thread at a time.
    """

    def __init__(self, media: Media, bases: MediaBases, file_name: str | None = None) -> None:
        self.content_type = media.content_type
        self.file_name = file_name
        self._media = media
        self._bases = bases
        self._bytes: bytes | None = None

    @property
    def size_bytes(self) -> int:
        """Exact size; finding that of a fax requires making it."""
        size = self._media.size_bytes
        return len(self._all()) if size is None else size

    def read(self, start: int, stop: int) -> bytes:
        """Bytes ``[start, stop)``, fewer where the content ends earlier; ``0 <= start <= stop``."""
        return self._all()[start:stop]

    def pieces(self) -> Iterator[bytes]:
        """The whole content in order, in pieces of at most 1 MiB."""
        for start in range(0, self.size_bytes, _PIECE_BYTES):
            yield self.read(start, start + _PIECE_BYTES)

    def sha256(self) -> str:
        """SHA-256 of the whole content, in hexadecimal."""
        digest = hashlib.sha256()
        for piece in self.pieces():
            digest.update(piece)
        return digest.hexdigest()

    def _all(self) -> bytes:
        if self._bytes is None:
            self._bytes = self._media.render(self._bases)
        return self._bytes
