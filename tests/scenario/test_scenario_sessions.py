"""The processes of a login share one session, and rcfs recovers from a refused login by itself."""

import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import structlog
import trio

from rcfs.errors import AuthError, StoreError
from rcfs.model import PRIOR_PLANS, Priority, UsageGroup
from rcfs.platform import AllowedHosts, Client, Credentials, read_account
from rcfs.quota import Ledger, MemoryHome
from rcfs.simulator import AccountSpec, SimulatorConfig
from rcfs.simulator.login._auth import MAX_SESSIONS
from rcfs.store import SharedSession
from rcfs.transport import Recorder, RequestOptions, open_connection
from tests.fakes.in_memory import Line, Platform
from tests.fakes.rig import noise
from tests.fakes.scripted import CLIENT_ID, CLIENT_SECRET, JWT, Reply, ScriptedPlatform
from tests.fakes.status import status_document
from tests.scenario.conftest import OpenRig

LOGIN = "getToken"


def shared(directory: Path) -> SharedSession:
    return SharedSession(directory / "sessions", "login", "boot")


@pytest.fixture
def rigs(new_rig: OpenRig, tmp_path: Path) -> Any:
    def open_one(**options: Any) -> Any:
        return new_rig(shared=shared(tmp_path), **options)

    return open_one


async def test_one_login_serves_all_and_the_last_one_logs_out(
    platform: ScriptedPlatform, rigs: Any, tmp_path: Path
) -> None:
    async with rigs() as first:
        async with rigs() as second, rigs() as third:
            for number, rig in enumerate((first, second, third)):
                data = noise(100, number)
                assert await rig.read(rig.wanted(number, data)) == data
            (kept,) = (tmp_path / "sessions").glob("*.json")
            assert kept.stat().st_mode & 0o777 == 0o600
            assert kept.parent.stat().st_mode & 0o777 == 0o700
        assert platform.sent("revokeToken") == []
        data = noise(100, 9)
        assert await first.read(first.wanted(9, data)) == data
    assert len(platform.sent(LOGIN)) == 1
    assert len(platform.sent("revokeToken")) == 1
    assert not kept.exists()


async def test_a_logout_that_has_no_slot_in_time_is_left_out(platform: ScriptedPlatform, rigs: Any) -> None:
    async with rigs() as rig:
        gate, options = rig.engine.lane.gate, RequestOptions(Priority.PERSON)
        for _login in range(4):  # of other processes; five a minute are the limit
            async with gate.slot(LOGIN, UsageGroup("auth"), options) as slot:
                slot.answered(200, None, None)
        begun_s = trio.current_time()
    assert trio.current_time() - begun_s < 1.0
    assert platform.sent("revokeToken") == []


async def test_a_token_that_one_renewed_is_taken_over_by_the_others(
    platform: ScriptedPlatform, rigs: Any
) -> None:
    platform.refreshing = True
    async with rigs() as first, rigs() as second:
        platform.live_tokens.clear()
        for number, rig in enumerate((first, second)):
            data = noise(100, number)
            assert await rig.read(rig.wanted(number, data)) == data
        assert [seen.form["grant_type"] for seen in platform.sent(LOGIN)][1:] == ["refresh_token"]
        await trio.sleep(3500)  # both find it due for renewal
        async with trio.open_nursery() as nursery:
            for number, rig in enumerate((first, second), start=5):
                nursery.start_soon(rig.read, rig.wanted(number, noise(100, number)))
        assert len(platform.sent(LOGIN)) == 3


async def test_the_session_of_a_killed_process_is_used(
    platform: ScriptedPlatform, rigs: Any, tmp_path: Path
) -> None:
    async with rigs():
        (kept,) = (tmp_path / "sessions").glob("*.json")
        left = json.loads(kept.read_text())
    platform.live_tokens.add(left["access"])
    shared(tmp_path).write(left)
    async with rigs() as rig:
        assert await rig.read(rig.wanted(1, noise(9))) == noise(9)
        assert len(platform.sent(LOGIN)) == 1
    await trio.sleep(61)  # Each engine here has a ledger of its own.
    kept.write_text(json.dumps({**left, "boot": "boot", "access": "ended"}))
    async with rigs() as rig:
        assert await rig.read(rig.wanted(2, noise(9))) == noise(9)
        assert len(platform.sent(LOGIN)) == 2, "one that has ended costs one request and a login"
    for nonsense in ("", "[]", "{", '{"boot":"boot","access":7}'):
        await trio.sleep(61)
        kept.write_text(nonsense)
        async with rigs() as rig:
            assert await rig.read(rig.wanted(3, noise(9))) == noise(9)


async def test_more_processes_than_the_platform_keeps_sessions(tmp_path: Path) -> None:
    assert MAX_SESSIONS < 7
    options = RequestOptions(Priority.PERSON)
    async with trio.open_nursery() as nursery:
        simulated = Platform(SimulatorConfig(AccountSpec(messages=5, months=1)), nursery)
        ends = simulated.endpoints
        credentials = Credentials(ends.client_id, ends.client_secret, ends.jwt)
        requesters = []
        async with AsyncExitStack() as stack:
            for _process in range(7):
                hosts = AllowedHosts(ends.platform_url)
                connecting = open_connection(
                    Client(hosts, user_agent="rcfs/test", transport=Line(simulated)),
                    credentials,
                    Ledger(MemoryHome(PRIOR_PLANS)),
                    Recorder(structlog.testing.CapturingLogger()),
                    shared=shared(tmp_path),
                )
                requesters.append((await stack.enter_async_context(connecting)).requester)
            for requester in (*requesters, *requesters):
                await requester.read(read_account(), lambda _record: None, options)
        nursery.cancel_scope.cancel()
    entries = simulated.simulator.journal.entries()
    assert [entry.operation for entry in entries].count(LOGIN) == 1
    assert [entry.operation for entry in entries].count("revokeToken") == 1
    assert {entry.status for entry in entries} == {200}


@pytest.mark.parametrize(
    "odd",
    [
        {"refused_s": "soon"},
        {"refused_s": 10**400},
        {"refused": "no"},
        {"refused_s": [], "code": {}},
        {"access": "two words", "renew_at_s": 9e9, "ends_at_s": 9e9, "refresh": "", "refresh_until_s": 0},
        {"access": "a\nb", "renew_at_s": 9e9, "ends_at_s": 9e9, "refresh": "", "refresh_until_s": 0},
        {"access": "ended", "renew_at_s": 10**400, "ends_at_s": 9e9, "refresh": "", "refresh_until_s": 0},
    ],
)
async def test_odd_values_in_the_shared_session_count_as_no_session(
    platform: ScriptedPlatform, rigs: Any, tmp_path: Path, odd: dict[str, Any]
) -> None:
    async with rigs() as rig:
        platform.live_tokens.clear()
        digest = Credentials(CLIENT_ID, CLIENT_SECRET, JWT).digest()
        shared(tmp_path).write({"scopes": [], "refused_by": digest, **odd})
        rig.engine.lane.session._token = None
        assert await rig.read(rig.wanted(1, noise(9))) == noise(9)
    assert len(platform.sent(LOGIN)) == 2


async def test_a_lasting_refusal_is_logged_once(platform: ScriptedPlatform, rigs: Any) -> None:
    async with rigs() as rig:
        await rig.mailbox()
        platform.live_tokens.clear()
        platform.script(LOGIN, *[Reply.error(400, "OAU-140")] * 1000)
        await trio.sleep(3 * 3600)
        told = [fault for fault in rig.engine.recorder.faults if "OAU-140" in fault.detail]
        assert len(told) == 1
        assert len(rig.engine.recorder.faults) <= 2, "the token that was refused, and the login"
        with pytest.raises(AuthError):
            await rig.read(rig.wanted(1, noise(9)))
        assert len(rig.engine.recorder.faults) <= 2


async def test_a_refused_login_costs_one_request_a_minute_and_heals(
    platform: ScriptedPlatform, rigs: Any
) -> None:
    async with rigs() as first, rigs() as second:
        begun = len(platform.sent(LOGIN))
        platform.live_tokens.clear()
        platform.script(LOGIN, *[Reply.error(400, "OAU-140")] * 2)
        start_s = trio.current_time()
        for number in range(20):
            for rig in (first, second):
                with pytest.raises(AuthError):
                    await rig.read(rig.wanted(number, noise(9)))
        assert trio.current_time() - start_s < 5
        assert len(platform.sent(LOGIN)) == begun + 1
        row = (await status_document(first.engine))["login"]
        assert row["state"] == "refused"
        assert "OAU-140" in row["because"]
        await trio.sleep(61)
        with pytest.raises(AuthError):
            await first.read(first.wanted(50, noise(9)))
        await trio.sleep(61)
        for rig in (first, second):
            assert await rig.read(rig.wanted(51, noise(9))) == noise(9)
        assert len(platform.sent(LOGIN)) == begun + 3
        assert (await status_document(first.engine))["login"]["state"] == "good"


async def test_other_credentials_are_taken_without_remounting(platform: ScriptedPlatform, rigs: Any) -> None:
    saved = [Credentials(CLIENT_ID, CLIENT_SECRET, "s3cret.revoked")]
    async with rigs(reload=lambda: saved[0]) as rig:
        platform.live_tokens.clear()
        platform.script(LOGIN, *[Reply.error(400, "OAU-140")] * 2)
        with pytest.raises(AuthError):
            await rig.read(rig.wanted(1, noise(9)))
        with pytest.raises(AuthError):
            await rig.read(rig.wanted(1, noise(9)))
        saved[0] = Credentials(CLIENT_ID, CLIENT_SECRET, JWT)
        await trio.sleep(6)
        assert await rig.read(rig.wanted(1, noise(9))) == noise(9)


async def test_five_tokens_in_a_row_may_have_ended(platform: ScriptedPlatform, rigs: Any) -> None:
    async with rigs() as rig:
        wanted = rig.wanted(1, noise(9))
        platform.script("readMessageContent", *[Reply.error(401, "OAU-213")] * 4)
        assert await rig.read(wanted) == noise(9)


async def test_a_login_that_saves_the_same_credentials_again_is_tried_at_once(
    platform: ScriptedPlatform, rigs: Any, tmp_path: Path
) -> None:
    async with rigs() as first, rigs() as second:
        begun = len(platform.sent(LOGIN))
        platform.live_tokens.clear()
        platform.script(LOGIN, *[Reply.error(400, "OAU-140")] * 2)
        start_s = trio.current_time()
        for _again in range(2):  # each `rcfs login` is worth one try for both
            for _read in range(3):
                for rig in (first, second):
                    with pytest.raises(AuthError):
                        await rig.read(rig.wanted(1, noise(9)))
            SharedSession.forget_refusals(tmp_path / "sessions")
        assert len(platform.sent(LOGIN)) == begun + 2
        for rig in (first, second):
            assert await rig.read(rig.wanted(1, noise(9))) == noise(9)
        assert trio.current_time() - start_s < 10
        assert len(platform.sent(LOGIN)) == begun + 3


async def test_a_refusal_that_cannot_be_written_still_lasts_a_minute(
    platform: ScriptedPlatform, rigs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_self: object, _document: object) -> None:
        raise StoreError("processes cannot share the login: No space left on device")

    async with rigs() as rig:
        begun = len(platform.sent(LOGIN))
        monkeypatch.setattr(SharedSession, "write", full)
        shared(tmp_path).forget()
        platform.live_tokens.clear()
        platform.script(LOGIN, *[Reply.error(400, "OAU-140")] * 9)
        for _read in range(5):
            with pytest.raises(AuthError):
                await rig.read(rig.wanted(1, noise(9)))
        assert len(platform.sent(LOGIN)) == begun + 1


async def test_only_refusals_are_forgotten(tmp_path: Path) -> None:  # noqa: ASYNC124 - as all of this module
    kept = shared(tmp_path)
    for document in ({"access": "token"}, {"access": "token", "refused_by": "", "refreshed": True}):
        kept.write(document)
        SharedSession.forget_refusals(tmp_path / "sessions")
        assert kept.read() == {**document, "boot": "boot"}
    (tmp_path / "sessions" / "odd.json").write_text("[")
    kept.write({"refused": "no", "refused_by": "x", "code": "", "refused_s": 1})
    SharedSession.forget_refusals(tmp_path / "sessions")
    assert kept.read() is None
