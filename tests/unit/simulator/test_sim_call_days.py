"""Accounts with a steady number of calls a day."""

import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import attrs
import httpx
import pytest

from rcfs.model import Plan, UsageGroup
from rcfs.simulator import AccountSpec, Simulator, SimulatorConfig
from rcfs.simulator._params import iso_time
from rcfs.simulator.account._account import SimAccount
from rcfs.simulator.account._calls import CallBook
from rcfs.simulator.account._plan import DAY_S
from tests.fakes.simulated import in_process, logged_in

COMPANY = "/restapi/v1.0/account/~"
PLENTY = {UsageGroup(group): Plan(limit=1000) for group in ("light", "medium", "heavy")}
SMALL = SimulatorConfig(AccountSpec(messages=0), plans=PLENTY, calls_per_day=100, call_days=3)
END_S = SMALL.spec.end_s


@asynccontextmanager
async def running(**settings: Any) -> AsyncIterator[tuple[Simulator, httpx.AsyncClient]]:
    config = attrs.evolve(SMALL, **settings)
    async with in_process(config) as (simulator, endpoints), logged_in(endpoints) as http:
        yield simulator, http


async def log(http: httpx.AsyncClient, path: str = COMPANY, **query: Any) -> dict[str, Any]:
    query = {"dateFrom": "2020-01-01T00:00:00Z", "perPage": "max", "view": "Detailed"} | query
    answer: dict[str, Any] = (await http.get(f"{path}/call-log", params=query)).raise_for_status().json()
    return answer


def test_the_documented_archive_costs_no_memory_and_any_place_of_it_is_at_hand() -> None:
    account = SimAccount(AccountSpec(messages=0, extensions=4000))
    tracemalloc.start()
    try:
        book = CallBook(account, 0, per_day=40_000, days=30)
        calls = book.calls(None, END_S)
        assert 1_199_700 < len(calls) <= 1_200_000
        place = 800_000
        middle = calls[place : place + 3]
        assert [call.start_s for call in middle] == sorted((call.start_s for call in middle), reverse=True)
        one = middle[1]
        assert book.find(None, one.id, END_S) == one
        (recording,) = one.recordings
        assert book.recording(recording.id, END_S) is None, "100,000 newer ones have pushed it out"
        theirs = book.calls(one.extension_id, END_S)
        assert one in theirs[: len(theirs)]
        assert 290 <= len(theirs) <= 310, "ten calls a day"
        assert tracemalloc.get_traced_memory()[1] < 20 << 20
    finally:
        tracemalloc.stop()


def test_the_newest_recordings_up_to_the_limit_are_kept() -> None:
    account = SimAccount(AccountSpec(messages=0))
    book = CallBook(account, 0, per_day=100, days=3, limit=120)
    kept = list(book.recordings(END_S))
    assert 110 <= len(kept) <= 121
    assert len(list(CallBook(account, 0, per_day=100, days=3).recordings(END_S))) > 290
    (gone,) = book.calls(None, END_S)[150].recordings
    assert book.recording(gone.id, END_S) is None
    assert book.recording(kept[0].id, END_S) == kept[0]
    for unknown in ("", "x", "AAAA", "é"):
        assert book.find(None, unknown, END_S) is None
    assert book.recording(1, END_S) is None


async def test_pages_filters_and_single_records_are_those_of_the_whole_log() -> None:
    async with running() as (simulator, http):
        whole = (await log(http))["records"]
        assert 295 <= len(whole) <= 300
        starts = [record["startTime"] for record in whole]
        assert starts == sorted(starts, reverse=True)
        assert len({record["id"] for record in whole}) == len(whole)
        page = await log(http, perPage="70", page="2")
        assert page["records"] == whole[70:140]
        assert page["paging"]["totalElements"] == len(whole)
        since, until = whole[200]["startTime"], whole[100]["startTime"]
        assert (await log(http, dateFrom=since, dateTo=until))["records"] == whole[100:201]
        inbound = (await log(http, direction="Inbound"))["records"]
        assert inbound == [record for record in whole if record["direction"] == "Inbound"]
        one = await http.get(f"{COMPANY}/call-log/{whole[9]['id']}", params={"view": "Detailed"})
        assert one.json() == whole[9]
        seen = []
        for extension in simulator.account.extensions:
            if not extension.mailbox_refused:
                path = f"{COMPANY}/extension/{extension.id}"
                mine = (await log(http, path))["records"]
                assert mine == [r for r in whole if r["extension"]["id"] == extension.id]
                seen.append(len(mine))
        assert sum(map(bool, seen)) == 3, "users call, nobody else does"
        recorded = [record for record in whole if "recording" in record]
        assert len(recorded) > 290
        content = await http.get(recorded[-1]["recording"]["contentUri"])
        assert content.headers["content-type"] == "audio/mpeg"


async def test_calls_go_on_as_time_passes_and_syncs_tell() -> None:
    async with running() as (_, http):
        sync = (await http.get(f"{COMPANY}/call-log-sync?recordCount=5")).json()
        newest = (await log(http, view="Simple"))["records"]
        assert sync["records"] == newest[:5]
        await http.post("/simulator/clock", json={"advance_s": DAY_S})
        query = {"syncType": "ISync", "syncToken": sync["syncInfo"]["syncToken"]}
        changed = (await http.get(f"{COMPANY}/call-log-sync", params=query)).json()["records"]
        now = (await log(http, view="Simple"))["records"]
        assert len(now) - len(newest) == pytest.approx(100, abs=2)
        assert changed[: len(now) - len(newest)] == now[: len(now) - len(newest)]
        assert len(changed) <= len(now) - len(newest) + 2, "and those whose recordings came"


async def test_added_and_changed_calls_have_their_places_among_the_planned_ones() -> None:
    async with running() as (simulator, http):
        before = (await log(http))["records"]
        old = before[150]["id"]
        rewritten = {"call_id": old, "fields": {"result": "Voicemail"}}
        assert (await http.post("/simulator/call/rewrite", json=rewritten)).status_code == 204
        body = {"extension_id": simulator.account.extensions[0].id, "log_after_s": 0, "duration_s": 2000}
        ids = [(await http.post("/simulator/call", json=body)).json()["id"]]
        await http.post("/simulator/clock", json={"advance_s": 3600})
        ids.append((await http.post("/simulator/call", json=body)).json()["id"])
        records = (await log(http))["records"]
        assert all(one["startTime"] >= other["startTime"] for one, other in pairwise(records))
        assert [record["id"] for record in records if record["id"].startswith("new")] == ids[::-1]
        assert next(record for record in records if record["id"] == old)["result"] == "Voicemail"
        known = {record["id"] for record in before}
        assert [r["id"] for r in records if r["id"] in known] == [r["id"] for r in before]
        late = iso_time(END_S + 60)
        young = (await log(http, dateFrom=late, direction="Inbound"))["records"]
        assert young == [r for r in records if r["startTime"] >= late and r["direction"] == "Inbound"]
