"""Unclear messages of a sync are read 50 per request."""

import json
from typing import Any

import pytest

from rcfs.errors import ServerError
from tests.fakes.rig import Rig
from tests.fakes.scripted import Reply

READ, LIST = "readMessage", "listMessages"


def sms(number: int) -> dict[str, Any]:
    created = "2026-11-03T10:00:00.000Z"
    record = {"id": number, "type": "SMS", "direction": "Inbound", "availability": "Deleted", "subject": "hi"}
    return {**record, "creationTime": created, "lastModifiedTime": created}


def leave_unclear(rig: Rig, count: int, gone: frozenset[int] = frozenset()) -> None:
    """Lets `count` messages come and be deleted after the last sync, and those in `gone` be purged."""
    rig.platform.messages = [sms(number) for number in range(1, count + 1) if number not in gone]
    rig.platform.changes += [{"id": number, "availability": "Deleted"} for number in range(1, count + 1)]


def asked(rig: Rig) -> list[list[int]]:
    """The ids of each request for messages."""
    return [list(map(int, seen.url.rpartition("/")[2].split(","))) for seen in rig.platform.sent(READ)]


async def known(rig: Rig) -> list[int]:
    return [message.id for message in await rig.messages()]


def mixed(results: list[tuple[int, int, bytes]]) -> Reply:
    """A 207 as ``multipart/mixed``, of (id, status, body)."""
    rows = [
        {"href": f"https://x.example/message-store/{each}", "status": status} for each, status, _ in results
    ]
    parts = [json.dumps({"response": rows}).encode(), *(body for _id, _status, body in results)]
    body = b"".join(b"--B\r\nContent-Type: application/json\r\n\r\n" + part + b"\r\n" for part in parts)
    return Reply(207, body + b"--B--\r\n", {"Content-Type": "multipart/mixed; boundary=B"})


@pytest.mark.parametrize(("count", "requests"), [(1, [1]), (50, [50]), (51, [50, 1]), (120, [50, 50, 20])])
async def test_fifty_are_read_by_one_request(rig: Rig, count: int, requests: list[int]) -> None:
    await rig.mailbox()
    leave_unclear(rig, count)
    await rig.engine.account.mailboxes.refresh(101)
    assert [len(ids) for ids in asked(rig)] == requests
    assert await known(rig) == list(range(1, count + 1))
    assert len(rig.platform.sent(LIST)) == 1


@pytest.mark.parametrize("form", ["multipart", "json"])
async def test_each_result_of_a_bulk_answer_is_handled_alone(rig: Rig, form: str) -> None:
    await rig.mailbox()
    leave_unclear(rig, 4, gone=frozenset({2}))
    text = json.dumps({**sms(1), "subject": "Grüße 😀"}, ensure_ascii=False).encode()
    refused = b'{"errorCode":"CMN-102"}'
    results = [(1, 200, text), (2, 404, refused), (3, 503, b""), (4, 200, b"{damaged")]
    if form == "json":
        document = [
            {"resourceId": "1", "status": 200, "body": json.loads(text)},
            {"resourceId": "2", "status": 404, "body": json.loads(refused)},
            {"resourceId": "3", "status": 503},
            {"resourceId": "4", "status": 200, "body": []},
        ]
        rig.platform.script(READ, Reply.of_json(document, 207))
    else:
        rig.platform.script(READ, mixed(results))
    await rig.engine.account.mailboxes.refresh(101)
    assert asked(rig) == [[1, 2, 3, 4], [3], [4]]
    assert [(message.id, message.subject) for message in await rig.messages()] == [
        (1, "Grüße 😀"),
        (3, "hi"),
        (4, "hi"),
    ]


async def test_a_message_that_keeps_failing_ends_the_sync_and_the_next_one_reads_all(rig: Rig) -> None:
    await rig.mailbox()
    leave_unclear(rig, 2)
    rig.platform.script(READ, mixed([(1, 200, json.dumps(sms(1)).encode()), (2, 500, b"")]))
    rig.platform.script(READ, *[Reply.error(503)] * 5)
    with pytest.raises(ServerError):
        await rig.engine.account.mailboxes.refresh(101)
    before = len(asked(rig))
    await rig.engine.account.mailboxes.refresh(101)
    assert asked(rig)[before:] == [[1, 2]]
    assert await known(rig) == [1, 2]


@pytest.mark.parametrize("code", [400, 404])
async def test_when_a_bulk_read_is_refused_each_message_is_read_alone(rig: Rig, code: int) -> None:
    await rig.mailbox()
    leave_unclear(rig, 3, gone=frozenset({2}))
    rig.platform.script(READ, Reply.error(code, "CMN-101"))
    await rig.engine.account.mailboxes.refresh(101)
    assert asked(rig) == [[1, 2, 3], [1], [2], [3]]
    assert await known(rig) == [1, 3]


async def test_the_answer_to_a_single_id_is_the_record_itself(rig: Rig) -> None:
    await rig.mailbox()
    leave_unclear(rig, 1)
    rig.platform.script(READ, Reply.of_json(sms(1)))
    await rig.engine.account.mailboxes.refresh(101)
    assert await known(rig) == [1]
