"""The command `rcfs`: its commands, and the one place that turns an error into a line and an exit code.

Exit codes: those of `rcfs.errors`; 2 also for wrong usage; 128 plus the number of the signal that ended the
command, such as 130 for Ctrl-C; 1 for an unexpected error.
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
from rcfs.cli._fstab_options import as_mount_command
from rcfs.cli._options import SummarisingGroup, choose_login, examples
from rcfs.cli._output import say, tell
from rcfs.cli._streams import OutputError, open_streams
from rcfs.errors import sole_cause
from rcfs.host import adapt_output, require_utf8
from rcfs.model import safe_lines

_YOUNG = 10_000
"""New objects until the garbage collector runs. Nearly all objects that loading a module makes stay, so with
Python's 700 it would run 70 times for nothing, which costs a start 30 ms (measured 2026-11)."""

_IS_VERBOSE = "rcfs.is_verbose"
"""Key of a context's `meta`."""

_MODULES: Mapping[str, str] = {
    "mount": "_mount",
    "umount": "_mount",
    "demo": "_demo",
    "search": "_search",
    "audit": "_audit",
    "pull": "_pull",
    "pin": "_pin",
    "unpin": "_pin",
    "mark": "_change",
    "trash": "_change",
    "restore": "_change",
    "purge": "_change",
    "flush": "_change",
    "outbox": "_change",
    "retention": "_retention",
    "status": "_status",
    "top": "_top",
    "quota": "_quota",
    "refresh": "_refresh",
    "why": "_why",
    "doctor": "_doctor",
    "cache": "_cache",
    "export": "_export",
    "send": "_send",
    "greeting": "_greeting",
    "forget": "_forget",
    "login": "_credentials",
    "logout": "_credentials",
    "service": "_service",
    "simulator": "_simulator",
    "completion": "_completion",
}
"""The module of each command, loaded when it is needed: all of them would take 35 ms of every start."""

_LOGGING_IN = frozenset(
    [
        "audit",
        "doctor",
        "export",
        "flush",
        "greeting",
        "login",
        "logout",
        "mark",
        "mount",
        "outbox",
        "pin",
        "pull",
        "purge",
        "quota",
        "restore",
        "retention",
        "send",
        "trash",
        "unpin",
    ]
)
"""The commands for which it matters which login is meant."""


class RcfsGroup(SummarisingGroup):
    """A group that turns an error of a command into one line on stderr and an exit code."""

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
                raise error from None  # nobody reads the output any more, and click ends silently
            line, exit_code = explained(error)
            tell(line)
            ctx.exit(exit_code)


@contextmanager
def _safe_usage_errors() -> Iterator[None]:
    """Makes usage errors safe for a terminal: they quote the command line, which may hold anything."""
    try:
        yield
    except click.ClickException as exc:
        exc.message = safe_lines(exc.message)  # type: ignore[misc]  # click shows this attribute
        raise


class Commands(RcfsGroup):
    """The commands of rcfs."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Reads the arguments, also those of mount(8) to the program of a file system type."""
        ctx.meta[_IS_VERBOSE] = "--verbose" in args  # click calls --version before it reads what follows
        mounting = as_mount_command(args, self.list_commands(ctx))
        if mounting == []:
            ctx.exit(0)
        return super().parse_args(ctx, args if mounting is None else mounting)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands, sorted."""
        return sorted({*super().list_commands(ctx), *_MODULES})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command `cmd_name`, whose module it loads."""
        if cmd_name not in _MODULES:
            return super().get_command(ctx, cmd_name)
        command = getattr(import_module(f"rcfs.cli.{_MODULES[cmd_name]}"), cmd_name)
        assert isinstance(command, click.Command)  # noqa: S101 - as in the table
        if cmd_name in _LOGGING_IN:
            choose_login(command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that `args` name, which runs next; see `click.Group.resolve_command`."""
        found = super().resolve_command(ctx, args)
        raise_on_interrupt()  # a command may have things to close
        return found


def _show_version(context: click.Context, _option: click.Parameter, wanted: object) -> None:
    if not wanted or context.resilient_parsing:
        return
    say(f"rcfs {__version__}")
    if context.meta[_IS_VERBOSE]:
        from rcfs.cli._versions import versions

        for name, version in versions()[1:]:
            say(f"{name} {version}")
    context.exit()


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples(
        "rcfs demo                     mount a simulated account",
        "rcfs login                    save your credentials",
        "rcfs mount ~/ringcentral",
        "rcfs search invoice           search without asking the server",
        "rcfs pull --to ~/backup       copy everything",
        "rcfs doctor ~/ringcentral     find out what is missing",
    ),
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit; with --verbose also those of what rcfs uses, for a bug report.",
)
@click.option("--verbose", is_flag=True, expose_value=False, hidden=True)
def rcfs() -> None:
    """Mount a RingCentral account: messages are directories, attachments are files."""


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
    except OutputError as exc:  # of click itself, such as help, or of the flush
        if exc.errno != errno.EPIPE:
            line, _exit_code = explained(exc)
            tell(line)
        exit_code = exit_code or 1
    # From here on Python shuts down, and Ctrl-C would print a trace.
    quit_on_interrupt()
    sys.exit(exit_code)  # type: ignore[arg-type]  # it is what click exits with
