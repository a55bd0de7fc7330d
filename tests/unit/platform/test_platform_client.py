"""The client over real sockets."""

import socket

import pytest

from rcfs.errors import UnreachableError
from rcfs.platform import AllowedHosts, Client, read_account
from rcfs.platform import _client as client_module


async def test_a_host_that_drops_everything_is_given_up_soon(monkeypatch: pytest.MonkeyPatch) -> None:
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
