"""Pulls of several machines that write into one copy at the same time, its *members*.

Each member appends its lines to a manifest of its own, beside SHA256SUMS. The member that ends last, or the
next pull that has the copy to itself, puts all of them into SHA256SUMS. So a killed member loses nothing, and
no two machines ever write to one file.

While it runs, a member holds a shared lock on a file, because NFS has no locks on directories.
"""

import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from rcfs.errors import StoreError
from rcfs.pull._digests import Digests
from rcfs.pull._disk import Disk, Lack
from rcfs.pull._manifest_file import open_manifest

LOCK_FILE: Final = ".rcfs-members.lock"
"""Name of the file that members lock; it is there only while there are members."""
_LOCK_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_MERGED_WITHIN_S = 30.0
"""Longest wait for another member that puts the manifests together: 5 s for a million files."""
_LOOK_EVERY_S = 0.05
_SUMS = re.compile(r"\.rcfs-sums-[0-9a-f]{16}")


def sums_name(member: str) -> str:
    """Name of the manifest of the member whose name is 16 hexadecimal digits."""
    return f".rcfs-sums-{member}"


def member_sums(directory_fd: int) -> list[str]:
    """Names of the manifests of members in a directory, from the oldest to the newest."""
    found = []
    for name in os.listdir(directory_fd):
        if _SUMS.fullmatch(name):
            with suppress(FileNotFoundError):  # Another pull has just put it into the manifest.
                found.append((os.stat(name, dir_fd=directory_fd).st_mtime_ns, name))
    return [name for _time_ns, name in sorted(found)]


def is_of_members(name: str) -> bool:
    """Whether a file in the top directory of a copy is there for members."""
    return name == LOCK_FILE or _SUMS.fullmatch(name) is not None


def read_members(digests: Digests, directory_fd: int, path: Path, account_id: str) -> list[str]:
    """Adds the lines of all members to `digests`; returns the names of their manifests.

    Raises:
        StoreError: One cannot be read, or belongs to another account.
    """
    names = member_sums(directory_fd)
    for name in names:
        with open_manifest(directory_fd, path, account_id, name) as manifest:
            if manifest is not None:
                digests.read(manifest)
        digests.is_current = False
    return names


@contextmanager
def membership(directory_fd: int, path: Path, disk: Disk) -> Iterator[int]:
    """The shared lock of a member, as a descriptor for `is_alone`; for a worker thread, because it may wait.

    Raises:
        StoreError: A pull has the copy to itself.
        OSError: The disk fails.
    """
    while True:
        lock = os.open(LOCK_FILE, _LOCK_FLAGS, 0o600, dir_fd=directory_fd)
        try:
            deadline_s = time.monotonic() + _MERGED_WITHIN_S
            while not disk.lock(lock, shared=True):
                if time.monotonic() < deadline_s:
                    time.sleep(_LOOK_EVERY_S)
                    continue
                raise StoreError(f"another pull is writing to {path}; wait until it has ended")
            if os.fstat(lock).st_nlink or Lack.LOCKS in disk.lacks:
                yield lock
                return
        finally:
            os.close(lock)


def is_alone(lock: int, disk: Disk) -> bool:
    """Whether no other member is there; then new ones are refused until the caller closes `lock`."""
    if Lack.LOCKS in disk.lacks:
        return False  # Others may be there.
    with suppress(OSError):
        # A server of NFS keeps the shared lock while it refuses the other one: two that end would both fail.
        fcntl.flock(lock, fcntl.LOCK_UN)
    return disk.lock(lock) and bool(os.fstat(lock).st_nlink)


def forget_members(directory_fd: int, disk: Disk) -> bool:
    """Removes the lock file that killed members left; False when a member is there."""
    try:
        lock = os.open(LOCK_FILE, _LOCK_FLAGS & ~os.O_CREAT, dir_fd=directory_fd)
    except FileNotFoundError:
        return True
    try:
        if not disk.lock(lock):
            return False
        os.unlink(LOCK_FILE, dir_fd=directory_fd)
    finally:
        os.close(lock)
    return True
