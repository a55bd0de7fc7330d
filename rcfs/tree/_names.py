"""Names that are safe to list, to look up and to type, made from text that strangers chose.

A name is made in three steps, each a pure function of its arguments:

    clean(text)              what may stand in a name at all; may be empty, may be too long
    fit(stem, suffix)        at most 255 bytes, with the suffix (an id, a file extension) whole
    unique(stem, suffix, …)  no other name of the directory is equal, whatever the case

What a name never holds: ``/``, control characters, line and paragraph separators, characters that
reorder text on a screen, lone surrogates; a dot or dash or space at its start, a dot or space at its
end. It is in Unicode normal form C, so that typing it finds it.
"""

import re
import unicodedata

NAME_BYTES = 255
"""Longest name in bytes of UTF-8: NAME_MAX of Linux, <linux/limits.h>."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
"""C0, DEL and C1, and the separators that some programs end a line at: categories Cc, Zl and Zp."""

_BIDI = re.compile(r"[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Marks, embeddings, overrides and isolates: property Bidi_Control of Unicode (UAX 9, 2.1 to 2.6)."""

_FORBIDDEN = re.compile(r"[/\ud800-\udfff]")
"""What the kernel takes for a separator, and what UTF-8 cannot express (Unicode, 3.9, D92)."""

_LEADING = re.compile(r"^[\s.\-]+")
"""A leading dot hides a file, a leading dash reads as an option."""

_TRAILING = re.compile(r"[\s.]+$")
"""Invisible at the end of a name, and dropped by Windows and SMB clients: the copy would differ."""

_PLAIN = re.compile(r"[ -.0-~]*")
"""Printable ASCII but ``/``: most of what strangers write, in which nothing is to be replaced."""

_ZERO_WIDTH_JOINER = "\u200d"


def valid(text: str) -> str:
    """`text` as UTF-8 can express it: each lone surrogate, half a character that was cut off, is U+FFFD."""
    # UTF-16 is where surrogates have a meaning, so its decoder tells the lone ones from the pairs.
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def one_line(text: str) -> str:
    """`text` as it may be shown on one line of a terminal: no control, no reordering, valid Unicode."""
    if text.isascii() and text.isprintable():
        return text  # Nearly always, and a tenth of the time.
    return valid(_BIDI.sub("", _CONTROL.sub(" ", text)))


def clean(text: str) -> str:
    """What of `text` may stand in a name: of any length, and empty when nothing is left.

    Control characters become spaces, ``/`` and lone surrogates ``_``; characters that reorder text are
    dropped. Normalisation comes last, because dropping a character can bring a letter and its accent
    together; it makes none of the forbidden characters.
    """
    if _PLAIN.fullmatch(text):
        return text.lstrip(" .-").rstrip(" .")
    text = _FORBIDDEN.sub("_", _BIDI.sub("", _CONTROL.sub(" ", text)))
    text = _TRAILING.sub("", _LEADING.sub("", text))
    return unicodedata.normalize("NFC", text)


def cut(text: str, limit_bytes: int) -> str:
    """The longest beginning of `text` within `limit_bytes` of UTF-8 that splits no letter from its accents.

    A text that is one single such sequence is cut between characters. `text` is free of lone surrogates.
    """
    data = text.encode()
    if len(data) <= limit_bytes:
        return text
    whole = data[: max(limit_bytes, 0)].decode(errors="ignore")
    end = len(whole)
    while end and _belong_together(text[end - 1], text[end]):
        end -= 1
    return text[:end] or whole


def fit(stem: str, suffix: str = "") -> str:
    """The name `stem` + `suffix`, at most 255 bytes: the stem is cut where it must be, the suffix never.

    Args:
        stem: A text from `clean`, not empty.
        suffix: Kept whole: clean, and at most 200 bytes.
    """
    kept = cut(stem, NAME_BYTES - len(suffix.encode()))
    # Only a cut can have brought a dot or space to the end.
    return (kept if kept == stem else _TRAILING.sub("", kept)) + suffix


def unique(stem: str, suffix: str, taken: set[str]) -> str:
    """The name `stem` + `suffix`, with `` (2)`` or the next free number between them when it is taken.

    Args:
        stem: As in `fit`.
        suffix: As in `fit`; the file extension with its dot, or empty.
        taken: The names of the directory so far, each through `folded`; the result is added.
    """
    name, number = fit(stem, suffix), 1
    while folded(name) in taken:
        number += 1
        name = fit(stem, f" ({number}){suffix}")
    taken.add(folded(name))
    return name


def folded(name: str) -> str:
    """What two names have in common that a file system without case would not tell apart."""
    return name.lower() if name.isascii() else unicodedata.normalize("NFC", name.casefold())


def _belong_together(before: str, after: str) -> bool:
    """Whether a cut between the two characters would change what is seen (a small part of UAX 29)."""
    return (
        unicodedata.category(after).startswith("M")
        or after == _ZERO_WIDTH_JOINER
        or before == _ZERO_WIDTH_JOINER
    )
