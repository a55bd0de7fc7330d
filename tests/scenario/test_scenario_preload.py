"""Mailboxes that load in the background: their order, their pace, and that a person goes first."""

from typing import Any

import pytest
import trio

from rcfs.mailbox import MailboxUsed
from tests.fakes.rig import Rig
from tests.fakes.scripted import Reply, ScriptedPlatform
from tests.scenario.conftest import OpenRig

SYNC, LIST = "syncMessages", "listMessages"
IDS = [101, *range(201, 240)]
"""40 extensions, of which 101 is the login's own, and stands last in the list of the platform."""


@pytest.fixture(autouse=True)
def _many_extensions(platform: ScriptedPlatform) -> None:
    platform.admin = True
    platform.extensions = [
        {"id": number, "extensionNumber": str(number), "type": "User"} for number in [*IDS[1:], IDS[0]]
    ]


def owners(platform: ScriptedPlatform) -> list[int]:
    """The extensions whose mailboxes were loaded, in the order of the requests."""
    return [int(seen.url.partition("/extension/")[2].partition("/")[0]) for seen in platform.sent(LIST)]


async def preload(rig: Rig, time_s: float) -> None:
    """Lets mailboxes be loaded for so long."""
    with trio.move_on_after(time_s):
        await rig.engine.preload.run()


async def test_the_own_mailbox_is_first_and_a_large_account_is_loaded_slowly(rig: Rig) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.engine.preload.run)
        await trio.sleep(10)
        assert owners(rig.platform)[0] == 101
        assert len(owners(rig.platform)) == 10, "so many at once"
        await trio.sleep(100)
        assert len(owners(rig.platform)) in (19, 20), "then one every ten seconds"
        nursery.cancel_scope.cancel()


async def test_recently_used_mailboxes_load_first_also_after_a_remount(
    platform: ScriptedPlatform, new_rig: OpenRig
) -> None:
    async with new_rig() as rig:
        for number in (230, 220, 210):
            rig.engine.account.changes.tell(MailboxUsed(number))  # as for a person who looks into it
            await trio.sleep(1)
    async with new_rig() as rig:
        await preload(rig, 10)
        assert owners(platform)[:4] == [101, 210, 220, 230]


async def test_a_person_is_never_held_up(platform: ScriptedPlatform, new_rig: OpenRig) -> None:
    async with new_rig() as rig, trio.open_nursery() as nursery:
        nursery.start_soon(rig.engine.preload.run)
        await trio.sleep(3)
        assert len(owners(platform)) == 10
        began_s = rig.now
        await rig.mailbox(239)
        assert rig.now - began_s == pytest.approx(0.2), "two requests, sent at once"
        nursery.cancel_scope.cancel()


async def test_a_refusal_is_no_trouble_and_lasts_for_a_day(
    platform: ScriptedPlatform, new_rig: OpenRig
) -> None:
    platform.extensions = platform.extensions[-1:] + platform.extensions[:1]

    def answer(request: Any) -> Reply:
        if "/201/" in str(request.url):
            return Reply.error(403, "CMN-419")
        return Reply.of_json({"records": [], "syncInfo": {"syncToken": "1"}})

    platform.script(SYNC, *[answer] * 99)
    async with new_rig() as rig:
        await preload(rig, 3600)
        assert rig.engine.recorder.faults == ()
        assert len([seen for seen in platform.sent(SYNC) if "/201/" in seen.url]) == 1
    await trio.sleep(61)
    async with new_rig() as rig:
        await preload(rig, 3600)
        assert len([seen for seen in platform.sent(SYNC) if "/201/" in seen.url]) == 1, "over remounts, too"


async def test_in_an_outage_nothing_is_loaded_and_then_everything(rig: Rig) -> None:
    rig.platform.away = ["https://platform.ringcentral.com"]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.engine.preload.run)
        await trio.sleep(300)
        assert rig.platform.sent(LIST) == []
        rig.platform.away = []
        await trio.sleep(700)
        assert len(owners(rig.platform)) > 10
        nursery.cancel_scope.cancel()
