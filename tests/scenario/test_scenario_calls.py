"""Call logs: which requests they cost, and that the tree shows what the platform has."""

from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pytest
import trio

from rcfs.model import COMPANY, Retention
from tests.fakes.call_rig import BEFORE, NOW, CallWorld, open_calls

LIST, SYNC = "readCompanyCallLog", "syncAccountCallLog"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[CallWorld]:
    async with open_calls(tmp_path) as world:
        yield world


# Loading


async def test_one_scan_loads_a_month_for_everybody(world: CallWorld) -> None:
    """The first look into a month costs one list, whoever's month it is, and those of all others nothing."""
    async with world.engine() as rig:
        owner = world.extensions[1]
        await rig.open(owner)
        assert [each.operation for each in world.heavy()] == [LIST]
        for each in (COMPANY, *world.extensions):
            await rig.open(each)
            truth = world.truth(each or None)
            assert rig.calls(each).keys() == truth.keys()
            assert len(rig.lines(each)) == len(truth)
        assert len(rig.calls(COMPANY)) > len(rig.calls(owner)) > 0
        assert len(world.heavy()) == 1


async def test_n_calls_are_one_request_for_each_thousand(tmp_path: Path) -> None:
    async with open_calls(tmp_path, calls_per_day=130, call_days=30) as world, world.engine() as rig:
        await rig.open(world.extensions[2])
        calls = len(world.truth(None))
        assert 2000 < calls < 3000
        assert [each.operation for each in world.heavy()] == [LIST] * 3
        assert len(rig.calls(COMPANY)) == calls


async def test_another_month_is_another_list(world: CallWorld) -> None:
    async with world.engine() as rig:
        await rig.open(world.extensions[0])
        await rig.open(world.extensions[0], BEFORE)
        assert [each.operation for each in world.heavy()] == [LIST] * 2
        assert rig.calls(COMPANY, BEFORE).keys() == world.truth(None, BEFORE).keys()
        assert set(rig.loaded) == {(COMPANY, NOW), (COMPANY, BEFORE)}


async def test_the_list_of_the_months_costs_nothing(world: CallWorld) -> None:
    async with world.engine() as rig:
        catalogue = rig.engine.account.calls.catalogue
        assert catalogue.months_to_show(world.extensions[0]) == ["2026-11", "2026-10", "2026-09", "2026-08"]
        assert catalogue.has_calls is True
        assert catalogue.has_company
        await trio.sleep(7200)
        assert world.heavy() == []


# Keeping current


async def test_months_and_syncs_follow_the_platforms_clock(tmp_path: Path) -> None:
    months = ["2026-11", "2026-10", "2026-09", "2026-08"]
    years_s = 3 * 365 * 86_400.0
    async with open_calls(tmp_path) as world:
        owner = world.extensions[0]
        for ahead_s in (years_s, years_s, -years_s, 0.0):
            async with world.engine(ahead_s=ahead_s) as rig:
                await rig.engine.account.wait_asked()
                assert rig.engine.account.calls.catalogue.months_to_show(owner) == months
                await rig.open(owner)
                assert len(world.heavy()) == 1, "loaded once, and not old in the next run"
                expiring = rig.engine.account.calls.outlook.expiring(Retention(), 90 * 86_400.0)
                assert expiring is not None
                assert expiring.first_started.startswith("2026-11")
        async with world.engine(ahead_s=years_s) as rig:
            await rig.engine.account.wait_asked()
        async with world.engine(ahead_s=years_s, offline=True) as rig:
            assert rig.engine.account.calls.catalogue.months_to_show(owner) == months


async def test_at_most_one_request_in_five_minutes_while_somebody_looks(world: CallWorld) -> None:
    async with world.engine() as rig:
        await rig.open(COMPANY)
        await rig.watch(world.extensions[1], 3600)
        times_s = [each.time_s for each in world.heavy()]
        assert 12 <= len(times_s) <= 13
        # Less the round trip of the first request.
        assert min(later - earlier for earlier, later in pairwise(times_s)) >= 299


async def test_one_request_an_hour_when_nobody_looks(world: CallWorld) -> None:
    async with world.engine() as rig:
        await rig.open(COMPANY)
        await rig.open(COMPANY, BEFORE)
        await trio.sleep(6 * 3600)
        mark = world.mark()
        await trio.sleep(6 * 3600 + 1)
        assert 5 <= len(world.heavy(mark)) <= 6
        assert {each.operation for each in world.heavy(mark)} == {SYNC}


async def test_new_calls_late_recordings_and_rewritten_records_appear(world: CallWorld) -> None:
    first, second = world.extensions[:2]
    async with world.engine() as rig:
        await rig.open(first)
        call = world.call(first, second)
        early = world.call(first)
        await rig.watch(first, 601)
        assert rig.calls(first)[call.id].raw
        assert {call.id, early.id} <= rig.calls(COMPANY).keys()
        recordings = {row.id: row.owner for row in [*rig.recordings(first), *rig.recordings(second)]}
        one, other = call.recordings
        assert (recordings[str(one.id)], recordings[str(other.id)]) == (first, second)
        assert ("Calls", f"{NOW}.csv") in rig.changed(second)
        late = world.backend.calls.record(early.id, 0, 90, world.now_s)
        world.backend.calls.rewrite(call.id, {"result": "Hung Up"}, {}, world.now_s)
        await rig.watch(first, 601)
        assert str(late.id) in {row.id for row in rig.recordings(first)}
        assert rig.calls(second)[call.id].result == "Hung Up"
        world.backend.calls.delete_recording(late.id, world.now_s, still_named=False)
        await rig.watch(first, 601)
        assert str(late.id) not in {row.id for row in rig.recordings(first)}


async def test_deleted_calls_leave_by_themselves(world: CallWorld) -> None:
    first = world.extensions[0]
    async with world.engine() as rig:
        await rig.open(first)
        await rig.watch(first, 601)
        assert rig.calls(first)
        world.backend.call_logs.delete(first, world.now_s, world.now_s)
        await rig.watch(first, 601)
        assert rig.calls(first).keys() == world.truth(first).keys()
        assert rig.calls(COMPANY).keys() == world.truth(None).keys()
        assert {each.operation for each in world.heavy()} == {LIST, SYNC}


# Odd records


async def test_odd_records_are_shown_as_far_as_they_can_be(world: CallWorld) -> None:
    first = world.extensions[0]
    undated, foreign, broken = (world.call(first) for _number in range(3))
    await trio.sleep(200)
    rewrite, now_s = world.backend.calls.rewrite, world.now_s
    rewrite(undated.id, {"startTime": None, "legs": None}, {}, now_s)
    elsewhere = {"id": "77", "contentUri": "http://192.0.2.1/x", "type": "Automatic"}
    rewrite(foreign.id, {"recording": elsewhere, "legs": None}, {}, now_s)
    rewrite(
        broken.id, {"duration": {}, "legs": [1, None, {"recording": 5}], "from": "x", "to": []}, {}, now_s
    )
    async with world.engine() as rig:
        await rig.open(first)
        assert rig.calls(first).keys() == world.truth(first).keys()
        assert len(rig.lines(first)) == len(world.truth(first))
        assert "77" in {row.id for row in rig.recordings(first)}
        rewrite(undated.id, {"startTime": "yesterday", "legs": "?"}, {}, world.now_s)
        rewrite(broken.id, {"extension": {"id": -1}, "legs": []}, {}, world.now_s)
        await rig.watch(first, 601)
        assert {undated.id, broken.id} <= rig.calls(COMPANY).keys()
        assert rig.calls(COMPANY).keys() == world.truth(None).keys()
        assert len(world.heavy()) == 3


async def test_a_record_of_a_month_that_nobody_looked_into_is_not_kept(world: CallWorld) -> None:
    async with world.engine() as rig:
        await rig.open(COMPANY)
        await rig.watch(COMPANY, 301)
        (call, *_others) = world.truth(None, BEFORE).values()
        world.backend.calls.rewrite(call.id, {"result": "Hung Up"}, {}, world.now_s)
        await rig.watch(COMPANY, 301)
        catalogue = rig.engine.account.calls.catalogue
        assert catalogue.month(COMPANY, BEFORE) is None
        await rig.open(COMPANY, BEFORE)
        assert rig.calls(COMPANY, BEFORE)[call.id].result == "Hung Up"


async def test_a_load_tells_which_folders_of_mailboxes_have_new_links(world: CallWorld) -> None:
    owner = world.extensions[0]
    async with world.engine() as rig:
        await rig.open(owner)
        told = rig.changed(owner)
        assert told
        assert {path[0] for path in told} == {"By-Contact"}


async def test_a_refresh_of_a_month_that_was_never_loaded_loads_it_once(world: CallWorld) -> None:
    async with world.engine() as rig:
        await rig.engine.account.refresh_collection(f"calls/company/{NOW}")
        assert [each.operation for each in world.heavy()] == [LIST]
        await rig.engine.account.refresh_collection(f"calls/company/{NOW}")
        assert [each.operation for each in world.heavy()] == [LIST, SYNC]
        assert await rig.engine.account.refresh() == 0
        assert [each.operation for each in world.heavy()] == [LIST, SYNC, SYNC]
