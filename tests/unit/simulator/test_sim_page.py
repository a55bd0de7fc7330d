"""The simulator's start page, as a plain client gets it."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import unescape
from typing import Any

import httpx

from rcfs.simulator import AccountSpec, Simulator, SimulatorConfig
from rcfs.simulator.admin._page import SHOWN_EXTENSIONS
from rcfs.simulator.faults._faults import EFFECTS, fault_from_json
from tests.fakes.simulated import in_process, logged_in

MINE = "/restapi/v1.0/account/~/extension/~"


@asynccontextmanager
async def running(**account: Any) -> AsyncIterator[tuple[Simulator, httpx.AsyncClient]]:
    config = SimulatorConfig(AccountSpec(messages=0, **account))
    async with in_process(config) as (simulator, endpoints), logged_in(endpoints) as http:
        yield simulator, http


async def test_it_shows_the_account_and_the_settings() -> None:
    async with running() as (simulator, http):
        answer = await http.get("/")
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        text = unescape(answer.text)
        credentials = simulator.auth.credentials
        for shown in (
            simulator.account.name,
            str(simulator.account.account_id),
            f"export RC_SERVER_URL={str(http.base_url).rstrip('/')}",
            f"export RC_APP_CLIENT_ID={credentials.client_id}",
            f"export RC_APP_CLIENT_SECRET={credentials.client_secret}",
            f"export RC_USER_JWT={credentials.jwt}",
            *(extension.name for extension in simulator.account.extensions),
        ):
            assert shown in text
        assert "<R&D>" not in answer.text, "names are text, whatever they look like"
        assert "$" not in answer.text.replace("$(", ""), "nothing was left to fill in"


async def test_it_loads_nothing_from_other_hosts() -> None:
    async with running() as (_, http):
        answer = await http.get("/")
        assert re.findall(r"""(?:src|href)=["']?([^"'\s>]+)""", answer.text) == ["data:,"]
        assert "default-src 'none'" in answer.headers["content-security-policy"]


async def test_each_button_adds_a_valid_fault() -> None:
    async with running() as (simulator, http):
        buttons = re.findall(r'data-fault="([^"]+)"', (await http.get("/")).text)
        faults = [json.loads(unescape(button)) for button in buttons]
        assert len(faults) == len(EFFECTS)
        for fault in faults:
            body = {**fault, "count": 1, "operation": "readExtension", "path": "", "probability": 1}
            if fault["kind"] == "refuse":  # would end this client's connection
                simulator.faults.add(fault_from_json({**body, "operation": "", "origin": "media"}))
            else:
                assert (await http.post("/simulator/faults", json=body)).status_code == 200
        assert {type(f.effect) for f in simulator.faults._faults} == set(EFFECTS)


async def test_the_requests_of_the_page_are_answered() -> None:
    async with running() as (simulator, http):
        text = (await http.get("/")).text
        asked = set(re.findall(r'ask\("(\w+)", "([^"]+)"', text))
        assert ("GET", "journal?last=40") in asked
        for method, path in sorted(asked - {("POST", "faults")}):
            assert (await http.request(method, f"/simulator/{path}")).is_success, path
        assert simulator.journal.entries() == [], "the page itself is not recorded"


async def test_quota_and_the_newest_entries() -> None:
    async with running() as (_, http):
        for _ in range(3):
            await http.get(MINE)
        meters = (await http.get("/simulator/quota")).json()
        light = next(meter for meter in meters if meter["group"] == "light")
        assert (light["used"], light["limit"], light["penalty_left_s"]) == (3, 50, 0.0)
        assert {meter["group"] for meter in meters} >= {"light", "medium", "heavy", "auth"}
        newest = (await http.get("/simulator/journal?last=2")).json()
        assert [entry["seq"] for entry in newest] == [3, 4]
        assert (await http.get("/simulator/journal?last=x")).status_code == 400


async def test_many_extensions_are_cut_short_and_other_methods_refused() -> None:
    async with running(extensions=SHOWN_EXTENSIONS + 5) as (_, http):
        assert "and 5 more" in (await http.get("/")).text
        assert (await http.post("/")).status_code == 405
