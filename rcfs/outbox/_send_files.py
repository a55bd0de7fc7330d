"""The files of messages to send: looked at, and kept in the state directory until they are sent.

For worker threads: everything here reads and writes files.
"""

import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from rcfs.errors import ConfigError, StoreError
from rcfs.model import SendFile, SendKind, media_type_for, sent_name, typed
from rcfs.private import DIRECTORY_MODE, FILE_MODE, make_private_directory, reason_of, sync_directory

DROPS_PREFIX: Final = "drop-"
"""Begin of the names of the directories in which mounts keep files that people still write."""
_PIECE_BYTES = 1 << 20
_ABANDONED_S = 86_400.0
"""Age at which files of no message are erased, in seconds: a copy that is under way is younger."""
_PAGE = re.compile(rb"/Type\s*/Page(?![A-Za-z])")
_UNCOUNTABLE = (b"/ObjStm", b"/Encrypt")
"""Signs that a PDF keeps its pages where a search does not see them."""


def described(kind: SendKind, path: Path) -> SendFile:
    """The file at `path` as a part of a message of that kind.

    Raises:
        ValueError: The platform takes no such file.
        ConfigError: It cannot be read.
    """
    return _described(path, lambda: media_type_for(kind, path.name))


def described_sound(path: Path, types: Mapping[str, str]) -> SendFile:
    """The file at `path` as a greeting or prompt, of one of `types`; raises as `described`."""
    return _described(path, lambda: typed(types, path.name, "a greeting"))


def _described(path: Path, media_type: Callable[[], str]) -> SendFile:
    if not path.is_file():
        raise ConfigError(f"{path} is not a file" if path.exists() else f"{path} does not exist")
    digest, size_bytes, sight = hashlib.sha256(), 0, _Sight()
    name = media_type()
    try:
        for piece in _pieces(path):
            digest.update(piece)
            size_bytes += len(piece)
            if name == "application/pdf":
                sight.see(piece)
    except OSError as exc:
        raise ConfigError(f"{path} cannot be read: {reason_of(exc)}") from exc
    return SendFile(sent_name(path.name), name, size_bytes, digest.hexdigest(), sight.pages)


class _Sight:
    """Counts the pages of a PDF, if a search for their objects finds them."""

    def __init__(self) -> None:
        self._rest = b""
        self._count = 0
        self._is_clear = True

    def see(self, piece: bytes) -> None:
        """The next bytes of the file."""
        whole = self._rest + piece
        self._is_clear = self._is_clear and not any(sign in whole for sign in _UNCOUNTABLE)
        ends = [match.end() for match in _PAGE.finditer(whole)]
        self._count += len(ends)
        # A name may lie across two pieces, but is never counted twice.
        self._rest = whole[max([len(whole) - 64, *ends[-1:]]) :]

    @property
    def pages(self) -> int | None:
        """The number of pages; None if it is not known."""
        return self._count or None if self._is_clear else None


class SendFiles:
    """The files of all messages of an account that are not sent yet, a directory for each message."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def keep(self, send_id: str, files: Sequence[SendFile], paths: Sequence[Path]) -> None:
        """Copies the files at `paths`; they survive a power cut when this returns.

        Raises:
            ValueError: A file has changed since it was described.
            ConfigError: A file cannot be read.
            StoreError: The copies cannot be written.
        """
        if not files:
            return
        own = self._directory / send_id
        try:
            make_private_directory(self._directory)
            own.mkdir(DIRECTORY_MODE)
            for number, (file, path) in enumerate(zip(files, paths, strict=True)):
                if _copied(path, own / str(number)) != (file.size_bytes, file.sha256):
                    raise ValueError(f"{path} changed while rcfs read it")
            for directory in (own, self._directory):
                sync_directory(directory)
        except OSError as exc:
            self.forget(send_id)
            raise StoreError(f"the files to send cannot be kept: {reason_of(exc)}") from exc
        except (ValueError, ConfigError):
            self.forget(send_id)
            raise

    def paths(self, send_id: str, count: int) -> list[Path]:
        """The kept files of a message, in their order."""
        return [self._directory / send_id / str(number) for number in range(count)]

    def forget(self, send_id: str) -> None:
        """Erases the kept files of a message; what cannot be erased stays for `sweep`."""
        shutil.rmtree(self._directory / send_id, ignore_errors=True)

    def sweep(self, wanted: Collection[str], sent: Collection[str]) -> None:
        """Erases the files of the messages `sent`, and of those not `wanted` once they are a day old; by ids.

        A process that dies leaves the former; a process that adds a message has the latter.
        """
        if not self._directory.is_dir():
            return
        for own in self._directory.iterdir():
            if own.name.startswith(DROPS_PREFIX):
                continue
            is_old = own.name not in wanted and time.time() - own.lstat().st_mtime > _ABANDONED_S
            if is_old or own.name in sent:
                self.forget(own.name)


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            yield piece


def _copied(source: Path, target: Path) -> tuple[int, str]:
    """Copies a file, and returns its size and digest.

    Raises:
        ConfigError: The source cannot be read.
        OSError: The target cannot be written.
    """
    digest, size_bytes = hashlib.sha256(), 0
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        reading = source.open("rb")
    except OSError as exc:
        raise ConfigError(f"{source} cannot be read: {reason_of(exc)}") from exc
    with reading, os.fdopen(os.open(target, flags, FILE_MODE), "wb") as writing:
        while piece := reading.read(_PIECE_BYTES):
            digest.update(piece)
            size_bytes += len(piece)
            writing.write(piece)
        writing.flush()
        os.fsync(writing.fileno())
    return size_bytes, digest.hexdigest()
