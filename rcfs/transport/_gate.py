"""Where requests wait for their slot: the trio driver of the quota room.

The scheduler decides, synchronously and without a clock; the gate asks it whenever something changes,
and again at the time that it named. Between two checkpoints the gate is consistent: a ticket is
either with the scheduler or has its slot, never both, never neither.
"""

import math
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

import attrs
import trio

from rcfs.errors import UnreachableError, WaitError
from rcfs.model import LONGEST_S, MOST_REQUESTS, Plan, Priority, RateHeaders, UsageGroup
from rcfs.quota import (
    GroupState,
    Outlook,
    QueueState,
    Scheduler,
    Send,
    Sharing,
    Slot,
    SlotLedger,
    Ticket,
    WaitUntil,
)
from rcfs.transport._recorder import Recorder


class AbandonedError(WaitError):
    """The request was withdrawn before it was sent, because no caller wants the answer any more."""

    retryable = True


@attrs.define(eq=False)
class RequestOptions:
    """How urgent a request is, and for whom; a caller may raise or withdraw it while it waits."""

    priority: Priority
    """Class of the request; `raise_to` raises it."""
    attempts: int = 5
    """Server faults and broken connections in a row after which rcfs gives up.

    Source: "Error handling" of the API documentation: exponential backoff, at most five times.
    """
    label: str = ""
    """The subject of the request, for `.rcfs/queue`: a few words without names or content of messages."""
    program: str = ""
    """The program that the request is for; empty for rcfs itself."""
    _waiter: "Waiter | None" = None

    def raise_to(self, priority: Priority) -> None:
        """Makes the request at least as urgent as `priority`, also while it waits."""
        if priority < self.priority:
            self.priority = priority
            if self._waiter is not None:
                self._waiter.promote(priority)

    def abandon(self) -> bool:
        """Withdraws the request; False if it is not waiting. One that was sent continues."""
        return self._waiter is not None and self._waiter.withdraw()

    def attach(self, waiter: "Waiter | None") -> None:
        """Notes how the request waits; None when it does not. For the waiter only."""
        self._waiter = waiter


@attrs.define(eq=False)
class Waiter:
    """A request that waits for a slot, in one gate or in several; the first that admits it counts."""

    group: UsageGroup
    """The usage plan group that the request probably counts for."""
    options: RequestOptions
    """How urgent it is."""
    gate: "Gate | None" = None
    """The gate that has admitted it; None before that."""
    slot: Slot | None = None
    """The slot in that gate's ledger."""
    _tickets: "dict[Gate, Ticket]" = attrs.field(factory=dict)
    """Its place in each gate where it waits."""
    _ended: trio.Event = attrs.field(factory=trio.Event)
    """Set when it is admitted or withdrawn."""

    @property
    def gates(self) -> "Collection[Gate]":
        """The gates in which it waits; none once it is admitted or withdrawn."""
        return self._tickets.keys()

    def enter(self, gate: "Gate") -> None:
        """Waits in `gate` as well, unless it does already, or waits no more; it may be admitted at once."""
        if not self._ended.is_set() and gate not in self._tickets:
            gate.admit_in_turn(self)

    def leave(self, gate: "Gate") -> None:
        """Waits no longer in `gate`."""
        gate.drop(self)

    async def wait(self) -> Slot:
        """The slot, in the ledger of `gate`; if the task is cancelled, all gates forget the request.

        Raises:
            AbandonedError: It was withdrawn.
        """
        self.options.attach(self)
        handed_over = False
        try:
            await self._ended.wait()
            handed_over = True
        finally:
            self.options.attach(None)
            if not handed_over:
                self.withdraw()
                if self.gate is not None and self.slot is not None:
                    self.gate.unsent(self.slot)
        if self.slot is None:
            raise AbandonedError("no reader waits for this request")
        return self.slot

    def promote(self, priority: Priority) -> None:
        """Raises the class of the request in all gates."""
        for gate in tuple(self._tickets):
            if gate in self._tickets:  # The promotion in another gate may have admitted it.
                gate.promote(self._tickets[gate], priority)

    def withdraw(self) -> bool:
        """Takes the request out of all gates; False if it does not wait."""
        if self._ended.is_set():
            return False
        self._leave_all()
        return True

    def note_ticket(self, gate: "Gate", ticket: Ticket) -> None:
        """Notes the request's place in `gate`. For gates only, like the methods below."""
        self._tickets[gate] = ticket

    def forget_ticket(self, gate: "Gate") -> Ticket | None:
        """Forgets the request's place in `gate`, and returns it; None if it has none."""
        return self._tickets.pop(gate, None)

    def admit(self, gate: "Gate", slot: Slot) -> None:
        """Notes that `gate` has admitted the request; the other gates forget it."""
        self._tickets.pop(gate)
        self.gate, self.slot = gate, slot
        self._leave_all()

    def _leave_all(self) -> None:
        for gate in tuple(self._tickets):
            gate.drop(self)
        self._ended.set()


@attrs.define(eq=False)
class RequestSlot:
    """The slot of one request: an ``async with`` block that begins when the request may be sent.

    The block must send the request at once, because a penalty may begin while it waits for anything else. It
    calls `answered` when the headers have come, or `unsent` if it sent nothing. A block that ends without
    either counts as a request that was sent and not answered, so a forgotten call never makes rcfs send too
    much. If it ends with UnreachableError, nothing was sent.
    """

    gate: "Gate"
    """Where the slot is from; of several gates, the first one before the block has begun."""
    _operation: str
    _group: UsageGroup
    _options: RequestOptions
    _wait: Callable[[Waiter], Awaitable[Slot]]
    """Waits for the slot."""
    _held: Slot | None = None
    """The slot, until the ledger has been told how the request ended."""
    _is_sent: bool = True
    _status: int = 0

    async def __aenter__(self) -> Self:
        """Waits for the slot; a task that is cancelled meanwhile leaves the queue and uses no slot.

        Raises:
            AbandonedError: `RequestOptions.abandon` was called while it waited.
        """
        waiter, begun_s = Waiter(self._group, self._options), self.gate.now_s
        self._held = await self._wait(waiter)
        self.gate = waiter.gate or self.gate
        self.gate.recorder.waited(self._options.priority, max(0.0, self.gate.now_s - begun_s))
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._held is not None:
            if isinstance(error, UnreachableError):
                self.unsent()
            else:
                self.gate.lost(self._take_back())
        if self._is_sent:
            self.gate.recorder.request(self._operation, self._group, self._status)

    def answered(self, status: int, rate: RateHeaders | None, retry_after_s: float | None) -> None:
        """Tells the ledger the status of the answer and the quota in its headers, which have just come."""
        self._status = status
        self.gate.answered(self._take_back(), status, rate, retry_after_s)
        if rate is not None:
            self._group = rate.group

    def unsent(self) -> None:
        """Tells the ledger that nothing was sent: the slot is free for the next request."""
        self._is_sent = False
        self.gate.unsent(self._take_back())

    def _take_back(self) -> Slot:
        assert self._held is not None  # noqa: S101 - a slot ends once
        slot, self._held = self._held, None
        return slot


class Gate:
    """Admits requests within the quota; any number of tasks may use it at the same time.

    Args:
        ledger: Where slots come from.
        recorder: Counts the requests. Logs numbers of the server that rcfs does not believe, at most once an
            hour for each kind of number.
        clock: The ledger's clock, in seconds. A shared ledger needs another one than trio's, which stops
            while the machine is suspended and differs between processes.
    """

    def __init__(
        self, ledger: SlotLedger, recorder: Recorder, clock: Callable[[], float] = trio.current_time
    ) -> None:
        self._ledger = ledger
        self.recorder = recorder
        self._clock = clock
        self._warned_s: dict[str, float] = {}
        """When each kind of number was last logged."""
        self._scheduler = Scheduler(ledger)
        self._waiters: dict[Ticket, Waiter] = {}
        self._nap = trio.CancelScope()
        """Its deadline is the time to ask the scheduler again."""

    @property
    def now_s(self) -> float:
        """The time on the ledger's clock, in seconds, as in tickets."""
        return self._clock()

    async def run(self) -> None:
        """Wakes waiting requests when their time comes; runs for as long as the gate is used."""
        token = trio.lowlevel.current_trio_token()

        def changed() -> None:
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(self._something_changed, idempotent=True)

        self._ledger.watch(changed)
        while True:
            with trio.CancelScope() as self._nap:
                self._something_changed()
                await trio.sleep_forever()

    def _admit(self) -> float:
        """Admits all requests that may be sent now; returns when to ask again (inf: after a change)."""
        while True:
            decision = self._scheduler.next(self._clock())
            if isinstance(decision, Send):
                self._waiters.pop(decision.ticket).admit(self, decision.slot)
            elif isinstance(decision, WaitUntil):
                return decision.at_s
            else:
                return math.inf

    def _something_changed(self) -> None:
        # Moving the deadline is enough: waking the task would cost each request two turns of the loop.
        wait_s = self._admit() - self._clock()
        self._nap.deadline = trio.current_time() + max(0.0, wait_s)

    def slot(self, operation: str, group: UsageGroup, options: RequestOptions) -> RequestSlot:
        """A slot for one request, as a block: ``async with gate.slot(…) as slot``.

        Args:
            operation: The operationId of the official API description, for the recorder.
            group: The usage plan group that the request probably counts for.
            options: How urgent it is.
        """
        return RequestSlot(self, operation, group, options, self._wait_here)

    async def _wait_here(self, waiter: Waiter) -> Slot:
        self.admit_in_turn(waiter)
        return await waiter.wait()

    def admit_in_turn(self, waiter: Waiter) -> None:
        """Puts a request into the queue. For waiters only, like `promote` and `drop`."""
        ticket = self._scheduler.submit(waiter.group, waiter.options.priority, self._clock())
        self._waiters[ticket] = waiter
        waiter.note_ticket(self, ticket)
        self._something_changed()

    def drop(self, waiter: Waiter) -> None:
        """Takes a request out of the queue; nothing happens if it is not there."""
        ticket = waiter.forget_ticket(self)
        if ticket is None:
            return
        del self._waiters[ticket]
        self._scheduler.withdraw(ticket)
        # Its task looks soon whom to admit now. Two gates with the same waiters would call each other here.
        self._nap.deadline = trio.current_time()

    def mark_present(self) -> None:
        """Notes that a person is browsing and may soon open a file, so the ledger keeps a slot free."""
        self._ledger.note_person(self._clock())

    def promote(self, ticket: Ticket, priority: Priority) -> None:
        """Raises the class of a waiting request."""
        self._scheduler.promote(ticket, priority)
        self._something_changed()

    def answered(
        self, slot: Slot, status: int, rate: RateHeaders | None, retry_after_s: float | None
    ) -> None:
        """Tells the ledger about an answer. For RequestSlot only, like `lost` and `unsent`."""
        self._warn_of_numbers(rate, retry_after_s)
        if status == 429:
            self._ledger.refuse(slot, self._clock(), rate, retry_after_s)
        else:
            self._ledger.settle(slot, self._clock(), rate)
        self._something_changed()

    def lost(self, slot: Slot) -> None:
        """Tells the ledger that a request may have been sent but got no answer."""
        self._ledger.fail(slot, self._clock())
        self._something_changed()

    def unsent(self, slot: Slot) -> None:
        """Tells the ledger that a request was never sent."""
        self._ledger.cancel(slot)
        self._something_changed()

    def _warn_of_numbers(self, rate: RateHeaders | None, retry_after_s: float | None) -> None:
        """Logs the numbers that the ledger does not believe."""
        window_s, limit = (rate.window_s, rate.limit) if rate else (None, None)
        for name, value, most, words in (
            ("Retry-After", retry_after_s, LONGEST_S, "pauses for an hour"),
            ("X-Rate-Limit-Window", window_s, LONGEST_S, "uses a window of an hour"),
            ("X-Rate-Limit-Limit", limit, MOST_REQUESTS, f"sends at most {MOST_REQUESTS:,} in a window"),
        ):
            warned_s = self._warned_s.get(name, -math.inf)
            if value is not None and value > most and self._clock() >= warned_s + LONGEST_S:
                self._warned_s[name] = self._clock()
                self.recorder.fault(
                    "quota", f"the server says {name}: {value:.0f}, which rcfs does not believe; rcfs {words}"
                )

    def plan(self, group: UsageGroup) -> Plan:
        """The limits of a group: learned from responses, or else assumed."""
        return self._ledger.plan(group)

    def states(self) -> tuple[GroupState, ...]:
        """The budget of every group at this moment."""
        return self._ledger.states(self._clock())

    def sharing(self) -> Sharing | None:
        """The server that keeps the ledger, and its clients; None for a ledger on this machine."""
        return self._ledger.sharing()

    def queue(self) -> tuple[QueueState, ...]:
        """The waiting requests of this process and of others, by group and class."""
        return self._scheduler.queue(self._clock())

    def forecast(self, group: UsageGroup, priority: Priority, count: int) -> Sequence[float]:
        """Seconds until each of `count` requests would be sent if they were asked for now.

        They stand behind the requests of their class that wait already; no further ones are assumed.
        """
        return self._scheduler.forecast(group, priority, count, self._clock())

    def answered_s(self, group: UsageGroup, priority: Priority, count: int) -> float:
        """Seconds until the last of `count` further requests would be answered, as in `forecast`."""
        return self._scheduler.answered_s(group, priority, count, self._clock())

    def outlook(self, group: UsageGroup, priority: Priority, count: int) -> Outlook:
        """The same as a value that `rcfs.quota.joint_wait_s` combines with those of other gates."""
        return self._scheduler.outlook(group, priority, count, self._clock())

    def options(self, ticket: Ticket) -> RequestOptions | None:
        """The options of the request that waits as `ticket`; None when it is not waiting any more."""
        waiter = self._waiters.get(ticket)
        return waiter.options if waiter is not None else None
