"""A TCP proxy that adds latency: each byte arrives a fixed time after it was sent.

Run as a program: ``python -m bench._delay PORT TARGET_PORT ONE_WAY_SECONDS``. It adds
latency only: bytes arrive in the order and at the rate in which they were sent.
"""

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import trio

from bench._nginx import Origin
from bench._processes import running, wait_listening

_PIECE_BYTES = 256 << 10
_PIECES = 1000
"""Pieces in flight in one direction of a connection, at most."""


async def carry(
    source: trio.abc.ReceiveStream, target: trio.abc.HalfCloseableStream, delay_s: float, first_s: float
) -> None:
    """Carries all bytes from `source` to `target`; the first ones take `first_s` longer."""
    send, receive = trio.open_memory_channel[tuple[float, bytes]](_PIECES)

    async def deliver() -> None:
        async for due_s, piece in receive:
            await trio.sleep_until(due_s)
            await target.send_all(piece)
        await target.send_eof()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(deliver)
        extra_s = first_s
        async with send:
            while piece := await source.receive_some(_PIECE_BYTES):
                await send.send((trio.current_time() + delay_s + extra_s, bytes(piece)))
                extra_s = 0.0


async def _connection(port: int, delay_s: float, client: trio.SocketStream) -> None:
    try:
        async with client, await trio.open_tcp_stream("127.0.0.1", port) as server:
            client.setsockopt(trio.socket.IPPROTO_TCP, trio.socket.TCP_NODELAY, 1)
            async with trio.open_nursery() as nursery:
                # The proxy accepts at once, but over a real line the handshake takes a round trip.
                nursery.start_soon(carry, client, server, delay_s, 2 * delay_s)
                nursery.start_soon(carry, server, client, delay_s, 0.0)
    except* (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
        pass  # One side closed the connection, as HTTP clients do.


async def serve(port: int, target_port: int, delay_s: float) -> None:
    """Carries connections to `port` on loopback to `target_port`, until the process is killed.

    Args:
        port: The port to listen on.
        target_port: The port of the server.
        delay_s: One-way latency in seconds.
    """
    handler = partial(_connection, target_port, delay_s)
    await trio.serve_tcp(handler, port, host="127.0.0.1", backlog=256)


@contextmanager
def delayed(origin: Origin, delay_s: float, log: Path) -> Iterator[None]:
    """Runs a proxy during the block, from the port of `origin.url` to nginx at `origin.port`."""
    port = urlsplit(origin.url).port or 0
    command = [sys.executable, "-P", "-m", "bench._delay", str(port), str(origin.port), str(delay_s)]
    with running(command, log=log) as process:
        wait_listening(port, process, log)
        yield


def main() -> None:
    """The program."""
    port, target_port, delay_s = sys.argv[1:]
    if not 0 < float(delay_s) < math.inf:
        raise SystemExit("the delay is a positive number of seconds")
    trio.run(serve, int(port), int(target_port), float(delay_s))


if __name__ == "__main__":
    main()
