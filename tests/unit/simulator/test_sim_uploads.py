"""Uploads of greetings and prompts."""

import io
import json
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from rcfs.model import Plan, UsageGroup
from rcfs.simulator import AccountSpec, Simulator, SimulatorConfig
from rcfs.simulator.faults._faults import fault_from_json
from tests.fakes.simulated import in_process, logged_in

COMPANY = "/restapi/v1.0/account/~"
MINE = f"{COMPANY}/extension/~"
PLENTY = {UsageGroup(group): Plan(limit=1000) for group in ("light", "medium", "heavy")}
MP3 = b"ID3" + bytes(50)
RULE = "business-hours-rule"


def wav() -> bytes:
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(800))
    return target.getvalue()


@asynccontextmanager
async def running(**settings: Any) -> AsyncIterator[tuple[Simulator, httpx.AsyncClient]]:
    config = SimulatorConfig(AccountSpec(messages=0), plans=PLENTY, calls=0, **settings)
    async with in_process(config) as (simulator, endpoints), logged_in(endpoints) as http:
        yield simulator, http


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["errorCode"]


async def greetings(http: httpx.AsyncClient, base: str) -> dict[str, dict[str, Any]]:
    """The greetings of a rule, by type."""
    rule = (await http.get(f"{base}/answering-rule/{RULE}")).raise_for_status().json()
    return {greeting["type"]: greeting for greeting in rule["greetings"]}


async def test_an_uploaded_greeting_takes_the_place_of_the_old_one() -> None:
    async with running() as (simulator, http):
        for base, kind, group in ((MINE, "Unavailable", "heavy"), (COMPANY, "Company", "medium")):
            before = await greetings(http, base)
            form = {"type": kind, "answeringRuleId": RULE}
            file = {"binary": ("hello.wav", wav(), "application/octet-stream")}
            answer = (await http.post(f"{base}/greeting", data=form, files=file)).raise_for_status()
            assert answer.headers["x-rate-limit-group"] == group
            made = answer.json()
            assert (made["type"], made["contentType"]) == (kind, "audio/wav")
            assert made["answeringRule"]["id"] == RULE
            assert (await http.get(made["contentUri"])).content == wav()
            after = await greetings(http, base)
            assert before.pop(kind).get("custom", {}).get("id") != made["id"]
            assert after.pop(kind)["custom"]["id"] == made["id"]
            assert after == before
        fields = {"type": "Voicemail", "answeringRule": {"id": RULE}}
        mixed = [
            ("json", ("request.json", json.dumps(fields).encode(), "application/json")),
            ("binary", ("", MP3, "audio/mpeg")),
        ]
        made = (await http.post(f"{MINE}/greeting", files=mixed)).raise_for_status().json()
        assert (await http.get(made["uri"])).json() == made
        assert (await greetings(http, MINE))["Voicemail"]["custom"]["id"] == made["id"]
        assert simulator.journal.violations() == []
        await http.post(f"{MINE}/greeting", files=mixed)
        assert "sends again" in simulator.journal.violations()[0]


async def test_a_greeting_need_not_be_applied() -> None:
    async with running() as (_, http):
        before = await greetings(http, MINE)
        form, file = {"type": "Voicemail", "answeringRuleId": RULE}, {"binary": ("a.mp3", MP3, "audio/mpeg")}
        made = (await http.post(f"{MINE}/greeting?apply=false", data=form, files=file)).json()
        recording = (
            await http.post(f"{COMPANY}/greeting", data={"type": "StartRecording"}, files=file)
        ).json()
        assert await greetings(http, MINE) == before
        for unapplied in (made, recording):
            assert "answeringRule" not in unapplied
            assert (await http.get(unapplied["contentUri"])).content == MP3


@pytest.mark.parametrize(
    ("base", "form", "data", "expected"),
    [
        (MINE, {"type": "Company", "answeringRuleId": RULE}, MP3, (400, "CMN-101")),
        (MINE, {"type": "Voicemail"}, MP3, (400, "CMN-101")),
        (MINE, {"type": "Voicemail", "answeringRuleId": "5"}, MP3, (404, "CMN-102")),
        (MINE, {"type": "Voicemail", "answeringRuleId": RULE}, b"OggS", (400, "CMN-101")),
        (COMPANY, {"type": "Voicemail", "answeringRuleId": RULE}, MP3, (400, "CMN-101")),
        (COMPANY, {"type": "Company"}, b"", (400, "CMN-101")),
    ],
)
async def test_invalid_greetings_are_refused(
    base: str, form: dict[str, str], data: bytes, expected: tuple[int, str]
) -> None:
    async with running() as (_, http):
        before = await greetings(http, base)
        answer = await http.post(f"{base}/greeting", data=form, files={"binary": ("a", data, "audio/mpeg")})
        assert code(answer) == expected
        assert await greetings(http, base) == before


async def test_prompts_come_and_go() -> None:
    async with running() as (simulator, http):
        url, file = f"{COMPANY}/ivr-prompts", {"attachment": ("menu.mp3", MP3, "audio/mpeg")}
        before = (await http.get(url)).json()["records"]
        answer = (await http.post(url, data={"name": "Menu"}, files=file)).raise_for_status()
        made = answer.json()
        assert (made["filename"], answer.headers["x-rate-limit-group"]) == ("menu.mp3", "heavy")
        assert (await http.get(url)).json()["records"] == [*before, made]
        assert (await http.get(made["contentUri"])).content == MP3
        for deleted in (before[0], made):
            assert (await http.delete(deleted["uri"])).status_code == 204
        assert (await http.get(url)).json()["records"] == before[1:]
        assert code(await http.delete(made["uri"])) == (404, "CMN-102")
        simulator.faults.add(fault_from_json({"kind": "status_after", "operation": "createIVRPrompt"}))
        other = {"attachment": ("", wav(), "audio/x-wav")}
        assert (await http.post(url, data={"name": "Lost"}, files=other)).status_code == 503
        (lost,) = (await http.get(url)).json()["records"][len(before) - 1 :]
        assert (lost["filename"], lost["id"] != made["id"]) == ("Lost", True)
        assert simulator.journal.violations() == []
        assert code(await http.post(url, files={"attachment": ("a", b"text", "audio/wav")})) == (
            400,
            "CMN-101",
        )


async def test_uploads_need_rights() -> None:
    file = {"binary": ("a.mp3", MP3, "audio/mpeg")}
    form = {"type": "Voicemail", "answeringRuleId": RULE}
    async with running(missing_scopes=("EditExtensions", "EditAccounts")) as (_, http):
        for path in (f"{MINE}/greeting", f"{COMPANY}/greeting", f"{COMPANY}/ivr-prompts"):
            assert code(await http.post(path, data=form, files=file)) == (403, "CMN-401")
    async with running(standard_user=True) as (simulator, http):
        other = f"{COMPANY}/extension/{simulator.account.extensions[0].id}/greeting"
        assert code(await http.post(other, data=form, files=file)) == (403, "CMN-419")
        assert code(await http.post(f"{COMPANY}/ivr-prompts", files=file)) == (403, "CMN-408")
    async with running(new_call_handling=True) as (_, http):
        assert code(await http.post(f"{MINE}/greeting", data=form, files=file)) == (403, "CMN-468")
