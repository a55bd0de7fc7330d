"""Attributes of nodes, as stat(2) has them, for any user of the file system."""

import stat
from collections.abc import Mapping
from enum import IntEnum
from typing import NamedTuple

from rcfs.model import file_time_ns
from rcfs.tree import ContentFile, Directory, DropFile, Link, LiveFile, MemberFile, Node, TextFile

_LIVE_BYTES = 4096
"""Size of a live file that was never opened; later it has the size of the last open."""


class Kind(IntEnum):
    """Kind of a node, with the value of stat(2)."""

    DIRECTORY = stat.S_IFDIR
    FILE = stat.S_IFREG
    LINK = stat.S_IFLNK


_DIRECTORY, _FILE, _LINK = Kind.DIRECTORY, Kind.FILE, Kind.LINK  # A listing looks them up for each entry.


class Attributes(NamedTuple):
    """Attributes of a node; a tuple, because a listing makes one for each entry."""

    kind: Kind
    """The kind."""
    mode: int
    """Permission bits before the umask."""
    links: int
    """Link count; 1 for a directory, whose subdirectories are not counted."""
    size_bytes: int
    """Bytes in a file, or in the target of a link; 0 for a directory."""
    is_exact: bool
    """Whether the size only changes with a notice to listeners; else it may be an estimate, mostly too
    large."""
    mtime_ns: int
    """Time of the content, in nanoseconds since 1970-01-01 UTC."""
    ctime_ns: int
    """Time of the last change, in the same unit."""


def attributes_of(node: Node, live_bytes: Mapping[str, int]) -> Attributes:
    """The attributes of any node; `live_bytes` holds the present sizes of live files by topic."""
    kind, links, size_bytes, is_exact = _FILE, 1, 0, True
    if isinstance(node, Directory):
        kind, links = _DIRECTORY, node.nlink
    elif isinstance(node, TextFile):
        size_bytes, is_exact = node.size_bytes, node.size_is_exact
    elif isinstance(node, ContentFile):
        size_bytes, is_exact = node.size()
    elif isinstance(node, MemberFile):
        size_bytes = node.size_bytes
    elif isinstance(node, DropFile):
        size_bytes, is_exact = node.size_bytes, False
    elif isinstance(node, Link):
        kind, size_bytes = _LINK, len(encoded(node.target))
    elif isinstance(node, LiveFile):
        size_bytes, is_exact = live_bytes.get(node.topic, _LIVE_BYTES), False
    times = node.times()
    return Attributes(
        kind, node.mode, links, size_bytes, is_exact, file_time_ns(times.mtime_s), file_time_ns(times.ctime_s)
    )


def encoded(name: str) -> bytes:
    """A name of the tree in UTF-8, whatever the locale.

    `os.fsencode` follows the locale. If the locale has no code for a character, such as an emoji in
    ISO-8859-1, that name would make its whole directory fail. In two locales a file would have two names.
    """
    # No name of the tree holds a lone surrogate; if one did, only that name could not be looked up.
    return name.encode("utf-8", "surrogatepass")
