"""Whether and when rcfs repeats a failed request: pure, without clock or socket.

Source: "Error handling" and "Rate limits" of the API documentation. The shape is that of urllib3's ``Retry``:
a frozen count that each failure turns into the next one, or that raises when it is used up.
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
"""First and longest pause of `backoff_s`, in seconds; the longest is as long as a window."""
_MOST_LOGINS = 4
"""New tokens that rcfs tries for one request: as many as repetitions after any other fault."""
_MOST_REFUSALS = 5
"""429 answers to one request after which rcfs gives up: each costs a penalty, so by then five minutes are
lost."""
_PROGRESS_BYTES = 64 << 10
"""An attempt that brought this many bytes before it broke is repeated at once and not counted, because slots
space such repetitions anyway. A break after fewer bytes counts as a fault."""


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
    """The error to raise in place of `error` if the request must not be sent twice."""
    return UncertainError(
        f"rcfs does not know whether the server has done this: {error}",
        code=error.code,
        request_id=error.request_id,
    )


@attrs.frozen
class Retry:
    """The failures of one request so far."""

    most_faults: int
    """Faults in a row after which rcfs gives up."""
    progress_bytes: int = 0
    """Number of bytes that had arrived when `faults` was last 0."""
    faults: int = 0
    """Server faults and broken connections in a row, with fewer than 64 KiB between them."""
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
            progress_bytes: Number of bytes that have arrived in all attempts.
            may_log_in: Whether the session can get another token.
            is_closed: Whether there is an outage. Then the next attempt fails or waits before it sends
                anything, and no fault is counted.

        Raises:
            PlatformError: `error`, if a repetition cannot help or the limit is reached.
            UncertainError: The request must not be repeated, and may have been carried out.
        """
        if isinstance(error, RateLimitedError):
            # No wait here: the gate is frozen, so the next attempt waits until the penalty is over.
            if self.refusals + 1 >= _MOST_REFUSALS:
                raise error
            return attrs.evolve(self, refusals=self.refusals + 1), 0.0
        if isinstance(error, AuthError):
            logins = self.logins + 1
            if logins > _MOST_LOGINS or not may_log_in:
                raise error
            # Two in a row are normal: one token ended early, and another process replaced one.
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
