"""What a person is told of an error that ends a command, and what the command exits with."""

import os
from pathlib import Path

import click
import platformdirs

from rcfs.cli._output import error_line
from rcfs.cli._streams import OutputError
from rcfs.errors import RcfsError, sole_cause
from rcfs.host import keep_crash
from rcfs.model import one_line

INTERRUPTED = 130
"""128 + SIGINT, as shells have it."""


class Interrupted(Exception):  # noqa: N818 - it is no error: somebody wanted it
    """A signal ended the command before it had begun what it is for; `number` says which."""

    def __init__(self, number: int) -> None:
        super().__init__("interrupted")
        self.number = number


def explained(error: BaseException) -> tuple[str, int]:
    """What `error` means to a person, in one line, and the exit code.

    The trace of what nobody expected is kept in a file that the line names.
    """
    error = sole_cause(error)
    if isinstance(error, RcfsError):
        return error_line(error), error.exit_code
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        return "interrupted", INTERRUPTED
    if isinstance(error, OutputError):
        return f"the output cannot be written: {error.strerror}", 1
    if isinstance(error, Interrupted):
        return "interrupted", 128 + error.number
    state_dir = os.environ.get("RCFS_STATE_DIR")
    kept = keep_crash(Path(state_dir) if state_dir else platformdirs.user_state_path("rcfs"), error)
    where = f"the trace is in {kept}" if kept is not None else "its trace could not be written"
    return f"unexpected error: {type(error).__name__}: {one_line(' '.join(str(error).split()))}; {where}", 1
