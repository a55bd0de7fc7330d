"""The standard streams of a command, whatever they are: a terminal, a full disk, a pipe, or closed."""

import io
import os
import sys
from typing import Any

_FLAGS = (os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)
"""How a stream that is closed is opened, on /dev/null. Reading stdin finds its end, what is said on stderr is
lost, and writing to stdout fails, as it does for coreutils: a result that is lost is a failure."""


class OutputError(OSError):
    """What a command prints could not be written to stdout."""


def open_streams() -> None:
    """Gives this process three streams: those that were closed are opened, and none fails in an odd way.

    What stderr does not take is lost, so that no command fails for its last words. What stdout does not take
    is an OutputError, once: what follows is lost, for Python would try again at the end, and print a trace.
    """
    for number, flags in enumerate(_FLAGS):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, flags)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 - it has no path, and is there to the end
    sys.stdout = _text(_Telling(1, "wb", closefd=False), sys.stdout, "strict")
    sys.stderr = _text(_Lossy(2, "wb", closefd=False), sys.stderr, "backslashreplace")


def _text(raw: io.FileIO, former: Any, errors: str) -> io.TextIOWrapper:
    """`raw` for text, as Python's `former` stream was, which is None if it was closed."""
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding="utf-8" if former is None else former.encoding,
        errors=errors if former is None else former.errors,
        line_buffering=raw.isatty() or isinstance(raw, _Lossy),
    )


class _Lossy(io.FileIO):
    """A file that takes everything, and loses what cannot be written."""

    def write(self, data: Any, /) -> int:
        """The length of `data`."""
        try:
            return super().write(data) or len(data)
        except OSError:
            return len(data)


class _Telling(io.FileIO):
    """A file that says once that it cannot be written, and loses everything from then on."""

    _lost = False

    def write(self, data: Any, /) -> int:
        """How much of `data` was written.

        Raises:
            OutputError: It cannot be written.
        """
        if self._lost:
            return len(data)
        try:
            return super().write(data)
        except OSError as exc:
            self._lost = True
            raise OutputError(exc.errno, exc.strerror) from exc
