"""Limits that a process sets for itself before it serves a mount: core dumps, open files, heaps, threads."""

import ctypes
import resource
import sys
from contextlib import suppress
from pathlib import Path

from rcfs.errors import ConfigError

_SWITCH_S = 0.0005
"""Longest time that a worker thread keeps the interpreter from the event loop, in seconds. While a mailbox
loads, the loop would wait Python's 5 ms again and again: 99 of 100 pages of a directory came within 10 to 28
ms, and within 6 ms with this (measured 2026-11). Loading takes no longer."""
_LEAST_FILES = 100
"""Fewest open files with which mounts and pulls work, if slowly (tried 2026-11). Databases take some 30. With
64, cached contents could not be opened, and rcfs fetched them again."""
_USUAL_FILES = 1024
"""The soft limit that nearly every system has."""
_ARENAS = 2
_M_ARENA_MAX = -8
"""Parameter of mallopt for the number of heaps. Source: <malloc.h> of glibc, mallopt(3)."""


def forbid_core_dumps() -> None:
    """Prevents a crash from writing the memory of this process, with its token and messages, to the disk.

    The kernel ignores the limit if it pipes the dump to a program (``kernel.core_pattern``); then the filter
    leaves all memory out. PR_SET_DUMPABLE would also work, but gives /proc/self to root, so that rcfs could
    not list its descriptors, and py-spy not show its stacks. Source: core(5).
    """
    _soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    with suppress(OSError):  # a kernel without core dumps
        Path("/proc/self/coredump_filter").write_text("0", encoding="ascii")


def allow_many_files() -> None:
    """Raises the soft limit of open files to the hard limit: an open content has a descriptor for each MiB.

    Raises:
        ConfigError: The hard limit is too low.
    """
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < _LEAST_FILES:
        raise ConfigError(
            f"this process may open only {hard} files, but rcfs needs {_LEAST_FILES};"
            f" raise the limit (ulimit -n {_USUAL_FILES}, or LimitNOFILE={_USUAL_FILES} in a systemd unit)"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def share_heaps() -> None:
    """Limits the C library to two heaps for all threads, if it is glibc.

    By default glibc makes up to eight heaps for each core, and they never shrink: with ten busy worker
    threads they held 40 of the 110 MB of a mount (measured 2026-11).
    """
    with suppress(AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)


def switch_threads_soon() -> None:
    """Limits the time that a worker thread keeps the interpreter from the event loop to `_SWITCH_S`."""
    sys.setswitchinterval(_SWITCH_S)
