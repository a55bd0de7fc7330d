"""A small WebSocket client for tests, which shares only wsproto with the simulator's server side."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import trio
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    CloseConnection,
    Ping,
    Pong,
    RejectConnection,
    Request,
    TextMessage,
)

LIMIT_S = 60.0
"""Longest wait for a frame, in seconds."""


class Socket:
    """An open WebSocket whose messages are JSON."""

    def __init__(self, stream: trio.SocketStream, protocol: WSConnection) -> None:
        self._stream = stream
        self._protocol = protocol
        self._text = ""
        self._received: list[Any] = []
        self.close_code: int | None = None
        self.pongs = 0

    async def say(self, *frame: Any) -> None:
        """Send a JSON array."""
        await self.say_text(json.dumps(frame))

    async def say_text(self, text: str) -> None:
        """Send any text."""
        await self._stream.send_all(self._protocol.send(TextMessage(data=text)))

    async def ping(self) -> None:
        """Send a ping, and wait for the next event, which may be its pong."""
        await self._stream.send_all(self._protocol.send(Ping()))
        while not self.pongs:
            await self._read()

    async def hear(self) -> Any:
        """The next message; None if the server has closed."""
        with trio.fail_after(LIMIT_S):
            await trio.lowlevel.checkpoint()
            while not self._received and self.close_code is None:
                await self._read()
        return self._received.pop(0) if self._received else None

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[dict[str, Any], Any]:
        """Send a ClientRequest; returns the header of the answer and its body, or None."""
        request = {"type": "ClientRequest", "messageId": f"{method} {path}", "method": method, "path": path}
        await self.say(request, *([] if body is None else [body]))
        meta, *rest = await self.hear()
        assert (meta["type"], meta["messageId"]) == ("ClientRequest", request["messageId"])
        return meta, rest[0] if rest else None

    async def _read(self) -> None:
        self._protocol.receive_data(bytes(await self._stream.receive_some(65536)) or None)
        for event in self._protocol.events():
            if isinstance(event, TextMessage):
                self._text += event.data
                if event.message_finished:
                    self._received.append(json.loads(self._text))
                    self._text = ""
            elif isinstance(event, Pong):
                self.pongs += 1
            elif isinstance(event, CloseConnection):
                self.close_code = event.code


@asynccontextmanager
async def connected(uri: str) -> AsyncIterator[Socket]:
    """A WebSocket at `uri`, dropped at the end without a close frame.

    Raises:
        ConnectionRefusedError: The server answers, but with no WebSocket.
    """
    parts = urlsplit(uri)
    async with await trio.open_tcp_stream(parts.hostname or "", parts.port or 80) as stream:
        protocol = WSConnection(ConnectionType.CLIENT)
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        await stream.send_all(protocol.send(Request(host=parts.netloc, target=target)))
        with trio.fail_after(LIMIT_S):
            while True:
                protocol.receive_data(bytes(await stream.receive_some(4096)) or None)
                first = next(iter(protocol.events()), None)
                if isinstance(first, AcceptConnection):
                    break
                if isinstance(first, RejectConnection):
                    raise ConnectionRefusedError(first.status_code)
        yield Socket(stream, protocol)
