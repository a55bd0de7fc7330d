"""Makes text from strangers safe to show on a terminal, in a log, or in a file that people read.

Every text from outside passes one of these functions on its way to a person. They keep all that reads as
text: letters of all scripts, emoji with their joiners and variation selectors. They remove characters that
control a terminal, reorder a line or hide in it.
"""

import json
import re
import unicodedata

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
"""C0, DEL and C1, and separators at which some programs end a line: categories Cc, Zl and Zp."""

_HIDING = (
    r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # Bidi_Control (UAX 9, 2.1 to 2.6)
    r"\u00ad\u180e\u200b\u2060-\u2065\u206a-\u206f\ufeff\ufff0-\ufffb"  # of no width, and annotations
    r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"  # controls of shorthand and of music
    r"\U000e0000-\U000e00ff\U000e01f0-\U000e0fff"  # tags, which can spell whole sentences
)
"""Characters without a shape of their own that reorder, hide or carry text."""

_HIDDEN = re.compile(f"[{_HIDING}]")

_UNSAFE_IN_JSON = re.compile(rf"[\x7f-\x9f\u2028\u2029\ud800-\udfff{_HIDING}]")
"""Unsafe characters that `json.dumps` does not escape with ``ensure_ascii=False``; it always escapes C0."""

_MOST_MARKS = 6
"""Most marks on one letter. Vietnamese has two, pointed Hebrew four, Burmese up to six; text that paints over
the lines around it has dozens."""


def valid(text: str) -> str:
    """`text` with U+FFFD for each lone surrogate (half of a cut character), so that UTF-8 can encode it."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        # Surrogates belong to UTF-16, so its decoder distinguishes lone ones from pairs.
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def one_line(text: str) -> str:
    """`text` made safe for one line of a terminal: valid, without control or hidden characters."""
    if text.isascii() and text.isprintable():
        return text  # The usual case, in a tenth of the time.
    return with_few_marks(valid(_HIDDEN.sub("", _CONTROL.sub(" ", text))))


def safe_lines(text: str) -> str:
    """`text` made safe for a terminal: each of its lines through `one_line`."""
    return "\n".join(map(one_line, text.split("\n")))


def safe_json(text: str) -> str:
    """The JSON text `text` with the same meaning, its unsafe characters escaped."""
    return _UNSAFE_IN_JSON.sub(lambda found: json.dumps(found[0])[1:-1], text)


def with_few_marks(text: str) -> str:
    """`text` with at most six combining marks in a row; further ones are removed."""
    if text.isascii():
        return text
    kept, marks = [], 0
    for character in text:
        marks = marks + 1 if unicodedata.category(character) in ("Mn", "Me") else 0
        if marks <= _MOST_MARKS:
            kept.append(character)
    return "".join(kept)
