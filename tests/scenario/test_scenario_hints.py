"""Hints of the platform: they sync a mailbox at once, slow polling down, and cost no needless request."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import trio

from rcfs.model import PRIOR_PLANS, Plan, UsageGroup
from tests.fakes.gateway import Gateway
from tests.fakes.rig import Rig, open_rig
from tests.fakes.scripted import Reply, ScriptedPlatform
from tests.fakes.status import status_document

POLL_S, IDLE_POLL_S = 60.0, 900.0
"""Time between two syncs of a mailbox that a person looks at, and of one that nobody looks at."""

TOKEN, SYNC = "authWsToken", "syncMessages"
SUBSCRIBE = "/restapi/v1.0/subscription"


@pytest.fixture
def gateway(platform: ScriptedPlatform) -> Gateway:
    platform.scope = "ReadAccounts ReadMessages WebSocket"
    return Gateway()


class Hinted:
    """Opens rigs whose hints run."""

    def __init__(self, platform: ScriptedPlatform, gateway: Gateway, directory: Path) -> None:
        self._arguments = platform, directory
        self._gateway = gateway

    @asynccontextmanager
    async def __call__(self, *mailboxes: int) -> AsyncIterator[Rig]:
        async with (
            open_rig(*self._arguments, sockets=self._gateway.open) as rig,
            trio.open_nursery() as nursery,
        ):
            rig.engine.hints._jitter = lambda: 1.0  # the whole pause
            nursery.start_soon(rig.engine.hints.run)
            for number in mailboxes:
                await rig.mailbox(number)
            await trio.sleep(2)
            yield rig
            nursery.cancel_scope.cancel()


@pytest.fixture
def hinted(platform: ScriptedPlatform, gateway: Gateway, tmp_path: Path) -> Hinted:
    return Hinted(platform, gateway, tmp_path)


def syncs(rig: Rig, since_s: float) -> list[float]:
    """When mailboxes were synced, in seconds from `since_s` on, as `rig.now` counts."""
    return [at_s - since_s for at_s in rig.platform.times(SYNC, rig.origin_s) if at_s >= since_s]


async def hints(rig: Rig) -> dict[str, Any]:
    document = (await status_document(rig.engine))["hints"]
    assert isinstance(document, dict)
    return document


async def test_a_hint_brings_the_message_at_once(hinted: Hinted, gateway: Gateway) -> None:
    async with hinted(101) as rig:
        state = await hints(rig)
        assert (state["state"], state["mailboxes"], state["off_because"]) == ("on", 1, None)
        await trio.sleep(300)
        rig.platform.change(id=1, type="SMS", subject="hi")
        begun_s = rig.now
        gateway.connection.tell(101)
        await trio.sleep(0.2)
        assert [message.id for message in await rig.messages()] == [1], "and none of the notification's"
        assert len(syncs(rig, begun_s)) == 1
        gateway.connection.tell(999)
        gateway.connection.say("ServerNotification", {"event": "/restapi/v1.0/account/1/presence"})
        gateway.connection.say("Novelty")
        await trio.sleep(1)
        assert len(syncs(rig, begun_s)) == 1, "of nobody that is known"
    assert gateway.connection.ended
    ((_at, url),) = gateway.urls
    assert url == "wss://ws-api.ringcentral.com/ws?access_token=s3cret-ws-1"
    assert gateway.asked[0][:2] == ("POST", SUBSCRIBE)


async def test_no_connection_is_opened_before_a_mailbox_is_loaded(hinted: Hinted, gateway: Gateway) -> None:
    async with hinted() as rig:
        await trio.sleep(1000)
        assert gateway.urls == []
        assert (await hints(rig))["off_because"] == "no mailbox is loaded yet"
        await rig.mailbox(101)
        await trio.sleep(1)
        assert len(gateway.urls) == 1
        assert gateway.connection.filters == ["/restapi/v1.0/account/~/extension/101/message-store"]


async def test_polling_is_slower_while_hints_come_and_never_stops(hinted: Hinted, gateway: Gateway) -> None:
    async with hinted(101) as rig:
        rig.engine.account.mailboxes.visit(101)
        begun_s = rig.now
        await trio.sleep(4 * IDLE_POLL_S + 1)
        assert len(syncs(rig, begun_s)) == 4
        gateway.unreachable = True
        gateway.connection.close()
        begun_s = rig.now
        await trio.sleep(1)
        rig.engine.account.mailboxes.visit(101)
        await trio.sleep(POLL_S * 2)
        assert len(syncs(rig, begun_s)) == 2, "as it always was"


async def test_after_a_lost_connection_all_mailboxes_are_synced(hinted: Hinted, gateway: Gateway) -> None:
    async with hinted(101) as rig:
        await trio.sleep(100)
        begun_s = rig.now
        gateway.connection.cut()
        await trio.sleep(10)
        assert "&wsc=mark" in gateway.urls[1][1]
        assert len(gateway.connections) == 2
        assert len(syncs(rig, begun_s)) == 1


async def test_after_a_recovered_connection_nothing_is_synced(hinted: Hinted, gateway: Gateway) -> None:
    gateway.recovers = True
    async with hinted(101) as rig:
        await trio.sleep(100)
        begun_s = rig.now
        gateway.connection.cut()
        await trio.sleep(10)
        assert (await hints(rig))["state"] == "on"
        assert syncs(rig, begun_s) == []
        assert len([asked for asked in gateway.asked if asked[0] == "POST"]) == 1, "nor is it asked again"


async def test_further_mailboxes_change_the_subscription_once(
    platform: ScriptedPlatform, hinted: Hinted, gateway: Gateway
) -> None:
    platform.admin = True
    platform.extensions = [{"id": number} for number in range(101, 111)]
    async with hinted(101) as rig:
        for number in range(102, 111):
            await rig.mailbox(number)
            await trio.sleep(1)
        await trio.sleep(30)
        changes = [(asked[0], asked[1], len(asked[2]["eventFilters"])) for asked in gateway.asked if asked[1]]
        assert changes == [("POST", SUBSCRIBE, 1), ("PUT", f"{SUBSCRIBE}/sub", 10)]
        assert (await hints(rig))["mailboxes"] == 10
        assert len(gateway.urls) == 1


async def test_a_silent_connection_is_given_up(hinted: Hinted, gateway: Gateway) -> None:
    async with hinted(101):
        await trio.sleep(3600)
        assert len(gateway.urls) == 1, "heartbeats are answered"
        gateway.connection.silent = True
        await trio.sleep(60 + 30 + 5 + 1)
        assert len(gateway.urls) == 2
        assert gateway.connections[0].ended


async def test_the_pauses_double(hinted: Hinted, gateway: Gateway) -> None:
    gateway.unreachable = True
    async with hinted(101) as rig:
        await trio.sleep(4000)
        assert (await hints(rig))["off_because"] == "cannot connect"
        times = [at_s for at_s, _url in gateway.urls]
        pauses = [round(after - before) for before, after in pairwise(times)]
        assert pauses[:9] == [5, 10, 20, 40, 80, 160, 320, 600, 600]
        gateway.unreachable = False
        await trio.sleep(601)
        assert (await hints(rig))["state"] == "on"


async def test_without_the_scope_nothing_is_asked(
    platform: ScriptedPlatform, hinted: Hinted, gateway: Gateway
) -> None:
    platform.scope = "ReadAccounts ReadMessages"
    async with hinted(101) as rig:
        await trio.sleep(20_000)
        assert (await hints(rig))[
            "off_because"
        ] == "the app lacks the scope WebSocket; add it in the developer console"
    assert platform.sent(TOKEN) == []


async def test_a_refusal_is_remembered_for_a_day(
    platform: ScriptedPlatform, hinted: Hinted, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.script(TOKEN, Reply.error(403, "CMN-401"))
    for _run in range(2):
        async with hinted(101) as rig:
            await trio.sleep(20_000)
            assert (await hints(rig))["off_because"] == "the server does not allow notifications (CMN-401)"
    assert (len(platform.sent(TOKEN)), gateway.urls) == (1, [])
    monkeypatch.setattr("rcfs.mailbox._hints._ASK_AGAIN_S", 0.0)
    async with hinted(101) as rig:
        assert (await hints(rig))["state"] == "on"


async def test_a_subscription_that_is_refused_is_one_attempt(
    platform: ScriptedPlatform, hinted: Hinted, gateway: Gateway
) -> None:
    gateway.refusals.append(403)
    async with hinted(101) as rig:
        await trio.sleep(20_000)
        assert (await hints(rig))["off_because"] == "the server does not allow notifications (CMN-401)"
        assert rig.used("medium") == 0
    assert (len(platform.sent(TOKEN)), len(gateway.asked)) == (1, 1)


async def test_a_subscription_counts_for_the_quota(
    platform: ScriptedPlatform, hinted: Hinted, gateway: Gateway
) -> None:
    platform.plans = {**PRIOR_PLANS, UsageGroup("medium"): Plan(40)}
    async with hinted(101) as rig:
        assert rig.used("medium") == 1
        assert rig.engine.recorder.requests().by_group["medium"] == 1


async def test_a_subscription_that_is_refused_for_quota_waits_for_the_end_of_the_penalty(
    hinted: Hinted, gateway: Gateway
) -> None:
    gateway.refusals.append(429)
    async with hinted(101) as rig:
        assert (await hints(rig))["state"] == "off"
        await trio.sleep(120)
        assert (await hints(rig))["state"] == "on"
        assert len(gateway.urls) == 1


@pytest.mark.parametrize("text", ["", "[]", "[1]", "{}", "[[]]"])
async def test_nonsense_ends_a_connection(hinted: Hinted, gateway: Gateway, text: str) -> None:
    async with hinted(101) as rig:
        gateway.connection._send.send_nowait(text)
        await trio.sleep(1)
        assert (await hints(rig))["state"] == "off"
        await trio.sleep(10)
        assert (await hints(rig))["state"] == "on"


@pytest.mark.parametrize(
    "uri", ["wss://evil.example/ws", "ws://ws-api.ringcentral.com/ws", "https://x", "", None]
)
async def test_the_token_goes_to_no_other_host(
    platform: ScriptedPlatform, hinted: Hinted, gateway: Gateway, uri: str | None
) -> None:
    platform.script(TOKEN, *[Reply.of_json({"uri": uri, "ws_access_token": "s3cret-ws-1"})] * 5)
    async with hinted(101) as rig:
        assert (await hints(rig))["state"] == "off"
        assert gateway.urls == []
