"""A faster wait on the FUSE descriptor than pyfuse3's own.

pyfuse3 waits for each message of the kernel through trio's event loop, which costs more than answering it.
Here the descriptor is asked first, and for a moment again and again, as the next message of a tool that walks
a tree comes within some ten microseconds. pyfuse3's loop looks up its wait in the module at each call, so it
can be replaced there; everything else stays pyfuse3's, which also keeps count of who waits.

Nobody may be told that the descriptor is readable who cannot take the message at once: pyfuse3 does not
expect to find none. Between the last `poll` here and the taking there is no checkpoint, and whoever was woken
by trio asks again, because another one may have taken the message meanwhile.
"""

import select
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyfuse3

_KNOWN = "3.5."
"""Beginning of the versions of pyfuse3 whose wait is the one described above."""
_WAIT = "_wait_fuse_readable"
SPIN_S = 20e-6
"""How long to ask again: a system call of a tool and its way through the kernel take about 10 µs."""
TURN_S = 2e-3
"""After so long the event loop gets its turn, in seconds: others hardly feel it, and it costs every thirtieth
message of `find` a tenth of a millisecond."""


class FastWait:
    """Waits like `slow_wait`, pyfuse3's own, but asks the descriptor first."""

    def __init__(
        self,
        descriptor: int,
        slow_wait: Callable[[], Awaitable[bool]],
        *,
        spin_s: float = SPIN_S,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._slow_wait = slow_wait
        self._spin_s = spin_s
        self._clock = clock
        self._turn_ends_s = clock() + TURN_S
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        self._poll = poll.poll

    async def __call__(self) -> bool:
        """True when there is a message, to be taken before the next checkpoint; False at the end."""
        now = self._clock()
        if now < self._turn_ends_s:
            if self._poll(0):
                return True
            while self._clock() < now + self._spin_s:
                if self._poll(0):
                    return True
        while await self._slow_wait():
            if self._poll(0):
                self._turn_ends_s = self._clock() + TURN_S
                return True
        return False


@contextmanager
def faster_wait() -> Iterator[bool]:
    """Lets pyfuse3, which has mounted, wait faster while the block runs; whether it does.

    It does not when pyfuse3 is of a version that is not known, or the descriptor is not found.
    """
    slow_wait, descriptor = getattr(pyfuse3, _WAIT, None), fuse_descriptor()
    if slow_wait is None or descriptor is None or not pyfuse3.__version__.startswith(_KNOWN):
        yield False
        return
    setattr(pyfuse3, _WAIT, FastWait(descriptor, slow_wait))
    try:
        yield True
    finally:
        setattr(pyfuse3, _WAIT, slow_wait)


def fuse_descriptor(directory: Path = Path("/proc/self/fd")) -> int | None:
    """The one descriptor of /dev/fuse that this process has open; None when there is not exactly one.

    libfuse does not tell it to Python.
    """
    found = [int(path.name) for path in directory.iterdir() if _target(path) == "/dev/fuse"]
    return found[0] if len(found) == 1 else None


def _target(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""  # the descriptor of the listing itself
