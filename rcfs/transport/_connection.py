"""A connection to the platform: one login to send requests with, from opening to logging out."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial

import attrs
import trio

from rcfs.errors import RcfsError
from rcfs.platform import Client, Credentials
from rcfs.quota import SlotLedger
from rcfs.store import SharedSession
from rcfs.transport._budget import Budget
from rcfs.transport._gate import Gate
from rcfs.transport._lane import Lane
from rcfs.transport._member import Member
from rcfs.transport._network import Network
from rcfs.transport._pool import Pool
from rcfs.transport._recorder import Recorder
from rcfs.transport._requester import Requester
from rcfs.transport._session import Session
from rcfs.transport._tasks import keep_going, run_together

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
    pool: Pool | None
    """All logins that fetch contents; None if this is the only one."""
    budget: Budget
    """The budget for contents, of all these logins."""


@attrs.frozen
class PoolLogin:
    """A further login that fetches contents."""

    name: str
    """Its name in the configuration."""
    credentials: Credentials
    """Those of its app and user."""
    ledger: SlotLedger
    """Its budget, which all its processes share; on the clock of the connection's."""
    shared: SharedSession | None = None
    """Its session, which all its processes use."""
    reload: Callable[[], Credentials | None] = lambda: None
    """As `Session` takes it."""


@asynccontextmanager
async def open_connection(
    client: Client,
    credentials: Credentials,
    ledger: SlotLedger,
    recorder: Recorder,
    *,
    clock: Callable[[], float] = trio.current_time,
    offline: bool = False,
    barred: RcfsError | None = None,
    shared: SharedSession | None = None,
    reload: Callable[[], Credentials | None] = lambda: None,
    pool: Sequence[PoolLogin] = (),
) -> AsyncIterator[Connection]:
    """A connection that logs in with its first request; logs out and closes `client` at the end.

    `clock` is the clock of `ledger`, in seconds. For `offline` and `barred` see `Network`, for `shared` and
    `reload` see `Session`, for `pool` see `Pool`.
    """
    async with trio.open_nursery() as nursery:
        network = Network(client, recorder, nursery, offline=offline, barred=barred)
        if not offline and barred is None:
            nursery.start_soon(client.prepare)
        by_app: dict[str, Gate] = {}

        def member_of(login: PoolLogin) -> Member:
            gate, client_id = Gate(login.ledger, recorder, clock), login.credentials.client_id
            nursery.start_soon(keep_going, recorder, "queue", gate.run)
            session = Session(
                client,
                login.credentials,
                # The token endpoint counts logins by the app, whoever the user is.
                by_app.setdefault(client_id, gate),
                network,
                recorder,
                shared=login.shared,
                reload=login.reload,
            )
            return Member(login.name, Lane(gate, session), client_id)

        own = member_of(PoolLogin("", credentials, ledger, shared, reload))
        others = [member_of(each) for each in pool]
        lane = own.lane
        requester = Requester(client, network, lane, recorder)
        team = Pool(own, others, requester, network, recorder) if others else None
        if team is not None:
            for member in team.members:
                nursery.start_soon(keep_going, recorder, "pool", partial(team.keep, member))
        budget = lane.budget if team is None else team.budget
        try:
            yield Connection(network, lane, requester, team, budget)
        finally:
            with trio.move_on_after(_FAREWELL_S, shield=True):
                await run_together([each.lane.session.revoke for each in (own, *others)])
                await client.aclose()
            nursery.cancel_scope.cancel()
