"""A lane: one login with the budget that the platform gives it, so that there can be several side by side."""

from collections.abc import Callable
from typing import Self

import attrs
import trio

from rcfs.platform import Client, Credentials
from rcfs.quota import Ledger
from rcfs.store import SharedSession
from rcfs.transport._gate import Gate
from rcfs.transport._network import Network
from rcfs.transport._recorder import Recorder
from rcfs.transport._session import Session


@attrs.frozen
class Lane:
    """What belongs to one login; the client, the network and the recorder are common to all lanes."""

    gate: Gate
    """The budget, and the requests that wait for it; whoever opens the lane runs it."""
    session: Session
    """The credentials and the token."""

    @classmethod
    def open(
        cls,
        credentials: Credentials,
        ledger: Ledger,
        *,
        client: Client,
        network: Network,
        recorder: Recorder,
        clock: Callable[[], float] = trio.current_time,
        shared: SharedSession | None = None,
        reload: Callable[[], Credentials | None] = lambda: None,
    ) -> Self:
        """The lane of `credentials`, whose slots come from `ledger`; nothing is sent.

        `clock` is what `ledger` counts in, in seconds. For `shared` and `reload` see `Session`.
        """
        gate = Gate(ledger, recorder, clock)
        session = Session(client, credentials, gate, network, recorder, shared=shared, reload=reload)
        return cls(gate, session)
