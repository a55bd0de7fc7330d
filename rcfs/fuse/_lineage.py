"""Which process opens a file, and which processes stand above it, as /proc tells."""

from pathlib import Path

import attrs

from rcfs.quota import Opener

_MOST_ABOVE = 16
"""Processes that are looked at above one: a script in a terminal of a desktop has about eight. A look takes
15 µs (measured 2026-11)."""
_HOSTS = frozenset({"kioworker", "kioslave5"})
"""KDE's programs that are only what the plug-in makes of them that their first argument names: one makes
thumbnails, another one copies. Source: the process list of Dolphin 22.12."""
_UNKNOWN = "unknown"
"""Stands for all processes that cannot be looked at, such as those outside of this pid namespace."""


Identity = tuple[int, int]
"""A process: its pid, and when it started, because a pid may be used again."""


@attrs.frozen
class Reader:
    """Who opens."""

    name: str
    """Name of the program, cut at 15 characters by the kernel; empty when unknown."""
    opener: Opener
    """The process, and those above it; equal for opens that belong together."""
    thread: str = ""
    """Name of the thread that opens; that of the program unless it was given another."""
    plugin: str = ""
    """File name of the plug-in that the program was started for; empty for most."""
    line: tuple[Identity, ...] = ()
    """The process, and each one above it, as far as they were looked at; empty when unknown."""


@attrs.frozen
class _Process:
    """One line of /proc/pid/stat, as far as it is of use here."""

    pid: int
    name: str
    parent: int
    group: int
    session: int
    terminal: int
    """Device number of its terminal; 0 for none."""
    foreground: int
    """The process group that has the terminal now."""
    started: int
    """When it started, in clock ticks since boot."""

    @property
    def identity(self) -> Identity:
        """What no other process has."""
        return self.pid, self.started


def reader_of(pid: int, proc: Path = Path("/proc")) -> Reader:
    """The reader to whom the thread `pid` belongs. Source: proc(5), /proc/pid/status and /proc/pid/stat.

    A process is told by itself, and each one above it together with the name of the program that opens: a
    player is not slowed by what the shell or the desktop above it starts besides. The line ends below an
    interactive shell, because each of its commands is a person's wish.
    """
    try:
        # The kernel tells the thread; its name may be that of a thread pool, the program's is the leader's.
        status = (proc / str(pid) / "status").read_text("utf-8", "replace")
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        process = _look_at(int(fields["Tgid"]), proc)
        user = fields.get("Uid", "").split("\t")[0]
        thread = fields.get("Name", "")
    except (OSError, KeyError, ValueError, IndexError):
        return Reader("", Opener((_UNKNOWN,), _UNKNOWN, _UNKNOWN))
    line = [process.identity]
    below = process
    while len(line) <= _MOST_ABOVE and below.parent > 0:
        try:
            above = _look_at(below.parent, proc)
        except (OSError, ValueError, IndexError):
            break  # It has just ended, or belongs to somebody whose processes are hidden.
        if _is_interactive(above, below):
            break
        line.append(above.identity)
        below = above
    jobs = (line[0], *((identity, process.name, user) for identity in line[1:]))
    opener = Opener(jobs, process.session, user)
    return Reader(process.name, opener, thread, _plugin(process, proc), tuple(line))


def _plugin(process: _Process, proc: Path) -> str:
    """What the program of `process` was started for, if it is one of `_HOSTS`."""
    if process.name not in _HOSTS:
        return ""
    try:
        arguments = (proc / str(process.pid) / "cmdline").read_text("utf-8", "replace").split("\0")
    except OSError:
        return ""
    return Path(arguments[1]).name if len(arguments) > 1 else ""


def _look_at(pid: int, proc: Path) -> _Process:
    """The process `pid`.

    Raises:
        OSError: It is gone.
        ValueError: The file is not what proc(5) says.
        IndexError: The same.
    """
    text = (proc / str(pid) / "stat").read_text("utf-8", "replace")
    name, _, rest = text.partition("(")[2].rpartition(")")
    fields = rest.split()
    numbers = [int(fields[index]) for index in (1, 2, 3, 4, 5, 19)]
    return _Process(pid, name, *numbers)


def _is_interactive(shell: _Process, job: _Process) -> bool:
    """Whether `shell`, which has started `job`, gives each command a process group, as with job control.

    Other programs that do so (parallel, timeout) neither lead the session of a terminal nor hand it over.
    """
    if shell.terminal == 0 or shell.group == job.group:
        return False
    return shell.pid == shell.session or job.group == job.foreground
