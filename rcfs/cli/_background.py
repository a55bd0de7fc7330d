"""A command that goes on in the background, and a parent that returns when it is ready.

The parent starts the same command in the foreground, in a session of its own, with a pipe. The child
writes one JSON line to it and closes it: ``{"ready": true, "pid": N}`` or ``{"error": "…", "exit_code":
N}``. Secrets reach the child as they reached the parent (environment, file, keyring), never in argv.
"""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs
import click

from rcfs.cli._files import private_directory
from rcfs.cli._output import error_line, sole_cause
from rcfs.errors import RcfsError, StoreError

READY_WITHIN_S = 120.0
"""A login may have to wait for a penalty of 60 s, and then takes seconds."""
_END_WITHIN_S = 10.0
"""A child that is told to end has little to clean up before it is ready."""
_GRACE_S = 2.0
"""A child that has reported a failure, or closed its pipe, is about to end by itself."""
_LINE_BYTES = 65536
"""Longest answer that is read; a line is some hundred bytes."""


@attrs.frozen
class Outcome:
    """How the start in the background ended."""

    pid: int
    """The process that was started."""
    error: str = ""
    """Why it is not ready, in one line; empty when it is."""
    exit_code: int = 0
    """What to exit with; 0 when it is ready."""


def restated(context: click.Context) -> list[str]:
    """The options of the running command that were given on its command line, as arguments again."""
    arguments = []
    for parameter in context.command.params:
        name = parameter.name or ""
        given = context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        if not (isinstance(parameter, click.Option) and given):
            continue
        value = context.params[name]
        if parameter.is_flag:
            flags = parameter.opts if value else parameter.secondary_opts
            arguments.append(flags[-1])
            continue
        for item in value if parameter.multiple else [value]:
            arguments += [parameter.opts[-1], str(item)]
    return arguments


def rcfs_command(*arguments: str) -> list[str]:
    """The command line that runs this very rcfs with `arguments`.

    ``-P``: the current directory, where anything may lie, is not searched for modules.
    """
    return [sys.executable, "-P", "-m", "rcfs", *arguments]


def start(command: Sequence[str], errors: Path, *, ready_within_s: float = READY_WITHIN_S) -> Outcome:
    """Runs `command` with ``--ready-fd N`` in the background and waits until it is ready or has failed.

    Args:
        command: What to run; it must use `reporting` with that descriptor.
        errors: File that takes its stderr, which before the log is set up has what else would be lost.
        ready_within_s: After so long the child is ended and has failed.

    Raises:
        StoreError: `errors` cannot be written.
        KeyboardInterrupt: Interrupted; the child has been ended.
    """
    private_directory(errors.parent)
    reading, writing = os.pipe()
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_NOFOLLOW
        stderr = os.open(errors, flags, 0o600)
    except OSError as exc:
        os.close(reading)
        os.close(writing)
        raise StoreError(f"{errors} cannot be written: {exc.strerror}") from exc
    try:
        child = subprocess.Popen(
            [*command, "--ready-fd", str(writing)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            pass_fds=(writing,),
            start_new_session=True,
        )
    except BaseException:
        os.close(reading)
        raise
    finally:
        os.close(writing)
        os.close(stderr)
    try:
        return _outcome(child, reading, errors, time.monotonic() + ready_within_s)
    except BaseException:
        _end(child)
        raise
    finally:
        os.close(reading)


def _outcome(child: "subprocess.Popen[bytes]", reading: int, errors: Path, deadline: float) -> Outcome:
    line = b""
    while not line.endswith(b"\n") and len(line) < _LINE_BYTES:
        ready, _, _ = select.select([reading], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            _end(child)
            return Outcome(child.pid, f"the mount was not ready in time and was ended; see {errors}", 1)
        piece = os.read(reading, _LINE_BYTES)
        if not piece:
            break
        line += piece
    try:
        message: dict[str, Any] = json.loads(line)
    except ValueError:
        code = _end(child, _GRACE_S)
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return Outcome(
            child.pid, f"the background process ended before it was ready ({how}); see {errors}", 1
        )
    if message.get("ready") is True:
        child.returncode = 0  # it outlives this process: Popen must neither wait for it nor warn
        return Outcome(child.pid)
    _end(child, _GRACE_S)
    return Outcome(child.pid, str(message["error"]), int(message["exit_code"]))


def _end(child: "subprocess.Popen[bytes]", grace_s: float = 0.0) -> int:
    """Ends `child` if it has not ended by itself within `grace_s`, gently if possible; its exit code."""
    with suppress(subprocess.TimeoutExpired):
        return child.wait(grace_s)
    child.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        return child.wait(_END_WITHIN_S)
    child.kill()
    return child.wait()


class ReadyPipe:
    """The child's end of the pipe; does nothing when the command was started without one."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor: int | None = None
        if descriptor is not None:
            try:
                self._descriptor = os.dup(descriptor)  # not inherited: a grandchild would keep the pipe open
                os.close(descriptor)
            except OSError:
                raise click.UsageError(f"--ready-fd: {descriptor} is not an open descriptor") from None

    def ready(self) -> None:
        """Tells the parent that all is well."""
        self._send({"ready": True, "pid": os.getpid()})

    def failed(self, error: str, exit_code: int) -> None:
        """Tells the parent what went wrong; says nothing after `ready`."""
        self._send({"error": error, "exit_code": exit_code})

    def _send(self, message: dict[str, Any]) -> None:
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        with (
            os.fdopen(descriptor, "wb", buffering=0) as pipe,
            suppress(BrokenPipeError),
        ):  # the parent has gone
            pipe.write(json.dumps(message).encode() + b"\n")


@contextmanager
def reporting(descriptor: int | None) -> Iterator[ReadyPipe]:
    """The pipe to the parent; an exception that leaves the block is reported through it."""
    pipe = ReadyPipe(descriptor)
    try:
        yield pipe
    except click.ClickException as exc:
        pipe.failed(exc.format_message(), exc.exit_code)
        raise
    except Exception as exc:
        error = sole_cause(exc)
        if isinstance(error, RcfsError):
            pipe.failed(error_line(error), error.exit_code)
        else:
            pipe.failed(f"unexpected error: {type(error).__name__}: {error}", 1)
        raise
