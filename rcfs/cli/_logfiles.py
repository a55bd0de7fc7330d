"""Where logs and traces lie below the state directory; apart from `_logging`, which loads structlog."""

import hashlib
import os
import traceback
from pathlib import Path

from rcfs.cli._files import private_directory
from rcfs.errors import StoreError
from rcfs.model import safe_lines


def log_directory(state_dir: Path) -> Path:
    """The directory of all logs below `state_dir`."""
    return state_dir / "log"


def early_errors(state_dir: Path) -> Path:
    """Takes the stderr of a mount in the background: what is said before there is a log, or past it."""
    return log_directory(state_dir) / "stderr.log"


def log_file(state_dir: Path, mountpoint: Path) -> Path:
    """The log of the mount at `mountpoint`: its name, and a digest of its path, as names repeat."""
    digest = hashlib.blake2b(os.fsencode(mountpoint), digest_size=4).hexdigest()
    name = os.fsencode(mountpoint.name or "root")[:200].decode(errors="replace")
    return log_directory(state_dir) / f"{name}-{digest}.log"


def keep_crash(state_dir: Path, error: BaseException) -> Path | None:
    """Writes the trace of `error` to ``crash.log``; its path, or None when it cannot be written.

    Only the latest one is kept. A trace has no local variables.
    """
    path = log_directory(state_dir) / "crash.log"
    try:
        private_directory(path.parent)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
            file.write(safe_lines("".join(traceback.format_exception(error))))
    except (OSError, StoreError):
        return None
    return path
