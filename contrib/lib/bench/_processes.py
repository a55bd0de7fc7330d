"""Processes that end with the bench, whatever becomes of it."""

import os
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
    """A process that runs while the block does; what it says goes to `log`.

    It is in a session of its own, so that Ctrl-C reaches only the bench, which then unmounts before it
    ends; and the kernel ends it should the bench be killed.
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
    """Ends a process: asked at first, then killed."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_listening(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Returns when somebody listens on a port of loopback: `process`, which writes to `log`.

    Raises:
        RuntimeError: It ended, or does not listen in time; the text is the end of what it said.
    """
    deadline = time.monotonic() + _LISTENS_WITHIN_S
    while True:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"nobody listens on port {port}: {log.read_text()[-500:]}")
        time.sleep(0.02)
