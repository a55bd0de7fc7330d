"""Where requests wait for their slot: the trio driver of the quota room.

The scheduler decides, synchronously and without a clock; the gate asks it whenever something changes,
and again at the time that it named. Between two checkpoints the gate is consistent: a ticket is
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
    _gate: "Gate | None" = None
    _ticket: Ticket | None = None

    def raise_to(self, priority: Priority) -> None:
        """Makes the request at least as urgent as `priority`, also while it waits."""
        if priority < self.priority:
            self.priority = priority
            if self._gate is not None and self._ticket is not None:
                self._gate.promote(self._ticket, priority)

    def abandon(self) -> bool:
        """Withdraws the request; False if it is not waiting. One that was sent continues."""
        if self._gate is None or self._ticket is None:
            return False
        return self._gate.withdraw(self._ticket)

    def attach(self, gate: "Gate | None", ticket: Ticket | None) -> None:
        """Notes where the request waits; None when it does not. For the gate only."""
        self._gate, self._ticket = gate, ticket


@attrs.define(eq=False)
class _Waiter:
    options: RequestOptions
    admitted: trio.Event = attrs.field(factory=trio.Event)
    slot: Slot | None = None


@attrs.define(eq=False)
class RequestSlot:
    """The slot of one request: an ``async with`` block that begins when the request may be sent.

    The block must send the request at once, because a penalty may begin while it waits for anything else. It
    calls `answered` when the headers have come, or `unsent` if it sent nothing. A block that ends without
    either counts as a request that was sent and not answered, so a forgotten call never makes rcfs send too
    much. If it ends with UnreachableError, nothing was sent.
    """

    _gate: "Gate"
    _operation: str
    _group: UsageGroup
    _options: RequestOptions
    _held: Slot | None = None
    """The slot, until the ledger has been told how the request ended."""
    _is_sent: bool = True
    _status: int = 0

    async def __aenter__(self) -> Self:
        """Waits for the slot; a task that is cancelled meanwhile leaves the queue and uses no slot.

        Raises:
            AbandonedError: `RequestOptions.abandon` was called while it waited.
        """
        self._held = await self._gate.wait_for_slot(self._group, self._options)
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
        """Tells the ledger the status of the answer and the quota in its headers, which have just come."""
        self._status = status
        self._gate.answered(self._take_back(), status, rate, retry_after_s)
        if rate is not None:
            self._group = rate.group

    def unsent(self) -> None:
        """Tells the ledger that nothing was sent: the slot is free for the next request."""
        self._is_sent = False
        self._gate.unsent(self._take_back())

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
        self, ledger: Ledger, recorder: Recorder, clock: Callable[[], float] = trio.current_time
    ) -> None:
        self._ledger = ledger
        self.recorder = recorder
        self._clock = clock
        self._warned_s: dict[str, float] = {}
        """When each kind of number was last logged."""
        self._scheduler = Scheduler(ledger)
        self._waiters: dict[Ticket, _Waiter] = {}
        self._nap = trio.CancelScope()
        """Its deadline is the time to ask the scheduler again."""

    @property
    def now_s(self) -> float:
        """The time on the ledger's clock, in seconds, as in tickets."""
        return self._clock()

    async def run(self) -> None:
        """Wakes waiting requests when their time comes; runs for as long as the gate is used."""
        while True:
            with trio.CancelScope() as self._nap:
                self._something_changed()
                await trio.sleep_forever()

    def _admit(self) -> float:
        """Admits all requests that may be sent now; returns when to ask again (inf: after a change)."""
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
        return RequestSlot(self, operation, group, options)

    async def wait_for_slot(self, group: UsageGroup, options: RequestOptions) -> Slot:
        """The ledger's slot for a request of `group`, as soon as it may be sent. For RequestSlot only."""
        ticket = self._scheduler.submit(group, options.priority, self._clock())
        waiter = self._waiters[ticket] = _Waiter(options)
        options.attach(self, ticket)
        self._something_changed()
        handed_over = False
        try:
            await waiter.admitted.wait()
            handed_over = True
        finally:
            options.attach(None, None)
            if not handed_over:
                self._waiters.pop(ticket, None)
                if waiter.slot is None:
                    self._scheduler.withdraw(ticket)
                else:
                    self._ledger.cancel(waiter.slot)
                self._something_changed()
        if waiter.slot is None:
            raise AbandonedError("no reader waits for this request")
        return waiter.slot

    def mark_present(self) -> None:
        """Notes that a person is browsing and may soon open a file, so the ledger keeps a slot free."""
        self._ledger.note_person(self._clock())

    def promote(self, ticket: Ticket, priority: Priority) -> None:
        """Raises the class of a waiting request."""
        self._scheduler.promote(ticket, priority)
        self._something_changed()

    def withdraw(self, ticket: Ticket) -> bool:
        """Takes a request out of the queue; its block raises AbandonedError. False if it is not waiting."""
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

    def states(self) -> tuple[GroupState, ...]:
        """The budget of every group at this moment."""
        return self._ledger.states(self._clock())

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

    def options(self, ticket: Ticket) -> RequestOptions | None:
        """The options of the request that waits as `ticket`; None when it is not waiting any more."""
        waiter = self._waiters.get(ticket)
        return waiter.options if waiter is not None else None
