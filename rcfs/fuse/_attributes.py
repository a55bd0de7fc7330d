"""What stat(2) shows of a node."""

import os
import stat

import pyfuse3

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


def size_of(node: Node, live_bytes: int = 0) -> int:
    """st_size in bytes; `live_bytes` is the present size of a live file."""
    if isinstance(node, (TextFile, AttachmentFile)):
        return node.size_bytes
    if isinstance(node, LiveFile):
        return live_bytes
    if isinstance(node, Link):
        return len(os.fsencode(node.target))
    return 0


def attributes(inode: int, node: Node, *, live_bytes: int = 0) -> pyfuse3.EntryAttributes:
    """The attributes of `node`; the kernel may keep them unless the size may still change."""
    entry = pyfuse3.EntryAttributes()
    entry.st_ino = inode
    entry.generation = 0
    settled = not isinstance(node, LiveFile) and not (
        isinstance(node, AttachmentFile) and not node.size_is_exact
    )
    entry.entry_timeout = TIMEOUT_S
    entry.attr_timeout = TIMEOUT_S if settled else 0
    if isinstance(node, Directory):
        kind, links = stat.S_IFDIR, node.nlink
    else:
        kind, links = (stat.S_IFLNK if isinstance(node, Link) else stat.S_IFREG), 1
    entry.st_mode = kind | node.mode
    entry.st_nlink = links
    entry.st_uid = os.getuid()
    entry.st_gid = os.getgid()
    entry.st_rdev = 0
    entry.st_size = size_of(node, live_bytes)
    entry.st_blksize = _IO_BYTES
    # Never 0 for a file that has bytes: `tar --sparse` would archive zeros.
    entry.st_blocks = -(-entry.st_size // _BLOCK_BYTES)
    times = node.times()
    mtime_ns = _nanoseconds(times.mtime_s)
    entry.st_mtime_ns = entry.st_atime_ns = mtime_ns
    entry.st_ctime_ns = _nanoseconds(times.ctime_s)
    return entry


def _nanoseconds(time_s: float) -> int:
    return int(min(max(time_s, 0.0), _LATEST_S) * 1e9)
