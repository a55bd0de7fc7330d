"""The times at which accounts and records were first seen, across mounts."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
import trio

from rcfs.mailbox._first_seen import FirstSeen
from rcfs.model import Extension
from rcfs.store import MailboxIndex
from rcfs.transport import Recorder

JANE, BOB = Extension(1, raw='{"id":1}'), Extension(2, raw='{"id":2}')


@pytest.fixture
def index(tmp_path: Path) -> Iterator[MailboxIndex]:
    opened = MailboxIndex.open(tmp_path / "mailboxes.sqlite", pytest.fail)
    yield opened
    opened.close()


@pytest.fixture
def clock() -> list[float]:
    return [1_000_000.5]


def mounted(index: MailboxIndex, clock: list[float], *extensions: Extension) -> tuple[int, list[int | None]]:
    """(since when the account is known, since when each record) as a mount shows it and leaves it."""
    first_seen = FirstSeen("login", index, Recorder(structlog.get_logger()), lambda: clock[0])
    dated = first_seen.date(extensions)
    trio.run(first_seen.save)
    return first_seen.since_s, [extension.seen_s for extension in dated]


def test_a_record_has_the_time_of_its_last_change(index: MailboxIndex, clock: list[float]) -> None:
    assert mounted(index, clock, JANE, BOB) == (1_000_000, [1_000_000, 1_000_000])
    clock[0] += 100
    assert mounted(index, clock, JANE, BOB) == (1_000_000, [1_000_000, 1_000_000])
    renamed = Extension(1, raw='{"id":1,"name":"Jane"}')
    assert mounted(index, clock, renamed, BOB) == (1_000_000, [1_000_100, 1_000_000])
    clock[0] += 100
    assert mounted(index, clock, BOB, renamed) == (1_000_000, [1_000_000, 1_000_100])


def test_the_change_that_another_process_saw_first_counts(index: MailboxIndex, clock: list[float]) -> None:
    mounted(index, clock, JANE)
    mine = FirstSeen("login", index, Recorder(structlog.get_logger()), lambda: clock[0])
    mine.date([JANE])
    renamed = Extension(1, raw='{"id":1,"name":"Jane"}')
    clock[0] += 100
    mounted(index, clock, renamed)
    clock[0] += 100
    assert [extension.seen_s for extension in mine.date([renamed])] == [1_000_100]


@pytest.mark.parametrize("text", ["", "[]", '{"1":1}', '{"1":["x"]}', '{"1":["x","y"]}', '{"1":["x",NaN]}'])
def test_a_damaged_note_is_replaced(index: MailboxIndex, clock: list[float], text: str) -> None:
    index.writer.note("seen login", text, 5.0)
    since_s, times = mounted(index, clock, JANE)
    assert times == [since_s]
    clock[0] += 100
    assert mounted(index, clock, JANE) == (since_s, times)


def test_unchanged_times_are_not_written_again(
    index: MailboxIndex, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    mounted(index, clock, JANE)
    monkeypatch.setattr(index.writer, "note", lambda *_: pytest.fail("it waits for a busy database"))
    mounted(index, clock, JANE)
    assert json.loads(index.reader.noted("seen login").text).keys() == {"1"}  # type: ignore[union-attr]
