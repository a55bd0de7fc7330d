"""Notifications about ended calls, recordings that are gone, and names in the lines of calls."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from rcfs.errors import NotFoundError, PurgedError
from rcfs.model import COMPANY, Priority, RecordingKey, Wanted
from rcfs.simulator.account._call_events import events_of
from rcfs.simulator.account._call_records import CallWriter
from rcfs.simulator.account._call_values import SimCall
from rcfs.simulator.account._events import EventFilter
from rcfs.tree import extension_names
from tests.fakes.call_rig import NOW, CallRig, CallWorld, open_calls
from tests.fakes.gateway import Gateway
from tests.fakes.status import status_document

LIST, SYNC, CONTENT = "readCompanyCallLog", "syncAccountCallLog", "readCallRecordingContent"
DAY_S = 86_400.0


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[CallWorld]:
    async with open_calls(tmp_path) as world:
        yield world


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


def tell(world: CallWorld, gateway: Gateway, call: SimCall) -> int:
    """Notify of a call that has just ended, as the platform does; returns the number of notifications."""
    endpoints, account = world.platform.endpoints, world.backend.account
    writer = CallWriter(
        account.account_id,
        endpoints.platform_url,
        endpoints.media_url,
        {each.id: each for each in account.extensions},
    )
    told = 0
    for path in gateway.connection.filters:
        _account, extension, wanted = EventFilter.parse(path)
        if extension is not None:
            wanted = attrs.evolve(wanted, extension_id=int(extension))
        for event in events_of(call, world.now_s, writer):
            body = event.body(wanted)
            if body is not None:
                told += 1
                gateway.connection.say("ServerNotification", {"event": path, "body": body})
    return told


@asynccontextmanager
async def hinted(world: CallWorld, gateway: Gateway) -> AsyncIterator[CallRig]:
    """An engine whose hints run and that has loaded the present month."""
    async with world.engine(sockets=gateway.open) as rig, trio.open_nursery() as nursery:
        nursery.start_soon(rig.engine.hints.run)
        await rig.open(COMPANY)
        await trio.sleep(30)
        yield rig
        nursery.cancel_scope.cancel()


# Notifications


async def test_the_end_of_a_call_brings_its_record_and_its_recording(
    world: CallWorld, gateway: Gateway
) -> None:
    async with hinted(world, gateway) as rig:
        sessions = "/restapi/v1.0/account/~/telephony/sessions?statusCode=Disconnected"
        assert gateway.connection.filters == [sessions]
        status = (await status_document(rig.engine))["hints"]
        assert (status["state"], status["call_logs"], status["mailboxes"]) == ("on", 1, 0)
        await trio.sleep(2000)
        mark = world.mark()
        call = world.call(world.extensions[1])
        assert tell(world, gateway, call) == 1
        await trio.sleep(29)
        assert world.heavy(mark) == [], "the record is not there yet"
        await trio.sleep(3)
        assert call.id in rig.calls(COMPANY)
        assert len(world.heavy(mark)) == 1
        await trio.sleep(300)
        assert str(call.recordings[0].id) in {row.id for row in rig.recordings(world.extensions[1])}
        assert len(world.heavy(mark)) == 2
        await trio.sleep(1000)
        assert len(world.heavy(mark)) == 2


async def test_many_calls_still_cost_one_request_in_five_minutes(world: CallWorld, gateway: Gateway) -> None:
    async with hinted(world, gateway):
        await trio.sleep(1000)
        mark = world.mark()
        for number in range(200):
            assert tell(world, gateway, world.call(world.extensions[number % 2])) == 1
            await trio.sleep(9)
        times_s = [each.time_s for each in world.heavy(mark)]
        assert 6 <= len(times_s) <= 7
        assert min(later - earlier for earlier, later in pairwise(times_s)) >= 299


async def test_without_its_scope_nothing_is_subscribed_for_calls(tmp_path: Path, gateway: Gateway) -> None:
    async with open_calls(tmp_path, missing_scopes=["CallControl"]) as world, hinted(world, gateway) as rig:
        await rig.engine.account.mailboxes.open(world.extensions[0])
        await trio.sleep(60)
        (path,) = gateway.connection.filters
        assert path.endswith(f"/extension/{world.extensions[0]}/message-store")


async def test_a_refusal_of_calls_leaves_the_hints_of_mailboxes(world: CallWorld, gateway: Gateway) -> None:
    gateway.refusals.append(403)
    async with hinted(world, gateway) as rig:
        await rig.engine.account.mailboxes.open(world.extensions[0])
        await trio.sleep(60)
        (path,) = gateway.connection.filters
        assert path.endswith("/message-store")
        assert len(gateway.connections) == 1
        assert (await status_document(rig.engine))["hints"]["call_logs"] == 0


async def test_each_log_has_its_own_notifications_without_that_of_the_company(
    tmp_path: Path, gateway: Gateway
) -> None:
    missing = ["FullCompanyCallLog"]
    async with open_calls(tmp_path, missing_permissions=missing) as world:
        second = world.extensions[1]
        async with world.engine(sockets=gateway.open) as rig, trio.open_nursery() as nursery:
            nursery.start_soon(rig.engine.hints.run)
            await rig.open(second)
            await trio.sleep(1000)
            assert gateway.connection.filters == [
                f"/restapi/v1.0/account/~/extension/{second}/telephony/sessions?statusCode=Disconnected"
            ]
            call = world.call(second)
            assert tell(world, gateway, call) == 1
            await trio.sleep(32)
            assert call.id in rig.calls(second)
            nursery.cancel_scope.cancel()


# Recordings that are gone


async def fetch(rig: CallRig, key: RecordingKey, uri: str, *, purged: bool) -> bytes:
    library = rig.engine.library
    content = await library.look(Wanted(key, uri, purged=purged))
    try:
        library.fetch(content, Priority.PERSON)
        await content.wait_complete()
        return content.read(0, content.arrived)
    finally:
        library.release(content)


async def test_a_recording_that_is_gone_is_asked_for_once(world: CallWorld) -> None:
    owner = world.extensions[0]
    async with world.engine() as rig:
        await rig.open(owner)
        row = rig.recordings(owner)[0]
        world.backend.calls.delete_recording(int(row.id), world.now_s, still_named=True)
        key = RecordingKey(rig.engine.account.id, row.id)
        with pytest.raises(NotFoundError):
            await fetch(rig, key, row.uri, purged=row.gone)
        await trio.sleep(400)
        (after,) = (each for each in rig.recordings(owner) if each.id == row.id)
        assert after.gone
        assert ("Recordings", NOW, row.name) in rig.changed(owner)
        with pytest.raises(PurgedError):
            await fetch(rig, key, row.uri, purged=after.gone)
        assert len(world.sent(CONTENT)) == 1
        await rig.watch(owner, 601)
        (after,) = (each for each in rig.recordings(owner) if each.id == row.id)
        assert after.gone, "a sync does not bring it back"


@pytest.mark.parametrize("absurd", [{"duration": 10**12}, {"startTime": "2031-01-01T00:00:00Z"}], ids=str)
async def test_an_absurd_record_of_a_recording_that_is_gone(world: CallWorld, absurd: dict[str, Any]) -> None:
    owner = world.extensions[0]
    async with world.engine() as rig:
        await rig.open(owner)
        row = rig.recordings(owner)[0]
        call = rig.engine.account.calls.catalogue.call(row.call)
        assert call is not None
        await rig.watch(owner, 601)  # From here on the platform tells changes of old calls as well.
        world.backend.calls.rewrite(call.id, {}, absurd, world.now_s)
        world.backend.calls.delete_recording(int(row.id), world.now_s, still_named=True)
        await rig.watch(owner, 601)
        key = RecordingKey(rig.engine.account.id, row.id)
        with pytest.raises(NotFoundError):
            await fetch(rig, key, row.uri, purged=row.gone)
        await trio.sleep(1)
        after = rig.engine.account.calls.catalogue.recording_by_id(row.id)
        assert after is not None
        assert (after.duration_s, after.started_s) != (row.duration_s, row.started_s)
        assert after.gone


async def test_a_recording_that_may_only_be_late_is_not_gone(world: CallWorld) -> None:
    owner = world.extensions[0]
    async with world.engine() as rig:
        await rig.open(owner)
        call = world.call(owner)
        await rig.watch(owner, 301)
        (row,) = (each for each in rig.recordings(owner) if each.id == str(call.recordings[0].id))
        world.platform.fault("status", operation=CONTENT, status=404)
        key = RecordingKey(rig.engine.account.id, row.id)
        with pytest.raises(NotFoundError):
            await fetch(rig, key, row.uri, purged=False)
        await trio.sleep(301)
        assert row in rig.recordings(owner)
        data = await fetch(rig, key, row.uri, purged=False)
        assert len(data) > 1000


# Names


async def test_the_lines_name_voicemails_when_their_mailbox_is_loaded(world: CallWorld) -> None:
    async with world.engine() as rig:
        await rig.open(COMPANY)
        with_message = [call for call in world.truth(None).values() if call.message is not None]
        owner = with_message[0].extension_id
        own = extension_names(rig.engine.account.extensions)[owner]
        before = rig.lines(owner)
        await rig.engine.account.mailboxes.open(owner)
        await trio.sleep(30)
        after = rig.lines(owner)
        changed = [line for line in after if line not in before]
        assert changed
        assert all(f"{own}/" in line for line in changed), changed
        assert any(f"{own}/Voicemail/" in line for line in changed)
        assert ("Calls", f"{NOW}.csv") in rig.changed(owner)


async def test_the_lines_follow_the_name_of_the_extension(world: CallWorld) -> None:
    owner = world.extensions[1]
    async with world.engine() as rig:
        await rig.open(COMPANY)
        assert any(row for row in rig.recordings(owner))
        assert not any("Renamed Person" in line for line in rig.lines(owner))
        world.backend.account.rename(owner, "Renamed Person")
        await rig.engine.account.refresh()
        await trio.sleep(10)
        named = [line for line in rig.lines(owner) if "Renamed Person/Recordings/" in line]
        assert len(named) >= len({row.call for row in rig.recordings(owner)}) > 0
    world.backend.account.rename(owner, "Renamed Again")
    async with world.engine() as rig:
        await trio.sleep(10)
        assert any("Renamed Again/Recordings/" in line for line in rig.lines(owner)), "also after a remount"
        assert not any("Renamed Person/" in line for line in rig.lines(COMPANY))
