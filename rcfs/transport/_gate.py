"""Where requests wait for their slot: the trio driver of the quota room.

The scheduler decides, synchronously and without a clock; the gate asks it whenever something changes,
and once more at the time that it named. Between two checkpoints the gate is consistent: a ticket is
either with the scheduler or has its slot, never both, never neither.
"""

import math
from collections.abc import Callable, Sequence

import attrs
import trio

from rcfs.errors import WaitError
from rcfs.model import LONGEST_S, MOST_REQUESTS, Priority, RateHeaders, UsageGroup
from rcfs.quota import GroupState, Ledger, QueueState, Scheduler, Send, Slot, Ticket, WaitUntil


class AbandonedError(WaitError):
    """Nobody wants the answer any more, and the request was not sent yet."""

    retryable = True


@attrs.define(eq=False)
class Demand:
    """How urgently an answer is wanted; it may become more urgent, or be dropped, while it waits."""

    priority: Priority
    """Class of the request; rises through `raise_to`."""
    attempts: int = 5
    """How often in a row a server fault or a broken connection is met before giving up.

    Source: "Error handling" of the API documentation: exponential backoff, at most five times.
    """
    label: str = ""
    """What is asked for, for `.rcfs/queue`: a few words without names, numbers or content of messages."""
    by: str = ""
    """The program that asks; empty when it is rcfs itself."""
    _gate: "Gate | None" = None
    _ticket: Ticket | None = None

    def raise_to(self, priority: Priority) -> None:
        """Makes the request at least as urgent as `priority`."""
        if priority < self.priority:
            self.priority = priority
            if self._gate is not None and self._ticket is not None:
                self._gate.promote(self._ticket, priority)

    def abandon(self) -> bool:
        """Takes the request out of the queue if it still waits; whether it did. One that was sent goes on."""
        if self._gate is None or self._ticket is None:
            return False
        return self._gate.withdraw(self._ticket)

    def attach(self, gate: "Gate | None", ticket: Ticket | None) -> None:
        """Tells where the request waits now; None when nowhere. Called by the gate."""
        self._gate, self._ticket = gate, ticket


@attrs.define(eq=False)
class _Waiter:
    demand: Demand
    admitted: trio.Event = attrs.field(factory=trio.Event)
    slot: Slot | None = None


class Gate:
    """Admits requests within the quota; may be used by any number of tasks at the same time.

    Args:
        ledger: Where slots come from.
        clock: The seconds that the ledger counts in. trio's clock stands still while the machine is suspended
            and is not that of other processes, so a shared ledger has another.
        warn: Gets a line about a number of the server that is not believed; for each kind once an hour.
    """

    def __init__(
        self,
        ledger: Ledger,
        clock: Callable[[], float] = trio.current_time,
        warn: Callable[[str], None] = lambda _line: None,
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._warn = warn
        self._warned_s: dict[str, float] = {}
        """When a line was last given about each kind of number."""
        self._scheduler = Scheduler(ledger)
        self._waiters: dict[Ticket, _Waiter] = {}
        self._nap = trio.CancelScope()
        """Ends when it is time to look again."""

    @property
    def now_s(self) -> float:
        """The time on the ledger's clock, as in tickets."""
        return self._clock()

    async def run(self) -> None:
        """Wakes waiting requests when their time comes; runs for as long as the gate is used."""
        while True:
            with trio.CancelScope() as self._nap:
                self._something_changed()
                await trio.sleep_forever()

    def _admit(self) -> float:
        """Admits all that may be sent now, and returns when to look again (inf: when something changes)."""
        while True:
            decision = self._scheduler.next(self._clock())
            if isinstance(decision, Send):
                waiter = self._waiters.pop(decision.ticket)
                waiter.slot = decision.slot
                waiter.admitted.set()
            elif isinstance(decision, WaitUntil):
                return decision.at_s
            else:
                return math.inf

    def _something_changed(self) -> None:
        # The deadline is moved under who sleeps: waking it would cost each request two turns of the loop.
        wait_s = self._admit() - self._clock()
        self._nap.deadline = trio.current_time() + max(0.0, wait_s)

    async def take(self, group: UsageGroup, demand: Demand) -> Slot:
        """A slot for one request of `group`, when its turn has come.

        The caller must then call exactly one of `settle`, `fail`, `refuse` and `cancel`. A caller who is
        cancelled while waiting leaves the queue without having used anything.

        Raises:
            AbandonedError: `Demand.abandon` was called while it waited.
        """
        ticket = self._scheduler.submit(group, demand.priority, self._clock())
        waiter = self._waiters[ticket] = _Waiter(demand)
        demand.attach(self, ticket)
        self._something_changed()
        handed_over = False
        try:
            await waiter.admitted.wait()
            handed_over = True
        finally:
            demand.attach(None, None)
            if not handed_over:
                self._waiters.pop(ticket, None)
                if waiter.slot is None:
                    self._scheduler.withdraw(ticket)
                else:
                    self._ledger.cancel(waiter.slot)
                self._something_changed()
        if waiter.slot is None:
            raise AbandonedError("nobody waits for this request any more")
        return waiter.slot

    def meet(self) -> None:
        """A person looks around, and may soon want something: what they open first is to find a free slot."""
        self._ledger.meet(self._clock())

    def promote(self, ticket: Ticket, priority: Priority) -> None:
        """Raises the class of a waiting request."""
        self._scheduler.promote(ticket, priority)
        self._something_changed()

    def withdraw(self, ticket: Ticket) -> bool:
        """Takes a waiting request out of the queue; its `take` raises AbandonedError. Whether it waited."""
        waiter = self._waiters.pop(ticket, None)
        if waiter is None:
            return False
        self._scheduler.withdraw(ticket)
        waiter.admitted.set()
        self._something_changed()
        return True

    def settle(self, slot: Slot, headers: RateHeaders | None) -> None:
        """The answer's headers have arrived."""
        self._doubt(headers, None)
        self._ledger.settle(slot, self._clock(), headers)
        self._something_changed()

    def fail(self, slot: Slot) -> None:
        """The request was sent, or may have been, and no answer came."""
        self._ledger.fail(slot, self._clock())
        self._something_changed()

    def refuse(self, slot: Slot, headers: RateHeaders | None, retry_after_s: float | None) -> None:
        """The answer was 429."""
        self._doubt(headers, retry_after_s)
        self._ledger.refuse(slot, self._clock(), headers, retry_after_s)
        self._something_changed()

    def _doubt(self, headers: RateHeaders | None, retry_after_s: float | None) -> None:
        """Warns of the numbers that the ledger does not believe."""
        window_s, limit = (headers.window_s, headers.limit) if headers else (None, None)
        for name, value, most, words in (
            ("Retry-After", retry_after_s, LONGEST_S, "pauses for an hour"),
            ("X-Rate-Limit-Window", window_s, LONGEST_S, "counts by the hour"),
            ("X-Rate-Limit-Limit", limit, MOST_REQUESTS, f"sends at most {MOST_REQUESTS:,} in a window"),
        ):
            warned_s = self._warned_s.get(name, -math.inf)
            if value is not None and value > most and self._clock() >= warned_s + LONGEST_S:
                self._warned_s[name] = self._clock()
                self._warn(f"the server says {name}: {value:.0f}, which rcfs does not believe: it {words}")

    def cancel(self, slot: Slot) -> None:
        """The request was never sent."""
        self._ledger.cancel(slot)
        self._something_changed()

    def states(self) -> tuple[GroupState, ...]:
        """Every group's budget at this moment."""
        return self._ledger.states(self._clock())

    def queue(self) -> tuple[QueueState, ...]:
        """Who waits, by group and class, in this process and in others."""
        return self._scheduler.queue(self._clock())

    def forecast(self, group: UsageGroup, priority: Priority, count: int) -> Sequence[float]:
        """Seconds until each of `count` requests would be sent if they were asked for now.

        They stand behind all that waits already in their class; nobody else is expected to come.
        """
        return self._scheduler.forecast(group, priority, count, self._clock())

    def demand(self, ticket: Ticket) -> Demand | None:
        """What the request is that waits as `ticket`; None when it waits no more."""
        waiter = self._waiters.get(ticket)
        return waiter.demand if waiter is not None else None
