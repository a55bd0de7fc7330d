"""The simulator's admin interface."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import httpx
import pytest

from rcfs.model import Plan, UsageGroup
from rcfs.simulator import AccountSpec, Simulator, SimulatorConfig
from tests.fakes.simulated import in_process, logged_in

MINE = "/restapi/v1.0/account/~/extension/~"
LIGHT = UsageGroup("light")


@asynccontextmanager
async def running() -> AsyncIterator[tuple[Simulator, httpx.AsyncClient]]:
    config = SimulatorConfig(AccountSpec(messages=30), plans={LIGHT: Plan(2, 60, 60)})
    async with in_process(config) as (simulator, endpoints), logged_in(endpoints) as http:
        yield simulator, http


async def test_journal_shows_requests_but_not_itself() -> None:
    async with running() as (simulator, http):
        await http.get(f"{MINE}/message-store?perPage=5", headers={"Range": "bytes=1-2"})
        everything = (await http.get("/simulator/journal")).json()
        assert [entry["operation"] for entry in everything] == ["getToken", "listMessages"]
        listing = everything[1]
        assert (
            listing.items()
            >= {
                "method": "GET",
                "origin": "platform",
                "path": f"{MINE}/message-store",
                "query": "perPage=5",
                "range": "bytes=1-2",
                "group": "light",
                "status": 200,
                "remaining": 1,
                "done": True,
                "user": str(simulator.account.extensions[0].id),
            }.items()
        )
        assert listing["bytes_sent"] > 100
        assert 0 < everything[0]["time_s"] < listing["time_s"]
        assert len((await http.get("/simulator/journal?group=auth")).json()) == 1
        assert len((await http.get("/simulator/journal?operation=listMessages")).json()) == 1
        assert (await http.get(f"/simulator/journal?since={listing['seq']}")).json() == []
        assert (await http.get("/simulator/journal?since=x")).status_code == 400
        assert (await http.delete("/simulator/journal")).status_code == 204
        assert (await http.get("/simulator/journal/summary")).json()["requests"] == 0


async def test_summary_is_that_of_the_journal() -> None:
    async with running() as (simulator, http):
        for _ in range(4):
            await http.get(MINE)
        summary = (await http.get("/simulator/journal/summary")).json()
        assert summary == attrs.asdict(simulator.journal.summary(["readMessageContent"]))
        assert summary["by_operation"]["readExtension"] == {"200": 2, "429": 2}
        assert (summary["limited"], summary["in_penalty"]) == (2, 1)


async def test_truth_is_that_of_the_account() -> None:
    async with running() as (simulator, http):
        lines = (await http.get("/simulator/truth")).text.splitlines()
        assert [json.loads(line) for line in lines] == [attrs.asdict(r) for r in simulator.account.truth()]
        assert len(lines) > 32, "more than one batch"


async def test_plans_change_at_once() -> None:
    async with running() as (_, http):
        changed = await http.put("/simulator/plans", json={"light": {"limit": 7, "window_s": 3}})
        assert changed.json()["light"] == {"limit": 7, "window_s": 3, "penalty_s": 60}
        assert changed.json()["medium"]["limit"] == 40
        headers = (await http.get(MINE)).headers
        assert (headers["x-rate-limit-limit"], headers["x-rate-limit-window"]) == ("7", "3")
        wrongs: tuple[object, ...] = (
            {"light": {"limit": 0}},
            {"light": {"speed": 1}},
            {"light": {"limit": "x"}},
            [],
        )
        for wrong in wrongs:
            assert (await http.put("/simulator/plans", json=wrong)).status_code == 400
        assert (await http.put("/simulator/plans", content=b"{")).status_code == 400


async def test_faults_and_tokens() -> None:
    async with running() as (_, http):
        added = await http.post("/simulator/faults", json={"kind": "status", "operation": "readExtension"})
        assert added.json() == [
            {
                "kind": "status",
                "options": {"status": 503, "retry_after_s": None, "code": "CMN-203"},
                "operation": "readExtension",
                "path": "",
                "count": 1,
                "probability": 1.0,
                "fired": 0,
            }
        ]
        kinds = (await http.get("/simulator/faults/kinds")).json()
        assert {"kind": "stall", "needed": ["for_s"], "options": {"at_byte": None}}.items() <= next(
            kind for kind in kinds if kind["kind"] == "stall"
        ).items()
        assert (await http.post("/simulator/faults", json={"kind": "?"})).status_code == 400
        assert (await http.get(MINE)).status_code == 503
        assert (await http.get("/simulator/faults")).json()[0]["fired"] == 1
        assert (await http.delete("/simulator/faults")).json() == []
        assert (await http.post("/simulator/expire-tokens")).status_code == 204
        assert (await http.get(MINE)).status_code == 401


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_unknown_admin_paths_are_no_part_of_the_api(method: str) -> None:
    async with running() as (simulator, http):
        assert (await http.request(method, "/simulator/nothing")).status_code == 404
        assert len(simulator.journal.entries()) == 1


async def test_every_answer_tells_the_accounts_time() -> None:
    config = SimulatorConfig(AccountSpec(messages=0), present_s=1_830_297_600.0)
    async with in_process(config) as (_simulator, endpoints), logged_in(endpoints) as http:
        await http.post("/simulator/clock", json={"advance_s": 3 * 86_400})
        assert (await http.get("/simulator/clock")).json()["time"].startswith("2028-01-04T00:0")
        for path in (MINE, "/nothing", "/simulator/journal"):
            answer = await http.get(path)
            assert answer.headers.get_list("Date")[0].startswith("Tue, 04 Jan 2028 00:0")
            assert len(answer.headers.get_list("Date")) == 1


def test_two_accounts_have_different_credentials() -> None:
    one, other = (
        Simulator(SimulatorConfig(AccountSpec(messages=0, end_s=end_s))).auth.credentials
        for end_s in (0.0, 604_800.0)
    )
    assert one.jwt != other.jwt
    assert one.client_id != other.client_id
