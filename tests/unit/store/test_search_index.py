"""Searching the index of mailboxes: what is found, in which order, and what is kept."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rcfs.model import SearchRow, message_from
from rcfs.store import MARKS, MailboxIndex, Scope
from rcfs.tree import name_folder, shelve

BOB = {"name": "Bob Ray", "phoneNumber": "+12125557464"}
NAMELESS: dict[str, Any] = {"from": {"phoneNumber": "+12125557464"}}
STRANGER: dict[str, Any] = {"from": {"phoneNumber": "+13105550100"}}
EVE: dict[str, Any] = {"from": {"name": "Eve"}}
BILLING: dict[str, Any] = {"from": {"name": "Invoice Dpt"}}
ALL = Scope("1", (101, 102))


@pytest.fixture
def index(tmp_path: Path) -> Iterator[MailboxIndex]:
    index = MailboxIndex.open(tmp_path / "mailboxes.sqlite", pytest.fail)
    yield index
    index.close()


Put = Callable[..., int]


@pytest.fixture
def put(index: MailboxIndex) -> Put:
    """Puts messages into the mailbox of an extension, which counts as loaded; its number."""

    def put_them(
        *records: dict[str, Any], extension: int = 101, account: str = "1", load: bool = True
    ) -> int:
        mailbox, listing = index.writer.begin(account, extension)
        messages = [message for message in map(message_from, records) if message is not None]
        shelved = [found for message in messages if (found := shelve(message)) is not None]
        index.writer.put(mailbox, shelved, name_folder, listing=listing)
        if load:
            index.writer.synced(mailbox, "token", 5.0)
        return mailbox

    return put_them


def sms(number: int, text: str = "hello", **fields: Any) -> dict[str, Any]:
    return {
        "id": number,
        "type": "SMS",
        "subject": text,
        "direction": "Inbound",
        "from": BOB,
        "creationTime": f"2026-11-03T17:27:{number:02d}Z",
    } | fields


def ids(index: MailboxIndex, query: str, scope: Scope = ALL, limit: int = 100) -> list[int]:
    """The ids of what is found, the newest first; the other questions have the same answer."""
    found = [hit.found for hit in index.search.newest(query, scope, limit)]
    if scope.since_s is None and not scope.types and not scope.view:
        rows = index.search.matches(query, scope, 0, 1000)
        assert sorted(row.number for row in rows) == [row.number for row in rows]
        assert set(found) <= set(rows)
        for row in rows:
            assert row in index.search.matches_with_id(query, scope, row.id)
    return [row.id for row in found]


def test_the_newest_come_first(index: MailboxIndex, put: Put) -> None:
    put(sms(5), sms(9), sms(7), sms(1, creationTime=None))
    put(sms(8), extension=102)
    assert ids(index, "hello") == [9, 8, 7, 5, 1]
    assert ids(index, "hello", limit=2) == [9, 8]
    assert ids(index, "nobody") == []


def test_only_what_is_in_the_scope(index: MailboxIndex, put: Put) -> None:
    put(sms(1), sms(2, type="Fax"), sms(3, availability="Deleted"), sms(4, creationTime=None))
    put(sms(5), extension=102)
    put(sms(6), extension=103)
    put(sms(7), account="2")
    put(sms(8), extension=104, load=False)
    assert sorted(ids(index, "hello")) == [1, 2, 3, 4, 5]
    assert ids(index, "hello", Scope("2", (101,))) == [7]
    assert ids(index, "hello", Scope("1", (102, 104, 999))) == [5]
    assert ids(index, "hello", Scope("1", ())) == []
    assert ids(index, "hello", Scope("1", (101,), types=frozenset({"Fax", "Pager"}))) == [2]
    assert ids(index, "hello", Scope("1", (101,), view="Trash")) == [3]
    assert ids(index, "hello", Scope("1", (101,), view="SMS", folder="2026-11")) == [1]
    assert ids(index, "hello", Scope("1", (101,), view="By-Contact")) == [2, 1, 4]
    second_s = 1793726822.0
    assert ids(index, "hello", Scope("1", (101, 102), since_s=second_s)) == [5, 3, 2]
    assert ids(index, "hello", Scope("1", (101,), hidden_views=frozenset({"Trash", "Purged"}))) == [2, 1, 4]


def test_a_page_goes_on_after_the_one_before(index: MailboxIndex, put: Put) -> None:
    put(*(sms(number) for number in range(1, 10)))
    first = index.search.matches("hello", ALL, 0, 4)
    put(sms(20))
    rest = index.search.matches("hello", ALL, first[-1].number, 100)
    assert [row.id for row in first + rest] == [*range(1, 10), 20]
    assert index.search.matches("hello", ALL, rest[-1].number, 100) == []


def test_what_changes_is_found_by_what_it_says_now(index: MailboxIndex, put: Put) -> None:
    mailbox = put(sms(1, "before"))
    put(sms(1, "after", lastModifiedTime="2026-11-04T00:00:00Z"))
    assert (ids(index, "before"), ids(index, "after")) == ([], [1])
    index.writer.put(mailbox, [], name_folder, removed=[1])
    assert ids(index, "after") == []


def test_where_it_is(index: MailboxIndex, put: Put) -> None:
    put(sms(1), sms(2, availability="Deleted"))
    trashed, shown = (hit.found for hit in index.search.newest("hello", ALL, 9))
    assert shown.path == ("SMS", "2026-11", "2026-11-03T17.27.01Z from Bob Ray [1]")
    assert trashed.path == ("Trash", "2026-11-03T17.27.02Z from Bob Ray [2]")
    assert (shown.extension_id, shown.created_s) == (101, 1793726821.0)


def test_equal_names_in_two_mailboxes_are_known_to_be_so(index: MailboxIndex, put: Put) -> None:
    put(sms(1), sms(2))
    put(sms(1), sms(3), extension=102)
    found = index.search.matches("hello", ALL, 0, 9)
    assert [(row.id, row.extension_id, row.ambiguous) for row in found] == [
        (1, 101, True),
        (2, 101, False),
        (1, 102, True),
        (3, 102, False),
    ]
    assert len(index.search.matches_with_id("hello", ALL, 1)) == 2


def test_a_name_that_is_learned_later_finds_what_came_before(index: MailboxIndex, put: Put) -> None:
    put(sms(1, **NAMELESS), sms(2, type="Fax", **NAMELESS))
    put(sms(3, **STRANGER))
    assert ids(index, "bob") == []
    put(sms(4))
    assert ids(index, "bob ray") == [4, 2, 1]
    put(sms(5, **NAMELESS))
    assert ids(index, '"bob ray"') == [5, 4, 2, 1], "and what comes after"
    put(sms(1, "changed", lastModifiedTime="2026-11-04T00:00:00Z", **NAMELESS))
    assert ids(index, "bob changed") == [1]


def test_everybody_and_everything_of_a_message_is_found(index: MailboxIndex, put: Put) -> None:
    attachments = [{"id": 1, "type": "MmsAttachment", "contentType": "image/png", "fileName": "Roof.png"}]
    put(sms(1, to=[{"name": "Jane Smith", "extensionNumber": "101"}], attachments=attachments))
    for query in ("bob", "555-7464", "jane", "101", "roof", "png", "hello roof jane"):
        assert ids(index, query) == [1], query
    put(sms(2, "Fax of the roof", type="Fax", **EVE))
    assert ids(index, "eve roof") == [2]


def test_snippets_show_what_matches(index: MailboxIndex, put: Put) -> None:
    put(
        sms(1, "one two " * 20 + "invoice 4711 " + "three four " * 20),
        sms(2, type="Fax", subject=None, attachments=[{"id": 1, "type": "X", "fileName": "invoice.pdf"}]),
        sms(3, subject="short", **BILLING),
    )
    before, after = MARKS
    snippets = [hit.snippet for hit in index.search.newest("invoice", ALL, 9)]
    assert snippets[0] == "short", "the text, where somebody's name matches"
    assert snippets[1] == f"{before}invoice{after}.pdf"
    assert f" two {before}invoice{after} 4711 " in snippets[2]
    assert snippets[2].startswith("…")
    assert len(snippets[2]) < 120


def test_searches_are_saved_renamed_and_removed(index: MailboxIndex, tmp_path: Path) -> None:
    reader, writer = index.reader, index.writer
    assert writer.save_search("1", "invoice", 5.0)
    assert writer.save_search("1", "bill", 6.0)
    assert writer.save_search("2", "invoice", 7.0)
    assert not writer.save_search("1", "invoice", 8.0)
    other = MailboxIndex.open(tmp_path / "mailboxes.sqlite", pytest.fail)
    try:
        first, second = other.reader.searches("1", 0, 9)
        assert (first.name, first.made_s, second.name) == ("invoice", 5.0, "bill")
        assert other.reader.searches("1", first.number, 9) == [second]
        assert other.reader.searches("1", 0, 1) == [first]
        assert other.reader.search("1", "bill") == second
        assert other.reader.search("2", "bill") is None
    finally:
        other.close()
    assert not writer.rename_search("1", "invoice", "bill"), "which is another"
    assert not writer.rename_search("1", "nothing", "something")
    assert writer.rename_search("1", "invoice", "credit note")
    assert reader.search("1", "credit note") == SearchRow(first.number, "credit note", 5.0)
    assert writer.remove_search("1", "bill")
    assert not writer.remove_search("1", "bill")
    assert [row.name for row in reader.searches("1", 0, 9)] == ["credit note"]
    assert [row.name for row in reader.searches("2", 0, 9)] == ["invoice"]


def test_a_search_neither_waits_for_a_writer_nor_holds_one_up(index: MailboxIndex, put: Put) -> None:
    put(sms(1))
    with index._database.transaction() as writer:
        writer.execute("DELETE FROM words")
        assert ids(index, "hello") == [1]
    assert ids(index, "hello") == []


def test_what_is_said_is_found_once_it_is_known(index: MailboxIndex, put: Put) -> None:
    mailbox = put(sms(1, "Voice message", type="VoiceMail"), sms(2))
    assert index.writer.put_transcript(mailbox, 1, "please call the plumber")
    assert not index.writer.put_transcript(mailbox, 1, "please call the plumber"), "it was known"
    assert not index.writer.put_transcript(mailbox, 99, "of a message that is gone")
    assert (ids(index, "plumber"), ids(index, '"voice message"'), ids(index, "gone")) == ([1], [1], [])
    assert index.writer.put_transcript(mailbox, 1, "please call the baker")
    assert (ids(index, "plumber"), ids(index, "baker voice")) == ([], [1])
    put(sms(1, "Voice message", type="VoiceMail", lastModifiedTime="2026-11-04T00:00:00Z"))
    assert ids(index, "baker") == [1], "also after the record has changed"
    index.writer.put(mailbox, [], name_folder, removed=[1])
    assert ids(index, "baker") == []
