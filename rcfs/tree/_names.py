r"""Names that are safe to list, look up, type and copy, made from text that strangers chose.

A name is made in three steps:

    clean(text)              allowed characters only; may be empty, may be too long
    fit(stem, suffix)        at most 255 bytes; the suffix (an id, a file extension) stays whole
    Names.unique(…)          different from all other names of the directory, even without regard to case

A name never holds: ``/`` or a character that exFAT and NTFS refuse (``" < > : | ? * \``); control characters,
line and paragraph separators; characters that reorder text on a screen, have no width or show nothing;
private characters and halves of surrogate pairs; a dot, dash, space or accent at its start; a dot or space at
its end. It is never a device of Windows (``CON``, ``aux.txt``), and always in Unicode normal form C, so that
typing it finds it.

A character that the Unicode version of this Python does not know is kept. It may be a new emoji, and the name
must stay the same when a newer Python knows it.
"""

import re
import unicodedata
from collections.abc import Iterable
from hashlib import blake2b

from rcfs.model import with_few_marks

NAME_BYTES = 255
"""Longest name in bytes of UTF-8: NAME_MAX of Linux, <linux/limits.h>. NTFS and exFAT allow 255 units of
UTF-16, and no text has more of them than bytes."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]|[^\S ]|\u2800")
"""C0, DEL and C1, line separators, and characters that look like a space but are not U+0020."""

_INVISIBLE = re.compile(
    r"[\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    r"\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U000110bd\U000110cd"
    r"\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""Property Default_Ignorable_Code_Point of Unicode (joiners, variation selectors, Hangul fillers, tags, marks
of direction) and category Cf: names that look the same must not differ by characters that nobody sees."""

_FORBIDDEN = re.compile(
    r'["*/:<>?\\|\ud800-\udfff\ue000-\uf8ff\ufdd0-\ufdef\ufffe\uffff\U000f0000-\U0010ffff'
    + "".join(f"{chr(plane | 0xFFFE)}{chr(plane | 0xFFFF)}" for plane in range(0x10000, 0xF0000, 0x10000))
    + "]"
)
"""The separator of the kernel; characters that exFAT (7.7.3 of its specification) and NTFS refuse, that UTF-8
cannot express (Unicode, 3.9, D92); private characters, which SMB clients use in place of the forbidden ones;
and noncharacters."""

_DEVICE = re.compile(r"(con|prn|aux|nul|con(in|out)\$|clock\$|(com|lpt)[0-9¹²³]) *(\.|\Z)", re.IGNORECASE)
"""Names that Windows opens as devices, with any extension. Source: "Naming Files, Paths, and Namespaces"
of Microsoft's documentation."""

_LEADING = re.compile(r"^[\s.\-]+")
"""A leading dot hides a file, a leading dash reads as an option."""

_TRAILING = re.compile(r"[\s.]+$")
"""Characters that nobody sees at the end of a name; Windows and SMB clients drop them from copies."""

_PLAIN = re.compile(r"[ !#-)+-.0-9;=@A-Z\[\]^_`a-z{}~]*")
"""ASCII text in which nothing has to be replaced, as most text is."""

_NUMBERED_BYTES = 200
"""Names with the same first bytes share one counter, because adding a number may cut the rest."""

_LONGEST_ID = 20
"""Most digits of an id of the platform: 19 in an int64, 20 if unsigned."""


def clean(text: str) -> str:
    """`text` without the characters that no name may hold; of any length, and possibly empty.

    Control characters and unusual spaces become spaces. Characters that file systems refuse become ``_``.
    Invisible characters are dropped, and so are accents after the sixth on one letter.
    """
    if _PLAIN.fullmatch(text):
        return text.lstrip(" .-").rstrip(" .")
    text = _FORBIDDEN.sub("_", _INVISIBLE.sub("", _CONTROL.sub(" ", text)))
    # Only now, because dropping characters can bring a letter and its accent together.
    text = with_few_marks(unicodedata.normalize("NFC", text))
    while text != (text := _without_leading_mark(_LEADING.sub("", text))):
        pass
    return _TRAILING.sub("", text)


def cut(text: str, limit_bytes: int) -> str:
    """The longest beginning of `text` within `limit_bytes` of UTF-8 that splits no letter from its accents.

    A text that is one letter with accents is cut between those. `text` must not hold lone surrogates.
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
    """The name `stem` + `suffix`, at most 255 bytes long: a stem that is too long is cut.

    The name of a Windows device gets a leading ``_``.

    Args:
        stem: A text from `clean`, not empty.
        suffix: A clean text of at most 200 bytes, never cut.
    """
    kept = cut(stem, NAME_BYTES - len(suffix.encode()))
    # Only a cut can leave a dot or space at the end.
    name = (kept if kept == stem else _TRAILING.sub("", kept)) + suffix
    return fit(f"_{stem}", suffix) if is_device(name) else name


def is_device(name: str) -> bool:
    """Whether Windows opens a device when a program opens a file of that name."""
    return _DEVICE.match(name) is not None


def shown_id(key: str) -> str:
    """The key if it looks like an id of the platform, else a digest: a stranger may have chosen it.

    A digest is also different for keys that differ in case only.
    """
    if key.isascii() and key.isdecimal() and len(key) <= _LONGEST_ID:
        return key
    return blake2b(key.encode("utf-8", "surrogatepass"), digest_size=5).hexdigest()


class Names:
    """The names given so far in one directory, all different."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        """Starts with the names `taken`."""
        self._taken = set(map(folded, taken))
        self._next: dict[str, int] = {}

    def unique(self, stem: str, suffix: str = "") -> str:
        """The name `stem` + `suffix`, with `` (2)`` or a higher number between them if it is taken.

        Args:
            stem: As in `fit`.
            suffix: As in `fit`; the file extension with its dot, or empty.
        """
        name = fit(stem, suffix)
        if folded(name) in self._taken:
            # Continue at the last number: starting from 2 for each name would take quadratic time.
            kind = folded(cut(stem, _NUMBERED_BYTES) + suffix)
            number = self._next.get(kind, 2)
            while folded(name := fit(stem, f" ({number}){suffix}")) in self._taken:
                number += 1
            self._next[kind] = number + 1
        self._taken.add(folded(name))
        return name


def folded(name: str) -> str:
    """The same text for all names that a file system without case takes for one."""
    # Upper case first, as NTFS and exFAT compare: some letters, such as a dotless i, are equal only there.
    return name.lower() if name.isascii() else unicodedata.normalize("NFC", name.upper().casefold())


def _without_leading_mark(text: str) -> str:
    """`text` without an accent at its start, which would appear on the character before the name."""
    return text[1:] if text and _is_mark(text[0]) else text


def _is_mark(character: str) -> bool:
    """Whether `character` combines with the previous one (a small part of UAX 29)."""
    return unicodedata.category(character).startswith("M")
