"""A faster wait on the FUSE descriptor than that of pyfuse3.

pyfuse3 waits for each message of the kernel through trio's event loop, which costs more than the answer. The
wait here first polls the descriptor for a moment, because the next message of a tool that walks a tree comes
within some ten microseconds. pyfuse3's loop looks up its wait in the module at each call, so this module
replaces it there. All else is unchanged; pyfuse3 also still counts the tasks that wait.

A task that returns from the wait must find a message, because pyfuse3 does not expect to find none. So there
is no checkpoint between the last `poll` and the read of the message, and a task that trio has woken polls
again: another task may have read the message.
"""

import select
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyfuse3

_KNOWN = "3.5."
"""Prefix of the pyfuse3 versions whose wait works as described above."""
_WAIT = "_wait_fuse_readable"
SPIN_S = 20e-6
"""How long to poll: a tool and the kernel take about 10 µs from a reply to the next message."""
TURN_S = 2e-3
"""Time in seconds after which the event loop gets a turn. It costs each thirtieth message of `find` 0.1 ms,
and other tasks hardly notice the wait."""


class FastWait:
    """Polls the descriptor, and then waits with `slow_wait`, the wait of pyfuse3."""

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
        """True for a message, which the caller must read before its next checkpoint; False at the end."""
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
    """Replaces the wait of pyfuse3 within the block, after the mount; yields whether it did.

    It does not if the version of pyfuse3 is unknown, or if the descriptor is not found.
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
    """The descriptor of /dev/fuse that this process has open; None unless there is exactly one.

    pyfuse3 does not make it known.
    """
    found = [int(path.name) for path in directory.iterdir() if _target(path) == "/dev/fuse"]
    return found[0] if len(found) == 1 else None


def _target(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""  # the descriptor of this listing, closed by now
