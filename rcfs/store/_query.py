"""The language of searches, translated into expressions of SQLite's full-text search. Pure.

    invoice order           both words, anywhere in the message
    "credit note"           the words one after the other
    invo*                   words that begin with "invo"
    invoice OR bill         either; binds closer than the space: ``a b OR c`` is a, and b or c
    -spam -"out of office"  without these
    +1 (555) 010-0123       a number in any notation, or these words

All other characters separate words, as they do when messages are indexed. The words are quoted in the
expression, so no text makes it invalid. Case and accents make no difference.

Source: https://www.sqlite.org/fts5.html, 3 and 4.3.1 (the tokenizer unicode61).
"""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

import attrs

_LONGEST = 1000
"""Characters of a query: four times the longest name of a directory, and a few lines of a terminal."""
_OR = "OR"
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
"""Characters that a text for SQLite cannot have: NUL would end it, and UTF-8 has no surrogates."""
_QUOTES = str.maketrans("“”„", '"""')
_PIECE = re.compile(
    r'(?P<minus>-)?(?:"(?P<quoted>[^"]*)"(?P<after>\*?)|(?P<word>[^\s"]*[^\s"*])(?P<star>\**))|[^\s"]+'
)
"""A word or quoted text with the signs before and after it; or signs without a meaning."""
_NUMBER = re.compile(r"\+?[0-9().\-/\u2010-\u2015]+")
"""A part of a phone number between two spaces."""
_NUMBER_DIGITS = range(7, 16)
"""Number of digits of a phone number: from a local one up to the 15 of E.164."""


@attrs.frozen
class _Piece:
    text: str
    excluded: bool = False
    quoted: bool = False
    prefix: bool = False

    @property
    def is_or(self) -> bool:
        return self.text == _OR and not (self.excluded or self.quoted or self.prefix)

    @property
    def is_number(self) -> bool:
        return not (self.excluded or self.quoted or self.prefix) and bool(_NUMBER.fullmatch(self.text))

    @property
    def term(self) -> str:
        return f'"{self.text}"' + "*" * self.prefix


def match_expression(text: str) -> str:
    """The query `text` as an expression for FTS5's MATCH.

    Raises:
        ValueError: `text` is no query, or has no word to look for; the message is one line.
    """
    wanted: list[list[str]] = []
    excluded: list[str] = []
    joining = after_term = False
    for piece in _pieces(text):
        if isinstance(piece, str):
            term = piece
        elif piece.is_or:
            if joining or not after_term:
                raise ValueError("write OR between two words to search for")
            joining = True
            continue
        elif piece.excluded:
            if joining:
                raise ValueError("write OR between two words to search for")
            excluded.append(_quoted_term(piece))
            after_term = False
            continue
        else:
            term = _quoted_term(piece)
        if joining:
            wanted[-1].append(term)
        else:
            wanted.append([term])
        joining, after_term = False, True
    if joining:
        raise ValueError("write OR between two words to search for")
    if not wanted:
        raise ValueError("the query has no word to search for; write one")
    expression = " AND ".join(f"({' OR '.join(terms)})" for terms in wanted)
    return f"({expression}) NOT ({' OR '.join(excluded)})" if excluded else expression


def _pieces(text: str) -> Iterator[_Piece | str]:
    """The parts of a query that have a meaning; those that may form a phone number as one term."""
    if len(text) > _LONGEST:
        raise ValueError(f"the query is longer than {_LONGEST} characters; shorten it")
    text = _UNSAFE.sub(" ", text).translate(_QUOTES)
    if text.count('"') % 2:
        raise ValueError('a quotation mark (") is not closed; write one after the phrase, too')
    for is_number, found in groupby(_words(text), key=lambda piece: piece.is_number):
        if is_number:
            for part in _split_numbers(list(found)):
                yield from _number_terms(part)
        else:
            yield from found


def _words(text: str) -> Iterator[_Piece]:
    for match in _PIECE.finditer(text):
        piece = _Piece(
            text=match["quoted"] or match["word"] or "",
            excluded=match["minus"] is not None,
            quoted=match["quoted"] is not None,
            prefix=bool(match["after"] or match["star"]),
        )
        if any(map(str.isalnum, piece.text)):
            yield piece


def _split_numbers(pieces: Sequence[_Piece]) -> Iterator[list[_Piece]]:
    """Parts of phone numbers, grouped by number: each plus sign begins another one."""
    part: list[_Piece] = []
    for piece in pieces:
        if piece.text.startswith("+") and part:
            yield part
            part = []
        part.append(piece)
    yield part


def _number_terms(pieces: Sequence[_Piece]) -> Iterator[_Piece | str]:
    """One term that finds the pieces as words or as one number; the pieces if they form no number."""
    digits = _number_digits(" ".join(piece.text for piece in pieces))
    if not digits:
        yield from pieces
        return
    words = " AND ".join(piece.term for piece in pieces)
    yield f"(({words}) OR {' OR '.join(digits)})"


def _quoted_term(piece: _Piece) -> str:
    digits = _number_digits(piece.text) if piece.quoted and _is_spaced_number(piece.text) else []
    return f"({piece.term} OR {' OR '.join(digits)})" if digits else piece.term


def _is_spaced_number(text: str) -> bool:
    return all(map(_NUMBER.fullmatch, text.split()))


def _number_digits(written: str) -> list[str]:
    """The forms in which the index may have the number `written`, as terms; empty if it is no number."""
    digits = re.sub(r"[^0-9]", "", written)
    if not written.startswith("+") and digits.startswith("00"):
        digits = digits[2:]  # in most countries the same as the plus
    # Also without the 0 that is dialled within a country, because the number is indexed without it.
    forms = dict.fromkeys((digits, digits.removeprefix("0")))
    return [f'"{form}"' for form in forms if len(form) in _NUMBER_DIGITS]
