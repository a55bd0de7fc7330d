"""Files and directories that nobody but their owner may open, whatever the umask says."""

import errno
import itertools
import os
from pathlib import Path

DIRECTORY_MODE = 0o700
FILE_MODE = 0o600

SQLITE_SIDE_FILES = ("-wal", "-shm")
"""What SQLite appends to a database's name for its write-ahead log and that log's index."""


def reason_of(error: Exception) -> str:
    """What went wrong, for a person: of an OSError without its number and file name."""
    return getattr(error, "strerror", None) or str(error)


def make_private_directory(path: Path) -> None:
    """Create `path` and its missing parents, each with mode 0700; one that exists is left as it is.

    Raises:
        NotADirectoryError: `path` or a parent exists and is no directory.
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
    """Make sure that the file `path` exists, has mode 0600 and can be written; its content stays.

    An empty file is an empty SQLite database, and the side files of one get its mode: so a database
    whose file is created here is never open to others, not even for a moment.

    Raises:
        OSError: It cannot be created, or not be opened for writing.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    try:
        os.fchmod(fd, FILE_MODE)
    finally:
        os.close(fd)


def move_database_aside(path: Path) -> Path:
    """The new name, ``*.damaged`` or ``*.damaged2`` and so on, of the SQLite database `path`.

    Renamed and not deleted, because what cannot be read may belong to somebody else. Missing files are
    passed over: another process may have done the same a moment ago.

    Raises:
        OSError: The directory cannot be written.
    """
    names = (
        path.with_name(f"{path.name}.damaged{number if number > 1 else ''}") for number in itertools.count(1)
    )
    target = next(name for name in names if not name.exists())
    for side in ("", *SQLITE_SIDE_FILES):
        source = path.with_name(path.name + side)
        if source.exists():
            source.rename(target.with_name(target.name + side))
    return target
