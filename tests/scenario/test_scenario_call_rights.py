"""Call logs by what the login may read: the company's, its own, or none; and what the status says of it."""

from pathlib import Path

import pytest
import trio

from rcfs.errors import ForbiddenError
from rcfs.mailbox import ExtensionsChanged, State
from rcfs.model import COMPANY, iso_time
from rcfs.simulator import AccountSpec
from rcfs.status import render_status, status_from_json
from tests.fakes.call_rig import BEFORE, NOW, CallRig, CallWorld, open_calls
from tests.fakes.status import status_document

LIST, SYNC = "readCompanyCallLog", "syncAccountCallLog"
OWN_LIST = "readUserCallLog"
DAY_S = 86_400.0


def operations(world: CallWorld, since: int = 0) -> list[str]:
    return [each.operation for each in world.heavy(since)]


async def status_lines(rig: CallRig) -> list[str]:
    return render_status(status_from_json(await status_document(rig.engine))).splitlines()


async def test_without_the_permission_each_extension_has_its_own_log(tmp_path: Path) -> None:
    async with open_calls(tmp_path, missing_permissions=["FullCompanyCallLog"]) as world:
        first, second = world.extensions[:2]
        async with world.engine() as rig:
            await rig.open(first)
            await rig.open(second)
            assert operations(world) == [LIST, OWN_LIST, OWN_LIST], "the company's log was asked for once"
            for each in (first, second):
                assert rig.calls(each).keys() == world.truth(each).keys()
            call = world.call(second)
            await rig.watch(second, 601)
            assert call.id in rig.calls(second)
            with pytest.raises(ForbiddenError, match="CMN-408"):
                await rig.open(COMPANY)
            calls = (await status_document(rig.engine))["calls"]
            assert calls["log"] == "extensions"
            assert "CMN-408" in calls["company_refused"]
            assert LIST not in operations(world)[1:]
            assert any(
                "each extension's own log, since the user may not" in line for line in await status_lines(rig)
            )
        async with world.engine() as rig:
            await rig.open(second, BEFORE)
            assert operations(world).count(LIST) == 1, "also after a remount"
            await trio.sleep(DAY_S)
            await rig.open(first, BEFORE)
            assert operations(world).count(LIST) == 2, "after a day rcfs asks again"


async def test_a_permission_that_is_taken_away_leaves_what_was_loaded(tmp_path: Path) -> None:
    async with open_calls(tmp_path) as world, world.engine() as rig:
        first = world.extensions[0]
        await rig.open(first)
        known = rig.calls(first).keys()
        world.platform.fault("status", operation=SYNC, status=403, count=None)
        call = world.call(first)
        await rig.watch(first, 1201)
        assert rig.calls(first).keys() == known | {call.id}
        assert operations(world)[:3] == [LIST, SYNC, OWN_LIST]
        assert any(isinstance(each, ExtensionsChanged) for each in rig.heard)


async def test_a_standard_user_reads_its_own_log_only(tmp_path: Path) -> None:
    async with open_calls(tmp_path, standard_user=True) as world, world.engine() as rig:
        own = rig.engine.account.own_id
        assert own is not None
        assert not rig.engine.account.calls.catalogue.has_company
        await rig.open(own)
        assert operations(world) == [OWN_LIST]
        assert rig.calls(own).keys() == world.truth(own).keys()


async def test_without_the_scope_there_are_no_calls_and_the_status_names_it(tmp_path: Path) -> None:
    async with open_calls(tmp_path, missing_scopes=["ReadCallLog", "ReadCallRecording"]) as world:
        async with world.engine() as rig:
            assert not rig.engine.account.calls.catalogue.has_calls
            with pytest.raises(ForbiddenError, match="ReadCallLog"):
                await rig.open(world.extensions[0])
            state = rig.engine.account.collections.state(f"calls/company/{NOW}")
            assert state is State.ABSENT
            assert any(
                "none: the app lacks the scope ReadCallLog" in line for line in await status_lines(rig)
            )
        async with world.engine(offline=True) as rig:
            assert not rig.engine.account.calls.catalogue.has_calls, "also before a login"
        assert world.heavy() == []


async def test_a_scope_that_no_token_names_is_learned_from_the_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_calls(tmp_path, missing_scopes=["ReadCallLog"]) as world, world.engine() as rig:
        # As of a server whose tokens do not name their scopes.
        monkeypatch.setattr(rig.engine.account.rights, "lacks", lambda _scope: False)
        catalogue = rig.engine.account.calls.catalogue
        assert catalogue.has_calls is True
        with pytest.raises(ForbiddenError, match="ReadCallLog"):
            await rig.open(COMPANY)
        assert not rig.engine.account.calls.catalogue.has_calls
        with pytest.raises(ForbiddenError):
            await rig.open(COMPANY, BEFORE)
        assert operations(world) == [LIST]


async def test_recordings_without_their_scope_are_listed_and_the_status_says_so(tmp_path: Path) -> None:
    async with open_calls(tmp_path, missing_scopes=["ReadCallRecording"]) as world, world.engine() as rig:
        await rig.open(COMPANY)
        assert any(rig.recordings(each) for each in world.extensions)
        calls = (await status_document(rig.engine))["calls"]
        assert calls["recordings_refused"] == "the app lacks the scope ReadCallRecording"


# Numbers


async def test_the_status_counts_calls_and_recordings_by_owner(tmp_path: Path) -> None:
    async with open_calls(tmp_path) as world, world.engine() as rig:
        assert (await status_document(rig.engine))["calls"]["owners"] == []
        await rig.open(COMPANY)
        calls = (await status_document(rig.engine))["calls"]
        assert (calls["log"], calls["off_because"], calls["loads"]) == ("company", None, [])
        assert calls["calls"] == len(rig.calls(COMPANY))
        found = {row["extension"]: (row["calls"], row["recordings"]) for row in calls["owners"]}
        assert found[None][0] == calls["calls"]
        for each in world.extensions:
            if each in found:
                assert found[each] == (len(rig.calls(each)), len(rig.recordings(each)))
        assert sum(recordings for _calls, recordings in found.values()) == calls["recordings"]
        assert calls["fetched_a_day"] == 14_400


async def test_the_status_says_how_many_recordings_a_day_there_are(tmp_path: Path) -> None:
    async with open_calls(tmp_path, calls_per_day=100) as world, world.engine() as rig:
        assert (await status_document(rig.engine))["calls"]["recordings_a_day"] is None
        await rig.open(COMPANY)
        document = await status_document(rig.engine)
        assert document["calls"]["recordings_a_day"] == pytest.approx(100, rel=0.2)
        assert "a day behind" not in render_status(status_from_json(document))


async def test_the_recordings_that_go_next_are_told(tmp_path: Path) -> None:
    spec = AccountSpec(messages=200, months=6)
    async with open_calls(tmp_path, spec=spec, calls=2000) as world, world.engine() as rig:
        assert (await status_document(rig.engine))["retention"]["recordings"] is None
        await rig.open(COMPANY, "2026-08")
        kept_s = 90 * DAY_S
        rows = [row for each in (COMPANY, *world.extensions) for row in rig.recordings(each, "2026-08")]
        starts_s = [row.started_s for row in rows if row.started_s is not None]
        soon = [each for each in starts_s if each + kept_s < world.now_s + 7 * DAY_S]
        found = (await status_document(rig.engine))["retention"]["recordings"]
        assert found["recordings"] == found["uncached"] == len(soon) > 0
        assert found["first_goes_in_s"] == pytest.approx(min(soon) + kept_s - world.now_s, abs=1)
        assert found["loss_in_s"] == found["first_goes_in_s"], "none is cached"
        assert found["oldest_uncached"] == iso_time(min(soon))
        (line,) = (line for line in await status_lines(rig) if "the first of" in line and "recording" in line)
        assert f"calls: the first of {len(soon)} recording" in line
        assert "should go in" in line


async def test_recordings_that_others_have_pushed_out_count_as_new_ones_did(tmp_path: Path) -> None:
    account = {"calls_per_day": 100, "call_days": 15, "recording_limit": 200}
    async with open_calls(tmp_path, **account) as world, world.engine() as rig:
        await rig.open(COMPANY)
        document = await status_document(rig.engine)
        assert document["calls"]["calls"] > 1400
        assert document["calls"]["recordings"] in range(190, 202)
        assert document["calls"]["recordings_a_day"] == pytest.approx(100, rel=0.1)
