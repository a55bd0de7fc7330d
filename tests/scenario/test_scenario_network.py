"""An outage, and --offline: what is still served, what fails, and how rcfs recovers."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from rcfs.errors import AuthError, OfflineError, RcfsError, SilentError, UnreachableError, UntrustedError
from rcfs.mailbox import Change, ExtensionsChanged
from rcfs.model import Priority
from rcfs.platform import AUTH
from rcfs.quota import Ledger, MemoryHome, Waiting
from tests.fakes.rig import Rig, noise
from tests.fakes.scripted import MEDIA, PLATFORM, Reply, ScriptedPlatform, Unreachable
from tests.fakes.status import status_document
from tests.scenario.conftest import OpenRig

PROBE_S = 5.0
"""Time between two probes in an outage."""
LASTING_PROBE_S = 30.0
"""Time between two probes when the user must change something first, such as a certificate."""
BLIP_S = 60.0
"""Time that a bulk job waits for the end of an outage."""

DATA = noise(3000)
FETCH, SYNC, PROBE = "readMessageContent", "syncMessages", "probe"


def sms(number: int) -> dict[str, Any]:
    return {"id": number, "type": "SMS", "creationTime": "2026-11-03T10:00:00Z", "subject": "hi"}


def media(rig: Rig, number: int) -> Any:
    """An attachment on the media host."""
    wanted = rig.wanted(number, DATA)
    return rig.wanted(number, DATA, uri=rig.platform.add_content(wanted.key, DATA, MEDIA))


async def failed_after(
    rig: Rig, operation: Callable[[], Any], kind: type[RcfsError] = UnreachableError
) -> float:
    """How long `operation` took to fail."""
    begun_s = rig.now
    with pytest.raises(kind):
        await operation()
    return rig.now - begun_s


async def cut(rig: Rig) -> None:
    """The network fails, and that is known."""
    rig.platform.away = [PLATFORM, MEDIA]
    await failed_after(rig, lambda: rig.read(rig.wanted(999, DATA)))
    assert rig.engine.network.is_down


async def test_two_failed_connections_are_reported_within_seconds(rig: Rig) -> None:
    rig.platform.away = [PLATFORM, MEDIA]
    assert await failed_after(rig, lambda: rig.read(rig.wanted(1, DATA))) == pytest.approx(2)
    assert len(rig.platform.sent(FETCH)) == 2
    assert await failed_after(rig, lambda: rig.read(rig.wanted(2, DATA))) == pytest.approx(0)
    assert await failed_after(rig, rig.mailbox) == pytest.approx(0)
    assert len(rig.platform.sent(FETCH)) == 2, "and nothing is sent"


async def test_a_single_failed_connection_is_retried(rig: Rig) -> None:
    rig.platform.script(FETCH, Unreachable.REFUSED)
    assert await rig.read(rig.wanted(1, DATA)) == DATA
    assert not rig.engine.network.is_down
    assert rig.platform.sent(PROBE) == []


async def test_in_an_outage_nothing_but_probes_is_sent(rig: Rig) -> None:
    await rig.mailbox()
    await cut(rig)
    before, begun_s = len(rig.platform.seen), rig.now
    while rig.now < begun_s + 600:
        for number in range(5):
            await failed_after(rig, partial(rig.read, rig.wanted(number, DATA)))
        rig.engine.account.mailboxes.visit(101)
        rig.engine.account.collections.hint("mailbox/101")
        await trio.sleep(1.3)
    sent = rig.platform.seen[before:]
    assert {seen.operation for seen in sent} == {PROBE}
    assert {seen.token for seen in sent} == {""}
    gaps = {round(later.at_s - earlier.at_s, 3) for earlier, later in pairwise(sent)}
    assert gaps == {PROBE_S}


async def test_an_outage_costs_no_budget(rig: Rig) -> None:
    await cut(rig)
    assert rig.used("medium") == 0


async def test_in_an_outage_the_index_and_the_cache_still_serve(rig: Rig) -> None:
    rig.platform.change(**sms(1))
    cached = rig.wanted(1, DATA)
    await rig.read(cached)
    await rig.mailbox()
    await cut(rig)
    begun_s = rig.now
    assert [message.id for message in await rig.messages()] == [1]
    assert await rig.read(cached) == DATA
    assert await rig.engine.library.state(cached.key) == "yes"
    assert rig.now == begun_s
    assert (await status_document(rig.engine))["network"] == "unreachable"


async def test_everything_heals_within_a_probe(rig: Rig) -> None:
    await rig.mailbox()
    await trio.sleep(11)
    await cut(rig)
    rig.engine.account.mailboxes.visit(101)
    rig.platform.change(**sms(1))
    await trio.sleep(300)
    rig.platform.away = []
    await trio.sleep(PROBE_S + 0.3)
    assert not rig.engine.network.is_down
    assert await rig.read(rig.wanted(1, DATA)) == DATA
    # The look during the outage was not in vain.
    assert [message.id for message in await rig.messages()] == [1]
    probes = len(rig.platform.sent(PROBE))
    await trio.sleep(60)
    assert len(rig.platform.sent(PROBE)) == probes
    assert (await status_document(rig.engine))["network"] == "up"


async def test_a_failed_sync_is_repeated_when_the_network_returns(rig: Rig) -> None:
    await rig.mailbox()
    await trio.sleep(61)
    rig.platform.away = [PLATFORM, MEDIA]
    rig.engine.account.mailboxes.visit(101)
    await trio.sleep(30)
    assert rig.engine.network.is_down, "nobody else has asked"
    rig.platform.change(**sms(1))
    rig.platform.away = []
    await trio.sleep(PROBE_S + 0.5)
    assert [message.id for message in await rig.messages()] == [1]


async def test_a_copy_waits_for_the_end_of_a_short_outage(rig: Rig) -> None:
    await cut(rig)
    begun_s = rig.now
    async with trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(rig.read, rig.wanted(number, DATA), Priority.BULK)
        await trio.sleep(BLIP_S / 2)
        rig.platform.away = []
    # `read` of all of them has succeeded, none of them before the network was back.
    assert BLIP_S / 2 <= rig.now - begun_s <= BLIP_S / 2 + PROBE_S + 1
    assert len(rig.platform.sent(FETCH)) == 2 + 10


async def test_a_copy_does_not_wait_for_the_end_of_a_long_outage(rig: Rig) -> None:
    await cut(rig)
    bulk = [
        await failed_after(rig, partial(rig.read, rig.wanted(number, DATA), Priority.BULK))
        for number in range(3)
    ]
    assert bulk == [pytest.approx(BLIP_S), pytest.approx(0), pytest.approx(0)]


async def test_a_request_that_waits_for_a_slot_in_an_outage_costs_no_slot(rig: Rig) -> None:
    """Of 60 contents 40 have slots; the others wait for theirs while the network is away."""
    async with trio.open_nursery() as nursery:
        for number in range(60):
            nursery.start_soon(rig.read, rig.wanted(number, DATA), Priority.BULK)
        await trio.sleep(20)
        fetched = len(rig.platform.sent(FETCH))
        assert fetched < 60
        rig.platform.away = [PLATFORM, MEDIA]
        await trio.sleep(50)
        rig.platform.away = []
    await wait_all_tasks_blocked()  # A reader has the last byte before its request has ended.
    assert len(rig.platform.sent(FETCH)) - 60 == 2, "the two that made it an outage"
    assert rig.engine.recorder.requests().content == 60


async def test_a_person_who_joins_a_waiting_copy_fails_soon(rig: Rig) -> None:
    await cut(rig)
    wanted = rig.wanted(1, DATA)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(failed_after, rig, lambda: rig.read(wanted, Priority.BULK))
        await trio.sleep(10)
        assert await failed_after(rig, lambda: rig.read(wanted)) <= 1.0


async def test_an_unreachable_media_host_does_not_affect_the_platform(rig: Rig) -> None:
    rig.platform.away = [MEDIA]
    await failed_after(rig, lambda: rig.read(media(rig, 1)))
    assert await failed_after(rig, lambda: rig.read(media(rig, 2))) == pytest.approx(0)
    assert not rig.engine.network.is_down
    await rig.mailbox()
    assert await rig.read(rig.wanted(3, DATA)) == DATA
    rig.platform.away = []
    await trio.sleep(PROBE_S + 0.2)
    assert await rig.read(media(rig, 2)) == DATA
    assert {seen.url for seen in rig.platform.sent(PROBE)} == {f"{MEDIA}/restapi"}


async def test_a_valid_token_is_used_while_the_platform_is_away(rig: Rig) -> None:
    """The platform is away when the token is due for renewal, the media host is not."""
    rig.platform.script("getToken", *[Unreachable.REFUSED] * 9)
    await trio.sleep(3400)
    assert await rig.read(media(rig, 1)) == DATA
    assert {seen.token for seen in rig.platform.sent(FETCH)} == {"s3cret-access-1"}


async def test_in_an_outage_no_login_is_sent(rig: Rig) -> None:
    """The media host is there, but the token has ended, and only the platform has another."""
    await cut(rig)
    rig.platform.away = [PLATFORM]
    await trio.sleep(3700)
    assert rig.engine.network.is_down
    assert await failed_after(rig, lambda: rig.read(media(rig, 1))) == pytest.approx(0)
    assert {seen.operation for seen in rig.platform.seen if seen.at_s > rig.origin_s + 10} == {PROBE}
    rig.platform.away = []
    await trio.sleep(PROBE_S + 0.2)
    assert await rig.read(media(rig, 1)) == DATA


async def test_an_answer_of_any_kind_is_an_answer(rig: Rig) -> None:
    rig.platform.script(FETCH, Unreachable.REFUSED, Reply.error(503), Unreachable.REFUSED)
    assert await rig.read(rig.wanted(1, DATA)) == DATA
    assert rig.platform.sent(PROBE) == []


async def test_a_probe_that_is_never_answered_is_given_up(rig: Rig) -> None:
    await cut(rig)
    rig.platform.script(PROBE, Unreachable.SILENT)
    rig.platform.away = []
    await trio.sleep(PROBE_S + 10 + 0.3)
    assert not rig.engine.network.is_down
    assert len(rig.platform.sent(PROBE)) == 2


# A server that takes connections and says nothing


async def test_a_silent_server_is_an_outage(rig: Rig) -> None:
    rig.platform.mute = [PLATFORM, MEDIA]
    assert await failed_after(rig, rig.mailbox) == pytest.approx(45)
    assert (await status_document(rig.engine))["network"] == "unreachable"
    assert len(rig.platform.sent(SYNC)) == 1
    assert await failed_after(rig, lambda: rig.read(rig.wanted(1, DATA))) == pytest.approx(0)
    rig.platform.mute = []
    await trio.sleep(PROBE_S + 10 + 0.3)
    assert await rig.read(rig.wanted(1, DATA)) == DATA
    assert (await status_document(rig.engine))["network"] == "up"


async def test_a_slow_answer_of_a_live_server_is_no_outage(rig: Rig) -> None:
    rig.platform.script(SYNC, Reply.of_json({"records": [], "syncInfo": {"syncToken": "1"}}, delay_s=42.0))
    await rig.mailbox()
    assert rig.now == pytest.approx(42.2)
    assert not rig.engine.network.is_down
    assert len(rig.platform.sent(PROBE)) == 4, "one every ten seconds"
    assert len(rig.platform.sent(SYNC)) == 1


async def test_an_answer_to_another_request_shows_that_the_server_is_alive(rig: Rig) -> None:
    rig.platform.script(SYNC, Unreachable.SILENT)

    async def look() -> None:
        await rig.mailbox()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(look)
        for number in range(10):
            await trio.sleep(5)
            await rig.read(rig.wanted(number, DATA))
        assert rig.platform.sent(PROBE) == []


async def test_requests_to_a_silent_server_count_for_the_quota(rig: Rig) -> None:
    rig.platform.mute = [PLATFORM, MEDIA]
    await failed_after(rig, lambda: rig.read(rig.wanted(1, DATA)))
    assert rig.used("medium") == 1, "it may have seen it"


async def test_a_silent_login_server_is_an_outage_too(platform: ScriptedPlatform, new_rig: OpenRig) -> None:
    platform.mute = [PLATFORM]
    with pytest.raises(
        SilentError, match=r"platform\.ringcentral\.com accepts connections but does not answer"
    ):
        async with new_rig():
            pass
    assert trio.current_time() == pytest.approx(45)


# Starting


@pytest.mark.parametrize("trouble", ["away", "mute"])
async def test_an_unknown_account_waits_for_the_network(
    platform: ScriptedPlatform, new_rig: OpenRig, trouble: str
) -> None:
    reasons: list[str] = []
    setattr(platform, trouble, [PLATFORM])

    async def come() -> None:
        await trio.sleep(50)
        setattr(platform, trouble, [])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(come)
        async with new_rig(wait_online_s=90.0, on_wait=reasons.append) as rig:
            assert 50 < trio.current_time() < 50 + PROBE_S + 10 + 2
            assert rig.engine.account.extensions
    assert len(reasons) == 1
    assert "platform.ringcentral.com" in reasons[0]


async def test_an_unknown_account_waits_no_longer_than_it_was_told_to(
    platform: ScriptedPlatform, new_rig: OpenRig
) -> None:
    platform.away = [PLATFORM]
    with pytest.raises(UnreachableError):
        async with new_rig(wait_online_s=60.0):
            pass
    assert trio.current_time() == pytest.approx(60)


async def test_wrong_credentials_fail_without_waiting(platform: ScriptedPlatform, new_rig: OpenRig) -> None:
    platform.script("getToken", Reply.error(400, "OAU-251"))
    with pytest.raises(AuthError):
        async with new_rig(wait_online_s=60.0):
            pass
    assert trio.current_time() < 1


async def test_a_known_account_starts_without_the_network(
    platform: ScriptedPlatform, new_rig: OpenRig
) -> None:
    platform.change(**sms(1))
    async with new_rig() as rig:
        cached = rig.wanted(1, DATA)
        await rig.read(cached)
        await rig.mailbox()
    platform.away = [PLATFORM, MEDIA]
    begun_s = trio.current_time()
    async with new_rig() as rig:
        assert trio.current_time() == begun_s
        assert rig.engine.account.name == "Example Ltd"
        assert [extension.id for extension in rig.engine.account.extensions] == [101]
        assert [message.id for message in await rig.messages()] == [1]
        assert await rig.read(cached) == DATA
        await trio.sleep(5)
        assert await failed_after(rig, lambda: rig.read(rig.wanted(2, DATA))) == pytest.approx(0)
        platform.away = []
        platform.change(**sms(2))
        await trio.sleep(PROBE_S + 1)
        assert await rig.read(rig.wanted(2, DATA)) == DATA
        await rig.engine.account.mailboxes.refresh(101)
        assert [message.id for message in await rig.messages()] == [1, 2]


async def test_a_known_account_waits_half_a_second_for_a_silent_server(
    platform: ScriptedPlatform, new_rig: OpenRig
) -> None:
    async with new_rig():
        pass
    platform.script("getToken", Unreachable.SILENT)
    begun_s = trio.current_time()
    async with new_rig():
        assert trio.current_time() - begun_s == pytest.approx(0.5)


async def test_an_unknown_account_needs_the_network(platform: ScriptedPlatform, new_rig: OpenRig) -> None:
    platform.away = [PLATFORM, MEDIA]
    begun_s = trio.current_time()
    with pytest.raises(UnreachableError, match=r"cannot connect to platform\.ringcentral\.com"):
        async with new_rig():
            pass
    assert trio.current_time() - begun_s == pytest.approx(2)


async def test_another_user_of_the_same_app_does_not_see_the_first_users_account(
    platform: ScriptedPlatform, new_rig: OpenRig
) -> None:
    async with new_rig() as rig:
        await rig.mailbox()
    platform.away = [PLATFORM, MEDIA]
    with pytest.raises(UnreachableError):
        async with new_rig(jwt="s3cret.jwt.of-another"):
            pass


async def test_refused_credentials_are_reported_for_a_known_account(
    platform: ScriptedPlatform, new_rig: OpenRig
) -> None:
    async with new_rig():
        pass
    platform.script("getToken", Reply.error(400, "OAU-251"))
    with pytest.raises(AuthError, match="OAU-251"):
        async with new_rig():
            pass


async def test_a_known_account_waits_for_the_login_and_for_nothing_that_comes_after_it(
    platform: ScriptedPlatform, new_rig: OpenRig
) -> None:
    async with new_rig():
        pass
    platform.script("readAccountInfo", Reply(delay_s=20.0))
    begun_s = trio.current_time()
    async with new_rig():
        assert len(platform.sent("getToken")) == 2
        assert trio.current_time() - begun_s < 0.2


async def test_a_known_account_does_not_wait_for_a_login_that_waits_for_its_slot(
    platform: ScriptedPlatform, new_rig: OpenRig
) -> None:
    async with new_rig():
        pass
    ledger = Ledger(MemoryHome(platform.plans))
    for _ in range(platform.plans[AUTH].limit):
        ledger.take(AUTH, Waiting.only(Priority.PERSON, 0.0), trio.current_time())
    begun_s = trio.current_time()
    async with new_rig(ledger=ledger):
        assert trio.current_time() == begun_s


async def test_new_extensions_are_shown_when_the_network_returns(
    platform: ScriptedPlatform, new_rig: OpenRig
) -> None:
    platform.admin = True
    platform.extensions = [{"id": 101}]
    async with new_rig():
        pass
    platform.extensions = [{"id": 101}, {"id": 102}]
    platform.away = [PLATFORM, MEDIA]
    async with new_rig() as rig:
        heard: list[int] = []

        def hear(change: Change) -> None:
            if isinstance(change, ExtensionsChanged):
                heard.append(len(rig.engine.account.extensions))

        rig.engine.account.changes.subscribe(hear)
        await trio.sleep(100)
        assert heard == []
        platform.away = []
        await trio.sleep(PROBE_S + 1)
        assert heard == [2]


# Offline


async def test_offline_nothing_is_ever_sent(platform: ScriptedPlatform, new_rig: OpenRig) -> None:
    platform.change(**sms(1))
    async with new_rig() as rig:
        cached = rig.wanted(1, DATA)
        await rig.read(cached)
        await rig.mailbox()
    before = len(platform.seen)
    begun_s = trio.current_time()
    async with new_rig(offline=True) as rig:
        assert trio.current_time() == begun_s
        assert [message.id for message in await rig.messages()] == [1]
        assert await rig.read(cached) == DATA
        for priority in Priority:
            wanted = rig.wanted(2, DATA)
            took_s = await failed_after(rig, partial(rig.read, wanted, priority), OfflineError)
            assert took_s == pytest.approx(0)
        rig.engine.account.mailboxes.visit(101)
        await failed_after(rig, lambda: rig.mailbox(102), OfflineError)
        await failed_after(rig, rig.engine.account.refresh, OfflineError)
        assert (await status_document(rig.engine))["network"] == "offline"
        await trio.sleep(10_000)
        assert rig.engine.recorder.faults == (), "it is as it was wanted"
    assert platform.seen[before:] == []


async def test_offline_an_unknown_account_fails(platform: ScriptedPlatform, new_rig: OpenRig) -> None:
    with pytest.raises(OfflineError, match="mount it once without --offline"):
        async with new_rig(offline=True):
            pass
    assert platform.seen == []


async def test_an_untrusted_certificate_is_reported_at_once_and_heals(rig: Rig) -> None:
    await rig.mailbox()
    rig.platform.untrusted = [PLATFORM]
    begun_s = rig.now
    assert await failed_after(rig, lambda: rig.read(rig.wanted(1, DATA)), UntrustedError) == 0
    assert await failed_after(rig, lambda: rig.read(rig.wanted(2, DATA)), UntrustedError) == 0
    assert "is not signed by an authority" in rig.engine.network.problem
    assert len(rig.platform.sent(FETCH)) == 1, "nobody tries again what somebody must mend first"
    await trio.sleep(100)
    assert rig.platform.times(PROBE, rig.origin_s + begun_s) == [
        LASTING_PROBE_S * count for count in (1, 2, 3)
    ]
    rig.platform.untrusted = []
    await trio.sleep(LASTING_PROBE_S)
    assert (rig.engine.network.is_down, rig.engine.network.problem) == (False, "")
    assert await rig.read(rig.wanted(1, DATA)) == DATA
