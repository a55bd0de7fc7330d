"""A simulator with faults, and a client that sees the bytes on the wire."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
import httpx
import trio

from rcfs.model import Plan, UsageGroup
from rcfs.simulator import AccountSpec, Endpoints, Simulator, SimulatorConfig
from rcfs.simulator.faults._faults import fault_from_json
from tests.fakes.simulated import in_process, logged_in

ACCOUNT = "/restapi/v1.0/account/~"
MINE = ACCOUNT + "/extension/~"
CONFIG = SimulatorConfig(
    AccountSpec(messages=40), plans={UsageGroup(g): Plan(limit=1000) for g in ("light", "medium", "auth")}
)
LIMIT_S = 60.0
"""Longest wait for anything on the wire, in seconds."""


@attrs.frozen
class Wire:
    """The bytes that came over one connection, and its end: ``fin`` or ``reset``."""

    head: bytes
    body: bytes
    end: str

    @property
    def status(self) -> int:
        return int(self.head.split(b" ", 2)[1])

    def header(self, name: str) -> str | None:
        lines = self.head.decode("latin-1").split("\r\n")[1:]
        pairs = [line.split(": ", 1) for line in lines]
        return next((value for key, value in pairs if key.lower() == name.lower()), None)


@attrs.frozen
class Setup:
    """A running simulator with a logged-in client, and a voicemail to fetch."""

    simulator: Simulator
    endpoints: Endpoints
    http: httpx.AsyncClient
    path: str
    content: bytes

    @property
    def fired(self) -> list[int]:
        """How often each fault was applied."""
        return [fault["fired"] for fault in self.simulator.faults.as_json()]

    async def log_in(self, **form: str) -> httpx.Response:
        """The answer to a token request, by default one with the JWT; `form` replaces its fields."""
        jwt = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": self.endpoints.jwt}
        async with httpx.AsyncClient(base_url=self.endpoints.platform_url, verify=False) as http:
            client = (self.endpoints.client_id, self.endpoints.client_secret)
            return await http.post("/restapi/oauth/token", data=form or jwt, auth=client)

    def fault(self, kind: str, **options: Any) -> None:
        self.simulator.faults.add(fault_from_json({"kind": kind, **options}))

    async def raw(self, path: str, *headers: str) -> Wire:
        """GET without any HTTP library, on a new connection that the server closes."""
        address = httpx.URL(self.endpoints.platform_url)
        with trio.fail_after(LIMIT_S):
            async with await trio.open_tcp_stream(address.host, address.port or 80) as stream:
                lines = [
                    f"GET {path} HTTP/1.1",
                    f"Host: {address.netloc.decode()}",
                    f"Authorization: {self.http.headers['Authorization']}",
                    "Connection: close",
                    *headers,
                ]
                received, end = b"", "fin"
                try:
                    await stream.send_all("\r\n".join([*lines, "", ""]).encode())
                    while data := await stream.receive_some(65536):
                        received += data
                except trio.BrokenResourceError as exc:
                    end = "reset" if isinstance(exc.__cause__, ConnectionResetError) else "broken"
        head, _, body = received.partition(b"\r\n\r\n")
        return Wire(head, body, end)


@asynccontextmanager
async def running(config: SimulatorConfig = CONFIG) -> AsyncIterator[Setup]:
    async with in_process(config) as (simulator, endpoints), logged_in(endpoints) as http:
        row = next(
            row
            for row in simulator.account.truth()
            if row.kind == "AudioRecording" and row.extension_id == simulator.account.extensions[0].id
        )
        path = f"{MINE}/message-store/{row.message_id}/content/{row.attachment_id}"
        content = (await http.get(path)).content
        simulator.journal.clear()
        yield Setup(simulator, endpoints, http, path, content)


async def until(condition: Callable[[], bool]) -> None:
    """Return as soon as `condition` holds; the simulator runs meanwhile."""
    with trio.fail_after(LIMIT_S):
        while True:
            await trio.lowlevel.checkpoint()
            if condition():
                return
