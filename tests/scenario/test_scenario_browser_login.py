"""After a login with a browser: refresh tokens are good for one use, and none may get lost."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
import structlog
import trio

from rcfs.errors import AuthError, PlatformError, TransportError
from rcfs.model import PRIOR_PLANS, Priority
from rcfs.platform import (
    AllowedHosts,
    BrowserLogin,
    Client,
    Credentials,
    read_account,
    redeem_code,
    token_from,
)
from rcfs.quota import Ledger, MemoryHome
from rcfs.simulator import AccountSpec, SimulatorConfig
from rcfs.store import SharedSession
from rcfs.transport import Connection, Recorder, RequestOptions, open_connection
from tests.fakes.in_memory import Line, Platform

URI = "http://127.0.0.1:8477/callback"
LIFETIME_S = 1000.0
DUE_S = LIFETIME_S
ONCE = RequestOptions(Priority.PERSON, attempts=1)


@contextmanager
def closing_session(session: SharedSession) -> Iterator[SharedSession]:
    yield session
    session.leave()


@attrs.define
class World:
    """A simulated platform, and a user who has logged in with a browser."""

    platform: Platform
    directory: Path
    credentials: Credentials = attrs.field(init=False)
    seen: list[tuple[str, list[str]]] = attrs.field(factory=list)
    """At each request with an access token: the refresh token on the disk, and those of the server."""

    def shared(self) -> SharedSession:
        return SharedSession(self.directory, "login", "boot")

    @property
    def kept(self) -> str:
        """The refresh token on the disk."""
        with closing_session(self.shared()) as session:
            return session.grant()

    @property
    def valid(self) -> list[str]:
        """The refresh tokens that the server would accept."""
        return [each.refresh_token for each in self.platform.simulator.auth._sessions]

    async def log_in(self) -> None:
        """Logs in as a public app; `rcfs login` then keeps the refresh token."""
        ends, auth = self.platform.endpoints, self.platform.simulator.auth
        flow = BrowserLogin(ends.client_id, URI)
        asked = dict(httpx.URL(flow.url(ends.platform_url)).params.items())
        code = auth.codes.issue(auth.codes.check(asked), self.platform.backend.clock())
        public = Credentials(ends.client_id, "", "")
        client = self.client()
        async with client.send(redeem_code(code, flow.verifier, URI, public), basic=public.basic) as answer:
            token = await token_from(answer, 0.0)
        await client.aclose()
        self.credentials = attrs.evolve(public, user=token.user)
        with closing_session(self.shared()) as session:
            session.keep_grant(token.refresh)
        SharedSession.forget_refusals(self.directory)

    def client(self, line: httpx.AsyncBaseTransport | None = None) -> Client:
        hosts = AllowedHosts(self.platform.endpoints.platform_url)
        return Client(hosts, user_agent="rcfs/test", transport=line or Watching(self))

    def process(
        self, line: httpx.AsyncBaseTransport | None = None
    ) -> AbstractAsyncContextManager[Connection]:
        """A process of this login."""
        return open_connection(
            self.client(line),
            self.credentials,
            Ledger(MemoryHome(PRIOR_PLANS)),
            Recorder(structlog.testing.CapturingLogger()),
            shared=self.shared(),
        )

    def logins(self) -> list[int | None]:
        """The statuses of all requests for tokens, but the one of the browser."""
        return [entry.status for entry in self.platform.sent("getToken")][1:]


class Watching(Line):
    """Notes what is on the disk when an access token is used."""

    def __init__(self, world: World) -> None:
        super().__init__(world.platform)
        self.world = world

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.headers.get("authorization", "").startswith("Bearer"):
            self.world.seen.append((self.world.kept, self.world.valid))
        return await super().handle_async_request(request)


Open = Callable[..., AbstractAsyncContextManager[World]]


@pytest.fixture
def world(tmp_path: Path) -> Open:
    @asynccontextmanager
    async def opened(**settings: Any) -> AsyncIterator[World]:
        config = SimulatorConfig(AccountSpec(messages=0, months=1), token_lifetime_s=LIFETIME_S)
        async with trio.open_nursery() as nursery:
            found = World(Platform(attrs.evolve(config, **settings), nursery), tmp_path / "sessions")
            await found.log_in()
            yield found
            nursery.cancel_scope.cancel()

    return opened


async def ask(connection: Connection) -> None:
    await connection.requester.read(read_account(), lambda _record: None, ONCE)


async def test_one_process_refreshes_for_all_and_none_ends_the_session(world: Open) -> None:
    async with world() as login:
        first_kept = login.kept
        async with login.process() as first, login.process() as second:
            for _round in range(3):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(ask, first)
                    nursery.start_soon(ask, second)
                await trio.sleep(DUE_S)
            assert login.logins() == [200, 200, 200], "one refresh a round, none with a used token"
        assert login.platform.sent("revokeToken") == []
        async with login.process() as third:
            await ask(third)
        assert login.logins() == [200] * 4
        assert first_kept not in login.valid
        assert login.seen, "access tokens were used"
        assert all([kept] == valid for kept, valid in login.seen), "the successor is on the disk first"


async def test_a_cancelled_request_does_not_cost_the_login(world: Open) -> None:
    async with world(latency_s=2.0) as login, login.process() as process:
        with trio.move_on_after(1.0) as scope:
            await ask(process)
        assert scope.cancelled_caught
        assert [login.kept] == login.valid
        await ask(process)
        assert login.logins() == [200]


async def test_a_revoked_login_is_not_tried_again_until_there_is_a_new_one(world: Open) -> None:
    async with world() as login, login.process() as process:
        login.platform.simulator.auth.revoke(login.kept)
        for _try in range(3):
            with pytest.raises(AuthError, match="the login with the browser has ended"):
                await ask(process)
            await trio.sleep(100)
        assert login.logins() == [400]
        assert process.lane.session.refused is not None
        assert login.kept == ""
        await login.log_in()
        await ask(process)
        assert process.lane.session.refused is None


async def test_a_refresh_token_whose_request_got_lost_is_sent_again(world: Open) -> None:
    async with world() as login, login.process() as process:
        login.platform.fault("lost_request", operation="getToken")
        with pytest.raises(TransportError):
            await ask(process)
        await ask(process)
        assert [login.kept] == login.valid


async def test_a_lost_answer_ends_the_login_if_the_server_used_the_token_up(world: Open) -> None:
    async with world() as login, login.process() as process:
        login.platform.fault("reset", operation="getToken")
        with pytest.raises(TransportError):
            await ask(process)
        assert login.kept not in ("", *login.valid), "it is tried: rcfs cannot know"
        with pytest.raises(AuthError, match="the login with the browser has ended"):
            await ask(process)
        assert login.kept == ""


async def test_a_full_disk_uses_no_refresh_token_up(world: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object, **_options: object) -> None:
        raise OSError(28, "No space left on device")

    async with world() as login, login.process() as process:
        with monkeypatch.context() as patch:
            patch.setattr("rcfs.store._shared_session.replace_private_file", full)
            with pytest.raises(PlatformError, match="No space left"):
                await ask(process)
        assert login.logins() == []
        await ask(process)
        assert login.logins() == [200]


async def test_a_logout_ends_it_for_all_processes(world: Open) -> None:
    async with world() as login, login.process() as mount:
        await ask(mount)
        async with login.process() as command:
            command.lane.session.logs_out = True
        assert [entry.status for entry in login.platform.sent("revokeToken")] == [200]
        assert (login.kept, login.valid) == ("", [])
        with pytest.raises(AuthError, match="the login with the browser has ended"):
            await ask(mount)
