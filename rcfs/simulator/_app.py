"""The ASGI application of both origins: routes each request, and logs its arrival and its end."""

import re
from collections.abc import Iterable, Mapping
from email.utils import formatdate
from typing import Any

import trio
from starlette.routing import Route, Router, WebSocketRoute
from starlette.types import Message, Receive, Scope, Send

from rcfs.simulator._backend import Backend, Operation
from rcfs.simulator._delivery import Connection
from rcfs.simulator._exchange import FOREIGN, MEDIA, PLATFORM, Exchange
from rcfs.simulator._guard import stranger, turn_away
from rcfs.simulator._notifications import SOCKET_PATH
from rcfs.simulator._params import Query
from rcfs.simulator._socket import Gateway
from rcfs.simulator.admin._admin import admin_router
from rcfs.simulator.admin._page import StartPage
from rcfs.simulator.api import _account as _api_account
from rcfs.simulator.api import _calls as _api_calls
from rcfs.simulator.api import _content as _api_content
from rcfs.simulator.api import _greetings as _api_greetings
from rcfs.simulator.api import _messages as _api_messages
from rcfs.simulator.api import _oauth as _api_oauth
from rcfs.simulator.api import _permissions as _api_permissions
from rcfs.simulator.api import _phone_numbers as _api_phone_numbers
from rcfs.simulator.api import _prompts as _api_prompts
from rcfs.simulator.api import _recordings as _api_recordings
from rcfs.simulator.api import _reports as _api_reports
from rcfs.simulator.api import _send as _api_send
from rcfs.simulator.api import _store_config as _api_store_config
from rcfs.simulator.api import _subscriptions as _api_subscriptions
from rcfs.simulator.api import _sync as _api_sync
from rcfs.simulator.api import _team as _api_team
from rcfs.simulator.api import _uploads as _api_uploads
from rcfs.simulator.api._consent import ConsentPage
from rcfs.simulator.api._oauth import CONSENT_PATH
from rcfs.simulator.faults._faults import FaultList

OPERATIONS: tuple[Operation, ...] = (
    *_api_oauth.OPERATIONS,
    *_api_account.OPERATIONS,
    *_api_phone_numbers.OPERATIONS,
    *_api_messages.OPERATIONS,
    *_api_sync.OPERATIONS,
    *_api_send.OPERATIONS,
    *_api_store_config.OPERATIONS,
    *_api_content.OPERATIONS,
    *_api_calls.OPERATIONS,
    *_api_recordings.OPERATIONS,
    *_api_greetings.OPERATIONS,
    *_api_prompts.OPERATIONS,
    *_api_uploads.OPERATIONS,
    *_api_reports.OPERATIONS,
    *_api_team.OPERATIONS,
    *_api_permissions.OPERATIONS,
    *_api_subscriptions.OPERATIONS,
)
"""All operations that the simulator answers. A new endpoint needs a handler and a line in a table."""

ADMIN_PREFIX = "/simulator/"
"""Prefix of the admin interface, which is neither counted nor recorded. The foreign host serves it, too,
because a fault may close the platform."""

CONNECTION = "rcfs.connection"
"""ASGI extension under which `_server` passes the `Connection` of a request."""

_PAGES = ("/", CONSENT_PATH)
"""The pages for people: the start page, and the consent page of a login in a browser."""

_EXCHANGE = "rcfs.exchange"
"""Key of the scope under which a route finds the exchange of its request."""

_TOKEN_IN_QUERY = re.compile(r"(?<![^&])((?:access_)?token)=[^&]*")
"""A token in a query: allowed on the media host and at revoke, but never shown."""


class App:
    """One origin of a simulator.

    Args:
        backend: The state of the simulator.
        faults: The faults to apply.
        origin: `PLATFORM`, `MEDIA` or `FOREIGN`.
    """

    def __init__(self, backend: Backend, faults: FaultList, origin: str) -> None:
        self._backend = backend
        self._faults = faults
        self._origin = origin
        contents = [operation for operation in OPERATIONS if operation.gives_content]
        self._router = Router(
            _routes(contents if origin == MEDIA else OPERATIONS),
            redirect_slashes=False,
            default=_Resource({}),
        )
        admin = admin_router(backend, faults, [operation.id for operation in contents])
        self._beside = Router()
        if origin == FOREIGN:
            self._beside = admin
        if origin == PLATFORM:
            self._beside = Router(
                [
                    Route("/", StartPage(backend, [operation.id for operation in OPERATIONS])),
                    Route(CONSENT_PATH, ConsentPage(backend)),
                    WebSocketRoute(SOCKET_PATH, Gateway(backend, _api_subscriptions.OPERATIONS, origin)),
                ],
                default=admin,
            )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or serve one WebSocket (ASGI)."""
        send = self._dated(send)
        if scope["type"] == "websocket" or self._is_beside_the_api(scope["path"]):
            why = stranger(scope, _PAGES)
            if why:
                await turn_away(why, scope, receive, send)
            else:
                await self._beside(scope, receive, send)
            return
        body = await _read_body(receive)
        await trio.sleep(self._backend.latency_s / 2)
        exchange = self._arrive(scope, body, send)
        try:
            # An abandoned answer must not look as if it were in flight, so a client that hangs up ends it.
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_cancel_when_gone, receive, nursery.cancel_scope)
                if self._origin == FOREIGN:
                    await exchange.run_abroad()
                else:
                    await self._router({**scope, _EXCHANGE: exchange}, receive, send)
                nursery.cancel_scope.cancel()
        finally:
            self._backend.journal.close(exchange.entry)

    def _dated(self, send: Send) -> Send:
        """`send` that adds the account's time as ``Date`` to an answer's headers."""

        async def send_dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                date = formatdate(self._backend.account_time(), usegmt=True).encode()
                message = {**message, "headers": [*message.get("headers", ()), (b"date", date)]}
            await send(message)

        return send_dated

    def _is_beside_the_api(self, path: str) -> bool:
        """Whether `path` is for people or tests, so that its requests are neither counted nor recorded."""
        if path.startswith(ADMIN_PREFIX):
            return self._origin != MEDIA
        return self._origin == PLATFORM and path in _PAGES

    def _arrive(self, scope: Scope, body: bytes, send: Send) -> Exchange:
        """The exchange for a request that has fully arrived, with its entry in the journal."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        path, raw_query = scope["raw_path"].decode("ascii"), scope["query_string"].decode("latin-1")
        query = Query(raw_query)
        entry = self._backend.journal.open(
            time_s=self._backend.clock(),
            origin=self._origin,
            method=scope["method"],
            path=path,
            query=_TOKEN_IN_QUERY.sub(r"\1=***", raw_query),
            range_=headers.get("range", ""),
            login=headers.get("authorization", "") + query.text("access_token"),
        )
        return Exchange(
            backend=self._backend,
            faults=self._faults,
            entry=entry,
            origin=self._origin,
            method=scope["method"],
            target=f"{path}?{raw_query}" if raw_query else path,
            query=query,
            headers=headers,
            body=body,
            send=send,
            connection=_connection(scope),
        )


class _Resource:
    """The ASGI application of one path: passes its operations to the exchange of the request."""

    def __init__(self, operations: Mapping[str, Operation]) -> None:
        self._operations = operations

    async def __call__(self, scope: Scope, _receive: Receive, _send: Send) -> None:
        """Answer one request for this path."""
        exchange: Exchange = scope[_EXCHANGE]
        await exchange.run(self._operations, scope.get("path_params", {}))


def _routes(operations: Iterable[Operation]) -> list[Route]:
    """A route for each path of `operations`."""
    by_path: dict[str, dict[str, Operation]] = {}
    for operation in operations:
        by_path.setdefault(operation.path, {})[operation.method] = operation
    return [Route(path, _Resource(methods)) for path, methods in by_path.items()]


def _connection(scope: Mapping[str, Any]) -> Connection:
    connection = scope["extensions"][CONNECTION]
    if not isinstance(connection, Connection):
        raise TypeError(f"{CONNECTION} is {connection!r}")
    return connection


async def _read_body(receive: Receive) -> bytes:
    """The whole body of a request, or the part that had arrived when the client disconnected."""
    pieces = []
    while True:
        message = await receive()
        pieces.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(pieces)


async def _cancel_when_gone(receive: Receive, cancel_scope: trio.CancelScope) -> None:
    """Cancel `cancel_scope` as soon as the client disconnects."""
    while (await receive())["type"] != "http.disconnect":
        pass
    cancel_scope.cancel()
