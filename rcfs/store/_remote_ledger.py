"""A ledger on a server, for an event loop that must not wait for a network.

A thread of its own has the `Ledger` and does what waits. The event loop leaves requests and reports to it,
gets slots when they are there, and reads a copy of the book. So `take` never has a slot at once: it says when
to ask again, and `watch` tells when the answer is there, about half a millisecond later on the same machine.
The thread takes all slots that it may have, and stores all reports, with one command. A second thread waits
for messages that another client has changed the book.

Times of the event loop are those of the machine's boot clock; `ServerClock` makes them times of the book.
"""

import threading
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

import attrs

from rcfs.errors import SharedLedgerError
from rcfs.model import Plan, RateHeaders, UsageGroup
from rcfs.quota import WHOLE, Book, Forecast, GroupState, Ledger, Share, Sharing, Slot, Waiting, forecast
from rcfs.store._machine import Machine
from rcfs.store._server_connection import ServerConnection
from rcfs.store._server_home import POLL_S, ServerHome, peer_names

_BEAT_S: Final = 5.0
"""Longest time between two commands, in seconds: each renews the lease, and brings the book."""

_AGAIN_S: Final = 0.3
"""Pause before the next try to listen for messages, and after an unexpected error, in seconds."""

_STALE_S: Final = 5.0
"""Age at which an unused slot is given back, in seconds: the process was stopped, and the lease of
the slot may end before its request."""

_CLOSE_WITHIN_S: Final = 3.0
"""Longest wait for the last command when the ledger is closed, in seconds."""

_MESSAGE_S: Final = 1.0
"""Longest wait for a message, after which the thread looks whether it should end, in seconds."""


@attrs.frozen
class _View:
    """The values that the event loop reads; made by the thread after each command."""

    values: Mapping[str, Any]
    """The book, dumped."""
    owners: tuple[str, ...]
    outage: str
    since_s: float
    """Local time at which the outage began."""
    part: float
    """See `Sharing`."""
    shares: Mapping[UsageGroup, Share]
    """See `Ledger.shares`."""
    awaited: Collection[str]
    """See `Ledger.awaited`."""
    silenced_until_s: float
    """The book's time; see `Ledger.silenced_until_s`."""


@attrs.define(eq=False)
class _Waiter:
    """The requests that wait for slots of one group."""

    waiting: Waiting
    ask_s: float
    """Local time at which the thread asks for it."""
    granted: list[tuple[float, Slot]] = attrs.field(factory=list)
    """Slots that are there, each with the local time at which it was taken."""


class RemoteLedger:
    """See `rcfs.quota.SlotLedger`; for one event loop.

    Args:
        home: The home on the server.
        connection: The connection of `home`, for messages.
        plans: The plan of each group until a response tells another.
        machine: The machine, whose boot clock gives the times of all calls.
        warn: Is called with one line when the server cannot be reached, from any thread.
    """

    def __init__(
        self,
        home: ServerHome,
        connection: ServerConnection,
        plans: Mapping[UsageGroup, Plan],
        machine: Machine,
        warn: Callable[[str], None],
    ) -> None:
        self._home = home
        self._connection = connection
        self._plans = plans
        self._machine = machine
        self._warn = warn
        self._ledger = Ledger(home, warn, gathers=True)
        self._changed: Callable[[], None] = lambda: None
        self._state = threading.Condition()
        """Guards all that follows."""
        self._reports: list[tuple[float, Callable[[float], None]]] = []
        self._waiters: dict[UsageGroup, _Waiter] = {}
        self._is_outdated = True
        self._is_closing = self._is_closed = False
        self._beat_s = 0.0
        """Local time of the next look at the server."""
        self._outage_since_s = 0.0
        self._view = self._look()
        self._copy: tuple[_View, Book] | None = None
        self._threads = [
            threading.Thread(target=work, name=f"ledger {work.__name__}", daemon=True)
            for work in (self._work, self._listen)
        ]
        for thread in self._threads:
            thread.start()

    def watch(self, changed: Callable[[], None]) -> None:
        """See `SlotLedger.watch`."""
        self._changed = changed

    def sharing(self) -> Sharing:
        """See `SlotLedger.sharing`."""
        view = self._view
        now_s = self._machine.clock_s()
        return Sharing(
            str(self._connection.address),
            view.outage,
            peer_names(view.owners),
            outage_s=max(0.0, now_s - view.since_s) if view.outage else 0.0,
            part=view.part,
            awaited=peer_names(view.awaited),
            waits_s=max(0.0, view.silenced_until_s - self._home.clock.earliest_s(now_s)),
        )

    def plan(self, group: UsageGroup) -> Plan:
        """See `Ledger.plan`."""
        return self._book().plan(group)

    def take(self, group: UsageGroup, waiting: Waiting, now: float) -> Slot | float:
        """See `Ledger.take`."""
        with self._state:
            waiter = self._waiters.get(group)
            if waiter is None:
                waiter = self._waiters[group] = _Waiter(waiting, now)
                self._state.notify_all()
            stale = [slot for taken_s, slot in waiter.granted if taken_s + _STALE_S < now]
            waiter.granted = [each for each in waiter.granted if each[1] not in stale]
            # Some of those that waited when these slots were taken may have left.
            many = waiter.granted[sum(waiting.counts) :]
            waiter.granted = waiter.granted[: sum(waiting.counts)]
            for slot in (*stale, *(slot for _taken_s, slot in many)):
                self._give_back(slot)
            if waiter.granted:
                _taken_s, slot = waiter.granted.pop(0)
                rest = waiting.without_first()
                if rest is None:
                    del self._waiters[group]
                else:
                    waiter.waiting = rest
                return slot
            is_more_urgent = waiting.first < waiter.waiting.first
            waiter.waiting = waiting
            if is_more_urgent or waiter.ask_s == float("inf"):
                waiter.ask_s = now
                self._state.notify_all()
            return waiter.ask_s if waiter.ask_s > now else now + POLL_S

    def note_person(self, now: float) -> None:
        """See `Ledger.note_person`."""
        self._report(now, self._ledger.note_person)

    def leave(self, group: UsageGroup) -> None:
        """See `Ledger.leave`."""
        with self._state:
            waiter = self._waiters.pop(group, None)
            for _taken_s, slot in waiter.granted if waiter else ():
                self._give_back(slot)
            self._report(0.0, lambda _now: self._ledger.leave(group))

    def settle(self, slot: Slot, now: float, headers: RateHeaders | None) -> None:
        """See `Ledger.settle`."""
        self._report(now, lambda at_s: self._ledger.settle(slot, at_s, headers))

    def fail(self, slot: Slot, now: float) -> None:
        """See `Ledger.fail`."""
        self._report(now, lambda at_s: self._ledger.fail(slot, at_s))

    def refuse(
        self, slot: Slot, now: float, headers: RateHeaders | None, retry_after_s: float | None
    ) -> None:
        """See `Ledger.refuse`."""
        self._report(now, lambda at_s: self._ledger.refuse(slot, at_s, headers, retry_after_s))

    def cancel(self, slot: Slot) -> None:
        """See `Ledger.cancel`."""
        with self._state:
            self._give_back(slot)

    def sync(self, now: float) -> float:  # noqa: ARG002 - the thread stores what waits
        """See `Ledger.sync`."""
        return float("inf")

    def states(self, now: float) -> tuple[GroupState, ...]:
        """See `Ledger.states`."""
        book, at_s = self._book(), self._home.clock.earliest_s(now)
        book.bound(at_s)
        return book.states(self._home.owner, at_s, self._view.shares)

    def forecast(self, group: UsageGroup, waiting: Waiting, now: float) -> Forecast:
        """See `Ledger.forecast`."""
        at_s = self._home.clock.earliest_s(now)
        there = Waiting(waiting.counts, waiting.since_s + at_s - now)
        share = self._view.shares.get(group, WHOLE)
        return forecast(self._book(), self._home.owner, group, there, at_s, share).moved(now - at_s)

    def close(self, now: float) -> None:  # noqa: ARG002 - the thread has the book's time
        """See `Ledger.close`; waits three seconds at most."""
        with self._state:
            self._is_closing = True
            self._state.notify_all()
        self._threads[0].join(_CLOSE_WITHIN_S)
        self._home.close()

    def _give_back(self, slot: Slot) -> None:
        self._report(0.0, lambda _now: self._ledger.cancel(slot))

    def _report(self, now: float, report: Callable[[float], None]) -> None:
        with self._state:
            self._reports.append((now, report))
            self._state.notify_all()

    def _book(self) -> Book:
        """The book as the thread saw it last; for the event loop, which may read it until the next call."""
        view = self._view
        if self._copy is None or self._copy[0] is not view:
            self._copy = view, Book.load(view.values, self._plans, poll_s=POLL_S)
        return self._copy[1]

    # In the thread

    def _look(self) -> _View:
        book = self._ledger.book
        owners = tuple(sorted({*book.owners, self._home.owner}))
        ledger, now_s = self._ledger, self._home.now_s()
        if not ledger.outage:
            self._outage_since_s = self._machine.clock_s()
        return _View(
            book.dump(),
            owners,
            ledger.outage,
            self._outage_since_s,
            ledger.part,
            ledger.shares(now_s),
            ledger.awaited(now_s),
            ledger.silenced_until_s(now_s),
        )

    def _work(self) -> None:
        while not self._is_closed:
            with self._state:
                while not self._is_due():
                    self._state.wait(self._wait_s())
            try:
                self._turn()
            except Exception as exc:  # noqa: BLE001 - without this thread every request would wait forever
                self._warn(f"the quota ledger had an unexpected error ({type(exc).__name__}: {exc})")
                with self._state:
                    self._state.wait_for(lambda: self._is_closing, _AGAIN_S)
                    self._is_closed = self._is_closing

    def _turn(self) -> None:
        """Do what is due now."""
        with self._state:
            reports, self._reports = self._reports, []
            is_outdated, self._is_outdated = self._is_outdated, False
        for at_s, report in reports:
            report(self._home.clock.latest_s(at_s))
        now_s = self._machine.clock_s()
        if self._is_closing:
            self._is_closed = True
            self._ledger.close(self._home.clock.latest_s(now_s))
            return
        if is_outdated or now_s >= self._beat_s:
            self._ledger.refresh(self._home.now_s())
            beat_s = self._machine.clock_s() + _BEAT_S
            self._beat_s = min(beat_s, self._home.retry_s) if self._ledger.outage else beat_s
            self._hasten()
        if self._ask():
            self._changed()
        self._ledger.sync(self._home.now_s())
        self._view = self._look()

    def _is_due(self) -> bool:
        return bool(self._reports) or self._is_outdated or self._is_closing or self._wait_s() <= 0.0

    def _wait_s(self) -> float:
        ask_s = min((waiter.ask_s for waiter in self._waiters.values()), default=float("inf"))
        return min(self._beat_s, ask_s) - self._machine.clock_s()

    def _hasten(self) -> None:
        """Ask earlier for those that may have a slot earlier than the book said before it changed."""
        with self._state:
            waiting = {group: waiter.waiting for group, waiter in self._waiters.items()}
        for group, each in waiting.items():
            at_s = self._local_s(self._ledger.earliest_s({group: each}, self._home.now_s()))
            with self._state:
                if group in self._waiters:
                    waiter = self._waiters[group]
                    waiter.ask_s = min(waiter.ask_s, at_s)

    def _ask(self) -> bool:
        """Ask the server for all slots that are due; whether any were."""
        now_s = self._machine.clock_s()
        with self._state:
            asked = {
                group: self._there(waiter.waiting)
                for group, waiter in self._waiters.items()
                if waiter.ask_s <= now_s and not waiter.granted
            }
        if not asked:
            return False
        grants = self._ledger.take_many(asked, self._home.clock.earliest_s(now_s))
        with self._state:
            for group, grant in grants.items():
                waiter = self._waiters.get(group)
                if waiter is None:
                    for slot in grant.slots:
                        self._give_back(slot)
                    continue
                waiter.granted += [(now_s, slot) for slot in grant.slots]
                waiter.ask_s = self._local_s(grant.ask_s)
        return True

    def _there(self, waiting: Waiting) -> Waiting:
        """`waiting` in times of the book."""
        return Waiting(waiting.counts, self._home.clock.earliest_s(waiting.since_s))

    def _local_s(self, at_s: float) -> float:
        """The local time at which the book's time for a request is `at_s`."""
        now_s = self._machine.clock_s()
        return now_s + at_s - self._home.clock.earliest_s(now_s)

    def _listen(self) -> None:
        while not self._is_closing:
            try:
                has_changed = self._connection.wait_for_change(self._home.owner, _MESSAGE_S)
            except SharedLedgerError:
                has_changed = True  # The other thread finds out what it is.
                with self._state:
                    self._state.wait_for(lambda: self._is_closing, _AGAIN_S)
            if has_changed:
                with self._state:
                    self._is_outdated = True
                    self._state.notify_all()
        self._connection.end_waiting()
