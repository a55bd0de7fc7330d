"""Connects to servers directly or through a proxy, with or without TLS.

There are two forms for two users: a stream of trio for WebSockets, and a network backend for httpcore, which
httpx is built on.
"""

import ssl
from collections.abc import Awaitable, Callable, Iterable

import attrs
import httpcore
import trio

from rcfs.errors import UnreachableError
from rcfs.platform._proxies import Proxy
from rcfs.platform._trust import tls_error
from rcfs.platform._tunnel import Tunnel

_CLOSED_WITHIN_S = 1.0
"""Longest time for closing the connection to a proxy that failed, in seconds."""


@attrs.frozen
class Connector:
    """Connects to a server, and returns a stream of trio."""

    proxy: Proxy | None
    """The proxy to use; None for a direct connection."""
    trusting: Callable[[], Awaitable[ssl.SSLContext]]
    """Returns the context for TLS."""

    async def connect(self, host: str, port: int, *, secure: bool) -> trio.abc.Stream:
        """A connection to `host`, with TLS if `secure`; the caller sets the deadline.

        Raises:
            UntrustedError: rcfs refused the certificate of the host or of the proxy.
            ProxyError: The proxy refused.
            UnreachableError: The host or the proxy could not be reached.
        """
        proxy = self.proxy
        try:
            stream: trio.abc.Stream = await trio.open_tcp_stream(
                *((host, port) if proxy is None else (proxy.host, proxy.port))
            )
        except OSError as exc:
            raise _unreachable(host, proxy) from exc
        try:
            if proxy is not None:
                if proxy.scheme == "https":
                    stream = await self._encrypted(stream, proxy.host)
                await Tunnel(proxy, host, port, stream.send_all, _receiving(stream)).open()
            return await self._encrypted(stream, host) if secure else stream
        except (trio.BrokenResourceError, OSError) as exc:
            await trio.aclose_forcefully(stream)
            raise _unreachable(host, proxy) from exc
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise

    async def _encrypted(self, plain: trio.abc.Stream, host: str) -> trio.abc.Stream:
        stream = trio.SSLStream(plain, await self.trusting(), server_hostname=host, https_compatible=True)
        try:
            await stream.do_handshake()
        except trio.BrokenResourceError as exc:
            raise tls_error(host, exc) or exc from exc
        return stream


class ProxiedBackend(httpcore.AsyncNetworkBackend):
    """Connects to servers through a proxy for httpcore, which adds TLS with the server itself."""

    def __init__(self, proxy: Proxy, tls: ssl.SSLContext) -> None:
        self._proxy = proxy
        self._tls = tls
        self._network = httpcore.TrioBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature is httpcore's
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A connection to `host`, within `timeout` seconds.

        Raises:
            UnreachableError: As `Connector.connect`.
        """
        proxy = self._proxy
        try:
            with trio.fail_after(float("inf") if timeout is None else timeout):
                plain = await self._network.connect_tcp(
                    proxy.host, proxy.port, None, local_address, socket_options
                )
                return await self._through(plain, host, port)
        except (httpcore.NetworkError, httpcore.TimeoutException, trio.TooSlowError) as exc:
            raise tls_error(proxy.host, exc) or _unreachable(host, proxy) from exc

    async def _through(
        self, stream: httpcore.AsyncNetworkStream, host: str, port: int
    ) -> httpcore.AsyncNetworkStream:
        try:
            if self._proxy.scheme == "https":
                stream = await stream.start_tls(self._tls, self._proxy.host)
            await Tunnel(self._proxy, host, port, stream.write, stream.read).open()
        except BaseException:
            with trio.move_on_after(_CLOSED_WITHIN_S, shield=True):
                await stream.aclose()
            raise
        return stream


def _receiving(stream: trio.abc.Stream) -> Callable[[int], Awaitable[bytes]]:
    async def receive(count: int) -> bytes:
        return bytes(await stream.receive_some(count))

    return receive


def _unreachable(host: str, proxy: Proxy | None) -> UnreachableError:
    through = f" through the proxy {proxy}" if proxy is not None else ""
    return UnreachableError(f"cannot connect to {host}{through}")
