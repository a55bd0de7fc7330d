"""The command `rcfs`: its commands, and the one place that turns an error into a line and an exit code.

Exit codes: those of `rcfs.errors`; 2 also for wrong usage; 128 and the signal's
number when one ended it, such as 130 for Ctrl-C; 1 for what nobody expected.
"""

import errno
import gc
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any, NoReturn

import click

from rcfs import __version__
from rcfs._interrupt import quit_on_interrupt, raise_on_interrupt
from rcfs.cli._explain import explained
from rcfs.cli._mount_words import as_mount_command
from rcfs.cli._options import SummarisingGroup, examples
from rcfs.cli._output import tell
from rcfs.cli._streams import OutputError, open_streams
from rcfs.errors import sole_cause
from rcfs.host import adapt_output, require_utf8
from rcfs.model import safe_lines

_YOUNG = 10_000
"""Objects that are made before the garbage collector looks for those of no use. Nearly all that modules make
when they are loaded stays, so looking at it 70 times, as with Python's 700, costs a start 30 ms (measured
2026-11)."""

_MODULES: Mapping[str, str] = {
    "mount": "_mount",
    "umount": "_mount",
    "demo": "_demo",
    "search": "_search",
    "pull": "_pull",
    "pin": "_pin",
    "unpin": "_pin",
    "status": "_status",
    "quota": "_quota_command",
    "refresh": "_refresh",
    "why": "_why",
    "doctor": "_doctor",
    "cache": "_cache",
    "forget": "_forget",
    "login": "_credentials",
    "logout": "_credentials",
    "simulator": "_simulator",
    "completion": "_completion",
}
"""Where each command is. It is loaded when it is needed: all of them take 35 ms of every start."""


class RcfsGroup(SummarisingGroup):
    """A group whose commands end with one line on stderr when they fail."""

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Reads the command line; see `click.Command.make_context`."""
        with _safe_usage_errors():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command; its errors become exit codes."""
        try:
            with _safe_usage_errors():
                return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit):
            raise
        except (Exception, KeyboardInterrupt, BaseExceptionGroup) as exc:  # noqa: BLE001 - the outermost layer
            error = sole_cause(exc)
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                raise error from None  # the reader of our output went away: click ends quietly
            line, exit_code = explained(error)
            tell(line)
            ctx.exit(exit_code)


@contextmanager
def _safe_usage_errors() -> Iterator[None]:
    """Keeps what is quoted of a command line from acting on the terminal that shows the error."""
    try:
        yield
    except click.ClickException as exc:
        exc.message = safe_lines(exc.message)  # type: ignore[misc]  # nothing else holds the text that is shown
        raise


class Commands(RcfsGroup):
    """The commands of rcfs."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Reads the arguments, also those that mount(8) gives to the program of a file system."""
        mounting = as_mount_command(args, self.list_commands(ctx))
        if mounting == []:
            ctx.exit(0)
        return super().parse_args(ctx, args if mounting is None else mounting)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands, in the order of the alphabet."""
        return sorted({*super().list_commands(ctx), *_MODULES})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, loaded now if it was not."""
        if cmd_name not in _MODULES:
            return super().get_command(ctx, cmd_name)
        command = getattr(import_module(f"rcfs.cli.{_MODULES[cmd_name]}"), cmd_name)
        assert isinstance(command, click.Command)  # noqa: S101 - the table says so
        raise_on_interrupt()  # from now on there may be something to end properly
        return command


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples(
        "rcfs demo                     a simulated account, no credentials needed",
        "rcfs login                    save your credentials",
        "rcfs mount ~/ringcentral",
        "rcfs search invoice           full text, without asking the server",
        "rcfs pull --to ~/backup       a copy of everything",
        "rcfs doctor ~/ringcentral     what is missing, and what to do",
    ),
)
@click.version_option(__version__, prog_name="rcfs", message="%(prog)s %(version)s")
def rcfs() -> None:
    """A RingCentral account as a directory tree: messages are directories, attachments are files."""


def main() -> NoReturn:
    """Runs the command line of this process, and exits."""
    require_utf8()
    gc.set_threshold(_YOUNG)
    open_streams()
    adapt_output()
    exit_code: object = 0
    try:
        try:
            rcfs.main(prog_name="rcfs")
        except SystemExit as exc:
            exit_code = exc.code
        sys.stdout.flush()
    except OutputError as exc:  # of what click prints itself, such as help, or of the last words
        if exc.errno != errno.EPIPE:
            line, _exit_code = explained(exc)
            tell(line)
        exit_code = exit_code or 1
    # What is left is Python's own end, in which Ctrl-C would print a trace.
    quit_on_interrupt()
    sys.exit(exit_code)  # type: ignore[arg-type]  # it is what click exits with
