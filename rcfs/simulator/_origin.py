"""One origin: accepts connections, hands them to hypercorn, and refuses them when a fault asks for it.

hypercorn's own `serve` does not give out its connections. Here each accepted connection is handed to
hypercorn's `TCPServer`, so the application can learn which connection carried a request: a fault may reset
it, and a client that does not read must not keep the simulator from stopping (hypercorn shields its sends).
"""

from functools import partial
from typing import cast

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework
from starlette.types import Receive, Scope, Send

from rcfs.simulator._app import CONNECTION, App
from rcfs.simulator._delivery import Connection
from rcfs.simulator.faults._faults import Fault, FaultList

KEEP_ALIVE_S = 75.0
"""Seconds that an idle connection is kept: the default of nginx; the platform's value is unknown."""

BACKLOG = 1024
"""Connections that may wait to be accepted; a test may open hundreds at once."""


class Origin:
    """A listening socket and its connections; `listening` makes one.

    Args:
        name: `PLATFORM`, `MEDIA` or `FOREIGN`.
        faults: The faults to apply.
        listener: The listening socket.
    """

    def __init__(self, name: str, faults: FaultList, listener: trio.SocketListener) -> None:
        self.name = name
        self._faults = faults
        self._listener = listener
        self._address = listener.socket.getsockname()
        self._connections: set[Connection] = set()

    @property
    def url(self) -> str:
        """URL of the origin, such as ``http://127.0.0.1:40001``."""
        host, port, *_ = self._address
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def close(self) -> None:
        """Stop listening, unless `serve` has done so."""
        self._listener.socket.close()

    async def serve(self, app: App) -> None:
        """Serve `app` until cancelled."""
        accept = partial(self._accept, app)
        async with trio.open_nursery() as connections:
            listen = partial(trio.serve_listeners, handler_nursery=connections)
            try:
                while True:
                    async with trio.open_nursery() as accepting:
                        accepting.start_soon(listen, accept, [self._listener])
                        await self._wait_until_closed()
                        accepting.cancel_scope.cancel()
                    await self._stay_closed()
            finally:
                for connection in self._connections:
                    connection.close()

    async def _wait_until_closed(self) -> None:
        """Return when a fault closes the listener."""
        while not self._closing():
            await self._faults.change()
            if self._faults.refusals(self.name):
                for connection in self._connections:
                    connection.end()

    async def _wait_until_cleared(self, fault: Fault) -> None:
        """Return when `fault` has been removed."""
        while self._closing() is fault:
            await self._faults.change()

    def _closing(self) -> Fault | None:
        """The active fault that closes the listener, if any."""
        refusals = self._faults.refusals(self.name)
        return next((fault for fault in refusals if fault.closed_for_s is not None), None)

    async def _stay_closed(self) -> None:
        """Return when no fault closes the listener any more and it listens again."""
        # A socket that is bound but does not listen keeps the port, and the kernel refuses connections to it.
        bound = trio.socket.socket(self._listener.socket.family, trio.socket.SOCK_STREAM)
        bound.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_REUSEADDR, 1)
        try:
            await bound.bind(self._address)
            while (fault := self._closing()) is not None:
                with trio.move_on_after(fault.closed_for_s or 0.0) as waiting:
                    await self._wait_until_cleared(fault)
                if waiting.cancelled_caught:
                    fault.fired += 1
            bound.listen(BACKLOG)
        except BaseException:
            bound.close()
            raise
        self._listener = trio.SocketListener(bound)

    async def _accept(self, app: App, stream: trio.SocketStream) -> None:
        """Serve a connection until it ends."""
        connection = Connection(stream)
        refusals = [fault for fault in self._faults.refusals(self.name) if fault.closed_for_s is None]
        if any(fault.happens() for fault in refusals):
            await connection.reset()
            return

        async def with_connection(scope: Scope, receive: Receive, send: Send) -> None:
            with connection.in_use():
                extensions = {**scope["extensions"], CONNECTION: connection}
                await app({**scope, "extensions": extensions}, receive, send)

        self._connections.add(connection)
        try:
            # TCPServer accepts both kinds of stream, but its annotation names only the encrypted one.
            encrypted = cast("trio.SSLStream[trio.SocketStream]", stream)
            wrapper = ASGIWrapper(cast(ASGIFramework, with_connection))
            await TCPServer(wrapper, _hypercorn_config(), WorkerContext(None), {}, encrypted)
        except* trio.BusyResourceError:
            # When both sides close a WebSocket at the same moment, hypercorn ends the stream and answers the
            # other side's close, both at once. That connection is over; the others are unaffected.
            pass
        finally:
            self._connections.discard(connection)


async def listening(name: str, faults: FaultList, *, host: str, port: int) -> Origin:
    """An origin that accepts connections; they are served as soon as its `serve` runs.

    Raises:
        OSError: The port is taken.
    """
    (listener,) = await trio.open_tcp_listeners(port, host=host, backlog=BACKLOG)
    return Origin(name, faults, listener)


def _hypercorn_config() -> Config:
    config = Config()
    config.keep_alive_timeout = KEEP_ALIVE_S
    config.include_server_header = False
    config.include_date_header = False  # `App` adds the account's time.
    return config
