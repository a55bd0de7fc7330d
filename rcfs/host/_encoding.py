"""Makes text UTF-8 in every locale, except on a terminal, which gets its own encoding.

Names in a mount, in a copy and in the state directory are UTF-8. Python would use the encoding of the locale:
with ISO-8859-1 a path could not hold an emoji, and the path of a mount would change with the locale.
"""

import codecs
import locale
import os
import sys
from io import TextIOWrapper
from pathlib import Path

_AS_IT_CAME = "rcfs.as_it_came"


def require_utf8() -> None:
    """Restarts this program in Python's UTF-8 mode, unless Python uses UTF-8 for names already.

    From Python 3.15 on that mode is the default. Source: PEP 540, PEP 686.
    """
    if codecs.lookup(sys.getfilesystemencoding()).name == "utf-8":
        return
    # The bytes and not sys.argv, because decoding in this locale may have changed them.
    _program, *arguments, _end = Path("/proc/self/cmdline").read_bytes().split(b"\0")
    # This program itself, by the path that Python has of it.
    os.execv(sys.executable, [os.fsencode(sys.executable), b"-X", b"utf8", *arguments])  # noqa: S606


def adapt_output() -> None:
    """Makes stdout and stderr accept any text.

    A terminal gets `?` for a character that it cannot show. A file or pipe gets UTF-8; a name that is not
    UTF-8 keeps its bytes, so that the next program finds the file.
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
    """`text` of the command line, decoded again from the encoding of the locale if it is not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return os.fsencode(text).decode(locale.getencoding(), "replace")
    return text


def _terminal_encoding() -> str | None:
    """The encoding of the terminal according to the locale; None to keep the choice of Python."""
    if "PYTHONIOENCODING" in os.environ:
        return None
    # The locale C tells nothing about the terminal, so Python assumes UTF-8 (PEP 538).
    name = codecs.lookup(locale.getencoding()).name
    return None if name == "ascii" else name


def _as_it_came(error: UnicodeError) -> tuple[str | bytes, int]:
    """The byte that a lone surrogate stands for in a path, or "?" for any other surrogate (PEP 383)."""
    assert isinstance(error, UnicodeEncodeError)  # noqa: S101 - registered for output only
    code = ord(error.object[error.start])
    return bytes([code - 0xDC00]) if 0xDC80 <= code <= 0xDCFF else "?", error.start + 1
