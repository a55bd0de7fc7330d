"""Where files lie, and private directories and files: 0700 and 0600, whatever the umask."""

import os
from pathlib import Path

from rcfs.errors import StoreError

SESSIONS = "sessions"
"""The directory in that of the state in which the sessions lie that processes of a login share."""


def index_path(state_dir: Path) -> Path:
    """Where the index of mailboxes lies."""
    return state_dir / "mailboxes.sqlite"


def private_directory(path: Path) -> Path:
    """`path`, created with mode 0700 if it was missing (missing parents too).

    Raises:
        StoreError: It cannot be created, or is no directory.
    """
    missing = [parent for parent in (path, *path.parents) if not parent.exists()]
    try:
        for parent in reversed(missing):
            parent.mkdir(mode=0o700, exist_ok=True)
    except OSError as exc:
        raise StoreError(f"the directory {path} cannot be created: {exc.strerror}") from exc
    if not path.is_dir():
        raise StoreError(f"{path} is not a directory")
    return path


def write_private(path: Path, text: str) -> None:
    """Puts `text` at `path` with mode 0600; a reader sees the old file or the new one, never a part.

    Raises:
        StoreError: It cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        partial.replace(path)
    except OSError as exc:
        raise StoreError(f"{path} cannot be written: {exc.strerror}") from exc
