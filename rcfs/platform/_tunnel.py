"""Opens a tunnel through a proxy: HTTP CONNECT, or SOCKS 5.

httpx can do both, but it expects each reply in one piece and valid, and does not tell failures apart. Here
each has its own message: the proxy requires a login, refuses the host, cannot reach it, or is not a proxy.
"""

import base64
from collections.abc import Awaitable, Callable
from typing import NamedTuple, NoReturn

import attrs
import h11
from socksio import socks5
from socksio.exceptions import SOCKSError

from rcfs.errors import ProxyError, UnreachableError
from rcfs.platform._proxies import Proxy

_PIECE_BYTES = 4096
"""Most bytes to receive from the proxy at a time: more than a usual answer has."""
_MOST_ANSWER_BYTES = 64 << 10
"""Most bytes of a proxy's answer to CONNECT, interim answers included: real ones have a few hundred."""
_GATEWAY_FAILED = (500, 502, 503, 504)
_SOCKS_RULES = 2
_SOCKS_REPLIES = {
    1: "general failure",
    _SOCKS_RULES: "not allowed by its rules",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
    6: "TTL expired",
    7: "command not supported",
    8: "address type not supported",
}
"""The meaning of each reply code except 0, success. Source: RFC 1928, 6."""


@attrs.frozen
class Tunnel:
    """A tunnel to a host, over an open connection to a proxy."""

    proxy: Proxy
    host: str
    """The host, which the proxy resolves."""
    port: int
    send: Callable[[bytes], Awaitable[None]]
    """Sends all of the data to the proxy."""
    receive: Callable[[int], Awaitable[bytes]]
    """Returns at most that number of bytes from the proxy; empty at the end."""

    async def open(self) -> None:
        """Returns when the connection leads to the host.

        Raises:
            ProxyError: The proxy refuses, or is not a proxy.
            UnreachableError: The proxy cannot connect to the host.
        """
        try:
            await (self._socks() if self.proxy.is_socks else self._connect())
        except (h11.ProtocolError, SOCKSError, AssertionError, ValueError) as exc:
            # socksio raises AssertionError for replies that it does not expect.
            raise ProxyError(
                f"{self.proxy} does not answer as a proxy; check its address and protocol"
            ) from exc

    async def _connect(self) -> None:
        """Opens the tunnel through an HTTP proxy. Source: RFC 9110, 9.3.6."""
        target = f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        headers = [("Host", target)]
        if self.proxy.login is not None:
            basic = base64.b64encode(":".join(self.proxy.login).encode()).decode()
            headers.append(("Proxy-Authorization", f"Basic {basic}"))
        protocol = h11.Connection(h11.CLIENT)
        request = h11.Request(method="CONNECT", target=target, headers=headers)
        await self.send(protocol.send(request) or b"")
        received = 0
        while not isinstance(event := protocol.next_event(), h11.Response):
            if event is h11.NEED_DATA:
                if received > _MOST_ANSWER_BYTES:
                    raise ValueError("its answer does not end")
                data = await self.receive(_PIECE_BYTES)
                received += len(data)
                protocol.receive_data(data)
            elif not isinstance(event, h11.InformationalResponse):
                raise ValueError("it said nothing")
        status = event.status_code
        if 200 <= status < 300:
            return
        if status == 407:
            self._no_login(f"HTTP {status}")
        if status in _GATEWAY_FAILED:
            self._unreachable(f"HTTP {status}")
        self._refused(f"HTTP {status}")

    async def _socks(self) -> None:
        """Opens the tunnel through a SOCKS 5 proxy. Source: RFC 1928, RFC 1929."""
        protocol = socks5.SOCKS5Connection()

        async def answer(request: NamedTuple, length: Callable[[bytes], int]) -> NamedTuple:
            """The answer to `request`; `length` gives the size of an answer by its first bytes."""
            protocol.send(request)
            await self.send(bytes(protocol.data_to_send()))
            data = b""
            while len(data) < (wanted := length(data)):
                piece = await self.receive(wanted - len(data))
                if not piece:
                    raise ValueError("it has closed the connection")
                data += piece
            return protocol.receive_data(data)

        methods = socks5.SOCKS5AuthMethod
        login = self.proxy.login
        # Offering a login to a proxy that requires none is harmless.
        offered = [methods.NO_AUTH_REQUIRED] + ([methods.USERNAME_PASSWORD] if login is not None else [])
        chosen = await answer(socks5.SOCKS5AuthMethodsRequest(offered), lambda _data: 2)
        assert isinstance(chosen, socks5.SOCKS5AuthReply)  # noqa: S101 - `open` knows what it means
        if chosen.method not in offered:
            self._no_login("SOCKS")
        if chosen.method == methods.USERNAME_PASSWORD and login is not None:
            user, password = (part.encode() for part in login)
            judged = await answer(socks5.SOCKS5UsernamePasswordRequest(user, password), lambda _data: 2)
            if not (isinstance(judged, socks5.SOCKS5UsernamePasswordReply) and judged.success):
                self._no_login("SOCKS")
        target = (self.host, self.port)
        command = socks5.SOCKS5CommandRequest.from_address(socks5.SOCKS5Command.CONNECT, target)
        reply = await answer(command, _reply_length)
        assert isinstance(reply, socks5.SOCKS5Reply)  # noqa: S101 - the same
        code = reply.reply_code[0]
        if code == _SOCKS_RULES:
            self._refused(_SOCKS_REPLIES[code])
        if code:
            self._unreachable(_SOCKS_REPLIES.get(code, f"code {code}"))

    def _no_login(self, reason: str) -> NoReturn:
        proxy = self.proxy
        what = "requires a login" if proxy.login is None else "refuses the login"
        raise ProxyError(
            f"the proxy {proxy} {what} ({reason}); write user and password into {proxy.variable}:"
            f" {proxy.scheme}://USER:PASSWORD@{proxy.address}"
        )

    def _refused(self, reason: str) -> NoReturn:
        raise ProxyError(
            f"the proxy {self.proxy} does not let rcfs through to {self.host} ({reason}); ask its"
            " administrator, or name the host in NO_PROXY if rcfs can reach it without the proxy"
        )

    def _unreachable(self, reason: str) -> NoReturn:
        raise UnreachableError(f"the proxy {self.proxy} cannot connect to {self.host} ({reason})")


def _reply_length(data: bytes) -> int:
    """Size in bytes of the reply that begins with `data`: four bytes, an address, a port."""
    if len(data) < 5:
        return 5
    return {1: 10, 3: 7 + data[4], 4: 22}.get(data[3], 10)
