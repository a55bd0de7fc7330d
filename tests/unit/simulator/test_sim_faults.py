"""Faults of connections and contents, each shown on the wire; and the choice of requests for a fault."""

import errno
import gzip
from typing import Any

import httpx
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from rcfs.simulator import Endpoints, Simulator
from rcfs.simulator.faults._faults import EFFECTS, all_kinds, fault_from_json, kind_of
from tests.fakes.simulated import logged_in
from tests.fakes.wire import ACCOUNT, CONFIG, LIMIT_S, MINE, Wire, running, until


async def test_reset_before_the_answer() -> None:
    async with running() as s:
        s.fault("reset")
        assert await s.raw(s.path) == Wire(b"", b"", "reset")
        (entry,) = s.simulator.journal.entries()
        assert (entry.status, entry.done, entry.fault, entry.remaining) == (None, True, "reset", 998)
        assert (await s.raw(s.path)).body == s.content, "it happens once"


@pytest.mark.parametrize("at_byte", [0, 1, 100_000])
async def test_reset_in_the_body_at_the_very_byte(at_byte: int) -> None:
    async with running() as s:
        s.fault("reset_body", at_byte=at_byte)
        wire = await s.raw(s.path)
        cut = min(at_byte, len(s.content) - 1)
        assert (wire.status, wire.body, wire.end) == (200, s.content[:cut], "reset")
        assert s.simulator.journal.entries()[0].bytes_sent == cut


async def test_truncated_body_ends_in_order_and_too_early() -> None:
    async with running() as s:
        s.fault("truncate", count=2)
        wire = await s.raw(s.path)
        assert (wire.body, wire.end) == (s.content[: len(s.content) // 2], "fin")
        assert wire.header("Content-Length") == str(len(s.content))
        with pytest.raises(httpx.RemoteProtocolError):
            await s.http.get(s.path)


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "reset_body"},
        {"kind": "truncate"},
        {"kind": "stall", "for_s": 1000.0},
        {"kind": "trickle"},
        {"kind": "chunked"},
        {"kind": "gzip"},
    ],
    ids=lambda fault: fault["kind"],
)
async def test_effects_on_bodies_skip_answers_without_one(fault: dict[str, Any]) -> None:
    async with running() as s:
        s.fault(**fault)
        answer = await s.http.delete(f"{MINE}/message-store/{s.path.split('/')[-3]}")
        assert (answer.status_code, answer.content) == (204, b"")
        assert s.fired == [0]
        assert s.simulator.journal.entries()[-1].fault == ""


async def connect_error(url: str) -> int:
    """The errno with which a connection to `url` fails."""
    address = httpx.URL(url)
    with trio.socket.socket() as client:
        with pytest.raises(OSError, match=r".") as caught:
            await client.connect((address.host, address.port))
        return caught.value.errno or 0


@pytest.mark.parametrize("origin", ["platform", "media"])
async def test_refused_until_the_faults_are_cleared(origin: str) -> None:
    async with running() as s:
        url = getattr(s.endpoints, f"{origin}_url")
        async with httpx.AsyncClient(base_url=url, headers=s.http.headers, verify=False) as http:
            before = await http.get(s.path)
            s.fault("refuse", origin=origin, count=None)
            await until(lambda: s.simulator.faults.refusals(origin) != [])
            await wait_all_tasks_blocked()
            assert [await connect_error(url) for _ in range(3)] == [errno.ECONNREFUSED] * 3
            with pytest.raises(httpx.ConnectError):  # the idle connection has been closed, too
                await http.get(s.path)
            other = s.endpoints.media_url if origin == "platform" else s.endpoints.platform_url
            assert (await http.get(other + s.path)).content == s.content, "the other origin goes on"
            async with httpx.AsyncClient(base_url=s.endpoints.foreign_url) as abroad:
                assert (await abroad.delete("/simulator/faults")).json() == []
            await wait_all_tasks_blocked()
            assert (await http.get(s.path)).content == before.content


async def test_refused_for_a_time() -> None:
    async with running() as s:
        start = trio.current_time()
        s.fault("refuse", for_s=0.2)
        await wait_all_tasks_blocked()
        assert await connect_error(s.endpoints.platform_url) == errno.ECONNREFUSED
        await until(lambda: s.fired == [1])
        assert trio.current_time() - start >= 0.2
        await wait_all_tasks_blocked()
        assert (await s.raw(s.path)).body == s.content


async def test_the_next_connections_are_refused() -> None:
    async with running() as s:
        s.fault("refuse", count=2)
        await wait_all_tasks_blocked()
        assert [(await s.raw(s.path)).end for _ in range(3)] == ["reset", "reset", "fin"]
        assert [entry.status for entry in s.simulator.journal.entries()] == [200], "two were never read"


async def test_some_connections_are_refused_by_chance() -> None:
    async with running() as s:
        s.fault("refuse", probability=0.5, seed=3)
        await wait_all_tasks_blocked()
        ends = [(await s.raw(s.path)).end for _ in range(20)]
        assert 3 < ends.count("reset") < 17


async def test_a_request_in_flight_is_answered_when_connections_become_refused() -> None:
    async with running() as s:
        s.fault("stall", for_s=0.2, at_byte=10)
        async with s.http.stream("GET", s.path) as answer:
            s.fault("refuse", count=None)
            await wait_all_tasks_blocked()
            assert await answer.aread() == s.content
        await wait_all_tasks_blocked()
        with pytest.raises(httpx.ConnectError):
            await s.http.get(s.path)


async def test_slow_answer_begins_late() -> None:
    async with running() as s:
        s.fault("slow", delay_s=0.2)
        start = trio.current_time()
        async with s.http.stream("GET", s.path) as answer:
            assert trio.current_time() - start >= 0.2
            assert await answer.aread() == s.content


async def test_stall_pauses_at_the_byte_and_continues() -> None:
    async with running() as s:
        s.fault("stall", for_s=1000.0, at_byte=10)
        s.fault("stall", for_s=0.2)
        async with s.http.stream("GET", s.path) as answer:
            pieces = answer.aiter_raw()
            assert await anext(pieces) == s.content[:10]
            with trio.move_on_after(0.1) as waited:
                await anext(pieces)
            assert waited.cancelled_caught
        start = trio.current_time()
        assert (await s.http.get(s.path)).content == s.content
        assert trio.current_time() - start >= 0.2


async def test_trickle() -> None:
    async with running() as s:
        text_path = next(
            f"{MINE}/message-store/{row.message_id}/content/{row.attachment_id}"
            for row in s.simulator.account.truth()
            if row.kind == "Text"
            and row.size_bytes >= 5
            and row.extension_id == s.simulator.account.extensions[0].id
        )
        text = (await s.http.get(text_path)).content
        s.fault("trickle", piece_bytes=len(text) // 5, pause_s=0.02)
        start = trio.current_time()
        assert (await s.http.get(text_path)).content == text
        assert trio.current_time() - start >= 4 * 0.02


@pytest.mark.parametrize(("asked", "start"), [(None, 0), ("bytes=100-", 100)])
async def test_unasked_partial(asked: str | None, start: int) -> None:
    async with running() as s:
        s.fault("unasked_partial", first_bytes=50)
        wire = await s.raw(s.path, *([f"Range: {asked}"] if asked else []))
        assert (wire.status, wire.body) == (206, s.content[start : start + 50])
        assert wire.header("Content-Range") == f"bytes {start}-{start + 49}/{len(s.content)}"


async def test_ignored_range() -> None:
    async with running() as s:
        s.fault("ignored_range")
        wire = await s.raw(s.path, "Range: bytes=100-")
        assert (wire.status, wire.body, wire.header("Content-Range")) == (200, s.content, None)


async def test_wrong_and_missing_content_range() -> None:
    async with running() as s:
        s.fault("wrong_content_range", shift_bytes=3)
        s.fault("missing_content_range")
        wrong, missing = [await s.raw(s.path, "Range: bytes=10-19") for _ in range(2)]
        assert [(wire.status, wire.body) for wire in (wrong, missing)] == [(206, s.content[10:20])] * 2
        assert wrong.header("Content-Range") == f"bytes 13-22/{len(s.content)}"
        assert missing.header("Content-Range") is None


@pytest.mark.parametrize(
    "kind",
    ["unasked_partial", "ignored_range", "wrong_content_range", "missing_content_range", "not_ready"],
)
async def test_effects_on_contents_skip_all_other_answers(kind: str) -> None:
    async with running() as s:
        s.fault(kind)
        await s.raw(MINE, "Range: bytes=0-9")
        assert (await s.raw(s.path, "Range: bytes=999999999-")).status == 416
        assert s.fired == [0]
        await s.raw(s.path, "Range: bytes=0-9")
        assert s.fired == [1]


async def test_chunked_and_gzip() -> None:
    async with running() as s:
        s.fault("chunked")
        s.fault("gzip")
        chunked = await s.http.get(s.path)
        assert (chunked.headers["transfer-encoding"], chunked.content) == ("chunked", s.content)
        assert "content-length" not in chunked.headers
        async with s.http.stream("GET", s.path, headers={"Accept-Encoding": "identity"}) as answer:
            raw = b"".join([piece async for piece in answer.aiter_raw()])
        assert answer.headers["content-encoding"] == "gzip"
        assert (gzip.decompress(raw), len(raw)) == (s.content, s.simulator.journal.entries()[-1].bytes_sent)


async def test_choice_by_operation_path_and_count() -> None:
    async with running() as s:
        s.fault("status", operation="listMessages", count=2)
        s.fault("status", path=ACCOUNT + "/extension", status=500)
        listing = f"{MINE}/message-store"
        statuses = [
            (await s.http.get(path)).status_code for path in (ACCOUNT, listing, MINE, listing, listing)
        ]
        assert statuses == [200, 503, 500, 503, 200]


async def test_probability_is_repeatable_and_has_no_end() -> None:
    async with running() as s:
        runs = []
        for _ in range(2):
            s.simulator.faults.clear()
            s.fault("status", probability=0.5, seed=3)
            runs.append([(await s.http.get(MINE)).status_code for _ in range(30)])
        assert runs[0] == runs[1]
        assert 5 < runs[0].count(503) < 25


@pytest.mark.parametrize(
    "value",
    [
        {},
        [],
        {"kind": "earthquake"},
        {"kind": []},
        {"kind": "reset", "count": True},
        {"kind": "reset", "count": "3"},
        {"kind": "slow", "delay_s": -1},
        {"kind": "slow", "delay_s": float("nan")},
        {"kind": "truncate", "at_byte": -1},
        {"kind": "rate_limited", "retry_after_s": -1},
        {"kind": "rate_limited", "headers": 0},
        {"kind": "rate_limited", "body": "song"},
        {"kind": "refuse", "origin": "foreign"},
        {"kind": "refuse", "path": "/restapi"},
        {"kind": "refuse", "operation": "listMessages"},
        {"kind": "refuse", "for_s": 1, "probability": 0.5},
        {"kind": "stall"},
        {"kind": "stall", "for_s": "long"},
        {"kind": "reset", "at_byte": 3},
        {"kind": "reset", "count": 0},
        {"kind": "reset", "probability": 2},
        {"kind": "status", "status": 200},
        {"kind": "redirect", "status": 200},
        {"kind": "unasked_partial", "first_bytes": 0},
    ],
)
def test_invalid_faults_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        fault_from_json(value)


def test_every_effect_has_a_unique_name() -> None:
    kinds = all_kinds()
    assert len({kind.kind for kind in kinds}) == len(EFFECTS)
    for kind in kinds:
        fault = fault_from_json({"kind": kind.kind, **dict.fromkeys(kind.needed, 1), **kind.options})
        assert kind_of(type(fault.effect)) == kind.kind
        assert kind.help.endswith((".", ":"))


async def test_client_that_hangs_up_is_not_in_flight_any_more() -> None:
    async with running() as s:
        s.fault("stall", for_s=1000.0, at_byte=10)
        async with s.http.stream("GET", s.path):
            first = s.simulator.journal.entries()[0]
            assert not first.done
            again = await s.raw(s.path)
            assert s.simulator.journal.entries()[1].duplicate_in_flight
        await until(lambda: first.done)
        assert (await s.raw(s.path)).body == again.body == s.content
        assert not s.simulator.journal.entries()[2].duplicate_in_flight


async def test_stopping_does_not_wait_for_a_client_that_does_not_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Endless:
        content_type, file_name, size_bytes = "audio/wav", None, 1 << 30

        def read(self, start: int, stop: int) -> bytes:
            return bytes(stop - start)

    simulator = Simulator(CONFIG)
    row = next(simulator.account.truth())
    path = f"{ACCOUNT}/extension/{row.extension_id}/message-store/{row.message_id}/content/1"
    monkeypatch.setattr(simulator.account, "content", lambda *_ids: Endless())
    with trio.fail_after(LIMIT_S):
        async with trio.open_nursery() as client:
            async with trio.open_nursery() as server:
                endpoints = await server.start(simulator.serve)
                client.start_soon(_fetch_without_reading, endpoints, path)
                await until(lambda: bool(simulator.journal.entries(operation="readMessageContent")))
                await wait_all_tasks_blocked(0.1)  # the buffers of the connection are full
                server.cancel_scope.cancel()
            client.cancel_scope.cancel()
    (entry,) = simulator.journal.entries(operation="readMessageContent")
    assert entry.done
    assert 0 < entry.bytes_sent < Endless.size_bytes


async def _fetch_without_reading(endpoints: Endpoints, path: str) -> None:
    async with logged_in(endpoints) as http, http.stream("GET", path):
        await trio.sleep_forever()
