"""The part of a ledger that schedulers and gates need, wherever its book is kept."""

from collections.abc import Callable
from typing import Protocol

from rcfs.model import Plan, RateHeaders, UsageGroup
from rcfs.quota._forecast import Forecast
from rcfs.quota._values import GroupState, Sharing, Slot, Waiting


class SlotLedger(Protocol):
    """The methods of `rcfs.quota.Ledger`, which documents them; none waits for a network."""

    def watch(self, changed: Callable[[], None]) -> None:
        """Call `changed`, from any thread, whenever `take` may have another answer than it said."""
        ...

    def sharing(self) -> Sharing | None:
        """The server that keeps the ledger, and its clients; None for a ledger on this machine."""
        ...

    def plan(self, group: UsageGroup) -> Plan:
        """See `Ledger.plan`."""
        ...

    def take(self, group: UsageGroup, waiting: Waiting, now: float) -> Slot | float:
        """See `Ledger.take`."""
        ...

    def note_person(self, now: float) -> None:
        """See `Ledger.note_person`."""
        ...

    def leave(self, group: UsageGroup) -> None:
        """See `Ledger.leave`."""
        ...

    def settle(self, slot: Slot, now: float, headers: RateHeaders | None) -> None:
        """See `Ledger.settle`."""
        ...

    def fail(self, slot: Slot, now: float) -> None:
        """See `Ledger.fail`."""
        ...

    def refuse(
        self, slot: Slot, now: float, headers: RateHeaders | None, retry_after_s: float | None
    ) -> None:
        """See `Ledger.refuse`."""
        ...

    def cancel(self, slot: Slot) -> None:
        """See `Ledger.cancel`."""
        ...

    def sync(self, now: float) -> float:
        """See `Ledger.sync`."""
        ...

    def states(self, now: float) -> tuple[GroupState, ...]:
        """See `Ledger.states`."""
        ...

    def forecast(self, group: UsageGroup, waiting: Waiting, now: float) -> Forecast:
        """See `Ledger.forecast`."""
        ...

    def close(self, now: float) -> None:
        """See `Ledger.close`."""
        ...
