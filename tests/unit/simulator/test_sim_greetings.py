"""Answering rules of the simulator, and their greetings."""

import io
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import httpx
import pytest

from rcfs.model import Plan, UsageGroup
from rcfs.simulator import AccountSpec, Simulator, SimulatorConfig
from tests.fakes.simulated import in_process, logged_in

COMPANY = "/restapi/v1.0/account/~"
MINE = f"{COMPANY}/extension/~"
DICTIONARY = "/restapi/v1.0/dictionary/greeting"
PLENTY = {UsageGroup(group): Plan(limit=1000) for group in ("light", "medium", "heavy")}
CONFIG = SimulatorConfig(AccountSpec(messages=0, extensions=12), plans=PLENTY)


@asynccontextmanager
async def running(**settings: Any) -> AsyncIterator[tuple[Simulator, httpx.AsyncClient]]:
    config = attrs.evolve(CONFIG, **settings)
    async with in_process(config) as (simulator, endpoints), logged_in(endpoints) as http:
        yield simulator, http


async def fetch(http: httpx.AsyncClient, path: str, **query: Any) -> Any:
    url = httpx.URL(path).copy_merge_params(query)
    return (await http.get(url)).raise_for_status().json()


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["errors"][0]["errorCode"]


async def test_rules_lead_to_every_greeting_of_a_user_and_its_content() -> None:
    async with running() as (simulator, http):
        customs, kinds = {}, set()
        for extension in simulator.account.extensions:
            if extension.mailbox_refused:
                continue
            path = f"{COMPANY}/extension/{extension.id}/answering-rule"
            for rule in (await fetch(http, path, view="Detailed"))["records"]:
                assert await fetch(http, rule["uri"]) == rule
                for greeting in rule["greetings"]:
                    if "preset" in greeting:
                        assert (await fetch(http, greeting["preset"]["uri"]))["type"] == greeting["type"]
                        continue
                    told = await fetch(http, greeting["custom"]["uri"])
                    assert (told["id"], told["type"]) == (greeting["custom"]["id"], greeting["type"])
                    assert told["answeringRule"] == {"uri": rule["uri"], "id": rule["id"]}
                    content = await http.get(told["contentUri"])
                    assert content.headers["content-type"] == told["contentType"]
                    customs[told["id"]] = content.content
                    kinds.add(told["contentType"])
        refused = {extension.id for extension in simulator.account.extensions if extension.mailbox_refused}
        all_of_users = [
            found
            for found in simulator.greetings.customs()
            if found.extension_id is not None and found.extension_id not in refused
        ]
        assert sorted(customs) == sorted(str(found.id) for found in all_of_users)
        assert len(set(customs.values())) == len(customs), "every greeting sounds different"
        assert kinds == {"audio/mpeg", "audio/wav"}
        wav = next(content for content in customs.values() if content.startswith(b"RIFF"))
        with wave.open(io.BytesIO(wav)) as file:
            assert file.getnframes() >= 4 * 8000


async def test_the_simple_view_has_no_greetings_and_filters_hold() -> None:
    async with running() as (_, http):
        path = f"{MINE}/answering-rule"
        simple = await fetch(http, path)
        detailed = (await fetch(http, path, view="Detailed"))["records"]
        assert not any("greetings" in rule for rule in simple["records"])
        assert [rule["id"] for rule in simple["records"]] == [rule["id"] for rule in detailed]
        assert simple["paging"]["totalElements"] == len(detailed)
        after = (await fetch(http, path, type="AfterHours"))["records"]
        assert [rule["id"] for rule in after] == ["after-hours-rule"]
        enabled = (await fetch(http, path, enabledOnly="true"))["records"]
        assert enabled == [rule for rule in simple["records"] if rule["enabled"]]
        (first,) = (await fetch(http, path, perPage="1"))["records"]
        assert first == simple["records"][0]
        assert refusal(await http.get(f"{path}?view=Some")) == (400, "CMN-101")
        assert refusal(await http.get(f"{path}/nothing")) == (404, "CMN-102")


async def test_company_rules_and_greetings() -> None:
    async with running() as (_, http):
        rules = (await fetch(http, f"{COMPANY}/answering-rule"))["records"]
        assert [rule["type"] for rule in rules] == ["BusinessHours", "AfterHours", "Custom"]
        found = 0
        for rule in rules:
            assert "greetings" not in rule
            for greeting in (await fetch(http, rule["uri"]))["greetings"]:
                if "custom" in greeting:
                    content = await http.get(f"{greeting['custom']['uri']}/content")
                    assert content.headers["content-type"].startswith("audio/")
                    part = await http.get(
                        f"{greeting['custom']['uri']}/content", headers={"Range": "bytes=10-19"}
                    )
                    assert (part.status_code, part.content) == (206, content.content[10:20])
                    found += 1
        assert found


async def test_the_dictionary_and_its_contents_outside_the_api() -> None:
    async with running() as (_, http):
        whole = (await fetch(http, DICTIONARY))["records"]
        silent = [preset for preset in whole if preset["category"] == "None"]
        assert silent
        assert not any("contentUri" in preset for preset in silent)
        loud = [preset for preset in whole if preset not in silent]
        contents = set()
        for preset in loud:
            assert "/restapi" not in preset["contentUri"]
            contents.add((await http.get(preset["contentUri"])).raise_for_status().content)
        assert len(contents) == len(loud)
        music = (await fetch(http, DICTIONARY, type="HoldMusic"))["records"]
        assert music == [preset for preset in whole if preset["type"] == "HoldMusic"]
        usage = "DepartmentExtensionAnsweringRule"
        queues = (await fetch(http, DICTIONARY, usageType=usage))["records"]
        assert queues == [preset for preset in whole if preset["usageType"] == usage]
        assert refusal(await http.get(f"{DICTIONARY}/1")) == (404, "CMN-102")


async def test_accounts_with_new_call_handling_refuse_user_rules_only() -> None:
    async with running(new_call_handling=True) as (_, http):
        assert refusal(await http.get(f"{MINE}/answering-rule")) == (403, "CMN-468")
        assert refusal(await http.get(f"{MINE}/answering-rule/business-hours-rule")) == (403, "CMN-468")
        assert (await http.get(f"{COMPANY}/answering-rule")).status_code == 200
        assert (await http.get(DICTIONARY)).status_code == 200


@pytest.mark.parametrize("path", ["answering-rule", "greeting/1", "greeting/1/content"])
async def test_rules_and_greetings_of_others_are_refused_to_a_standard_user(path: str) -> None:
    async with running(standard_user=True) as (simulator, http):
        other = f"{COMPANY}/extension/{simulator.account.extensions[0].id}"
        assert refusal(await http.get(f"{other}/{path}")) == (403, "CMN-419")
