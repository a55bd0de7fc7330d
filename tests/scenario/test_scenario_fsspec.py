"""Paths of ``rcfs://`` in virtual time: when a listing waits for news, and what a wait costs."""

from typing import Any, cast

import trio

from rcfs.files import FileSystem, Waits, tree_of
from rcfs.spec._paths import Paths
from tests.fakes.askers import Somebody
from tests.fakes.rig import Rig, add_voicemail, noise
from tests.fakes.scripted import ScriptedPlatform, Unreachable
from tests.scenario.conftest import OpenRig

SYNC, LIST, CONTENT = "syncMessages", "listMessages", "readMessageContent"
MONTH = "Voicemail/2026-11"


def paths_of(rig: Rig) -> Paths:
    files = FileSystem(
        tree_of(rig.engine), rig.engine, Waits(), max_wait_s=3600.0, render_live=cast("Any", None)
    )
    files.follow()
    return Paths(files, Somebody(), rig.engine.account.settle)


async def month_of(paths: Paths) -> str:
    (mine, *_others) = await paths.listing("")
    return f"{mine['name']}/{MONTH}"


async def test_a_listing_is_at_most_a_minute_old_and_nothing_is_sent_by_time(
    platform: ScriptedPlatform, new_rig: OpenRig
) -> None:
    add_voicemail(platform, 1, noise(1000))
    async with new_rig(keeps_current=False) as rig:
        paths = paths_of(rig)
        month = await month_of(paths)
        await paths.listing(month)
        assert (len(platform.sent(LIST)), len(platform.sent(SYNC))) == (1, 1)
        add_voicemail(platform, 2, noise(1000))
        await trio.sleep(30)
        assert len(await paths.listing(month)) == 1
        await trio.sleep(31)
        assert len(platform.sent(SYNC)) == 1
        assert len(await paths.listing(month)) == 2
        assert len(platform.sent(SYNC)) == 2
        await trio.sleep(600)
        assert len(platform.sent(SYNC)) == 2


async def test_without_the_network_a_listing_shows_what_is_known(
    platform: ScriptedPlatform, new_rig: OpenRig
) -> None:
    add_voicemail(platform, 1, noise(1000))
    async with new_rig(keeps_current=False) as rig:
        paths = paths_of(rig)
        month = await month_of(paths)
        await paths.listing(month)
        await trio.sleep(100)
        platform.script(SYNC, *[Unreachable.RESET] * 20)
        began_s = trio.current_time()
        assert len(await paths.listing(month)) == 1
        assert trio.current_time() - began_s <= 60


async def test_an_unloaded_mailbox_is_waited_for_longer_than_a_mount_would(
    platform: ScriptedPlatform, new_rig: OpenRig
) -> None:
    add_voicemail(platform, 1, noise(1000))
    platform.latency_s = 20.0
    async with new_rig(keeps_current=False) as rig:
        paths = paths_of(rig)
        month = await month_of(paths)
        (message,) = await paths.listing(month)
        assert (await paths.info(message["name"]))["type"] == "directory"


async def test_opens_queue_where_a_mount_would_refuse_them(
    platform: ScriptedPlatform, new_rig: OpenRig
) -> None:
    data = noise(1000)
    add_voicemail(platform, 1, data)
    async with new_rig(keeps_current=False) as rig:
        paths = paths_of(rig)
        (message,) = await paths.listing(await month_of(paths))
        (file,) = [
            info["name"] for info in await paths.listing(message["name"]) if info["name"].endswith(".wav")
        ]
        read: list[bytes] = []

        async def cat() -> None:
            read.append(await paths.cat(file, None, None))

        async with trio.open_nursery() as nursery:
            for _ in range(500):
                nursery.start_soon(cat)
        assert read == [data] * 500
        assert len(platform.sent(CONTENT)) == 1


async def test_workers_of_a_known_account_do_not_read_it_again_within_an_hour(
    platform: ScriptedPlatform, new_rig: OpenRig
) -> None:
    add_voicemail(platform, 1, noise(1000))
    async with new_rig(keeps_current=False) as rig:
        month = await month_of(paths_of(rig))
        await paths_of(rig).listing(month)
    before = len(platform.seen)
    for _ in range(3):
        async with new_rig(keeps_current=False, asks_again=False) as rig:
            began_s = trio.current_time()
            assert len(await paths_of(rig).listing(month)) == 1
            assert trio.current_time() - began_s < 0.1
    assert len(platform.seen) == before
    async with new_rig(keeps_current=False, asks_again=False) as rig:
        await trio.sleep(3700)
        assert len(platform.sent("readAccountInfo")) == 2
