"""The language of searches, tried on a small full-text table."""

import sqlite3
from collections.abc import Iterator

import pytest

from rcfs.store import match_expression
from rcfs.store._index_schema import WORDS

TEXTS = {
    1: ("Did you get the invoice 4711 over $20?", "Bob Ray +12125557464 2125557464 5557464", ""),
    2: ("the INVOICE was a credit note", "Zoë Müller +493012345678 3012345678 2345678", "scan.pdf"),
    3: ("credit where credit is due, note that. e-mail me", "Ann +15550100123 5550100123 0100123", ""),
    4: ("or so they say: (555) 010-0123 and 010 0124", "Eve 101", "invoice_final.pdf"),
    5: ("invoices and reminders 🎉", "Bob", ""),
}


@pytest.fixture(scope="module")
def words() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    connection.execute(WORDS)
    for number, text in TEXTS.items():
        connection.execute(
            "INSERT INTO words (rowid, said, people, files) VALUES (?, ?, ?, ?)", (number, *text)
        )
    yield connection
    connection.close()


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("invoice", {1, 2, 4}),
        ("INVOICE", {1, 2, 4}),
        ("invoice 4711", {1}),
        ("invoice bob", {1}),
        ("  invoice   (4711) ", {1}),
        ('"credit note"', {2}),
        ("“credit note”", {2}),
        ("credit note", {2, 3}),
        ('credit"note"', {2, 3}),
        ("invo*", {1, 2, 4, 5}),
        ("*invoice", {1, 2, 4}),
        ('"credit no"*', {2}),
        ("muller", {2}),
        ("zoe MÜLLER", {2}),
        ("e-mail", {3}),
        ("invoice -credit", {1, 4}),
        ('invoice -"credit note" -4711', {4}),
        ("invoice --credit", {1, 4}),
        ("invoice - credit", {2}),
        ("invoice OR due", {1, 2, 3, 4}),
        ("credit due OR invoice", {2, 3}),
        ("due OR invoice OR reminders", {1, 2, 3, 4, 5}),
        ("or", {4}),
        ('"OR"', {4}),
        ("so OR* ", {4}),
        ("party -invoice", set()),
        ("reminders 🎉 & co.", set()),
        ("reminders 🎉 &", {5}),
        ("NEAR(credit, note)", set()),
        ("said:invoice", set()),
        ("final.pdf", {4}),
        ("it's", set()),
    ],
)
def test_words(words: sqlite3.Connection, query: str, found: set[int]) -> None:
    assert search(words, query) == found


@pytest.mark.parametrize(
    "query",
    [
        "+12125557464",
        "12125557464",
        "0012125557464",
        "+1 (212) 555-7464",
        "1.212.555.7464",
        "(212) 555-7464",
        "(212) 555 - 7464",
        "212 5557464",
        "555-7464",
        "5557464",
        '"+1 (212) 555-7464"',
        "bob (212) 555-7464",
        "(212) 555-7464 bob",
        "+121255*",
        "nobody OR 555-7464",
        "555-7464 OR nobody",
    ],
)
def test_a_number_is_found_however_it_is_written(words: sqlite3.Connection, query: str) -> None:
    assert search(words, query) == {1}


def test_numbers_within_a_country(words: sqlite3.Connection) -> None:
    assert search(words, "030 12345678") == {2}
    assert search(words, "0049 30 12345678") == {2}
    assert search(words, "+49 (30) 1234-5678") == {2}


def test_numbers_are_still_words(words: sqlite3.Connection) -> None:
    assert search(words, "(555) 010-0123") == {3, 4}, "as a number, and as it stands in a text"
    assert search(words, "0123 0124 555") == {4}, "and the words of it need not be together"
    assert search(words, "4711 20") == {1}, "short ones are words and no more"
    assert search(words, "+15550100123 +12125557464") == set(), "two numbers, which both must be there"
    assert search(words, "ann -5550100123") == set()
    assert search(words, 'or -"+1 (555) 010-0123"') == {4}, "what is quoted stands as it is written"


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("", "no word"),
        ("   ", "no word"),
        ("🎉 & ...", "no word"),
        ("-invoice", "no word"),
        ("*", "no word"),
        ('""', "no word"),
        ('invoice "credit', "not closed"),
        ("OR invoice", "write OR between"),
        ("invoice OR", "write OR between"),
        ("invoice OR OR note", "write OR between"),
        ("invoice OR -note", "write OR between"),
        ("-note OR invoice", "write OR between"),
        ("invoice OR !!", "write OR between"),
        ("x" * 1001, "longer than 1000"),
    ],
)
def test_what_cannot_be_read(query: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        match_expression(query)
    assert "\n" not in str(caught.value)


def search(connection: sqlite3.Connection, query: str) -> set[int]:
    rows = connection.execute("SELECT rowid FROM words WHERE words MATCH ?", (match_expression(query),))
    return {number for (number,) in rows}
