"""Calls that tests let happen, and records and recordings that they change."""

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import httpx
import pytest

from rcfs.model import Plan, UsageGroup
from rcfs.simulator import AccountSpec, Simulator, SimulatorConfig
from rcfs.simulator.account._call_records import merge_patch
from rcfs.simulator.account._call_values import HIPAA_RECORDING_KEPT_S
from tests.fakes.simulated import in_process, logged_in

COMPANY = "/restapi/v1.0/account/~"
MINE = f"{COMPANY}/extension/~"
LONG_AGO = {"dateFrom": "2020-01-01T00:00:00Z", "perPage": "max", "view": "Detailed"}
PLENTY = {UsageGroup(group): Plan(limit=1000) for group in ("light", "medium", "heavy")}
CONFIG = SimulatorConfig(AccountSpec(messages=0), plans=PLENTY, calls=40)


@asynccontextmanager
async def running(**settings: Any) -> AsyncIterator[tuple[Simulator, httpx.AsyncClient]]:
    config = attrs.evolve(CONFIG, **settings)
    async with in_process(config) as (simulator, endpoints), logged_in(endpoints) as http:
        yield simulator, http


async def tell(http: httpx.AsyncClient, path: str, **body: Any) -> Any:
    answer = (await http.post(f"/simulator/{path}", json=body)).raise_for_status()
    return answer.json() if answer.content else None


async def log(http: httpx.AsyncClient, path: str = COMPANY) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = (
        (await http.get(f"{path}/call-log", params=LONG_AGO)).raise_for_status().json()["records"]
    )
    return records


async def record_of(http: httpx.AsyncClient, call_id: str) -> dict[str, Any]:
    params = {"view": "Detailed"}
    record: dict[str, Any] = (
        (await http.get(f"{COMPANY}/call-log/{call_id}", params=params)).raise_for_status().json()
    )
    return record


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["errors"][0]["errorCode"]


async def changes(http: httpx.AsyncClient, token: str) -> list[dict[str, Any]]:
    query = {"syncType": "ISync", "syncToken": token, "view": "Detailed"}
    records: list[dict[str, Any]] = (
        (await http.get(f"{COMPANY}/call-log-sync", params=query)).raise_for_status().json()["records"]
    )
    return records


async def token_of(http: httpx.AsyncClient) -> str:
    sync = (await http.get(f"{COMPANY}/call-log-sync", params={"recordCount": "1"})).raise_for_status()
    token: str = sync.json()["syncInfo"]["syncToken"]
    return token


async def test_a_call_ends_now_its_record_comes_and_then_its_recording() -> None:
    async with running() as (simulator, http):
        me, token = simulator.account.extensions[0].id, await token_of(http)
        before = await log(http)
        made = await tell(http, "call", extension_id=me, duration_s=75, number="+14155550100", name="Ann Lee")
        (recording_id,) = made["recording_ids"]
        assert await log(http) == before
        assert await changes(http, token) == []
        await tell(http, "clock", advance_s=20)
        (record,) = await changes(http, token)
        assert record == (await log(http))[0]
        assert (record["id"], record["sessionId"]) == (made["id"], made["session_id"])
        assert record["telephonySessionId"] == made["telephony_session_id"]
        assert (record["duration"], record["direction"]) == (75, "Inbound")
        assert record["from"]["phoneNumber"] == "+14155550100"
        assert record["from"]["name"] == "Ann Lee"
        assert "recording" not in record
        assert (await http.get(f"{COMPANY}/recording/{recording_id}")).status_code == 404
        token = await token_of(http)
        await tell(http, "clock", advance_s=60)
        (again,) = await changes(http, token)
        assert again["recording"]["id"] == str(recording_id)
        content = (await http.get(again["recording"]["contentUri"])).raise_for_status().content
        rows = (await http.get("/simulator/truth/media", params={"kind": "Recording"})).text.splitlines()
        row = json.loads(rows[0])
        assert (row["id"], row["extension_id"], row["size_bytes"]) == (recording_id, me, len(content))
        assert row["sha256"] == hashlib.sha256(content).hexdigest()


async def test_a_call_without_delays_without_recording_and_without_number() -> None:
    async with running() as (simulator, http):
        me = simulator.account.extensions[0].id
        options = {"log_after_s": 0, "recording_after_s": None, "number": "", "direction": "Outbound"}
        made = await tell(http, "call", extension_id=me, **options)
        assert made["recording_ids"] == []
        record = (await log(http, MINE))[0]
        assert (record["id"], record["to"], record["result"]) == (made["id"], {}, "Call connected")
        assert "recording" not in record
        late = await tell(http, "recording", call_id=made["id"], duration_s=44)
        assert (await record_of(http, made["id"]))["recording"]["id"] == str(late["id"])
        told = (await http.get(f"{COMPANY}/recording/{late['id']}")).json()
        assert told["duration"] == 44


async def test_a_short_call_has_no_recording_and_says_so() -> None:
    async with running() as (simulator, http):
        me = simulator.account.extensions[0].id
        options = {"log_after_s": 0, "recording_after_s": 0}
        for duration_s, is_short in ((30, True), (31, False)):
            made = await tell(http, "call", extension_id=me, duration_s=duration_s, **options)
            record = await record_of(http, made["id"])
            assert record.get("shortRecording", False) is is_short
            assert ("recording" in record) is not is_short
            assert bool(made["recording_ids"]) is not is_short


async def test_each_leg_of_a_transfer_has_its_extension_and_its_recording() -> None:
    async with running() as (simulator, http):
        me, colleague = (simulator.account.extensions[place] for place in (0, 2))
        legs = [{"extension_id": me.id, "duration_s": 40}, {"extension_id": colleague.id, "duration_s": 50}]
        made = await tell(http, "call", legs=legs, log_after_s=0, recording_after_s=0)
        record = await record_of(http, made["id"])
        assert record["duration"] == 90
        assert [leg["extension"]["id"] for leg in record["legs"]] == [me.id, colleague.id]
        assert [leg["recording"]["id"] for leg in record["legs"]] == list(map(str, made["recording_ids"]))
        assert record["legs"][1]["to"]["name"] == colleague.name
        assert record in await log(http, f"{COMPANY}/extension/{colleague.id}")
        other = simulator.account.extensions[1].id
        assert record["id"] not in {r["id"] for r in await log(http, f"{COMPANY}/extension/{other}")}
        wrong = [{"extension_id": me.id}, {"extension_id": 1}]
        assert (await http.post("/simulator/call", json={"legs": wrong})).status_code == 400


async def test_planned_transfers_lead_to_other_extensions() -> None:
    async with running(calls=400) as (simulator, http):
        whole = await log(http)
        transferred = [record for record in whole if len(record["legs"]) > 1]
        assert transferred
        for record in transferred:
            first, second = (leg["extension"]["id"] for leg in record["legs"])
            assert first == record["extension"]["id"] != second
        legs = [leg for record in whole for leg in record["legs"] if "recording" in leg]
        owners = {leg["recording"]["id"]: leg["extension"]["id"] for leg in legs}
        for recording in simulator.calls.recordings(simulator.account.spec.end_s):
            assert owners[str(recording.id)] == recording.extension_id


async def test_a_recording_appears_earlier_and_is_replaced() -> None:
    async with running() as (simulator, http):
        me = simulator.account.extensions[0].id
        made = await tell(http, "call", extension_id=me, log_after_s=0, recording_after_s=5000)
        (coming,) = made["recording_ids"]
        assert "recording" not in await record_of(http, made["id"])
        assert await tell(http, "recording", call_id=made["id"]) == {"id": coming}
        assert (await record_of(http, made["id"]))["recording"]["id"] == str(coming)
        await tell(http, "clock", advance_s=1)
        token = await token_of(http)
        await tell(http, "clock", advance_s=1)
        new = (await tell(http, "recording", call_id=made["id"]))["id"]
        assert new != coming
        (record,) = await changes(http, token)
        assert record["recording"]["id"] == str(new)
        for recording_id, status in ((coming, 404), (new, 200)):
            assert (await http.get(f"{COMPANY}/recording/{recording_id}/content")).status_code == status
        replaced = await http.post("/simulator/recording/delete", json={"recording_id": coming})
        assert (replaced.status_code, str(coming) in replaced.json()["error"]) == (400, True)
        for wrong in ({"call_id": "x"}, {"call_id": made["id"], "leg": 1}, {"call_id": 1}, {}):
            assert (await http.post("/simulator/recording", json=wrong)).status_code == 400


@pytest.mark.parametrize("still_named", [False, True])
async def test_a_recording_is_deleted_with_or_without_the_logs_notice(*, still_named: bool) -> None:
    async with running() as (_, http):
        record = next(record for record in await log(http) if "recording" in record)
        recording = record["recording"]
        await tell(http, "recording/delete", recording_id=int(recording["id"]), still_named=still_named)
        for uri in (recording["uri"], recording["contentUri"]):
            assert refusal(await http.get(uri)) == (404, "CMN-102")
        now = await record_of(http, record["id"])
        assert ("recording" in now) is still_named
        assert (now["lastModifiedTime"] == record["lastModifiedTime"]) is still_named
        rows = (await http.get("/simulator/truth/media", params={"kind": "Recording"})).text
        assert recording["id"] not in rows
        answer = await http.post("/simulator/recording/delete", json={"recording_id": 7})
        assert answer.status_code == 400


async def test_a_record_is_rewritten_and_a_sync_tells() -> None:
    async with running() as (_, http):
        record = next(record for record in await log(http) if "recording" in record)
        token = await token_of(http)
        await tell(http, "clock", advance_s=1)
        uri = "http://example.com/recording/1/content"
        patch = {"result": "Voicemail", "startTime": None, "recording": {"contentUri": uri}}
        await tell(http, "call/rewrite", call_id=record["id"], fields=patch, leg_fields={"extension": None})
        (now,) = await changes(http, token)
        assert now["lastModifiedTime"] > record["lastModifiedTime"]
        assert (now["result"], now["recording"]) == ("Voicemail", {**record["recording"], "contentUri": uri})
        assert "startTime" not in now
        assert not any("extension" in leg for leg in now["legs"])
        assert now["legs"][0]["recording"] == record["legs"][0]["recording"]
        await tell(http, "call/rewrite", call_id=record["id"], fields={"id": None, "legs": None})
        listed = await log(http)
        (bare,) = [found for found in listed if "id" not in found]
        assert "legs" not in bare
        assert bare["result"] == record["result"], "only the newest change counts"
        known = {"call_id": record["id"]}
        for wrong in ({"call_id": "x"}, {**known, "fields": 1}, {**known, "leg": 1}):
            assert (await http.post("/simulator/call/rewrite", json=wrong)).status_code == 400


def test_a_merge_patch_removes_adds_and_nests() -> None:
    record = {"a": 1, "b": {"c": 2, "d": 3}}
    assert merge_patch(record, {"a": None, "b": {"c": None}, "e": {"f": 1, "g": None}}) == {
        "b": {"d": 3},
        "e": {"f": 1},
    }
    assert record == {"a": 1, "b": {"c": 2, "d": 3}}


async def test_more_than_250_changes_are_refused() -> None:
    async with running() as (simulator, http):
        me, token = simulator.account.extensions[0].id, await token_of(http)
        await tell(http, "clock", advance_s=1)
        for _ in range(250):
            await tell(http, "call", extension_id=me, log_after_s=0)
        assert len(await changes(http, token)) == 250
        await tell(http, "call", extension_id=me, log_after_s=0)
        answer = await http.get(f"{COMPANY}/call-log-sync", params={"syncType": "ISync", "syncToken": token})
        assert refusal(answer) == (400, "CLG-104")


async def test_recordings_of_a_hipaa_account_end_after_30_days() -> None:
    async with running(hipaa=True, calls=300) as (simulator, _):
        now_s = simulator.account.spec.end_s
        starts = {r.id: call.start_s for call in simulator.calls.calls(None, now_s) for r in call.recordings}
        kept = [recording.id for recording in simulator.calls.recordings(now_s)]
        assert kept
        since_s = now_s - HIPAA_RECORDING_KEPT_S
        assert set(kept) == {recording_id for recording_id, start_s in starts.items() if start_s > since_s}


@pytest.mark.parametrize(
    ("settings", "path", "code"),
    [
        ({"missing_permissions": ["FullCompanyCallLog"]}, "call-log", "CMN-408"),
        ({"missing_scopes": ["ReadCallLog"]}, "call-log", "CMN-401"),
        ({"missing_scopes": ["ReadCallLog"]}, "extension/~/call-log", "CMN-401"),
        ({"missing_scopes": ["ReadCallRecording"]}, "recording/1/content", "CMN-401"),
        ({"missing_permissions": ["ReadCallRecording"]}, "recording/1", "CMN-408"),
    ],
)
async def test_missing_rights_are_named(settings: dict[str, Any], path: str, code: str) -> None:
    async with running(**settings) as (_, http):
        answer = await http.get(f"{COMPANY}/{path}")
        assert refusal(answer) == (403, code)
        (missing,) = next(iter(settings.values()))
        assert missing in answer.json()["message"]
        if "missing_permissions" in settings:
            assert (await http.get(f"{MINE}/call-log")).status_code == 200, "a user's own log stays readable"


async def test_bad_wishes_are_refused() -> None:
    async with running() as (simulator, http):
        me = simulator.account.extensions[0].id
        wishes: list[Any] = [
            [],
            {},
            {"extension_id": 1},
            {"extension_id": me, "duration_s": 0},
            {"extension_id": me, "direction": "Sideways"},
            {"extension_id": me, "log_after_s": -1},
            {"extension_id": me, "recording_after_s": "soon"},
            {"extension_id": me, "durations": 5},
            {"legs": []},
            {"legs": [{"extension_id": me}] * 2, "recording_after_s": None},
            {"legs": [{"extension_id": me}, {"extension_id": me, "duration_s": 30}]},
        ]
        for wrong in wishes:
            answer = await http.post("/simulator/call", json=wrong)
            assert answer.status_code == 400, wrong
            assert answer.json()["error"]
