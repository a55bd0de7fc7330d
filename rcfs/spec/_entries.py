"""An entry of the tree as fsspec describes it."""

import hashlib
from typing import Any

from rcfs.files import Attributes, Kind
from rcfs.tree import ContentFile, ExportArchiveFile, MemberFile, Node

Info = dict[str, Any]
"""The entry as fsspec has it: ``name``, ``size``, ``type`` and more."""

_NS = 1e9
_TYPES = {Kind.DIRECTORY: "directory", Kind.FILE: "file", Kind.LINK: "link"}


def info_of(path: str, attributes: Attributes, destination: str | None = None) -> Info:
    """The entry at `path`.

    ``size`` is rounded up if ``size_is_exact`` is false: RingCentral does not tell the sizes of most contents
    before they are fetched. ``created`` is the time of the message or call, ``mtime`` that of the last change
    of its record, both in seconds since 1970 UTC.

    Args:
        path: Names below the root.
        attributes: Its attributes; for a link those of its target, or its own if that is missing.
        destination: Path of the target, for a link.
    """
    info: Info = {
        "name": path,
        "size": attributes.size_bytes,
        "type": _TYPES[attributes.kind],
        "size_is_exact": attributes.is_exact,
        "created": attributes.mtime_ns / _NS,
        "mtime": attributes.ctime_ns / _NS,
        "islink": destination is not None,
    }
    if destination is not None:
        info["destination"] = destination
    return info


def version_of(node: Node, info: Info) -> str:
    """A digest that changes when the bytes of `node` may have changed.

    A content never changes, so that of one is made from its key: it stays when its exact size is learned.
    """
    if isinstance(node, MemberFile):
        facts: tuple[object, ...] = (str(node.file.key), info["name"], info["size"])
    elif isinstance(node, ContentFile) and not isinstance(node, ExportArchiveFile):
        facts = (str(node.key),)
    else:
        facts = (info["name"], info["type"], info["size"], info["mtime"], info["created"])
    return hashlib.sha256(repr(facts).encode()).hexdigest()
