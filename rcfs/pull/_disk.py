"""How files of a copy are opened, replaced, synced and dated, on disks of all kinds.

A disk may be a stick that knows no links, no modes and no times, or a share that cannot lock. What it cannot
do is left out, and said once. What somebody planted in the copy (a FIFO, a device, a link that leads
elsewhere) is never opened: that could hang, or do something.
"""

import errno
import fcntl
import os
import re
import stat
from contextlib import suppress
from enum import StrEnum

_UNABLE = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.ENOTTY})
"""What file systems answer that cannot do something: vfat and exFAT EPERM, FUSE ENOSYS, others the rest."""
_UNABLE_TO_DATE = _UNABLE | {errno.EACCES, errno.EOVERFLOW, errno.ERANGE}
"""On vfat the owner of the mount alone may set times; some know no times before 1980."""
_UNABLE_TO_LOCK = _UNABLE | {errno.ENOLCK, errno.EBADF, errno.EISDIR, errno.EACCES}
"""NFS locks what is open for writing, which a directory cannot be: EBADF."""
_UNABLE_TO_REPLACE = frozenset({errno.EEXIST, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS})
_PARTIAL = re.compile(r"\.rcfs-[0-9a-f]{16}\.part")
_PROBE = ".rcfs-0000000000000000.part"
"""The link that tells whether a disk takes any; swept like all others of its form."""


class Lack(StrEnum):
    """Something that a disk cannot do, as people are told."""

    LINKS = "this disk takes no links: those in Conversations, By-Contact and Unread are left out"
    MODES = "this disk keeps no modes: whoever can open it can read the copy"
    TIMES = "this disk does not keep the times of all files"
    SYNC = "this disk cannot be told to write files out: unmount it before you unplug it"
    LOCKS = "this disk has no locks: see that no other pull writes to this copy"


class Disk:
    """What the disk of one copy can do, as it turned out; may be used by several threads."""

    def __init__(self) -> None:
        """Begins with a disk that can do everything."""
        self.lacks: dict[Lack, None] = {}
        """What it cannot do, in the order in which that was met."""

    def lock(self, fd: int) -> bool:
        """Whether the directory `fd` is locked now, or cannot be; False when another process has locked it.

        Raises:
            OSError: The disk fails.
        """
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as exc:
            if exc.errno not in _UNABLE_TO_LOCK:
                raise
            self.lacks[Lack.LOCKS] = None
        return True

    def look_at_mode(self, fd: int) -> None:
        """Notes when `fd`, which was made for its owner alone, is open to others."""
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
        """Whether a symbolic link `name` was made in a directory of the copy; False where there are none.

        Raises:
            OSError: This one cannot be made, although the disk takes links.
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


def partial_name(digest: str) -> str:
    """What a file is called while it is on its way; `digest` is in hexadecimal, and tells it from others."""
    return f".rcfs-{digest[:16]}.part"


def sweep(directory_fd: int) -> None:
    """Removes what killed runs left behind in a directory that nobody writes to now."""
    for name in os.listdir(directory_fd):
        if _PARTIAL.fullmatch(name):
            with suppress(OSError):
                os.unlink(name, dir_fd=directory_fd)


def open_regular(name: str, directory_fd: int, flags: int = os.O_RDONLY) -> int:
    """A descriptor of the regular file `name` of a directory; waits for nobody, and follows no link.

    Raises:
        OSError: There is none, or something else stands there.
    """
    # Looked at before it is opened, because opening a device may do something.
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
    """Renames `source` to `name` in a directory; also where the disk cannot do that over another file.

    Raises:
        OSError: It cannot be done; `source` is still there.
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
    """Whether the disk takes the plainest of links."""
    try:
        with suppress(FileExistsError):
            os.symlink("target", _PROBE, dir_fd=top_fd)
        os.unlink(_PROBE, dir_fd=top_fd)
    except OSError:
        return False
    return True
