"""Repetition after each kind of failure, without a clock."""

import pytest

from rcfs.errors import (
    AuthError,
    BadRequestError,
    NotFoundError,
    PlatformError,
    RateLimitedError,
    ServerError,
    SilentError,
    TransportError,
    UncertainError,
    UnreachableError,
)
from rcfs.transport import Retry

FRESH = Retry(most_faults=3)


def after(
    retry: Retry,
    error: PlatformError,
    *,
    repeatable: bool = True,
    progress_bytes: int = 0,
    may_log_in: bool = True,
    is_closed: bool = False,
) -> tuple[Retry, float]:
    return retry.after(
        error,
        repeatable=repeatable,
        progress_bytes=progress_bytes,
        may_log_in=may_log_in,
        is_closed=is_closed,
    )


def waits(error: PlatformError, **known: bool) -> list[float]:
    """The waits before the error is raised."""
    retry, found = FRESH, list[float]()
    while True:
        try:
            retry, wait_s = after(retry, error, **known)
        except type(error):
            return found
        found.append(wait_s)


def test_each_kind_of_failure_has_its_own_limit() -> None:
    assert waits(ServerError("502")) == [2, 4]
    assert waits(TransportError("reset")) == [2, 4]
    assert waits(UnreachableError("refused"), repeatable=False) == [2, 4]
    assert waits(AuthError("401")) == [0, 0, 2, 4]
    assert waits(RateLimitedError("429"), repeatable=False) == [0, 0, 0, 0]
    assert waits(AuthError("401"), repeatable=False, may_log_in=False) == []
    assert waits(NotFoundError("404")) == waits(BadRequestError("400"), repeatable=False) == []


@pytest.mark.parametrize("error", [ServerError("503"), TransportError("no answer"), SilentError("mute")])
def test_a_request_that_is_not_repeatable_is_not_sent_again_if_it_may_have_arrived(
    error: PlatformError,
) -> None:
    with pytest.raises(UncertainError, match=str(error)) as raised:
        after(FRESH, error, repeatable=False, progress_bytes=1 << 20, is_closed=True)
    assert raised.value.__cause__ is error
    assert not raised.value.retryable


def test_an_attempt_that_brought_64_kib_resets_the_faults() -> None:
    worn, _ = after(FRESH, ServerError("502"), progress_bytes=65_535)
    assert (worn.faults, worn.progress_bytes) == (1, 0)
    again, wait_s = after(worn, ServerError("502"), progress_bytes=65_536)
    assert (again.faults, again.progress_bytes, wait_s) == (0, 65_536, 0.0)
    assert after(again, ServerError("502"), progress_bytes=65_537)[0].faults == 1


def test_an_outage_does_not_count_as_a_fault() -> None:
    worn = Retry(most_faults=3, faults=2)
    assert after(worn, UnreachableError("refused"), is_closed=True) == (FRESH, 0.0)
    with pytest.raises(ServerError):
        after(worn, ServerError("502"), is_closed=True)
