"""Text is UTF-8 to rcfs in every locale; only a terminal is written to in its own encoding.

Names in a mount, in a copy and in the state directory are UTF-8. Python would read and write them as the
locale says: in ISO-8859-1 a path could not hold an emoji, and a mount made in one locale would have another
path in the next.
"""

import codecs
import locale
import os
import sys
from io import TextIOWrapper
from pathlib import Path

_AS_IT_CAME = "rcfs.as_it_came"


def require_utf8() -> None:
    """Returns if names are UTF-8 to Python; else begins this program anew in Python's UTF-8 mode.

    That mode is the default from Python 3.15 on. Source: PEP 540, PEP 686.
    """
    if codecs.lookup(sys.getfilesystemencoding()).name == "utf-8":
        return
    # The very bytes, and not sys.argv: decoding them in this locale might have changed them.
    _program, *arguments, _end = Path("/proc/self/cmdline").read_bytes().split(b"\0")
    # Nothing but this program itself, by the path that Python has of it.
    os.execv(sys.executable, [os.fsencode(sys.executable), b"-X", b"utf8", *arguments])  # noqa: S606


def adapt_output() -> None:
    """Lets stdout and stderr take whatever is printed.

    A terminal gets `?` for a character that it cannot show. A file or pipe gets UTF-8, and a name that is no
    UTF-8 as its bytes are, so that the next program finds the file.
    """
    codecs.register_error(_AS_IT_CAME, _as_it_came)
    for stream in (sys.stdout, sys.stderr):
        if not isinstance(stream, TextIOWrapper):
            continue  # closed
        if stream.isatty():
            stream.reconfigure(encoding=_terminal_encoding(), errors="replace")
        else:
            stream.reconfigure(errors=_AS_IT_CAME)


def as_typed(text: str) -> str:
    """`text` of the command line; where it is no UTF-8, it was typed on a terminal of another encoding."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return os.fsencode(text).decode(locale.getencoding(), "replace")
    return text


def _terminal_encoding() -> str | None:
    """The encoding of terminals by the locale; None for the one that Python has chosen."""
    if "PYTHONIOENCODING" in os.environ:
        return None
    # The locale C says nothing about the terminal, so Python takes it for one of UTF-8 (PEP 538).
    name = codecs.lookup(locale.getencoding()).name
    return None if name == "ascii" else name


def _as_it_came(error: UnicodeError) -> tuple[str | bytes, int]:
    """The byte that a lone surrogate stands for in a path, "?" for one that stands for none (PEP 383)."""
    assert isinstance(error, UnicodeEncodeError)  # noqa: S101 - it is for output
    code = ord(error.object[error.start])
    return bytes([code - 0xDC00]) if 0xDC80 <= code <= 0xDCFF else "?", error.start + 1
