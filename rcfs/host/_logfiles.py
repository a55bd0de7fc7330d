"""The trace of an unexpected error; apart from `_logging`, which loads structlog."""

import os
import traceback
from pathlib import Path

from rcfs.errors import StoreError
from rcfs.filenames import StateFiles
from rcfs.model import safe_lines
from rcfs.private import private_directory


def keep_crash(state_dir: Path, error: BaseException) -> Path | None:
    """Writes the trace of `error` to ``crash.log``; its path, or None when it cannot be written.

    Only the latest one is kept. A trace has no local variables.
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
