"""Processes that have loaded the simulator when they start: copies of a process that has loaded it once.

Loading it takes a second of CPU, and the tests start it two hundred times. The server is this module, run as
a program. It ends with the process that started it; so do the simulators, whose standard input ends then.
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
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import IO, NoReturn

MOST_BYTES = 1 << 16
"""Longest command line, as JSON."""

ROOT = Path(__file__).parents[2]

PRELOADED = ("rcfs.cli._simulator", "rcfs.cli._explain", "rcfs.simulator", "rcfs.model")


class ForkedProcess:
    """A process of the fork server; its methods are some of `subprocess.Popen`, and mean the same."""

    def __init__(self, pid: int, stdin: IO[str], stdout: IO[str], status: int) -> None:
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

    def _returncode_within(self, timeout_s: float) -> int | None:
        if self._returncode is None and select.select([self._status], [], [], timeout_s)[0]:
            self._returncode = int(_read_line(self._status))
            os.close(self._status)
        return self._returncode


def start_forked(*arguments: str) -> ForkedProcess:
    """A process that runs ``python -m rcfs`` with `arguments`, in the environment of the first one.

    Its standard input and output are pipes, its standard error is that of this process.
    """
    their_stdin, stdin = os.pipe()
    stdout, their_stdout = os.pipe()
    status, their_status = os.pipe()
    theirs = [their_stdin, their_stdout, 2, their_status]
    socket.send_fds(_server(), [json.dumps(arguments).encode()], theirs)
    for number in (their_stdin, their_stdout, their_status):
        os.close(number)
    pid = int(_read_line(status))
    return ForkedProcess(pid, os.fdopen(stdin, "w"), os.fdopen(stdout), status)


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
            _watch(json.loads(message), *numbers)
        for number in numbers:
            os.close(number)


def _watch(arguments: list[str], stdin: int, stdout: int, stderr: int, status: int) -> NoReturn:
    """Starts a process, writes its id to `status`, and how it ended when it has."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    streams = (stdin, stdout, stderr)
    if pid == 0:
        for number, theirs in enumerate(streams):
            os.dup2(theirs, number)
    for number in streams:
        os.close(number)
    if pid == 0:
        os.close(status)
        _run(arguments)
    os.write(status, b"%d\n" % pid)
    _pid, ending = os.waitpid(pid, 0)
    os.write(status, b"%d\n" % os.waitstatus_to_exitcode(ending))
    os._exit(0)


def _run(arguments: list[str]) -> NoReturn:
    """Runs the command line, as ``python -m rcfs`` does."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = ["rcfs", *arguments]
    runpy.run_module("rcfs", run_name="__main__")
    sys.exit()


def _load() -> None:
    """Loads what the simulator does, and leaves it out of all garbage collections, which would copy it."""
    for name in PRELOADED:
        import_module(name)
    gc.freeze()


if __name__ == "__main__":
    _load()
    _serve(socket.socket(fileno=int(sys.argv[1])))
