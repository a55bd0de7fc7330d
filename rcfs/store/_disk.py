"""How diskcache turns keys and values into files here: text keys, bytes, and nothing else.

diskcache would pickle whatever it does not know and unpickle whatever its database calls a pickle, so that
a doctored database could run code. `BytesDisk` replaces every method that could do either.
"""

import contextlib
import re
import secrets
from pathlib import Path

import diskcache
from diskcache.core import MODE_BINARY, UNKNOWN

from rcfs.filenames import CacheFiles
from rcfs.store._seats import Seats
from rcfs.store._value import HEADER_BYTES, UncheckedChunk, allocated_bytes, open_unchecked, write_value

FILE_OF_BYTES: int = MODE_BINARY
"""What diskcache calls the only kind of value that is used here."""
_FILE_NAME = re.compile(r"[0-9a-f]{32}\.val")


class BytesDisk(diskcache.Disk):  # type: ignore[misc]  # diskcache has no type hints
    """Stores bytes under text keys, each in a checked value file of its own.

    Attributes:
        uncommitted: Names of the files that were written last, so that they can be removed when the
            transaction around them fails. Its user keeps other writers out, and clears it.
        seats: How many of the chunks that are given out are open.
    """

    def __init__(self, directory: str, min_file_size: int = 0, pickle_protocol: int = 0) -> None:
        super().__init__(directory, min_file_size, pickle_protocol)
        # One directory, not diskcache's tree of up to 65,792: each of those would take a block for itself,
        # and today's file systems look up names in large directories by hash.
        self.chunk_directory = CacheFiles(Path(directory)).chunks
        self.uncommitted: list[str] = []
        self.seats = Seats()

    def put(self, key: object) -> tuple[str, bool]:
        """The database's form of `key`, which is the key itself.

        Raises:
            TypeError: `key` is no text.
        """
        if type(key) is not str:
            raise TypeError(f"a key must be text and not {type(key).__name__}")
        return key, True

    def get(self, key: object, raw: object) -> str:
        """The key that the database holds as `key`.

        Raises:
            TypeError: The database says that it is anything but plain text.
        """
        if not raw or type(key) is not str:
            raise TypeError("the database holds a key that is not text")
        return key

    def store(self, value: object, read: bool, key: object = UNKNOWN) -> tuple[int, int, str, None]:
        """Write `value` into a new file; diskcache's columns size (on the disk), mode, filename and value.

        Raises:
            TypeError: `value` is not bytes, or `key` no text.
            OSError: The file cannot be written; nothing is left of it.
        """
        if read or type(value) is not bytes:
            raise TypeError(f"a value must be bytes and not {type(value).__name__}")
        text, _raw = self.put(key)
        name = new_value_name()
        return self.write(name, text, value), FILE_OF_BYTES, name, None

    def write(self, name: str, key: str, payload: bytes | bytearray) -> int:
        """What the new value file `name` takes on the disk, in bytes.

        Raises:
            OSError: The file cannot be written; nothing is left of it.
        """
        write_value(self.chunk_directory / name, key, payload)
        self.uncommitted.append(name)
        return allocated_bytes(HEADER_BYTES + len(payload))

    def fetch(self, mode: object, filename: object, value: object, read: bool) -> bytes:
        """The checked payload of a row, for diskcache's own reading methods.

        Raises:
            TypeError: See `open_unchecked`; also for a value within the database, and when `read` asks for
                a file, whose header would be taken for payload.
            OSError: The file cannot be opened.
            DamagedValueError: The file is not as it was written.
        """
        if read or value is not None:
            raise TypeError("only the payload of a value file can be fetched")
        with contextlib.closing(self.open_unchecked(mode, filename).check()) as chunk:
            return chunk.pread(0, chunk.length_bytes)

    def open_unchecked(self, mode: object, filename: object) -> UncheckedChunk:
        """The value file of a row, of which header and length have been looked at.

        Raises:
            TypeError: The row says that its value is anything but a file of bytes, such as a pickle.
            OSError: The file cannot be opened.
            DamagedValueError: The file is not as it was written, as far as that can be told.
        """
        if mode != FILE_OF_BYTES:
            raise TypeError("the database holds a value that is not a file of bytes")
        return open_unchecked(self.path(filename), self.seats)

    def path(self, filename: object) -> Path:
        """Where the value file `filename` of a row lies.

        Raises:
            TypeError: It is no name that `new_value_name` could have given, so it may lead anywhere.
        """
        if not is_value_name(filename):
            raise TypeError("the database names a file that cannot be a value")
        return self.chunk_directory / str(filename)

    def remove(self, file_path: object) -> None:
        """Remove the value file `file_path`; one that is gone, or is no value file, is passed over."""
        with contextlib.suppress(OSError, TypeError):
            self.path(file_path).unlink()

    def remove_uncommitted(self) -> None:
        """Remove the files that were written last, because their rows did not come about."""
        while self.uncommitted:
            self.remove(self.uncommitted.pop())


def new_value_name() -> str:
    """A name for a value file that no other one has."""
    return secrets.token_hex(16) + ".val"


def is_value_name(name: object) -> bool:
    """Whether `name` is one that `new_value_name` could have given."""
    return isinstance(name, str) and _FILE_NAME.fullmatch(name) is not None
