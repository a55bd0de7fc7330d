"""Two origins on loopback, served by hypercorn under trio.

hypercorn's own `serve` keeps the connections to itself. Here each accepted connection is handed to its
`TCPServer`, so the application can be told which one a request came by: a fault has to reset it, and a
client that does not read must not keep the simulator from stopping (hypercorn shields what it sends).
"""

import os
import secrets
import signal
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import cast

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework
from starlette.types import Receive, Scope, Send

from rcfs.simulator._account import SimAccount
from rcfs.simulator._app import CONNECTION, App
from rcfs.simulator._auth import Auth
from rcfs.simulator._backend import Backend
from rcfs.simulator._calls import CallBook
from rcfs.simulator._clock import AccountClock
from rcfs.simulator._config import Credentials, Endpoints, SimulatorConfig
from rcfs.simulator._delivery import Connection
from rcfs.simulator._exchange import MEDIA, PLATFORM
from rcfs.simulator._faults import FaultList
from rcfs.simulator._greetings import GreetingBook
from rcfs.simulator._journal import Journal
from rcfs.simulator._message_store import MessageStore, StoreRules
from rcfs.simulator._notifications import Notifications
from rcfs.simulator._permissions import Permissions
from rcfs.simulator._police import Police
from rcfs.simulator._tasks import TaskBook

KEEP_ALIVE_S = 75.0
"""How long an idle connection is kept, in seconds: the default of nginx, as a stand-in for the unknown."""

BACKLOG = 1024
"""Connections that may wait to be accepted; a test may open hundreds at once."""

TICK_S = 0.2
"""Seconds between two looks at what is due in the message stores: well below a push notification's delay."""

READ_BYTES = 4096
"""How much is read, and thrown away, of standard input at once."""


class Simulator:
    """A RingCentral platform with one account and one client.

    Everything but `serve` may be used before, while and after it runs, from the same thread.

    Raises:
        ValueError: The account has nobody who could log in as the configuration asks, or that names a
            scope or permission that there is not.
    """

    def __init__(self, config: SimulatorConfig) -> None:
        self.config = config
        self.account = SimAccount(config.spec)
        self.calls = CallBook(self.account, config.calls)
        self.greetings = GreetingBook(self.account)
        self.journal = Journal()
        self.police = Police(config.plans, fixed_window=config.fixed_window)
        self.faults = FaultList()
        self._permissions = Permissions(config.missing_scopes, config.missing_permissions)
        self.auth = Auth(
            config.credentials or Credentials.from_seed(config.spec.seed),
            owner=_owner(self.account, standard_user=config.standard_user),
            token_lifetime_s=config.token_lifetime_s,
            scopes=self._permissions.scopes,
            redirect_uris=config.redirect_uris,
        )
        self._connections: set[Connection] = set()

    async def serve(self, *, task_status: trio.TaskStatus[Endpoints] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen on both origins until cancelled; started with the `Endpoints` once both accept.

        Raises:
            OSError: A port is taken.
        """
        async with AsyncExitStack() as stack:
            listeners = {
                origin: await stack.enter_async_context(await self._listen(port))
                for origin, port in ((PLATFORM, self.config.port), (MEDIA, self.config.media_port))
            }
            endpoints = self._endpoints({origin: _url(listener) for origin, listener in listeners.items()})
            backend = self._backend(endpoints)
            backend.messages.listen(backend.notify_of)
            if self.config.day_speed is not None:
                backend.play_day(self.config.day_speed)
            stack.callback(backend.reports.close)
            stack.callback(backend.team_exports.close)
            async with trio.open_nursery() as nursery:
                try:
                    for origin, listener in listeners.items():
                        handler = partial(self._connected, App(backend, self.faults, origin))
                        await nursery.start(partial(trio.serve_listeners, handler, [listener]))
                    nursery.start_soon(_let_time_pass, backend)
                    task_status.started(endpoints)
                    await trio.sleep_forever()
                finally:
                    for connection in self._connections:
                        connection.close()

    async def _listen(self, port: int) -> trio.SocketListener:
        (listener,) = await trio.open_tcp_listeners(port, host=self.config.host, backlog=BACKLOG)
        return listener

    def _endpoints(self, urls: Mapping[str, str]) -> Endpoints:
        credentials = self.auth.credentials
        return Endpoints(
            platform_url=urls[PLATFORM],
            media_url=urls[MEDIA],
            client_id=credentials.client_id,
            client_secret=credentials.client_secret,
            jwt=credentials.jwt,
        )

    def _backend(self, endpoints: Endpoints) -> Backend:
        start = trio.current_time()
        return Backend(
            account=self.account,
            messages=MessageStore(self.account),
            store_rules=StoreRules(
                hipaa=self.config.hipaa,
                sync_token_lifetime_s=self.config.sync_token_lifetime_s,
                sync_token_error=self.config.sync_token_error,
            ),
            account_clock=AccountClock(self.config.spec.end_s, trio.current_time),
            calls=self.calls,
            greetings=self.greetings,
            reports=TaskBook(self.config.export_s),
            team_exports=TaskBook(self.config.export_s),
            archive_bytes=self.config.archive_bytes,
            new_call_handling=self.config.new_call_handling,
            auth=self.auth,
            police=self.police,
            journal=self.journal,
            endpoints=endpoints,
            clock=lambda: trio.current_time() - start,
            permissions=self._permissions,
            notifications=Notifications(),
            refuse_duplicates=self.config.refuse_duplicates,
            latency_s=self.config.latency_s,
            sync_key=secrets.token_bytes(32),
        )

    async def _connected(self, app: App, stream: trio.SocketStream) -> None:
        """Serve one connection of the origin of `app` until it ends."""
        connection = Connection(stream)

        async def with_connection(scope: Scope, receive: Receive, send: Send) -> None:
            await app({**scope, "extensions": {**scope["extensions"], CONNECTION: connection}}, receive, send)

        self._connections.add(connection)
        try:
            # Both kinds of stream are meant by TCPServer, but its annotation names only the encrypted one.
            encrypted = cast("trio.SSLStream[trio.SocketStream]", stream)
            wrapper = ASGIWrapper(cast(ASGIFramework, with_connection))
            await TCPServer(wrapper, _hypercorn_config(), WorkerContext(None), {}, encrypted)
        finally:
            self._connections.discard(connection)


def run_simulator(
    config: SimulatorConfig, *, on_ready: Callable[[Endpoints], None], until_eof: bool = False
) -> None:
    """Run a simulator until SIGINT or SIGTERM.

    Args:
        config: Its settings.
        on_ready: Called once, when both origins accept connections.
        until_eof: Also stop at the end of standard input, so that the death of a parent who holds the
            other end of that pipe ends the simulator.

    Raises:
        OSError: A port is taken.
        ValueError: The account has nobody who could log in as the configuration asks.
    """
    simulator = Simulator(config)
    failure = trio.run(_run, simulator, on_ready, until_eof)
    if failure is not None:
        raise failure


async def _run(
    simulator: Simulator, on_ready: Callable[[Endpoints], None], until_eof: bool
) -> OSError | None:
    """Run `simulator` until it is told to stop; why it could not listen, if it could not."""
    failure = None
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            try:
                endpoints = await nursery.start(simulator.serve)
            except OSError as exc:
                failure = exc  # raised here it would leave the nursery as a group
            else:
                on_ready(endpoints)
                if until_eof:
                    nursery.start_soon(_cancel_at_eof, nursery.cancel_scope)
                async for _ in signals:
                    nursery.cancel_scope.cancel()
                    break
    return failure


async def _cancel_at_eof(cancel_scope: trio.CancelScope) -> None:
    # A thread, because standard input may be a file or a terminal, which trio cannot wait for without
    # making it non-blocking for everybody who shares it.
    await trio.to_thread.run_sync(_read_to_end, abandon_on_cancel=True)
    cancel_scope.cancel()


def _read_to_end() -> None:
    """Return at the end of standard input."""
    while os.read(0, READ_BYTES):
        pass


async def _let_time_pass(backend: Backend) -> None:
    """Let happen what is due, even if nobody asks: subscribers are to hear of it."""
    while True:
        await trio.sleep(TICK_S)
        backend.messages.settle_all(backend.account_time())


def _owner(account: SimAccount, *, standard_user: bool) -> int:
    """The extension that logs in: the first administrator, or the first user who is none.

    Raises:
        ValueError: The account has nobody of that kind.
    """
    for extension in account.extensions:
        if extension.type == "User" and not extension.mailbox_refused and extension.is_admin != standard_user:
            return extension.id
    raise ValueError(f"no extension of the account is {'a standard user' if standard_user else 'an admin'}")


def _url(listener: trio.SocketListener) -> str:
    host, port, *_ = listener.socket.getsockname()
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _hypercorn_config() -> Config:
    config = Config()
    config.keep_alive_timeout = KEEP_ALIVE_S
    config.include_server_header = False
    return config
