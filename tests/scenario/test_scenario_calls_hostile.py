"""Call logs of a server that repeats itself, always refuses, or leads elsewhere."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from itertools import count
from pathlib import Path

import httpx
import pytest
import trio

from rcfs.errors import PlatformError
from rcfs.model import COMPANY
from rcfs.simulator.account._call_log_state import TOKEN_ERRORS
from tests.fakes.call_rig import NOW, CallWorld, open_calls
from tests.fakes.in_memory import Line

HOUR_S = 3600.0

Script = Callable[[httpx.Request], httpx.Response | None]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[CallWorld]:
    async with open_calls(tmp_path) as world:
        yield world


def answer(status: int, document: object, group: str = "heavy") -> httpx.Response:
    headers = {
        "content-type": "application/json",
        "x-rate-limit-group": group,
        "x-rate-limit-limit": "10",
        "x-rate-limit-remaining": "5",
        "x-rate-limit-window": "60",
    }
    return httpx.Response(status, headers=headers, content=json.dumps(document).encode())


class Hostile:
    """Answers the requests for calls itself."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, world: CallWorld) -> None:
        self.script: Script = lambda _request: None
        self.asked: list[tuple[float, httpx.Request]] = []
        genuine = Line.handle_async_request

        async def handle(line: Line, request: httpx.Request) -> httpx.Response:
            if "/call-log" in request.url.path:
                self.asked.append((trio.current_time(), request))
                scripted = self.script(request)
                if scripted is not None:
                    await trio.sleep(0.1)
                    return scripted
            return await genuine(line, request)

        monkeypatch.setattr(Line, "handle_async_request", handle)

    def within(self, since_s: float) -> list[httpx.Request]:
        return [request for at_s, request in self.asked if at_s >= since_s]


@pytest.fixture
def hostile(monkeypatch: pytest.MonkeyPatch, world: CallWorld) -> Hostile:
    return Hostile(monkeypatch, world)


@pytest.mark.parametrize("code", TOKEN_ERRORS)
async def test_a_token_that_is_always_refused_costs_no_more_than_one_that_is_not(
    world: CallWorld, hostile: Hostile, code: str
) -> None:
    def refuse(request: httpx.Request) -> httpx.Response | None:
        if request.url.params.get("syncType") == "ISync":
            return answer(400, {"errorCode": code, "message": "no"})
        return None

    hostile.script = refuse
    async with world.engine() as rig:
        await rig.open(COMPANY)
        begun_s = trio.current_time()
        await rig.watch(COMPANY, 4 * HOUR_S)
        call = world.call(world.extensions[1])
        await rig.watch(COMPANY, HOUR_S)
        assert call.id in rig.calls(COMPANY)
        times = [at_s for at_s, _request in hostile.asked if at_s > begun_s]
        for hour in range(5):
            assert len([at_s for at_s in times if 0 <= at_s - begun_s - hour * HOUR_S < HOUR_S]) <= 12


async def test_a_page_that_repeats_without_end_ends_the_load(world: CallWorld, hostile: Hostile) -> None:
    numbers = count(2)

    def again(request: httpx.Request) -> httpx.Response:
        url = f"{request.url.copy_set_param('page', next(numbers))}"
        records = [{"id": "A", "startTime": "2026-11-03T17:27:05Z"}]
        return answer(200, {"records": records, "navigation": {"nextPage": {"uri": url}}})

    hostile.script = again
    async with world.engine() as rig:
        with trio.move_on_after(HOUR_S) as scope, pytest.raises(PlatformError):
            await rig.open(COMPANY)
        assert not scope.cancelled_caught
        assert len(hostile.asked) <= 3


async def test_empty_pages_without_end_end_the_load(world: CallWorld, hostile: Hostile) -> None:
    numbers = count(2)

    def empty(request: httpx.Request) -> httpx.Response:
        url = f"{request.url.copy_set_param('page', next(numbers))}"
        return answer(200, {"records": [], "navigation": {"nextPage": {"uri": url}}})

    hostile.script = empty
    async with world.engine() as rig:
        with trio.move_on_after(HOUR_S) as scope, pytest.raises(PlatformError, match="empty pages"):
            await rig.open(COMPANY)
        assert not scope.cancelled_caught
        assert len(hostile.asked) == 3


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/restapi/call-log",
        "http://127.0.0.2:1003/call-log",
        "file:///etc/passwd",
        "//x/y",
        "x" * 70_000,
        "http://127.0.0.1:1001@example.com/call-log",
        "http://127.0.0.1:1001\\@example.com/call-log",
        "http://[::1",
        "\0",
    ],
)
async def test_a_next_page_elsewhere_is_not_asked_for(world: CallWorld, hostile: Hostile, url: str) -> None:
    hostile.script = lambda request: answer(200, {"records": [], "navigation": {"nextPage": {"uri": url}}})
    async with world.engine() as rig:
        with suppress(PlatformError):
            await rig.open(COMPANY)
        assert {r.url.host for _s, r in hostile.asked} <= {"127.0.0.1"}
        assert len(hostile.asked) <= 2, hostile.asked


async def test_two_processes_share_what_a_refused_token_costs(world: CallWorld, hostile: Hostile) -> None:
    hostile.script = lambda request: (
        answer(400, {"errorCode": "CLG-101", "message": "no"})
        if request.url.params.get("syncType") == "ISync"
        else None
    )
    async with world.engine() as one, world.engine() as other:
        await one.open(COMPANY)
        begun_s = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.watch, COMPANY, 4 * HOUR_S)
            await trio.sleep(140)
            nursery.start_soon(other.watch, COMPANY, 4 * HOUR_S)
        assert len([at_s for at_s, _request in hostile.asked if at_s > begun_s]) <= 4 * 12 + 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 418, 500, 503, 200])
async def test_trouble_in_the_middle_of_a_load_leaves_nothing_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """A proxy answers with pages of its own; even its refusal says nothing of the login's permissions."""
    async with open_calls(tmp_path, page_calls=20) as world, world.engine() as rig:
        hostile = Hostile(monkeypatch, world)
        hostile.script = lambda request: (
            httpx.Response(status, headers={"content-type": "text/html"}, content=b"<html>")
            if request.url.params.get("page") == "2"
            else None
        )
        with pytest.raises(PlatformError):
            await rig.open(COMPANY)
        assert len(hostile.asked) <= 6
        assert not rig.engine.account.calls.catalogue.is_loaded(COMPANY, NOW)
        hostile.script = lambda _request: None
        await trio.sleep(61)
        await rig.open(world.extensions[0])
        assert rig.calls(COMPANY).keys() == world.truth(None).keys()
