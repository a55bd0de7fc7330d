"""The recorded prompts of the simulator's IVR menus."""

import hashlib
import io
import json
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import httpx

from rcfs.model import Plan, UsageGroup
from rcfs.simulator import AccountSpec, Simulator, SimulatorConfig
from rcfs.simulator.account._prompts import PROMPT_NAMES
from tests.fakes.simulated import in_process, logged_in

COMPANY = "/restapi/v1.0/account/~"
PROMPTS = f"{COMPANY}/ivr-prompts"
PLENTY = {UsageGroup(group): Plan(limit=1000) for group in ("light", "medium", "heavy")}
CONFIG = SimulatorConfig(AccountSpec(messages=0, extensions=2), plans=PLENTY, calls=0)


@asynccontextmanager
async def running(**settings: Any) -> AsyncIterator[tuple[Simulator, httpx.AsyncClient]]:
    config = attrs.evolve(CONFIG, **settings)
    async with in_process(config) as (simulator, endpoints), logged_in(endpoints) as http:
        yield simulator, http


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["errors"][0]["errorCode"]


async def test_every_prompt_is_listed_and_its_content_is_the_truth_on_both_origins() -> None:
    async with running() as (_, http):
        listed = (await http.get(PROMPTS)).raise_for_status().json()["records"]
        assert len(listed) == 18
        assert [prompt.get("filename") for prompt in listed] == list(PROMPT_NAMES)
        lines = (await http.get("/simulator/truth/media", params={"kind": "IvrPrompt"})).text.splitlines()
        truth = {str(row["id"]): row for row in map(json.loads, lines)}
        assert truth.keys() == {prompt["id"] for prompt in listed}
        assert len({row["sha256"] for row in truth.values()}) == 18, "every prompt sounds different"
        for prompt in listed:
            assert (await http.get(prompt["uri"])).json() == prompt
            row = truth[prompt["id"]]
            contents = [await http.get(uri) for uri in (prompt["contentUri"], row["path"])]
            for content in contents:
                assert content.headers["content-type"] == prompt["contentType"] == row["content_type"]
                assert len(content.content) == row["size_bytes"]
                assert hashlib.sha256(content.content).hexdigest() == row["sha256"]
            assert not prompt["contentUri"].startswith(str(http.base_url))
            if prompt["contentType"] == "audio/wav":
                with wave.open(io.BytesIO(contents[0].content)) as file:
                    assert file.getnframes() >= 3 * 8000
            else:
                assert contents[0].content.startswith(b"ID3")
        part = await http.get(listed[0]["contentUri"], headers={"Range": "bytes=5-9"})
        whole = await http.get(listed[0]["contentUri"])
        assert (part.status_code, part.content) == (206, whole.content[5:10])


def test_the_names_are_as_hostile_as_they_should_be() -> None:
    names = [name for name in PROMPT_NAMES if name]
    assert max(len(name.encode()) for name in names) == 300
    assert len(set(names)) < len(names), "two are equal"
    assert len({name.lower() for name in names}) < len(set(names)), "two differ only by case"
    for piece in ("/", "\\", "\n", "\u202e", "CON", ".."):
        assert any(piece in name for name in names)
    assert PROMPT_NAMES[-2:] == ("", None)


async def test_the_list_has_pages() -> None:
    async with running() as (_, http):
        page = (await http.get(PROMPTS, params={"perPage": "10"})).json()
        rest = (await http.get(page["navigation"]["nextPage"]["uri"])).json()
        assert (len(page["records"]), len(rest["records"])) == (10, 8)
        assert "nextPage" not in rest["navigation"]


async def test_unknown_prompts_and_other_accounts() -> None:
    async with running() as (_, http):
        for path in ("1", "x", "1/content"):
            assert refusal(await http.get(f"{PROMPTS}/{path}")) == (404, "CMN-102")
        assert refusal(await http.get("/restapi/v1.0/account/1/ivr-prompts")) == (404, "CMN-102")


async def test_the_scope_and_the_permission_are_checked() -> None:
    async with running(missing_scopes=["ReadAccounts"]) as (simulator, http):
        first = simulator.prompts.prompts[0].id
        for path in ("", f"/{first}", f"/{first}/content"):
            assert refusal(await http.get(PROMPTS + path)) == (403, "CMN-401")
    async with running(standard_user=True) as (simulator, http):
        first = simulator.prompts.prompts[0].id
        for path in ("", f"/{first}"):
            assert refusal(await http.get(PROMPTS + path)) == (403, "CMN-408")


async def test_lists_are_medium_and_contents_are_heavy() -> None:
    async with running() as (simulator, http):
        first = simulator.prompts.prompts[0].id
        for path in ("", f"/{first}", f"/{first}/content"):
            await http.get(PROMPTS + path)
        asked = [(entry.operation, entry.group) for entry in simulator.journal.entries()[-3:]]
        assert asked == [
            ("listIVRPrompts", "medium"),
            ("readIVRPrompt", "medium"),
            ("readIVRPromptContent", "heavy"),
        ]
