"""Zip archives of exports: written once to unnamed files on disk, then read in any order."""

import os
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime

import attrs

_END_BYTES = 22
"""Size of the record at a zip's end without a comment (APPNOTE.TXT of PKWARE, 4.3.16)."""
_ENTRY_BYTES = 30 + 46
"""Size of an entry's two headers without its name, which both contain (APPNOTE.TXT, 4.3.7 and 4.3.12)."""


@attrs.frozen
class PackedFile:
    """A file that goes into an archive."""

    name: str
    """Path within the archive, ASCII."""
    time_s: float
    """Time of the last change, seconds since 1970 UTC; not before 1980, where the times of zip begin."""
    pieces: Iterable[bytes]
    """Its bytes in order; read once, when the file is packed."""


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
        compressed: Whether to compress them.
    """

    def __init__(self, files: Iterable[PackedFile], *, compressed: bool) -> None:
        with ExitStack() as unfinished:
            self._file = unfinished.enter_context(tempfile.TemporaryFile())
            with zipfile.ZipFile(self._file, "w") as target:
                for file in files:
                    _pack(target, file, compressed=compressed)
            self._file.flush()
            self.size_bytes = os.fstat(self._file.fileno()).st_size
            """Exact size."""
            unfinished.pop_all()

    def read(self, start: int, stop: int) -> bytes:
        """Bytes ``[start, stop)``, fewer where the archive ends earlier; ``0 <= start <= stop``."""
        return os.pread(self._file.fileno(), stop - start, start)

    def close(self) -> None:
        """Free its space on disk; no reads are possible afterwards."""
        self._file.close()


def cut_archives(files: Iterable[SizedFile], most_bytes: int) -> Iterator[Archive]:
    """Archives of `files` in their order, none larger than `most_bytes` unless it holds a single file.

    Nothing is compressed: attachments hardly shrink, and so each archive can be filled exactly.
    """
    rest = iter(files)
    first = next(rest, None)
    while first is not None:
        batch = _Batch(first, rest, most_bytes)
        yield Archive(batch, compressed=False)
        first = batch.overflow


class _Batch:
    """The files of one archive: `first`, and what fits of `rest`; `overflow` is the first that did not."""

    def __init__(self, first: SizedFile, rest: Iterator[SizedFile], most_bytes: int) -> None:
        self.overflow: SizedFile | None = None
        self._first = first
        self._rest = rest
        self._most_bytes = most_bytes

    def __iter__(self) -> Iterator[SizedFile]:
        size = _END_BYTES + self._first.packed_bytes
        yield self._first
        for file in self._rest:
            size += file.packed_bytes
            if size > self._most_bytes:
                self.overflow = file
                return
            yield file


def _pack(target: zipfile.ZipFile, file: PackedFile, *, compressed: bool) -> None:
    """Write `file` into `target`, piece by piece."""
    entry = zipfile.ZipInfo(file.name, datetime.fromtimestamp(file.time_s, UTC).timetuple()[:6])
    entry.compress_type = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    # A size given beforehand allows the short form of the entry; a file of unknown size needs zip64.
    entry.file_size = file.size_bytes if isinstance(file, SizedFile) else 0
    with target.open(entry, "w", force_zip64=not isinstance(file, SizedFile)) as packed:
        for piece in file.pieces:
            packed.write(piece)
