"""Changes to the message store: reading and changing many at once, and the life of a message."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import Message
from email.parser import BytesParser
from typing import Any

import httpx
import pytest

from rcfs.model import Plan, UsageGroup
from rcfs.simulator import AccountSpec, Simulator, SimulatorConfig
from rcfs.simulator.faults._faults import fault_from_json
from tests.fakes.simulated import in_process, logged_in

ACCOUNT = "/restapi/v1.0/account/~"
STORE = f"{ACCOUNT}/extension/~/message-store"
EVER = {"dateFrom": "2020-01-01T00:00:00Z", "perPage": "1000"}
VENDOR = "application/vnd.ringcentral.multipart+json"
DAY_S = 86_400
PLANS = {UsageGroup(group): Plan(limit=1000) for group in ("light", "medium", "heavy")}


@asynccontextmanager
async def running(**options: Any) -> AsyncIterator[tuple[Simulator, httpx.AsyncClient]]:
    config = SimulatorConfig(AccountSpec(messages=190), plans=PLANS, **options)
    async with in_process(config) as (simulator, endpoints), logged_in(endpoints) as http:
        yield simulator, http


async def records(http: httpx.AsyncClient, **query: Any) -> list[dict[str, Any]]:
    answer = await http.get(STORE, params={**EVER, **query})
    found: list[dict[str, Any]] = answer.raise_for_status().json()["records"]
    return found


async def record(http: httpx.AsyncClient, message_id: int) -> dict[str, Any]:
    found: dict[str, Any] = (await http.get(f"{STORE}/{message_id}")).raise_for_status().json()
    return found


async def advance(http: httpx.AsyncClient, seconds: float) -> None:
    (await http.post("/simulator/clock", json={"advance_s": seconds})).raise_for_status()


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["errorCode"]


def parts(answer: httpx.Response) -> list[Message]:
    head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
    payload = BytesParser().parsebytes(head + answer.content).get_payload()
    assert isinstance(payload, list)
    return [part for part in payload if isinstance(part, Message)]


def joined(ids: list[Any]) -> str:
    return ",".join(map(str, ids))


# Reading.


async def test_bulk_read_as_multipart_names_each_result() -> None:
    async with running() as (_, http):
        first, second = [r["id"] for r in await records(http)][:2]
        answer = await http.get(f"{STORE}/{first},111,{second}")
        assert answer.status_code == 207
        overview, *bodies = [httpx.Response(200, content=str(p.get_payload())).json() for p in parts(answer)]
        assert [(e["status"], e["responseDescription"]) for e in overview["response"]] == [
            (200, "OK"),
            (404, "Not Found"),
            (200, "OK"),
        ]
        assert overview["response"][0]["href"].endswith(f"/message-store/{first}")
        assert [body.get("id") for body in bodies] == [first, None, second]
        assert bodies[1]["errorCode"] == "CMN-102"
        assert bodies[0] == await record(http, first)


async def test_bulk_read_as_vendor_json() -> None:
    async with running() as (_, http):
        (known, *_) = [r["id"] for r in await records(http)]
        answer = await http.get(f"{STORE}/{known},x", headers={"Accept": VENDOR})
        assert (answer.status_code, answer.headers["content-type"]) == (207, VENDOR)
        good, bad = answer.json()
        assert (good["resourceId"], good["status"], good["body"]["id"]) == (str(known), 200, known)
        assert (bad["resourceId"], bad["status"], bad["body"]["errorCode"]) == ("x", 400, "CMN-101")


async def test_bulk_takes_50_ids_in_the_path() -> None:
    async with running() as (_, http):
        assert (await http.get(f"{STORE}/{joined(list(range(50)))}")).status_code == 207
        for method in ("GET", "PUT", "PATCH", "DELETE"):
            answer = await http.request(method, f"{STORE}/{joined(list(range(51)))}")
            assert code(answer) == (400, "CMN-106")


# Changing.


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_the_read_status_changes_once_with_its_time(method: str) -> None:
    async with running() as (_, http):
        unread = (await records(http, readStatus="Unread"))[0]
        await advance(http, 60)
        answer = await http.request(method, f"{STORE}/{unread['id']}", json={"readStatus": "Read"})
        assert answer.json()["readStatus"] == "Read"
        assert answer.json()["lastModifiedTime"] > unread["lastModifiedTime"]
        assert await record(http, unread["id"]) == answer.json()
        await advance(http, 60)
        again = await http.request(method, f"{STORE}/{unread['id']}", json={"readStatus": "Read"})
        assert again.json() == answer.json(), "nothing has changed"


@pytest.mark.parametrize(
    ("method", "body"),
    [
        ("PUT", {}),
        ("PUT", {"readStatus": "Seen"}),
        ("PUT", {"availability": "Alive"}),
        ("PUT", []),
        ("PATCH", {}),
        ("PATCH", {"availability": "Deleted"}),
        ("PATCH", {"availability": "Alive", "readStatus": "Seen"}),
    ],
)
async def test_an_invalid_change_is_refused_and_changes_nothing(method: str, body: Any) -> None:
    async with running() as (_, http):
        trash = (await records(http, availability="Deleted"))[0]
        answer = await http.request(method, f"{STORE}/{trash['id']}", json=body)
        assert code(answer) == (400, "CMN-101")
        assert await record(http, trash["id"]) == trash


async def test_bulk_changes_in_all_forms() -> None:
    async with running() as (_, http):
        ids = [r["id"] for r in await records(http, readStatus="Read")][:6]
        entry = {"body": {"readStatus": "Unread"}}
        by_path = await http.put(
            f"{STORE}/{joined(ids[:2])}", json=[entry, entry], headers={"Content-Type": VENDOR}
        )
        named = [{"resourceId": str(i), **entry} for i in (*ids[2:4], 5)]
        by_body = await http.put(f"{STORE}/*", json=named, headers={"Content-Type": VENDOR, "Accept": VENDOR})
        piece = '--B\r\nContent-Type: application/json\r\n\r\n{"readStatus": "Unread"}\r\n'
        mixed = await http.patch(
            f"{STORE}/{joined(ids[4:])}",
            content=piece * 2 + "--B--\r\n",
            headers={"Content-Type": "multipart/mixed; boundary=B"},
        )
        assert [answer.status_code for answer in (by_path, by_body, mixed)] == [207] * 3
        assert len(parts(by_path)) == len(parts(mixed)) == 3
        assert [(e["resourceId"], e["status"]) for e in by_body.json()] == [
            (str(ids[2]), 200),
            (str(ids[3]), 200),
            ("5", 404),
        ]
        for message_id in ids:
            assert (await record(http, message_id))["readStatus"] == "Unread"


@pytest.mark.parametrize(
    ("path", "body", "error"),
    [
        ("1,2", [{"body": {"readStatus": "Read"}}], "CMN-101"),
        ("1,2", {"readStatus": "Read"}, "CMN-101"),
        ("*", [{"body": {"readStatus": "Read"}}], "CMN-101"),
        ("*", [{"resourceId": "1", "body": 5}], "CMN-101"),
        ("*", [{"resourceId": "1", "body": {"readStatus": "Read"}}] * 1001, "CMN-106"),
    ],
)
async def test_invalid_bulk_bodies_are_refused(path: str, body: Any, error: str) -> None:
    async with running() as (_, http):
        answer = await http.put(f"{STORE}/{path}", json=body, headers={"Content-Type": VENDOR})
        assert code(answer) == (400, error)


async def test_each_id_of_a_bulk_request_has_its_own_result() -> None:
    async with running() as (simulator, http):
        alive, refused, twice, *rest = [r["id"] for r in await records(http)]
        trash = (await records(http, availability="Deleted"))[0]["id"]
        purged = rest[0]
        await http.delete(f"{STORE}/{purged}?purge=true")
        simulator.faults.add(
            fault_from_json({"kind": "refused_messages", "ids": str(refused), "count": None})
        )
        ids = [alive, refused, trash, purged, twice, twice, 5]

        async def change(method: str, body: dict[str, str]) -> list[tuple[int, int, str]]:
            entries = [{"resourceId": str(i), "body": body} for i in ids]
            vendor = {"Content-Type": VENDOR, "Accept": VENDOR}
            by_body = await http.request(method, f"{STORE}/*", json=entries, headers=vendor)
            by_path = await http.request(
                method, f"{STORE}/{joined(ids)}", json=[{"body": body}] * len(ids), headers=vendor
            )
            assert by_body.status_code == by_path.status_code == 207
            assert by_body.json() == by_path.json()
            return [(int(e["resourceId"]), e["status"], e["body"].get("errorCode")) for e in by_path.json()]

        fine = [(i, 200, None) for i in ids]
        expected = [*fine[:1], (refused, 403, "CMN-408"), *fine[2:6], (5, 404, "CMN-102")]
        assert await change("PUT", {"readStatus": "Read"}) == expected
        expected[3] = (purged, 400, "CMN-101")
        assert await change("PATCH", {"availability": "Alive"}) == expected
        states = {i: (await record(http, i))["availability"] for i in ids[:-1]}
        assert states == {alive: "Alive", refused: "Alive", trash: "Alive", purged: "Purged", twice: "Alive"}
        answer = await http.request("DELETE", f"{STORE}/*", json=list(map(str, ids[:2])))
        assert str(parts(answer)[1].get_payload()).strip() == "", "a success has no body"
        assert (await record(http, refused))["availability"] == "Alive"
        assert (await record(http, alive))["availability"] == "Deleted"
        assert code(await http.delete(f"{STORE}/{refused}")) == (403, "CMN-408"), "a single id: no 207"


# The life of a message.


async def test_a_deleted_message_goes_step_by_step() -> None:
    async with running() as (simulator, http):
        message = (await records(http, messageType="VoiceMail"))[0]
        content = message["attachments"][0]["uri"]
        assert (await http.delete(f"{STORE}/{message['id']}")).status_code == 204
        deleted = await record(http, message["id"])
        assert deleted["availability"] == "Deleted"
        assert message["id"] not in [r["id"] for r in await records(http)]
        assert (await http.get(content)).status_code == 200, "the trash keeps contents"
        await advance(http, 5 * DAY_S - 60)
        assert (await record(http, message["id"]))["availability"] == "Deleted"
        await advance(http, 61)
        purged = await record(http, message["id"])
        assert purged["availability"] == "Purged"
        assert "attachments" not in purged
        assert purged["lastModifiedTime"][:16] == "2026-11-25T12:00", "when it was due, not when it was seen"
        assert code(await http.get(content)) == (404, "CMN-102")
        await advance(http, 5 * DAY_S)
        assert code(await http.get(f"{STORE}/{message['id']}")) == (404, "CMN-102")
        jane = simulator.account.extensions[0].id
        assert message["id"] not in simulator.account.message_ids(jane)


async def test_a_restored_message_is_kept() -> None:
    async with running() as (_, http):
        message_id = (await records(http))[0]["id"]
        await http.delete(f"{STORE}/{message_id}")
        await advance(http, 4 * DAY_S)
        restored = await http.patch(f"{STORE}/{message_id}", json={"availability": "Alive"})
        assert restored.json()["availability"] == "Alive"
        await advance(http, 2 * DAY_S)
        assert (await record(http, message_id))["availability"] == "Alive"
        await http.delete(f"{STORE}/{message_id}")
        await advance(http, 4 * DAY_S)
        assert (await record(http, message_id))["availability"] == "Deleted", "counted from the second time"


async def test_messages_in_the_trash_at_the_start_are_purged_in_time() -> None:
    async with running() as (_, http):
        trash = [r["id"] for r in await records(http, availability="Deleted")]
        assert trash
        await advance(http, 5 * DAY_S)
        assert await records(http, availability="Deleted") == []
        assert {r["id"] for r in await records(http, availability="Purged")} == set(trash)
        await advance(http, 5 * DAY_S)
        assert await records(http, availability="Purged") == []


async def test_the_second_delete_and_purge_are_for_good() -> None:
    async with running() as (_, http):
        twice, once = [r["id"] for r in await records(http)][:2]
        await http.delete(f"{STORE}/{twice}")
        await http.delete(f"{STORE}/{twice}")
        await http.delete(f"{STORE}/{once}?purge=true")
        for message_id in (twice, once):
            purged = await record(http, message_id)
            assert purged["availability"] == "Purged"
            assert (await http.delete(f"{STORE}/{message_id}")).status_code == 204
            assert await record(http, message_id) == purged
            answer = await http.patch(f"{STORE}/{message_id}", json={"availability": "Alive"})
            assert code(answer) == (400, "CMN-101"), "nothing brings it back"


async def test_bulk_delete_reports_only_failures() -> None:
    async with running() as (_, http):
        ids = [r["id"] for r in await records(http)][:5]
        assert (await http.delete(f"{STORE}/{joined(ids[:2])}")).status_code == 204
        in_body = await http.request("DELETE", f"{STORE}/*", json=[str(i) for i in ids[2:4]])
        assert in_body.status_code == 204
        mixed = await http.delete(f"{STORE}/{ids[4]},7", headers={"Accept": VENDOR})
        assert mixed.status_code == 207
        assert [(e["resourceId"], e["status"], "body" in e) for e in mixed.json()] == [
            (str(ids[4]), 204, False),
            ("7", 404, True),
        ]
        assert len(parts(await http.delete(f"{STORE}/{ids[4]},7"))) == 3
        alive = {r["id"] for r in await records(http)}
        assert not alive.intersection(ids)
        assert code(await http.request("DELETE", f"{STORE}/*", json=[])) == (400, "CMN-101")
        assert code(await http.request("DELETE", f"{STORE}/*", json=["1"] * 1001)) == (400, "CMN-106")


async def test_an_empty_id_deletes_everything() -> None:
    async with running() as (simulator, http):
        before = await records(http, availability=["Alive", "Deleted"])
        trash = {r["id"] for r in before if r["availability"] == "Deleted"}
        assert trash
        assert (await http.delete(f"{STORE}/")).status_code == 204
        assert await records(http) == []
        assert {r["id"] for r in await records(http, availability="Purged")} == trash
        assert len(await records(http, availability="Deleted")) == len(before) - len(trash)
        assert simulator.journal.entries(operation="deleteMessage")[0].status == 204
        other = f"{ACCOUNT}/extension/{simulator.account.extensions[1].id}/message-store"
        assert (await http.get(other, params=EVER)).json()["records"], "other mailboxes are untouched"


async def test_delete_by_filter_and_conversation() -> None:
    async with running() as (_, http):
        listed = await records(http)
        faxes = [r for r in listed if r["type"] == "Fax"]
        moment = faxes[1]["creationTime"]
        assert (await http.delete(STORE, params={"type": "Fax", "dateTo": moment})).status_code == 204
        left = [r["id"] for r in await records(http, messageType="Fax")]
        assert left == [faxes[0]["id"]]
        conversations = list({r["conversation"]["id"]: 0 for r in listed if "conversation" in r})[:4]
        await http.delete(STORE, params={"conversationId": conversations[:2]})
        await http.delete(STORE, params={"conversationId": conversations[2], "purge": "true"})
        await http.request("DELETE", STORE, params={"conversationId": "*"}, json=conversations[3:])
        for conversation in conversations:
            assert await records(http, conversationId=conversation) == []
        assert await records(http, conversationId=conversations[2], availability="Purged")
        gone = {r["id"] for r in listed} - {r["id"] for r in await records(http)}
        assert gone == {
            r["id"] for r in listed if r in faxes[1:] or r.get("conversation", {}).get("id") in conversations
        }
        too_many = [str(number) for number in range(101)]
        answer = await http.delete(STORE, params={"conversationId": too_many[:51]})
        assert code(answer) == (400, "CMN-106")
        answer = await http.request("DELETE", STORE, params={"conversationId": "*"}, json=too_many)
        assert code(answer) == (400, "CMN-106")
        for query in ({"type": "Letter"}, {"purge": "1"}, {"conversationId": ""}):
            assert code(await http.delete(STORE, params=query)) == (400, "CMN-101")


async def test_other_filters_of_the_list() -> None:
    async with running() as (simulator, http):
        listed = await records(http)
        newest: dict[str, int] = {}
        for shown in listed:
            if "conversation" in shown:
                newest.setdefault(shown["conversation"]["id"], shown["id"])
        distinct = await records(http, distinctConversations="true")
        assert [r["id"] for r in distinct] == list(newest.values())
        me = simulator.account.extensions[0]
        for mine in ({"owner": "Any"}, {"owner": str(me.id)}, {"ownerExtensionType": "User"}):
            assert len(await records(http, **mine)) == len(listed)
        for others in ({"owner": "Shared"}, {"voicemailOwner": "7"}, {"ownerExtensionType": "Department"}):
            assert await records(http, **others) == []


async def test_store_configuration() -> None:
    url = f"{ACCOUNT}/message-store-configuration"
    async with running() as (_, http):
        assert (await http.get(url)).json() == {"retentionPeriod": 90}
        assert (await http.put(url, json={"retentionPeriod": 7})).json() == {"retentionPeriod": 7}
        assert (await http.get(url)).json() == {"retentionPeriod": 7}
        for wrong in (6, 91, "30", True, 30.5):
            assert code(await http.put(url, json={"retentionPeriod": wrong})) == (400, "CMN-101")
    async with running(hipaa=True) as (_, http):
        assert code(await http.put(url, json={"retentionPeriod": 30})) == (403, "ACT-340")
        assert (await http.get(url)).json() == {"retentionPeriod": 30}


async def test_the_mailbox_of_another_user_cannot_be_changed() -> None:
    async with running(standard_user=True) as (simulator, http):
        other = f"{ACCOUNT}/extension/{simulator.account.extensions[0].id}/message-store"
        for method, path in [
            ("PUT", "/1"),
            ("PATCH", "/1"),
            ("DELETE", "/1"),
            ("DELETE", "/"),
            ("DELETE", ""),
        ]:
            assert code(await http.request(method, other + path, json={})) == (403, "CMN-419")
