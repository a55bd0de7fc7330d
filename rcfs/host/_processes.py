"""Other processes: whether one still lives, and running one that may never answer."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

_KILL_GRACE_S = 1.0
"""A killed process is gone within milliseconds, unless it waits in the kernel for a hung mount."""
_STATE, _START_TIME = 0, 19
"""Fields 3 and 22 of /proc/PID/stat, counted from the first after the command name (proc(5))."""


def start_time(pid: int) -> int | None:
    """When process `pid` started, in clock ticks since boot; None when it is gone or a zombie.

    Pid and start time together name a process for good, as pids are used again.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the command name before it may hold anything
    return None if fields[_STATE] in ("Z", "X") else int(fields[_START_TIME])


def ended_within(pid: int, started: int, sign: signal.Signals, within_s: float) -> bool:
    """Sends `sign` to the process `pid` that started then (see `start_time`); whether it ends within so long.

    True at once when it is gone already; whoever has its pid now gets no signal.

    Raises:
        PermissionError: It belongs to another user.
    """
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        if start_time(pid) != started:
            return True
        with suppress(ProcessLookupError):  # it ended by itself just now
            signal.pidfd_send_signal(process, sign)
        # poll and not select, which knows no descriptor above 1,023.
        waiting = select.poll()
        waiting.register(process, select.POLLIN)
        return bool(waiting.poll(within_s * 1000))
    finally:
        os.close(process)


def rcfs_command(*arguments: str) -> list[str]:
    """The command line that runs this very rcfs with `arguments`.

    ``-P``: the current directory, where anything may lie, is not searched for modules. ``-X utf8``: paths
    mean the same to it in every locale.
    """
    return [sys.executable, "-X", "utf8", "-P", "-m", "rcfs", *arguments]


def script_command(name: str, *arguments: str) -> list[str]:
    """The command line that runs the program `name` of `rcfs.host.scripts`, which loads nothing of rcfs."""
    script = Path(__file__).parent / "scripts" / f"{name}.py"
    return [sys.executable, "-X", "utf8", "-I", "-S", str(script), *arguments]


def run_limited(command: Sequence[str], timeout_s: float) -> subprocess.CompletedProcess[bytes] | None:
    """What `command` answered; None when it did not end within `timeout_s`.

    For everything that touches a path which may be a hung mount: such a wait cannot always be killed, so
    it is left to a process of its own, and not waited for any longer.
    """
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
        try:
            process.wait(_KILL_GRACE_S)
        except subprocess.TimeoutExpired:
            process.returncode = -signal.SIGKILL  # nobody will wait for it: Popen must not warn
        return None
    return subprocess.CompletedProcess(command, process.returncode, output, errors)
