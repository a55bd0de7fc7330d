"""The simulator behind a transport of httpx, in the test's event loop: no sockets, so time can be virtual."""

import math
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import attrs
import httpx
import trio

from rcfs.simulator import Endpoints, Simulator, SimulatorConfig
from rcfs.simulator._app import CONNECTION, App
from rcfs.simulator._backend import Backend
from rcfs.simulator._delivery import Connection
from rcfs.simulator._exchange import FOREIGN, MEDIA, PLATFORM
from rcfs.simulator._journal import Entry
from rcfs.simulator.faults._faults import Fault, fault_from_json

URLS = {
    PLATFORM: "http://127.0.0.1:1001",
    MEDIA: "http://127.0.0.1:1002",
    FOREIGN: "http://127.0.0.2:1003",
}


class Platform:
    """A simulated platform. Make it within the event loop; it is served for as long as `nursery` is open."""

    def __init__(
        self,
        config: SimulatorConfig,
        nursery: trio.Nursery,
        *,
        page_messages: int = 1000,
        page_calls: int = 1000,
        held_pieces: float = math.inf,
    ) -> None:
        """A platform with `config`; a page holds at most `page_messages` or `page_calls`.

        A connection holds `held_pieces` of a body that its reader has not taken; with fewer than all, the
        simulator waits for the reader.
        """
        self.simulator = Simulator(config)
        credentials = self.simulator.auth.credentials
        self.endpoints = Endpoints(
            platform_url=URLS[PLATFORM],
            media_url=URLS[MEDIA],
            foreign_url=URLS[FOREIGN],
            client_id=credentials.client_id,
            client_secret=credentials.client_secret,
            jwt=credentials.jwt,
            more=self.simulator.auth.more,
        )
        self.backend: Backend = self.simulator._backend(self.endpoints)
        self.backend.background = self.nursery = nursery
        self.page_messages = page_messages
        self.page_calls = page_calls
        self.held_pieces = held_pieces
        faults = self.simulator.faults
        self.apps = {urlsplit(url).netloc: App(self.backend, faults, name) for name, url in URLS.items()}
        self.origins = {urlsplit(url).netloc: name for name, url in URLS.items()}

    @property
    def now_s(self) -> float:
        """The account's time, which is also the ``Date`` of the answers."""
        return self.backend.account_time()

    def fault(self, kind: str, **options: Any) -> Fault:
        """Add a fault; see `rcfs.simulator.faults._faults.fault_from_json`."""
        fault = fault_from_json({"kind": kind, **options})
        self.simulator.faults.add(fault)
        return fault

    def sent(self, operation: str, since: int = 0) -> list[Entry]:
        """The journal's entries of an operation after entry number `since`."""
        return self.simulator.journal.entries(since=since, operation=operation)


class Line(httpx.AsyncBaseTransport):
    """One process's connection to the platform."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.is_cut = False
        """Whether connections fail: the network is gone, or the process is dead."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        netloc = request.url.netloc.decode()
        await trio.lowlevel.checkpoint()
        if self.is_cut or self._is_refused(self.platform.origins[netloc]):
            raise httpx.ConnectError("no connection")
        exchange = _Exchange(self.platform, self._scope(request), await request.aread())
        self.platform.nursery.start_soon(exchange.run, self.platform.apps[netloc])
        try:
            await exchange.begun.wait()
        except BaseException:
            exchange.gone.set()
            raise
        if exchange.status is None:
            raise httpx.ReadError("reset")
        return httpx.Response(exchange.status, headers=exchange.headers, stream=exchange)

    def _is_refused(self, origin: str) -> bool:
        return any(fault.happens() for fault in self.platform.simulator.faults.refusals(origin))

    def _scope(self, request: httpx.Request) -> dict[str, Any]:
        query = request.url.query
        # The platform silently lowers a page size above its maximum.
        if request.url.path.endswith("/message-store"):
            query = query.replace(b"perPage=1000", b"perPage=%d" % self.platform.page_messages)
        elif request.url.path.endswith("/call-log"):
            query = query.replace(b"perPage=1000", b"perPage=%d" % self.platform.page_calls)
        return {
            "type": "http",
            "http_version": "1.1",
            "method": request.method,
            "path": request.url.path,
            "raw_path": request.url.raw_path.partition(b"?")[0],
            "query_string": query,
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "extensions": {CONNECTION: _Wire()},
        }


class _Wire(Connection):
    """Stands for a TCP connection; the simulator only needs to reset it."""

    def __init__(self) -> None:
        self.is_reset = False

    def end(self) -> None: ...

    def close(self) -> None: ...

    async def reset(self) -> None:
        await trio.lowlevel.checkpoint()
        self.is_reset = True


@attrs.define(eq=False)
class _Exchange(httpx.AsyncByteStream):
    """A request in the application, and the body of its answer."""

    platform: Platform
    scope: dict[str, Any]
    body: bytes
    status: int | None = None
    headers: list[tuple[bytes, bytes]] = attrs.field(factory=list)
    begun: trio.Event = attrs.field(factory=trio.Event)
    gone: trio.Event = attrs.field(factory=trio.Event)
    _is_read: bool = False
    _is_whole: bool = False

    def __attrs_post_init__(self) -> None:
        self._pieces, self._received = trio.open_memory_channel[bytes](self.platform.held_pieces)

    async def run(self, app: App) -> None:
        try:
            await app(self.scope, self._receive, self._send)
        finally:
            self._pieces.close()
            self.begun.set()

    async def _receive(self) -> dict[str, Any]:
        if not self._is_read:
            self._is_read = True
            return {"type": "http.request", "body": self.body, "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        await trio.lowlevel.checkpoint()
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], message["headers"]
            self.begun.set()
            return
        try:
            self._pieces.send_nowait(message.get("body", b""))
        except trio.WouldBlock:
            with suppress(trio.BrokenResourceError):
                await self._pieces.send(message.get("body", b""))
        self._is_whole = not message.get("more_body", False)

    async def __aiter__(self) -> AsyncIterator[bytes]:  # noqa: ASYNC900 - httpx wants it
        async for piece in self._received:
            if piece:
                yield piece
        if self.scope["extensions"][CONNECTION].is_reset:
            raise httpx.ReadError("reset")
        if not self._is_whole:
            raise httpx.RemoteProtocolError("the body is cut")

    async def aclose(self) -> None:
        self.gone.set()
        if self.platform.held_pieces < math.inf:
            self._received.close()
