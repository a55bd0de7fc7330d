"""The file of one cached value: a header with the key, then the bytes.

    0    8   magic and version of this layout
    8    8   number of payload bytes
    16   2   number of key bytes
    18  32   BLAKE2b of the 18 bytes above, the key and the payload
    50  462  key as UTF-8, zeros up to the end; for the only chunk of a content, a zero and its info follow
    512 ...  payload, to the end of the file

Integers are big-endian. Because a file describes itself, no content is lost with the database, and rcfs
notices if a crash, a disk or a user has changed a file. A file is written once and never changed. It is not
synced: after a power cut the digest tells which files are whole, and syncing each file would take more time
than fetching the few others again.
"""

import errno
import os
import struct
from hashlib import blake2b
from pathlib import Path

import attrs

from rcfs.private import FILE_MODE
from rcfs.store._keys import split_info
from rcfs.store._seats import Seats

HEADER_BYTES = 512
"""Size of the header in bytes: one sector. A small value stays within one file system block with it, and a
full chunk takes 257 blocks of 4 KiB with any header."""

_BLOCK_BYTES = 4096
"""Block of ext4, xfs and btrfs, in bytes."""

_MAGIC = b"rcfsval1"
_FIELDS = struct.Struct(">8sQH")
_DIGEST_BYTES = 32
_KEY_OFFSET = _FIELDS.size + _DIGEST_BYTES
MOST_KEY_BYTES = HEADER_BYTES - _KEY_OFFSET
"""Longest key in the header, in bytes."""


class DamagedValueError(Exception):
    """A value file is not as it was written; it must never be served."""


@attrs.define(eq=False)
class Chunk:
    """The payload of a value file, checked and open; it stays readable after the file is evicted.

    If `Seats` had no descriptor for it, the file is opened for each read, and lost when it is evicted.
    `pread` may run in several threads at once and in an event loop: the bytes were read or written just
    before, so they come from the page cache. The descriptor is closed by `close`, or when the object is
    deleted.
    """

    _fd: int
    length_bytes: int
    """Number of payload bytes."""
    _path: Path | None = None
    """Path of the file if it is opened for each read."""
    _inode: int = 0
    _seats: Seats | None = None
    """To which the descriptor is returned."""

    def pread(self, offset: int, size: int) -> bytes:
        """The bytes ``[offset, offset + size)`` of the payload, cut at its end.

        Args:
            offset: From the start of the chunk, at least 0.
            size: In bytes, at least 0.

        Raises:
            ValueError: `offset` or `size` is negative.
            OSError: EIO when the disk fails or the file was cut short since its check; EBADF after `close`;
                others when the file cannot be opened again.
        """
        if offset < 0 or size < 0:
            raise ValueError(f"cannot read {size} bytes at {offset}")
        wanted = max(0, min(size, self.length_bytes - offset))
        data = self._pread(wanted, HEADER_BYTES + offset)
        if len(data) != wanted:
            raise OSError(errno.EIO, "the chunk was cut short while it was open")
        return data

    def header(self) -> bytes:
        """The header in front of the payload.

        Raises:
            OSError: It cannot be read.
        """
        return self._pread(HEADER_BYTES, 0)

    @property
    def is_removed(self) -> bool:
        """Whether the file has been deleted, so that closing it frees its space."""
        try:
            return self._fd >= 0 and os.fstat(self._fd).st_nlink == 0
        except OSError:
            return True

    def _pread(self, size: int, offset: int) -> bytes:
        if self._path is None:
            return os.pread(self._fd, size, offset)
        fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if os.fstat(fd).st_ino != self._inode:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self._path))
            return os.pread(fd, size, offset)
        finally:
            os.close(fd)

    def close(self) -> None:
        """Close the descriptor; a second call does nothing. No other thread may be in `pread`."""
        fd, self._fd = self._fd, -1
        self._path = None
        if fd >= 0:
            os.close(fd)
            if self._seats is not None:
                self._seats.give_back()

    def __del__(self) -> None:
        self.close()


@attrs.define(eq=False)
class UncheckedChunk:
    """An open value file whose header was checked, and whose payload was not.

    One thread at a time may use it.
    """

    name: str
    """File name."""
    key: str
    """The key in the header; the digest has not been compared yet."""
    info: str
    """The info in the header; empty without one. It, too, is good only if `check` succeeds."""
    _payload: Chunk
    _fields: bytes
    _key_bytes: bytes
    _digest: bytes

    @property
    def length_bytes(self) -> int:
        """Number of payload bytes."""
        return self._payload.length_bytes

    def check(self) -> Chunk:
        """The payload, after checking every byte; this object cannot be used afterwards, even after an error.

        Raises:
            DamagedValueError: It cannot be read, or is not as it was written.
        """
        try:
            data = self._payload.pread(0, self.length_bytes)
        except OSError as exc:
            self.close()
            raise DamagedValueError(str(exc)) from exc
        if _digest(self._fields, self._key_bytes, data) != self._digest:
            self.close()
            raise DamagedValueError("the digest differs")
        return self._payload

    def close(self) -> None:
        """Close the descriptor; a second call does nothing."""
        self._payload.close()


def allocated_bytes(size_bytes: int) -> int:
    """Bytes that a file of `size_bytes` takes on the disk: whole blocks."""
    return -(-size_bytes // _BLOCK_BYTES) * _BLOCK_BYTES


def write_value(path: Path, key: str, payload: bytes | bytearray) -> None:
    """Create the value file `path` with mode 0600; if that fails, no file is left.

    Raises:
        FileExistsError: There is a file `path` already; it stays.
        OSError: It cannot be written: disk full, directory gone, and so on.
        ValueError: `key` has more than 462 bytes.
    """
    name = key.encode()
    if len(name) > MOST_KEY_BYTES:
        raise ValueError(f"a key of {len(name)} bytes does not fit into the header")
    fields = _FIELDS.pack(_MAGIC, len(payload), len(name))
    header = (fields + _digest(fields, name, payload) + name).ljust(HEADER_BYTES, b"\0")
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    try:
        os.fchmod(fd, FILE_MODE)
        _write_all(fd, header)
        _write_all(fd, payload)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(fd)


def open_value(path: Path, seats: Seats | None = None) -> Chunk:
    """The payload of the value file `path`, whose bytes the caller knows to be good.

    Raises:
        OSError: It cannot be opened.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    status = os.fstat(fd)
    length_bytes = max(0, status.st_size - HEADER_BYTES)
    if seats is None or seats.take():
        return Chunk(fd, length_bytes, seats=seats)
    os.close(fd)
    return Chunk(-1, length_bytes, path, status.st_ino)


def open_unchecked(path: Path, seats: Seats | None = None) -> UncheckedChunk:
    """The value file `path`, after checking its header and length.

    Raises:
        OSError: It cannot be opened.
        DamagedValueError: Its header cannot be read or is not as it was written, or the length is another.
    """
    chunk = open_value(path, seats)
    try:
        fields, key, digest = _parse_header(chunk.header(), chunk.length_bytes)
    except OSError as exc:
        chunk.close()
        raise DamagedValueError(str(exc)) from exc
    except DamagedValueError:
        chunk.close()
        raise
    name, info = split_info(key.decode(errors="replace"))
    return UncheckedChunk(path.name, name, info, chunk, fields, key, digest)


def peek_key(path: Path) -> str:
    """The key in the header of `path`, without info; the length has been checked, the payload has not.

    Raises:
        OSError: It cannot be opened or read.
        DamagedValueError: The header is not as it was written, or the length is not what it says.
    """
    with path.open("rb", buffering=0) as file:
        payload_bytes = max(0, os.fstat(file.fileno()).st_size - HEADER_BYTES)
        _fields, key, _expected = _parse_header(file.read(HEADER_BYTES), payload_bytes)
    return split_info(key.decode(errors="replace"))[0]


def _parse_header(header: bytes, payload_bytes: int) -> tuple[bytes, bytes, bytes]:
    """The packed fields, the key and the digest in `header`, in front of `payload_bytes` bytes."""
    if len(header) < HEADER_BYTES:
        raise DamagedValueError("the header is incomplete")
    fields = header[: _FIELDS.size]
    magic, length, key_bytes = _FIELDS.unpack(fields)
    if magic != _MAGIC or key_bytes > MOST_KEY_BYTES:
        raise DamagedValueError("the header is not ours")
    if length != payload_bytes:
        raise DamagedValueError(f"{payload_bytes} bytes follow the header and not {length}")
    return fields, header[_KEY_OFFSET : _KEY_OFFSET + key_bytes], header[_FIELDS.size : _KEY_OFFSET]


def _digest(fields: bytes, key: bytes, payload: bytes | bytearray) -> bytes:
    digest = blake2b(fields, digest_size=_DIGEST_BYTES)
    digest.update(key)
    digest.update(payload)
    return digest.digest()


def _write_all(fd: int, data: bytes | bytearray) -> None:
    view = memoryview(data)
    while view:
        # A full disk shows as a short write first; the next call raises.
        view = view[os.write(fd, view) :]
