"""Forecasts of when requests will be sent: the future of one group, played on a copy of the book."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice, repeat
from typing import Final

import attrs

from rcfs.model import Priority, UsageGroup
from rcfs.quota._book import Book
from rcfs.quota._bucket import hold_s
from rcfs.quota._turns import Elsewhere
from rcfs.quota._values import WHOLE, Share, Slot, Waiting

_WINDOWS: Final = 4
"""Number of windows that are played. After that each window is like the one before: the slots of a burst are
free again, a penalty is over, and a person who was present has left (`PRESENCE_S` is two windows)."""

_MOST_STEPS: Final = 200
"""Most requests that are played: each takes 70 µs (measured 2026-11), so a forecast takes 14 ms."""

_PRECISION_S: Final = 0.1
"""Error of a forecast for several logins, in seconds: a time left is shown in whole ones."""


@attrs.frozen
class Forecast:
    """The times at which the requests that wait in a process will be sent."""

    _counts: tuple[int, ...]
    """Number of requests of each class that wait in the process."""
    _elsewhere: tuple[Elsewhere, ...]
    """The requests that wait in the others."""
    _played_s: Sequence[float]
    """Times at which the first of all these requests are sent if one process has them all; at least one."""
    _interval_s: float
    """Seconds between the requests behind those."""
    round_trip_s: float
    """Seconds from sending a request to its response."""

    def moved(self, by_s: float) -> "Forecast":
        """The same on a clock that shows `by_s` more."""
        return attrs.evolve(self, played_s=[at_s + by_s for at_s in self._played_s])

    def __iter__(self) -> Iterator[float]:
        return map(self.sent_s, range(sum(self._counts)))

    def sent_s(self, k: int) -> float:
        """When request `k` of the process is sent, counted from 0 in their order."""
        before = 0
        for i, count in enumerate(self._counts):
            if k < count:
                # Processes take turns: k requests of each other process are sent before the process's own
                # k-th of this class, and one more if the other has the next turn.
                before += k + sum(min(other.counts[i], k + other.has_turn) for other in self._elsewhere)
                break
            k -= count
            before += count + sum(other.counts[i] for other in self._elsewhere)
        behind = before + 1 - len(self._played_s)
        return self._played_s[before] if behind <= 0 else self._played_s[-1] + behind * self._interval_s


@attrs.frozen
class Outlook:
    """The forecast of one login for the requests of a class and the more urgent ones."""

    _future: Forecast | None
    """None if there is no request."""
    count: int
    """Number of the requests."""
    _now_s: float

    @property
    def answered_s(self) -> float:
        """Seconds until the last of them is answered if this login sends them all."""
        if self._future is None or not self.count:
            return 0.0
        return self._future.sent_s(self.count - 1) - self._now_s + self.round_trip_s

    @property
    def round_trip_s(self) -> float:
        """Seconds from sending a request to its response."""
        return 0.0 if self._future is None else self._future.round_trip_s

    def sent_within(self, time_s: float) -> int:
        """How many of them this login can send within `time_s` from now."""
        future, until_s = self._future, self._now_s + time_s
        if future is None:
            return 0
        return bisect_right(range(self.count), until_s, key=future.sent_s)


def joint_wait_s(outlooks: Sequence[Outlook]) -> float:
    """Seconds until the last request is answered if each is sent by the login that is free first.

    The same requests wait for all the logins; so the largest of their numbers counts.
    """
    if len(outlooks) == 1:
        return outlooks[0].answered_s
    count = max(each.count for each in outlooks)
    able = [each for each in outlooks if each.count]
    if not able:
        return 0.0
    trip_s = max(each.round_trip_s for each in able)
    early_s, late_s = 0.0, max(each.answered_s for each in able)
    while late_s - early_s > _PRECISION_S:
        middle_s = (early_s + late_s) / 2
        if sum(each.sent_within(middle_s) for each in able) < count:
            early_s = middle_s
        else:
            late_s = middle_s
    return late_s + trip_s


def forecast(
    book: Book, owner: str, group: UsageGroup, waiting: Waiting, now: float, share: Share = WHOLE
) -> Forecast:
    """See `Ledger.forecast`; `waiting` wait in the process `owner`, which uses `share` of the limit."""
    plan, round_trip_s = book.plan(group), book.round_trip_s(group)
    elsewhere = book.elsewhere(owner, group, now)
    totals = [count + sum(other.counts[i] for other in elsewhere) for i, count in enumerate(waiting.counts)]
    order = chain.from_iterable(repeat(each, total) for each, total in zip(Priority, totals, strict=True))
    steps = islice(order, min(_WINDOWS * plan.limit, _MOST_STEPS))
    played_s = _play(book, group, steps, round_trip_s, now, share)
    interval_s = max(share.every_s, (hold_s(plan) + round_trip_s) / max(1, plan.limit - share.left))
    return Forecast(waiting.counts, elsewhere, played_s, interval_s, round_trip_s)


def _play(
    book: Book, group: UsageGroup, order: Iterable[Priority], round_trip_s: float, now: float, share: Share
) -> Sequence[float]:
    """The times at which requests of these classes are sent, in this order, if one process has them all."""
    values = book.dump()
    left = min(share.left, book.plan(group).limit - 1)  # A share of nothing would have no times.
    # No other process waits: all requests are in `order`.
    values["groups"] = {name: entry | {"claims": {}} for name, entry in values["groups"].items()}
    play = Book.load(values, {group: book.plan(group)})
    for slot in play.in_flight(group):
        play.settle(slot, max(now, slot.taken_s + round_trip_s), None)
    times_s: list[float] = []
    at_s = max(now, share.from_s)
    for priority in order:
        waiting = Waiting.only(priority, now)
        while not isinstance(answer := play.take("", group, waiting, at_s, left=left), Slot):
            at_s = answer
        play.settle(answer, at_s + round_trip_s, None)
        times_s.append(at_s)
        at_s += share.every_s
    return times_s
