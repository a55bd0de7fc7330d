"""The log: readable lines on stderr, or JSON lines in a private file that is rotated by size.

structlog writes through the standard library's logging, so that the log of libraries goes to the same place.
Traces are plain, because structlog's default prints local variables, which hold tokens.
"""

import logging
import logging.handlers
import os
import sys
from io import StringIO, TextIOWrapper
from pathlib import Path
from typing import TextIO

import structlog

from rcfs.errors import StoreError
from rcfs.model import one_line, safe_lines
from rcfs.private import private_directory

_ROTATE_BYTES = 5 << 20
"""Size at which a log is rotated, in bytes: 5 MiB of lines of some 200 bytes are a day of a busy mount."""
_ROTATED_FILES = 3
"""Number of rotated files that are kept: with these, the log of a mount point takes at most 20 MiB."""
_QUIET_LIBRARIES = ("httpx", "httpcore", "hpack", "asyncio")
"""Libraries whose INFO lines are dropped: they contain the query of every request. rcfs logs requests itself,
without the query."""


def log_to_terminal(level: str) -> None:
    """Logs events of `level` and above to stderr, as lines for people."""
    handler = logging.StreamHandler(sys.stderr)
    colors = sys.stderr.isatty()
    renderer = structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=_plain_trace, pad_event_to=0)
    _install(handler, level, [_cleaned, renderer])


def _cleaned(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """`event` with text that cannot control a terminal; the `repr` of other values is safe."""
    return {
        one_line(key): one_line(value) if isinstance(value, str) else value for key, value in event.items()
    }


def _plain_trace(target: TextIO, exc_info: structlog.typing.ExcInfo) -> None:
    """Writes a trace without local variables, and with text that cannot control a terminal."""
    trace = StringIO()
    structlog.dev.plain_traceback(trace, exc_info)
    target.write(safe_lines(trace.getvalue()))


def log_to_file(path: Path, level: str) -> None:
    """Logs events of `level` and above to `path`, one JSON object per line.

    Raises:
        StoreError: The file cannot be written.
    """
    private_directory(path.parent)
    try:
        handler = _PrivateRotatingFile(path, maxBytes=_ROTATE_BYTES, backupCount=_ROTATED_FILES)
    except OSError as exc:
        raise StoreError(f"the log {path} cannot be written: {exc.strerror}") from exc
    _install(handler, level, [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()])


class _PrivateRotatingFile(logging.handlers.RotatingFileHandler):
    """A rotated file; every part of it has mode 0600, for any umask."""

    def _open(self) -> TextIOWrapper:
        descriptor = os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        return TextIOWrapper(os.fdopen(descriptor, "ab"), encoding="utf-8", errors="replace")


def _install(handler: logging.Handler, level: str, rendering: list[structlog.typing.Processor]) -> None:
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    severity = logging.getLevelNamesMapping()[level.upper()]
    logging.raiseExceptions = False  # no trace for a log that cannot be written
    root = logging.getLogger()
    for former in root.handlers:
        if isinstance(former, _PrivateRotatingFile):
            former.close()
    root.handlers = [handler]
    root.setLevel(severity)
    for name in _QUIET_LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(severity),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
