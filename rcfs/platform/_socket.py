"""WebSockets to the platform: text messages both ways (RFC 6455).

They are built on wsproto, which has no sockets. ARCHITECTURE.md, "The hints' WebSocket", says why not on
trio-websocket. A connection lives as long as a block, and is closed properly even if the block is cancelled.

A server may send anything, so messages, their fragments, and the frames in a period are bounded, and each
event passes a checkpoint: the smallest frames can arrive at 100,000 per second.
"""

import io
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from urllib.parse import urlsplit

import trio
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    CloseConnection,
    Event,
    Ping,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.utilities import ProtocolError

from rcfs.errors import ServerError, TransportError, UnreachableError
from rcfs.platform._connecting import Connector

CONNECT_WITHIN_S = 20.0
"""Longest wait for a connection with TLS, and then for the WebSocket handshake, in seconds: TCP and TLS may
lose three packets each."""
_CLOSE_WITHIN_S = 1.0
"""Longest wait for the closing handshake, in seconds; a mount that ends waits for it."""
_SEND_WITHIN_S = 30.0
"""Longest wait for sending a frame, in seconds: a server that reads nothing for that time counts as dead."""
_MOST_CHARACTERS = 256 << 10
"""Longest message: the platform's have a few kB, and this one takes milliseconds to decode."""
_MOST_FRAGMENTS = 256
"""Most frames of one message. The platform sends each in one frame; other servers cut at some KiB."""
_WINDOW_S = 10.0
_MOST_FRAMES = 2_000
_MOST_BYTES = 4 << 20
"""Most frames, control frames included, and most bytes in `_WINDOW_S`. A notification is one frame of about 1
kB, and no account has 200 a second. After a broken connection the server sends the missed ones at once, about
a hundred frames."""
_PIECE_BYTES = 1 << 14
"""Most bytes to receive at a time: more than a notification has."""


class Socket:
    """An open WebSocket, a `MessageStream`."""

    def __init__(self, stream: trio.abc.Stream, host: str) -> None:
        """A WebSocket over `stream` to `host`; the caller must call `shake_hands` first."""
        self._stream = stream
        self._host = host
        self._protocol = WSConnection(ConnectionType.CLIENT)
        self._sending = trio.Lock()
        self._events: Iterator[Event] = iter(())
        self._text = io.StringIO()
        self._fragments = 0
        self._frames = 0
        self._bytes = 0
        self._window_s = trio.current_time()
        """Start of the current window, in which frames and bytes are counted."""

    async def shake_hands(self, host: str, target: str, user_agent: str) -> None:
        """Turns the connection into a WebSocket.

        Raises:
            TransportError: The server refuses, or the connection is broken.
        """
        headers = [(b"User-Agent", user_agent.encode())]
        await self._say(Request(host=host, target=target, extra_headers=headers))
        event = await self._next()
        if isinstance(event, RejectConnection):
            raise TransportError(f"{self._host} refused a WebSocket (HTTP {event.status_code})")
        if not isinstance(event, AcceptConnection):
            raise TransportError(f"{self._host} closed the connection while rcfs opened a WebSocket")

    async def send(self, text: str) -> None:
        """See `MessageStream`."""
        await self._say(TextMessage(data=text))

    async def receive(self) -> str | None:
        """See `MessageStream`."""
        while True:
            event = await self._next()
            match event:
                case TextMessage():
                    self._text.write(event.data)
                    self._fragments += event.frame_finished
                    if self._text.tell() > _MOST_CHARACTERS or self._fragments > _MOST_FRAGMENTS:
                        raise ServerError(f"{self._host} sent a message that is too long over the WebSocket")
                    if event.message_finished:
                        text, self._text, self._fragments = self._text.getvalue(), io.StringIO(), 0
                        return text
                case Ping():
                    await self._say(event.response())
                case CloseConnection():
                    with trio.move_on_after(_CLOSE_WITHIN_S):
                        await self._say(event.response())
                    return None
                case _:
                    pass  # a pong, or binary data, which the platform does not send

    async def aclose(self) -> None:
        """Closes the WebSocket and then the connection; the closing handshake is skipped if it fails."""
        # The server may have closed first, or be gone.
        with trio.move_on_after(_CLOSE_WITHIN_S, shield=True), suppress(TransportError, ServerError):
            await self._say(CloseConnection(code=1000))
            while await self.receive() is not None:
                pass
        await trio.aclose_forcefully(self._stream)

    async def _say(self, event: Event) -> None:
        with _translated(self._host), trio.fail_after(_SEND_WITHIN_S):
            # One at a time: the bytes must be sent in the order in which wsproto made them.
            async with self._sending:
                await self._stream.send_all(self._protocol.send(event))

    async def _next(self) -> Event:
        with _translated(self._host):
            await trio.lowlevel.checkpoint()
            while (event := next(self._events, None)) is None:
                data = await self._stream.receive_some(_PIECE_BYTES)
                self._count(frames=0, size=len(data))
                self._protocol.receive_data(bytes(data) or None)
                self._events = self._protocol.events()  # a generator, so each event is made when it is needed
        self._count(frames=1, size=0)
        return event

    def _count(self, *, frames: int, size: int) -> None:
        """Counts frames and bytes that arrived.

        Raises:
            ServerError: There were too many in this window.
        """
        now = trio.current_time()
        if now >= self._window_s + _WINDOW_S:
            self._window_s, self._frames, self._bytes = now, 0, 0
        self._frames += frames
        self._bytes += size
        if self._frames > _MOST_FRAMES or self._bytes > _MOST_BYTES:
            raise ServerError(f"{self._host} sent too much over the WebSocket, so rcfs closed it")


@asynccontextmanager
async def open_socket(url: str, user_agent: str, connector: Connector) -> AsyncIterator[Socket]:
    """A WebSocket at `url` (``ws`` or ``wss``) over a connection of `connector`, closed with the block.

    Raises:
        UnreachableError: No connection could be made.
        TransportError: The server refused the WebSocket.
    """
    parts = urlsplit(url)
    host, secure = parts.hostname or "", parts.scheme == "wss"
    try:
        with trio.fail_after(CONNECT_WITHIN_S):
            port = parts.port or (443 if secure else 80)
            stream = await connector.connect(host, port, secure=secure)
    except trio.TooSlowError as exc:
        raise UnreachableError(f"no answer in time from {host}") from exc
    socket = Socket(stream, host)
    try:
        target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        with _translated(host), trio.fail_after(CONNECT_WITHIN_S):
            await socket.shake_hands(parts.netloc, target, user_agent)
        yield socket
    finally:
        await socket.aclose()


@contextmanager
def _translated(host: str) -> Iterator[None]:
    """Raises a TransportError in place of errors of trio, ssl and wsproto."""
    try:
        yield
    except (trio.BrokenResourceError, trio.ClosedResourceError, ssl.SSLError, OSError) as exc:
        raise TransportError(f"the connection to {host} broke") from exc
    except ProtocolError as exc:
        raise TransportError(f"{host} broke the WebSocket protocol, or has closed the connection") from exc
    except trio.TooSlowError as exc:
        raise TransportError(f"no answer in time from {host}") from exc
