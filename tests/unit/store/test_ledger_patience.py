"""Reports that wait for the next request: they save a transaction, and never let anybody send earlier."""

import math
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from rcfs.model import Plan, Priority, RateHeaders, UsageGroup
from rcfs.quota import CLOCK_DRIFT, Ledger, Slot, Waiting
from rcfs.store import open_ledger
from tests.fakes.ledgers import FakeMachine, close_file

MEDIUM = UsageGroup("medium")
LIMIT, WINDOW_S = 3, 60 * (1 - CLOCK_DRIFT)
ONE = Waiting.only(Priority.METADATA, 0.0)
PATIENCE_S = 0.05


@pytest.fixture
def ledgers(tmp_path: Path) -> Iterator[tuple[Ledger, Ledger]]:
    """A ledger whose reports wait and that has learned the plan, and that of another process."""
    plans = {MEDIUM: Plan(LIMIT, WINDOW_S)}
    path = tmp_path / "ledger.sqlite"
    mine = open_ledger(path, "somebody", plans, pytest.fail, FakeMachine(owner="a"), patience_s=PATIENCE_S)
    other = open_ledger(path, "somebody", plans, pytest.fail, FakeMachine(owner="b"))
    mine.settle(taken(mine, 0.0), 0.0, headers(LIMIT - 1))
    assert mine.sync(0.0) == math.inf, "the first answer tells the plan"
    yield mine, other
    for each in (mine, other):
        close_file(each)


def headers(remaining: int, limit: int = LIMIT) -> RateHeaders:
    return RateHeaders(group=MEDIUM, limit=limit, remaining=remaining, window_s=WINDOW_S)


def taken(ledger: Ledger, now: float) -> Slot:
    slot = ledger.take(MEDIUM, ONE, now)
    assert isinstance(slot, Slot), slot
    return slot


def in_flight(ledger: Ledger, now: float) -> int:
    return next(state.in_flight for state in ledger.states(now) if state.group == MEDIUM)


def version(tmp_path: Path) -> int:
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as connection:
        ((number,),) = connection.execute("SELECT version FROM books")
    return int(number)


def test_the_next_request_stores_the_report(ledgers: tuple[Ledger, Ledger], tmp_path: Path) -> None:
    mine, other = ledgers
    slot, before = taken(mine, 1.0), version(tmp_path)
    mine.settle(slot, 1.01, headers(LIMIT - 2))
    assert mine.sync(1.01) == 1.01 + PATIENCE_S
    assert version(tmp_path) == before
    taken(mine, 1.02)
    assert version(tmp_path) == before + 1
    assert mine.sync(1.02) == math.inf
    assert in_flight(other, 1.02) == 1


def test_without_a_next_request_it_is_stored_soon(ledgers: tuple[Ledger, Ledger]) -> None:
    mine, other = ledgers
    mine.settle(taken(mine, 1.0), 1.0, headers(LIMIT - 2))
    assert in_flight(other, 1.0) == 1
    assert mine.sync(1.0 + PATIENCE_S) == math.inf
    assert in_flight(other, 1.0 + PATIENCE_S) == 0


def test_until_then_the_others_send_no_more_than_afterwards(ledgers: tuple[Ledger, Ledger]) -> None:
    mine, other = ledgers
    mine.settle(taken(mine, 1.0), 1.0, headers(LIMIT - 2))
    taken(other, 1.0)
    assert not isinstance(other.take(MEDIUM, ONE, 1.0), Slot)
    assert mine.sync(2.0) == math.inf
    assert not isinstance(other.take(MEDIUM, ONE, 2.0), Slot)


@pytest.mark.parametrize("news", [headers(0), headers(LIMIT - 2, LIMIT + 1)])
def test_news_are_stored_at_once(ledgers: tuple[Ledger, Ledger], news: RateHeaders) -> None:
    mine, other = ledgers
    mine.settle(taken(mine, 1.0), 1.0, news)
    assert mine.sync(1.0) == math.inf
    assert in_flight(other, 1.0) == 0


def test_a_refusal_is_stored_at_once_with_what_waits(ledgers: tuple[Ledger, Ledger]) -> None:
    mine, other = ledgers
    first, second = taken(mine, 1.0), taken(mine, 1.0)
    mine.settle(first, 1.0, headers(LIMIT - 2))
    mine.refuse(second, 1.0, headers(0), 60.0)
    assert mine.sync(1.0) == math.inf
    assert in_flight(other, 1.0) == 0
    assert next(state.frozen_for_s for state in other.states(1.0) if state.group == MEDIUM) > 59


def test_the_end_of_the_process_stores_it(ledgers: tuple[Ledger, Ledger]) -> None:
    mine, other = ledgers
    mine.settle(taken(mine, 1.0), 1.0, headers(LIMIT - 2))
    mine.close(1.0)
    assert in_flight(other, 1.0) == 0
    assert next(state.returns_s for state in other.states(1.0) if state.group == MEDIUM)[-1] < 61
