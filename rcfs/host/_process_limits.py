"""What a process that serves a mount changes of itself: core dumps, open files, heaps, thread switches."""

import ctypes
import resource
import sys
from contextlib import suppress
from pathlib import Path

from rcfs.errors import ConfigError

_SWITCH_S = 0.0005
"""How long a worker thread may keep the interpreter from the event loop, in seconds. Python's 5 ms are waited
for again and again while a mailbox loads: of a page of a directory, then, 99 of 100 came within 10 to 28 ms,
with this within 6 (measured 2026-11), and loading takes no longer."""
_LEAST_FILES = 100
"""With so few open files a mount and a pull do all that they do, only slower (tried 2026-11): databases take
some 30. With 64, cached contents could not be opened, and were fetched again."""
_USUAL_FILES = 1024
"""The soft limit that nearly every system has."""
_ARENAS = 2
_M_ARENA_MAX = -8
"""Source: <malloc.h> of glibc, mallopt(3)."""


def forbid_core_dumps() -> None:
    """Lets no crash write the memory of this process, with its token and messages, to the disk.

    The limit alone is not heeded where a program takes the dump (``kernel.core_pattern`` with a pipe); the
    filter leaves nothing of the memory in it. PR_SET_DUMPABLE would do as well, but it gives /proc/self to
    root: rcfs could not find its own descriptors there, nor you its stacks with py-spy. Source: core(5).
    """
    _soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    with suppress(OSError):  # of a kernel without core dumps
        Path("/proc/self/coredump_filter").write_text("0", encoding="ascii")


def allow_many_files() -> None:
    """Raises the soft limit of open files to the hard one: an open content holds a descriptor per MiB.

    Raises:
        ConfigError: The hard limit is too low.
    """
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < _LEAST_FILES:
        raise ConfigError(
            f"this process may open only {hard} files, and rcfs needs {_LEAST_FILES};"
            f" raise the limit (ulimit -n {_USUAL_FILES}, or LimitNOFILE={_USUAL_FILES} in a systemd unit)"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def share_heaps() -> None:
    """Lets all threads have two heaps in common, where the C library can do that (glibc).

    It gives each thread one, up to eight for each core, and each stays as large as it ever was: with ten busy
    worker threads they held 40 of a mount's 110 MB (measured 2026-11).
    """
    with suppress(AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)


def switch_threads_soon() -> None:
    """Lets no worker thread keep the interpreter from the event loop for more than `_SWITCH_S`."""
    sys.setswitchinterval(_SWITCH_S)
