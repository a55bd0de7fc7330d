"""How files of a copy are opened, written, replaced, synced and dated, on disks of all kinds.

A disk may be a USB stick without links, modes and times, or a network share without locks. rcfs leaves out
each thing that the disk cannot do, and tells the user once. It never opens a FIFO, a device or a symbolic
link that somebody put into the copy: opening one could block, or have a side effect.
"""

import errno
import fcntl
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from hashlib import sha256
from pathlib import Path

from rcfs.errors import StoreError

HOPELESS = frozenset(
    {
        # A disk that is full or read-only.
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EROFS,
        # A disk that was unplugged, a FUSE disk whose process died, a server of NFS or SMB that went away.
        errno.EIO,
        errno.ENODEV,
        errno.ENXIO,
        errno.ENOMEDIUM,
        errno.ENOTCONN,
        errno.ECONNABORTED,
        errno.ESHUTDOWN,
        errno.EHOSTDOWN,
        errno.ESTALE,
        errno.ETIMEDOUT,
    }
)
"""Errors after which no other file can be written either: each further one would waste a request."""
_UNABLE = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.ENOTTY})
"""Errors of file systems that lack an operation: EPERM of vfat and exFAT, ENOSYS of FUSE, others the rest."""
_UNABLE_TO_DATE = _UNABLE | {errno.EACCES, errno.EOVERFLOW, errno.ERANGE}
"""On vfat only the owner of the mount may set times; some file systems have no times before 1980."""
_UNABLE_TO_LOCK = _UNABLE | {errno.ENOLCK, errno.EBADF, errno.EISDIR, errno.EACCES}
"""NFS locks only descriptors that are open for writing, and answers EBADF for a directory."""
_UNABLE_TO_REPLACE = frozenset({errno.EEXIST, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS})
_PARTIAL = re.compile(r"\.rcfs-[0-9a-f]{16}\.part")
_PROBE = ".rcfs-0000000000000000.part"
"""The link by which rcfs tests whether a disk takes any; `sweep` removes one that a killed run left."""


class Lack(StrEnum):
    """Something that a disk cannot do, as the message to the user."""

    LINKS = "this disk holds no links, so the copy lacks those in Conversations, By-Contact and Unread"
    MODES = "this disk keeps no permissions, so all who can open it can read the copy"
    TIMES = "this disk does not keep the times of all files"
    SYNC = "rcfs cannot make this disk write files out; unmount it before you unplug it"
    LOCKS = "this disk has no locks; run no other pull into this copy at the same time"


class Disk:
    """The disk of one copy, and the operations that it turned out to lack; several threads may use it."""

    def __init__(self, member: str = "") -> None:
        """Assumes that the disk can do everything.

        Args:
            member: Tells the partial files of this pull from those of others that write to the same copy.
        """
        self._member = member
        self.lacks: dict[Lack, None] = {}
        """The operations that it lacks, in the order in which that showed."""

    def partial_name(self, name: str) -> str:
        """Name of the file `name` while it is written: the same each time, so a killed run leaves one."""
        return partial_name(self._member + name)

    def lock(self, fd: int, *, shared: bool = False) -> bool:
        """Locks `fd`, if the disk has locks; False when another process holds the lock.

        With `shared`, others may hold shared locks as well.

        Raises:
            OSError: The disk fails.
        """
        try:
            fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as exc:
            if exc.errno not in _UNABLE_TO_LOCK:
                raise
            self.lacks[Lack.LOCKS] = None
        return True

    def look_at_mode(self, fd: int) -> None:
        """Notes that the disk keeps no modes, if others may open `fd`, which is meant for its owner only."""
        if os.fstat(fd).st_mode & 0o077:
            self.lacks[Lack.MODES] = None

    def sync(self, fd: int) -> None:
        """Waits until the file `fd` is on the disk.

        Raises:
            OSError: The disk fails.
        """
        try:
            os.fsync(fd)
        except OSError as exc:
            if exc.errno not in _UNABLE:
                raise
            self.lacks[Lack.SYNC] = None

    def date(self, fd: int, time_ns: int) -> None:
        """Gives the file or directory `fd` a time.

        Raises:
            OSError: The disk fails.
        """
        try:
            os.utime(fd, ns=(time_ns, time_ns))
        except OSError as exc:
            if exc.errno not in _UNABLE_TO_DATE:
                raise
            self.lacks[Lack.TIMES] = None

    def link(self, target: str, name: str, directory_fd: int, top_fd: int) -> bool:
        """Creates the symbolic link `name` in a directory of the copy; False when the disk has no links.

        Raises:
            OSError: This link cannot be created, although the disk takes links.
        """
        if Lack.LINKS in self.lacks:
            return False
        try:
            os.symlink(target, name, dir_fd=directory_fd)
        except OSError as exc:
            if exc.errno not in _UNABLE or _takes_links(top_fd):
                raise
            self.lacks[Lack.LINKS] = None
            return False
        return True


@contextmanager
def hopeless_errors(path: Path) -> Iterator[None]:
    """Raises a StoreError about the copy in `path` in place of each OSError in `HOPELESS`."""
    try:
        yield
    except OSError as exc:
        if exc.errno in HOPELESS:
            raise StoreError(f"the copy in {path} cannot be written: {exc.strerror}") from exc
        raise


def partial_name(name: str) -> str:
    """Name of the file `name` while it is written by a pull that has the copy to itself."""
    return f".rcfs-{sha256(name.encode()).hexdigest()[:16]}.part"


def write_all(fd: int, data: bytes) -> None:
    """Writes all of `data`; a full disk shows as a short write first, and the next call raises."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def close_quietly(fd: int) -> None:
    """Closes a file whose disk may have gone away; whatever has to stay was synced before."""
    with suppress(OSError):
        os.close(fd)


def sweep(directory_fd: int) -> None:
    """Removes the partial files that killed runs left in a directory; nobody may write to it meanwhile."""
    for name in os.listdir(directory_fd):
        if _PARTIAL.fullmatch(name):
            with suppress(OSError):
                os.unlink(name, dir_fd=directory_fd)


def open_regular(name: str, directory_fd: int, flags: int = os.O_RDONLY) -> int:
    """A descriptor of the regular file `name` of a directory; never blocks, and follows no link.

    Raises:
        OSError: There is no such file, or it is not a regular one.
    """
    # Checked before it is opened, because opening a device may have a side effect.
    _check_regular(os.stat(name, dir_fd=directory_fd, follow_symlinks=False))
    flags |= os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    fd = os.open(name, flags, dir_fd=directory_fd)
    try:
        _check_regular(os.fstat(fd))
    except OSError:
        os.close(fd)
        raise
    return fd


def replace(source: str, name: str, directory_fd: int) -> None:
    """Renames `source` to `name` in a directory; removes the old `name` first where the disk needs that.

    Raises:
        OSError: The renaming failed; `source` is still there.
    """
    try:
        os.rename(source, name, src_dir_fd=directory_fd, dst_dir_fd=directory_fd)
    except OSError as exc:
        if exc.errno not in _UNABLE_TO_REPLACE:
            raise
        os.unlink(name, dir_fd=directory_fd)
        os.rename(source, name, src_dir_fd=directory_fd, dst_dir_fd=directory_fd)


def _check_regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file")


def _takes_links(top_fd: int) -> bool:
    """Whether the disk takes the simplest of links."""
    try:
        with suppress(FileExistsError):
            os.symlink("target", _PROBE, dir_fd=top_fd)
        os.unlink(_PROBE, dir_fd=top_fd)
    except OSError:
        return False
    return True
