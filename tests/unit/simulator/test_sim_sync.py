"""Synchronisation: frames, tombstones, the mark for older records, and refused tokens."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from rcfs.model import Plan, UsageGroup
from rcfs.simulator import AccountSpec, Simulator, SimulatorConfig
from rcfs.simulator._backend import Backend
from rcfs.simulator.account._plan import DAY_S
from tests.fakes.simulated import in_process, logged_in
from tests.fakes.websocket import connected

MINE = "/restapi/v1.0/account/~/extension/~"
STORE = f"{MINE}/message-store"
EVER = {"dateFrom": "2020-01-01T00:00:00Z"}
PLANS = {UsageGroup(group): Plan(limit=1000) for group in ("light", "medium")}


@asynccontextmanager
async def running(**options: Any) -> AsyncIterator[tuple[Simulator, httpx.AsyncClient]]:
    config = SimulatorConfig(**{"spec": AccountSpec(messages=190), "plans": PLANS, **options})
    async with in_process(config) as (simulator, endpoints), logged_in(endpoints) as http:
        yield simulator, http


async def sync(http: httpx.AsyncClient, token: str = "", **query: Any) -> dict[str, Any]:
    kind = {"syncType": "ISync", "syncToken": token} if token else {"syncType": "FSync"}
    answer = await http.get(f"{MINE}/message-sync", params={**kind, **query})
    body: dict[str, Any] = answer.raise_for_status().json()
    return body


def token_of(body: dict[str, Any]) -> str:
    token: str = body["syncInfo"]["syncToken"]
    return token


def ids(body: dict[str, Any]) -> list[int]:
    return [record["id"] for record in body["records"]]


async def arrive(simulator: Simulator, http: httpx.AsyncClient, kind: str) -> int:
    body = {"extension_id": simulator.account.extensions[0].id, "type": kind}
    message_id: int = (await http.post("/simulator/arrive", json=body)).raise_for_status().json()["id"]
    return message_id


async def advance(http: httpx.AsyncClient, seconds: float) -> None:
    (await http.post("/simulator/clock", json={"advance_s": seconds})).raise_for_status()


async def test_a_sync_reports_arrival_reading_and_deletion_but_not_the_final_erasure() -> None:
    async with running() as (simulator, http):
        body = await sync(http, **EVER)
        await advance(http, 60)
        message_id = await arrive(simulator, http, "SMS")
        body = await sync(http, token_of(body))
        assert ids(body) == [message_id]
        assert body["records"][0]["readStatus"] == "Unread"
        again = await sync(http, token_of(body))
        assert again["records"] == body["records"], "within five seconds it comes again"
        await advance(http, 60)
        body = await sync(http, token_of(await sync(http, token_of(again))))
        assert body["records"] == []
        await http.put(f"{STORE}/{message_id}", json={"readStatus": "Read"})
        body = await sync(http, token_of(body))
        assert [(r["id"], r["readStatus"]) for r in body["records"]] == [(message_id, "Read")]
        for availability in ("Deleted", "Purged"):
            await http.delete(f"{STORE}/{message_id}")
            body = await sync(http, token_of(body))
            assert body["records"] == [{"id": message_id, "availability": availability}]
        await advance(http, 60)
        body = await sync(http, token_of(body))
        await advance(http, 5 * 86_400)
        body = await sync(http, token_of(body))
        assert message_id not in ids(body)
        assert (await http.get(f"{STORE}/{message_id}")).status_code == 404


async def test_a_transcript_appears_later() -> None:
    async with running() as (simulator, http):
        body = await sync(http, **EVER)
        found = 0
        for _ in range(8):  # some voicemails are not transcribed at all
            message_id = await arrive(simulator, http, "VoiceMail")
            fresh = (await http.get(f"{STORE}/{message_id}")).json()
            assert [a["type"] for a in fresh["attachments"]] == ["AudioRecording"]
            await advance(http, 60)
            later = (await http.get(f"{STORE}/{message_id}")).json()
            body = await sync(http, token_of(body))
            assert [r for r in body["records"] if r["id"] == message_id] == [later]
            if fresh["vmTranscriptionStatus"] == "InProgress":
                found += 1
                assert later["vmTranscriptionStatus"] in ("Completed", "CompletedPartially")
                assert [a["type"] for a in later["attachments"]] == ["AudioRecording", "AudioTranscription"]
                assert later["lastModifiedTime"] > fresh["lastModifiedTime"]
                assert (await http.get(later["attachments"][1]["uri"])).text
        assert found


async def test_the_frame_is_kept_by_the_token_and_can_be_widened() -> None:
    async with running() as (simulator, http):
        since = {"dateFrom": "2026-09-01T00:00:00Z"}
        body = await sync(http, messageType="Fax", **since)
        assert {record["type"] for record in body["records"]} == {"Fax"}
        await advance(http, 60)
        await arrive(simulator, http, "SMS")
        fax = await arrive(simulator, http, "Fax")
        body = await sync(http, token_of(body))
        assert ids(body) == [fax], "the filters of the FSync still hold"
        older = await sync(http, token_of(body), **EVER)
        wide = await sync(http, messageType="Fax", **EVER)
        narrow = await sync(http, messageType="Fax", **since)
        assert set(ids(older)) == {fax} | set(ids(wide)) - set(ids(narrow))
        assert len(older["records"]) > 1
        await advance(http, 60)
        later = await sync(http, token_of(older))
        assert ids(later) == [fax], "the wider frame is the new one; the fax is within five seconds"


async def test_a_default_range_does_not_move_with_the_time() -> None:
    async with running() as (simulator, http):
        message_id = await arrive(simulator, http, "SMS")
        body = await sync(http)
        await advance(http, 86_400 * 2)
        await http.put(f"{STORE}/{message_id}", json={"readStatus": "Read"})
        assert ids(await sync(http, token_of(body))) == [message_id]


async def test_older_records_exist_beyond_the_range_or_the_count() -> None:
    async with running() as (_, http):
        everything = await sync(http, **EVER)
        assert not everything["syncInfo"]["olderRecordsExist"]
        recent = await sync(http, dateFrom="2026-11-01T00:00:00Z")
        assert recent["syncInfo"]["olderRecordsExist"]
        first = await sync(http, recordCount="3", **EVER)
        assert first["records"] == everything["records"][:3]
        assert first["syncInfo"]["olderRecordsExist"]
        oldest_fax = [r for r in everything["records"] if r["type"] == "Fax"][-1]
        only = await sync(http, messageType="Fax", dateFrom=oldest_fax["creationTime"])
        assert not only["syncInfo"]["olderRecordsExist"], "older ones of other types do not count"
        change = await sync(http, token_of(first))
        assert not change["syncInfo"]["olderRecordsExist"]


async def test_lifetime_and_overlap_end_at_the_exact_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = AccountSpec().end_s
    monkeypatch.setattr(Backend, "account_time", lambda _self: now)
    async with running() as (simulator, http):
        message_id = await arrive(simulator, http, "SMS")
        token = token_of(await sync(http, **EVER))
        now += 4.999
        assert ids(await sync(http, token_of(await sync(http, token)))) == [message_id]
        now += 0.001
        late = token_of(await sync(http, token))
        assert ids(await sync(http, late)) == [], "five seconds have passed between the two"
        await http.delete(f"{STORE}/{message_id}")
        for availability, days in (("Deleted", 5), ("Purged", 5)):
            told = [r for r in (await sync(http, late))["records"] if r["id"] == message_id]
            assert told == [{"id": message_id, "availability": availability}]
            now += days * DAY_S - 0.001
            assert (await http.get(f"{STORE}/{message_id}")).json()["availability"] == availability
            now += 0.001
        gone = {record["id"] for record in (await sync(http, late))["records"]}
        assert message_id not in gone, "that it was erased is not told"


async def test_changes_come_newest_first_and_a_restored_message_whole() -> None:
    async with running() as (_, http):
        whole = await sync(http, **EVER)
        first, second, third = ids(whole)[:3]
        await advance(http, 60)
        for message_id in (third, first, second):
            await http.delete(f"{STORE}/{message_id}")
        await http.patch(f"{STORE}/{second}", json={"availability": "Alive"})
        changes = (await sync(http, token_of(whole)))["records"]
        assert [record["id"] for record in changes] == [first, second, third], "as in any list"
        assert [set(record) == {"id", "availability"} for record in changes] == [True, False, True]
        assert changes[1]["availability"] == "Alive"
        assert "attachments" in changes[1]


async def test_the_count_cuts_off_full_syncs_only_as_it_would_lose_changes() -> None:
    async with running() as (_, http):
        body = await sync(http, recordCount="1", **EVER)
        assert len(body["records"]) == 1
        await advance(http, 60)
        older = ids(await sync(http, **EVER))[1:4]
        for message_id in older:
            await http.delete(f"{STORE}/{message_id}")
        assert ids(await sync(http, token_of(body), recordCount="1")) == older
        for wrong in ("0", "-1", "x"):
            answer = await http.get(f"{MINE}/message-sync", params={"recordCount": wrong, **EVER})
            assert answer.json()["parameterName"] == "recordCount"


@pytest.mark.parametrize("error", ["MSG-333", "CMN-101"])
async def test_tokens_expire(error: str) -> None:
    async with running(sync_token_lifetime_s=3600.0, sync_token_error=error) as (_, http):

        async def refusal(token: str) -> tuple[int, str, str]:
            query = {"syncType": "ISync", "syncToken": token}
            answer = await http.get(f"{MINE}/message-sync", params=query)
            (told,) = answer.json()["errors"]
            return answer.status_code, told["errorCode"], told["parameterName"]

        old = token_of(await sync(http, **EVER))
        await advance(http, 3500)
        new = token_of(await sync(http, old))
        await advance(http, 200)
        assert await refusal(old) == (400, error, "syncToken")
        assert await refusal("x") == (400, error, "syncToken")
        newer = token_of(await sync(http, new))
        assert (await http.post("/simulator/expire-sync-tokens")).status_code == 204
        assert await refusal(newer) == (400, error, "syncToken")
        await sync(http, token_of(await sync(http, **EVER)))


@pytest.mark.parametrize("wrong", [{"sync_token_error": "CMN-1"}, {"sync_token_lifetime_s": 0.0}], ids=str)
def test_invalid_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        SimulatorConfig(AccountSpec(), **wrong)


async def test_subscribers_hear_of_arrivals_and_due_changes_without_requests() -> None:
    async with running(spec=AccountSpec(messages=0)) as (simulator, http):
        token = (await http.post("/restapi/oauth/wstoken")).raise_for_status().json()
        async with connected(f"{token['uri']}?access_token={token['ws_access_token']}") as socket:
            await socket.hear()
            wanted = {"eventFilters": [STORE], "deliveryMode": {"transportType": "WebSocket"}}
            await socket.ask("POST", "/restapi/v1.0/subscription", wanted)
            message_id = await arrive(simulator, http, "Fax")
            new = {"type": "Fax", "newCount": 1, "updatedCount": 0, "newMessageIds": [message_id]}
            assert (await socket.hear())[1]["body"]["changes"] == [new]
            await http.delete(f"{STORE}/{message_id}")
            changed = {"type": "Fax", "newCount": 0, "updatedCount": 1}
            assert (await socket.hear())[1]["body"]["changes"] == [changed]
            await advance(http, 5 * 86_400)
            assert (await socket.hear())[1]["body"]["changes"] == [changed], "purged"
