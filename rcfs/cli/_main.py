"""The command `rcfs`: its commands, and the one place that turns an error into a line and an exit code.

Exit codes: those of `rcfs.errors`; 2 also for wrong usage; 130 when interrupted; 1 for what nobody expected.
"""

import errno
import os
from pathlib import Path
from typing import Any, NoReturn

import click
import platformdirs

from rcfs.cli._cache import cache
from rcfs.cli._completion import completion
from rcfs.cli._credentials import login, logout
from rcfs.cli._demo import demo
from rcfs.cli._doctor import doctor
from rcfs.cli._logfiles import keep_crash
from rcfs.cli._mount import mount, umount
from rcfs.cli._options import examples
from rcfs.cli._output import error_line, sole_cause, tell
from rcfs.cli._pin import pin, unpin
from rcfs.cli._pull import pull
from rcfs.cli._refresh import refresh
from rcfs.cli._search import search
from rcfs.cli._simulator import simulator
from rcfs.cli._status import status
from rcfs.cli._why import why
from rcfs.errors import RcfsError

INTERRUPTED = 130
"""128 + SIGINT, as shells have it."""


class RcfsGroup(click.Group):
    """A group whose commands end with one line on stderr when they fail."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command; its errors become exit codes."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit):
            raise
        except (Exception, KeyboardInterrupt, BaseExceptionGroup) as exc:  # noqa: BLE001 - the outermost layer
            error = sole_cause(exc)
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                raise error from None  # the reader of our output went away: click ends quietly
            ctx.exit(_explained(error))


def _explained(error: BaseException) -> int:
    """Prints what `error` means to a person; the exit code."""
    if isinstance(error, RcfsError):
        tell(error_line(error))
        return error.exit_code
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        tell("interrupted")
        return INTERRUPTED
    state_dir = os.environ.get("RCFS_STATE_DIR")
    kept = keep_crash(Path(state_dir) if state_dir else platformdirs.user_state_path("rcfs"), error)
    where = f"the trace is in {kept}" if kept is not None else "its trace could not be written"
    tell(f"unexpected error: {type(error).__name__}: {' '.join(str(error).split())}; {where}")
    return 1


@click.group(
    cls=RcfsGroup,
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
@click.version_option(package_name="rcfs", prog_name="rcfs", message="%(prog)s %(version)s")
def rcfs() -> None:
    """A RingCentral account as a directory tree: messages are directories, attachments are files."""


_FILES = (mount, umount, demo, search, pull, pin, unpin)
_UPKEEP = (status, refresh, why, doctor, cache, login, logout, simulator, completion)
for _command in (*_FILES, *_UPKEEP):
    rcfs.add_command(_command)


def main() -> NoReturn:
    """Runs the command line of this process, and exits."""
    rcfs.main(prog_name="rcfs")
