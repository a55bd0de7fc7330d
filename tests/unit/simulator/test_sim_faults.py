"""Each fault of the simulator, proven on the wire."""

import gzip
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
import httpx
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from rcfs.model import Plan, UsageGroup
from rcfs.simulator import AccountSpec, Endpoints, Simulator, SimulatorConfig
from rcfs.simulator._effects import Effect
from rcfs.simulator._faults import EFFECTS, _snake, fault_from_json
from tests.fakes.simulated import in_process, logged_in

ACCOUNT = "/restapi/v1.0/account/~"
MINE = ACCOUNT + "/extension/~"
CONFIG = SimulatorConfig(
    AccountSpec(messages=40), plans={UsageGroup(g): Plan(limit=1000) for g in ("light", "medium")}
)
LIMIT_S = 10.0
"""Longest wait for anything on the wire, in seconds."""


@attrs.frozen
class Wire:
    """What came over one connection, and how it ended: ``fin`` or ``reset``."""

    head: bytes
    body: bytes
    end: str

    @property
    def status(self) -> int:
        return int(self.head.split(b" ", 2)[1])

    def header(self, name: str) -> str | None:
        lines = self.head.decode("latin-1").split("\r\n")[1:]
        pairs = [line.split(": ", 1) for line in lines]
        return next((value for key, value in pairs if key.lower() == name.lower()), None)


async def until(condition: Callable[[], bool]) -> None:
    """Return as soon as `condition` holds; the simulator goes on meanwhile."""
    with trio.fail_after(LIMIT_S):
        while True:
            await trio.lowlevel.checkpoint()
            if condition():
                return


@attrs.frozen
class Setup:
    """A running simulator with a client that is logged in, and a voicemail to fetch."""

    simulator: Simulator
    endpoints: Endpoints
    http: httpx.AsyncClient
    path: str
    content: bytes

    def fault(self, kind: str, **options: Any) -> None:
        self.simulator.faults.add(fault_from_json({"kind": kind, "path": MINE, **options}))

    async def raw(self, path: str, *headers: str) -> Wire:
        """GET without any HTTP library, on a connection of its own that the server shall close."""
        address = httpx.URL(self.endpoints.platform_url)
        with trio.fail_after(LIMIT_S):
            async with await trio.open_tcp_stream(address.host, address.port or 80) as stream:
                lines = [
                    f"GET {path} HTTP/1.1",
                    f"Host: {address.netloc.decode()}",
                    f"Authorization: {self.http.headers['Authorization']}",
                    "Connection: close",
                    *headers,
                ]
                await stream.send_all("\r\n".join([*lines, "", ""]).encode())
                received, end = b"", "fin"
                try:
                    while data := await stream.receive_some(65536):
                        received += data
                except trio.BrokenResourceError as exc:
                    end = "reset" if isinstance(exc.__cause__, ConnectionResetError) else "broken"
        head, _, body = received.partition(b"\r\n\r\n")
        return Wire(head, body, end)


@asynccontextmanager
async def running() -> AsyncIterator[Setup]:
    async with in_process(CONFIG) as (simulator, endpoints), logged_in(endpoints) as http:
        row = next(
            row
            for row in simulator.account.truth()
            if row.kind == "AudioRecording" and row.extension_id == simulator.account.extensions[0].id
        )
        path = f"{MINE}/message-store/{row.message_id}/content/{row.attachment_id}"
        content = (await http.get(path)).content
        simulator.journal.clear()
        yield Setup(simulator, endpoints, http, path, content)


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


async def test_truncated_empty_body_promises_a_byte() -> None:
    async with running() as s:
        s.simulator.faults.add(fault_from_json({"kind": "truncate", "operation": "revokeToken"}))
        with pytest.raises(httpx.RemoteProtocolError):
            await s.http.post(
                "/restapi/oauth/revoke",
                data={"token": "x"},
                auth=(s.endpoints.client_id, s.endpoints.client_secret),
            )


async def test_slow_answer_begins_late() -> None:
    async with running() as s:
        s.fault("slow", delay_s=0.2)
        start = trio.current_time()
        async with s.http.stream("GET", s.path) as answer:
            assert trio.current_time() - start >= 0.2
            assert await answer.aread() == s.content


async def test_stall_stops_at_the_byte_and_goes_on() -> None:
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


async def test_range_faults_pass_over_what_is_no_content() -> None:
    async with running() as s:
        s.fault("ignored_range")
        await s.raw(MINE)
        assert s.simulator.faults.as_json()[0]["fired"] == 0
        await s.raw(s.path)
        assert s.simulator.faults.as_json()[0]["fired"] == 1


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


async def test_status_with_and_without_retry_after() -> None:
    async with running() as s:
        s.fault("status", status=503, retry_after_s=7)
        s.fault("status", status=500)
        with_header, without = [await s.http.get(s.path) for _ in range(2)]
        assert (with_header.status_code, with_header.headers["retry-after"]) == (503, "7")
        assert (without.status_code, "retry-after" in without.headers) == (500, False)
        assert without.json()["errors"][0]["errorCode"]
        assert (await s.http.get(s.path)).status_code == 200


async def test_expired_token_stays_expired() -> None:
    async with running() as s:
        s.fault("expired_token")
        answers = [await s.http.get(path) for path in (s.path, ACCOUNT)]
        assert [(a.status_code, a.json()["errorCode"]) for a in answers] == [(401, "OAU-213")] * 2


async def test_rate_limited_with_headers_starts_a_penalty_of_the_group() -> None:
    async with running() as s:
        s.fault("rate_limited", retry_after_s=50)
        answers = [await s.http.get(s.path) for _ in range(2)]
        assert [a.status_code for a in answers] == [429, 429]
        assert [a.headers["retry-after"] for a in answers] == ["50", "50"]
        for name, value in [("group", "medium"), ("limit", "1000"), ("remaining", "0"), ("window", "60")]:
            assert answers[0].headers[f"x-rate-limit-{name}"] == value
        assert [e.in_penalty for e in s.simulator.journal.entries()] == [False, True]
        assert (await s.http.get(MINE)).status_code == 200, "another group"


async def test_rate_limited_without_headers_freezes_everything() -> None:
    async with running() as s:
        s.fault("rate_limited", headers=False, retry_after_s=50, code="CMN-310")
        first, second = await s.http.get(s.path), await s.http.get(MINE)
        assert (first.status_code, first.json()["errorCode"]) == (429, "CMN-310")
        assert second.status_code == 429
        for answer in (first, second):
            assert not [name for name in answer.headers if name.startswith("x-rate-limit")]


async def test_rate_limited_without_retry_after() -> None:
    async with running() as s:
        s.fault("rate_limited")
        answer = await s.http.get(s.path)
        assert (answer.status_code, "retry-after" in answer.headers) == (429, False)
        assert answer.headers["x-rate-limit-remaining"] == "0"


async def test_html_and_malformed_json() -> None:
    async with running() as s:
        s.fault("html", status=504)
        s.fault("malformed_json")
        html, malformed = [await s.http.get(MINE) for _ in range(2)]
        assert (html.status_code, html.headers["content-type"]) == (504, "text/html")
        assert malformed.status_code == 200
        assert malformed.headers["content-type"].startswith("application/json")
        with pytest.raises(ValueError, match="Expecting value"):
            malformed.json()


async def test_redirects_keep_path_and_query() -> None:
    async with running() as s:
        s.fault("redirect", status=307)
        s.fault("redirect", to="http://localhost:9")
        target = f"{s.path}?contentDisposition=Inline"
        to_media, abroad = [await s.http.get(target) for _ in range(2)]
        assert (to_media.status_code, to_media.headers["location"]) == (307, s.endpoints.media_url + target)
        assert (abroad.status_code, abroad.headers["location"]) == (302, "http://localhost:9" + target)
        assert (await s.http.get(to_media.headers["location"])).content == s.content


async def test_fax_that_is_not_ready() -> None:
    async with running() as s:
        s.fault("not_ready")
        answer = await s.http.get(s.path)
        assert (answer.status_code, answer.json()["errorCode"]) == (404, "MSG-368")


async def test_choice_by_operation_path_and_count() -> None:
    async with running() as s:
        s.simulator.faults.add(fault_from_json({"kind": "status", "operation": "listMessages", "count": 2}))
        s.simulator.faults.add(
            fault_from_json({"kind": "status", "path": ACCOUNT + "/extension", "status": 500})
        )
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
        {"kind": "earthquake"},
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
def test_faults_that_make_no_sense(value: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        fault_from_json(value)


def test_every_effect_can_be_asked_for_by_a_name_of_its_own() -> None:
    kinds = {"reset_body", "wrong_content_range", "gzip", "not_ready", "expired_token"}
    names = [_snake(effect) for effect in EFFECTS]
    assert kinds < set(names)
    assert len(set(names)) == len(EFFECTS) == len(Effect.__subclasses__())


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
