"""Zip archives of exports: written once to unnamed files on disk, then read in any order."""

import hashlib
import os
import struct
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from enum import Enum
from typing import IO

import attrs

_END_BYTES = 22
"""Size of the record at a zip's end without a comment (APPNOTE.TXT of PKWARE, 4.3.16)."""
_ENTRY_BYTES = 30 + 46
"""Size of an entry's two headers without its name, which both contain (APPNOTE.TXT, 4.3.7 and 4.3.12)."""
_STREAMED_BYTES = 16
"""Size of the descriptor behind a streamed entry (APPNOTE.TXT, 4.3.9)."""
_DESCRIPTOR = struct.Struct("<LLLL")
"""The descriptor: signature, CRC-32, size in the archive, size."""
_DESCRIPTOR_SIGNATURE = 0x08074B50
_HASHED_BYTES = 1 << 20
"""Bytes read at once for a checksum."""


class Packing(Enum):
    """How an archive stores its files."""

    STORED = "stored"
    """As they are."""
    DEFLATED = "deflated"
    """Compressed."""
    STREAMED = "streamed"
    """Compressed, with the sizes and the CRC behind each file, as a program writes that cannot go back."""


@attrs.frozen
class PackedFile:
    """A file that goes into an archive."""

    name: str
    """Path within the archive, ASCII."""
    time_s: float
    """Time of the last change, seconds since 1970 UTC; not before 1980, where the times of zip begin."""
    pieces: Iterable[bytes]
    """Its bytes in order; read once, when the file is packed."""
    encoding: str = attrs.field(default="", kw_only=True)
    """Encoding of the name, which the archive does not tell; empty for that of zip."""
    as_is: bool = attrs.field(default=False, kw_only=True)
    """Whether to store it as it is in every archive."""
    forge: Callable[[zipfile.ZipInfo], None] | None = attrs.field(default=None, kw_only=True)
    """Changes its headers after it was packed, but not their length; None for honest headers."""


@attrs.frozen
class SizedFile(PackedFile):
    """A file whose size is known before it is packed."""

    size_bytes: int
    """Exact size."""

    @classmethod
    def of(cls, name: str, time_s: float, content: bytes) -> "SizedFile":
        """A file that holds `content`."""
        return cls(name, time_s, (content,), len(content))

    @property
    def packed_bytes(self) -> int:
        """Bytes that the file adds to an archive without compression."""
        return _ENTRY_BYTES + 2 * len(self.name) + self.size_bytes


class Archive:
    """One zip file; any thread may read it. Closing it frees its space on disk.

    Args:
        files: The files to pack, taken one by one; at most one piece of one file is in memory.
        packing: How to store them.
    """

    def __init__(self, files: Iterable[PackedFile], packing: Packing = Packing.STORED) -> None:
        with ExitStack() as unfinished:
            self._file = unfinished.enter_context(tempfile.TemporaryFile())
            goal = _Pipe(self._file) if packing is Packing.STREAMED else self._file
            with zipfile.ZipFile(goal, "w") as target:
                for file in files:
                    entry = _pack(target, file, packing)
                    if file.forge is not None:
                        file.forge(entry)
                        _write_headers(self._file, entry)
            self._file.flush()
            self.size_bytes = self.listed_bytes = os.fstat(self._file.fileno()).st_size
            """Exact size, and the size that a list tells."""
            unfinished.pop_all()

    def read(self, start: int, stop: int) -> bytes:
        """Bytes ``[start, stop)``, fewer where the archive ends earlier; ``0 <= start <= stop``."""
        return os.pread(self._file.fileno(), stop - start, start)

    def sha256(self) -> str:
        """SHA-256 of its bytes, in hexadecimal."""
        digest = hashlib.sha256()
        for start in range(0, self.size_bytes, _HASHED_BYTES):
            digest.update(self.read(start, start + _HASHED_BYTES))
        return digest.hexdigest()

    def truncate(self, size_bytes: int) -> None:
        """Keep only the first `size_bytes`."""
        self._file.truncate(size_bytes)
        self.size_bytes = self.listed_bytes = size_bytes

    def replace(self, content: bytes) -> None:
        """Put `content` in its place."""
        self._file.seek(0)
        self._file.write(content)
        self._file.flush()
        self.truncate(len(content))

    def close(self) -> None:
        """Free its space on disk; no reads are possible afterwards."""
        self._file.close()


def cut_archives(
    files: Iterable[SizedFile], most_bytes: int, packing: Packing = Packing.STORED
) -> Iterator[Archive]:
    """Archives of `files` in their order, none larger than `most_bytes` unless it holds a single file.

    Files that are stored as they are fill each archive exactly; attachments hardly shrink.
    """
    rest = iter(files)
    first = next(rest, None)
    while first is not None:
        batch = _Batch(first, rest, most_bytes, packing)
        yield Archive(batch, packing)
        first = batch.overflow


class _Batch:
    """The files of one archive: `first`, and what fits of `rest`; `overflow` is the first that did not."""

    def __init__(
        self, first: SizedFile, rest: Iterator[SizedFile], most_bytes: int, packing: Packing
    ) -> None:
        self.overflow: SizedFile | None = None
        self._first = first
        self._rest = rest
        self._most_bytes = most_bytes
        self._packing = packing

    def __iter__(self) -> Iterator[SizedFile]:
        size = _END_BYTES + self._most_of(self._first)
        yield self._first
        for file in self._rest:
            size += self._most_of(file)
            if size > self._most_bytes:
                self.overflow = file
                return
            yield file

    def _most_of(self, file: SizedFile) -> int:
        """Bytes that `file` adds to the archive, at most."""
        if self._packing is Packing.STORED:
            return file.packed_bytes
        # Bytes that do not shrink grow by five in each block of at least 16 KiB (zlib's deflateBound).
        return file.packed_bytes + _STREAMED_BYTES + (file.size_bytes >> 11) + 64


class _Entry(zipfile.ZipInfo):
    """An entry whose name may have an encoding that the archive does not tell."""

    encoding = ""

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802 - the name is that of `ZipInfo`
        if self.encoding:
            return self.filename.encode(self.encoding), self.flag_bits
        told: tuple[bytes, int] = super()._encodeFilenameFlags()  # type: ignore[misc]
        return told


class _Pipe:
    """A file that cannot go back, so that `zipfile` streams into it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, data: bytes) -> int:
        """Append `data`."""
        return self._file.write(data)

    def flush(self) -> None:
        """Hand everything to the system."""
        self._file.flush()

    def close(self) -> None:
        """The owner of the file closes it."""

    def tell(self) -> int:
        """Refuse, as a pipe does."""
        raise OSError("not seekable")


def _pack(target: zipfile.ZipFile, file: PackedFile, packing: Packing) -> zipfile.ZipInfo:
    """Write `file` into `target`, piece by piece."""
    entry = _Entry(file.name, datetime.fromtimestamp(file.time_s, UTC).timetuple()[:6])
    entry.encoding = file.encoding
    is_stored = file.as_is or packing is Packing.STORED
    entry.compress_type = zipfile.ZIP_STORED if is_stored else zipfile.ZIP_DEFLATED
    # A size given beforehand allows the short form of the entry; a file of unknown size needs zip64.
    entry.file_size = file.size_bytes if isinstance(file, SizedFile) else 0
    with target.open(entry, "w", force_zip64=not isinstance(file, SizedFile)) as packed:
        for piece in file.pieces:
            packed.write(piece)
    return entry


def _write_headers(file: IO[bytes], entry: zipfile.ZipInfo) -> None:
    """Write the headers of `entry`, which has the short form, again."""
    end = file.seek(0, os.SEEK_END)
    header = entry.FileHeader(zip64=False)
    file.seek(entry.header_offset)
    file.write(header)
    if entry.flag_bits & 0x08:
        file.seek(entry.header_offset + len(header) + entry.compress_size)
        file.write(_DESCRIPTOR.pack(_DESCRIPTOR_SIGNATURE, entry.CRC, entry.compress_size, entry.file_size))
    file.seek(end)
