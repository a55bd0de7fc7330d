"""The log: readable lines on stderr, or JSON lines in a private file that is rotated by size.

Events go through Python's logging, as those of libraries do. Traces are Python's, which show no local
variables: those hold tokens. structlog would do all of this, but takes 15 ms of a mount's start, half of them
for asyncio (measured 2026-11).
"""

import json
import logging
import logging.handlers
import os
import sys
import time
from collections.abc import Mapping
from io import TextIOWrapper
from pathlib import Path

import attrs

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


@attrs.frozen
class _Event:
    """An event as a message of Python's logging, which turns it into text that is safe for a terminal."""

    name: str
    fields: Mapping[str, object]

    def __str__(self) -> str:
        shown = [self.name, *(f"{name}={_shown(value)}" for name, value in self.fields.items())]
        return one_line(" ".join(shown))


def _shown(value: object) -> str:
    """`value` as Python writes it; a text that is one word, as it is."""
    is_word = isinstance(value, str) and value and not set(value) & set(" ='\"")
    return str(value) if is_word else repr(value)


class EventLog:
    """Logs events, which have a name and fields, as the logger ``rcfs`` of Python's logging."""

    def debug(self, event: str, **fields: object) -> None:
        """Logs an event that helps to find an error."""
        self._log(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: object) -> None:
        """Logs an event that is not a failure."""
        self._log(logging.INFO, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Logs a failure."""
        self._log(logging.WARNING, event, fields)

    def error(self, event: str, *, exc_info: BaseException | None = None, **fields: object) -> None:
        """Logs an error that rcfs did not expect, with the trace of `exc_info`."""
        self._log(logging.ERROR, event, fields, exc_info)

    def _log(
        self, level: int, event: str, fields: Mapping[str, object], error: BaseException | None = None
    ) -> None:
        logging.getLogger("rcfs").log(level, _Event(event, fields), exc_info=error)


class _Json(logging.Formatter):
    """An event as a JSON object in one line."""

    def format(self, record: logging.LogRecord) -> str:
        event = record.msg if isinstance(record.msg, _Event) else _Event(record.getMessage(), {})
        described = {
            **event.fields,
            "event": event.name,
            "level": record.levelname.lower(),
            "timestamp": _timestamp(record),
        }
        if record.exc_info:
            described["exception"] = self.formatException(record.exc_info)
        return json.dumps(described, default=repr)


class _Readable(logging.Formatter):
    """An event as a line for people, and its trace, with text that cannot control a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        line = f"{_timestamp(record)} [{record.levelname.lower():9}] {one_line(record.getMessage())}"
        if record.exc_info:
            line += "\n" + safe_lines(self.formatException(record.exc_info))
        return line


def _timestamp(record: logging.LogRecord) -> str:
    """The time of an event in ISO 8601, with microseconds, in UTC."""
    seconds, rest = divmod(record.created, 1)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{int(rest * 1e6):06}Z"


def log_to_terminal(level: str) -> None:
    """Logs events of `level` and above to stderr, as lines for people."""
    _install(logging.StreamHandler(sys.stderr), level, _Readable())


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
    _install(handler, level, _Json())


class _PrivateRotatingFile(logging.handlers.RotatingFileHandler):
    """A rotated file; every part of it has mode 0600, for any umask."""

    def _open(self) -> TextIOWrapper:
        descriptor = os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        return TextIOWrapper(os.fdopen(descriptor, "ab"), encoding="utf-8", errors="replace")


def _install(handler: logging.Handler, level: str, formatter: logging.Formatter) -> None:
    handler.setFormatter(formatter)
    logging.raiseExceptions = False  # no trace for a log that cannot be written
    root = logging.getLogger()
    for former in root.handlers:
        if isinstance(former, _PrivateRotatingFile):
            former.close()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in _QUIET_LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)
