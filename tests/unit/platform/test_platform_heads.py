"""Servers and proxies that send a few interim answers, or endless ones, over real connections."""

from pathlib import Path

import httpcore
import pytest
import trio

from rcfs.errors import ProxyError, TransportError
from rcfs.model import UsageGroup
from rcfs.platform import AllowedHosts, Client, Request, proxies_from
from rcfs.platform._heads import BoundedStream
from tests.fakes import secure

MOST_HEAD_BYTES = 128 << 10
"""Most bytes from a request to the end of the headers of its answer."""
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"
EARLY = b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n"
BODY = bytes(MOST_HEAD_BYTES + 1)
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY
FLOOD = INTERIM * (2 * MOST_HEAD_BYTES // len(INTERIM))


class Server:
    """Answers each request with `data`, over connections that stay open."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.connections = 0

    async def handle(self, stream: trio.abc.Stream) -> None:
        self.connections += 1
        try:
            while await stream.receive_some(4096):
                await stream.send_all(self.data)
        except trio.BrokenResourceError:
            pass  # The client has closed the connection.


async def answers(client: Client) -> bytes:
    async with client.send(Request("x", UsageGroup("light"), "/x"), "token") as answer:
        assert answer.status == 200
        return await answer.body()


class Asked(httpcore.AsyncNetworkStream):
    """A connection that notes how much is asked of it."""

    def __init__(self) -> None:
        self.most_bytes: list[int] = []

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        self.most_bytes.append(max_bytes)
        return b"x"


async def test_a_body_arrives_in_larger_pieces_than_a_head() -> None:
    asked = Asked()
    stream = BoundedStream(asked)
    await stream.read(64 << 10)
    stream.head_is_over()
    await stream.read(64 << 10)
    await stream.read(1 << 20)
    assert asked.most_bytes == [4 << 10, 256 << 10, 1 << 20]


async def test_a_flood_of_interim_answers_ends_the_request() -> None:
    server = Server(FLOOD + ANSWER)
    async with secure.listening(server.handle) as port:
        client = Client(AllowedHosts(f"http://127.0.0.1:{port}"), user_agent="test")
        with pytest.raises(TransportError, match="headers do not end") as caught:
            await answers(client)
        assert caught.value.retryable
        server.data = ANSWER
        assert await answers(client) == BODY
        assert server.connections == 2, "the rest of the flood is not the answer to the next request"
        await client.aclose()


async def test_a_few_interim_answers_are_ignored() -> None:
    server = Server((INTERIM + EARLY) * 500 + ANSWER)
    assert len(server.data) - len(ANSWER) > MOST_HEAD_BYTES // 4
    async with secure.listening(server.handle) as port:
        client = Client(AllowedHosts(f"http://127.0.0.1:{port}"), user_agent="test")
        for _request in range(4):
            assert await answers(client) == BODY
        assert server.connections == 1, "each request has the whole bound"
        await client.aclose()


async def test_a_flood_of_interim_answers_over_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = secure.Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    server = Server(FLOOD + ANSWER)

    async def handle(plain: trio.SocketStream) -> None:
        await server.handle(trio.SSLStream(plain, authority.context("localhost"), server_side=True))

    async with secure.listening(handle) as port:
        client = Client(AllowedHosts(f"https://localhost:{port}"), user_agent="test")
        with pytest.raises(TransportError, match="headers do not end"):
            await answers(client)
        await client.aclose()


async def test_a_flood_of_interim_answers_from_a_proxy() -> None:
    async with secure.proxy() as proxy:
        proxy.garbage = FLOOD + b"HTTP/1.1 200 OK\r\n\r\n"
        proxies = proxies_from({"HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}"})
        client = Client(AllowedHosts("https://server.example"), user_agent="test", proxies=proxies)
        with pytest.raises(ProxyError, match="does not answer as a proxy"):
            await answers(client)
        await client.aclose()
