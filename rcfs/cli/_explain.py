"""The line and the exit code of a command that an error ends."""

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
"""128 + SIGINT, as in shells."""


class Interrupted(Exception):  # noqa: N818 - not an error, since the user wanted it
    """The signal `number` ended a command before its work was done; the text is for the user."""

    def __init__(self, number: int, told: str = "interrupted") -> None:
        super().__init__(told)
        self.number = number


def explained(error: BaseException) -> tuple[str, int]:
    """`error` in one line for a person, and the exit code.

    The line of an unexpected error names the file that keeps its trace.
    """
    error = sole_cause(error)
    if isinstance(error, RcfsError):
        return error_line(error), error.exit_code
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        return "interrupted", INTERRUPTED
    if isinstance(error, OutputError):
        return f"the output cannot be written: {error.strerror}; the result is incomplete", 1
    if isinstance(error, Interrupted):
        return str(error), 128 + error.number
    state_dir = os.environ.get("RCFS_STATE_DIR")
    kept = keep_crash(Path(state_dir) if state_dir else platformdirs.user_state_path("rcfs"), error)
    where = f"its trace is in {kept}" if kept is not None else "its trace could not be written"
    return f"unexpected error: {type(error).__name__}: {one_line(' '.join(str(error).split()))}; {where}", 1
