"""Processes that end with the bench, even if it is killed."""

import os
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ENDS_WITHIN_S = 20.0
"""Longest wait for the end of a process that was told to end; rcfs takes up to 5 s for its login."""

_LISTENS_WITHIN_S = 10.0


@contextmanager
def running(
    command: Sequence[str], *, log: Path, environment: Mapping[str, str] | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """Runs a process during the block; its output goes to `log`.

    It is in a session of its own, so that Ctrl-C reaches only the bench, which then unmounts before it ends.
    If the bench is killed, the kernel ends the process.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", "--", *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
    try:
        yield process
    finally:
        end(process)


def end(process: "subprocess.Popen[bytes]") -> None:
    """Terminates a process, and kills it if it does not end."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_measured(process: "subprocess.Popen[bytes]") -> resource.struct_rusage:
    """Waits until `process` has ended; what it used, of CPU time and memory."""
    # Unlike `Popen.wait`, this gives the usage of one process and not that of all children together.
    _pid, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage


def cpu_s(pid: int) -> float:
    """CPU time of the process `pid` so far, in seconds."""
    fields = (
        Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    )
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """A port of loopback on which nothing listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_listening(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Waits until `process`, which writes to `log`, listens on a port of loopback.

    Raises:
        RuntimeError: It ended, or did not listen in time; the message has the end of its output.
    """
    deadline = time.monotonic() + _LISTENS_WITHIN_S
    while True:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"nobody listens on port {port}: {log.read_text()[-500:]}")
        time.sleep(0.02)
