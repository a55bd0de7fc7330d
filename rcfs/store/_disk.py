"""The value files of the cache, in place of those of diskcache, which may be pickles.

diskcache pickles objects that it does not know, and unpickles values that its database calls pickles, so that
a tampered database could run code. `BytesDisk` replaces every method that could do either.
"""

import contextlib
import re
import secrets
from pathlib import Path
from typing import NoReturn

import diskcache
from diskcache.core import MODE_BINARY

from rcfs.filenames import CacheFiles
from rcfs.store._seats import Seats
from rcfs.store._value import HEADER_BYTES, UncheckedChunk, allocated_bytes, open_unchecked, write_value

FILE_OF_BYTES: int = MODE_BINARY
"""diskcache's number for a file of bytes, the only kind of value in the cache."""
_FILE_NAME = re.compile(r"[0-9a-f]{32}\.val")


class BytesDisk(diskcache.Disk):  # type: ignore[misc]  # diskcache has no type hints
    """The directory of the value files, each with one key and its bytes.

    Attributes:
        uncommitted: Names of the files that were written last, to be removed if their transaction fails. The
            writer clears it, and keeps other writers out.
        seats: Descriptors for the chunks that readers have.
    """

    def __init__(self, directory: str, min_file_size: int = 0, pickle_protocol: int = 0) -> None:
        super().__init__(directory, min_file_size, pickle_protocol)
        # One directory, not diskcache's tree of up to 65,792: each of those would take a block for itself,
        # and today's file systems look up names in large directories by hash.
        self.chunk_directory = CacheFiles(Path(directory)).chunks
        self.uncommitted: list[str] = []
        self.seats = Seats()

    def put(self, *_arguments: object, **_options: object) -> NoReturn:
        """Refused, as `get`, `store` and `fetch` are: with them diskcache reads and writes values.

        Raises:
            TypeError: Always.
        """
        raise TypeError("values of the cache are read and written by ChunkTable alone")

    get = store = fetch = put

    def write(self, name: str, key: str, payload: bytes | bytearray) -> int:
        """Write the new value file `name`; the bytes that it takes on the disk.

        Raises:
            OSError: The file cannot be written; no part of it is left.
        """
        write_value(self.chunk_directory / name, key, payload)
        self.uncommitted.append(name)
        return allocated_bytes(HEADER_BYTES + len(payload))

    def open_unchecked(self, mode: object, filename: object) -> UncheckedChunk:
        """The value file of a row, after checking its header and length.

        Raises:
            TypeError: The mode of the row is not that of a file of bytes.
            OSError: The file cannot be opened.
            DamagedValueError: Header or length are not as they were written.
        """
        if mode != FILE_OF_BYTES:
            raise TypeError("the database holds a value that is not a file of bytes")
        return open_unchecked(self.path(filename), self.seats)

    def path(self, filename: object) -> Path:
        """The path of the value file `filename` of a row.

        Raises:
            TypeError: `new_value_name` cannot have given this name, so it may lead anywhere.
        """
        if not is_value_name(filename):
            raise TypeError("the database names a file that cannot be a value")
        return self.chunk_directory / str(filename)

    def remove(self, file_path: object) -> None:
        """Remove the value file `file_path`; nothing happens if it is missing, or no value file."""
        with contextlib.suppress(OSError, TypeError):
            self.path(file_path).unlink()

    def remove_uncommitted(self) -> None:
        """Remove the files that were written last, because their rows were not committed."""
        while self.uncommitted:
            self.remove(self.uncommitted.pop())


def new_value_name() -> str:
    """A new, unique name for a value file."""
    return secrets.token_hex(16) + ".val"


def is_value_name(name: object) -> bool:
    """Whether `new_value_name` can have given `name`."""
    return isinstance(name, str) and _FILE_NAME.fullmatch(name) is not None
