"""The trace of an unexpected error. Not in `logs`, which loads logging."""

import os
import traceback
from pathlib import Path

from rcfs.errors import StoreError
from rcfs.filenames import StateFiles
from rcfs.model import safe_lines
from rcfs.private import private_directory


def keep_crash(state_dir: Path, error: BaseException) -> Path | None:
    """Writes the trace of `error` to ``crash.log``; returns its path, or None if it cannot be written.

    The file holds only the latest trace, without local variables.
    """
    path = StateFiles(state_dir).crash
    try:
        private_directory(path.parent)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
            file.write(safe_lines("".join(traceback.format_exception(error))))
    except (OSError, StoreError):
        return None
    return path
