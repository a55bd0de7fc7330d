"""Bounds the head of an answer, and all that a server sends before it.

A server may send any number of interim answers (1xx) before the answer itself, and httpcore reads all of
them. A server that sends nothing else would keep the event loop busy until the deadline of the request.
"""

import ssl
from collections.abc import Iterable

import httpcore

MOST_HEAD_BYTES = 128 << 10
"""Most bytes from a request to the end of its answer's headers: httpcore accepts headers of up to 100 KiB,
and an interim answer, of which servers send one every few seconds at most, has about 100 bytes."""
_PIECE_BYTES = 4096
"""Most bytes of a head that httpcore parses at a time: 160 interim answers take 5 ms (measured 2026-11)."""

_BODY_PIECE_BYTES = 256 << 10
"""Most bytes of a body that arrive at a time. httpcore asks for 64 KiB, which takes 1.0 ms of CPU time a MiB
instead of 0.65 ms (measured 2026-11), and four times as many turns of the reader."""


class BoundedStream(httpcore.AsyncNetworkStream):
    """A connection over which at most MOST_HEAD_BYTES arrive between a request and `head_is_over`."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream
        self._left: int | None = MOST_HEAD_BYTES

    def head_is_over(self) -> None:
        """Ends the bound: all headers have arrived, and the reader of the body bounds the rest."""
        self._left = None

    async def read(
        self,
        max_bytes: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature is httpcore's
    ) -> bytes:
        """Up to `max_bytes` of the data, of a body up to 256 KiB; empty at its end.

        Raises:
            httpcore.RemoteProtocolError: The head is larger than MOST_HEAD_BYTES.
        """
        if self._left is None:
            return await self._stream.read(max(max_bytes, _BODY_PIECE_BYTES), timeout)
        if self._left <= 0:
            raise httpcore.RemoteProtocolError("its headers do not end")
        data = await self._stream.read(min(max_bytes, _PIECE_BYTES), timeout)
        self._left -= len(data)
        return data

    async def write(
        self,
        buffer: bytes,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature is httpcore's
    ) -> None:
        """Sends a piece of a request; the bound starts over for its answer."""
        self._left = MOST_HEAD_BYTES
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        """Closes the connection."""
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature is httpcore's
    ) -> httpcore.AsyncNetworkStream:
        """The same connection, encrypted."""
        return BoundedStream(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> object:
        """See `httpcore.AsyncNetworkStream`."""
        return self._stream.get_extra_info(info)


class BoundedBackend(httpcore.AsyncNetworkBackend):
    """Connects like another backend, and bounds the heads of the servers' answers."""

    def __init__(self, network: httpcore.AsyncNetworkBackend) -> None:
        self._network = network

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature is httpcore's
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A connection to `host`; raises the errors of the other backend."""
        stream = await self._network.connect_tcp(host, port, timeout, local_address, socket_options)
        return BoundedStream(stream)
