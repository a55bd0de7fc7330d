"""Proxies in the environment, and real proxies on loopback in front of a server with TLS."""

import socket
import ssl
import warnings
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
import trio

from rcfs.errors import ConfigError, ProxyError, UnreachableError, UntrustedError
from rcfs.platform import AllowedHosts, Client, Proxies, proxies_from, read_account
from rcfs.platform._connecting import Connector
from rcfs.platform._trust import trusting_context
from tests.fakes import secure

Way = Callable[..., Awaitable[None]]
PLATFORM = "https://platform.ringcentral.com"
PASSWORD = "s3cr3t-of-the-proxy"


def way(environ: Mapping[str, str], url: str = PLATFORM) -> str:
    proxy = proxies_from(environ).proxy_for(url)
    return "" if proxy is None else f"{proxy.scheme} {proxy.host} {proxy.port} {proxy.variable}"


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, ""),
        ({"HTTPS_PROXY": "http://proxy.example:3128"}, "http proxy.example 3128 HTTPS_PROXY"),
        ({"https_proxy": "http://proxy.example:3128/"}, "http proxy.example 3128 https_proxy"),
        ({"HTTPS_PROXY": "http://big", "https_proxy": "http://small"}, "http small 80 https_proxy"),
        ({"HTTPS_PROXY": "http://big", "https_proxy": ""}, ""),
        ({"HTTPS_PROXY": "proxy.example:3128"}, "http proxy.example 3128 HTTPS_PROXY"),
        ({"HTTPS_PROXY": "https://proxy.example"}, "https proxy.example 443 HTTPS_PROXY"),
        ({"HTTPS_PROXY": "http://[2001:db8::1]:3128"}, "http 2001:db8::1 3128 HTTPS_PROXY"),
        ({"ALL_PROXY": "socks5://127.0.0.1:9050"}, "socks5 127.0.0.1 9050 ALL_PROXY"),
        ({"all_proxy": "socks5h://127.0.0.1"}, "socks5h 127.0.0.1 1080 all_proxy"),
        ({"ALL_PROXY": "socks://127.0.0.1:1080/"}, "socks5h 127.0.0.1 1080 ALL_PROXY"),
        ({"ALL_PROXY": "ftp://no", "HTTPS_PROXY": "http://yes"}, "http yes 80 HTTPS_PROXY"),
        ({"HTTP_PROXY": "ftp://never-used"}, ""),
    ],
)
def test_the_proxy_for_the_platform(environ: Mapping[str, str], expected: str) -> None:
    assert way(environ) == expected
    assert not way(environ, "http://127.0.0.1:8080")


@pytest.mark.parametrize(
    "value",
    [
        f"ftp://jane:{PASSWORD}@proxy:21",
        f"socks4://jane:{PASSWORD}@proxy",
        f"http://jane:{PASSWORD}@",
        f"http://jane:{PASSWORD}@proxy:port",
        f"http://jane:{PASSWORD}@proxy:99999",
        f"http://jane:{PASSWORD}@[::1",
        f"http://jane:12/{PASSWORD}@proxy:3128",
        f"http://jane:{PASSWORD}@pro xy:3128",
        f"socks5://jane:{PASSWORD * 20}@proxy",
        f"{PASSWORD}://proxy",
        "://",
        "http://",
    ],
)
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "all_proxy"])
def test_an_invalid_proxy_is_an_error_that_names_the_variable_and_no_password(
    value: str, variable: str
) -> None:
    with pytest.raises(ConfigError, match=f"^{variable}: ") as caught:
        proxies_from({variable: value})
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize(
    ("no_proxy", "host", "excepted"),
    [
        ("*", "platform.ringcentral.com", True),
        ("ringcentral.com", "platform.ringcentral.com", True),
        (".ringcentral.com", "platform.ringcentral.com", True),
        ("*.ringcentral.com", "platform.ringcentral.com", True),
        ("ringcentral.com", "ringcentral.com", True),
        ("central.com", "platform.ringcentral.com", False),
        ("a.example, ringcentral.com", "platform.ringcentral.com", True),
        ("a.example ringcentral.com", "platform.ringcentral.com", True),
        ("RingCentral.COM", "platform.ringcentral.com", True),
        ("https://ringcentral.com", "platform.ringcentral.com", True),
        ("ringcentral.com:443", "platform.ringcentral.com", True),
        ("ringcentral.com:8443", "platform.ringcentral.com", False),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("fe80::/10", "[fe80::1]", True),
        ("fe80::/10", "platform.ringcentral.com", False),
        ("[::1]", "[::1]", True),
        ("::1", "[::1]", True),
        ("[::1]:443", "[::1]", True),
        ("[::1]:444", "[::1]", False),
        ("localhost,127.0.0.0/8,::1", "platform.ringcentral.com", False),
        ("", "platform.ringcentral.com", False),
        (",, ,", "platform.ringcentral.com", False),
    ],
)
@pytest.mark.parametrize("variable", ["no_proxy", "NO_PROXY"])
def test_hosts_that_are_excepted(variable: str, no_proxy: str, host: str, excepted: bool) -> None:
    environ = {"HTTPS_PROXY": "http://proxy", variable: no_proxy}
    assert (way(environ, f"https://{host}") == "") == excepted
    assert proxies_from(environ).oddities == ()


def test_an_invalid_exception_is_reported_and_ignored() -> None:
    told = proxies_from({"HTTPS_PROXY": "http://proxy", "no_proxy": "10.0.0.0/99,[::1,ringcentral.com"})
    assert [line.split(": ")[1].split()[0] for line in told.oddities] == ["'10.0.0.0/99'", "'[::1'"]
    assert told.proxy_for(PLATFORM) is None


def test_a_proxy_is_shown_without_its_password() -> None:
    proxy = proxies_from({"ALL_PROXY": f"socks5://jane:{PASSWORD}@proxy"}).proxy
    assert str(proxy) == "socks5://jane:…@proxy:1080 (ALL_PROXY)"
    assert PASSWORD not in repr(proxy)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> secure.Authority:
    return secure.Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, authority: secure.Authority) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)


def proxied(value: str) -> Proxies:
    return proxies_from({"HTTPS_PROXY": value})


async def asked(proxies: Proxies, port: int, host: str = "server.example") -> None:
    """Sends a request with a token, over httpx."""
    origin = f"https://{host}:{port}"
    client = Client(AllowedHosts(origin), user_agent="test", proxies=proxies)
    try:
        async with client.send(read_account(), "token") as answer:
            assert answer.status == 200
    finally:
        await client.aclose()


async def connected(proxies: Proxies, port: int, host: str = "server.example") -> None:
    """Connects as for a WebSocket."""

    async def trusting() -> ssl.SSLContext:  # noqa: ASYNC124 - a connector awaits it
        return trusting_context()

    connector = Connector(proxies.proxy_for(f"wss://{host}:{port}"), trusting)
    stream = await connector.connect(host, port, secure=True)
    async with stream:
        await stream.send_all(b"GET / HTTP/1.1\r\n\r\n")
        assert (await stream.receive_some(12)).startswith(b"HTTP/1.1 200")


WAYS = pytest.mark.parametrize("way_of", [asked, connected])


@WAYS
@pytest.mark.parametrize(
    ("kind", "scheme"), [("http", "http"), ("http", "https"), ("socks", "socks5"), ("socks", "socks")]
)
@pytest.mark.parametrize("login", [None, ("jane", "p:w/ü")])
async def test_through_a_proxy(
    authority: secure.Authority, way_of: Way, kind: str, scheme: str, login: tuple[str, str] | None
) -> None:
    tls = authority.context("127.0.0.1") if scheme == "https" else None
    async with (
        secure.tls_front(authority.context("server.example")) as port,
        secure.proxy(kind, tls) as proxy,
    ):
        proxy.login = login
        user = "jane:p%3Aw%2F%C3%BC@" if login else ""
        await way_of(proxied(f"{scheme}://{user}127.0.0.1:{proxy.port}"), port)
        # The name, and not an address that this machine has found for it.
        assert proxy.asked == [f"server.example:{port}"]


@WAYS
@pytest.mark.parametrize("kind", ["http", "socks"])
async def test_refusals_of_a_proxy(authority: secure.Authority, way_of: Way, kind: str) -> None:
    async with secure.tls_front(authority.context("server.example")) as port, secure.proxy(kind) as proxy:
        url = f"{'socks5' if kind == 'socks' else 'http'}://127.0.0.1:{proxy.port}"
        proxy.login = ("jane", PASSWORD)
        with pytest.raises(ProxyError, match=r"requires a login .*write user and password into HTTPS_PROXY"):
            await way_of(proxied(url), port)
        with pytest.raises(ProxyError, match="refuses the login") as caught:
            await way_of(proxied(url.replace("//", f"//jane:not-{PASSWORD}@")), port)
        assert PASSWORD not in str(caught.value)
        proxy.login, proxy.refuses = None, 2 if kind == "socks" else 403
        with pytest.raises(ProxyError, match=r"does not let rcfs through to server\.example.*NO_PROXY"):
            await way_of(proxied(url), port)
        proxy.refuses = 5 if kind == "socks" else 502
        with pytest.raises(UnreachableError, match=r"cannot connect to server\.example") as unreachable:
            await way_of(proxied(url), port)
        assert not unreachable.value.lasting
        for garbage in (b"\xff" * 12, b"SSH-2.0-OpenSSH\r\n\r\n", b"\x05", b"HTTP/1.1 999"):
            proxy.garbage = garbage
            with pytest.raises(UnreachableError, match=r"127\.0\.0\.1|server\.example"):
                await way_of(proxied(url), port)


@WAYS
async def test_an_unreachable_proxy(way_of: Way) -> None:
    for scheme in ("http", "https", "socks5"):
        with pytest.raises(UnreachableError, match=r"through the proxy .*127\.0\.0\.1:1 \(HTTPS_PROXY\)"):
            await way_of(proxied(f"{scheme}://127.0.0.1:1"), 443)


@WAYS
async def test_an_untrusted_server_gets_no_token(
    authority: secure.Authority, way_of: Way, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hour = timedelta(hours=1)
    stranger = secure.Authority(tmp_path)
    for context, said in (
        (stranger.context("localhost"), r"is not signed by an authority .*add its CA certificate"),
        (authority.context("server.example"), r"is for another host .*localhost"),
        (authority.context("localhost", begins=-2 * hour, ends=-hour), r"has expired, or this machine"),
        (authority.context("localhost", begins=hour, ends=2 * hour), r"is not yet valid, or this"),
    ):
        async with secure.tls_front(context) as port:
            with pytest.raises(UntrustedError, match=said):
                await way_of(Proxies(), port, "localhost")
    plain: list[bytes] = []

    async def speak_http(stream: trio.SocketStream) -> None:
        plain.append(bytes(await stream.receive_some(4096)))
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with secure.listening(speak_http) as port:
        with pytest.raises(UntrustedError, match="does not speak TLS"):
            await way_of(Proxies(), port, "localhost")
    assert b"token" not in plain[0]


@WAYS
async def test_a_tls_version_that_is_too_old(authority: secure.Authority, way_of: Way) -> None:
    context = authority.context("localhost")
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1

    def refuse(listener: socket.socket) -> None:
        connection, _address = listener.accept()
        # Unlike trio's, this one says in an alert what it does not like.
        with connection, suppress(OSError), context.wrap_socket(connection, server_side=True):
            pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, refuse, listener)
            with pytest.raises(UntrustedError, match=r"set up TLS 1\.2"):
                await way_of(Proxies(), listener.getsockname()[1], "localhost")


async def test_a_certificate_that_is_added_is_used(
    authority: secure.Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a restart, after an administrator added the company's CA."""
    stranger = secure.Authority(tmp_path)
    file = tmp_path / "trusted.pem"
    file.write_bytes(authority.file.read_bytes())
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    async with secure.tls_front(stranger.context("localhost")) as port:
        client = Client(AllowedHosts(f"https://localhost:{port}"), user_agent="test")
        with pytest.raises(UntrustedError):
            await client.probe(f"https://localhost:{port}")
        file.write_bytes(authority.file.read_bytes() + stranger.file.read_bytes())
        await client.probe(f"https://localhost:{port}")
        await client.aclose()


@pytest.mark.parametrize(
    ("variable", "content", "said"),
    [
        ("SSL_CERT_FILE", None, "SSL_CERT_FILE names cannot be read: No such file"),
        ("SSL_CERT_FILE", b"", "SSL_CERT_FILE names cannot be read: it holds no certificate"),
        ("SSL_CERT_FILE", b"no certificate\n", "SSL_CERT_FILE names cannot be read: it holds no certificate"),
        ("SSL_CERT_DIR", None, "SSL_CERT_DIR names cannot be read: No such file"),
        ("SSL_CERT_DIR", b"", "SSL_CERT_DIR names cannot be read: Not a directory"),
    ],
)
async def test_certificates_that_cannot_be_read(
    variable: str, content: bytes | None, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    monkeypatch.setenv(variable, str(tmp_path / "x"))
    if content is not None:
        (tmp_path / "x").write_bytes(content)
    client = Client(AllowedHosts("https://localhost:1"), user_agent="test")
    with pytest.raises(UntrustedError, match=said):
        await client.probe("https://localhost:1")
    await client.aclose()
