"""Other processes: checks whether one is alive, ends one, and runs one that may never answer."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from rcfs.procfs import start_time

_KILL_GRACE_S = 1.0
"""Longest wait for a killed process, in seconds: it is gone within milliseconds, unless it waits in the
kernel for a hung mount."""


def ended_within(pid: int, started: int, sign: signal.Signals, within_s: float) -> bool:
    """Sends `sign` to process `pid` with the start time `started`; returns whether it ends within `within_s`.

    Returns True at once if it is gone. Another process that has the pid now gets no signal.

    Raises:
        PermissionError: The process belongs to another user.
    """
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        if start_time(pid) != started:
            return True
        with suppress(ProcessLookupError):  # it has just ended
            signal.pidfd_send_signal(process, sign)
        # poll, because select cannot watch a descriptor above 1,023.
        waiting = select.poll()
        waiting.register(process, select.POLLIN)
        return bool(waiting.poll(within_s * 1000))
    finally:
        os.close(process)


def rcfs_command(*arguments: str) -> list[str]:
    """The command line that runs this installation of rcfs with `arguments`.

    With ``-P``, Python imports no module from the current directory. With ``-X utf8``, paths are UTF-8 in
    every locale.
    """
    return [sys.executable, "-X", "utf8", "-P", "-m", "rcfs", *arguments]


def script_command(name: str, *arguments: str) -> list[str]:
    """The command line that runs the program `name` of `rcfs.host.scripts`."""
    script = Path(__file__).parent / "scripts" / f"{name}.py"
    return [sys.executable, "-X", "utf8", "-I", "-S", str(script), *arguments]


def run_limited(command: Sequence[str], timeout_s: float) -> subprocess.CompletedProcess[bytes] | None:
    """The result of `command`; None if it did not end within `timeout_s`.

    For everything that touches a path which may be a hung mount. A process that waits for such a mount cannot
    always be killed, so this function abandons it after the time limit.
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
            process.returncode = -signal.SIGKILL  # keeps Popen from warning about the abandoned process
        return None
    return subprocess.CompletedProcess(command, process.returncode, output, errors)
