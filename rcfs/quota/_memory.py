"""The ledger of one process, forgotten when it ends."""

import math
from collections.abc import Mapping, Sequence

from rcfs.model import PRIOR_PLANS, Plan, RateHeaders, UsageGroup
from rcfs.quota._book import Book
from rcfs.quota._forecast import forecast
from rcfs.quota._ledger import GroupState, Ledger, Slot, Waiting


class MemoryLedger(Ledger):
    """A `Ledger` in memory, for one event loop: it has no lock.

    Args:
        plans: What is assumed of each group until a response says otherwise.
        book: What it is kept in; None for a book of its own. Ledgers that share one are like processes.
        owner: Its name in the book.
    """

    def __init__(
        self,
        plans: Mapping[UsageGroup, Plan] = PRIOR_PLANS,
        *,
        book: Book | None = None,
        owner: str = "",
    ) -> None:
        self._book = Book(plans) if book is None else book
        self._owner = owner
        self._book.enter(owner)

    def plan(self, group: UsageGroup) -> Plan:
        """See `Ledger.plan`."""
        return self._book.plan(group)

    def take(self, group: UsageGroup, waiting: Waiting, now: float) -> Slot | float:
        """See `Ledger.take`."""
        return self._book.take(self._owner, group, waiting, now)

    def meet(self, now: float) -> None:
        """See `Ledger.meet`."""
        self._book.meet(now)

    def leave(self, group: UsageGroup) -> None:
        """See `Ledger.leave`."""
        self._book.leave(self._owner, group)

    def settle(self, slot: Slot, now: float, headers: RateHeaders | None) -> None:
        """See `Ledger.settle`."""
        self._book.settle(slot, now, headers)

    def fail(self, slot: Slot, now: float) -> None:
        """See `Ledger.fail`."""
        self._book.fail(slot, now)

    def refuse(
        self, slot: Slot, now: float, headers: RateHeaders | None, retry_after_s: float | None
    ) -> None:
        """See `Ledger.refuse`."""
        self._book.refuse(slot, now, headers, retry_after_s)

    def cancel(self, slot: Slot) -> None:
        """See `Ledger.cancel`."""
        self._book.cancel(slot)

    def sync(self, now: float) -> float:  # noqa: ARG002 - the contract's
        """See `Ledger.sync`: nothing is ever left to do."""
        return math.inf

    def states(self, now: float) -> tuple[GroupState, ...]:
        """See `Ledger.states`; the configured groups come first, then the others as they were seen."""
        return self._book.states(self._owner, now)

    def forecast(self, group: UsageGroup, waiting: Waiting, now: float) -> Sequence[float]:
        """See `Ledger.forecast`."""
        return forecast(self._book, self._owner, group, waiting, now)

    def reset(self) -> None:
        """See `Ledger.reset`."""
        self._book.reset()

    def close(self, now: float) -> None:
        """See `Ledger.close`."""
        self._book.bury(self._owner, now)
