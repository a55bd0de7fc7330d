"""Carries TCP connections from one address to another, so that a machine in a network namespace of its own
finds the simulator, which listens on loopback, at its loopback.

Run as a program: FROM_HOST TO_HOST PORT...; it writes a line when it listens.
"""

import sys
from functools import partial

import trio


async def _copy(source: trio.SocketStream, target: trio.SocketStream, scope: trio.CancelScope) -> None:
    try:
        async for data in source:
            await target.send_all(data)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    scope.cancel()  # Neither side of HTTP and Redis closes half a connection.


async def _relay(host: str, port: int, client: trio.SocketStream) -> None:
    try:
        server = await trio.open_tcp_stream(host, port)
    except OSError:
        return
    async with server, trio.open_nursery() as nursery:
        nursery.start_soon(_copy, client, server, nursery.cancel_scope)
        nursery.start_soon(_copy, server, client, nursery.cancel_scope)


async def main(here: str, there: str, ports: list[int]) -> None:
    """Relays connections to `ports` of the address `here` to the same ports of `there`."""
    async with trio.open_nursery() as nursery:
        for port in ports:
            serve = partial(trio.serve_tcp, partial(_relay, there, port), port, host=here)
            await nursery.start(serve)
        sys.stdout.write("listening\n")
        sys.stdout.flush()


if __name__ == "__main__":
    trio.run(main, sys.argv[1], sys.argv[2], [int(port) for port in sys.argv[3:]])
