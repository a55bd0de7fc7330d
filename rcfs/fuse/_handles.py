"""What an open file or directory is to rcfs."""

import attrs

from rcfs.fetch import Content
from rcfs.tree import Node


@attrs.frozen(eq=False)
class OpenDirectory:
    """A directory being listed: the names as they were when it was opened."""

    inode: int
    """Its inode."""
    entries: tuple[tuple[bytes, Node], ...]
    """Names and nodes, in the order of the listing."""


@attrs.frozen(eq=False)
class OpenText:
    """An open file whose bytes are known."""

    data: bytes
    """All of them."""


@attrs.define(eq=False)
class OpenContent:
    """An open attachment."""

    content: Content
    """Its bytes, as far as they are there."""
    pid: int
    """Process that opened it: reads do not say who reads."""
    streaming: bool
    """Whether it holds one of the few seats of those that are read while they arrive."""


Handle = OpenDirectory | OpenText | OpenContent


class HandleTable:
    """File handles by their number; a number is never used twice."""

    def __init__(self) -> None:
        self._handles: dict[int, Handle] = {}
        self._next = 1

    def add(self, handle: Handle) -> int:
        """The number of a new handle."""
        number = self._next
        self._next += 1
        self._handles[number] = handle
        return number

    def get(self, number: int) -> Handle:
        """The handle of that number, which the kernel has from `add`."""
        return self._handles[number]

    def pop(self, number: int) -> Handle:
        """The handle of that number, which ends with this."""
        return self._handles.pop(number)
