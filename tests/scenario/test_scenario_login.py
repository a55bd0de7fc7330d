"""The access token: when and how it is renewed, and how many requests that costs at most."""

import attrs
import pytest
import trio

from rcfs.errors import AuthError, ServerError
from rcfs.quota import FREEZE_MARGIN_S
from tests.fakes.rig import Rig, noise
from tests.fakes.scripted import Reply, ScriptedPlatform, Unreachable
from tests.scenario.conftest import HEADERS_WITHIN_S, OpenRig

DATA = noise(500)
FETCH = "readMessageContent"
LOGIN = "getToken"
JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
LIFETIME_S = 1800
"""Of the tokens here: they end before the hourly look at the account, which would renew them unasked."""
DUE_S = 1500.0
"""When such a token is renewed, after it was given."""
ENDED_S = 2000.0
"""When it has ended."""
BORN_S = -0.2
"""When the rig's token was given, on its clock: two requests before the engine had started."""


@pytest.fixture(autouse=True)
def _short_lived_tokens(platform: ScriptedPlatform) -> None:
    platform.lifetime_s = LIFETIME_S


def grants(rig: Rig) -> list[str]:
    return [seen.form["grant_type"].rpartition(":")[2] for seen in rig.platform.sent(LOGIN)]


async def read_many(rig: Rig, count: int) -> list[Exception]:
    """The errors of `count` reads at once, each of another attachment."""
    errors: list[Exception] = []

    async def read(number: int) -> None:
        try:
            assert await rig.read(rig.wanted(number, DATA)) == DATA
        except (AuthError, ServerError) as exc:
            errors.append(exc)

    async with trio.open_nursery() as nursery:
        for number in range(count):
            nursery.start_soon(read, number)
    return errors


async def test_a_token_is_renewed_by_the_first_request_after_it_is_due(rig: Rig) -> None:
    await trio.sleep(DUE_S + BORN_S - 1)
    await rig.read(rig.wanted(1, DATA))
    assert grants(rig) == ["jwt-bearer"]
    await trio.sleep(1000)
    assert grants(rig) == ["jwt-bearer"]
    await rig.read(rig.wanted(2, DATA))
    assert grants(rig) == ["jwt-bearer"] * 2
    assert rig.ranges() == ["", ""]


async def test_simultaneous_requests_cause_one_renewal(rig: Rig) -> None:
    await trio.sleep(DUE_S)
    assert await read_many(rig, 50) == []
    assert grants(rig) == ["jwt-bearer"] * 2
    assert len(rig.ranges()) == 50
    assert {seen.token for seen in rig.platform.sent(FETCH)} == {"s3cret-access-2"}


async def test_a_refresh_token_is_used_once(platform: ScriptedPlatform, new_rig: OpenRig) -> None:
    platform.refreshing = True
    async with new_rig() as rig:
        for number in range(3):
            await trio.sleep(DUE_S)
            await rig.read(rig.wanted(number, DATA))
        assert grants(rig) == ["jwt-bearer", "refresh_token", "refresh_token", "refresh_token"]
        used = [seen.form["refresh_token"] for seen in platform.sent(LOGIN)[1:]]
        assert used == ["s3cret-refresh-1", "s3cret-refresh-2", "s3cret-refresh-3"]


@pytest.mark.parametrize(
    "answer", [Reply.error(400, "OAU-210"), Reply.error(503), Reply(200, b"<html>"), Unreachable.RESET]
)
async def test_a_refresh_that_fails_is_followed_by_a_login(
    platform: ScriptedPlatform, new_rig: OpenRig, answer: Reply | Unreachable
) -> None:
    platform.refreshing = True
    async with new_rig() as rig:
        await trio.sleep(DUE_S)
        platform.script(LOGIN, answer)
        await rig.read(rig.wanted(1, DATA))
        assert grants(rig) == ["jwt-bearer", "refresh_token", "jwt-bearer"]
        assert rig.ranges() == [""]


async def test_an_expired_refresh_token_is_not_tried(platform: ScriptedPlatform, new_rig: OpenRig) -> None:
    platform.refreshing = True
    platform.refresh_lifetime_s = 900
    async with new_rig() as rig:
        await trio.sleep(ENDED_S)
        await rig.read(rig.wanted(1, DATA))
        assert grants(rig) == ["jwt-bearer", "jwt-bearer"]


async def test_a_401_is_answered_with_one_refresh_and_then_with_a_login(
    platform: ScriptedPlatform, new_rig: OpenRig
) -> None:
    platform.refreshing = True
    async with new_rig() as rig:
        platform.script(FETCH, Reply.error(401, "OAU-213"), Reply.error(401, "OAU-213"))
        assert await rig.read(rig.wanted(1, DATA)) == DATA
        assert grants(rig) == ["jwt-bearer", "refresh_token", "jwt-bearer"]
        assert rig.fetch_times() == pytest.approx([0.0, 0.2, 0.4])


async def test_a_fifth_401_does_not_renew_the_token(rig: Rig) -> None:
    rig.platform.script(FETCH, *[Reply.error(401, "CMN-405")] * 6)
    with pytest.raises(AuthError, match="CMN-405"):
        await rig.read(rig.wanted(1, DATA))
    assert len(rig.ranges()) == 5
    assert len(grants(rig)) == 5


async def test_four_401_in_a_row_are_not_reported_as_missing_permission(rig: Rig) -> None:
    rig.platform.script(FETCH, *[Reply.error(401, "OAU-213")] * 4)
    assert await rig.read(rig.wanted(1, DATA)) == DATA


async def test_a_401_to_a_token_that_was_replaced_meanwhile_does_not_count(rig: Rig) -> None:
    session, old = rig.engine.lane.session, rig.engine.lane.session.current
    assert old is not None

    def replaced(_request: object) -> Reply:
        # Another request's 401 came first, and its new token is there.
        assert session.current is not None
        session._token = attrs.evolve(session.current, access=f"{session.current.access}-newer")
        rig.platform.live_tokens.add(session._token.access)
        return Reply.error(401, "OAU-213")

    rig.platform.script(FETCH, *[replaced] * 7)
    assert await rig.read(rig.wanted(1, DATA)) == DATA
    assert len(grants(rig)) == 1, "no token was asked for"


async def test_simultaneous_401_cause_one_renewal(rig: Rig) -> None:
    rig.platform.live_tokens.clear()
    assert await read_many(rig, 20) == []
    assert len(grants(rig)) == 2
    assert len(rig.ranges()) == 40


async def test_a_body_that_has_begun_survives_the_end_of_its_token(rig: Rig) -> None:
    rig.platform.script(FETCH, Reply.sized(DATA, pieces=[DATA[:5], DATA[5:]], gap_s=20))

    async def end() -> None:
        await trio.sleep(1)
        rig.platform.live_tokens.clear()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(end)
        assert await rig.read(rig.wanted(1, DATA)) == DATA
    assert rig.ranges() == [""]


async def test_a_refused_login_is_tried_again_once_a_minute_at_most(rig: Rig) -> None:
    await trio.sleep(DUE_S)
    rig.platform.script(LOGIN, *[Reply.error(400, "OAU-251")] * 9)
    assert len(await read_many(rig, 10)) == 10
    await trio.sleep(50)
    with pytest.raises(AuthError, match="OAU-251"):
        await rig.read(rig.wanted(1, DATA))
    assert len(grants(rig)) == 2
    assert rig.ranges() == []
    assert rig.used("medium") == 0


async def test_a_token_that_cannot_be_renewed_is_used_while_it_is_good(rig: Rig) -> None:
    rig.platform.script(LOGIN, *[Reply.error(503)] * 2)
    await trio.sleep(DUE_S)
    first_s = rig.now
    await rig.read(rig.wanted(1, DATA))
    assert rig.now - first_s == pytest.approx(0.2)
    await trio.sleep(29.8)
    await rig.read(rig.wanted(2, DATA))
    assert len(grants(rig)) == 2
    await trio.sleep(1)
    await rig.read(rig.wanted(3, DATA))
    assert len(grants(rig)) == 3
    await trio.sleep(31)
    await rig.read(rig.wanted(4, DATA))
    assert [seen.token for seen in rig.platform.sent(FETCH)] == ["s3cret-access-1"] * 3 + ["s3cret-access-2"]


async def test_a_login_that_fails_is_tried_five_times_for_all_who_wait(rig: Rig) -> None:
    await trio.sleep(ENDED_S)
    begun_s = rig.now
    rig.platform.script(LOGIN, *[Reply.error(503)] * 5)
    assert [str(error) for error in await read_many(rig, 10)] == ["login: HTTP 503, No."] * 10
    times = [round(at_s - begun_s, 3) for at_s in rig.platform.times(LOGIN, rig.origin_s)[1:]]
    assert times == [0.0, 2.1, 6.2, 14.3, 30.4]
    assert rig.used("medium") == 0
    assert rig.ranges() == []
    # Not remembered: who asks later tries again.
    await rig.read(rig.wanted(1, DATA))


async def test_a_login_that_is_refused_for_quota_waits_for_the_end_of_the_penalty(rig: Rig) -> None:
    await trio.sleep(ENDED_S)
    rig.platform.script(LOGIN, Reply.error(429, "CMN-301", headers={"Retry-After": "60"}))
    begun_s = rig.now
    await rig.read(rig.wanted(1, DATA))
    assert rig.now - begun_s == pytest.approx(0.1 + 60 + FREEZE_MARGIN_S + 0.2)


async def test_a_penalty_that_begins_during_a_login_is_obeyed(rig: Rig) -> None:
    """The slot must not be older than the login: what it permitted may be forbidden meanwhile."""
    await trio.sleep(DUE_S + BORN_S - 1)
    rig.platform.script(FETCH, Reply.error(429, "CMN-301", headers={"Retry-After": "60"}, delay_s=3.9))
    rig.platform.script(LOGIN, lambda request: attrs.evolve(rig.platform._login(request), delay_s=10))
    begun_s = rig.now
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.read, rig.wanted(1, DATA))
        await trio.sleep(2)
        nursery.start_soon(rig.read, rig.wanted(2, DATA))
    first_s, *others_s = (at_s - begun_s for at_s in rig.fetch_times())
    assert first_s == 0
    assert others_s == pytest.approx([4 + 60 + FREEZE_MARGIN_S] * 2)


async def test_a_login_without_an_answer_ends_at_a_deadline(rig: Rig) -> None:
    await trio.sleep(ENDED_S)
    rig.platform.script(LOGIN, Unreachable.SILENT)
    begun_s = rig.now
    await rig.read(rig.wanted(1, DATA))
    assert rig.now - begun_s == pytest.approx(HEADERS_WITHIN_S + 2 + 0.2)


async def test_tokens_that_last_a_second_do_not_cause_endless_logins(
    platform: ScriptedPlatform, new_rig: OpenRig
) -> None:
    platform.lifetime_s = 1
    async with new_rig() as rig:
        assert await rig.read(rig.wanted(1, DATA)) == DATA
        await trio.sleep(60)
        assert await rig.read(rig.wanted(2, DATA)) == DATA
        assert len(grants(rig)) == 2
