"""Faults of the simulator's answers, each shown on the wire."""

import httpx
import pytest
import trio

from tests.fakes.wire import ACCOUNT, MINE, running


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


@pytest.mark.parametrize("code", ["CMN-301", "CMN-302", "CMN-303", "CMN-304", "CMN-310", "MSG-305"])
@pytest.mark.parametrize("headers", [True, False])
async def test_every_code_of_a_429(code: str, headers: bool) -> None:
    async with running() as s:
        s.fault("rate_limited", code=code, headers=headers)
        answer = await s.http.get(s.path)
        envelope = answer.json()
        assert (answer.status_code, envelope["errorCode"]) == (429, code)
        assert envelope["errors"] == [{"errorCode": code, "message": envelope["message"]}]
        assert [name for name in answer.headers if name.startswith("x-rate-limit")] == (
            [f"x-rate-limit-{name}" for name in ("group", "limit", "remaining", "window")] if headers else []
        )


@pytest.mark.parametrize(("body", "content"), [("html", b"<html>"), ("empty", b"")])
async def test_a_429_need_not_be_json(body: str, content: bytes) -> None:
    async with running() as s:
        s.fault("rate_limited", body=body, retry_after_s=50)
        wire = await s.raw(s.path)
        assert (wire.status, wire.body[:6]) == (429, content)
        assert wire.header("Content-Length") == str(len(wire.body))
        assert (wire.header("X-Rate-Limit-Group"), wire.header("Retry-After")) == ("medium", "50")
        assert wire.header("Content-Type") == ("text/html" if content else None)


@pytest.mark.parametrize(("kind", "content"), [("html", b"<html>"), ("empty", b"")])
@pytest.mark.parametrize("status", [502, 504, 200])
async def test_html_and_empty_answers(kind: str, content: bytes, status: int) -> None:
    async with running() as s:
        s.fault(kind, status=status)
        wire = await s.raw(MINE)
        assert (wire.status, wire.body[:6]) == (status, content)
        assert wire.header("Content-Type") == ("text/html" if content else None)
        assert wire.header("X-Rate-Limit-Group") is None, "it is not the platform that answers"


async def test_malformed_json_is_half_of_the_answer() -> None:
    async with running() as s:
        whole = await s.raw(MINE)
        s.fault("malformed_json")
        content, half = await s.raw(s.path), await s.raw(MINE)
        assert content.body == s.content, "which is no JSON"
        assert (half.status, half.body) == (200, whole.body[: len(whole.body) // 2])
        assert half.header("Content-Length") == str(len(half.body))
        assert half.header("Content-Type") == whole.header("Content-Type")


async def test_missing_fields() -> None:
    async with running() as s:
        listing = f"{MINE}/message-store?dateFrom=2020-01-01T00:00:00Z&perPage=2"
        whole = (await s.http.get(listing)).json()
        s.fault("missing_fields")
        s.fault("missing_fields", fields="subject,size,navigation")
        assert (await s.http.get(MINE)).status_code == 200, "it has no totals"
        totals, others = [(await s.http.get(listing)).json() for _ in range(2)]
        assert whole["paging"].keys() - totals["paging"].keys() == {"totalPages", "totalElements"}
        assert totals["records"] == whole["records"]
        assert whole.keys() - others.keys() == {"navigation"}
        assert all("subject" not in record for record in others["records"])
        assert s.fired == [1, 1]


async def test_unknown_fields() -> None:
    async with running() as s:
        whole = (await s.http.get(MINE)).json()
        s.fault("unknown_fields", name="new")
        more = (await s.http.get(MINE)).json()
        added = more.pop("new")
        assert more["contact"].pop("new") == added
        assert all(more.get(name) == value for name, value in whole.items() if not isinstance(value, dict))
        assert set(more) == set(whole)


async def test_rate_headers_are_left_out() -> None:
    async with running() as s:
        s.fault("no_rate_headers", count=2)
        without = [await s.raw(path) for path in (MINE, s.path)]
        assert [wire.header("X-Rate-Limit-Group") for wire in without] == [None, None]
        assert [wire.status for wire in without] == [200, 200]
        assert (await s.raw(MINE)).header("X-Rate-Limit-Group") == "light"


async def test_slow_pages_are_pages_only() -> None:
    async with running() as s:
        s.fault("slow_pages", delay_s=0.2)
        await s.http.get(MINE)
        await s.http.get(s.path)
        assert s.fired == [0]
        start = trio.current_time()
        await s.http.get(f"{MINE}/message-store")
        assert trio.current_time() - start >= 0.2
        assert s.fired == [1]


async def test_token_endpoint_down_and_nothing_else() -> None:
    async with running() as s:
        s.fault("token_down", count=None, retry_after_s=3)
        for form in ({}, {"grant_type": "refresh_token", "refresh_token": "x"}):
            answer = await s.log_in(**form)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "3")
        assert (await s.http.get(s.path)).status_code == 200
        s.simulator.faults.clear()
        assert (await s.log_in()).status_code == 200


async def test_expired_jwt_lets_a_refresh_pass() -> None:
    async with running() as s:
        login = (await s.log_in()).json()
        s.fault("expired_jwt", count=None)
        refused = await s.log_in()
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
        assert refused.json()["errors"] == [{"errorCode": "OAU-210", "message": "Token expired"}]
        form = {"grant_type": "refresh_token", "refresh_token": login["refresh_token"]}
        assert (await s.log_in(**form)).status_code == 200


async def test_a_fault_with_a_code_of_the_api() -> None:
    async with running() as s:
        s.fault("status", status=403, code="CMN-419")
        answer = await s.http.get(s.path)
        assert (answer.status_code, answer.json()["errorCode"]) == (403, "CMN-419")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("to", ["media", "platform", "http://localhost:9"])
async def test_redirects_keep_path_and_query(status: int, to: str) -> None:
    async with running() as s:
        s.fault("redirect", to=to, status=status)
        target = f"{s.path}?contentDisposition=Inline"
        answer = await s.http.get(target)
        origins = {"media": s.endpoints.media_url, "platform": s.endpoints.platform_url}
        assert (answer.status_code, answer.headers["location"]) == (status, origins.get(to, to) + target)
        if to in origins:
            assert (await s.http.get(answer.headers["location"])).content == s.content


async def test_the_journal_shows_whether_a_token_reached_the_foreign_host() -> None:
    async with running() as s:
        s.fault("redirect", to="foreign")
        location = (await s.http.get(s.path)).headers["location"]
        assert location == s.endpoints.foreign_url + s.path
        assert httpx.URL(location).host != httpx.URL(s.endpoints.platform_url).host
        async with httpx.AsyncClient() as stranger:
            answers = [
                await stranger.get(location),
                await stranger.get(location, headers={"Range": "bytes=5-9"}),
                await stranger.get(location, headers={"Authorization": "Bearer secret"}),
                await stranger.get(f"{s.endpoints.foreign_url}/anything?access_token=secret"),
            ]
            summary = (await stranger.get(f"{s.endpoints.foreign_url}/simulator/journal/summary")).json()
        assert [a.status_code for a in answers] == [200, 206, 200, 404]
        assert [a.content for a in answers[:3]] == [s.content, s.content[5:10], s.content]
        assert not [name for name in answers[0].headers if name.startswith("x-rate-limit")]
        entries = s.simulator.journal.entries()[1:]
        assert [(e.origin, e.has_token) for e in entries] == [("foreign", i > 1) for i in range(4)]
        assert summary["tokens_abroad"] == 2
        assert "secret" not in str(entries)


async def test_fax_that_is_not_ready() -> None:
    async with running() as s:
        s.fault("not_ready")
        answer = await s.http.get(s.path)
        assert (answer.status_code, answer.json()["errorCode"]) == (404, "MSG-368")
