"""Zip archives of exports: packed once into unnamed files on disk, then read in any part."""

import os
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

import attrs

_END_BYTES = 22
"""Size of the record at a zip's end without a comment (APPNOTE.TXT of PKWARE, 4.3.16)."""
_ENTRY_BYTES = 30 + 46
"""Size of an entry's two headers without its name, which stands in both (APPNOTE.TXT, 4.3.7 and 4.3.12)."""


@attrs.frozen
class PackedFile:
    """A file that goes into an archive."""

    name: str
    """Path within the archive, ASCII."""
    content: bytes
    """Its bytes."""
    time_s: float
    """When it was last changed, seconds since 1970 UTC; not before 1980, where the times of zip begin."""

    @property
    def packed_bytes(self) -> int:
        """What it adds to the size of an archive that does not compress."""
        return _ENTRY_BYTES + 2 * len(self.name) + len(self.content)


@attrs.frozen
class StreamedFile:
    """A file that goes into an archive piece by piece, as it would be large in memory."""

    name: str
    """Path within the archive, ASCII."""
    pieces: Iterable[bytes]
    """Its bytes; fewer than 2 GiB."""
    time_s: float
    """When it was last changed, as in `PackedFile`."""


class Archive:
    """One zip file; any thread may read. It has to be closed, which frees its space on disk.

    Args:
        files: What is in it, taken one by one; never more than one is in memory.
        compressed: Whether it is worth the time to make them smaller.
    """

    def __init__(self, files: Iterable[PackedFile | StreamedFile], *, compressed: bool) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        method = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
        with zipfile.ZipFile(self._file, "w") as target:
            for file in files:
                moment = datetime.fromtimestamp(file.time_s, UTC)
                info = zipfile.ZipInfo(file.name, moment.timetuple()[:6])
                if isinstance(file, PackedFile):
                    target.writestr(info, file.content, method)
                    continue
                info.compress_type = method
                with target.open(info, "w") as entry:
                    for piece in file.pieces:
                        entry.write(piece)
        self._file.flush()
        self.size_bytes = os.fstat(self._file.fileno()).st_size
        """Exact size."""

    def read(self, start: int, stop: int) -> bytes:
        """Bytes ``[start, stop)``, fewer where the archive ends earlier; ``0 <= start <= stop``."""
        return os.pread(self._file.fileno(), stop - start, start)

    def close(self) -> None:
        """Give the space back; nothing can be read any more."""
        self._file.close()


def cut_archives(files: Iterable[PackedFile], most_bytes: int) -> Iterator[Archive]:
    """Archives of `files` in their order, none larger than `most_bytes` unless a single file is.

    Nothing is compressed: contents of messages hardly can be, and so each archive can be filled exactly.
    """
    rest = iter(files)
    first = next(rest, None)
    while first is not None:
        batch = _Batch(first, rest, most_bytes)
        yield Archive(batch, compressed=False)
        first = batch.overflow


class _Batch:
    """The files of one archive: `first`, and of `rest` what fits; then `overflow` is what did not."""

    def __init__(self, first: PackedFile, rest: Iterator[PackedFile], most_bytes: int) -> None:
        self.overflow: PackedFile | None = None
        self._first = first
        self._rest = rest
        self._most_bytes = most_bytes

    def __iter__(self) -> Iterator[PackedFile]:
        size = _END_BYTES + self._first.packed_bytes
        yield self._first
        for file in self._rest:
            size += file.packed_bytes
            if size > self._most_bytes:
                self.overflow = file
                return
            yield file
