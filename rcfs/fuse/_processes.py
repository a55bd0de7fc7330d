"""Processes as /proc describes them: the process that asks, those above it, and whether it is about to end.

pyfuse3 does not pass on FUSE_INTERRUPT, so rcfs looks at the pending signals of a waiting process to notice
that it is about to end. EINTR without a pending signal would make readers loop without end.
"""

import re
from pathlib import Path

import attrs

from rcfs.files import Reader
from rcfs.model import one_line
from rcfs.procfs import PROC, ProcessStat, read_process_file, read_stat
from rcfs.quota import Opener

_MOST_ABOVE = 16
"""Most processes to look at above one: a script in a terminal of a desktop has about eight. Each takes 10 µs
(measured 2026-11)."""
_HOSTS = frozenset({"kioworker", "kioslave5"})
"""KDE programs that run the plug-in in their first argument: one makes thumbnails, another one copies.
Source: the process list of Dolphin 22.12."""
_UNKNOWN = "unknown"
"""Name of all processes that cannot be looked at, such as those outside this pid namespace."""
_ENDING_MASK = sum(1 << (number - 1) for number in (1, 2, 3, 9, 15))
"""HUP, INT, QUIT, KILL, TERM."""
_SIGNALS = re.compile(
    rb"^State:\t(\S).*^SigPnd:\t(\w+)\nShdPnd:\t(\w+)\nSigBlk:\t(\w+)$", re.DOTALL | re.MULTILINE
)
_LEADER = re.compile(rb"^Tgid:\t(\d+)$", re.MULTILINE)
_STATUS = re.compile(rb"^Name:\t([^\n]*)$.*^Tgid:\t(\d+)$.*^Uid:\t(\d+)", re.DOTALL | re.MULTILINE)
_NOBODY = Reader("", Opener((_UNKNOWN,), _UNKNOWN, _UNKNOWN))
"""The reader of a process that cannot be looked at."""


@attrs.frozen
class Process:
    """The process or thread that the kernel names with a request. Source: proc(5)."""

    pid: int
    """Its number; 0 for a process outside this pid namespace."""
    proc: Path = PROC
    """Where the proc file system is mounted."""

    def __str__(self) -> str:
        return f"process {self.pid}"

    def reader(self) -> Reader:
        """The reader to whom this process belongs: itself and the processes above it; takes some 60 µs.

        Each process above counts together with the name of the program that opens, so that a player is not
        slowed by other programs of the same shell or desktop. The line ends below an interactive shell,
        because a person gave each of its commands.
        """
        try:
            # The kernel names the thread, which may be one of a pool; its leader has the name of the program.
            found = _STATUS.search(read_process_file(self.pid, "status", self.proc))
            if found is None:
                return _NOBODY
            thread, leader, user = (field.decode("utf-8", "replace") for field in found.groups())
            process = read_stat(int(leader), self.proc)
        except (OSError, ValueError, IndexError):
            return _NOBODY
        line = [process.identity]
        below = process
        while len(line) <= _MOST_ABOVE and below.parent > 0:
            try:
                above = read_stat(below.parent, self.proc)
            except (OSError, ValueError, IndexError):
                break  # It has just ended, or /proc hides it.
            if _is_interactive(above, below):
                break
            line.append(above.identity)
            below = above
        # A program chooses its name, and rcfs shows it in terminals.
        name = one_line(process.name)
        jobs = (line[0], *((identity, name, user) for identity in line[1:]))
        opener = Opener(jobs, process.session, user)
        return Reader(name, opener, thread, _plugin(process, self.proc), tuple(line))

    def process(self) -> int:
        """The process to which this thread belongs; 0 if it is gone, or outside this pid namespace."""
        try:
            found = _LEADER.search(read_process_file(self.pid, "status", self.proc))
        except OSError:
            return 0
        return 0 if found is None else int(found[1])

    def is_ending(self) -> bool:
        """Whether the process is gone, or has a pending signal that will end its wait.

        A blocked signal does not count: the process would see EINTR, find no signal, and try again. A process
        outside this pid namespace cannot be looked at, and counts as running.
        """
        if self.pid == 0:
            return False
        try:
            found = _SIGNALS.search(read_process_file(self.pid, "status", self.proc))
        except OSError:
            return True
        if found is None:
            return False
        state, *masks = found.groups()
        own, shared, blocked = (int(mask, 16) for mask in masks)
        return state in b"ZX" or bool((own | shared) & _ENDING_MASK & ~blocked)


def _plugin(process: ProcessStat, proc: Path) -> str:
    """File name of the plug-in that `process` runs, if it is one of `_HOSTS`; else empty."""
    if process.name not in _HOSTS:
        return ""
    try:
        arguments = (proc / str(process.pid) / "cmdline").read_text("utf-8", "replace").split("\0")
    except OSError:
        return ""
    return Path(arguments[1]).name if len(arguments) > 1 else ""


def _is_interactive(shell: ProcessStat, job: ProcessStat) -> bool:
    """Whether `shell`, the parent of `job`, gives each command a process group, as job control does.

    Other programs that do so (parallel, timeout) neither lead the session of a terminal nor hand it over.
    """
    if shell.terminal == 0 or shell.group == job.group:
        return False
    return shell.pid == shell.session or job.group == job.foreground
