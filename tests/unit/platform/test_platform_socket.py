"""WebSockets to the simulator, and to peers that break the protocol."""

import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, NoReturn

import httpx
import pytest
import trio
from trio.testing import MockClock, lockstep_stream_pair
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, Request

from rcfs.errors import PlatformError, ServerError, TransportError, UnreachableError
from rcfs.model import COMPANY
from rcfs.platform import (
    AllowedHosts,
    Client,
    Frame,
    MessageStream,
    frame_from,
    heartbeat_frame,
    subscription_frame,
)
from rcfs.platform._connecting import Connector
from rcfs.platform._socket import Socket, open_socket
from rcfs.simulator import AccountSpec, SimulatorConfig
from tests.fakes.simulated import in_process, logged_in


async def no_tls() -> NoReturn:  # noqa: ASYNC124 - a connector awaits it
    raise AssertionError("nothing here is encrypted")


STRAIGHT = Connector(None, no_tls)
NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
NO_MESSAGES = SimulatorConfig(AccountSpec(messages=0))


async def socket_url(http: httpx.AsyncClient) -> str:
    token = (await http.post("/restapi/oauth/wstoken")).json()
    return f"{token['uri']}?access_token={token['ws_access_token']}"


async def heard(socket: MessageStream) -> Frame:
    return frame_from(await socket.receive() or "")


async def test_the_simulators_notifications() -> None:
    async with in_process(NO_MESSAGES) as (simulator, endpoints), logged_in(endpoints) as http:
        extension_id = simulator.account.extensions[0].id
        client = Client(AllowedHosts(endpoints.platform_url), user_agent="rcfs/test")
        async with client.open_socket(await socket_url(http)) as socket:
            first = await heard(socket)
            assert (first.kind, first.is_recovered) == ("ConnectionDetails", False)
            assert first.recovery
            await socket.send(subscription_frame("1", [extension_id], ""))
            made = await heard(socket)
            assert (made.kind, made.message_id, made.status) == ("ClientRequest", "1", 200)
            assert made.rate is not None
            assert (made.rate.group, made.rate.limit) == ("medium", 40)
            await socket.send(subscription_frame("2", [extension_id], made.subscription_id))
            assert (await heard(socket)).subscription_id == made.subscription_id
            await socket.send(heartbeat_frame("3"))
            assert (await heard(socket)).kind == "Heartbeat"
            await http.post("/simulator/arrive", json={"extension_id": extension_id, "type": "SMS"})
            assert (await heard(socket)).told_extension == extension_id
            token = http.headers["Authorization"].removeprefix("Bearer ")
            basic = (endpoints.client_id, endpoints.client_secret)
            await http.post("/restapi/oauth/revoke", data={"token": token}, auth=basic)
            error = await heard(socket)
            assert (error.kind, error.status) == ("Error", 401)
            assert "OAU-213" in str(error.refusal("notifications"))
            assert await socket.receive() is None
        await client.aclose()


async def served(handler: Callable[[trio.SocketStream], Awaitable[None]], nursery: trio.Nursery) -> str:
    """The URL of a server of one connection."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")

    async def serve() -> None:
        async with listener, await listener.accept() as stream:
            await handler(stream)

    nursery.start_soon(serve)
    return f"ws://127.0.0.1:{listener.socket.getsockname()[1]}/ws"


@pytest.mark.parametrize("reply", [NOT_FOUND, b"no HTTP\r\n\r\n", b""])
async def test_a_server_without_websockets(reply: bytes) -> None:
    async def handler(stream: trio.SocketStream) -> None:
        await stream.receive_some(4096)
        if reply:
            await stream.send_all(reply)

    async with trio.open_nursery() as nursery:
        url = await served(handler, nursery)
        with pytest.raises(TransportError, match=r"127\.0\.0\.1"):
            async with open_socket(url, "rcfs/test", STRAIGHT):
                pass


async def test_a_host_that_refuses_connections() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    with pytest.raises(UnreachableError, match=r"cannot connect to 127\.0\.0\.1"):
        async with open_socket(f"ws://127.0.0.1:{port}/ws", "rcfs/test", STRAIGHT):
            pass


async def test_a_connection_that_breaks() -> None:
    async with (
        in_process(NO_MESSAGES) as (_, endpoints),
        logged_in(endpoints) as http,
        open_socket(await socket_url(http), "rcfs/test", STRAIGHT) as socket,
    ):
        await socket.receive()
        await trio.aclose_forcefully(socket._stream)
        with pytest.raises(TransportError, match="broke"):
            await socket.send("late")
        with pytest.raises(TransportError, match="broke"):
            await socket.receive()


async def flooded(frames: Callable[[], Iterator[bytes]]) -> tuple[str, int]:
    """The error of a socket whose server sends `frames`, and the number of turns of another task
    meanwhile."""

    async def handler(stream: trio.SocketStream) -> None:
        server = WSConnection(ConnectionType.SERVER)
        server.receive_data(await stream.receive_some(4096))
        list(server.events())
        try:
            await stream.send_all(server.send(AcceptConnection()))
            for data in frames():
                await stream.send_all(data)
            await trio.sleep_forever()
        except trio.BrokenResourceError:
            pass  # the client had enough

    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async def receive_all() -> None:
        async with open_socket(url, "rcfs/test", STRAIGHT) as socket:
            nursery.start_soon(count_turns)
            for _ in range(2_001):
                if await socket.receive() is None:
                    raise TransportError("the connection was closed in an orderly way")

    async with trio.open_nursery() as nursery:
        url = await served(handler, nursery)
        with pytest.raises(PlatformError) as failure:
            await receive_all()
        nursery.cancel_scope.cancel()
    return str(failure.value), turns


EMPTY_FRAGMENT, LAST_FRAGMENT, PING, PONG, EMPTY_TEXT = (
    b"\x00\x00",
    b"\x80\x00",
    b"\x89\x00",
    b"\x8a\x00",
    b"\x81\x00",
)
BINARY = b"\x82\x7e\xff\xff" + bytes(65_535)


@pytest.mark.parametrize(
    ("frames", "words", "least"),
    [
        (lambda: iter([b"\x01\x00", EMPTY_FRAGMENT * 300_000]), "too long", 250),
        (lambda: iter([b"\x01\x00", *[b"\x00\x7e\x40\x00" + b"x" * 16_384] * 100]), "too long", 10),
        (lambda: iter([b"\x81\x7f" + (1 << 40).to_bytes(8), *[b"x" * 65_536] * 100]), "too long", 10),
        (lambda: iter([PING * 1_000_000]), "sent too much", 2000),
        (lambda: iter([PONG * 1_000_000]), "sent too much", 2000),
        (lambda: iter([EMPTY_TEXT * 1_000_000]), "sent too much", 2000),
        (lambda: iter([b"\x82\x00" * 1_000_000]), "sent too much", 2000),
        (lambda: iter([b"\x02\x00", EMPTY_FRAGMENT * 300_000]), "sent too much", 2000),
        (lambda: iter([BINARY] * 1_000), "sent too much", 50),
        (lambda: iter([b"\xc1\x05hello"]), "closed in an orderly way", 1),
        (lambda: iter([b"\x81\x02\xff\xff"]), "closed in an orderly way", 1),
        (lambda: iter([b"\x89\x7e\x01\x00" + bytes(256)]), "closed in an orderly way", 1),
    ],
    ids=["empty fragments", "large fragments", "endless frame", "pings", "pongs", "empty messages",
         "binary messages", "binary fragments", "binary bytes", "compressed", "no UTF-8", "long ping"],
)  # fmt: skip
async def test_a_flood_ends_the_connection_and_other_tasks_run_meanwhile(
    frames: Callable[[], Iterator[bytes]], words: str, least: int
) -> None:
    with trio.fail_after(30):
        text, turns = await flooded(frames)
    assert words in text
    assert turns >= least, "each event lets others run"


async def test_a_message_in_fragments_with_a_ping_between_them_is_whole() -> None:
    answered: list[bytes] = []

    async def handler(stream: trio.SocketStream) -> None:
        server = WSConnection(ConnectionType.SERVER)
        server.receive_data(await stream.receive_some(4096))
        list(server.events())
        await stream.send_all(server.send(AcceptConnection()))
        await stream.send_all(b"\x01\x02[1" + PING + b"\x00\x00" * 200 + b"\x80\x01]")
        answered.append(await stream.receive_some(2))

    async with (
        trio.open_nursery() as nursery,
        open_socket(await served(handler, nursery), "rcfs/test", STRAIGHT) as socket,
    ):
        assert await socket.receive() == "[1]"
    assert answered == [b"\x8a\x80"], "a pong, masked as those of clients are"


async def test_a_server_that_does_not_read_is_noticed(autojump_clock: MockClock) -> None:
    one, _other = lockstep_stream_pair()
    socket = Socket(one, "127.0.0.1")
    socket._protocol = open_protocol()
    with pytest.raises(TransportError, match="no answer in time"):
        await socket.send("hello?")


def open_protocol() -> WSConnection:
    """The client's side of an open WebSocket."""
    client, server = WSConnection(ConnectionType.CLIENT), WSConnection(ConnectionType.SERVER)
    server.receive_data(client.send(Request(host="a", target="/")))
    list(server.events())
    client.receive_data(server.send(AcceptConnection()))
    list(client.events())
    return client


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("wss://platform.ringcentral.com/ws?a=b", True),
        ("wss://ws-api.ringcentral.com:443/ws", True),
        ("WSS://ws-api.ringcentral.com/ws", True),
        ("ws://platform.ringcentral.com/ws", False),
        ("wss://ringcentral.com.example/ws", False),
        ("https://platform.ringcentral.com/ws", False),
        ("//platform.ringcentral.com/ws", False),
        ("", False),
    ],
)
async def test_only_trusted_hosts_get_a_websocket_with_a_token(url: str, allowed: bool) -> None:
    hosts = AllowedHosts("https://platform.ringcentral.com")
    assert hosts.may_open_socket(url) == allowed
    if not allowed:
        client = Client(hosts, user_agent="rcfs/test")
        with pytest.raises(PlatformError, match="opens no WebSocket"):
            async with client.open_socket(url):
                pass
        await client.aclose()


async def test_the_simulators_notifications_of_calls() -> None:
    async with in_process(NO_MESSAGES) as (simulator, endpoints), logged_in(endpoints) as http:
        first, second = (each.id for each in simulator.account.extensions[:2])
        client = Client(AllowedHosts(endpoints.platform_url), user_agent="rcfs/test")
        async with client.open_socket(await socket_url(http)) as socket:
            await heard(socket)
            await socket.send(subscription_frame("1", [first], "", [COMPANY]))
            made = await heard(socket)
            assert made.status == 200
            await http.post("/simulator/call", json={"extension_id": second, "direction": "Inbound"})
            told = await heard(socket)
            assert (told.told_call, told.told_extension) == (COMPANY, None)
            await socket.send(subscription_frame("2", [], made.subscription_id, [second]))
            assert (await heard(socket)).status == 200, "and nothing else of the call before its end"
            await http.post("/simulator/call", json={"extension_id": second})
            assert (await heard(socket)).told_call == second


@pytest.mark.parametrize(
    ("event", "owner"),
    [
        ("/restapi/v1.0/account/400123/telephony/sessions", COMPANY),
        ("/restapi/v1.0/account/~/telephony/sessions?statusCode=Disconnected", COMPANY),
        ("/restapi/v1.0/account/400123/extension/62/telephony/sessions?x=1", 62),
        ("/restapi/v1.0/account/400123/extension/62/message-store", None),
        ("/restapi/v1.0/account/400123/extension/x/telephony/sessions", None),
        ("/restapi/v1.0/account/400123/telephony/sessionsx", None),
        (f"/account/{'9' * 99}/telephony/sessions", None),
        (f"/account/1/extension/{'9' * 99}/telephony/sessions", None),
        ({"x": 1}, None),
        (None, None),
    ],
)
def test_the_owner_of_an_ended_call(event: object, owner: int | None) -> None:
    frame = frame_from(json.dumps([{"type": "ServerNotification"}, {"event": event}]))
    assert frame.told_call == owner


def test_a_simulator_on_loopback_has_its_websockets_there() -> None:
    hosts = AllowedHosts("http://127.0.0.1:8080")
    assert hosts.may_open_socket("ws://127.0.0.1:8080/ws")
    assert not hosts.may_open_socket("ws://192.0.2.1/ws")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "[1]", "null", '["x", {}]'])
def test_a_text_that_is_not_a_frame_is_an_error(text: str) -> None:
    with pytest.raises(ServerError):
        frame_from(text)


def test_odd_parts_of_a_frame_have_defaults() -> None:
    odd: dict[str, Any] = {"type": 1, "messageId": None, "status": "200", "headers": [], "wsc": "x"}
    frame = frame_from(json.dumps([odd, [], "more"]))
    assert (frame.kind, frame.message_id, frame.status, frame.recovery) == ("", "", 0, "")
    assert (frame.body, frame.told_extension, frame.rate, frame.subscription_id) == ({}, None, None, "")
