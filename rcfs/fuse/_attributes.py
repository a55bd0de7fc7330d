"""Names, attributes and sizes in the form that pyfuse3 passes to the kernel."""

import os

import attrs
import pyfuse3

from rcfs.files import Attributes, Kind, Space

TIMEOUT_S = 3600.0
"""Entry and attribute timeout: with 0, `ls -lR` was 14 times slower (measured 2026-11). Changes are
invalidated."""
_UNIT_BYTES = 512
"""Unit of st_blocks. Source: stat(2)."""
_IO_BYTES = 128 << 10
"""Preferred size of a read: the kernel's largest request."""
_LINK = Kind.LINK
_BLOCK_BYTES = 4096
"""Unit of the answer to statfs: a page of memory, as in most file systems."""
_MOST_NAME_BYTES = 255
"""Longest name in bytes: NAME_MAX of Linux, <linux/limits.h>."""


@attrs.frozen
class Ownership:
    """Owner of all files in a mount, and the permission bits that are taken away."""

    uid: int = attrs.field(factory=os.getuid)
    """The user."""
    gid: int = attrs.field(factory=os.getgid)
    """The group."""
    umask: int = 0o077
    """Permission bits that no file has; the kernel checks the others.

    The modes let the owner write, although rcfs then answers EROFS: a copy has the modes of the original, and
    its owner must be able to change and delete it.
    """


def decoded(name: bytes) -> str:
    """A name of the tree as text; see `rcfs.files.encoded`.

    Raises:
        UnicodeDecodeError: The name is not UTF-8, so the tree has no such name.
    """
    return name.decode("utf-8", "surrogatepass")


def entry_of(inode: int, attributes: Attributes, owner: Ownership) -> pyfuse3.EntryAttributes:
    """The reply for an entry; the kernel may keep it unless the size is an estimate."""
    kind, mode, links, size_bytes, is_exact, mtime_ns, ctime_ns = attributes
    entry = pyfuse3.EntryAttributes()  # All fields are 0.
    entry.st_ino = inode
    entry.entry_timeout = TIMEOUT_S
    entry.attr_timeout = TIMEOUT_S if is_exact else 0
    entry.st_mode = kind | (mode if kind is _LINK else mode & ~owner.umask)
    entry.st_nlink = links
    entry.st_uid = owner.uid
    entry.st_gid = owner.gid
    entry.st_size = size_bytes
    entry.st_blksize = _IO_BYTES
    # Never 0 for a file that has bytes: `tar --sparse` would archive zeros.
    entry.st_blocks = -(-size_bytes // _UNIT_BYTES)
    entry.st_mtime_ns = entry.st_atime_ns = mtime_ns
    entry.st_ctime_ns = ctime_ns
    return entry


def statvfs_of(space: Space, inodes: int) -> pyfuse3.StatvfsData:
    """The reply to statfs(2); `inodes` is the number in use."""
    data = pyfuse3.StatvfsData()
    data.f_bsize = data.f_frsize = _BLOCK_BYTES
    data.f_bfree = data.f_bavail = space.free_bytes // _BLOCK_BYTES
    data.f_blocks = data.f_bfree + -(-space.tree_bytes // _BLOCK_BYTES)
    data.f_ffree = data.f_favail = space.free_files
    data.f_files = inodes + space.free_files
    data.f_namemax = _MOST_NAME_BYTES
    return data
