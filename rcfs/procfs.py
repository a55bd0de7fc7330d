"""Processes as /proc shows them. Source: proc(5)."""

from pathlib import Path

import attrs

PROC = Path("/proc")


@attrs.frozen
class ProcessStat:
    """Some fields of /proc/PID/stat."""

    pid: int
    """Process id."""
    name: str
    """Command name, at most 15 characters."""
    state: str
    """One letter: Z for a zombie, X for a dead process."""
    parent: int
    """Process id of the parent."""
    group: int
    """Process group."""
    session: int
    """Session."""
    terminal: int
    """Device number of the controlling terminal; 0 for none."""
    foreground: int
    """The process group that has the terminal now."""
    started: int
    """Start time, in clock ticks since boot."""

    @property
    def identity(self) -> tuple[int, int]:
        """Pid and start time, which together name a process for good: pids are used again."""
        return self.pid, self.started


def read_stat(pid: int, proc: Path = PROC) -> ProcessStat:
    """The process `pid`.

    Raises:
        OSError: It is gone, or /proc is not there.
        ValueError, IndexError: The file is not what proc(5) says.
    """
    text = (proc / str(pid) / "stat").read_text("utf-8", "replace")
    name, _, rest = text.partition("(")[2].rpartition(")")  # The name may hold anything.
    fields = rest.split()
    return ProcessStat(pid, name, fields[0], *(int(fields[index]) for index in (1, 2, 3, 4, 5, 19)))


def ending_signal(pid: int, proc: Path = PROC) -> int:
    """The signal that is just ending the process `pid`; 0 if none is, or if the process is gone."""
    try:
        text = (proc / str(pid) / "stat").read_text("utf-8", "replace")
        # The last field, exit_code, is set before the kernel closes the files of the process.
        return int(text.split()[-1]) & 0x7F
    except (OSError, ValueError, IndexError):
        return 0


def start_time(pid: int) -> int | None:
    """Start time of the process `pid`, in clock ticks since boot; None if it is gone or a zombie."""
    try:
        stat = read_stat(pid)
    except OSError:
        return None
    return None if stat.state in ("Z", "X") else stat.started
