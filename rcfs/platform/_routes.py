"""The transport of httpx that sends each request directly or through a proxy."""

import resource
import ssl

import httpcore
import httpx

from rcfs.platform._connecting import ProxiedBackend
from rcfs.platform._heads import BoundedBackend, BoundedStream
from rcfs.platform._proxies import Proxies, Proxy

_KEPT_CONNECTIONS = 20
"""Most idle connections that stay open for the next request: as many as a busy minute uses. Fewer if the
process may open fewer than 320 files."""
_KEPT_S = 5.0
"""How long an idle connection stays open, in seconds: httpx's default, as servers close idle ones, too."""


class Routes(httpx.AsyncBaseTransport):
    """Sends each request through the proxy that `Proxies` has for its host, or directly.

    httpx can read the environment itself, but fails on ``socks://``, and on entries of ``no_proxy`` that it
    does not understand, such as IPv6 networks.
    """

    def __init__(self, proxies: Proxies, tls: ssl.SSLContext) -> None:
        self._proxies = proxies
        self._tls = tls
        self._ways: dict[Proxy | None, httpx.AsyncHTTPTransport] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The answer to `request`.

        Raises:
            httpx.RequestError: No answer arrived.
            UnreachableError: The proxy refused, or could not be reached.
        """
        proxy = None if self._proxies.proxy is None else self._proxies.proxy_for(str(request.url))
        if proxy not in self._ways:
            self._ways[proxy] = self._way(proxy)
        response = await self._ways[proxy].handle_async_request(request)
        stream = response.extensions.get("network_stream")
        if isinstance(stream, BoundedStream):
            stream.head_is_over()
        return response

    async def aclose(self) -> None:
        """Closes all connections."""
        for way in self._ways.values():
            await way.aclose()

    def _way(self, proxy: Proxy | None) -> httpx.AsyncHTTPTransport:
        way = httpx.AsyncHTTPTransport(verify=self._tls, trust_env=False)
        network = httpcore.TrioBackend() if proxy is None else ProxiedBackend(proxy, self._tls)
        # Only httpcore, which httpx is built on, has an argument for the network backend.
        way._pool = httpcore.AsyncConnectionPool(  # noqa: SLF001
            ssl_context=self._tls,
            # The quota bounds the number of requests; a limit would delay requests that have slots.
            max_connections=None,
            max_keepalive_connections=_kept_connections(),
            keepalive_expiry=_KEPT_S,
            network_backend=BoundedBackend(network),
        )
        return way


def _kept_connections() -> int:
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _KEPT_CONNECTIONS if soft == resource.RLIM_INFINITY else min(_KEPT_CONNECTIONS, soft // 16)
