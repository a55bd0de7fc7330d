"""The standard streams of a command, which may be a terminal, a file on a full disk, a pipe, or closed."""

import io
import os
import sys
from typing import Any

_FLAGS = (os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)
"""The modes in which closed streams are opened, on /dev/null. stdin is then empty, and stderr loses its text.
Writing to stdout fails, as in coreutils: a lost result is a failure."""


class OutputError(OSError):
    """The result of a command could not be written to stdout."""


def open_streams() -> None:
    """Gives this process three streams, and opens those that were closed.

    A failing stderr loses its text, so that no command fails for a message. A failing stdout raises one
    OutputError and then loses the rest; otherwise Python would write again at its end, and print a trace.
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
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 - it stays open to the end of the process
    sys.stdout = _text(_Telling(1, "wb", closefd=False), sys.stdout, "strict")
    sys.stderr = _text(_Lossy(2, "wb", closefd=False), sys.stderr, "backslashreplace")


def _text(raw: io.FileIO, former: Any, errors: str) -> io.TextIOWrapper:
    """`raw` as a text stream with the encoding of `former`, Python's own stream, which is None if closed."""
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding="utf-8" if former is None else former.encoding,
        errors=errors if former is None else former.errors,
        line_buffering=raw.isatty() or isinstance(raw, _Lossy),
    )


class _Lossy(io.FileIO):
    """A file that loses text which cannot be written."""

    def write(self, data: Any, /) -> int:
        """Writes `data` if possible, and returns its length."""
        try:
            return super().write(data) or len(data)
        except OSError:
            return len(data)


class _Telling(io.FileIO):
    """A file whose first failure raises an error, and which then loses everything."""

    _lost = False

    def write(self, data: Any, /) -> int:
        """Writes `data`, and returns the number of bytes written.

        Raises:
            OutputError: The stream cannot be written.
        """
        if self._lost:
            return len(data)
        try:
            return super().write(data)
        except OSError as exc:
            self._lost = True
            raise OutputError(exc.errno, exc.strerror) from exc
