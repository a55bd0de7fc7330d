"""A network for tests: certificates of a private CA, TLS in front of a server, and a real proxy.

`tls_front` makes an https origin of a simulator on http. The proxy resolves every name to loopback, so a
server can have any name, and a client reaches it only through the proxy.
"""

import base64
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import attrs
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_HOUR = timedelta(hours=1)


class Authority:
    """A CA, which issues certificates for servers."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        # Each CA has another name: among equal names OpenSSL would try only one.
        common_name = f"CA {x509.random_serial_number():x}"
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        root = self._signed(self._name, self._key, x509.BasicConstraints(ca=True, path_length=None))
        self.file = folder / "ca.pem"
        """Its certificate, for SSL_CERT_FILE."""
        self.file.write_bytes(root.public_bytes(serialization.Encoding.PEM))

    def context(self, *hosts: str, begins: timedelta = -_HOUR, ends: timedelta = _HOUR) -> ssl.SSLContext:
        """The context of a server with `chain`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain(*hosts, begins=begins, ends=ends))
        return context

    def chain(self, *hosts: str, begins: timedelta = -_HOUR, ends: timedelta = _HOUR) -> Path:
        """A file with the key and the certificate of a server; valid from now + `begins` to now + `ends`."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([_general(host) for host in hosts])
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")])
        certificate = self._signed(name, key, names, begins, ends)
        chain = self._folder / f"{certificate.serial_number:x}.pem"
        chain.write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return chain

    def _signed(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        extension: x509.ExtensionType,
        begins: timedelta = -_HOUR,
        ends: timedelta = _HOUR,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + begins)
            .not_valid_after(now + ends)
            .add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
            .sign(self._key, hashes.SHA256())
        )


def _general(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


@asynccontextmanager
async def tls_front(tls: ssl.SSLContext, port: int = 0) -> AsyncIterator[int]:
    """The port on 127.0.0.1 of a TLS server that forwards the decrypted bytes to `port`.

    With 0 for `port`, it answers every request with 200.
    """

    async def handle(plain: trio.SocketStream) -> None:
        stream = trio.SSLStream(plain, tls, server_side=True, https_compatible=True)
        with suppress(trio.BrokenResourceError, OSError):
            if port:
                await _join(stream, await trio.open_tcp_stream("127.0.0.1", port))
            else:
                await stream.receive_some(65536)
                await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
                await stream.aclose()

    async with listening(handle) as own:
        yield own


@attrs.define
class Proxying:
    """A running proxy: HTTP CONNECT or SOCKS 5, on 127.0.0.1."""

    port: int
    login: tuple[str, str] | None = None
    """Required user and password; None for no login."""
    refuses: int = 0
    """HTTP status or SOCKS code with which it refuses every connection; 0 for no refusal."""
    garbage: bytes = b""
    """Bytes that it sends instead of an answer."""
    asked: list[str] = attrs.field(factory=list)
    """The targets that clients asked for."""


@asynccontextmanager
async def proxy(kind: str = "http", tls: ssl.SSLContext | None = None) -> AsyncIterator[Proxying]:
    """A proxy of that kind, ``http`` or ``socks``; with `tls`, clients reach it over TLS."""
    told = Proxying(0)

    async def handle(plain: trio.SocketStream) -> None:
        stream: trio.abc.Stream = plain
        if tls is not None:
            stream = trio.SSLStream(plain, tls, server_side=True, https_compatible=True)
        with suppress(trio.BrokenResourceError, OSError, IndexError):
            await (_socks if kind == "socks" else _tunnel)(stream, told)
        await trio.aclose_forcefully(stream)

    async with listening(handle) as port:
        told.port = port
        yield told


@asynccontextmanager
async def listening(handle: Callable[[trio.SocketStream], Awaitable[None]]) -> AsyncIterator[int]:
    """The port on 127.0.0.1 where `handle` serves each connection."""
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, host="127.0.0.1"), handle, 0)
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()


async def _tunnel(stream: trio.abc.Stream, told: Proxying) -> None:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += await stream.receive_some(1)
    line, *headers = head.decode().split("\r\n")
    target = line.split()[1]
    told.asked.append(target)
    if told.garbage:
        await stream.send_all(told.garbage)
        return
    status = told.refuses or 200
    if told.login is not None:
        basic = base64.b64encode(":".join(told.login).encode()).decode()
        status = status if f"Proxy-Authorization: Basic {basic}" in headers else 407
    # Byte by byte, because an answer may arrive in pieces.
    for byte in b"HTTP/1.1 %d Because\r\nX-Proxy: yes\r\n\r\n" % status:
        await stream.send_all(bytes([byte]))
    if status == 200:
        await _onward(stream, target)


async def _socks(stream: trio.abc.Stream, told: Proxying) -> None:
    async def take(count: int) -> bytes:
        data = b""
        while len(data) < count:
            data += await stream.receive_some(count - len(data)) or _ended()
        return data

    _version, count = await take(2)
    methods = await take(count)
    if told.garbage:
        await stream.send_all(told.garbage)
        return
    method = 2 if told.login is not None else 0
    await stream.send_all(bytes([5, method if method in methods else 255]))
    if method not in methods:
        return
    if told.login is not None:
        (_one, length) = await take(2)
        user = (await take(length)).decode()
        (length,) = await take(1)
        good = (user, (await take(length)).decode()) == told.login
        await stream.send_all(bytes([1, 0 if good else 1]))
        if not good:
            return
    _version, _command, _reserved, kind = await take(4)
    if kind == 3:
        (length,) = await take(1)
        host = (await take(length)).decode()
    else:
        host = str(ipaddress.ip_address(await take(4 if kind == 1 else 16)))
    port = int.from_bytes(await take(2))
    told.asked.append(f"{host}:{port}")
    for byte in bytes([5, told.refuses, 0, 3, 4]) + b"here" + bytes(2):
        await stream.send_all(bytes([byte]))
    if not told.refuses:
        await _onward(stream, f"{host}:{port}")


def _ended() -> bytes:
    raise trio.BrokenResourceError("the client has gone")


async def _onward(stream: trio.abc.Stream, target: str) -> None:
    """Connect to loopback for every name, including those of real servers."""
    port = int(target.rpartition(":")[2])
    await _join(stream, await trio.open_tcp_stream("127.0.0.1", port))


async def _join(first: trio.abc.Stream, second: trio.abc.Stream) -> None:
    async def copy(source: trio.abc.Stream, sink: trio.abc.Stream) -> None:
        # Within the nursery, which would wrap the exceptions of either side in a group.
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            while data := await source.receive_some(65536):
                await sink.send_all(data)
        nursery.cancel_scope.cancel()

    async with second, trio.open_nursery() as nursery:
        nursery.start_soon(copy, first, second)
        nursery.start_soon(copy, second, first)
