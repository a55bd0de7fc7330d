"""Whether and when a failed request is sent again: pure, without clock or socket.

Source: "Error handling" and "Rate limits" of the API documentation. The shape is that of urllib3's ``Retry``:
a frozen count that a failure turns into the next one, or that raises when it is used up.
"""

import attrs

from rcfs.errors import (
    AuthError,
    PlatformError,
    RateLimitedError,
    RcfsError,
    ServerError,
    SilentError,
    TransportError,
    UncertainError,
    UnreachableError,
)
from rcfs.model import LONGEST_S

_FIRST_S = 2.0
_LONGEST_S = 60.0
_MOST_LOGINS = 4
"""New tokens tried for one request: as many as there are repetitions of any other fault."""
_MOST_REFUSALS = 5
"""429 answers met for one request: each costs a penalty, so after five minutes something else is wrong."""
_PROGRESS_BYTES = 64 << 10
"""An attempt that brought this much before it broke is repeated at once and without being counted; the
slots space such repetitions anyway. One that brought less counts as a fault."""


def backoff_s(failures: int, error: RcfsError) -> float:
    """Seconds to wait after the `failures`-th failure in a row (from 1), which was `error`.

    Doubles from 2 s to 60 s, and is never less than a ``Retry-After`` that the server gave, of which an hour
    is believed at most. There is no jitter: the quota already spaces the requests of one credential. Source:
    "Error handling" of the API documentation.
    """
    wait_s = min(_LONGEST_S, _FIRST_S * 2.0 ** (failures - 1))
    asked_s = error.retry_after_s if isinstance(error, ServerError) else None
    return max(wait_s, min(asked_s or 0.0, LONGEST_S))


def uncertain(error: PlatformError) -> UncertainError:
    """What `error` means for a request that may have been carried out and must not be sent again."""
    return UncertainError(
        f"this may or may not have been done: {error}", code=error.code, request_id=error.request_id
    )


@attrs.frozen
class Retry:
    """What was tried for one request so far."""

    most_faults: int
    """Faults in a row after which rcfs gives up."""
    progress_bytes: int = 0
    """How much had arrived when the faults were last counted from 0."""
    faults: int = 0
    """Server faults and broken connections in a row, between which hardly anything arrived."""
    logins: int = 0
    """401 answers."""
    refusals: int = 0
    """429 answers."""

    def after(
        self,
        error: PlatformError,
        *,
        repeatable: bool,
        progress_bytes: int,
        may_log_in: bool,
        is_closed: bool,
    ) -> tuple["Retry", float]:
        """The next count, and how long to wait before the request is sent again, in seconds.

        Args:
            error: What the newest attempt ended with.
            repeatable: Whether sending the request twice is safe. If not, it is sent again only after an
                error that means it was not carried out: 401, 429, or a connection that could not be made.
            progress_bytes: How much has arrived in all attempts.
            may_log_in: Whether another token can be had.
            is_closed: Whether rcfs knows that the server cannot be reached. Then the next attempt fails or
                waits before it sends anything, and no fault is counted.

        Raises:
            PlatformError: `error`, if sending it again is of no use, or was tried often enough.
            UncertainError: It must not be sent again, and may have been carried out.
        """
        if isinstance(error, RateLimitedError):
            # The gate is frozen now, so the next attempt waits the penalty out.
            if self.refusals + 1 >= _MOST_REFUSALS:
                raise error
            return attrs.evolve(self, refusals=self.refusals + 1), 0.0
        if isinstance(error, AuthError):
            logins = self.logins + 1
            if logins > _MOST_LOGINS or not may_log_in:
                raise error
            # Two are a token that ended early, and one that another process replaced.
            return attrs.evolve(self, logins=logins), backoff_s(logins - 2, error) if logins > 2 else 0.0
        if not isinstance(error, (ServerError, TransportError)):
            raise error
        if not repeatable and not isinstance(error, UnreachableError):
            raise uncertain(error) from error
        if progress_bytes >= self.progress_bytes + _PROGRESS_BYTES:
            return attrs.evolve(self, faults=0, progress_bytes=progress_bytes), 0.0
        if is_closed and isinstance(error, (UnreachableError, SilentError)):
            return attrs.evolve(self, faults=0), 0.0
        faults = self.faults + 1
        if faults >= self.most_faults:
            raise error
        return attrs.evolve(self, faults=faults), backoff_s(faults, error)
