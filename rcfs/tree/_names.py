r"""Names that are safe to list, to look up, to type and to copy, made from text that strangers chose.

A name is made in three steps:

    clean(text)              what may stand in a name at all; may be empty, may be too long
    fit(stem, suffix)        at most 255 bytes, with the suffix (an id, a file extension) whole
    Names.unique(…)          no other name of the directory is equal, whatever the case

What a name never holds: ``/`` and what exFAT and NTFS refuse (``" < > : | ? * \``); control characters, line
and paragraph separators; characters that reorder text on a screen, have no width or show nothing; private
and half characters; a dot or dash or space or accent at its start, a dot or space at its end. It is no device
of Windows (``CON``, ``aux.txt``), and in Unicode normal form C, so that typing it finds it.

A character that this Python's Unicode does not know yet is kept: it is an emoji of tomorrow, and the name
must be the same when a newer Python knows it.
"""

import re
import unicodedata
from collections.abc import Iterable

from rcfs.model import with_few_marks

NAME_BYTES = 255
"""Longest name in bytes of UTF-8: NAME_MAX of Linux, <linux/limits.h>. NTFS and exFAT allow 255 units of
UTF-16, and no text has more of them than bytes."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]|[^\S ]|\u2800")
"""C0, DEL and C1, separators of lines, and what looks like a space but is none that people type."""

_INVISIBLE = re.compile(
    r"[\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    r"\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U000110bd\U000110cd"
    r"\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""Property Default_Ignorable_Code_Point of Unicode (joiners, variation selectors, Hangul fillers, tags, marks
of direction) and category Cf. Names that look the same must not differ by them, and nothing hides there."""

_FORBIDDEN = re.compile(
    r'["*/:<>?\\|\ud800-\udfff\ue000-\uf8ff\ufdd0-\ufdef\ufffe\uffff\U000f0000-\U0010ffff'
    + "".join(f"{chr(plane | 0xFFFE)}{chr(plane | 0xFFFF)}" for plane in range(0x10000, 0xF0000, 0x10000))
    + "]"
)
"""What the kernel takes for a separator; what exFAT (7.7.3 of its specification) and NTFS refuse; what UTF-8
cannot express (Unicode, 3.9, D92); private characters, which SMB clients use in place of the forbidden ones;
and noncharacters."""

_DEVICE = re.compile(r"(con|prn|aux|nul|con(in|out)\$|clock\$|(com|lpt)[0-9¹²³]) *(\.|\Z)", re.IGNORECASE)
"""Names that Windows opens as devices, with whatever extension. Source: "Naming Files, Paths, and Namespaces"
of Microsoft's documentation."""

_LEADING = re.compile(r"^[\s.\-]+")
"""A leading dot hides a file, a leading dash reads as an option."""

_TRAILING = re.compile(r"[\s.]+$")
"""Invisible at the end of a name, and dropped by Windows and SMB clients: the copy would differ."""

_PLAIN = re.compile(r"[ !#-)+-.0-9;=@A-Z\[\]^_`a-z{}~]*")
"""ASCII in which nothing is to be replaced: most of what strangers write."""

_NUMBERED_BYTES = 200
"""Names that are equal up to here are numbered together, because a number may cut what differs behind it."""


def clean(text: str) -> str:
    """What of `text` may stand in a name: of any length, and empty when nothing is left.

    Control characters and odd spaces become spaces, what no file system takes ``_``; what is invisible is
    dropped, and so are accents beyond the sixth on one letter.
    """
    if _PLAIN.fullmatch(text):
        return text.lstrip(" .-").rstrip(" .")
    text = _FORBIDDEN.sub("_", _INVISIBLE.sub("", _CONTROL.sub(" ", text)))
    # After characters were dropped, which can bring a letter and its accent together.
    text = with_few_marks(unicodedata.normalize("NFC", text))
    while text != (text := _without_leading_mark(_LEADING.sub("", text))):
        pass
    return _TRAILING.sub("", text)


def cut(text: str, limit_bytes: int) -> str:
    """The longest beginning of `text` within `limit_bytes` of UTF-8 that splits no letter from its accents.

    A text that is one single such sequence is cut between characters. `text` is free of lone surrogates.
    """
    data = text.encode()
    if len(data) <= limit_bytes:
        return text
    whole = data[: max(limit_bytes, 0)].decode(errors="ignore")
    end = len(whole)
    while end and _is_mark(text[end]):
        end -= 1
    return text[:end] or whole


def fit(stem: str, suffix: str = "") -> str:
    """The name `stem` + `suffix`, at most 255 bytes: the stem is cut where it must be, the suffix never.

    A name of a device gets a ``_`` before it.

    Args:
        stem: A text from `clean`, not empty.
        suffix: Kept whole: clean, and at most 200 bytes.
    """
    kept = cut(stem, NAME_BYTES - len(suffix.encode()))
    # Only a cut can have brought a dot or space to the end.
    name = (kept if kept == stem else _TRAILING.sub("", kept)) + suffix
    return fit(f"_{stem}", suffix) if is_device(name) else name


def is_device(name: str) -> bool:
    """Whether Windows opens a device where a file is called so."""
    return _DEVICE.match(name) is not None


class Names:
    """The names of one directory, as they are given out."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        """Begins with the names `taken`."""
        self._taken = set(map(folded, taken))
        self._next: dict[str, int] = {}

    def unique(self, stem: str, suffix: str = "") -> str:
        """The name `stem` + `suffix`, with `` (2)`` or a later number between them when it is taken.

        Args:
            stem: As in `fit`.
            suffix: As in `fit`; the file extension with its dot, or empty.
        """
        name = fit(stem, suffix)
        if folded(name) in self._taken:
            # Where the last one of the kind ended: to begin with 2 each time takes a square of their number.
            kind = folded(cut(stem, _NUMBERED_BYTES) + suffix)
            number = self._next.get(kind, 2)
            while folded(name := fit(stem, f" ({number}){suffix}")) in self._taken:
                number += 1
            self._next[kind] = number + 1
        self._taken.add(folded(name))
        return name


def folded(name: str) -> str:
    """What two names have in common that a file system without case would not tell apart."""
    # Upper case first: NTFS and exFAT compare so, and have letters (a dotless i) that only meet there.
    return name.lower() if name.isascii() else unicodedata.normalize("NFC", name.upper().casefold())


def _without_leading_mark(text: str) -> str:
    """`text` without an accent at its start, which would stand on what comes before the name."""
    return text[1:] if text and _is_mark(text[0]) else text


def _is_mark(character: str) -> bool:
    """Whether `character` belongs to the one before it (a small part of UAX 29)."""
    return unicodedata.category(character).startswith("M")
