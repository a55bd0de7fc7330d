"""Requests of careless clients, which the platform carries out and the simulator's journal notes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from rcfs.model import Plan, UsageGroup
from rcfs.simulator import AccountSpec, Simulator, SimulatorConfig
from rcfs.simulator._conduct import EQUAL_SENDS_S
from tests.fakes.simulated import in_process, logged_in

MINE = "/restapi/v1.0/account/~/extension/~"
STORE = f"{MINE}/message-store"
PLENTY = {UsageGroup(group): Plan(limit=1000) for group in ("light", "medium", "heavy")}


@asynccontextmanager
async def running(**plans: Plan) -> AsyncIterator[tuple[Simulator, httpx.AsyncClient]]:
    limits = PLENTY | {UsageGroup(group): plan for group, plan in plans.items()}
    config = SimulatorConfig(AccountSpec(messages=60), plans=limits)
    async with in_process(config) as (simulator, endpoints), logged_in(endpoints) as http:
        yield simulator, http


def noted(simulator: Simulator) -> list[str]:
    """The violations since the last call, without the requests."""
    lines = [line.partition(": ")[2] for line in simulator.journal.violations()]
    simulator.journal.clear()
    return lines


async def test_changes_that_nobody_can_want_are_noted() -> None:
    async with running() as (simulator, http):
        listed = await http.get(STORE, params={"dateFrom": "2020-01-01T00:00:00Z"})
        records = listed.json()["records"]
        first, second, third = (record["id"] for record in records[:3])
        talk = next(r["conversation"]["id"] for r in records[3:] if "conversation" in r)

        async def send(method: str, path: str, **options: Any) -> list[str]:
            await http.request(method, f"{STORE}{path}", **options)
            return noted(simulator)

        read = {"readStatus": "Read"}
        assert await send("DELETE", f"/{first},{second}") == []
        assert await send("PUT", f"/{first}", json=read) == []
        assert await send("PATCH", f"/{second}", json={"availability": "Alive"}) == []
        again = f"purges message {first} by repetition"
        assert await send("DELETE", f"/{first},{second}") == [again]
        assert await send("DELETE", f"/{second}?purge=true") == [], "somebody asked for it"
        assert await send("DELETE", f"/{second}") == [], "it is purged already"
        assert await send("DELETE", f"/{third},{third}") == [f"purges message {third} by repetition"]
        unknown = "changes message '5', which does not exist"
        for method in ("DELETE", "PUT", "PATCH"):
            assert await send(method, "/5", json=read) == [unknown], method
        assert await send("DELETE", f"/5,{first}") == [unknown]
        assert await send("GET", "/5") == [], "reading changes nothing"
        assert await send("DELETE", "/*", json=[]) == ["names no messageId to delete"]
        assert await send("DELETE", "?conversationId=*", json=[]) == ["names no conversationId to delete"]
        assert await send("DELETE", "?conversationId=") == ["deletes a conversation without an id"]
        assert await send("DELETE", f"?conversationId={talk}") == []
        repeated = await send("DELETE", f"?conversationId={talk}")
        assert "by repetition" in repeated[0]
        assert await send("DELETE", "?dateTo=2020-01-01T00:00:00Z") == []
        assert "deletes the whole mailbox" in (await send("DELETE", ""))[0]
        assert "deletes the whole mailbox" in (await send("DELETE", "/"))[0]


async def test_equal_sends_within_ten_minutes_are_noted() -> None:
    async with running() as (simulator, http):
        jane, zoe, alex = simulator.account.extensions[:3]
        sms = {"from": {"phoneNumber": jane.phone_number}, "to": [{"phoneNumber": "+14155550100"}]}
        pager = {"to": [{"extensionNumber": zoe.number}, {"extensionNumber": alex.number}], "text": "Hi"}
        pdf = {"attachment": ("a.pdf", b"%PDF-1.4 /Type /Page", "application/pdf")}
        fax = {"data": {"to": "+14155550100"}, "files": pdf}

        async def send(path: str, **options: Any) -> list[str]:
            assert (await http.post(f"{MINE}/{path}", **options)).status_code == 200
            return [line.partition(" was sent")[0] for line in noted(simulator)]

        other = {**sms, "to": [{"phoneNumber": "+14155550101"}]}
        for path, options, differing in (
            ("sms", {"json": {**sms, "text": "Hi"}}, {"json": {**sms, "text": "Ho"}}),
            ("company-pager", {"json": pager}, {"json": {**pager, "to": pager["to"][:1]}}),
            ("fax", fax, {**fax, "data": {"to": "+14155550101"}}),
            ("sms", {"json": {**other, "text": "Hi"}}, {"json": {**other, "text": "Ho"}}),
        ):
            assert await send(path, **options) == []
            assert await send(path, **differing) == []
            assert await send(path, **options) == ["sends again what"]
            await http.post("/simulator/clock", json={"advance_s": EQUAL_SENDS_S})
            assert await send(path, **options) == []
        turned = {**pager, "to": pager["to"][::-1]}
        for fields in (pager, turned):
            await http.post(f"{MINE}/company-pager", json=fields)
        shown = (await http.get("/simulator/journal/violations")).json()
        assert shown == simulator.journal.violations()
        assert len(shown) == 1
        await http.post(f"{MINE}/company-pager", json={**pager, "to": []})
        assert len(simulator.journal.violations()) == 1, "the second was refused, so nobody got it twice"


async def test_a_send_in_a_penalty_is_noted() -> None:
    async with running(medium=Plan(limit=1)) as (simulator, http):
        fields = {"to": [{"extensionNumber": "102"}], "text": "Hi"}
        statuses = [(await http.post(f"{MINE}/company-pager", json=fields)).status_code for _ in range(3)]
        assert statuses == [200, 429, 429]
        assert noted(simulator) == ["sends in a penalty"]
