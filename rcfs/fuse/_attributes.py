"""What stat(2) shows of a node."""

import os
import stat

import attrs
import pyfuse3

from rcfs.fuse._names import encoded
from rcfs.tree import AttachmentFile, Directory, Link, LiveFile, Node, TextFile

TIMEOUT_S = 3600.0
"""How long the kernel may keep names and attributes: timeouts of 0 made `ls -lR` 14 times slower (measured
2026-11); what changes is invalidated."""
_BLOCK_BYTES = 512
"""Unit of st_blocks. Source: stat(2)."""
_IO_BYTES = 128 << 10
"""Preferred size of a read, which is what the kernel asks for at a time."""
_LATEST_S = 2**33
"""Times are shown between 1970 and 2242: a hostile record must not make a time that tools cannot print."""


@attrs.frozen
class Ownership:
    """Whom everything in a mount belongs to, and who else may look into it."""

    uid: int = attrs.field(factory=os.getuid)
    """The user."""
    gid: int = attrs.field(factory=os.getgid)
    """The group."""
    umask: int = 0o077
    """Permission bits that nothing has; the kernel checks the others.

    The owner may write as far as the modes say, although rcfs then answers EROFS: a copy has the modes of
    the original, and its owner must be able to change and delete it.
    """


def attributes(inode: int, node: Node, owner: Ownership, *, live_bytes: int = 0) -> pyfuse3.EntryAttributes:
    """The attributes of `node`; the kernel may keep them unless the size may still change.

    Args:
        inode: Its inode.
        node: Any node.
        owner: Of the mount.
        live_bytes: The present size of a live file.
    """
    kind, links, size_bytes, settled = stat.S_IFREG, 1, 0, True
    mode = node.mode & ~owner.umask
    if isinstance(node, Directory):
        kind, links = stat.S_IFDIR, node.nlink
    elif isinstance(node, TextFile):
        size_bytes = node.size_bytes
    elif isinstance(node, AttachmentFile):
        size_bytes, settled = node.size()
    elif isinstance(node, Link):
        kind, mode, size_bytes = stat.S_IFLNK, node.mode, len(encoded(node.target))
    elif isinstance(node, LiveFile):
        size_bytes, settled = live_bytes, False
    entry = pyfuse3.EntryAttributes()  # What is not set is 0.
    entry.st_ino = inode
    entry.entry_timeout = TIMEOUT_S
    entry.attr_timeout = TIMEOUT_S if settled else 0
    entry.st_mode = kind | mode
    entry.st_nlink = links
    entry.st_uid = owner.uid
    entry.st_gid = owner.gid
    entry.st_size = size_bytes
    entry.st_blksize = _IO_BYTES
    # Never 0 for a file that has bytes: `tar --sparse` would archive zeros.
    entry.st_blocks = -(-size_bytes // _BLOCK_BYTES)
    times = node.times()
    entry.st_mtime_ns = entry.st_atime_ns = _nanoseconds(times.mtime_s)
    entry.st_ctime_ns = _nanoseconds(times.ctime_s)
    return entry


def _nanoseconds(time_s: float) -> int:
    return int(min(max(time_s, 0.0), _LATEST_S) * 1e9)
