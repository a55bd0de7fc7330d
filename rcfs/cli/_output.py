"""What is printed: results to stdout, everything said about them to stderr.

Nothing else prints, and everything here goes through `rcfs.model.one_line`, so that no text from outside, be
it a name, an error of a server or what somebody typed, can act on the terminal.
"""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

import click

from rcfs.cli._streams import OutputError
from rcfs.errors import PlatformError, RcfsError
from rcfs.model import one_line, safe_json, safe_lines


def say(lines: str) -> None:
    """Prints a line of the result, or several, to stdout."""
    click.echo(safe_lines(lines))


def say_marked(parts: Iterable[tuple[bool, str]]) -> None:
    """Prints a line of the result to stdout, of which those parts are emphasised that come with True."""
    click.echo(
        "".join(
            click.style(one_line(part), bold=True) if marked else one_line(part) for marked, part in parts
        )
    )


def say_json(text: str) -> None:
    """Prints the JSON text `text` to stdout; what must not reach a terminal is escaped."""
    click.echo(safe_json(text))


def announce(line: str) -> None:
    """Prints a line about what was done, to stdout; that nobody can be told does not undo it."""
    with suppress(OutputError):
        say(line)


def tell(line: str) -> None:
    """Prints a line about what is going on to stderr."""
    click.echo(one_line(f"rcfs: {line}"), err=True)


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
    return one_line(text)


@contextmanager
def spinner(text: str) -> Iterator[None]:
    """Shows on a terminal that something is being waited for; silent elsewhere."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(text):
        yield
