"""rcfs with a faster wait on the FUSE descriptor: an experiment, run as ``python -m bench._fast_wait``.

pyfuse3 waits for each message of the kernel through trio's event loop, which costs more than answering it.
Here the descriptor is asked first, and for a moment again and again, as the next message of a tool that walks
a tree comes within some ten microseconds. pyfuse3's loop looks up its wait in the module at each call, so it
can be replaced there; everything else stays pyfuse3's, which also keeps count of who waits.

Nobody may be told that the descriptor is readable who cannot take the message at once: pyfuse3 does not
expect to find none. Between the last `poll` here and the taking there is no checkpoint, and whoever was woken
by trio asks again, because another one may have taken the message meanwhile.
"""

import select
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pyfuse3

from rcfs.cli import main

SPIN_S = 20e-6
"""How long to ask again: a system call of a tool and its way through the kernel take about 10 µs."""
_EVERY = 16
"""Messages after which the event loop gets its turn: at about 50 µs each, others wait 1 ms at most."""


class FastWait:
    """Waits like `slow_wait`, pyfuse3's own, but asks the descriptor first."""

    def __init__(
        self,
        descriptor: Callable[[], int],
        slow_wait: Callable[[], Awaitable[bool]],
        *,
        spin_s: float = SPIN_S,
    ) -> None:
        """Makes a wait that asks for the descriptor when it is first used, as the mount is made later."""
        self._descriptor = descriptor
        self._slow_wait = slow_wait
        self._spin_s = spin_s
        self._poll: select.poll | None = None
        self._messages = 0

    async def __call__(self) -> bool:
        """True when there is a message, to be taken before the next checkpoint; False at the end."""
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(self._descriptor(), select.POLLIN)
        poll = self._poll.poll
        self._messages += 1
        if self._messages % _EVERY:
            if poll(0):
                return True
            until_s = time.perf_counter() + self._spin_s
            while time.perf_counter() < until_s:
                if poll(0):
                    return True
        while await self._slow_wait():
            if poll(0):
                return True
        return False


def fuse_descriptor() -> int:
    """The one open descriptor of /dev/fuse of this process; libfuse does not tell it to Python."""
    (descriptor,) = (path for path in Path("/proc/self/fd").iterdir() if _target(path) == "/dev/fuse")
    return int(descriptor.name)


def _target(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""  # the descriptor of the listing itself


if __name__ == "__main__":
    pyfuse3._wait_fuse_readable = FastWait(  # type: ignore[attr-defined]  # noqa: SLF001 - see above
        fuse_descriptor,
        pyfuse3._wait_fuse_readable,  # type: ignore[attr-defined]  # noqa: SLF001
    )
    sys.exit(main())
