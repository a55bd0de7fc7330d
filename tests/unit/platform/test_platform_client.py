"""The client over real sockets."""

import socket
import ssl
import threading

import pytest
import trio

from rcfs.errors import UnreachableError
from rcfs.platform import AllowedHosts, Client, read_account
from rcfs.platform import _client as client_module


async def test_a_host_that_drops_all_packets_is_soon_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "CONNECT_WITHIN_S", 0.3)
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        # A queue that is full drops what comes, as a firewall does.
        for waiting in (first, second):
            waiting.settimeout(0)
            waiting.connect_ex(listener.getsockname())
        port = listener.getsockname()[1]
        client = Client(AllowedHosts(f"http://127.0.0.1:{port}"), user_agent="test")
        with pytest.raises(UnreachableError, match=rf"in time from 127\.0\.0\.1:{port}"):
            async with client.send(read_account(), "token"):
                pass
        await client.aclose()


async def test_certificates_are_read_once_and_for_the_first_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not before a mount is ready, and not again for every proxy."""
    read: list[int] = []
    context = ssl.create_default_context()

    def create() -> ssl.SSLContext:
        read.append(threading.get_ident())
        return context

    monkeypatch.setattr(client_module, "trusting_context", create)
    client = Client(AllowedHosts("https://127.0.0.1:1"), user_agent="test")
    assert read == []

    async def ask() -> None:
        with pytest.raises(UnreachableError):
            await client.probe("https://127.0.0.1:1")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        nursery.start_soon(ask)
    assert len(read) == 1
    assert read != [threading.get_ident()], "other tasks go on"
    await client.aclose()
