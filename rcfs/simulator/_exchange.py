"""One request and its answer, from the check of the login to the last byte.

The order of the checks is the platform's: login, rate limit, permissions, and only then the endpoint. Faults
apply before the endpoint, so a request with a fault has been counted like any other.
"""

import uuid
from collections.abc import Awaitable, Mapping
from functools import partial

import attrs
import trio
from starlette.types import Send

from rcfs.simulator._backend import AUTH, Backend, Call, Operation
from rcfs.simulator._conduct import SENDS
from rcfs.simulator._delivery import Connection, deliver
from rcfs.simulator._journal import Entry
from rcfs.simulator._params import Query, form_fields
from rcfs.simulator._police import BucketKey, Verdict
from rcfs.simulator._ranges import cut
from rcfs.simulator._wire import Answer, ApiError, Later, Whole, not_found, rate_headers, retry_after
from rcfs.simulator.faults._effects import Effect
from rcfs.simulator.faults._faults import FaultList, kind_of
from rcfs.simulator.login._auth import Session, bearer_token, split_basic

FOREIGN = "foreign"
"""Name of the origin outside the platform."""

MEDIA = "media"
"""Name of the origin that serves contents only."""

PLATFORM = "platform"
"""Name of the origin that serves everything."""


@attrs.define(eq=False)
class Exchange:
    """One request; `run` answers it."""

    backend: Backend
    """The simulator."""
    faults: FaultList
    """The faults to apply."""
    entry: Entry
    """Its entry in the journal."""
    origin: str
    """`PLATFORM`, `MEDIA` or `FOREIGN`."""
    method: str
    """HTTP method."""
    target: str
    """Raw path and query."""
    query: Query
    """Parameters of the query."""
    headers: Mapping[str, str]
    """Headers by name in lower case."""
    body: bytes
    """Whole body."""
    send: Send
    """The ASGI callable that sends the answer."""
    connection: Connection
    """The TCP connection."""

    _verdict: Verdict | None = attrs.field(default=None, init=False)
    """The rate limiter's decision; None for a request that it did not count."""

    async def run(self, operations: Mapping[str, Operation], path: Mapping[str, str]) -> None:
        """Answer the request.

        Args:
            operations: The operations of the path, by method; empty for an unknown path.
            path: Parameters of the path.
        """
        try:
            call = self._admitted(operations, path)
        except ApiError as error:
            await self._send(error.answer, Effect())
            return
        effect = self.faults.pick(call, self.entry.path)
        self.entry.fault = kind_of(type(effect))
        answer = effect.replace(call)
        if answer is None:
            found = await effect.carry_out(call, partial(self._found, call))
            if type(effect) is Effect:
                effect = self.faults.pick(call, self.entry.path, found)
                self.entry.fault = kind_of(type(effect))
            answer = effect.edit(found)
        await self._send(answer, effect)

    async def run_abroad(self) -> None:
        """Answer, on the foreign host, a request that the platform redirected there; any other gets 404."""
        call = self.backend.sent_abroad.get(self.target)
        answer = not_found("path").answer if call is None else await self._found(call)
        await self._send(attrs.evolve(answer, has_rate_headers=False), Effect())

    def _admitted(self, operations: Mapping[str, Operation], path: Mapping[str, str]) -> Call:
        """The call of an operation, after all checks; the request has been counted.

        Raises:
            ApiError: A check failed, or no such operation exists.
        """
        operation = self._operation(operations)
        session = self._session(operation)
        client, claimed = self._client(session)
        if self.backend.refuse_duplicates and self.entry.duplicate_in_flight:
            raise ApiError(429, "CMN-304", "Duplicate concurrent request")
        self._count(operation, session, client or claimed)
        if operation.needs_client:
            self.backend.auth.check_client(self.headers.get("authorization", ""), claimed)
        call = Call(
            backend=self.backend,
            operation=operation,
            path=path,
            query=self.query,
            body=self.body,
            client=client or claimed,
            session=session,
            target=self.target,
            headers=self.headers,
        )
        if session is not None:
            login = session.login
            permissions = self.backend.permissions if login is None else login.permissions
            permissions.check(operation.id, call.user, session.scopes)
        return call

    async def _found(self, call: Call) -> Answer:
        """The endpoint's answer, a refusal included."""
        try:
            found = call.operation.handler(call)
            if isinstance(found, Awaitable):
                found = await found
            if isinstance(found, Later):
                found = await trio.to_thread.run_sync(found.make)
            return await cut(found, self.entry.range) if isinstance(found, Whole) else found
        except ApiError as error:
            return error.answer
        finally:
            self.entry.violation = call.violation

    def _operation(self, operations: Mapping[str, Operation]) -> Operation:
        """The operation that the request asks for.

        Raises:
            ApiError: 404, the path is unknown; 405, it offers other methods (HEAD is documented nowhere).
        """
        if not operations:
            raise ApiError(404, "CMN-404", "Resource not found")
        operation = operations.get(self.method)
        if operation is None:
            raise ApiError(405, "CMN-120", "Method not allowed", headers={"Allow": ", ".join(operations)})
        self.entry.operation, self.entry.group = operation.id, operation.group
        return operation

    def _session(self, operation: Operation) -> Session | None:
        """The login of the request; None where the operation needs no login.

        Raises:
            ApiError: 401, the request has no login, or its token is invalid.
        """
        if not operation.needs_login:
            return None
        token = self.query.text("access_token") if self.origin == MEDIA else ""
        if not token:
            token = bearer_token(self.headers.get("authorization", ""))
        session = self.backend.auth.session(token, self.backend.clock())
        self.entry.user, self.entry.client = str(session.user), session.client
        return session

    def _client(self, session: Session | None) -> tuple[str, str]:
        """The client id of the login or the Basic header, and the client id that the request itself names."""
        if session is not None:
            return session.client, ""
        claimed = form_fields(self.body).get("client_id", "") or self.query.text("client_id")
        return split_basic(self.headers.get("authorization", ""))[0], claimed

    def _count(self, operation: Operation, session: Session | None, client: str) -> None:
        """Count the request in its bucket.

        Raises:
            ApiError: 429, the budget is used up.
        """
        # The token endpoint has no user yet, and one budget covers the whole Auth group: it counts per app.
        user = "" if session is None or operation.group == AUTH else str(session.user)
        # The time of arrival counts, and nothing has been awaited since.
        verdict = self.backend.police.arrive(BucketKey(user, client, operation.group), self.entry.time_s)
        self._verdict = verdict
        self.entry.remaining, self.entry.in_penalty = verdict.remaining, verdict.in_penalty
        if verdict.in_penalty and operation.id in SENDS:
            self.entry.violation = "sends in a penalty"
        if not verdict.admitted:
            headers = retry_after(verdict.retry_after_s)
            raise ApiError(429, "CMN-301", "Request rate exceeded", headers=headers)

    async def _send(self, answer: Answer, effect: Effect) -> None:
        """Send `answer` with the headers that every answer has, in the way that `effect` asks for."""
        headers = {"RCRequestId": str(uuid.uuid4())}
        verdict = self._verdict
        if verdict is not None and verdict.has_headers and answer.has_rate_headers:
            headers |= rate_headers(verdict.group, verdict.plan, verdict.remaining)
        await trio.sleep(self.backend.latency_s / 2)
        await deliver(
            answer.with_headers(headers),
            effect.delivery(answer.size_bytes),
            send=self.send,
            connection=self.connection,
            entry=self.entry,
            finish=partial(self.backend.journal.close, self.entry),
        )
