"""Faults of requests that change something: carried out and not, with the answer lost or late."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import trio

from tests.fakes.wire import LIMIT_S, MINE, Setup, running, until

STORE = f"{MINE}/message-store"


@asynccontextmanager
async def with_messages() -> AsyncIterator[tuple[Setup, list[dict[str, Any]]]]:
    async with running() as s:
        records = (await s.http.get(STORE, params={"dateFrom": "2020-01-01T00:00:00Z"})).json()["records"]
        yield s, records


async def state(s: Setup, message: dict[str, Any]) -> str:
    record = (await s.http.get(f"{STORE}/{message['id']}")).raise_for_status().json()
    return str(record["availability"])


async def test_a_change_whose_answer_is_lost_was_made() -> None:
    async with with_messages() as (s, records):
        faults: list[tuple[str, dict[str, Any]]] = [
            ("reset", {}),
            *(("status_after", {"status": status}) for status in (500, 502, 503, 504)),
            ("status_after", {"status": 502, "body": "html"}),
            ("status_after", {"status": 504, "body": "empty", "retry_after_s": 3}),
        ]
        for (kind, options), message in zip(faults, records, strict=False):
            s.fault(kind, operation="deleteMessage,deleteMessageByFilter", **options)
            url = f"{STORE}/{message['id']}"
            if kind == "reset":
                with pytest.raises(httpx.ReadError):
                    await s.http.delete(url)
            else:
                answer = await s.http.delete(url)
                assert answer.status_code == options["status"]
                assert answer.headers.get("retry-after") == ("3" if "retry_after_s" in options else None)
                kinds = {"html": "text/html", "empty": None}
                expected = kinds.get(options.get("body", ""), "application/json;charset=utf-8")
                assert answer.headers.get("content-type") == expected
            assert s.simulator.journal.entries()[-1].fault == kind
            assert await state(s, message) == "Deleted", (kind, options)
        assert s.fired == [1] * len(faults)


async def test_a_change_that_was_lost_on_the_way_was_not_made() -> None:
    async with with_messages() as (s, (first, *_)):
        url = f"{STORE}/{first['id']}"
        s.fault("lost_request", operation="deleteMessage")
        with pytest.raises(httpx.ReadError):
            await s.http.delete(url)
        s.fault("status", status=500, operation="deleteMessage")
        assert (await s.http.delete(url)).status_code == 500
        assert await state(s, first) == "Alive"
        assert s.fired == [1, 1]


async def test_the_answer_to_a_change_is_cut_in_its_body() -> None:
    async with with_messages() as (s, (first, *_)):
        wish = "Read" if first["readStatus"] == "Unread" else "Unread"
        s.fault("truncate", operation="updateMessage")
        with pytest.raises(httpx.RemoteProtocolError):
            await s.http.put(f"{STORE}/{first['id']}", json={"readStatus": wish})
        record = (await s.http.get(f"{STORE}/{first['id']}")).json()
        assert record["readStatus"] == wish


async def test_a_refused_change_gets_its_refusal_whatever_comes_after() -> None:
    async with with_messages() as (s, _):
        s.fault("status_after")
        assert (await s.http.delete(f"{STORE}/5")).status_code == 404
        assert s.fired == [0]


async def test_a_late_change_is_made_although_the_client_has_given_up() -> None:
    async with with_messages() as (s, (first, second, third, *_)):
        s.fault("late", operation="deleteMessage", delay_s=1000, reset=True)
        with pytest.raises(httpx.ReadError):
            await s.http.delete(f"{STORE}/{first['id']}")
        s.fault("late", operation="deleteMessage", delay_s=0.1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(s.http.delete, f"{STORE}/{second['id']}")
            await until(lambda: s.simulator.journal.entries()[-1].path == f"{STORE}/{second['id']}")
            nursery.cancel_scope.cancel()
        with trio.fail_after(LIMIT_S):
            while await state(s, second) == "Alive":
                pass
        assert await state(s, first) == "Alive", "its time has not come"
        s.fault("late", operation="deleteMessage", delay_s=0)
        assert (await s.http.delete(f"{STORE}/{third['id']}")).status_code == 204, "who waits is answered"
        assert await state(s, third) == "Deleted"
        late = [entry for entry in s.simulator.journal.entries() if entry.operation == "deleteMessage"]
        assert [(entry.fault, entry.status) for entry in late] == [("late", None)] * 2 + [("late", 204)]
