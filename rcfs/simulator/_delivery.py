"""Sends an answer over the wire: whole, or broken in the way that a fault asks for.

A truncated body is easy: when an application returns before its answer is complete, hypercorn closes the
connection in an orderly way. hypercorn cannot reset a connection (RST), so the application gets the
connection as an ASGI extension (see `_server`) and aborts it with SO_LINGER set to 0, then close.
"""

import fcntl
import socket
import struct
import termios
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import attrs
import trio
from starlette.types import Send

from rcfs.simulator._journal import Entry
from rcfs.simulator._wire import Answer, Part

PIECE_BYTES = 256 * 1024
"""Most bytes that are made and sent at once, which takes some ten milliseconds and bounds the memory."""

DRAIN_S = 2.0
"""Longest wait before a reset for the peer's kernel to acknowledge what was sent, in seconds. On loopback
that takes microseconds, unless the client has stopped reading."""

DRAIN_POLL_S = 0.001
"""Seconds between two looks at the send queue; the kernel has no event for an empty one."""


@attrs.frozen
class Delivery:
    """How to send one answer; by default plainly. Byte positions count the body from 0."""

    delay_s: float = 0.0
    """Seconds to wait before the answer begins."""
    reset_first: bool = False
    """Reset the connection instead of answering."""
    reset_at: int | None = None
    """Reset the connection after this number of bytes; None for never."""
    truncate_at: int | None = None
    """Close the connection in an orderly way after this number of bytes; None for never."""
    stall_at: int | None = None
    """Pause for `stall_s` after this number of bytes; None for never."""
    stall_s: float = 0.0
    """Length of that pause in seconds."""
    piece_bytes: int = PIECE_BYTES
    """Most bytes sent at once."""
    pause_s: float = 0.0
    """Seconds to wait between two pieces."""
    chunked: bool = False
    """Send no Content-Length, so that the body has chunked transfer coding."""
    gzip: bool = False
    """Compress the body, whatever the client accepts; this implies `chunked`."""


class Connection:
    """The TCP connection below a request."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._socket = stream.socket
        self._uses = 0
        self._ending = False

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Mark the connection as in use for one exchange; `end` waits until no exchange is left."""
        self._uses += 1
        try:
            yield
        finally:
            self._uses -= 1
            if self._ending:
                self.end()

    def end(self) -> None:
        """Close the connection in an orderly way as soon as it is idle."""
        self._ending = True
        if not self._uses:
            self.close()

    async def reset(self) -> None:
        """Reset the connection once the peer's kernel has acknowledged everything, or after `DRAIN_S`."""
        with trio.move_on_after(DRAIN_S):
            while True:
                await trio.sleep(DRAIN_POLL_S)
                if not self._unsent_bytes():
                    break
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        """Close the connection at once; pending sends and receives fail."""
        self._socket.close()

    def _unsent_bytes(self) -> int:
        """Bytes that the peer's kernel has not acknowledged (tcp(7), SIOCOUTQ, equal to TIOCOUTQ)."""
        count = fcntl.ioctl(self._socket.fileno(), termios.TIOCOUTQ, bytes(4))
        return int(struct.unpack("i", count)[0])


async def deliver(
    answer: Answer,
    delivery: Delivery,
    *,
    send: Send,
    connection: Connection,
    entry: Entry,
    finish: Callable[[], None],
) -> None:
    """Send `answer` in the way that `delivery` describes.

    When cancelled, the answer stays incomplete and the connection is closed.

    Args:
        answer: The answer to send.
        delivery: How to send it.
        send: The ASGI callable that sends.
        connection: The connection to reset, if `delivery` asks for that.
        entry: Journal entry that counts the bytes, just before each is sent.
        finish: Called just before the last byte is sent or the connection is cut. A client that has the whole
            answer and repeats its request must not find the first one in flight.
    """
    await trio.sleep(delivery.delay_s)
    if delivery.reset_first:
        finish()
        await connection.reset()
        return
    entry.status = answer.status
    end = _end(answer.size_bytes, delivery)
    if end == 0:
        finish()
    headers = {**answer.headers, **_framing(answer, delivery)}
    await send({"type": "http.response.start", "status": answer.status, "headers": _encoded(headers)})
    compressor = zlib.compressobj(wbits=zlib.MAX_WBITS | 16) if delivery.gzip else None
    for start, stop in _steps(end, delivery):
        if start == delivery.stall_at:
            await trio.sleep(delivery.stall_s)
        elif start:
            await trio.sleep(delivery.pause_s)
        piece = await _read(answer.body, start, stop)
        if compressor is not None:
            piece = compressor.compress(piece)
        entry.bytes_sent += len(piece)
        if stop == end:
            finish()
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    if delivery.reset_at is not None:
        await connection.reset()
    elif delivery.truncate_at is None:
        rest = compressor.flush() if compressor is not None else b""
        entry.bytes_sent += len(rest)
        # During this send hypercorn reports the end of the exchange as a disconnect, which ends the wait for
        # one and cancels this task; but hypercorn must be able to clean up its connection undisturbed.
        with trio.CancelScope(shield=True):
            await send({"type": "http.response.body", "body": rest, "more_body": False})


def _framing(answer: Answer, delivery: Delivery) -> dict[str, str]:
    """The headers that declare the length and the coding of the body."""
    if delivery.gzip:
        return {"Content-Encoding": "gzip"}
    if delivery.chunked:
        return {}
    return {"Content-Length": str(answer.size_bytes)}


def _end(size_bytes: int, delivery: Delivery) -> int:
    """The position where a body of `size_bytes` ends, or is cut off."""
    cuts = [cut for cut in (delivery.reset_at, delivery.truncate_at) if cut is not None]
    return min([size_bytes, *cuts])


def _steps(end: int, delivery: Delivery) -> Iterator[tuple[int, int]]:
    """The pieces ``[start, stop)`` of a body that ends at `end`."""
    start = 0
    while start < end:
        stop = min(start + delivery.piece_bytes, end)
        if delivery.stall_at is not None and start < delivery.stall_at < stop:
            stop = delivery.stall_at
        yield start, stop
        start = stop


async def _read(body: bytes | Part, start: int, stop: int) -> bytes:
    """The bytes ``[start, stop)`` of `body`; a thread makes those of a content."""
    if isinstance(body, bytes):
        return body[start:stop]
    return await trio.to_thread.run_sync(body.source.read, body.start + start, body.start + stop)


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """`headers` in the form of ASGI, in UTF-8, because file names may be in any script."""
    return [(name.lower().encode("ascii"), value.encode()) for name, value in headers.items()]
