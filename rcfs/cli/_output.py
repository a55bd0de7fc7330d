"""All output of the commands: results on stdout, messages about them on stderr.

No other module prints. All text passes `rcfs.model.one_line`, so that text from outside (names, errors of a
server, words of the command line) cannot control the terminal.
"""

import shlex
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click

from rcfs.cli._streams import OutputError
from rcfs.errors import PlatformError, RcfsError
from rcfs.model import one_line, safe_json, safe_lines

LINE_EVERY_S = 10.0
"""Time between two lines of progress where stderr is no terminal, so that a log gets few."""


def own_name() -> str:
    """The command that runs this program in a shell: rcfs, or its path where PATH does not lead to it."""
    path = Path(sys.argv[0])
    found = shutil.which("rcfs")
    if path.name != "rcfs" or (found is not None and Path(found).resolve() == path.resolve()):
        return "rcfs"
    return shlex.quote(str(path.absolute()))


def say(lines: str) -> None:
    """Prints lines of the result to stdout."""
    click.echo(safe_lines(lines))


def say_marked(parts: Iterable[tuple[bool, str]]) -> None:
    """Prints a line of the result to stdout, in parts; those that come with True are bold."""
    click.echo(
        "".join(
            click.style(one_line(part), bold=True) if marked else one_line(part) for marked, part in parts
        )
    )


def say_json(text: str) -> None:
    """Prints the JSON `text` to stdout, with escapes for characters that could control a terminal."""
    click.echo(safe_json(text))


def announce(line: str) -> None:
    """Prints a report of something done to stdout; a stdout that fails does not make the command fail."""
    with suppress(OutputError):
        say(line)


def tell(line: str) -> None:
    """Prints a message to stderr."""
    click.echo(one_line(f"rcfs: {line}"), err=True)


def warn(line: str) -> None:
    """Prints a warning to stderr."""
    tell(f"warning: {line}")


def is_interactive() -> bool:
    """Whether stdin is a terminal, so that rcfs can ask."""
    return sys.stdin.isatty()


def require_terminal(action: str) -> None:
    """Checks that rcfs can ask whether to do `action`.

    Raises:
        UsageError: stdin is not a terminal.
    """
    if not is_interactive():
        raise click.UsageError(f"stdin is not a terminal, so rcfs cannot ask; give --yes to {action}")


def confirmed(question: str, action: str, *, yes: bool) -> bool:
    """Whether to do `action`: True with `yes`, else the answer to `question` on the terminal.

    Raises:
        UsageError: stdin is not a terminal.
    """
    if yes:
        return True
    require_terminal(action)
    return click.confirm(question, err=True)


def error_line(error: RcfsError) -> str:
    """The text of `error` on one line, with the request id for RingCentral's support if there is one."""
    text = " ".join(str(error).split())
    if isinstance(error, PlatformError) and error.request_id:
        text += f" (request id {error.request_id})"
    return one_line(text)


def erase_line() -> None:
    """Erases the line of the terminal that stderr is on."""
    click.echo("\r\033[K", err=True, nl=False)


def redraw_line(text: str) -> None:
    """Shows `text` instead of what stands in the line of the terminal that stderr is on."""
    erase_line()
    click.echo(one_line(text), err=True, nl=False)


class Pace:
    """The pace of lines of progress that stay, in a log or for a program: at most one in ten seconds."""

    def __init__(self) -> None:
        self._written_s = time.monotonic()

    def is_due(self) -> bool:
        """Whether a line is due; if it is, the next one is due ten seconds later."""
        now_s = time.monotonic()
        is_due = now_s >= self._written_s + LINE_EVERY_S
        if is_due:
            self._written_s = now_s
        return is_due


@contextmanager
def spinner(text: str) -> Iterator[None]:
    """Shows `text` while the block runs, if stderr is a terminal."""
    if not sys.stderr.isatty():
        yield
        return
    click.echo(f"{text} ...", err=True, nl=False)
    try:
        yield
    finally:
        erase_line()
