"""The HTTP client for the platform: each call of `send` is exactly one HTTP request.

It neither retries, nor follows redirects, nor waits for quota, so that callers can count requests by counting
calls. Only here a token is attached to a URL.
"""

import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from importlib import import_module
from urllib.parse import urlsplit

import httpx
import trio

from rcfs.errors import PlatformError, UntrustedError
from rcfs.platform._answer import Answer
from rcfs.platform._connecting import Connector
from rcfs.platform._errors import translated
from rcfs.platform._hosts import AllowedHosts, spoken_host
from rcfs.platform._message_stream import MessageStream
from rcfs.platform._multipart import MultipartBody
from rcfs.platform._proxies import Proxies
from rcfs.platform._requests import Body, Request
from rcfs.platform._routes import Routes
from rcfs.platform._trust import read_certificates, trusting_context

CONNECT_WITHIN_S = 10.0
"""Longest wait for a connection, in seconds. The kernel repeats a lost SYN after 1, 3 and 7 s (RFC 6298), so
this outlasts three losses, and rcfs reports a host that drops everything as unreachable within half a
minute."""
HEADERS_WITHIN_S = 60.0
"""Longest wait from sending a request, or the latest piece of a large body, to its answer's headers,
connection included, in seconds. The documentation has no figure; the guess is long enough for a report that
the server makes during the request."""

_EXTENSIONS = {"timeout": httpx.Timeout(None, connect=CONNECT_WITHIN_S).as_dict()}
"""All other deadlines are set with trio; only httpcore knows when it is still connecting."""
_PROBE_PATH = "/restapi"
"""readAPIVersions, of the group NoThrottling. Source: the official description."""

SocketOpener = Callable[[str, str, Connector], AbstractAsyncContextManager[MessageStream]]
"""Opens a WebSocket at a URL, as a user agent, with a connector; see `rcfs.platform._socket.open_socket`."""


def _since_boot_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@asynccontextmanager
async def _open_socket(url: str, user_agent: str, connector: Connector) -> AsyncIterator[MessageStream]:
    """As `rcfs.platform._socket.open_socket`, which it loads in a thread: wsproto takes 7 ms of a start."""
    module = await trio.to_thread.run_sync(import_module, "rcfs.platform._socket")
    async with module.open_socket(url, user_agent, connector) as socket:
        yield socket


class Client:
    """Sends requests; any number of tasks may use it at the same time.

    Attributes:
        hosts: The URLs that it follows and trusts.
    """

    def __init__(
        self,
        hosts: AllowedHosts,
        *,
        user_agent: str,
        proxies: Proxies | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        sockets: SocketOpener = _open_socket,
        clock: Callable[[], float] = time.time,
        boot_clock: Callable[[], float] = _since_boot_s,
    ) -> None:
        """Makes a client.

        Args:
            hosts: The URLs that it may follow and trust.
            user_agent: Value of the ``User-Agent`` header.
            proxies: The proxies to use; None for a direct connection.
            transport: Replaces the network in tests.
            sockets: Replaces WebSockets in tests.
            clock: This machine's time, in seconds since 1970 UTC.
            boot_clock: Seconds since this machine booted, suspended time included; nobody can set it.
        """
        self.hosts = hosts
        self._clock = clock
        self._boot_clock = boot_clock
        self._assumed_offset_s = 0.0
        self._user_agent = user_agent
        # Bodies are stored byte for byte, so rcfs asks for no content coding.
        self._headers = {
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "Connection": "keep-alive",
            "User-Agent": user_agent,
        }
        self._proxies = Proxies() if proxies is None else proxies
        self._sockets = sockets
        self._transport = transport
        """None before the first request, unless it is given. The client of httpx has redirects, cookies and
        logins, which rcfs does not use, and takes 0.15 ms for each request (measured 2026-11)."""
        self._tls: ssl.SSLContext | None = None
        """None before the first connection."""
        self._distrusted = False
        """Whether a server's certificate was refused since the CA certificates were read."""
        self._making = trio.Lock()
        self._server_boot_s: float | None = None
        """The server's time when this machine booted, in seconds since 1970 UTC; None before an answer."""

    async def _trusting(self) -> ssl.SSLContext:
        """The context for TLS connections; made for the first one, in a thread.

        Reading all CA certificates may take 40 ms (measured 2026-11), which must neither delay the start of a
        mount nor block its event loop. They are read again after a server was refused, as an administrator
        may have added one.

        Raises:
            UntrustedError: The CA certificates cannot be read.
        """
        async with self._making:
            if self._tls is None:
                self._tls = await trio.to_thread.run_sync(trusting_context)
            elif self._distrusted:
                await trio.to_thread.run_sync(read_certificates, self._tls)
                self._distrusted = False
        return self._tls

    async def prepare(self) -> None:
        """Does now what the first request would wait for: reads the CA certificates.

        If they cannot be read, the first request fails.
        """
        with suppress(UntrustedError):
            await self._opened()

    async def _opened(self) -> httpx.AsyncBaseTransport:
        """The transport, made for the first request.

        Raises:
            UntrustedError: The CA certificates cannot be read.
        """
        if self._transport is None or self._distrusted:
            tls = await self._trusting()
            if self._transport is None:
                self._transport = Routes(self._proxies, tls)
        return self._transport

    @property
    def clock_offset_s(self) -> float:
        """Server's clock minus this machine's, in seconds, by the newest ``Date`` header; 0 before one."""
        return 0.0 if self._server_boot_s is None else self.server_now_s() - self._clock()

    def server_now_s(self) -> float:
        """The server's time in seconds since 1970 UTC; before the first answer, what is assumed.

        After an answer, neither setting this machine's clock nor suspending the machine changes it.
        """
        if self._server_boot_s is None:
            return self._clock() + self._assumed_offset_s
        return self._server_boot_s + self._boot_clock()

    def assume_clock_offset(self, offset_s: float) -> None:
        """Before the first answer, assume that the server's clock is `offset_s` ahead of this machine's."""
        self._assumed_offset_s = offset_s

    async def aclose(self) -> None:
        """Closes all connections."""
        if self._transport is not None:
            await self._transport.aclose()

    def absolute(self, url: str) -> str:
        """`url`, with the server's origin prepended if it is a path."""
        return self.hosts.server_url + url if url.startswith("/") else url

    @asynccontextmanager
    async def send(
        self, request: Request, token: str = "", *, basic: tuple[str, str] | None = None
    ) -> AsyncIterator[Answer]:
        """The answer to `request`, as soon as its headers have arrived; the caller reads its body.

        The bearer `token`, or the app's id and secret in `basic`, is sent only to hosts that
        `AllowedHosts.may_see_token` allows. Other hosts get only GET requests. Without both there is no
        header ``Authorization``: an app without a secret names itself in the body.

        Raises:
            PlatformError: The URL may not be followed, or the host may not get such a request.
            TransportError: No complete headers arrived.
        """
        url = self.absolute(request.url)
        headers = {}
        if request.byte_range is not None:
            headers["Range"] = str(request.byte_range)
        if request.body is not None:
            headers["Content-Type"] = request.body.media_type
        if isinstance(request.body, MultipartBody):
            headers["Content-Length"] = str(request.body.size_bytes)
        if not self.hosts.may_see_token(url):
            if request.method != "GET":
                raise PlatformError(
                    f"rcfs does not send {request.operation} to {spoken_host(url)}: it must not see the token"
                )
            basic = None
        elif basic is None and token:
            headers["Authorization"] = f"Bearer {token}"
        async with self._answer(
            request.method,
            url,
            params=request.params,
            headers=headers,
            body=request.body,
            basic=basic,
        ) as answer:
            yield answer

    @asynccontextmanager
    async def open_socket(self, url: str) -> AsyncIterator[MessageStream]:
        """A WebSocket at `url`, which contains a token; closed with the block.

        Raises:
            PlatformError: The host may not see a token.
            TransportError: The WebSocket could not be opened.
        """
        if not self.hosts.may_open_socket(url):
            raise PlatformError(
                f"rcfs opens no WebSocket on {spoken_host(url)}, which must not see the token"
            )
        connector = Connector(self._proxies.proxy_for(url), self._trusting)
        with self._noticing():
            async with self._sockets(url, self._user_agent, connector) as socket:
                yield socket

    async def probe(self, origin: str, *, within_s: float = CONNECT_WITHIN_S) -> None:
        """Returns when the server at `origin` answers, whatever the answer.

        The request needs no login and counts for no usage plan group.

        Raises:
            TransportError: The server did not answer within `within_s` seconds.
        """
        with translated(urlsplit(origin).netloc), trio.fail_after(within_s):
            async with self._answer("GET", origin + _PROBE_PATH):
                pass

    @asynccontextmanager
    async def _answer(
        self,
        method: str,
        url: str,
        *,
        params: tuple[tuple[str, str], ...] = (),
        headers: Mapping[str, str] | None = None,
        body: Body | MultipartBody | None = None,
        basic: tuple[str, str] | None = None,
    ) -> AsyncIterator[Answer]:
        if not self.hosts.may_follow(url):
            raise PlatformError(
                f"rcfs does not follow a URL on {spoken_host(url)}: it must be https, without a login"
            )
        host = urlsplit(url).netloc
        transport = await self._opened()
        patience = trio.CancelScope()
        with self._noticing(), translated(host):
            upload = _Upload(body, patience) if isinstance(body, MultipartBody) else None
            content = body.content if isinstance(body, Body) else upload
            try:
                outgoing = httpx.Request(
                    method,
                    url,
                    params=params or None,
                    headers={**self._headers, **(headers or {})},
                    content=content,
                    extensions=_EXTENSIONS,
                )
            except httpx.InvalidURL as exc:
                raise PlatformError(f"the server sent an invalid URL: {exc}") from exc
            if upload is not None:
                outgoing.stream = upload  # httpx has put it into an async generator.
            if basic is not None:
                outgoing = next(httpx.BasicAuth(*basic).auth_flow(outgoing))
            sent_s = trio.current_time()
            with patience:
                patience.deadline = sent_s + HEADERS_WITHIN_S
                response = await transport.handle_async_request(outgoing)
            if patience.cancelled_caught:
                raise trio.TooSlowError
        response.request = outgoing
        answer = Answer(response, waited_s=trio.current_time() - sent_s)
        try:
            if answer.date_s is not None and self.hosts.may_see_token(url):
                self._server_boot_s = answer.date_s - self._boot_clock()
            yield answer
        finally:
            if not answer.ended:
                # The rest of an unwanted body is dropped with its connection; a dead peer may not delay this.
                with trio.move_on_after(1, shield=True), suppress(Exception):
                    await answer.drop()
                    await response.aclose()

    @contextmanager
    def _noticing(self) -> Iterator[None]:
        """Records that a server's certificate was refused, so that the CA certificates are read again."""
        try:
            yield
        except UntrustedError:
            self._distrusted = True
            raise


class _Upload(httpx.AsyncByteStream):
    """The bytes of a large body; each piece moves a deadline, as a body may take longer than an answer may.

    It is no async generator, which would have to be closed when a request ends in the middle of its body.
    """

    def __init__(self, body: MultipartBody, patience: trio.CancelScope) -> None:
        self._pieces = body.pieces()
        self._patience = patience

    def __aiter__(self) -> "_Upload":
        return self

    async def __anext__(self) -> bytes:
        piece = await trio.to_thread.run_sync(next, self._pieces, None)
        if piece is None:
            raise StopAsyncIteration
        self._patience.deadline = trio.current_time() + HEADERS_WITHIN_S
        return piece
