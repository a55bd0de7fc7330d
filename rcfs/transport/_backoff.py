"""How long to wait before a failed request is repeated."""

from rcfs.errors import RcfsError, ServerError
from rcfs.model import LONGEST_S

_FIRST_S = 2.0
_LONGEST_S = 60.0


def backoff_s(failures: int, error: RcfsError) -> float:
    """Seconds to wait after the `failures`-th failure in a row (from 1), which was `error`.

    Doubles from 2 s to 60 s, and is never less than a ``Retry-After`` that the server gave, of which an hour
    is believed at most. There is no jitter: the quota already spaces the requests of one credential. Source:
    "Error handling" of the API documentation.
    """
    wait_s = min(_LONGEST_S, _FIRST_S * 2.0 ** (failures - 1))
    asked_s = error.retry_after_s if isinstance(error, ServerError) else None
    return max(wait_s, min(asked_s or 0.0, LONGEST_S))
