"""The WebSocket gateway: the life of one WebSocket, from its token to its end.

A frame is a JSON array of a header and a body. The server's first frame names the channel. Then the client
sends requests for subscriptions (``ClientRequest``) and heartbeats (``Heartbeat``), and the server sends
events (``ServerNotification``). Requests count for the same budgets as over HTTP, and the journal records
them, too.

Source: "WebSockets" of RingCentral's API documentation.
"""

import json
import uuid
from collections.abc import Iterable
from typing import Any

import attrs
import trio
from starlette.routing import compile_path
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from rcfs.simulator._backend import Backend, Call, Operation
from rcfs.simulator._journal import Entry
from rcfs.simulator._notifications import RECOVERY_FRAMES, RECOVERY_S, Channel, Frame
from rcfs.simulator._params import Query, iso_time
from rcfs.simulator._police import BucketKey
from rcfs.simulator._wire import Answer, ApiError, rate_headers, retry_after

IDLE_TIMEOUT_S = 1_800.0
"""Longest silence of a client, in seconds (WSG-902)."""

ABSOLUTE_TIMEOUT_S = 86_400.0
"""Longest life of a connection, in seconds (WSG-903)."""

GOING_AWAY, POLICY_VIOLATION = 1001, 1008
"""Close codes (RFC 6455, 7.4.1) for a timeout, and for a token that is invalid or has become so."""


class Gateway:
    """The ASGI application of the WebSockets.

    Args:
        backend: The state of the simulator.
        operations: The operations that a ClientRequest may name.
        origin: Name of the origin in the journal.
    """

    def __init__(self, backend: Backend, operations: Iterable[Operation], origin: str) -> None:
        self._backend = backend
        self._routes = [(operation, compile_path(operation.path)[0]) for operation in operations]
        self._origin = origin

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one WebSocket until one side ends it."""
        socket = WebSocket(scope, receive, send)
        query = Query(scope["query_string"].decode("latin-1"))
        await socket.accept()
        notifications, now = self._backend.notifications, self._backend.clock()
        try:
            channel, recovery = notifications.open(query.text("access_token"), query.text("wsc"), now)
        except ApiError as refused:
            await socket.send_text(_encoded(_error(refused)))
            await socket.close(POLICY_VIOLATION)
            return
        connection = _Connection(self, socket, channel)
        try:
            await connection.run(self._details(recovery))
        finally:
            notifications.close(channel, self._backend.clock())

    def answer(self, channel: Channel, request: dict[str, Any], body: Any) -> Frame:
        """The answer to a ClientRequest."""
        path, _, raw_query = str(request.get("path")).partition("?")
        method = str(request.get("method"))
        entry = self._backend.journal.open(
            time_s=self._backend.clock(),
            origin=self._origin,
            method=method,
            path=path,
            query=raw_query,
            range_="",
            login=channel.session.id,
        )
        entry.user = str(channel.session.user)
        try:
            answer = self._run(channel, entry, path, Query(raw_query), body)
        except ApiError as error:
            answer = error.answer
        entry.status, entry.bytes_sent = answer.status, answer.size_bytes
        self._backend.journal.close(entry)
        meta = {"type": "ClientRequest", "messageId": request.get("messageId"), "status": answer.status}
        headers = {name: value for name, value in answer.headers.items() if name != "Content-Type"}
        return {**meta, "headers": headers}, _parsed(answer)

    def _run(self, channel: Channel, entry: Entry, path: str, query: Query, body: Any) -> Answer:
        """The answer of the operation at `path`.

        Raises:
            ApiError: No such operation exists, or the operation refuses before the request is counted.
        """
        # The documentation's own example ends with a slash.
        for operation, pattern in self._routes:
            match = pattern.match(path.rstrip("/"))
            if match is not None and operation.method == entry.method:
                break
        else:
            raise ApiError(404, "CMN-404", "Resource not found")
        entry.operation, entry.group = operation.id, operation.group
        session = channel.session
        verdict = self._backend.police.arrive(
            BucketKey(str(session.user), session.client, operation.group), entry.time_s
        )
        entry.remaining, entry.in_penalty = verdict.remaining, verdict.in_penalty
        call = Call(
            backend=self._backend,
            operation=operation,
            path=match.groupdict(),
            query=query,
            body=b"" if body is None else json.dumps(body).encode(),
            client=session.client,
            session=session,
            target=entry.path,
            channel=channel,
        )
        try:
            if not verdict.admitted:
                wait = retry_after(verdict.retry_after_s)
                raise ApiError(429, "CMN-301", "Request rate exceeded", headers=wait)
            self._backend.permissions.check(operation.id, call.user, session.scopes)
            answer = operation.handler(call)
        except ApiError as error:
            answer = error.answer
        if not isinstance(answer, Answer):
            raise TypeError(f"{operation.id} answers with a content, which no frame can hold")
        if verdict.has_headers:
            return answer.with_headers(rate_headers(verdict.group, verdict.plan, verdict.remaining))
        return answer

    def _details(self, recovery: str) -> Frame:
        """The first frame of a connection."""
        body = {
            "creationTime": iso_time(self._backend.account_time()),
            "recoveryBufferSize": RECOVERY_FRAMES,
            "recoveryTimeout": int(RECOVERY_S),
            "idleTimeout": int(IDLE_TIMEOUT_S),
            "absoluteTimeout": int(ABSOLUTE_TIMEOUT_S),
        }
        if recovery:
            body["recoveryState"] = recovery
        return {"type": "ConnectionDetails", "messageId": str(uuid.uuid4()), "status": 200}, body


@attrs.define(eq=False)
class _Connection:
    """One open WebSocket."""

    gateway: Gateway
    socket: WebSocket
    channel: Channel
    _sending: trio.Lock = attrs.field(factory=trio.Lock, init=False)
    """Held while a frame is compressed and sent, because two tasks send frames."""

    async def run(self, details: Frame) -> None:
        """Serve it until one side ends it; `details` is the first frame."""
        await self._send(details)
        reason, close_code, has_gone = None, GOING_AWAY, False
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._tell_events)
            nursery.start_soon(self._leave_with_login, nursery.cancel_scope)
            with trio.move_on_after(ABSOLUTE_TIMEOUT_S) as life:
                reason = await self._listen()
                has_gone = reason is None
            nursery.cancel_scope.cancel()
        if has_gone:
            return
        if self.channel.ended.is_set():
            reason, close_code = ApiError(401, "OAU-213", "Token not found"), POLICY_VIOLATION
        elif life.cancelled_caught:
            reason = ApiError(408, "WSG-903", "Absolute timeout expired")
        if reason is not None:
            await self._send(_error(reason))
            await self.socket.close(close_code)

    async def _leave_with_login(self, cancel_scope: trio.CancelScope) -> None:
        """Cancel `cancel_scope` when the login ends. U: the platform's message for that is unknown."""
        await self.channel.ended.wait()
        cancel_scope.cancel()

    async def _tell_events(self) -> None:
        while True:
            await self._send(await self.channel.wait_event())

    async def _listen(self) -> ApiError | None:
        """Answer the client's frames; return the reason to end the connection, or None if the client left."""
        while True:
            text = None
            try:
                with trio.move_on_after(IDLE_TIMEOUT_S) as silence:
                    text = await self.socket.receive_text()
            except WebSocketDisconnect:
                return None
            if silence.cancelled_caught:
                return ApiError(408, "WSG-902", "Idle timeout expired")
            await self._send(self._reply(text))

    def _reply(self, text: str | None) -> Frame:
        """The answer to one frame; `text` is None for a binary one."""
        try:
            meta, body = [*json.loads(text or ""), None][:2]
            kind = meta["type"]
        except (ValueError, TypeError, KeyError):
            return _error(ApiError(400, "CMN-100", "Cannot parse the frame"))
        if kind == "Heartbeat":
            return {"type": kind, "messageId": meta.get("messageId"), "status": 200}, None
        if kind == "ClientRequest":
            return self.gateway.answer(self.channel, meta, body)
        return _error(ApiError(400, "CMN-101", f"Unknown type {kind!r}", parameter="type"))

    async def _send(self, frame: Frame) -> None:
        meta, body = frame
        async with self._sending:
            await self.socket.send_text(_encoded(({**meta, "wsc": self.channel.next_mark()}, body)))


def _error(error: ApiError) -> Frame:
    answer = error.answer
    return {"type": "Error", "messageId": str(uuid.uuid4()), "status": answer.status}, _parsed(answer)


def _parsed(answer: Answer) -> Any:
    """The body of `answer` as JSON; None for an empty one."""
    return json.loads(answer.body) if isinstance(answer.body, bytes) and answer.body else None


def _encoded(frame: Frame) -> str:
    """`frame` as text, with the request id that every frame of the server carries."""
    meta, body = frame
    headers = {**meta.get("headers", {}), "RCRequestId": str(uuid.uuid4())}
    parts = [{**meta, "headers": headers}]
    return json.dumps(parts if body is None else [*parts, body], ensure_ascii=False)
