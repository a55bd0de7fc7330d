"""The simulator's journal, without a server."""

from typing import Any

from rcfs.simulator._journal import Entry, Journal


def opened(
    journal: Journal, path: str = "/a", *, method: str = "GET", range_: str = "", login: str = "x"
) -> Entry:
    return journal.open(
        time_s=0.0, origin="media", method=method, path=path, query="", range_=range_, login=login
    )


def test_identical_gets_in_flight_are_duplicates() -> None:
    journal = Journal()
    first = opened(journal)
    assert not first.duplicate_in_flight
    assert opened(journal).duplicate_in_flight
    others: list[dict[str, Any]] = [
        {"path": "/b"},
        {"range_": "bytes=0-"},
        {"login": "y"},
        {"method": "POST"},
    ]
    assert not any(opened(journal, **other).duplicate_in_flight for other in others)


def test_an_answered_request_is_no_duplicate_any_more() -> None:
    journal = Journal()
    first, second = opened(journal), opened(journal)
    journal.close(first)
    journal.close(first)
    assert opened(journal).duplicate_in_flight, "the second is still being answered"
    journal.close(second)
    journal.close(journal.entries()[-1])
    assert not opened(journal).duplicate_in_flight


def test_clearing_keeps_numbers_and_what_is_in_flight() -> None:
    journal = Journal()
    opened(journal)
    journal.clear()
    assert journal.entries() == []
    again = opened(journal)
    assert (again.seq, again.duplicate_in_flight) == (2, True)


def test_filters_and_bounds() -> None:
    journal = Journal(max_entries=3)
    for number in range(5):
        entry = opened(journal, f"/{number}")
        entry.operation, entry.group = ("even", "light") if number % 2 == 0 else ("odd", "medium")
    assert [e.seq for e in journal.entries()] == [3, 4, 5]
    assert [e.seq for e in journal.entries(since=3)] == [4, 5]
    assert [e.seq for e in journal.entries(operation="odd")] == [4]
    assert [e.seq for e in journal.entries(group="light")] == [3, 5]
    assert journal.summary([]).forgotten == 2


def test_summary_counts_contents_and_violations() -> None:
    journal = Journal()
    statuses: list[tuple[str, int | None]] = [("/a", 200), ("/a", 429), ("/b", None)]
    for path, status in statuses:
        entry = opened(journal, path)
        entry.operation, entry.status, entry.in_penalty = "read", status, status == 429
        journal.close(entry)
    faulty = opened(journal, "/list", method="HEAD")
    faulty.status, faulty.fault = 429, "rate_limited"
    summary = journal.summary(["read"])
    assert summary.by_operation == {"read": {"200": 1, "429": 1, "-": 1}, "": {"429": 1}}
    assert (summary.requests, summary.content_requests, summary.distinct_contents) == (4, 3, 2)
    assert (summary.limited, summary.in_penalty, summary.heads) == (1, 1, 1), "a fault is nobody's violation"
    assert summary.duplicates_in_flight == 0
