"""What a node of the tree is to those who ask for its attributes: the same for a mount as for any other."""

import stat
from collections.abc import Mapping
from enum import IntEnum
from typing import NamedTuple

from rcfs.model import file_time_ns
from rcfs.tree import AttachmentFile, Directory, Link, LiveFile, Node, TextFile

_LIVE_BYTES = 4096
"""Size shown of a live file that was never opened; from an open on it is that of what was opened."""


class Kind(IntEnum):
    """What a node is; the values are those of stat(2)."""

    DIRECTORY = stat.S_IFDIR
    FILE = stat.S_IFREG
    LINK = stat.S_IFLNK


_DIRECTORY, _FILE, _LINK = Kind.DIRECTORY, Kind.FILE, Kind.LINK  # Looked up for each entry of a listing.


class Attributes(NamedTuple):
    """What is told of a node; a tuple, because one is made for each entry of a listing."""

    kind: Kind
    """What it is."""
    mode: int
    """Permission bits, before anybody's umask."""
    links: int
    """How many names it has; 1 for a directory, whose names are not counted."""
    size_bytes: int
    """Its size: of a file that of its content, of a link that of its target, of a directory 0."""
    is_exact: bool
    """Whether the size stays as it is, unless a change is told; else it is an estimate, rather too large."""
    mtime_ns: int
    """When its content was made, in nanoseconds since 1970-01-01 UTC."""
    ctime_ns: int
    """When it was last changed, in the same unit."""


def attributes_of(node: Node, live_bytes: Mapping[str, int]) -> Attributes:
    """The attributes of any node; `live_bytes` are the present sizes of live files by their topics."""
    kind, links, size_bytes, is_exact = _FILE, 1, 0, True
    if isinstance(node, Directory):
        kind, links = _DIRECTORY, node.nlink
    elif isinstance(node, TextFile):
        size_bytes = node.size_bytes
    elif isinstance(node, AttachmentFile):
        size_bytes, is_exact = node.size()
    elif isinstance(node, Link):
        kind, size_bytes = _LINK, len(encoded(node.target))
    elif isinstance(node, LiveFile):
        size_bytes, is_exact = live_bytes.get(node.topic, _LIVE_BYTES), False
    times = node.times()
    return Attributes(
        kind, node.mode, links, size_bytes, is_exact, file_time_ns(times.mtime_s), file_time_ns(times.ctime_s)
    )


def encoded(name: str) -> bytes:
    """A name of the tree in UTF-8, in every locale.

    `os.fsencode` follows the locale. In one that cannot write a character (ISO-8859-1 and an emoji), a single
    name would make its whole directory fail; in two different ones a file would have two names.
    """
    # No name of the tree holds a lone surrogate; if one did, only that name could not be looked up.
    return name.encode("utf-8", "surrogatepass")
