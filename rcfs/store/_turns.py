"""Turns: blocks in which one process of this machine works at something alone."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rcfs.errors import StoreError
from rcfs.private import FILE_MODE, reason_of


@contextmanager
def turn(path: Path) -> Iterator[bool]:
    """A block in which no other process, and no other caller in this one, has the lock of `path`, if True.

    It is False at once while another has it. The kernel ends the block of a process that dies.

    Raises:
        StoreError: The file cannot be locked.
    """
    lock = _locked(path)
    try:
        yield lock is not None
    finally:
        if lock is not None:
            os.close(lock)


def _locked(path: Path) -> int | None:
    """A descriptor that holds the lock of `path`; None if another holds it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
    except OSError as exc:
        raise StoreError(f"{path} cannot be locked: {reason_of(exc)}") from exc
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError as exc:
        os.close(descriptor)
        raise StoreError(f"{path} cannot be locked: {reason_of(exc)}") from exc
    return descriptor
