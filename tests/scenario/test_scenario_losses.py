"""The status names what the platform deletes next; that costs at most one request a day."""

import time
from datetime import datetime
from typing import Any

import pytest
import trio

from rcfs.model import DAY_S, AttachmentKey, Filter
from rcfs.platform import wire_time
from rcfs.pull import Pull
from rcfs.pull._todo import Kind
from rcfs.pull._walk import find
from tests.fakes.rig import EXTENSION_ID, Rig, noise
from tests.fakes.scripted import ACCOUNT_ID, Reply, ScriptedPlatform
from tests.fakes.status import status_document
from tests.scenario.conftest import OpenRig

ASK = "readMessageStoreConfiguration"
ID = "user.rcfs.message_id"
ALL_SCOPES = "ReadAccounts ReadMessages EditAccounts"


class Clock:
    """A wall clock that a test sets."""

    def __init__(self) -> None:
        self.now_s = time.time()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(autouse=True)
def _admin(platform: ScriptedPlatform) -> None:
    platform.scope = ALL_SCOPES


def add(platform: ScriptedPlatform, number: int, kind: str, days_old: float, **fields: Any) -> None:
    """A message with an attachment."""
    key = AttachmentKey(ACCOUNT_ID, EXTENSION_ID, number, number)
    created = wire_time(time.time() - days_old * DAY_S)
    uri = platform.add_content(key, noise(100, number))
    record = {"id": number, "type": kind, "direction": "Inbound", "availability": "Alive"}
    times = {"creationTime": created, "lastModifiedTime": created}
    platform.change(**{**record, **times, "attachments": [{"id": number, "uri": uri}], **fields})


async def retention(rig: Rig) -> dict[str, Any]:
    status = await status_document(rig.engine)
    document = status["retention"]
    assert isinstance(document, dict)
    return document


async def test_the_setting_is_asked_for_once_and_remembered(
    platform: ScriptedPlatform, new_rig: OpenRig, clock: Clock
) -> None:
    for _run in range(3):
        async with new_rig(wall_clock=lambda: clock.now_s) as rig:
            await trio.sleep(7200)
            document = await retention(rig)
            assert (document["configured_days"], document["unknown_because"]) == (90, None)
    assert len(platform.sent(ASK)) == 1
    clock.now_s += DAY_S
    platform.retention_days = 30
    async with new_rig(wall_clock=lambda: clock.now_s) as rig:
        await trio.sleep(1)
        assert (await retention(rig))["configured_days"] == 30
    assert len(platform.sent(ASK)) == 2
    clock.now_s -= 10 * DAY_S
    async with new_rig(wall_clock=lambda: clock.now_s) as rig:
        await trio.sleep(1)
    assert len(platform.sent(ASK)) == 3, "a clock that was set back says nothing"


async def test_without_the_scope_nothing_is_asked(platform: ScriptedPlatform, new_rig: OpenRig) -> None:
    platform.scope = "ReadAccounts ReadMessages"
    async with new_rig() as rig:
        await trio.sleep(1)
        assert (await retention(rig))[
            "unknown_because"
        ] == "the app lacks the scope EditAccounts (add it in the developer console)"
    assert platform.sent(ASK) == []


async def test_a_refusal_is_remembered(platform: ScriptedPlatform, new_rig: OpenRig) -> None:
    platform.script(ASK, Reply.error(403, "CMN-408"))
    for _run in range(2):
        async with new_rig() as rig:
            await trio.sleep(1)
            assert (await retention(rig))["unknown_because"] == "the server refuses to tell it (CMN-408)"
    assert len(platform.sent(ASK)) == 1


async def test_a_fault_is_not_remembered(platform: ScriptedPlatform, new_rig: OpenRig) -> None:
    platform.script(ASK, Reply.error(503), Reply.of_json({}), Reply.of_json([]))
    async with new_rig() as rig:
        await trio.sleep(1)
        assert (await retention(rig))["unknown_because"] == "rcfs has not asked yet"
        await trio.sleep(3 * 3600 + 10)
        assert (await retention(rig))["configured_days"] == 90
    assert len(platform.sent(ASK)) == 4


async def test_offline_nothing_is_asked(platform: ScriptedPlatform, new_rig: OpenRig) -> None:
    async with new_rig() as rig:
        await rig.mailbox()
    sent = len(platform.seen)
    async with new_rig(offline=True) as rig:
        await trio.sleep(7200)
        assert (await retention(rig))["configured_days"] == 90
    assert len(platform.seen) == sent


async def test_the_status_names_messages_that_go_soon(platform: ScriptedPlatform, new_rig: OpenRig) -> None:
    add(platform, 1, "VoiceMail", 88)
    add(platform, 2, "VoiceMail", 85)
    add(platform, 3, "VoiceMail", 80)
    add(platform, 4, "Fax", 26, direction="Outbound")
    add(platform, 5, "SMS", 1000)
    add(platform, 6, "VoiceMail", 500)
    add(platform, 7, "SMS", 1)
    platform.remove(7, "Deleted")
    async with new_rig() as rig:
        assert (await retention(rig))["mailboxes"] == [], "it was never looked into"
        first = (await rig.messages())[0]
        await rig.read(rig.wanted(first.id, noise(100, 1)))
        (row,) = (await retention(rig))["mailboxes"]
        assert (row["extension"], row["messages"], row["uncached"]) == (EXTENSION_ID, 4, 3)
        assert row["first_goes_in_s"] == pytest.approx(2 * DAY_S, abs=60)
        assert row["certain"] is True
        assert row["loss_in_s"] == pytest.approx(4 * DAY_S, abs=60), "the fax; the first voicemail is cached"
        oldest_s = datetime.fromisoformat(row["oldest_uncached"]).timestamp()
        assert time.time() - oldest_s == pytest.approx(85 * DAY_S, abs=60)


async def test_a_pull_first_fetches_what_goes_first(platform: ScriptedPlatform, new_rig: OpenRig) -> None:
    add(platform, 1, "SMS", 200)
    add(platform, 2, "VoiceMail", 10)
    add(platform, 3, "Fax", 29, direction="Outbound")
    add(platform, 4, "VoiceMail", 85)
    add(platform, 5, "SMS", 300)
    async with new_rig() as rig:
        plan, _unknown = await Pull(rig.engine).survey(((),), Filter())
        found = [find(plan.root, step.parts) for step in plan.todo.steps(Kind.FETCH)]
        assert [int(node.xattrs()[ID]) for node in found if node is not None] == [3, 4, 2, 5, 1]
