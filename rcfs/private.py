"""Files and directories that only their owner may open, whatever the umask."""

import errno
import os
from contextlib import suppress
from pathlib import Path

from rcfs.errors import StoreError

DIRECTORY_MODE = 0o700
FILE_MODE = 0o600


def reason_of(error: Exception) -> str:
    """The text of `error` for a message; that of an OSError without its number and file name."""
    return getattr(error, "strerror", None) or str(error)


def make_private_directory(path: Path) -> None:
    """Create `path` and its missing parents, each with mode 0700; existing directories stay unchanged.

    Raises:
        NotADirectoryError: `path` or a parent exists and is not a directory.
        OSError: A directory cannot be created.
    """
    if path.is_dir():
        return
    make_private_directory(path.parent)
    try:
        path.mkdir(DIRECTORY_MODE, exist_ok=True)
    except FileExistsError:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path)) from None
    path.chmod(DIRECTORY_MODE)


def make_private_file(path: Path) -> None:
    """Create the file `path` if it is missing, and set its mode to 0600; its content stays.

    An empty file is an empty SQLite database, and SQLite's side files get its mode. So a database whose file
    is created here is never readable for others, not even for a moment.

    A file that exists is not opened: to close it would drop the record locks of all connections that this
    process has to the database (fcntl(2)), and the next process that ends would delete their write-ahead log.

    Raises:
        OSError: It cannot be created, or may not be written.
    """
    if not path.exists():
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        os.close(os.open(path, flags, FILE_MODE))
    path.chmod(FILE_MODE)
    if not path.is_file() or not os.access(path, os.R_OK | os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def replace_private_file(path: Path, text: str, *, sync: bool = False, mode: int = FILE_MODE) -> None:
    """Replace the file `path` by `text`, with mode 0600; readers see the old file or the new one, whole.

    With `sync` the new one survives a power cut. Another `mode` is for files that others are to read.

    Raises:
        OSError: It cannot be written; the old file stays.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(draft, flags, FILE_MODE), "w", encoding="utf-8") as file:
            file.write(text)
            os.fchmod(file.fileno(), mode)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        draft.replace(path)
        if sync:
            sync_directory(path.parent)
    except OSError:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise


def sync_directory(path: Path) -> None:
    """Puts the names in the directory `path` on the disk: a rename is not there before (fsync(2))."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def private_directory(path: Path) -> None:
    """As `make_private_directory`, with an error for users.

    Raises:
        StoreError: It cannot be created, or is not a directory.
    """
    try:
        make_private_directory(path)
    except OSError as exc:
        if path.exists():
            raise StoreError(f"{path} is not a directory; remove it, or choose another directory") from exc
        raise StoreError(f"the directory {path} cannot be created: {exc.strerror}") from exc


def write_private(path: Path, text: str) -> None:
    """As `replace_private_file`, with an error for users.

    Raises:
        StoreError: It cannot be written.
    """
    try:
        replace_private_file(path, text)
    except OSError as exc:
        raise StoreError(f"{path} cannot be written: {exc.strerror}") from exc
