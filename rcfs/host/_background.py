"""Runs a command in the background: a child does the work, and the parent returns when the child is ready.

The parent forks, because a second interpreter that loads all modules again costs a quarter of a second.
Threads, event loops, databases and connections do not survive a fork, so only the child makes them; it also
reads the keyring. The child keeps the terminal and its session until it has read all input (a keyring may ask
for its password), and then leaves them.

A socket that keeps messages apart connects the two. Each message is a JSON object: ``{"log": PATH}`` when the
child has left the terminal, with the file of its stderr; perhaps ``{"wait": "…", "within_s": N}`` when it
waits, for example for the network; then ``{"ready": true, "mountpoint": …, "log": …}``; or at any time
``{"error": "…", "exit_code": N}``. Secrets stay in the memory of the child: argv and messages have none.
"""

import fcntl
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any, NoReturn

import attrs

from rcfs.errors import StoreError
from rcfs.private import private_directory

READY_WITHIN_S = 120.0
"""Longest time from leaving the terminal to being ready, in seconds: a login may wait for a penalty of 60."""
_END_WITHIN_S = 10.0
"""Longest wait for a child after SIGTERM, in seconds: before it is ready it has little to close."""
_GRACE_S = 2.0
"""Longest wait for a child that has reported a failure or closed its socket, in seconds: it is ending."""
_MESSAGE_BYTES = 65536
"""Size of the longest message in bytes; most have some hundred."""
_STREAMS = 3
"""Descriptors below this are stdin, stdout and stderr."""


@attrs.frozen
class Outcome:
    """The result of a start in the background."""

    pid: int
    """Process id of the child."""
    mountpoint: Path | None = None
    """Its mount point; None when it is not ready."""
    log: Path | None = None
    """Its log; None when it is not ready."""
    error: str = ""
    """Why it is not ready, in one line; empty when it is."""
    exit_code: int = 0
    """The exit code for the parent; 0 when the child is ready."""


class Parent:
    """The parent, as the child sees it: it waits until the child is ready."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._has_terminal = True
        self._leaves_late = False

    @property
    def has_terminal(self) -> bool:
        """Whether this process still has the terminal, on which only the parent prints."""
        return self._has_terminal

    def leave_terminal(self, errors: Path, *, in_group: bool = False) -> None:
        """Moves this process into a new session, with stdin and stdout on /dev/null and stderr in `errors`.

        From then on the parent has a deadline for its wait. With `in_group` the process stays in its session
        and group until it is ready: an automounter lets only its own group mount.

        Raises:
            StoreError: `errors` cannot be written.
        """
        private_directory(errors.parent)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_NOFOLLOW
        try:
            stderr = _above_streams(os.open(errors, flags, 0o600))
        except OSError as exc:
            raise StoreError(f"{errors} cannot be written: {exc.strerror}") from exc
        null = _above_streams(os.open(os.devnull, os.O_RDWR))
        _flush()
        self._leaves_late = in_group
        if not in_group:
            os.setsid()
        for number, descriptor in enumerate((null, null, stderr)):
            os.dup2(descriptor, number)
        os.close(null)
        os.close(stderr)
        self._has_terminal = False
        self._send({"log": str(errors)})

    def wait(self, text: str, within_s: float) -> None:
        """Tells the parent that this process waits for `text`, at most `within_s` seconds."""
        self._send({"wait": text, "within_s": within_s})

    def ready(self, mountpoint: Path, log: Path) -> None:
        """Tells the parent that the mount is up; it is the last message."""
        if self._leaves_late:
            os.setsid()
        self._send({"ready": True, "mountpoint": str(mountpoint), "log": str(log)})
        self._connection.close()

    def failed(self, error: str, exit_code: int) -> None:
        """Tells the parent what went wrong; does nothing after `ready`."""
        if self._connection.fileno() >= 0:
            self._send({"error": error, "exit_code": exit_code})
            self._connection.close()

    def _send(self, message: dict[str, Any]) -> None:
        with suppress(BrokenPipeError):  # the parent has gone
            self._connection.send(json.dumps(message).encode())


def run_in_background(
    work: Callable[[Parent], None],
    *,
    explain: Callable[[BaseException], tuple[str, int]],
    tell: Callable[[str], None],
    meanwhile: AbstractContextManager[None] | None = None,
    ready_within_s: float = READY_WITHIN_S,
) -> Outcome:
    """Runs `work` in a child process, and waits until it is ready or has failed.

    This process must have one thread, and nothing that does not survive a fork. The child inherits
    environment, directory, umask and signals, and the three standard streams until it leaves the terminal.
    It closes all other descriptors. It ends when `work` returns (with 0) or raises.

    Args:
        work: Calls `Parent.leave_terminal`, and then `Parent.ready` when it is ready.
        explain: Turns an error of `work` into one line and the exit code of the child.
        tell: Prints a line to stderr.
        meanwhile: Entered while this process waits for a child that has left the terminal.
        ready_within_s: Longest time from leaving the terminal to being ready; then the child is killed.

    Raises:
        KeyboardInterrupt: Ctrl-C; the child has ended.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        _flush()  # or the child would write the buffered text again
        # During the fork neither process could handle an interrupt.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        pid = os.fork()
        if not pid:
            _be_child(work, explain, tell, theirs, mask)
        try:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            theirs.close()
            return _outcome(pid, ours, tell, meanwhile or nullcontext(), ready_within_s)
        except BaseException:
            _end(pid)
            raise


def _be_child(
    work: Callable[[Parent], None],
    explain: Callable[[BaseException], tuple[str, int]],
    tell: Callable[[str], None],
    connection: socket.socket,
    mask: Iterable[signal.Signals | int],
) -> NoReturn:
    """Does `work` with the signal mask `mask`, and ends this process; it never returns to its caller."""
    exit_code = 1
    try:
        connection = socket.socket(fileno=_above_streams(connection.detach()))
        _close_all_but(connection.fileno())
        parent = Parent(connection)
        try:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            work(parent)
            exit_code = 0
        except BaseException as exc:  # noqa: ASYNC103, BLE001 - the outermost layer of this process
            line, exit_code = explain(exc)
            parent.failed(line, exit_code)
            if not parent.has_terminal:
                tell(line)
        _flush()
    finally:
        os._exit(exit_code)


def _outcome(
    pid: int,
    connection: socket.socket,
    tell: Callable[[str], None],
    meanwhile: AbstractContextManager[None],
    ready_within_s: float,
) -> Outcome:
    see = ""
    message = _received(connection)
    if message is not None and "error" not in message:
        see = f"; see {message['log']}"
        connection.settimeout(ready_within_s)
        try:
            with meanwhile:
                while (message := _received(connection)) is not None and "wait" in message:
                    if sys.stderr.isatty():  # A script expects one line, the error.
                        tell(message["wait"])
                    connection.settimeout(ready_within_s + message["within_s"])
        except TimeoutError:
            _end(pid)
            return Outcome(
                pid,
                error=f"the mount was not ready within {ready_within_s:.0f} s, so rcfs ended it{see}",
                exit_code=1,
            )
    if message is None:
        code = _end(pid, _GRACE_S)
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        error = f"the background process ended before it was ready ({how}){see}"
        return Outcome(pid, error=error, exit_code=1)
    if "error" in message:
        _end(pid, _GRACE_S)
        return Outcome(pid, error=message["error"], exit_code=message["exit_code"])
    return Outcome(pid, Path(message["mountpoint"]), Path(message["log"]))


def _received(connection: socket.socket) -> dict[str, Any] | None:
    """The child's next message; None when it has closed its end."""
    packet = connection.recv(_MESSAGE_BYTES)
    message: dict[str, Any] | None = json.loads(packet) if packet else None
    return message


def _end(pid: int, grace_s: float = 0.0) -> int:
    """The exit code of the child; after `grace_s` it gets SIGTERM, and then SIGKILL."""
    ended = os.pidfd_open(pid)
    try:
        for sign, within_s in ((0, grace_s), (signal.SIGTERM, _END_WITHIN_S), (signal.SIGKILL, None)):
            os.kill(pid, sign)
            if select.select([ended], [], [], within_s)[0]:
                break
    finally:
        os.close(ended)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _above_streams(descriptor: int) -> int:
    """A copy of `descriptor` with a number above those of the standard streams; closes the original."""
    try:
        return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _STREAMS)
    finally:
        os.close(descriptor)


def _close_all_but(kept: int) -> None:
    """Closes all inherited descriptors, also those of the shell, except the standard streams and `kept`."""
    for path in Path("/proc/self/fd").iterdir():
        number = int(path.name)
        if number >= _STREAMS and number != kept:
            with suppress(OSError):  # of the directory listing itself
                os.close(number)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        # Its reader is gone, or it is closed; it is None if rcfs was started without it.
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
