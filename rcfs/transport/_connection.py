"""A connection to the platform: one login to send requests with, from opening to logging out."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import attrs
import trio

from rcfs.errors import RcfsError
from rcfs.platform import Client, Credentials
from rcfs.quota import Ledger
from rcfs.store import SharedSession
from rcfs.transport._gate import Gate
from rcfs.transport._lane import Lane
from rcfs.transport._network import Network
from rcfs.transport._recorder import Recorder
from rcfs.transport._requester import Requester
from rcfs.transport._session import Session
from rcfs.transport._tasks import keep_going

_FAREWELL_S = 8.0
"""Longest time for logging out and closing connections, in seconds: a mount that ends must not hang."""


@attrs.frozen
class Connection:
    """The parts that send requests; valid inside `open_connection`."""

    network: Network
    """Knows which servers can be reached."""
    lane: Lane
    """The login and its budget."""
    requester: Requester
    """Sends requests in that lane."""


@asynccontextmanager
async def open_connection(
    client: Client,
    credentials: Credentials,
    ledger: Ledger,
    recorder: Recorder,
    *,
    clock: Callable[[], float] = trio.current_time,
    offline: bool = False,
    barred: RcfsError | None = None,
    shared: SharedSession | None = None,
    reload: Callable[[], Credentials | None] = lambda: None,
) -> AsyncIterator[Connection]:
    """A connection that logs in with its first request; logs out and closes `client` at the end.

    `clock` is the clock of `ledger`, in seconds. For `offline` and `barred` see `Network`, for `shared` and
    `reload` see `Session`.
    """
    async with trio.open_nursery() as nursery:
        network = Network(client, recorder, nursery, offline=offline, barred=barred)
        gate = Gate(ledger, recorder, clock)
        nursery.start_soon(keep_going, recorder, "queue", gate.run)
        session = Session(client, credentials, gate, network, recorder, shared=shared, reload=reload)
        lane = Lane(gate, session)
        try:
            yield Connection(network, lane, Requester(client, network, lane, recorder))
        finally:
            with trio.move_on_after(_FAREWELL_S, shield=True):
                await session.revoke()
                await client.aclose()
            nursery.cancel_scope.cancel()
