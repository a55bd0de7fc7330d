"""Syncs keep a loaded mailbox current: which changes they bring, and how often they are sent."""

import time
from datetime import datetime
from itertools import pairwise
from typing import Any

import httpx
import pytest
import trio

from rcfs.errors import ServerError
from rcfs.model import PRIOR_PLANS, Plan, Priority, UsageGroup
from tests.fakes.rig import Rig
from tests.fakes.scripted import PLATFORM, Reply, ScriptedPlatform, Unreachable
from tests.scenario.conftest import OpenRig

IDLE_POLL_S = 900.0
"""Time between two syncs of a mailbox that nobody looks at."""

LIST, SYNC, READ = "listMessages", "syncMessages", "readMessage"
PATH = "/restapi/v1.0/account/~/extension/101"


def sms(number: int, subject: str = "hi", minute: int = 0, **fields: Any) -> dict[str, Any]:
    return {
        "id": number,
        "type": "SMS",
        "direction": "Inbound",
        "subject": subject,
        "creationTime": "2026-11-03T10:00:00Z",
        "lastModifiedTime": f"2026-11-03T10:{minute:02d}:00Z",
        "availability": "Alive",
        **fields,
    }


def page(records: list[Any], next_url: str = "") -> Reply:
    return Reply.of_json(
        {"records": records, "navigation": {"nextPage": {"uri": next_url}} if next_url else {}}
    )


def sync(records: list[Any], token: str = "since-0") -> Reply:
    return Reply.of_json({"records": records, "syncInfo": {"syncToken": token}})


async def told(rig: Rig) -> dict[int, tuple[str, str | None]]:
    """(view, subject) of every message, as it is known without asking."""
    mailbox = rig.engine.account.mailboxes.catalogue(101)
    assert mailbox is not None
    found = {}
    for message in await rig.messages():
        home = mailbox.home(message.id)
        assert home is not None
        found[message.id] = (home.view, message.subject)
    return found


async def refresh(rig: Rig) -> None:
    await rig.engine.account.mailboxes.refresh(101)


def operations(rig: Rig, *which: str) -> list[str]:
    return [seen.operation for seen in rig.platform.sent(*(which or (LIST, SYNC, READ)))]


# Loading


async def test_a_load_is_one_request_for_a_token_and_one_per_page(rig: Rig) -> None:
    rig.platform.change(**sms(1))
    await rig.mailbox()
    first, second = rig.platform.sent(SYNC, LIST)
    assert first.url.startswith(f"{PLATFORM}{PATH}/message-sync?")
    assert first.query == {
        "syncType": ["FSync"],
        "dateFrom": ["2000-01-01T00:00:00.000Z"],
        "recordCount": ["1"],
    }
    assert second.operation == LIST
    await rig.mailbox()
    assert operations(rig) == [SYNC, LIST], "and never again"


async def test_the_list_ends_at_the_time_of_the_token_however_slow_that_was(rig: Rig) -> None:
    """Messages that came between the two would otherwise appear in neither."""

    def late(_request: httpx.Request) -> Reply:
        rig.platform.clock_ahead_s = 1000.0  # the machine's clock does not know of virtual time
        return sync([])

    rig.platform.script(SYNC, late)
    await rig.mailbox()
    (listed,) = rig.platform.sent(LIST)
    until_s = datetime.fromisoformat(listed.query["dateTo"][0]).timestamp()
    assert until_s - time.time() == pytest.approx(1000, abs=20)


async def test_a_message_from_the_second_of_the_token_is_listed(rig: Rig) -> None:
    """The server's clock is known in whole seconds only: what it says is up to a second ago."""
    before_s = int(rig.engine.client.server_now_s())
    await rig.mailbox()
    (begun,) = rig.platform.sent(SYNC)
    (listed,) = rig.platform.sent(LIST)
    until_s = datetime.fromisoformat(listed.query["dateTo"][0]).timestamp()
    assert until_s >= before_s + 1 - (listed.at_s - begun.at_s)


async def test_a_load_without_a_token_fails(rig: Rig) -> None:
    rig.platform.script(SYNC, Reply.of_json({"records": []}))
    with pytest.raises(ServerError, match="no sync token"):
        await rig.mailbox()
    assert operations(rig) == [SYNC]
    await rig.mailbox()


async def test_a_list_of_several_pages_is_read_again_after_a_purge(rig: Rig) -> None:
    """The purge moved message 2 up to the first page, after that had been read."""
    second = f"{PLATFORM}{PATH}/message-store?page=2"
    rig.platform.script(LIST, page([sms(4), sms(3)], second), page([sms(1)]))
    rig.platform.script(LIST, page([sms(4), sms(2)], second), page([sms(1)]))
    rig.platform.script(SYNC, sync([]), sync([{"id": 3, "availability": "Purged"}], "since-1"))
    await rig.mailbox()
    assert list(await told(rig)) == [1, 2, 4]
    assert operations(rig) == [SYNC, LIST, LIST, SYNC] * 2


async def test_a_list_that_keeps_changing_is_read_three_times_at_most(rig: Rig) -> None:
    second = f"{PLATFORM}{PATH}/message-store?page=2"
    for _listing in range(3):
        rig.platform.script(LIST, page([sms(2)], second), page([sms(1)]))
        rig.platform.script(SYNC, sync([]), sync([{"id": 9, "availability": "Purged"}]))
    await rig.mailbox()
    assert list(await told(rig)) == [1, 2]
    assert operations(rig) == [SYNC, LIST, LIST, SYNC] * 3


async def test_a_message_that_comes_while_a_list_is_read_is_shown(rig: Rig) -> None:
    second = f"{PLATFORM}{PATH}/message-store?page=2"
    rig.platform.script(LIST, page([sms(2)], second), page([sms(1)]))
    rig.platform.script(SYNC, sync([]), sync([sms(3), {"id": 4, "availability": "Deleted"}], "since-0"))
    rig.platform.messages = [sms(4, availability="Deleted")]
    await rig.mailbox()
    assert await told(rig) == {1: ("SMS", "hi"), 2: ("SMS", "hi"), 3: ("SMS", "hi"), 4: ("Trash", "hi")}
    assert operations(rig) == [SYNC, LIST, LIST, SYNC, READ]


@pytest.mark.parametrize("where", ["token", "first page", "second page"])
async def test_an_interrupted_load_starts_over(
    platform: ScriptedPlatform, new_rig: OpenRig, where: str
) -> None:
    """As after kill -9: another engine, on the same index."""
    second = f"{PLATFORM}{PATH}/message-store?page=2"
    if where == "token":
        platform.script(SYNC, Unreachable.SILENT)
    elif where == "first page":
        platform.script(LIST, Unreachable.SILENT)
    else:
        platform.script(LIST, page([sms(3, "gone"), sms(2)], second), Unreachable.SILENT)
    async with new_rig() as rig:
        with trio.move_on_after(5):
            await rig.mailbox()
        assert rig.engine.account.mailboxes.catalogue(101) is None
    platform.messages = [sms(1), sms(2, "newer", 1)]
    async with new_rig() as rig:
        assert rig.engine.account.mailboxes.catalogue(101) is None, "half a mailbox is none"
        await rig.mailbox()
        assert await told(rig) == {1: ("SMS", "hi"), 2: ("SMS", "newer")}


# Syncs


async def test_a_sync_is_one_request_with_the_newest_token(rig: Rig) -> None:
    await rig.mailbox()
    for number in (1, 2):
        rig.platform.change(**sms(number))
        await refresh(rig)
    await refresh(rig)
    assert [seen.query["syncToken"] for seen in rig.platform.sent(SYNC)[1:]] == [
        ["since-0"],
        ["since-1"],
        ["since-2"],
    ]
    assert {tuple(seen.query["syncType"]) for seen in rig.platform.sent(SYNC)[1:]} == {("ISync",)}
    assert operations(rig) == [SYNC, LIST, SYNC, SYNC, SYNC]
    assert list(await told(rig)) == [1, 2]


async def test_everything_that_can_happen_to_a_message(rig: Rig) -> None:
    for number in (1, 2, 3, 4):
        rig.platform.change(**sms(number))
    await rig.mailbox()
    rig.platform.change(**sms(5, "new"))
    rig.platform.change(**sms(1, "changed", 1))
    rig.platform.remove(2, "Deleted")
    rig.platform.remove(3, "Deleted")
    rig.platform.remove(4, "Purged")
    await refresh(rig)
    assert await told(rig) == {
        1: ("SMS", "changed"),
        2: ("Trash", "hi"),
        3: ("Trash", "hi"),
        5: ("SMS", "new"),
    }
    rig.platform.change(**sms(2, "hi", 2))
    rig.platform.remove(3, "Purged")
    await refresh(rig)
    assert await told(rig) == {1: ("SMS", "changed"), 2: ("SMS", "hi"), 5: ("SMS", "new")}
    assert operations(rig, READ, LIST) == [LIST]


async def test_listeners_hear_which_paths_changed(rig: Rig) -> None:
    rig.platform.change(**sms(1))
    await rig.mailbox()
    rig.heard.clear()
    await refresh(rig)
    assert rig.heard == [], "nothing changed"
    rig.platform.change(**sms(1, "other", 1))
    await refresh(rig)
    ((extension, touched),) = rig.heard
    assert extension == 101
    assert ("SMS", "2026-11") in touched
    assert ("SMS", "2026-11", "2026-11-03T10.00.00Z from unknown [1]") in touched


async def test_repeated_and_unordered_records_change_nothing(rig: Rig) -> None:
    rig.platform.change(**sms(1, "newest", 9))
    await rig.mailbox()
    rig.heard.clear()
    rig.platform.overlap = 5
    for _again in range(2):
        rig.platform.changes += [sms(1, "old", 1), sms(2, "newest", 8), sms(2, "old", 3), sms(1, "old", 8)]
        await refresh(rig)
    assert await told(rig) == {1: ("SMS", "newest"), 2: ("SMS", "newest")}
    assert len(rig.heard) == 1, "only message 2 was news, and only once"


async def test_a_message_that_came_and_was_deleted_between_two_syncs_is_read(rig: Rig) -> None:
    await rig.mailbox()
    rig.platform.messages = [sms(1, availability="Deleted")]
    rig.platform.changes += [
        {"id": 1, "availability": "Deleted"},
        {"id": 2, "availability": "Deleted"},
        {"id": 3, "availability": "Purged"},
    ]
    await refresh(rig)
    assert await told(rig) == {1: ("Trash", "hi")}
    (read,) = rig.platform.sent(READ)
    assert read.url == f"{PLATFORM}{PATH}/message-store/1,2"


async def test_for_many_unclear_messages_the_whole_list_is_read(rig: Rig) -> None:
    await rig.mailbox()
    rig.platform.messages = [sms(number, availability="Deleted") for number in range(1, 202)]
    rig.platform.changes += [{"id": number, "availability": "Deleted"} for number in range(1, 202)]
    await refresh(rig)
    assert set((await told(rig)).values()) == {("Trash", "hi")}
    assert operations(rig) == [SYNC, LIST, SYNC, SYNC, LIST]


async def test_the_token_is_stored_after_all_records_of_its_sync(rig: Rig) -> None:
    await rig.mailbox()
    rig.platform.messages = [sms(1, availability="Deleted")]
    rig.platform.changes += [sms(2), {"id": 1, "availability": "Deleted"}]
    rig.platform.script(READ, *[Reply.error(503)] * 5)
    with pytest.raises(ServerError):
        await refresh(rig)
    assert await told(rig) == {2: ("SMS", "hi")}
    await refresh(rig)
    assert await told(rig) == {1: ("Trash", "hi"), 2: ("SMS", "hi")}
    assert [seen.query["syncToken"] for seen in rig.platform.sent(SYNC)[1:]] == [["since-0"]] * 2


async def test_a_killed_sync_is_repeated(platform: ScriptedPlatform, new_rig: OpenRig) -> None:
    async with new_rig() as rig:
        await rig.mailbox()
        platform.change(**sms(1))
        platform.script(SYNC, Unreachable.SILENT)
        with trio.move_on_after(5):
            await refresh(rig)
    async with new_rig() as rig:
        await refresh(rig)
        assert list(await told(rig)) == [1]
        assert operations(rig, LIST) == [LIST], "it was not loaded twice"


@pytest.mark.parametrize("code", ["MSG-333", "CMN-101"])
async def test_a_refused_token_leads_to_a_full_load(rig: Rig, code: str) -> None:
    for number in (1, 2, 3):
        rig.platform.change(**sms(number))
    await rig.mailbox()
    rig.platform.token_error = code
    rig.platform.refused_tokens = {"since-3"}
    rig.platform.messages = [sms(1), sms(2, "changed", 1), sms(4, "new")]
    rig.platform.changes.append({})
    rig.heard.clear()
    await refresh(rig)
    assert await told(rig) == {1: ("SMS", "hi"), 2: ("SMS", "changed"), 4: ("SMS", "new")}
    assert operations(rig)[2:] == [SYNC, SYNC, LIST]
    heard = set().union(*(touched for _extension, touched in rig.heard))
    names = {path[-1].rpartition(" ")[2] for path in heard if len(path) == 3}
    assert names == {"[2]", "[3]", "[4]"}, "what stayed the same is not told"
    await refresh(rig)
    assert rig.platform.sent(SYNC)[-1].query["syncToken"] == ["since-4"]


async def test_after_days_without_a_sync_the_mailbox_is_loaded_again(rig: Rig) -> None:
    """The last step of a message's life, from purged to erased, is told by no sync."""
    for number in (1, 2):
        rig.platform.change(**sms(number))
    await rig.mailbox()
    rig.platform.messages = [sms(1)]
    rig.platform.clock_ahead_s = 3 * 86_400.0
    await refresh(rig)
    assert list(await told(rig)) == [1, 2]
    rig.platform.clock_ahead_s = 8 * 86_400.0
    await refresh(rig)
    assert list(await told(rig)) == [1]
    assert operations(rig) == [SYNC, LIST, SYNC, SYNC, SYNC, LIST]


async def test_listeners_hear_of_changes_by_another_process(rig: Rig, new_rig: OpenRig) -> None:
    """The index has it already, but whoever shows the tree here has never heard of it."""
    await rig.mailbox()
    async with new_rig() as other:
        rig.platform.change(**sms(1))
        await refresh(other)
        assert ("SMS", "2026-11") in other.heard[-1][1]
        rig.heard.clear()
        await refresh(rig)
        assert rig.heard == [(101, {()})]
        await refresh(rig)
        await refresh(other)
        assert len(rig.heard) == len(other.heard) == 1, "and only once"


async def test_a_refusal_that_is_not_about_the_token_causes_no_load(rig: Rig) -> None:
    await rig.mailbox()
    rig.platform.script(SYNC, Reply.error(400, "CMN-102"))
    with pytest.raises(Exception, match="CMN-102"):
        await refresh(rig)
    assert operations(rig) == [SYNC, LIST, SYNC]


async def test_a_failed_sync_leaves_the_mailbox_as_it_was(rig: Rig) -> None:
    rig.platform.change(**sms(1))
    await rig.mailbox()
    rig.platform.script(SYNC, Reply.error(403, "CMN-419"))
    with pytest.raises(Exception, match="CMN-419"):
        await refresh(rig)
    assert await told(rig) == {1: ("SMS", "hi")}


# How often


def sync_times(rig: Rig, extension: int = 101) -> list[float]:
    return [
        seen.at_s - rig.origin_s for seen in rig.platform.sent(SYNC) if f"/extension/{extension}/" in seen.url
    ]


async def test_a_visit_returns_at_once(rig: Rig) -> None:
    await rig.mailbox()
    await trio.sleep(61)
    rig.platform.change(**sms(1))
    begun_s = rig.now
    rig.engine.account.mailboxes.visit(101)
    assert await told(rig) == {}
    assert rig.now == begun_s
    await trio.sleep(0.2)
    assert await told(rig) == {1: ("SMS", "hi")}


async def test_a_refresh_shows_what_came_after_the_answer_to_a_sync_under_way(rig: Rig) -> None:
    await rig.mailbox()
    await trio.sleep(61)
    before = len(sync_times(rig))
    rig.engine.account.mailboxes.visit(101)
    await trio.sleep(rig.platform.latency_s * 3 / 4)
    rig.platform.change(**sms(1))
    async with trio.open_nursery() as nursery:
        for _both in range(2):
            nursery.start_soon(refresh, rig)
    assert await told(rig) == {1: ("SMS", "hi")}
    assert len(sync_times(rig)) == before + 2, "both share the second sync"


async def test_constant_visits_cost_one_sync_a_minute(rig: Rig) -> None:
    await rig.mailbox()
    while rig.now < 3600:
        rig.engine.account.mailboxes.visit(101)
        await trio.sleep(1)
    times = sync_times(rig)
    assert len(times) == 1 + 60, "at the beginning, and then one in any minute"
    assert min(later - earlier for earlier, later in pairwise(times)) > 59.5


async def test_an_unvisited_mailbox_is_synced_less_and_less_often(
    platform: ScriptedPlatform, new_rig: OpenRig
) -> None:
    async with new_rig() as rig:
        await rig.mailbox()
    async with new_rig() as rig:
        begun = len(sync_times(rig))
        await trio.sleep(86_400)  # noqa: ASYNC116 - a day of virtual time
        assert len(sync_times(rig)) - begun == pytest.approx(86_400 / IDLE_POLL_S, abs=2)


async def test_a_hint_syncs_at_once(rig: Rig) -> None:
    collections = rig.engine.account.collections
    collections.hint("mailbox/101")
    await trio.sleep(1)
    assert operations(rig) == [], "it was never loaded"
    await rig.mailbox()
    rig.platform.change(**sms(1))
    collections.hint("mailbox/101")
    await trio.sleep(0.2)
    assert list(await told(rig)) == [1]


async def test_a_refused_mailbox_is_not_polled(rig: Rig) -> None:
    rig.platform.script(SYNC, Reply.error(403, "CMN-419"))
    with pytest.raises(Exception, match="CMN-419"):
        await rig.mailbox()
    await trio.sleep(3000)
    assert operations(rig) == [SYNC]


async def test_an_extension_that_is_no_longer_visible_is_not_synced(
    platform: ScriptedPlatform, new_rig: OpenRig
) -> None:
    platform.admin = True
    platform.extensions = [{"id": 101}, {"id": 102}]
    async with new_rig() as rig:
        await rig.mailbox(101)
        await rig.mailbox(102)
        platform.extensions = [{"id": 102}]
        await rig.engine.account.refresh()
        before = len(sync_times(rig, 101))
        await trio.sleep(2000)
        assert len(sync_times(rig, 101)) == before
        assert len(sync_times(rig, 102)) > 2


async def test_two_hundred_mailboxes_never_keep_a_person_waiting(
    platform: ScriptedPlatform, new_rig: OpenRig
) -> None:
    platform.plans = {**PRIOR_PLANS, UsageGroup("light"): Plan(10_000)}
    platform.__attrs_post_init__()
    platform.admin = True
    platform.extensions = [{"id": number} for number in range(1, 201)]
    async with new_rig() as rig:
        for number in range(1, 201):
            await rig.mailbox(number)
    platform.plans = PRIOR_PLANS
    platform.__attrs_post_init__()
    await trio.sleep(IDLE_POLL_S)
    async with new_rig() as rig:
        begun = len(platform.sent(SYNC))
        waits = []
        for look in range(60):
            await trio.sleep(30)
            number = look % 200 + 1
            platform.change(**sms(look + 1))
            at_s = rig.now
            await rig.engine.account.mailboxes.refresh(number, Priority.PERSON)
            waits.append(rig.now - at_s)
        assert max(waits) < 1.0, "a slot is always near"
        polled = len(platform.sent(SYNC)) - begun - len(waits)
        # Half an hour is two polls of each, and none was forgotten.
        assert 200 <= polled <= 2 * 200 + 3 * 60
        assert len(rig.engine.lane.gate.queue()) <= 1
