"""A lane: one login with its budget. Several lanes can exist side by side."""

from typing import Protocol

import attrs

from rcfs.errors import PlatformError
from rcfs.model import UsageGroup
from rcfs.transport._budget import Budget
from rcfs.transport._gate import Gate, RequestOptions, RequestSlot
from rcfs.transport._session import Session


class Lanes(Protocol):
    """The logins that may send a request: one, or several of which the first free login sends it."""

    async def ready(self, options: RequestOptions) -> None:
        """Returns when one of them has a token.

        Raises:
            PlatformError: None of them can log in.
        """

    def slot(self, operation: str, group: UsageGroup, options: RequestOptions) -> RequestSlot:
        """A slot for one request; see `Gate.slot`. Its gate tells the login."""

    def session_of(self, gate: Gate) -> Session:
        """The session of the login whose budget is behind `gate`."""

    def passes_on(self, error: PlatformError, gate: Gate) -> bool:
        """Whether another login is to be tried after the one of `gate` was answered with `error`.

        Raises:
            PlatformError: No login may send the request; in place of `error`.
        """


@attrs.frozen
class Lane:
    """The parts of one login; all lanes share the client, the network and the recorder."""

    gate: Gate
    """The budget, and the requests that wait for it; a task must run it."""
    session: Session
    """The credentials and the token."""

    @property
    def budget(self) -> Budget:
        """The budget of this login alone."""
        return Budget(lambda: (self.gate,))

    async def ready(self, options: RequestOptions) -> None:
        """See `Lanes.ready`."""
        await self.session.token(options)

    def slot(self, operation: str, group: UsageGroup, options: RequestOptions) -> RequestSlot:
        """See `Lanes.slot`."""
        return self.gate.slot(operation, group, options)

    def session_of(self, _gate: Gate) -> Session:
        """See `Lanes.session_of`."""
        return self.session

    def passes_on(self, _error: PlatformError, _gate: Gate) -> bool:
        """See `Lanes.passes_on`: there is no other."""
        return False
