"""Every text that a user can type is a valid search, or refused."""

import sqlite3
from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rcfs.store import match_expression
from rcfs.store._index_schema import WORDS

HOSTILE = st.text(alphabet='ab1 09+-*"()OR:^{}NEAT,\x00\ud800“é.', max_size=40)
PLAIN = frozenset("abc 019")
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


@settings(max_examples=400)
@given(HOSTILE | st.text(max_size=60) | st.text(sorted(PLAIN), max_size=40))
@example("a\x00b OR c")
@example("a " * 500)
@example("a OR " * 199 + "b")
@example("+1 " * 300)
@example('"a" ' * 250)
@example("1234567 -" + "1" * 900)
def test_any_text_is_a_query_or_refused(words: sqlite3.Connection, text: str) -> None:
    try:
        find(words, text)  # an error of SQLite fails the test
    except ValueError:
        is_plain = len(text) <= 40 and PLAIN.issuperset(text) and bool(text.strip())
        assert not is_plain, "plain words are refused"


@settings(max_examples=100)
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
