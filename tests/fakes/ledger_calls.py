"""Short ways to ask a ledger, for tests of any home."""

from collections.abc import Callable

from rcfs.model import Priority, RateHeaders, UsageGroup
from rcfs.quota import (
    CLOCK_DRIFT,
    GroupState,
    Ledger,
    Slot,
    Waiting,
)
from tests.fakes.ledgers import Home

MEDIUM = UsageGroup("medium")
HEAVY = UsageGroup("heavy")
OTHER = UsageGroup("never seen")
PERSON, METADATA, READAHEAD, BULK, CRAWLER = Priority
WINDOW_S = 60 * (1 - CLOCK_DRIFT)
"""So that a slot is held for 60 s."""
NewHome = Callable[..., Home]
NewLedger = Callable[..., Ledger]


def headers(
    remaining: int | None = None,
    *,
    limit: int | None = None,
    window_s: float | None = None,
    group: UsageGroup = MEDIUM,
) -> RateHeaders:
    return RateHeaders(group, limit, remaining, window_s)


def ask(
    ledger: Ledger, now: float, group: UsageGroup = MEDIUM, priority: Priority = METADATA
) -> Slot | float:
    """The ledger's answer to one request."""
    answer = ledger.take(group, Waiting.only(priority, now), now)
    assert isinstance(answer, Slot) or answer > now
    return answer


def taken(ledger: Ledger, now: float, group: UsageGroup = MEDIUM, priority: Priority = METADATA) -> Slot:
    slot = ask(ledger, now, group, priority)
    assert isinstance(slot, Slot), slot
    return slot


def free_s(ledger: Ledger, now: float, group: UsageGroup = MEDIUM) -> float:
    """When a request is admitted that asks again at the times it gets; it is never sent."""
    assert not isinstance(ask(ledger, now, group), Slot)
    for _ in range(400):
        answer = ask(ledger, now, group)
        if isinstance(answer, Slot):
            ledger.cancel(answer)
            return now
        now = answer
    raise AssertionError("it is never admitted")


def state(ledger: Ledger, now: float, group: UsageGroup = MEDIUM) -> GroupState:
    return next(state for state in ledger.states(now) if state.group == group)
