"""Servers that fail, refuse, redirect and vanish: how many requests rcfs sends, and exactly when."""

import pytest
import trio

from rcfs.errors import BadRequestError, PlatformError, RateLimitedError, ServerError
from rcfs.model import UsageGroup
from rcfs.quota import FREEZE_MARGIN_S
from tests.fakes.rig import Rig, noise
from tests.fakes.scripted import FOREIGN, MEDIA, PLATFORM, End, Reply, Unreachable
from tests.scenario.conftest import HEADERS_WITHIN_S

DATA = noise(5000)
FETCH = "readMessageContent"
MEDIUM = UsageGroup("medium")


async def test_a_failing_server_is_asked_again_after_2_4_8_and_16_seconds(rig: Rig) -> None:
    rig.platform.script(FETCH, *[Reply.error(502)] * 4)
    assert await rig.read(rig.wanted(1, DATA)) == DATA
    assert rig.fetch_times() == [0.0, 2.1, 6.2, 14.3, 30.4]


async def test_a_server_that_keeps_failing_is_given_up_after_five_requests(rig: Rig) -> None:
    rig.platform.script(FETCH, *[Reply.error(500, "CMN-201")] * 10)
    wanted = rig.wanted(1, DATA)
    with pytest.raises(ServerError, match="CMN-201"):
        await rig.read(wanted)
    assert len(rig.fetch_times()) == 5
    with pytest.raises(ServerError):
        await rig.read(wanted)
    # The failure is not remembered: the next reader started a new fetch at once.
    assert rig.fetch_times()[5] == 30.5


async def test_a_longer_retry_after_is_obeyed_and_a_shorter_one_is_no_reason_to_hurry(rig: Rig) -> None:
    rig.platform.script(
        FETCH,
        Reply.error(503, headers={"Retry-After": "45"}),
        Reply.error(503, headers={"Retry-After": "1"}),
    )
    assert await rig.read(rig.wanted(1, DATA)) == DATA
    assert rig.fetch_times() == [0.0, 45.1, 49.2]


async def test_a_refused_or_lost_connection_is_tried_again(rig: Rig) -> None:
    rig.platform.script(FETCH, Unreachable.REFUSED, Unreachable.RESET)
    assert await rig.read(rig.wanted(1, DATA)) == DATA
    assert rig.fetch_times() == [0.0, 2.0, 6.05]


async def test_an_answer_that_never_comes_ends_at_the_deadline(rig: Rig) -> None:
    rig.platform.script(FETCH, Unreachable.SILENT)
    assert await rig.read(rig.wanted(1, DATA)) == DATA
    assert rig.fetch_times() == [0.0, HEADERS_WITHIN_S + 2]


async def test_faults_with_much_progress_between_them_do_not_add_up(rig: Rig) -> None:
    data = noise(1_000_000)
    rig.platform.script(FETCH, *[Reply.error(502)] * 3, _broken(data, 0), *[Reply.error(502)] * 4)
    assert await rig.read(rig.wanted(1, data)) == data
    assert len(rig.ranges()) == 9


def _broken(data: bytes, start: int) -> Reply:
    return Reply.sized(data[start : start + 70_000], len(data), end=End.RESET)


@pytest.mark.parametrize("status", [400, 405, 409, 410, 416])
async def test_other_refusals_are_final(rig: Rig, status: int) -> None:
    rig.platform.script(FETCH, Reply.error(status, "CMN-101"))
    with pytest.raises(BadRequestError, match="CMN-101"):
        await rig.read(rig.wanted(1, DATA))
    assert rig.fetch_times() == [0.0]


@pytest.mark.parametrize("status", [100, 304, 300])
async def test_an_unexpected_status_is_a_fault(rig: Rig, status: int) -> None:
    rig.platform.script(FETCH, Reply(status))
    assert await rig.read(rig.wanted(1, DATA)) == DATA
    assert rig.fetch_times() == [0.0, 2.1]


# 429


def _exhaust(rig: Rig) -> None:
    """Somebody else uses all medium requests of this moment."""
    for _ in range(40):
        rig.platform.police.arrive_foreign(MEDIUM, trio.current_time())


async def _read_all(rig: Rig, numbers: range) -> None:
    async with trio.open_nursery() as nursery:
        for number in numbers:
            nursery.start_soon(rig.read, rig.wanted(number, DATA))


@pytest.mark.parametrize("says_when", [True, False])
async def test_nothing_is_sent_within_a_penalty(rig: Rig, says_when: bool) -> None:
    rig.platform.police._retry_after = says_when
    rig.platform.refusals_expected = 1
    _exhaust(rig)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.read, rig.wanted(1, DATA))
        await trio.sleep(10)
        nursery.start_soon(_read_all, rig, range(2, 30))
    times = rig.fetch_times()
    assert len(times) == 30
    assert times[:2] == [0.0, pytest.approx(0.1 + 60 + FREEZE_MARGIN_S)]


async def test_a_penalty_does_not_stop_another_group(rig: Rig) -> None:
    rig.platform.refusals_expected = 1
    _exhaust(rig)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.read, rig.wanted(1, DATA))
        await trio.sleep(1)
        await rig.mailbox()
        assert rig.now == pytest.approx(1.2)


async def test_a_refusal_without_rate_headers_stops_everything(rig: Rig) -> None:
    rig.platform.script(FETCH, Reply.error(429, "CMN-310", rate=False, headers={"Retry-After": "20"}))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.read, rig.wanted(1, DATA))
        await trio.sleep(5)
        await rig.mailbox()
    assert rig.fetch_times() == [0.0, 0.1 + 20 + FREEZE_MARGIN_S]
    assert rig.platform.times("syncMessages", rig.origin_s) == [0.1 + 20 + FREEZE_MARGIN_S]


async def test_a_refusal_without_any_headers_stops_everything_for_a_penalty(rig: Rig) -> None:
    rig.platform.script(FETCH, Reply(429, b"<html>", rate=False))
    assert await rig.read(rig.wanted(1, DATA)) == DATA
    assert rig.fetch_times() == [0.0, 0.1 + 60 + FREEZE_MARGIN_S]


async def test_five_refusals_are_enough(rig: Rig) -> None:
    rig.platform.script(FETCH, *[Reply.error(429, "CMN-303", headers={"Retry-After": "1"})] * 9)
    with pytest.raises(RateLimitedError, match="CMN-303"):
        await rig.read(rig.wanted(1, DATA))
    assert rig.fetch_times() == pytest.approx([0.0, 2.1, 4.2, 6.3, 8.4])


async def test_a_limit_that_is_lower_than_expected_is_kept(rig: Rig) -> None:
    rig.platform.police.set_limit(MEDIUM, 10)
    await rig.read(rig.wanted(0, DATA))
    await _read_all(rig, range(1, 30))
    assert len(rig.ranges()) == 30
    assert rig.now < 130


async def test_a_lower_remaining_count_shows_other_users_of_the_bucket(rig: Rig) -> None:
    for _ in range(35):
        rig.platform.police.arrive_foreign(MEDIUM, trio.current_time())
    await rig.read(rig.wanted(0, DATA))
    await _read_all(rig, range(1, 10))
    assert rig.fetch_times()[:5] == [0.0, 0.1, 0.1, 0.1, 0.1]
    assert rig.fetch_times()[5] > 60


# Redirects


def _redirect(target: str, status: int = 302) -> Reply:
    return Reply(status, b"", {"Location": target})


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_to_the_media_host_is_followed_with_the_token(rig: Rig, status: int) -> None:
    wanted = rig.wanted(1, DATA)
    target = wanted.uri.replace(PLATFORM, MEDIA)
    rig.platform.script(FETCH, _redirect(target, status))
    assert await rig.read(wanted) == DATA
    first, second = rig.platform.sent(FETCH)
    assert second.url == target
    assert first.token == second.token != ""
    # It is a request to the API, so it has a slot.
    assert rig.used("medium") == 2


async def test_a_redirect_to_a_foreign_host_is_followed_without_token_and_slot(rig: Rig) -> None:
    wanted = rig.wanted(1, DATA)
    rig.platform.contents["/stored"] = DATA
    rig.platform.script(FETCH, _redirect(f"{FOREIGN}/stored?signature=x"))
    assert await rig.read(wanted) == DATA
    (foreign,) = rig.platform.sent("foreign")
    assert (foreign.url, foreign.token) == (f"{FOREIGN}/stored?signature=x", "")
    assert rig.used("medium") == 1


async def test_a_resumed_request_asks_a_foreign_host_only_for_the_rest(rig: Rig) -> None:
    data = noise(200_000)
    rig.platform.contents["/stored"] = data
    rig.platform.script(FETCH, *[_redirect(f"{FOREIGN}/stored")] * 2)
    rig.platform.script("foreign", Reply.sized(data[:100_000], len(data), end=End.RESET))
    assert await rig.read(rig.wanted(1, data)) == data
    assert [seen.byte_range for seen in rig.platform.sent("foreign")] == ["", "bytes=100000-"]


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500])
async def test_a_refusal_by_a_foreign_host_does_not_touch_quota_or_login(rig: Rig, status: int) -> None:
    rig.platform.contents["/fresh"] = DATA
    rig.platform.script(FETCH, _redirect(f"{FOREIGN}/expired"), _redirect(f"{FOREIGN}/fresh"))
    rig.platform.script("foreign", Reply.error(status))
    assert await rig.read(rig.wanted(1, DATA)) == DATA
    assert rig.fetch_times() == [0.0, 2.2]
    assert len(rig.platform.sent("getToken")) == 1


@pytest.mark.parametrize(
    "target", ["http://media.ringcentral.com/x", "https://a:b@media.ringcentral.com/x", "ftp://x/y"]
)
async def test_a_redirect_that_may_not_be_followed_is_final(rig: Rig, target: str) -> None:
    rig.platform.script(FETCH, *[_redirect(target)] * 5)
    with pytest.raises(PlatformError, match="does not follow"):
        await rig.read(rig.wanted(1, DATA))
    assert rig.fetch_times() == [0.0]


async def test_a_redirect_without_a_location_is_a_fault(rig: Rig) -> None:
    rig.platform.script(FETCH, Reply(302))
    assert await rig.read(rig.wanted(1, DATA)) == DATA
    assert rig.fetch_times() == [0.0, 2.1]


async def test_redirects_in_a_circle_end(rig: Rig) -> None:
    wanted = rig.wanted(1, DATA)
    rig.platform.script(FETCH, *[_redirect(wanted.uri)] * 100)
    with pytest.raises(PlatformError, match="redirects"):
        await rig.read(wanted)
    assert len(rig.ranges()) == 5
