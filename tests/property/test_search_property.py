"""Any text that a user types is a query that the full-text search can run, or is refused for a reason."""

import re
import sqlite3
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rcfs.store import match_expression
from rcfs.store._index_schema import WORDS

HOSTILE = st.text(alphabet='ab1 09+-*"()OR:^{}NEAT,\x00\ud800“é.', max_size=40)
QUOTES = str.maketrans("“”„", '"""')
UNSAFE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
"""Characters that SQLite does not take in a text."""
WORD = st.text(alphabet="abcdé0123456789", min_size=1, max_size=12).filter(lambda word: word != "OR")


@pytest.fixture(scope="module")
def words() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    connection.execute(WORDS)
    yield connection
    connection.close()


def find(connection: sqlite3.Connection, query: str) -> bool:
    rows = connection.execute("SELECT rowid FROM words WHERE words MATCH ?", (match_expression(query),))
    return bool(rows.fetchall())


@given(HOSTILE | st.text(max_size=60) | st.text(alphabet="abc 019", max_size=40))
@example("a\x00b OR c")
@example("a " * 500)
@example("a OR " * 199 + "b")
@example("+1 " * 300)
@example('"a" ' * 250)
@example("1234567 -" + "1" * 900)
@example("a" * 1001)
def test_any_text_finds_itself_or_is_refused_with_reason(words: sqlite3.Connection, text: str) -> None:
    plain = text.translate(QUOTES)
    too_long, open_quote = len(text) > 1000, plain.count('"') % 2 == 1
    has_word = any(map(str.isalnum, text))
    try:
        match_expression(text)
    except ValueError:
        # Only a text with an OR in a wrong place or an exclusion may have words and be refused.
        assert too_long or open_quote or not has_word or "OR" in text or "-" in text
        return
    assert not too_long
    assert not open_quote
    assert has_word
    words.execute("DELETE FROM words")
    words.execute("INSERT INTO words (said, people, files) VALUES (?, '', '')", (UNSAFE.sub(" ", text),))
    # An error of SQLite fails the test, too.
    assert find(words, text) or "-" in text


@given(st.lists(WORD, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_all_words_of_a_text_find_it(words: sqlite3.Connection, said: list[str], random: object) -> None:
    words.execute("DELETE FROM words")
    words.execute("INSERT INTO words (said, people, files) VALUES (?, '', '')", (" ".join(said),))
    shuffled = sorted(said, key=lambda _word: random.random())  # type: ignore[attr-defined]
    assert find(words, " ".join(shuffled))
    assert find(words, '"' + " ".join(said) + '"')
    assert find(words, f"{said[0]}* OR nothing")
    assert not find(words, f"{' '.join(said)} nothing")
    assert not find(words, f"{' '.join(shuffled)} -{said[0]}")
