"""A connection that fails in hypercorn affects no other."""

from typing import Any

import httpx
import pytest
import trio
from hypercorn.trio.tcp_server import TCPServer

from rcfs.simulator import AccountSpec, SimulatorConfig, _origin
from tests.fakes.simulated import in_process, logged_in

pytestmark = pytest.mark.trio


async def test_both_sides_may_close_a_connection_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    broken: list[Any] = []

    async def break_first(*arguments: Any) -> None:
        if not broken:
            broken.append(arguments[-1])
            await arguments[-1].aclose()
            raise trio.BusyResourceError("another task is currently sending data on this SocketStream")
        await TCPServer(*arguments)

    monkeypatch.setattr(_origin, "TCPServer", break_first)
    async with in_process(SimulatorConfig(AccountSpec(messages=5, months=1))) as (_simulator, endpoints):
        async with httpx.AsyncClient() as http:
            with pytest.raises(httpx.TransportError):
                await http.get(f"{endpoints.platform_url}/")
        async with logged_in(endpoints) as http:
            assert (await http.get("/restapi/v1.0/account/~")).status_code == 200
    assert len(broken) == 1
