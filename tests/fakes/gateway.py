"""The platform's WebSocket gateway in virtual time: answers, notifies, falls silent and breaks on demand."""

import json
import math
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio

from rcfs.errors import TransportError, UnreachableError

STORE = "/restapi/v1.0/account/400123/extension/{}/message-store"


@attrs.define(eq=False, slots=False)
class Connection:
    """One WebSocket, as the client has it."""

    gateway: "Gateway"
    filters: list[str] = attrs.field(factory=list)
    """Its subscribed event filters."""
    silent: bool = False
    """Whether it no longer answers."""
    ended: bool = False
    """Whether the client has closed it."""

    def __attrs_post_init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[str | None](math.inf)

    def say(self, kind: str, *body: Any, **meta: Any) -> None:
        """Send a frame."""
        self._send.send_nowait(json.dumps([{"type": kind, "wsc": {"token": "mark"}, **meta}, *body]))

    def tell(self, extension_id: int) -> None:
        """Notify of a change in a mailbox; the claims in the body are nonsense."""
        event = STORE.format(extension_id)
        self.say("ServerNotification", {"event": event, "body": {"changes": [{"newMessageIds": [666]}]}})

    def close(self) -> None:
        """Close it from the platform's side, in order."""
        self._send.send_nowait(None)

    def cut(self) -> None:
        """Break it without a close frame."""
        self._send.close()

    async def send(self, text: str) -> None:
        await trio.lowlevel.checkpoint()
        meta, *rest = json.loads(text)
        self.gateway.asked.append((meta.get("method", meta["type"]), meta.get("path", ""), *rest))
        if self.silent:
            return
        if meta["type"] == "Heartbeat":
            self.say("Heartbeat", messageId=meta["messageId"])
            return
        status = self.gateway.refusals.popleft() if self.gateway.refusals else 200
        body = {"id": "sub"} if status == 200 else {"errorCode": "CMN-401", "message": "No."}
        if status == 200:
            self.filters = rest[0]["eventFilters"]
        headers = {"X-Rate-Limit-Group": "medium", "X-Rate-Limit-Limit": "40", "X-Rate-Limit-Window": "60"}
        self.say("ClientRequest", body, messageId=meta["messageId"], status=status, headers=headers)

    async def receive(self) -> str | None:
        try:
            return await self._receive.receive()
        except trio.EndOfChannel:
            raise TransportError("the connection broke") from None


@attrs.define(eq=False)
class Gateway:
    """The gateway; give its `open` to the client."""

    unreachable: bool = False
    recovers: bool = False
    """Whether a connection that comes back recovers all events."""
    refusals: deque[int] = attrs.field(factory=deque)
    """Statuses of the next answers to subscriptions."""
    urls: list[tuple[float, str]] = attrs.field(factory=list)
    """Time and URL of each connection."""
    asked: list[tuple[Any, ...]] = attrs.field(factory=list)
    """(method or kind, path, body) of each message from clients."""
    connections: list[Connection] = attrs.field(factory=list)
    """All connections, oldest first."""

    @property
    def connection(self) -> Connection:
        """The newest."""
        return self.connections[-1]

    @asynccontextmanager
    async def open(self, url: str, _user_agent: str, _connector: object) -> AsyncIterator[Connection]:
        await trio.lowlevel.checkpoint()
        self.urls.append((trio.current_time(), url))
        if self.unreachable:
            raise UnreachableError("cannot connect")
        connection = Connection(self)
        self.connections.append(connection)
        state = {"recoveryState": "Successful" if self.recovers else "Failed"} if "wsc=" in url else {}
        connection.say("ConnectionDetails", state)
        try:
            yield connection
        finally:
            connection.ended = True
