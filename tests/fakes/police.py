"""The platform's rate limits as a model, and a client that sends to it in virtual time.

Source of the rules: "Rate limits" and "Call log best practices" of the API's documentation.
"""

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Mapping
from enum import Enum

import attrs

from rcfs.model import Plan, RateHeaders, UsageGroup
from rcfs.quota import Ledger, Scheduler, Send, Slot, Ticket, WaitUntil


@attrs.frozen
class Verdict:
    """The police's answer to one request."""

    at_s: float
    """Time of its arrival."""
    admitted: bool
    """False for a 429."""
    headers: RateHeaders
    """Rate headers of the answer."""
    retry_after_s: float | None = None
    """For a 429: the whole penalty, or None if the police do not say."""
    penalty_from_s: float | None = None
    """Start of the unbroken penalty that the request fell into; None if it fell into none."""


@attrs.define(eq=False)
class _Record:
    plan: Plan
    counted_s: deque[float] = attrs.field(factory=deque)
    window_from_s: float = float("-inf")
    penalty_from_s: float = float("-inf")
    penalty_until_s: float = float("-inf")


class Police:
    """Counts exactly: a request beyond `limit` in a window starts a penalty, and an early one restarts it.

    Args:
        plans: Limit, window and penalty of each group.
        fixed: Whether a window starts with the first request after the last window ended, instead of sliding
            with every request.
        retry_after: Whether a 429 states the length of the penalty.
    """

    def __init__(
        self, plans: Mapping[UsageGroup, Plan], *, fixed: bool = False, retry_after: bool = True
    ) -> None:
        self._records = {group: _Record(plan) for group, plan in plans.items()}
        self._fixed = fixed
        self._retry_after = retry_after
        self.violations: list[Verdict] = []
        """Every 429 that `arrive` returned."""

    def set_limit(self, group: UsageGroup, limit: int) -> None:
        """Change the limit of `group` from the next request on."""
        record = self._records[group]
        record.plan = attrs.evolve(record.plan, limit=limit)

    def arrive(self, group: UsageGroup, now: float) -> Verdict:
        """Judge one of our requests."""
        record = self._records[group]
        penalty_from_s = record.penalty_from_s if now < record.penalty_until_s else None
        admitted = penalty_from_s is None and self._count(record, now)
        if admitted:
            return Verdict(now, admitted=True, headers=self._headers(group, now))
        if penalty_from_s is None:
            record.penalty_from_s = now
        record.penalty_until_s = now + record.plan.penalty_s
        verdict = Verdict(
            now,
            admitted=False,
            headers=attrs.evolve(self._headers(group, now), remaining=0),
            retry_after_s=record.plan.penalty_s if self._retry_after else None,
            penalty_from_s=penalty_from_s,
        )
        self.violations.append(verdict)
        return verdict

    def arrive_foreign(self, group: UsageGroup, now: float) -> None:
        """Judge a request by another user of the bucket, who sends none that would be refused."""
        record = self._records[group]
        if now >= record.penalty_until_s:
            self._count(record, now)

    def _count(self, record: _Record, now: float) -> bool:
        used = self._used(record, now)
        if self._fixed and used == 0:
            record.window_from_s = now
        if used >= record.plan.limit:
            return False
        oldest_s = record.window_from_s if self._fixed else now - record.plan.window_s
        while record.counted_s and record.counted_s[0] < oldest_s:
            record.counted_s.popleft()
        record.counted_s.append(now)
        return True

    def _used(self, record: _Record, now: float) -> int:
        window_s = record.plan.window_s
        if self._fixed:
            ended = record.window_from_s + window_s <= now
            return 0 if ended else sum(at_s >= record.window_from_s for at_s in record.counted_s)
        return sum(at_s + window_s > now for at_s in record.counted_s)

    def _headers(self, group: UsageGroup, now: float) -> RateHeaders:
        record = self._records[group]
        limit = record.plan.limit
        return RateHeaders(group, limit, max(0, limit - self._used(record, now)), record.plan.window_s)


class Fate(Enum):
    """The outcome of a request."""

    ANSWERED = "the response arrives"
    BARE = "the response arrives without rate headers"
    LOST = "the police see the request, the response never arrives"
    VANISHED = "neither arrives, the request fails"
    LATE = "the request fails, and the police see it after that"
    UNSENT = "it is never sent"


@attrs.frozen
class Trip:
    """The way of a request."""

    up_s: float = 0.1
    """Seconds from taking the slot to the arrival at the police; of a late request, to its failure."""
    down_s: float = 0.1
    """Seconds from then to the response headers, or to the failure; of a late request, to its arrival."""
    fate: Fate = Fate.ANSWERED
    """Its outcome."""

    @property
    def ended_s(self) -> float:
        """Seconds from taking the slot until the client reports the outcome."""
        return self.up_s if self.fate in (Fate.UNSENT, Fate.LATE) else self.up_s + self.down_s


@attrs.frozen
class Sent:
    """One request that the scheduler admitted."""

    at_s: float
    """Time at which it was sent."""
    ticket: Ticket
    """The ticket that it was sent for."""
    slot: Slot
    """The slot that it took."""
    believed_limit: int
    """The limit that the ledger believed at that time."""


@attrs.frozen
class Refusal:
    """A 429 as the client saw it."""

    decided_s: float
    """Time of the police's decision."""
    heard_s: float
    """Time of the answer's arrival."""
    retry_after_s: float | None
    """Its Retry-After."""
    group: UsageGroup | None
    """The group that it froze; None for all."""


class World:
    """A scheduler and its ledger against the police, in virtual time.

    Args:
        scheduler: Decides what to send.
        ledger: Is told of each outcome.
        police: Judges the requests.
        travel: Decides the trip of each request; a round trip of 0.2 s by default.
        done: Called with the ticket when a request has ended.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        ledger: Ledger,
        police: Police,
        *,
        travel: Callable[[Ticket], Trip] = lambda _: Trip(),
        done: Callable[[Ticket], None] = lambda _: None,
    ) -> None:
        self.now = 0.0
        self.sent: list[Sent] = []
        self.refusals: list[Refusal] = []
        self.verdicts: list[tuple[Sent, Verdict]] = []
        self._scheduler = scheduler
        self._ledger = ledger
        self._police = police
        self._travel = travel
        self._done = done
        self._events: list[tuple[float, int, Callable[[], object]]] = []
        self._seqs = itertools.count()

    def meet(self) -> None:
        """Count a user as present now."""
        self._ledger.note_person(self.now)

    def at(self, time_s: float, event: Callable[[], object]) -> None:
        """Call `event` at `time_s`; events of the same time run in the order of these calls."""
        heapq.heappush(self._events, (time_s, next(self._seqs), event))

    def run(self, until_s: float) -> None:
        """Let time pass until `until_s`, or until nothing can happen any more."""
        while (next_s := self._pump()) < until_s:
            self.now = next_s
            while self._events and self._events[0][0] <= self.now:
                heapq.heappop(self._events)[2]()

    def _pump(self) -> float:
        """Send what may be sent; return the time of the next event."""
        next_s = float("inf")
        while isinstance(decision := self._scheduler.next(self.now), Send):
            limit = self._ledger.plan(decision.ticket.group).limit
            self._send(Sent(self.now, decision.ticket, decision.slot, limit))
        if isinstance(decision, WaitUntil):
            assert decision.at_s > self.now
            next_s = decision.at_s
        return min(next_s, self._events[0][0]) if self._events else next_s

    def _send(self, sent: Sent) -> None:
        self.sent.append(sent)
        trip = self._travel(sent.ticket)
        arrival_s = self.now + trip.up_s

        def end(event: Callable[[], None]) -> None:
            event()
            self._done(sent.ticket)

        match trip.fate:
            case Fate.UNSENT:
                self.at(arrival_s, lambda: end(lambda: self._ledger.cancel(sent.slot)))
            case Fate.VANISHED | Fate.LATE:
                failure_s = self.now + trip.ended_s
                self.at(failure_s, lambda: end(lambda: self._ledger.fail(sent.slot, self.now)))
                if trip.fate is Fate.LATE:
                    self.at(failure_s + trip.down_s, lambda: self._judge(sent))
            case _:
                self.at(arrival_s, lambda: self._arrive(sent, trip, end))

    def _judge(self, sent: Sent) -> Verdict:
        verdict = self._police.arrive(sent.ticket.group, self.now)
        self.verdicts.append((sent, verdict))
        return verdict

    def _arrive(self, sent: Sent, trip: Trip, end: Callable[[Callable[[], None]], None]) -> None:
        verdict = self._judge(sent)
        self.at(self.now + trip.down_s, lambda: end(lambda: self._answer(sent.slot, trip.fate, verdict)))

    def _answer(self, slot: Slot, fate: Fate, verdict: Verdict) -> None:
        headers = None if fate is Fate.BARE else verdict.headers
        if fate is Fate.LOST:
            self._ledger.fail(slot, self.now)
        elif verdict.admitted:
            self._ledger.settle(slot, self.now, headers)
        else:
            group = headers.group if headers else None
            self.refusals.append(Refusal(verdict.at_s, self.now, verdict.retry_after_s, group))
            self._ledger.refuse(slot, self.now, headers, verdict.retry_after_s)
