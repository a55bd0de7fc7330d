"""Where requests wait for their slot: the trio driver of the quota room.

The scheduler decides, synchronously and without a clock; the gate asks it whenever something changes,
and once more at the time that it named. Between two checkpoints the gate is consistent: a ticket is
either with the scheduler or has its slot, never both, never neither.
"""

import math
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

import attrs
import trio

from rcfs.errors import UnreachableError, WaitError
from rcfs.model import LONGEST_S, MOST_REQUESTS, Priority, RateHeaders, UsageGroup
from rcfs.quota import GroupState, Ledger, QueueState, Scheduler, Send, Slot, Ticket, WaitUntil
from rcfs.transport._recorder import Recorder


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
    program: str = ""
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


class RequestSlot:
    """The slot of one request: an ``async with`` block that begins when the request may be sent.

    The block sends the request and waits for nothing else before that, since a penalty may begin meanwhile.
    It calls `answered` when the headers are there, or `unsent` when it sends nothing after all. A block that
    ends without either counts as a request that was sent and got no answer, so a forgotten call never makes
    rcfs send too much; but a block that ends with UnreachableError has sent nothing.
    """

    def __init__(self, gate: "Gate", operation: str, group: UsageGroup, demand: Demand) -> None:
        self._gate = gate
        self._operation = operation
        self._group = group
        self._demand = demand
        self._held: Slot | None = None
        """The slot, until the ledger has heard what became of the request."""
        self._is_sent = True
        self._status = 0

    async def __aenter__(self) -> Self:
        """Waits for the slot; a task that is cancelled while it waits leaves the queue and has used nothing.

        Raises:
            AbandonedError: `Demand.abandon` was called while it waited.
        """
        self._held = await self._gate.wait_for_slot(self._group, self._demand)
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._held is not None:
            if isinstance(error, UnreachableError):
                self.unsent()
            else:
                self._gate.lost(self._take_back())
        if self._is_sent:
            self._gate.recorder.request(self._operation, self._group, self._status)

    def answered(self, status: int, rate: RateHeaders | None, retry_after_s: float | None) -> None:
        """The headers of the answer have arrived: its HTTP status and what it says of the quota."""
        self._status = status
        self._gate.answered(self._take_back(), status, rate, retry_after_s)
        if rate is not None:
            self._group = rate.group

    def unsent(self) -> None:
        """Nothing was sent: the slot is free for the next request."""
        self._is_sent = False
        self._gate.unsent(self._take_back())

    def _take_back(self) -> Slot:
        assert self._held is not None  # noqa: S101 - a slot ends once
        slot, self._held = self._held, None
        return slot


class Gate:
    """Admits requests within the quota; may be used by any number of tasks at the same time.

    Args:
        ledger: Where slots come from.
        recorder: Counts the requests. Also gets a line about a number of the server that rcfs does not
            believe, at most once an hour for each kind of number.
        clock: The seconds that the ledger counts in. trio's clock stands still while the machine is suspended
            and is not that of other processes, so a shared ledger has another.
    """

    def __init__(
        self, ledger: Ledger, recorder: Recorder, clock: Callable[[], float] = trio.current_time
    ) -> None:
        self._ledger = ledger
        self.recorder = recorder
        self._clock = clock
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

    def slot(self, operation: str, group: UsageGroup, demand: Demand) -> RequestSlot:
        """A slot for one request, as a block: ``async with gate.slot(…) as slot``.

        Args:
            operation: What the recorder counts the request as: the operationId of the official description.
            group: The usage plan group that the request probably counts for.
            demand: How urgent it is.
        """
        return RequestSlot(self, operation, group, demand)

    async def wait_for_slot(self, group: UsageGroup, demand: Demand) -> Slot:
        """The ledger's slot for a request of `group`, when its turn has come. For RequestSlot only."""
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

    def mark_present(self) -> None:
        """A person looks around and may soon open something, for which a slot is to be free."""
        self._ledger.note_person(self._clock())

    def promote(self, ticket: Ticket, priority: Priority) -> None:
        """Raises the class of a waiting request."""
        self._scheduler.promote(ticket, priority)
        self._something_changed()

    def withdraw(self, ticket: Ticket) -> bool:
        """Takes a waiting request out of the queue; its block raises AbandonedError. Whether it waited."""
        waiter = self._waiters.pop(ticket, None)
        if waiter is None:
            return False
        self._scheduler.withdraw(ticket)
        waiter.admitted.set()
        self._something_changed()
        return True

    def answered(
        self, slot: Slot, status: int, rate: RateHeaders | None, retry_after_s: float | None
    ) -> None:
        """The headers of the answer have arrived. For RequestSlot, as `lost` and `unsent` are."""
        self._warn_of_numbers(rate, retry_after_s)
        if status == 429:
            self._ledger.refuse(slot, self._clock(), rate, retry_after_s)
        else:
            self._ledger.settle(slot, self._clock(), rate)
        self._something_changed()

    def lost(self, slot: Slot) -> None:
        """The request was sent, or may have been, and no answer came."""
        self._ledger.fail(slot, self._clock())
        self._something_changed()

    def unsent(self, slot: Slot) -> None:
        """The request was never sent."""
        self._ledger.cancel(slot)
        self._something_changed()

    def _warn_of_numbers(self, rate: RateHeaders | None, retry_after_s: float | None) -> None:
        """Warns of the numbers that the ledger does not believe."""
        window_s, limit = (rate.window_s, rate.limit) if rate else (None, None)
        for name, value, most, words in (
            ("Retry-After", retry_after_s, LONGEST_S, "pauses for an hour"),
            ("X-Rate-Limit-Window", window_s, LONGEST_S, "counts by the hour"),
            ("X-Rate-Limit-Limit", limit, MOST_REQUESTS, f"sends at most {MOST_REQUESTS:,} in a window"),
        ):
            warned_s = self._warned_s.get(name, -math.inf)
            if value is not None and value > most and self._clock() >= warned_s + LONGEST_S:
                self._warned_s[name] = self._clock()
                self.recorder.fault(
                    "quota", f"the server says {name}: {value:.0f}, which rcfs does not believe: it {words}"
                )

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

    def answered_s(self, group: UsageGroup, priority: Priority, count: int) -> float:
        """Seconds until the last of `count` more requests would be answered, behind all of their class."""
        return self._scheduler.answered_s(group, priority, count, self._clock())

    def demand(self, ticket: Ticket) -> Demand | None:
        """What the request is that waits as `ticket`; None when it waits no more."""
        waiter = self._waiters.get(ticket)
        return waiter.demand if waiter is not None else None
