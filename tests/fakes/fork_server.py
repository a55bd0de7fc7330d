"""Processes that have loaded rcfs when they start: copies of a process that has loaded it once.

Loading the simulator takes a second of CPU, loading what a mount needs half a second, and the tests start
each of them two hundred times. The server is this module, run as a program. It ends with the process that
started it; so do the simulators, whose standard input ends then.
"""

import atexit
import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import IO, NoReturn

MOST_BYTES = 1 << 17
"""Longest command line with its environment, as JSON."""

ROOT = Path(__file__).parents[2]

PRELOADED = (
    *("rcfs.cli._simulator", "rcfs.cli._explain", "rcfs.simulator", "rcfs.model"),
    *("rcfs.cli._mounting", "rcfs.cli._mount", "rcfs.cli._pull", "rcfs.cli._pull_run", "rcfs.cli._refresh"),
    *("rcfs.cli._search", "rcfs.cli._status"),
)

READ_AT_START = ("LANG", "LC_", "PYTHON")
"""Beginnings of the names of variables that Python reads when it starts, so that a fork has its parent's."""
READ_LATER = frozenset({"PYTHON_KEYRING_BACKEND"})
"""Names like those, of variables that others read."""


class ForkedProcess:
    """A process of the fork server; its methods are some of `subprocess.Popen`, and mean the same."""

    def __init__(self, pid: int, stdin: IO[str] | None, stdout: IO[str] | None, status: int) -> None:
        self.pid = pid
        self.stdin = stdin
        self.stdout = stdout
        self._status = status
        self._returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit code, or minus the signal that ended it; None while it runs."""
        return self._returncode_within(0.0)

    def wait(self, timeout: float) -> int:
        """Its exit code, as of `poll`.

        Raises:
            subprocess.TimeoutExpired: It still runs after `timeout` seconds.
        """
        returncode = self._returncode_within(timeout)
        if returncode is None:
            raise subprocess.TimeoutExpired("rcfs", timeout)
        return returncode

    def send_signal(self, number: int) -> None:
        """Sends it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Sends it SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Sends it SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def close(self) -> None:
        """Closes its pipes."""
        for pipe in (self.stdin, self.stdout):
            if pipe is not None:
                pipe.close()

    def _returncode_within(self, timeout_s: float) -> int | None:
        if self._returncode is None and select.select([self._status], [], [], timeout_s)[0]:
            self._returncode = int(_read_line(self._status))
            os.close(self._status)
        return self._returncode


def start_forked(*arguments: str, environment: Mapping[str, str] | None = None) -> ForkedProcess:
    """A process that runs ``python -m rcfs`` with `arguments`.

    Its standard input and output are pipes, its standard error is that of this process. Without an
    `environment`, which is as of `can_fork_in`, it has that of the first one.
    """
    their_stdin, stdin = os.pipe()
    stdout, their_stdout = os.pipe()
    pid, status = _start(arguments, environment, (their_stdin, their_stdout, 2))
    os.close(their_stdin)
    os.close(their_stdout)
    return ForkedProcess(pid, os.fdopen(stdin, "w"), os.fdopen(stdout), status)


def can_fork_in(environment: Mapping[str, str]) -> bool:
    """Whether a fork can be what a process that starts in `environment` is."""

    def read_at_start(variables: Mapping[str, str]) -> dict[str, str]:
        names = (name for name in variables if name.startswith(READ_AT_START) and name not in READ_LATER)
        return {name: variables[name] for name in names}

    return read_at_start(environment) == read_at_start(os.environ)


def run_forked(
    arguments: Sequence[str], environment: Mapping[str, str], timeout_s: float, typed: str = ""
) -> "subprocess.CompletedProcess[str]":
    """A finished run of ``python -m rcfs`` with `arguments` in `environment`.

    Args:
        arguments: The command line.
        environment: As of `can_fork_in`.
        timeout_s: Longest run.
        typed: What it reads from its standard input.

    Raises:
        subprocess.TimeoutExpired: It ran longer, and was killed.
    """
    with (
        os.fdopen(os.memfd_create("stdin"), "w+") as stdin,
        os.fdopen(os.memfd_create("stdout"), "w+", errors="replace") as stdout,
        os.fdopen(os.memfd_create("stderr"), "w+", errors="replace") as stderr,
    ):
        stdin.write(typed)
        stdin.seek(0)
        streams = (stdin.fileno(), stdout.fileno(), stderr.fileno())
        pid, status = _start(arguments, environment, streams)
        process = ForkedProcess(pid, None, None, status)
        try:
            returncode = process.wait(timeout_s)
        except BaseException:
            process.kill()
            process.wait(timeout_s)
            raise
        for stream in (stdout, stderr):
            stream.seek(0)
        return subprocess.CompletedProcess(["rcfs", *arguments], returncode, stdout.read(), stderr.read())


def _start(
    arguments: Sequence[str], environment: Mapping[str, str] | None, streams: tuple[int, int, int]
) -> tuple[int, int]:
    """(id, where its end is written to) of a process with these streams."""
    status, their_status = os.pipe()
    request = json.dumps({"arguments": arguments, "environment": environment and dict(environment)})
    socket.send_fds(_server(), [request.encode()], [*streams, their_status])
    os.close(their_status)
    return int(_read_line(status)), status


@cache
def _server() -> socket.socket:
    """The connection to the server of this process, which it starts."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-m", "tests.fakes.fork_server", str(theirs.fileno())]
    null = subprocess.DEVNULL
    server = subprocess.Popen(command, stdin=null, stdout=null, pass_fds=[theirs.fileno()], cwd=ROOT)
    theirs.close()
    owner = os.getpid()

    def stop() -> None:
        if os.getpid() == owner:  # and not a fork of it
            ours.shutdown(socket.SHUT_RDWR)
            ours.close()
            server.wait()

    atexit.register(stop)
    return ours


def _read_line(number: int) -> bytes:
    """The next line of a pipe, and nothing that follows it; empty at its end."""
    line = b""
    while (byte := os.read(number, 1)) not in (b"", b"\n"):
        line += byte
    return line


def _serve(requests: socket.socket) -> None:
    """Starts the processes that are asked for, until nobody can ask any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests, whose end ends this process
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the watchers
    while True:
        message, numbers, _flags, _address = socket.recv_fds(requests, MOST_BYTES, 4)
        if not message:
            return
        if os.fork() == 0:
            requests.close()
            _watch(**json.loads(message), numbers=numbers)
        for number in numbers:
            os.close(number)


def _watch(arguments: list[str], environment: dict[str, str] | None, numbers: list[int]) -> NoReturn:
    """Starts a process, writes its id to the last of `numbers`, and how it ended when it has."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    *streams, status = numbers
    pid = os.fork()
    if pid == 0:
        for number, theirs in enumerate(streams):
            os.dup2(theirs, number)
    for number in streams:
        os.close(number)
    if pid == 0:
        os.close(status)
        _run(arguments, environment)
    os.write(status, b"%d\n" % pid)
    _pid, ending = os.waitpid(pid, 0)
    os.write(status, b"%d\n" % os.waitstatus_to_exitcode(ending))
    os._exit(0)


def _run(arguments: list[str], environment: dict[str, str] | None) -> NoReturn:
    """Runs the command line, as ``python -m rcfs`` does."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = ["rcfs", *arguments]
    if environment is not None:
        os.environ.clear()
        os.environ.update(environment)
    try:
        runpy.run_module("rcfs", run_name="__main__")
    except SystemExit as exc:
        if isinstance(exc.code, int) and threading.active_count() == 1:
            # As Python does, but without taking all modules apart, which takes 50 ms.
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(exc.code)
        raise
    sys.exit()


def _load() -> None:
    """Loads rcfs, and leaves it out of all garbage collections, which would copy it."""
    for name in PRELOADED:
        import_module(name)
    gc.freeze()


if __name__ == "__main__":
    _load()
    _serve(socket.socket(fileno=int(sys.argv[1])))
