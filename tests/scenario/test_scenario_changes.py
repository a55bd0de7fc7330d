"""Requests that change something: their contents, and that the platform never carries one out twice."""

import attrs
import pytest
import trio

from rcfs.errors import BadRequestError, PlatformError, UncertainError
from rcfs.model import Priority, UsageGroup
from rcfs.platform import Request, json_body
from rcfs.quota import FREEZE_MARGIN_S
from rcfs.transport import Requester, RequestOptions
from tests.fakes.rig import Rig
from tests.fakes.scripted import FOREIGN, MEDIA, PLATFORM, Answering, Reply, Seen, Unreachable
from tests.scenario.conftest import HEADERS_WITHIN_S

UPDATE = "updateMessage"
PATH = "/restapi/v1.0/account/~/extension/~/message-store/7"
CHANGE = Request(UPDATE, UsageGroup("medium"), PATH, method="PUT", body=json_body({"readStatus": "Read"}))


async def send(rig: Rig, change: Request = CHANGE) -> str:
    """The read status that the server says."""
    engine = rig.engine
    requester = Requester(engine.client, engine.network, engine.lane, engine.recorder)
    return str(
        await requester.read(change, lambda answer: answer["readStatus"], RequestOptions(Priority.PERSON))
    )


def sent(rig: Rig) -> list[Seen]:
    return rig.platform.sent(UPDATE)


async def test_a_change_is_sent_with_its_body_content_type_and_token(rig: Rig) -> None:
    assert await send(rig) == "Read"
    (seen,) = sent(rig)
    assert (seen.method, seen.body, seen.media_type) == (
        "PUT",
        b'{"readStatus": "Read"}',
        "application/json",
    )
    assert seen.token == "s3cret-access-1"
    assert rig.used("medium") == 1


@pytest.mark.parametrize(
    ("answer", "within_s"),
    [
        (Reply.error(500), 0.1),
        (Reply.error(503, headers={"Retry-After": "5"}), 0.1),
        (Reply(200, b"<html>"), 0.1),
        (Unreachable.RESET, 0.1),
        (Unreachable.SILENT, HEADERS_WITHIN_S),
        (Reply(303), 0.1),
    ],
    ids=["500", "503", "nonsense", "reset", "silent", "303 to nowhere"],
)
async def test_a_change_without_a_usable_answer_is_not_sent_again(
    rig: Rig, answer: Answering, within_s: float
) -> None:
    rig.platform.script(UPDATE, answer)
    begun_s = trio.current_time()
    with pytest.raises(UncertainError, match="rcfs does not know whether the server has done this"):
        await send(rig)
    assert trio.current_time() - begun_s <= within_s + 0.01
    await trio.sleep(200)
    assert len(sent(rig)) == 1


async def test_a_repeatable_change_is_retried(rig: Rig) -> None:
    rig.platform.script(UPDATE, Reply.error(500), Unreachable.RESET)
    assert await send(rig, attrs.evolve(CHANGE, repeatable=True)) == "Read"
    assert len(sent(rig)) == 3


async def test_a_change_that_was_refused_for_the_token_or_the_quota_is_sent_again(rig: Rig) -> None:
    rig.platform.script(UPDATE, Reply.error(401, "OAU-213"), Reply.error(429, headers={"Retry-After": "30"}))
    begun_s = trio.current_time()
    assert await send(rig) == "Read"
    assert [seen.body for seen in sent(rig)] == [b'{"readStatus": "Read"}'] * 3
    assert trio.current_time() - begun_s > 30 + FREEZE_MARGIN_S


async def test_a_change_that_found_no_connection_is_sent_again(rig: Rig) -> None:
    rig.platform.script(UPDATE, Unreachable.REFUSED)
    assert await send(rig) == "Read"
    assert rig.platform.times(UPDATE, sent(rig)[0].at_s) == [0.0, 2.0]


async def test_a_refused_change_raises_the_refusal(rig: Rig) -> None:
    rig.platform.script(UPDATE, Reply.error(400, "CMN-101"))
    with pytest.raises(BadRequestError, match="CMN-101"):
        await send(rig)
    assert len(sent(rig)) == 1


@pytest.mark.parametrize("status", [307, 308])
async def test_a_redirect_to_an_allowed_host_keeps_method_and_body(rig: Rig, status: int) -> None:
    rig.platform.script(UPDATE, Reply(status, headers={"Location": MEDIA + PATH}))
    assert await send(rig) == "Read"
    assert [(seen.method, seen.url, seen.body) for seen in sent(rig)] == [
        ("PUT", PLATFORM + PATH, b'{"readStatus": "Read"}'),
        ("PUT", MEDIA + PATH, b'{"readStatus": "Read"}'),
    ]


async def test_a_change_is_not_carried_out_before_the_redirect_is_followed(rig: Rig) -> None:
    rig.platform.script(UPDATE, Reply(307, headers={"Location": MEDIA + PATH}), Unreachable.REFUSED)
    assert await send(rig) == "Read"
    assert [seen.url for seen in sent(rig)] == [PLATFORM + PATH, MEDIA + PATH, PLATFORM + PATH]


@pytest.mark.parametrize(
    ("status", "url"),
    [(301, MEDIA + PATH), (302, MEDIA + PATH), (307, FOREIGN + "/x"), (308, FOREIGN + "/x")],
)
async def test_a_redirect_of_a_change_to_another_host_is_not_followed(
    rig: Rig, status: int, url: str
) -> None:
    rig.platform.script(UPDATE, Reply(status, headers={"Location": url}))
    with pytest.raises(PlatformError, match="rcfs does not"):
        await send(rig)
    assert len(sent(rig)) == 1
    assert rig.platform.sent("foreign") == []


async def test_303_turns_a_change_into_a_read(rig: Rig) -> None:
    rig.platform.messages = [{"id": 7, "readStatus": "Read"}]
    rig.platform.script(UPDATE, Reply(303, headers={"Location": PLATFORM + PATH}))
    assert await send(rig) == "Read"
    (seen,) = rig.platform.sent("readMessage")
    assert (seen.method, seen.body, seen.media_type) == ("GET", b"", "")
    assert len(sent(rig)) == 1
    # The GET counts for another group, and the next change still for its own.
    assert rig.used("medium") == 1
    await send(rig)
    assert rig.used("medium") == 2


@pytest.mark.parametrize(
    "answer",
    [
        Reply.error(401, "OAU-213"),
        Reply.error(404, "CMN-102"),
        Reply.error(503),
        Unreachable.REFUSED,
        Reply.error(429, headers={"Retry-After": "30"}),
    ],
    ids=["401", "404", "503", "refused", "429"],
)
async def test_a_change_is_not_sent_again_when_reading_after_303_fails(rig: Rig, answer: Answering) -> None:
    rig.platform.script(UPDATE, Reply(303, headers={"Location": PLATFORM + PATH}))
    rig.platform.script("readMessage", answer)
    with pytest.raises(UncertainError):
        await send(rig)
    await trio.sleep(200)
    assert len(sent(rig)) == 1
