"""The simulator's call logs: lists, filters, single records, synchronisation, and new calls."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import attrs
import httpx
import pytest

from rcfs.model import Plan, UsageGroup
from rcfs.simulator import AccountSpec, Simulator, SimulatorConfig
from rcfs.simulator._app import OPERATIONS
from rcfs.simulator._backend import Backend
from rcfs.simulator._params import iso_time
from rcfs.simulator.account._account import SimAccount
from rcfs.simulator.account._call_values import RECORDED_FROM_S, RECORDING_KEPT_S
from rcfs.simulator.account._calls import CallBook
from rcfs.simulator.account._plan import DAY_S
from rcfs.simulator.api._unplayed import UNPLAYED
from tests.fakes.simulated import in_process, logged_in

COMPANY = "/restapi/v1.0/account/~"
MINE = f"{COMPANY}/extension/~"
LONG_AGO = {"dateFrom": "2020-01-01T00:00:00Z", "perPage": "max"}
CONFIG = SimulatorConfig(AccountSpec(messages=400), calls=200, plans={UsageGroup("heavy"): Plan(limit=1000)})


@asynccontextmanager
async def running(**settings: Any) -> AsyncIterator[tuple[Simulator, httpx.AsyncClient]]:
    config = attrs.evolve(CONFIG, **settings)
    async with in_process(config) as (simulator, endpoints), logged_in(endpoints) as http:
        yield simulator, http


async def fetch(http: httpx.AsyncClient, path: str, **query: Any) -> Any:
    return (await http.get(path, params=query)).raise_for_status().json()


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["errors"][0]["errorCode"]


def at(monkeypatch: pytest.MonkeyPatch, now_s: float) -> None:
    """Set the platform's time to `now_s`."""
    monkeypatch.setattr(Backend, "account_time", lambda _self: now_s)


def test_equal_seeds_give_equal_calls_and_the_count_is_exact() -> None:
    spec = AccountSpec(messages=400)
    one, other = (CallBook(SimAccount(spec), 200).calls(None, spec.end_s) for _ in range(2))
    assert one == other
    assert len(one) == len({call.id for call in one}) == 200
    assert [call.start_s for call in one] == sorted((call.start_s for call in one), reverse=True)
    assert CallBook(SimAccount(AccountSpec(seed=2)), 200).calls(None, spec.end_s) != one


def test_a_recording_belongs_to_its_id_however_many_calls_there_are() -> None:
    spec = AccountSpec(messages=0)
    few, many = (CallBook(SimAccount(spec), count) for count in (100, 400))
    known = {recording.id: recording.audio for recording in many.recordings(spec.end_s)}
    shared = [found for found in few.recordings(spec.end_s) if found.id in known]
    assert shared
    for recording in shared:
        assert recording.audio.read(0, 50_000) == known[recording.id].read(0, 50_000)
        assert recording.audio.size_bytes == known[recording.id].size_bytes


def test_only_long_and_young_calls_have_recordings() -> None:
    spec = AccountSpec(messages=400)
    calls = CallBook(SimAccount(spec), 300).calls(None, spec.end_s)
    recordings = [recording for call in calls for recording in call.recordings]
    assert min(recording.audio.duration_s for recording in recordings) > RECORDED_FROM_S
    assert any(call.is_short for call in calls)
    kept = list(CallBook(SimAccount(spec), 300).recordings(spec.end_s))
    by_id = {recording.id: call for call in calls for recording in call.recordings}
    assert all(spec.end_s - by_id[recording.id].start_s < RECORDING_KEPT_S for recording in kept)
    assert 0 < len(kept) < len(recordings)
    assert max(recording.audio.size_bytes for recording in kept) > 50_000_000


async def test_company_log_holds_every_extensions_log_and_pages_through() -> None:
    async with running() as (simulator, http):
        whole = (await fetch(http, f"{COMPANY}/call-log", **LONG_AGO))["records"]
        assert len(whole) == 200
        mine = (await fetch(http, f"{MINE}/call-log", **LONG_AGO))["records"]
        me = simulator.account.extensions[0]
        assert mine == [record for record in whole if record["extension"]["id"] == me.id]
        url = f"{COMPANY}/call-log?perPage=60&dateFrom=2020-01-01T00:00:00Z"
        seen: list[dict[str, Any]] = []
        while url:
            page = (await http.get(url)).json()
            seen += page["records"]
            url = page["navigation"].get("nextPage", {}).get("uri", "")
        assert [record["id"] for record in seen] == [record["id"] for record in whole]


async def test_date_from_defaults_to_24_hours_before_date_to() -> None:
    async with running() as (_, http):
        whole = (await fetch(http, f"{COMPANY}/call-log", **LONG_AGO))["records"]
        until = whole[0]["startTime"]
        shown = (await fetch(http, f"{COMPANY}/call-log", dateTo=until))["records"]
        begin = datetime.fromisoformat(until).timestamp() - DAY_S
        young = [r for r in whole if datetime.fromisoformat(r["startTime"]).timestamp() >= begin]
        assert [record["id"] for record in shown] == [record["id"] for record in young]
        assert len(young) < len(whole)


@pytest.mark.parametrize(
    ("name", "value"), [("type", "Fax"), ("direction", "Outbound"), ("transport", "VoIP")]
)
async def test_filters_show_only_what_they_name(name: str, value: str) -> None:
    async with running() as (_, http):
        whole = (await fetch(http, f"{COMPANY}/call-log", **LONG_AGO))["records"]
        shown = (await fetch(http, f"{COMPANY}/call-log", **LONG_AGO, **{name: value}))["records"]
        assert shown
        assert shown == [record for record in whole if record[name] == value]


async def test_recording_type_number_and_session_filters() -> None:
    async with running() as (_, http):
        whole = (await fetch(http, f"{COMPANY}/call-log", **LONG_AGO))["records"]

        async def shown(**query: str) -> list[dict[str, Any]]:
            records: list[dict[str, Any]] = (await fetch(http, f"{COMPANY}/call-log", **LONG_AGO, **query))[
                "records"
            ]
            return records

        recorded = [record for record in whole if "recording" in record]
        assert await shown(recordingType="All") == await shown(withRecording="true") == recorded
        for kind in ("Automatic", "OnDemand"):
            assert await shown(recordingType=kind) == [
                record for record in recorded if record["recording"]["type"] == kind
            ]
        call = next(record for record in whole if "phoneNumber" in record["from"])
        found = await shown(phoneNumber=call["from"]["phoneNumber"].lstrip("+"))
        assert call in found
        assert len(found) < len(whole)
        assert await shown(sessionId=call["sessionId"]) == [call]
        assert await shown(telephonySessionId=call["telephonySessionId"]) == [call]
        queue = await shown(extensionNumber="200")
        assert len({record["extension"]["id"] for record in queue}) == 1


async def test_single_records_in_both_views_and_legs_with_recordings_of_their_own() -> None:
    async with running(calls=400) as (_, http):
        whole = (await fetch(http, f"{COMPANY}/call-log", view="Detailed", **LONG_AGO))["records"]
        simple = (await fetch(http, f"{COMPANY}/call-log", **LONG_AGO))["records"]
        assert not any("legs" in record for record in simple)
        detailed = next(record for record in whole if len(record["legs"]) > 1 and "recording" in record)
        ids = [leg["recording"]["id"] for leg in detailed["legs"] if "recording" in leg]
        assert ids[0] == detailed["recording"]["id"]
        assert len(set(ids)) == 2
        assert [leg["master"] for leg in detailed["legs"]] == [True, False]
        path = f"{COMPANY}/call-log/{detailed['id']}"
        assert await fetch(http, path, view="Detailed") == detailed
        assert await fetch(http, path) in simple
        assert refusal(await http.get(f"{COMPANY}/call-log/nothing")) == (404, "CMN-102")
        elsewhere = next(r for r in simple if r["extension"]["id"] != simple[0]["extension"]["id"])
        own = f"{COMPANY}/extension/{simple[0]['extension']['id']}/call-log/{elsewhere['id']}"
        assert refusal(await http.get(own)) == (404, "CMN-102")


async def test_several_records_at_once_are_a_207() -> None:
    async with running() as (_, http):
        whole = (await fetch(http, f"{COMPANY}/call-log", **LONG_AGO))["records"]
        ids = [whole[0]["id"], "nothing", whole[1]["id"]]
        accept = {"Accept": "application/vnd.ringcentral.multipart+json"}
        answer = await http.get(f"{COMPANY}/call-log/{','.join(ids)}", headers=accept)
        assert answer.status_code == 207
        assert [(part["resourceId"], part["status"]) for part in answer.json()] == [
            (ids[0], 200),
            (ids[1], 404),
            (ids[2], 200),
        ]
        assert answer.json()[2]["body"] == whole[1]
        mixed = await http.get(f"{COMPANY}/call-log/{','.join(ids)}")
        assert mixed.headers["content-type"].startswith("multipart/mixed")
        many = ",".join(["x"] * 51)
        assert refusal(await http.get(f"{COMPANY}/call-log/{many}")) == (400, "CMN-106")


async def test_calls_lead_to_their_voicemails_and_faxes() -> None:
    async with running(plans={UsageGroup("light"): Plan(1000)}) as (simulator, http):
        whole = (await fetch(http, f"{COMPANY}/call-log", **LONG_AGO))["records"]
        refused = {e.id for e in simulator.account.extensions if e.mailbox_refused}
        tied = [r for r in whole if "message" in r and r["extension"]["id"] not in refused]
        assert {record["message"]["type"] for record in tied} == {"VoiceMail", "Fax"}
        for record in tied:
            message = await fetch(http, record["message"]["uri"])
            assert message["type"] == record["message"]["type"]
            assert message["creationTime"] >= record["startTime"]


async def test_standard_users_see_their_own_calls_only() -> None:
    async with running(standard_user=True) as (simulator, http):
        assert refusal(await http.get(f"{COMPANY}/call-log")) == (403, "CMN-408")
        assert refusal(await http.get(f"{COMPANY}/call-log-sync?recordCount=1")) == (403, "CMN-408")
        other = f"{COMPANY}/extension/{simulator.account.extensions[0].id}"
        assert refusal(await http.get(f"{other}/call-log")) == (403, "CMN-419")
        assert (await fetch(http, f"{MINE}/call-log", **LONG_AGO))["records"]


@pytest.mark.parametrize(
    "query", ["view=Some", "recordingType=Some", "type=SMS", "perPage=0", "phoneNumber=1&extensionNumber=2"]
)
async def test_bad_parameters_are_named(query: str) -> None:
    async with running() as (_, http):
        answer = await http.get(f"{COMPANY}/call-log?{query}")
        assert refusal(answer) == (400, "CMN-101")
        assert answer.json()["parameterName"] == query.partition("=")[0]


async def test_a_full_sync_gives_the_newest() -> None:
    async with running() as (simulator, http):
        whole = (await fetch(http, f"{COMPANY}/call-log", **LONG_AGO))["records"]
        sync = await fetch(http, f"{COMPANY}/call-log-sync", recordCount="7")
        assert sync["records"] == whole[:7]
        assert sync["syncInfo"]["syncType"] == "FSync"
        month = iso_time(simulator.account.spec.end_s - 29 * DAY_S)
        young = await fetch(http, f"{COMPANY}/call-log-sync", recordCount="250", dateFrom=month)
        assert young["records"] == [record for record in whole if record["startTime"] >= month]
        missed = await fetch(http, f"{COMPANY}/call-log-sync", recordCount="250", statusGroup="Missed")
        assert {record["result"] for record in missed["records"]} == {"Missed", "Voicemail"}


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("", "recordCount"),
        ("recordCount=251", "recordCount"),
        ("recordCount=1&dateFrom=2026-01-01T00:00:00Z", "dateFrom"),
        ("syncType=ISync", "syncToken"),
        ("syncType=Sync", "syncType"),
    ],
)
async def test_bad_syncs_are_refused(query: str, parameter: str) -> None:
    async with running() as (_, http):
        answer = await http.get(f"{MINE}/call-log-sync?{query}")
        assert refusal(answer) == (400, "CMN-101")
        assert answer.json()["parameterName"] == parameter


async def test_an_incremental_sync_sees_calls_come_in_and_recordings_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running(calls=400) as (simulator, http):
        end_s = simulator.account.spec.end_s
        at(monkeypatch, end_s)
        coming = [call for call in simulator.calls.calls(None, end_s + 2 * DAY_S) if call.appears_s > end_s]
        call = min((call for call in coming if call.recordings), key=lambda call: call.appears_s)
        at(monkeypatch, call.appears_s - 1)
        token = (await fetch(http, f"{COMPANY}/call-log-sync", recordCount="1"))["syncInfo"]["syncToken"]
        isync = {"syncType": "ISync", "syncToken": token}
        assert (await fetch(http, f"{COMPANY}/call-log-sync", **isync))["records"] == []
        at(monkeypatch, call.appears_s)
        delta = await fetch(http, f"{COMPANY}/call-log-sync", **isync)
        (record,) = delta["records"]
        assert record["id"] == call.id
        assert "recording" not in record
        at(monkeypatch, call.recordings[0].appears_s)
        isync["syncToken"] = delta["syncInfo"]["syncToken"]
        records = (await fetch(http, f"{COMPANY}/call-log-sync", **isync))["records"]
        (again,) = [record for record in records if record["id"] == call.id]
        assert again["recording"]["id"] == str(call.recordings[0].id)
        assert again["lastModifiedTime"] > record["lastModifiedTime"]
        more = await fetch(http, f"{COMPANY}/call-log-sync", **isync, recordCount="5")
        assert len(more["records"]) == len(records) + 5


async def test_bad_sync_tokens_and_too_many_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(calls=400) as (simulator, http):
        isync = {"syncType": "ISync", "syncToken": "x"}
        assert refusal(await http.get(f"{MINE}/call-log-sync", params=isync)) == (400, "CLG-101")
        sync = await fetch(http, f"{COMPANY}/call-log-sync", recordCount="1")
        isync["syncToken"] = sync["syncInfo"]["syncToken"]
        assert refusal(await http.get(f"{MINE}/call-log-sync", params=isync)) == (400, "CLG-102")
        at(monkeypatch, simulator.account.spec.end_s - 170 * DAY_S)
        sync = await fetch(http, f"{COMPANY}/call-log-sync", recordCount="1")
        isync["syncToken"] = sync["syncInfo"]["syncToken"]
        at(monkeypatch, simulator.account.spec.end_s)
        assert refusal(await http.get(f"{COMPANY}/call-log-sync", params=isync)) == (400, "CLG-104")


async def test_deleted_calls_are_shown_on_demand_only() -> None:
    async with running() as (simulator, http):
        me = simulator.account.extensions[0].id
        mine, company = f"{MINE}/call-log", f"{COMPANY}/call-log"
        whole = (await fetch(http, mine, **LONG_AGO))["records"]
        everybodys = (await fetch(http, company, **LONG_AGO))["records"]
        token = (await fetch(http, f"{mine}-sync", recordCount="1"))["syncInfo"]["syncToken"]
        middle = whole[5]["startTime"]
        assert (await http.delete(mine, params={"dateTo": middle})).status_code == 204
        kept = (await fetch(http, mine, **LONG_AGO))["records"]
        assert kept == [record for record in whole if record["startTime"] > middle]
        others = [record for record in everybodys if record["extension"]["id"] != me]
        shown = (await fetch(http, company, **LONG_AGO))["records"]
        assert [r for r in shown if r["extension"]["id"] != me] == others, "of nobody else"
        again = (await fetch(http, mine, **LONG_AGO, showDeleted="true"))["records"]
        assert [r["id"] for r in again] == [r["id"] for r in whole]
        gone = again[5:]
        assert all(record["deleted"] for record in gone)
        assert "deleted" not in again[0]
        assert refusal(await http.get(f"{mine}/{gone[0]['id']}")) == (404, "CMN-102")
        isync = {"syncType": "ISync", "syncToken": token}
        assert (await fetch(http, f"{mine}-sync", **isync))["records"] == []
        told = await fetch(http, f"{mine}-sync", **isync, showDeleted="true")
        assert told["records"] == gone
        newest = await fetch(http, f"{mine}-sync", recordCount="250", showDeleted="true")
        assert newest["records"] == kept, "a full sync has no deleted ones"
        assert (await http.delete(mine)).status_code == 204
        assert (await fetch(http, mine, **LONG_AGO))["records"] == []


async def test_a_user_cannot_delete_the_calls_of_others() -> None:
    async with running(standard_user=True) as (simulator, http):
        theirs = f"{COMPANY}/extension/{simulator.account.extensions[0].id}/call-log"
        assert refusal(await http.delete(theirs)) == (403, "CMN-419")
        assert refusal(await http.delete(f"{MINE}/call-log?dateTo=yesterday")) == (400, "CMN-101")
    async with running(missing_scopes=["EditCallLog"]) as (_, http):
        assert refusal(await http.delete(f"{MINE}/call-log")) == (403, "CMN-401")


@pytest.mark.parametrize("code", ["CLG-101", "CLG-103", "CLG-105"])
async def test_sync_tokens_of_calls_expire_on_demand(code: str) -> None:
    async with running() as (_, http):
        sync = await fetch(http, f"{COMPANY}/call-log-sync", recordCount="1")
        isync = {"syncType": "ISync", "syncToken": sync["syncInfo"]["syncToken"]}
        await fetch(http, f"{COMPANY}/call-log-sync", **isync)
        assert (await http.post("/simulator/reset-call-logs", json={"code": code})).status_code == 204
        assert refusal(await http.get(f"{COMPANY}/call-log-sync", params=isync)) == (400, code)
        sync = await fetch(http, f"{COMPANY}/call-log-sync", recordCount="1")
        isync["syncToken"] = sync["syncInfo"]["syncToken"]
        await fetch(http, f"{COMPANY}/call-log-sync", **isync)
        for wrong in (b'{"code": "CLG-100"}', b"{}", b"[]", b"{"):
            assert (await http.post("/simulator/reset-call-logs", content=wrong)).status_code == 400


async def test_filters_that_are_not_simulated_are_refused_by_name() -> None:
    paths = {operation.id: operation.path for operation in OPERATIONS}
    async with running(plans={UsageGroup(g): Plan(1000) for g in ("light", "medium", "heavy")}) as (_, http):
        for operation, names in UNPLAYED.items():
            path = paths[operation].replace("{account_id}", "~").replace("{extension_id}", "~")
            for name in names:
                answer = await http.get(path.replace("{rule_id}", "business-hours-rule"), params={name: "x"})
                assert refusal(answer) == (400, "CMN-101")
                assert answer.json()["parameterName"] == name


async def test_blocked_calls_make_no_difference_as_there_are_none() -> None:
    async with running() as (_, http):
        whole, without = [
            (await fetch(http, f"{MINE}/call-log", **LONG_AGO, showBlocked=flag))["records"]
            for flag in ("true", "false")
        ]
        assert whole == without
        answer = await http.get(f"{MINE}/call-log?showBlocked=perhaps")
        assert refusal(answer) == (400, "CMN-101")
