"""How long requests will probably wait: the future of one group, played with a copy of the book."""

from collections.abc import Iterable, Sequence
from itertools import chain, islice, repeat
from typing import Final, overload

import attrs

from rcfs.model import Priority, UsageGroup
from rcfs.quota._book import Book
from rcfs.quota._bucket import hold_s
from rcfs.quota._turns import Elsewhere
from rcfs.quota._values import Slot, Waiting

_WINDOWS: Final = 4
"""Windows that are played, after which every window is like the one before: a burst has come back by then,
a freeze has passed, and whoever was there has left (`PRESENCE_S` is two windows)."""

_MOST_STEPS: Final = 200
"""Requests that are played, at most: one takes 70 µs (measured 2026-11), so a forecast takes 14 ms."""


@attrs.frozen
class Forecast(Sequence[float]):
    """When each of the requests that wait in a process is sent; a time is worked out when it is asked for."""

    _counts: tuple[int, ...]
    """How many of each class wait in the process."""
    _elsewhere: tuple[Elsewhere, ...]
    """What waits in the others."""
    _played_s: Sequence[float]
    """When the first of all these requests are sent, if one process had them all; at least one."""
    _interval_s: float
    """How long after one another those behind them are sent."""
    round_trip_s: float
    """How long after it was sent a request is answered."""

    def __len__(self) -> int:
        return sum(self._counts)

    @overload
    def __getitem__(self, index: int) -> float: ...
    @overload
    def __getitem__(self, index: slice) -> list[float]: ...
    def __getitem__(self, index: int | slice) -> float | list[float]:
        if isinstance(index, slice):
            return [self._sent_s(k) for k in range(len(self))[index]]
        return self._sent_s(range(len(self))[index])

    def _sent_s(self, k: int) -> float:
        before = 0
        for i, count in enumerate(self._counts):
            if k < count:
                # They take turns: before the k-th of ours, counted from 0, go k of each other process, and
                # one more if the turn is its.
                before += k + sum(min(other.counts[i], k + other.has_turn) for other in self._elsewhere)
                break
            k -= count
            before += count + sum(other.counts[i] for other in self._elsewhere)
        behind = before + 1 - len(self._played_s)
        return self._played_s[before] if behind <= 0 else self._played_s[-1] + behind * self._interval_s


def forecast(book: Book, owner: str, group: UsageGroup, waiting: Waiting, now: float) -> Forecast:
    """See `Ledger.forecast`; `owner` is the process in which `waiting` wait."""
    plan, round_trip_s = book.plan(group), book.round_trip_s(group)
    elsewhere = book.elsewhere(owner, group, now)
    totals = [count + sum(other.counts[i] for other in elsewhere) for i, count in enumerate(waiting.counts)]
    order = chain.from_iterable(repeat(each, total) for each, total in zip(Priority, totals, strict=True))
    steps = islice(order, min(_WINDOWS * plan.limit, _MOST_STEPS))
    played_s = _play(book, group, steps, round_trip_s, now)
    interval_s = (hold_s(plan) + round_trip_s) / plan.limit
    return Forecast(waiting.counts, elsewhere, played_s, interval_s, round_trip_s)


def _play(
    book: Book, group: UsageGroup, order: Iterable[Priority], round_trip_s: float, now: float
) -> Sequence[float]:
    """When requests of these classes are sent, one after the other, if one process had them all."""
    values = book.dump()
    # Nobody else waits for anything, because all that wait are in `order`.
    values["groups"] = {name: entry | {"claims": {}} for name, entry in values["groups"].items()}
    play = Book.load(values, {group: book.plan(group)})
    for slot in play.in_flight(group):
        play.settle(slot, max(now, slot.taken_s + round_trip_s), None)
    times_s: list[float] = []
    at_s = now
    for priority in order:
        while not isinstance(answer := play.take("", group, Waiting.only(priority, now), at_s), Slot):
            at_s = answer
        play.settle(answer, at_s + round_trip_s, None)
        times_s.append(at_s)
    return times_s
