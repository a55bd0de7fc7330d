"""Call logs under trouble: refused tokens, too many changes, outages, kills, several processes, damage."""

import math
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing, suppress
from pathlib import Path
from unittest.mock import Mock

import pytest
import trio

from rcfs.errors import PlatformError
from rcfs.model import COMPANY
from rcfs.simulator import AccountSpec
from rcfs.simulator.account._call_log_state import TOKEN_ERRORS
from tests.fakes import mortal
from tests.fakes.call_rig import BEFORE, END_S, NOW, CallRig, CallWorld, open_calls
from tests.fakes.mortal import Life

LIST, SYNC = "readCompanyCallLog", "syncAccountCallLog"
DAY_S = 86_400.0


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[CallWorld]:
    async with open_calls(tmp_path) as world:
        yield world


def operations(world: CallWorld, since: int = 0) -> list[str]:
    return [each.operation for each in world.heavy(since)]


# Syncs


@pytest.mark.parametrize("code", TOKEN_ERRORS)
async def test_after_a_refused_token_the_list_brings_what_is_new(world: CallWorld, code: str) -> None:
    async with world.engine() as rig:
        await rig.open(COMPANY)
        await rig.watch(COMPANY, 601)
        assert operations(world) == [LIST, SYNC, SYNC]
        call = world.call(world.extensions[1])
        await trio.sleep(100)
        world.backend.call_logs.reset(world.now_s, code)
        mark = world.mark()
        await rig.watch(COMPANY, 301)
        assert call.id in rig.calls(COMPANY)
        assert operations(world, mark) == [SYNC, LIST]
        mark = world.mark()
        later = world.call(world.extensions[1])
        await rig.watch(COMPANY, 901)  # the last sync has cost two requests
        assert later.id in rig.calls(world.extensions[1])
        assert operations(world, mark) == [SYNC, SYNC]
        assert "syncType=FSync" in world.sent(SYNC, since=mark)[0].query


async def test_more_changes_than_an_answer_holds_come_by_the_list(world: CallWorld) -> None:
    async with world.engine() as rig:
        await rig.open(COMPANY)
        await rig.watch(COMPANY, 301)
        made = {world.call(world.extensions[number % 2]).id for number in range(260)}
        await trio.sleep(100)
        mark = world.mark()
        await rig.watch(COMPANY, 301)
        assert made <= rig.calls(COMPANY).keys()
        assert operations(world, mark) == [SYNC, LIST]


async def test_a_first_sync_with_more_than_an_answer_holds_reads_the_list(world: CallWorld) -> None:
    async with world.engine() as rig:
        await rig.open(COMPANY)
        made = {world.call(world.extensions[number % 2]).id for number in range(260)}
        await rig.watch(COMPANY, 301)
        assert made <= rig.calls(COMPANY).keys()
        assert operations(world) == [LIST, SYNC, LIST]


async def test_a_sync_after_weeks_loads_the_months_again(world: CallWorld) -> None:
    """A sync reaches thirty days back; what was rewritten before is on the lists only."""
    async with world.engine() as rig:
        await rig.open(COMPANY)
        await rig.open(COMPANY, BEFORE)
        await rig.watch(COMPANY, 301)
        (gone, *_others) = rig.recordings(world.extensions[0])
    first = world.extensions[0]
    world.backend.call_logs.delete(first, world.now_s, world.now_s)
    await trio.sleep(35 * DAY_S)
    async with world.engine() as rig:
        assert gone in rig.recordings(first)
        mark = world.mark()
        await rig.watch(COMPANY, 120)
        assert operations(world, mark) == [LIST], "October was complete before"
        assert rig.calls(first).keys() == world.truth(first).keys()
        mark = world.mark()
        await rig.watch(COMPANY, 601)
        assert operations(world, mark) == [SYNC, SYNC]


async def test_a_new_month_becomes_the_one_that_is_kept_current(tmp_path: Path) -> None:
    spec = AccountSpec(messages=20, months=2, end_s=END_S + 10 * DAY_S)
    async with open_calls(tmp_path, spec=spec) as world, world.engine() as rig:
        owner = world.extensions[1]
        await rig.open(owner)
        await trio.sleep(DAY_S)
        rig.visit(owner)
        await trio.sleep(1)
        mark = world.mark()
        await rig.open(owner, "2026-12")
        assert operations(world, mark) == [LIST]
        call = world.call(owner)
        await trio.sleep(100)
        mark = world.mark()
        await rig.watch(owner, 301, NOW)
        assert operations(world, mark) == [SYNC]
        assert call.id in rig.calls(owner, "2026-12")
        assert rig.calls(COMPANY).keys() == world.truth(None).keys()


# Outages and kills


async def test_offline_all_that_was_loaded_is_shown_without_a_request(world: CallWorld) -> None:
    async with world.engine() as rig:
        await rig.open(COMPANY)
        lines = {each: rig.lines(each) for each in (COMPANY, *world.extensions)}
    mark = world.mark()
    async with world.engine(offline=True) as rig:
        for each, known in lines.items():
            await rig.open(each)
            assert rig.lines(each) == known
        rig.visit(COMPANY)
        with pytest.raises(PlatformError):
            await rig.open(COMPANY, BEFORE)
        await trio.sleep(3600)
    assert world.mark() == mark


async def test_a_load_that_breaks_leaves_nothing_half(tmp_path: Path) -> None:
    async with open_calls(tmp_path, page_calls=20) as world, world.engine() as rig:
        calls = world.truth(None).keys()
        pages = math.ceil(len(calls) / 20)
        assert pages > 2
        from_the_second_page_on = Mock(side_effect=[0.9, *[0.0] * 9])
        fault = world.platform.fault("status", operation=LIST, status=400, probability=0.5)
        fault._dice = Mock(random=from_the_second_page_on)
        with pytest.raises(PlatformError):
            await rig.open(COMPANY)
        assert [each.status for each in world.sent(LIST)] == [200, 400]
        assert not rig.engine.account.calls.catalogue.is_loaded(COMPANY, NOW)
        world.platform.simulator.faults.clear()
        mark = world.mark()
        await rig.open(world.extensions[0])
        assert rig.calls(COMPANY).keys() == calls
        assert operations(world, mark) == [LIST] * pages


async def test_a_kill_in_the_middle_of_a_load_leaves_nothing_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mortal.install(monkeypatch)
    plenty = 1_000_000
    async with open_calls(tmp_path / "whole", page_calls=20) as world:
        whole = plenty - await _statements_left(world, plenty)
    for share in (0.02, 0.3, 0.6, 0.9, 0.99):
        async with open_calls(tmp_path / str(share), page_calls=20) as world:
            await _statements_left(world, int(whole * share))
            async with world.engine() as rig:
                catalogue = rig.engine.account.calls.catalogue
                assert not catalogue.is_loaded(COMPANY, NOW)
                assert not catalogue.is_loaded(world.extensions[0], NOW)
                await rig.open(world.extensions[0])
                assert rig.calls(COMPANY).keys() == world.truth(None).keys()
                rig.engine.index.find_damage()


async def _statements_left(world: CallWorld, statements: int) -> int:
    """Loads a month in a process that dies after a number of SQL statements; returns those that are left."""
    left: list[int] = []
    # A task of its own, to which its databases belong.
    async with trio.open_nursery() as nursery:  # noqa: ASYNC112 - see above
        nursery.start_soon(_load_and_die, world, statements, left)
    return sum(left)


async def _load_and_die(world: CallWorld, statements: int, left: list[int]) -> None:
    with trio.CancelScope() as scope:  # noqa: ASYNC912 - it always has one
        life = Life(scope.cancel)
        with suppress(Exception):
            async with world.engine(life=life) as rig:
                life.statements_left = statements
                await rig.open(COMPANY)
                left.append(life.statements_left)
                life.end()


# Several processes


async def test_a_month_that_another_process_loaded_costs_nothing(world: CallWorld) -> None:
    async with world.engine() as one, world.engine() as other:
        await one.open(COMPANY)
        other.visit(COMPANY)
        await other.open(world.extensions[1])
        assert other.lines(COMPANY) == one.lines(COMPANY)
        assert operations(world) == [LIST]


async def test_two_processes_share_their_syncs(world: CallWorld) -> None:
    owner = world.extensions[1]
    async with world.engine() as one, world.engine() as other:
        await one.open(COMPANY)
        await other.open(owner)
        call = world.call(owner)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.watch, COMPANY, 3600)
            await trio.sleep(7)
            nursery.start_soon(other.watch, owner, 3600)
        assert len(world.heavy()) <= 14
        assert call.id in other.calls(owner)
        assert ("Calls", f"{NOW}.csv") in one.changed(owner) or one.changed(COMPANY)
        assert ("Calls", f"{NOW}.csv") in other.changed(owner)


async def test_a_refresh_syncs_although_another_process_just_did(world: CallWorld) -> None:
    async with world.engine() as one, world.engine() as other:
        await one.open(COMPANY)
        await other.open(COMPANY)
        call = world.call(world.extensions[0])
        await trio.sleep(100)
        await other.engine.account.refresh_collection(f"calls/company/{NOW}")
        assert call.id in one.calls(COMPANY)
        assert operations(world) == [LIST, SYNC]


# Damage


def found_in(rig: CallRig, query: str, month: str) -> set[tuple[str, ...]]:
    """The paths of the recordings and calls of a month that a search finds."""
    return {row.path for row in rig.engine.searches.matches(query, 0, 10_000) if month in "".join(row.path)}


async def test_a_damaged_month_loads_again_and_the_others_stay(world: CallWorld, tmp_path: Path) -> None:
    async with world.engine() as rig:
        await rig.open(COMPANY)
        await rig.open(COMPANY, BEFORE)
        before = rig.lines(COMPANY, BEFORE)
        (name, *_others) = (
            call.whole.sender.name for call in rig.calls(COMPANY, BEFORE).values() if call.whole.sender.name
        )
        found = found_in(rig, name, BEFORE)
        assert found
    with closing(sqlite3.connect(tmp_path / "mailboxes.sqlite", isolation_level=None)) as connection:
        connection.execute("UPDATE call_months SET json_bytes = json_bytes + 1 WHERE month = ?", (NOW,))
    async with world.engine(may_warn=True) as rig:
        # A small index is checked, and replaced, before it is shown.
        assert not rig.engine.account.calls.catalogue.is_loaded(COMPANY, NOW)
        mark = world.mark()
        assert rig.lines(COMPANY, BEFORE) == before
        await trio.sleep(1)
        assert found_in(rig, name, BEFORE) == found
        for each in (COMPANY, *world.extensions):
            await rig.open(each)
            assert rig.calls(each).keys() == world.truth(each or None).keys()
        assert operations(world, mark) == [LIST]
        rig.engine.index.find_damage()
