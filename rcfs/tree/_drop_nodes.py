"""The nodes of what people have dropped, in any directory that takes files."""

import attrs

from rcfs.tree._drop_values import DropFile, Report
from rcfs.tree._nodes import Node, TextFile
from rcfs.tree._times import Times


@attrs.define(eq=False, kw_only=True)
class DropText(TextFile):
    """A text that tells people what a directory does, or what became of a file."""

    _data: bytes

    def content(self) -> bytes:
        return self._data


def dropped_node(found: DropFile | Report) -> Node:
    """The node of a file or a report."""
    if isinstance(found, DropFile):
        return found
    data = found.text.encode("utf-8", "replace")
    return DropText(times=Times(found.time_s, found.time_s), size_bytes=len(data), data=data)
