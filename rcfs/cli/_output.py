"""What is printed: results to stdout, everything said about them to stderr."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from rcfs.errors import PlatformError, RcfsError


def say(line: str) -> None:
    """Prints a line of the result to stdout."""
    click.echo(line)


def tell(line: str) -> None:
    """Prints a line about what is going on to stderr."""
    click.echo(f"rcfs: {line}", err=True)


def warn(line: str) -> None:
    """Prints a warning to stderr."""
    tell(f"warning: {line}")


def is_interactive() -> bool:
    """Whether there is somebody to ask on stdin."""
    return sys.stdin.isatty()


def error_line(error: RcfsError) -> str:
    """`error` as the one line that a person is shown."""
    text = " ".join(str(error).split())
    if isinstance(error, PlatformError) and error.request_id:
        text += f" (request id {error.request_id})"
    return text


def sole_cause(error: BaseException) -> BaseException:
    """What `error` comes down to: trio wraps whatever leaves a nursery in a group, often of one."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


@contextmanager
def spinner(text: str) -> Iterator[None]:
    """Shows on a terminal that something is being waited for; silent elsewhere."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(text):
        yield
