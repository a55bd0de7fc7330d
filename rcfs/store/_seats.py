"""Limits on open files: shares of the number that the process may open, so that a small limit is enough."""

import resource
from collections import deque

_MOST_SEATS = 4096
"""Chunks that are open at the same time if the process may open any number of files: 4 GiB of contents."""


def share_of_descriptors(part: int, most: int) -> int:
    """The number of files that this process may open, divided by `part`; at least 1 and at most `most`."""
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return most if soft == resource.RLIM_INFINITY else max(1, min(most, soft // part))


class Seats:
    """Descriptors for chunks: a quarter of all; any thread may use it.

    A chunk that gets none opens its file for each read, see `rcfs.store._value.Chunk`.
    """

    def __init__(self) -> None:
        # No lock: the garbage collector also closes chunks, in any thread.
        self._free = deque([None] * share_of_descriptors(4, _MOST_SEATS))

    def take(self) -> bool:
        """Take a descriptor until `give_back`; False if all are taken."""
        try:
            self._free.pop()
        except IndexError:
            return False
        return True

    def give_back(self) -> None:
        """Return a descriptor."""
        self._free.append(None)
