"""Text that strangers wrote, made safe to show: on a terminal, in a log, in a file that people read.

Every text from outside passes one of these on its way to a person. What reads as text stays: letters of all
scripts, emoji with their joiners and variation selectors. What acts on a terminal, reorders a line or hides
in it goes.
"""

import re
import unicodedata
from collections.abc import Iterator

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
"""C0, DEL and C1, and the separators that some programs end a line at: categories Cc, Zl and Zp."""

_HIDING = (
    r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # Bidi_Control (UAX 9, 2.1 to 2.6)
    r"\u00ad\u180e\u200b\u2060-\u2065\u206a-\u206f\ufeff\ufff0-\ufffb"  # of no width, and annotations
    r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"  # controls of shorthand and of music
    r"\U000e0000-\U000e00ff\U000e01f0-\U000e0fff"  # tags, which can spell whole sentences
)
"""What has no shape of its own, but reorders, hides or carries text."""

_HIDDEN = re.compile(f"[{_HIDING}]")

_UNSAFE_IN_JSON = re.compile(rf"[\x7f-\x9f\u2028\u2029\ud800-\udfff{_HIDING}]")
"""What `json.dumps` leaves as it is when it does not escape all that is not ASCII. C0 it always escapes."""

_MOST_MARKS = 6
"""Marks on one letter. Written Vietnamese has two, pointed Hebrew four, Burmese up to six; text that paints
over the lines around it has dozens."""


def valid(text: str) -> str:
    """`text` as UTF-8 can express it: each lone surrogate, half a character that was cut off, is U+FFFD."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        # UTF-16 is where surrogates have a meaning, so its decoder tells the lone ones from the pairs.
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def one_line(text: str) -> str:
    """`text` as it may be shown on one line of a terminal: no control, nothing hidden, valid Unicode."""
    if text.isascii() and text.isprintable():
        return text  # Nearly always, and a tenth of the time.
    return with_few_marks(valid(_HIDDEN.sub("", _CONTROL.sub(" ", text))))


def safe_lines(text: str) -> str:
    """`text` as it may be shown on a terminal: each of its lines, ended by a newline, through `one_line`."""
    return "\n".join(map(one_line, text.split("\n")))


def safe_json(text: str) -> str:
    """The JSON text `text` with the same meaning, and with escapes for what a terminal must not get."""
    return _UNSAFE_IN_JSON.sub(lambda found: "".join(_json_escapes(found[0])), text)


def with_few_marks(text: str) -> str:
    """`text` with at most six combining marks in a row: the further ones are left out."""
    if text.isascii():
        return text
    kept, marks = [], 0
    for character in text:
        marks = marks + 1 if unicodedata.category(character) in ("Mn", "Me") else 0
        if marks <= _MOST_MARKS:
            kept.append(character)
    return "".join(kept)


def _json_escapes(character: str) -> Iterator[str]:
    """The UTF-16 units of `character`, each as JSON escapes it (RFC 8259, 7)."""
    data = character.encode("utf-16-be", "surrogatepass")
    for position in range(0, len(data), 2):
        yield f"\\u{data[position]:02x}{data[position + 1]:02x}"
