"""How an answer goes over the wire: whole, or broken in the way that a fault asks for.

hypercorn closes the connection in an orderly way when an application returns before its answer is
complete, which is just what a truncated body is. A reset (RST) it cannot do, so the application gets its
connection as an ASGI extension (see `_server`) and aborts it: SO_LINGER with a time of 0, then close.
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
"""Most bytes that are made and sent at once: some ten milliseconds of making, and a bounded memory."""

DRAIN_S = 2.0
"""Longest wait for the peer's kernel to take what was sent before a reset, in seconds: on loopback it
takes microseconds, unless the client has stopped reading."""

DRAIN_POLL_S = 0.001
"""Seconds between two looks at the send queue; the kernel has no event for its being empty."""


@attrs.frozen
class Delivery:
    """The way of one answer; the default is the plain one. Byte positions count the body from 0."""

    delay_s: float = 0.0
    """Wait before the answer begins."""
    reset_first: bool = False
    """Reset the connection instead of answering."""
    reset_at: int | None = None
    """Reset the connection after so many bytes; None for never."""
    truncate_at: int | None = None
    """Close the connection in an orderly way after so many bytes; None for never."""
    stall_at: int | None = None
    """Stop for `stall_s` after so many bytes; None for never."""
    stall_s: float = 0.0
    """Length of that stop in seconds."""
    piece_bytes: int = PIECE_BYTES
    """Most bytes sent at once."""
    pause_s: float = 0.0
    """Wait between two pieces."""
    chunked: bool = False
    """Send no Content-Length, so that the body is chunked."""
    gzip: bool = False
    """Compress the body, whatever the client accepts; it is then chunked, too."""


class Connection:
    """The TCP connection below a request."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._socket = stream.socket
        self._uses = 0
        self._ending = False

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """For the time of an exchange: `end` waits for it."""
        self._uses += 1
        try:
            yield
        finally:
            self._uses -= 1
            if self._ending:
                self.end()

    def end(self) -> None:
        """Close the connection in an orderly way as soon as it idles."""
        self._ending = True
        if not self._uses:
            self.close()

    async def reset(self) -> None:
        """Reset the connection once the peer's kernel has all that was sent, or after `DRAIN_S`."""
        with trio.move_on_after(DRAIN_S):
            while True:
                await trio.sleep(DRAIN_POLL_S)
                if not self._unsent_bytes():
                    break
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        """Close the connection at once; whoever is sending or receiving gets an error."""
        self._socket.close()

    def _unsent_bytes(self) -> int:
        """Bytes that the peer's kernel has not acknowledged (tcp(7), SIOCOUTQ, which equals TIOCOUTQ)."""
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
    """Send `answer` in the way of `delivery`.

    When cancelled, the answer stays incomplete and the connection is closed.

    Args:
        answer: What is sent.
        delivery: How.
        send: Takes it.
        connection: What is reset if need be.
        entry: Notes what is sent, just before it is.
        finish: Called just before the last byte is sent or the connection is cut: a client that has the
            whole answer and asks again must not find its first request in flight.
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
        # In the midst of this send hypercorn reports the end of the exchange as a disconnect, which ends
        # the wait for one and cancels this task; but hypercorn has to tidy up its connection undisturbed.
        with trio.CancelScope(shield=True):
            await send({"type": "http.response.body", "body": rest, "more_body": False})


def _framing(answer: Answer, delivery: Delivery) -> dict[str, str]:
    """The headers that say how long the body is and how it is coded."""
    if delivery.gzip:
        return {"Content-Encoding": "gzip"}
    if delivery.chunked:
        return {}
    return {"Content-Length": str(answer.size_bytes)}


def _end(size_bytes: int, delivery: Delivery) -> int:
    """Where a body of `size_bytes` ends, or is cut off."""
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
    """The bytes ``[start, stop)`` of `body`; a content is made in a thread."""
    if isinstance(body, bytes):
        return body[start:stop]
    return await trio.to_thread.run_sync(body.source.read, body.start + start, body.start + stop)


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """`headers` for ASGI; file names may be in any script, and are then sent as UTF-8."""
    return [(name.lower().encode("ascii"), value.encode()) for name, value in headers.items()]
