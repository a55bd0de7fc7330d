"""Loading a mailbox: whole and once, and how failed loads end."""

import time
from datetime import datetime
from typing import Any

import httpx
import pytest
import trio

from rcfs.errors import ForbiddenError, NotFoundError, PlatformError, ServerError
from rcfs.mailbox import Change, MailboxLoaded
from rcfs.model import AttachmentKey
from tests.fakes.rig import Rig
from tests.fakes.scripted import ACCOUNT_ID, FOREIGN, PLATFORM, Reply, ScriptedPlatform
from tests.fakes.status import status_document
from tests.scenario.conftest import OpenRig

LIST = "listMessages"
SYNC = "syncMessages"
PATH = "/restapi/v1.0/account/~/extension/101/message-store"


def page(records: list[Any], next_url: str = "") -> Reply:
    navigation = {"nextPage": {"uri": next_url}} if next_url else {}
    return Reply.of_json({"records": records, "navigation": navigation})


def message(number: int, subject: str = "", modified: str = "2026-11-03T10:00:00Z") -> dict[str, Any]:
    return {"id": number, "subject": subject, "lastModifiedTime": modified}


async def test_a_list_request_names_every_filter_explicitly(
    platform: ScriptedPlatform, new_rig: OpenRig
) -> None:
    platform.clock_ahead_s = 365 * 86400.0
    async with new_rig() as rig:
        await rig.mailbox()
    (seen,) = platform.sent(LIST)
    assert seen.url.startswith(PLATFORM + PATH + "?")
    query = dict(seen.query)
    until_s = datetime.fromisoformat(query.pop("dateTo")[0]).timestamp()
    assert abs(until_s - time.time() - platform.clock_ahead_s) < 10
    assert query == {
        "availability": ["Alive", "Deleted"],
        "dateFrom": ["2000-01-01T00:00:00.000Z"],
        "perPage": ["1000"],
        "page": ["1"],
    }


async def test_a_wrong_local_clock_hides_no_message(new_rig: OpenRig) -> None:
    now_s = time.time()
    set_back_s = 0.0
    async with new_rig(clock=lambda: now_s - set_back_s) as rig:
        set_back_s = 2 * 365 * 86400.0
        await rig.mailbox()
        (seen,) = rig.platform.sent(LIST)
    until_s = datetime.fromisoformat(dict(seen.query)["dateTo"][0]).timestamp()
    assert abs(until_s - now_s) < 10


async def test_all_pages_are_followed_as_given(rig: Rig) -> None:
    def first(request: httpx.Request) -> Reply:
        # As the platform does: all parameters of the request, with another page.
        return page([message(1), message(2)], str(request.url.copy_set_param("page", "2")) + "&odd=%2B%20")

    third = f"{PLATFORM}{PATH}?cursor=a%2Fb"
    rig.platform.script(LIST, first, page([message(3)], third), page([]))
    assert [found.id for found in await rig.messages()] == [1, 2, 3]
    one, two, three = rig.platform.sent(LIST)
    assert one.query["dateTo"] == two.query["dateTo"]
    assert two.url.endswith("&odd=%2B%20")
    assert three.url == third
    assert {seen.token for seen in (one, two, three)} == {"s3cret-access-1"}
    # A token, three pages, and what became of them meanwhile.
    assert rig.now == pytest.approx(0.5)


async def test_a_message_on_two_pages_is_there_once_in_its_newest_form(rig: Rig) -> None:
    second = f"{PLATFORM}{PATH}?page=2"
    rig.platform.script(
        LIST,
        page([message(1, "old", "2026-11-03T10:00:00Z"), message(2, "new", "2026-11-03T12:00:00Z")], second),
        page(
            [
                message(1, "new", "2026-11-03T11:00:00Z"),
                message(2, "old", "2026-11-03T11:00:00Z"),
                {"no": "id"},
            ]
        ),
    )
    assert [(found.id, found.subject) for found in await rig.messages()] == [(1, "new"), (2, "new")]


async def test_a_mailbox_is_loaded_once_for_all_who_look(rig: Rig) -> None:
    rig.platform.messages.append(message(1))
    got = []

    async def look() -> None:
        got.append(await rig.messages())

    mailboxes = rig.engine.account.mailboxes
    assert mailboxes.catalogue(101) is None
    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(look)
    await look()
    assert [[found.id for found in messages] for messages in got] == [[1]] * 21
    assert mailboxes.catalogue(101) is not None
    assert len(rig.platform.sent(LIST, SYNC)) == 2


async def test_a_load_reports_its_progress(rig: Rig) -> None:
    urls = [f"{PLATFORM}{PATH}?page={number}" for number in (2, 3, 4)]
    paging = {"totalPages": 4, "totalElements": 7}
    for number, url in enumerate(urls):
        records = [message(2 * number + 1), message(2 * number + 2)]
        following = {"nextPage": {"uri": url}}
        rig.platform.script(
            LIST, Reply.of_json({"records": records, "navigation": following, "paging": paging}, delay_s=10)
        )
    rig.platform.script(LIST, page([message(7)]))

    async def seen() -> Any:
        return (await status_document(rig.engine))["loads"]

    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.mailbox)
        await trio.sleep(5)
        (row,) = await seen()
        assert (row["extension"], row["pages"], row["messages"], row["left_s"]) == (101, 0, 0, None)
        await trio.sleep(20)
        (row,) = await seen()
        assert (row["pages"], row["of_pages"], row["messages"], row["of_messages"]) == (2, 4, 4, 7)
        assert row["left_s"] == pytest.approx(25, abs=0.5), "as long again, after 25 seconds for the half"
    assert await seen() == []
    await rig.engine.account.mailboxes.refresh(101)


async def test_a_load_of_unknown_length_reports_what_has_come(rig: Rig) -> None:
    rig.platform.script(LIST, page([message(1)], f"{PLATFORM}{PATH}?page=2"))
    rig.platform.script(LIST, Reply.of_json({"records": []}, delay_s=10))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.mailbox)
        await trio.sleep(5)
        loads: Any = (await status_document(rig.engine))["loads"]
        (row,) = loads
        assert (row["pages"], row["messages"], row["of_messages"], row["left_s"]) == (1, 1, None, None)


async def test_learned_sizes_come_with_the_mailbox(rig: Rig) -> None:
    key = AttachmentKey(ACCOUNT_ID, 101, 1, 1)
    rig.sizes.record(key, 77)
    rig.sizes.record(AttachmentKey(ACCOUNT_ID, 1010, 1, 1), 78)
    mailbox = await rig.mailbox()
    assert mailbox.learned_bytes(key) == 77
    assert mailbox.learned_bytes(AttachmentKey(ACCOUNT_ID, 101, 1, 2)) is None


async def test_a_waiter_that_gives_up_does_not_stop_the_load(rig: Rig) -> None:
    with trio.move_on_after(0.05):
        await rig.mailbox()
    await trio.sleep(1)
    assert rig.engine.account.mailboxes.catalogue(101) is not None
    assert len(rig.platform.sent(LIST)) == 1


@pytest.mark.parametrize(
    "url",
    [
        f"{FOREIGN}/next",
        "http://platform.ringcentral.com/next",
        "https://platform.ringcentral.com@evil.example/next",
        "/restapi/v1.0/next",
    ],
)
async def test_a_next_page_elsewhere_is_not_followed(rig: Rig, url: str) -> None:
    rig.platform.script(LIST, page([message(1)], url))
    with pytest.raises(ServerError, match="the next page was read already"):
        await rig.mailbox()
    assert [seen.operation for seen in rig.platform.seen][3:] == [SYNC, LIST]


async def test_a_list_that_goes_in_circles_is_not_followed_twice(rig: Rig) -> None:
    second, third = (f"{PLATFORM}{PATH}?page={number}" for number in (2, 3))
    rig.platform.script(LIST, page([message(1)], second), page([message(2)], third), page([], second))
    with pytest.raises(ServerError, match="the next page was read already"):
        await rig.mailbox()
    assert len(rig.platform.sent(LIST)) == 3


async def test_an_extension_without_a_mailbox_is_asked_for_one_once(
    platform: ScriptedPlatform, new_rig: OpenRig
) -> None:
    platform.admin = True
    platform.extensions = [{"id": 101, "extensionNumber": "101", "type": "IvrMenu"}]
    platform.script(SYNC, Reply.error(403, "CMN-403"))
    async with new_rig() as rig:
        mailboxes = rig.engine.account.mailboxes
        shown: list[int] = []

        def hear(change: Change) -> None:
            if isinstance(change, MailboxLoaded):
                shown.append(change.extension_id)

        rig.engine.account.changes.subscribe(hear)
        assert not mailboxes.is_absent(101)
        for _ in range(3):
            assert not await mailboxes.exists(101)
        mailboxes.visit(101)
        await mailboxes.refresh(101)
        await trio.sleep(2 * 86_400)
        assert not await mailboxes.exists(101)
        assert (shown, mailboxes.is_absent(101), mailboxes.catalogue(101)) == ([101], True, None)
        status: Any = await status_document(rig.engine)
        assert (status["mailboxes"]["known"], status["loads"]) == (0, [])
    async with new_rig() as rig:
        assert not await rig.engine.account.mailboxes.exists(101)
    assert len(platform.sent(SYNC)) == 1, "it is remembered over remounts"
    platform.extensions = [{"id": 101, "extensionNumber": "101", "type": "User"}]
    await trio.sleep(61)  # Each rig logs in on a ledger of its own.
    async with new_rig() as rig:
        await rig.engine.account.refresh()
        assert await rig.engine.account.mailboxes.exists(101), "what has another type may have one"


async def test_a_loaded_mailbox_that_disappears_is_a_failure(rig: Rig) -> None:
    await rig.mailbox()
    rig.platform.script(SYNC, Reply.error(403, "CMN-403"))
    with pytest.raises(ForbiddenError, match="CMN-403"):
        await rig.engine.account.mailboxes.refresh(101)
    assert await rig.messages() == []


@pytest.mark.parametrize(
    ("status", "code", "kind"), [(403, "CMN-419", ForbiddenError), (404, "CMN-102", NotFoundError)]
)
async def test_a_refusal_is_remembered_for_a_minute(
    rig: Rig, status: int, code: str, kind: type[PlatformError]
) -> None:
    rig.platform.script(LIST, Reply.error(status, code))
    for _ in range(3):
        with pytest.raises(kind, match=code):
            await rig.mailbox()
    await trio.sleep(59.7)
    with pytest.raises(kind):
        await rig.mailbox()
    assert len(rig.platform.sent(LIST)) == 1
    await trio.sleep(0.3)
    await rig.mailbox()
    assert len(rig.platform.sent(LIST)) == 2


@pytest.mark.parametrize(
    "answer",
    [
        Reply.error(503),
        Reply(200, b'{"records": [{"id"'),
        Reply(200, b"<html>Maintenance</html>", {"Content-Type": "text/html"}),
        Reply(200, b"[]"),
        Reply(200, b'{"records": null}'),
        Reply(200, b""),
        Reply(200, b'{"a":' * 50_000),
    ],
    ids=["503", "half", "html", "array", "no records", "empty", "deep"],
)
async def test_a_fault_is_retried_five_times_and_not_remembered(rig: Rig, answer: Reply) -> None:
    rig.platform.script(LIST, *[answer] * 5)
    with pytest.raises(ServerError):
        await rig.mailbox()
    assert rig.platform.times(LIST, rig.origin_s) == [0.1, 2.2, 6.3, 14.4, 30.5]
    await rig.mailbox()
    assert rig.platform.times(LIST, rig.origin_s)[5] == 30.7


async def test_a_fault_on_a_later_page_repeats_that_page_only(rig: Rig) -> None:
    second = f"{PLATFORM}{PATH}?page=2"
    rig.platform.script(LIST, page([message(1)], second), Reply.error(502), page([message(2)]))
    assert [found.id for found in await rig.messages()] == [1, 2]
    assert [seen.url for seen in rig.platform.sent(LIST)][1:] == [second, second]


async def test_ids_beyond_the_precision_of_a_float_are_exact(rig: Rig) -> None:
    largest, huge = 2**63 - 1, 2**63 + 1
    record = f'{{"id":{largest},"conversationId":{huge}}}'
    rig.platform.script(LIST, Reply(200, f'{{"records":[{record}]}}'.encode()))
    (found,) = await rig.messages()
    assert (found.id, found.conversation_id) == (largest, str(huge))
    assert found.raw == record
