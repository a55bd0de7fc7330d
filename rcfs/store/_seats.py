"""How many files rcfs keeps open: shares of what the process may open, so that a small limit is enough."""

import resource
from collections import deque

_MOST_SEATS = 4096
"""Chunks that are open at the same time where the process may open any number of files: 4 GiB of contents."""


def share_of_descriptors(part: int, most: int) -> int:
    """One `part`-th of the files that this process may open, at least 1 and at most `most`."""
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return most if soft == resource.RLIM_INFINITY else max(1, min(most, soft // part))


class Seats:
    """Descriptors for chunks: a quarter of all; any thread may use it.

    A chunk that gets none is not given up: it opens its file for each read, see `rcfs.store._value.Chunk`.
    """

    def __init__(self) -> None:
        # Not a lock: chunks are closed by the garbage collector, too, in whichever thread it runs.
        self._free = deque([None] * share_of_descriptors(4, _MOST_SEATS))

    def take(self) -> bool:
        """Whether there was one, which `give_back` ends."""
        try:
            self._free.pop()
        except IndexError:
            return False
        return True

    def give_back(self) -> None:
        """End the use of one."""
        self._free.append(None)
