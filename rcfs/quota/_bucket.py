"""The sliding window of one usage plan group: our slots, and the slots that others seem to use."""

import math
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

import attrs

from rcfs.model import LONGEST_S, MOST_REQUESTS, Plan, RateHeaders, UsageGroup
from rcfs.quota._values import Slot

CLOCK_DRIFT: Final = 1e-3
"""How much slower the server's clock may run than ours, as a part of 1: time daemons slew a clock by up to
500 ppm (source: adjtimex(2) and the kernel's MAXFREQ), ours one way and the server's the other. It costs a
thousandth of the throughput; one request that is early by a millisecond costs a minute."""

_KEPT_APART: Final = 200
"""Number of ended requests that are kept one by one; further ones are counted together in steps of 1/200 of a
window. So a plan of more than 200 requests a window, four times the largest documented one, loses 0.5 %, and
its book stays short: storing one of 2,000 requests took 3 ms at each change (measured 2026-11)."""


def hold_s(plan: Plan) -> float:
    """How long a slot counts after its request has ended: one window of `plan` by the server's clock."""
    return plan.window_s / (1 - CLOCK_DRIFT)


@attrs.frozen
class _Ended:
    """One or several of our requests that have ended."""

    taken_s: float
    """Earliest time at which the first was sent."""
    ended_s: float
    """Latest time at which the server counted one: its response headers arrived then, or it was given up
    `LINGER_S` before."""
    counted: bool
    """Whether the server certainly counted them: they were answered, and not with a 429."""
    count: int = 1
    """Number of requests, at least 1."""


@attrs.frozen
class _Foreign:
    """Slots that others use, as one response shows."""

    count: int
    """Number of slots, at least 1."""
    seen_s: float
    """When that response arrived: the slots were taken no later."""


class Bucket:
    """The window of one group.

    Others' use is a staircase: observations in the order of their time, each lower than the one before.
    The first counts until it is a window old, then the next. They are never added up, because two of them
    may have seen the same requests.

    Attributes:
        plan: The plan that counts now.
        is_learned: Whether the server has told the plan; else it is assumed.
    """

    def __init__(self, prior: Plan) -> None:
        self.plan = prior
        self.is_learned = False
        self._in_flight: dict[tuple[str, int], Slot] = {}
        self._ended: deque[_Ended] = deque()
        self._foreign: tuple[_Foreign, ...] = ()

    @classmethod
    def load(cls, group: UsageGroup, values: Mapping[str, Any], prior: Plan, shift_s: float) -> "Bucket":
        """The bucket that was dumped as `values`, its times moved by `shift_s`.

        Raises:
            LookupError, TypeError, ValueError: As for `Book.load`.
        """
        bucket = cls(prior)
        if values["learned"] is not None:
            limit, window_s = values["learned"]
            bucket._believe(int(limit), float(window_s))
        for number, taken_s, owner in values["in_flight"]:
            bucket.open(Slot(int(number), group, taken_s + shift_s, str(owner)))
        bucket._ended.extend(
            _Ended(taken_s + shift_s, ended_s + shift_s, bool(counted), int(count))
            for taken_s, ended_s, counted, count in values["ended"]
        )
        bucket._foreign = tuple(
            _Foreign(min(int(count), bucket.plan.limit), seen_s + shift_s)
            for count, seen_s in values["foreign"]
        )
        return bucket

    def dump(self) -> dict[str, Any]:
        """The state as JSON values."""
        return {
            "learned": [self.plan.limit, self.plan.window_s] if self.is_learned else None,
            "in_flight": [[slot.id, slot.taken_s, slot.owner] for slot in self._in_flight.values()],
            "ended": [[ended.taken_s, ended.ended_s, ended.counted, ended.count] for ended in self._ended],
            "foreign": [[step.count, step.seen_s] for step in self._foreign],
        }

    @property
    def in_flight(self) -> tuple[Slot, ...]:
        """The slots in flight, oldest first."""
        return tuple(self._in_flight.values())

    @property
    def round_trips_s(self) -> list[float]:
        """Seconds from taking a slot to the answer, for each request that is remembered and was counted."""
        return [ended.ended_s - ended.taken_s for ended in self._ended if ended.counted]

    @property
    def last_end_s(self) -> float:
        """When the last request ended, or will have ended for certain; -inf without any."""
        return max((ended.ended_s for ended in self._ended), default=-math.inf)

    def forget(self, prior: Plan) -> None:
        """Assume `prior` again, and nothing of others; our own requests still count."""
        self.plan, self.is_learned, self._foreign = prior, False, ()

    def bound(self, latest_s: float) -> None:
        """Cut the times of what has ended to `latest_s`."""
        joined_s = latest_s + self.plan.window_s / _KEPT_APART
        if self.last_end_s > joined_s:
            self._ended = deque(
                attrs.evolve(ended, ended_s=min(ended.ended_s, joined_s)) for ended in self._ended
            )
        self._foreign = tuple(attrs.evolve(step, seen_s=min(step.seen_s, latest_s)) for step in self._foreign)

    def open(self, slot: Slot) -> None:
        """Record that `slot` is in flight."""
        self._in_flight[slot.owner, slot.id] = slot

    def adopt(self, slot: Slot) -> None:
        """Record that `slot` is in flight; until now it was part of others' use, where that was seen."""
        self.open(slot)
        self._foreign = tuple(
            attrs.evolve(step, count=step.count - 1) if step.seen_s >= slot.taken_s else step
            for step in self._foreign
            if step.count > 1 or step.seen_s < slot.taken_s
        )

    def drop(self, slot: Slot) -> bool:
        """Record that `slot` is no longer in flight; False when it was not."""
        # Compared whole: a new ledger in the place of a lost one gives the same ids to other slots.
        if self._in_flight.get((slot.owner, slot.id)) != slot:
            return False
        del self._in_flight[slot.owner, slot.id]
        return True

    def end(self, slot: Slot, ended_s: float, *, counted: bool) -> None:
        """Count `slot`, which is no longer in flight, until one window from `ended_s`."""
        self._ended.append(self._joined(_Ended(slot.taken_s, ended_s, counted)))
        # A request that has left the window may still explain the `Remaining` of one sent before it left.
        oldest = next(iter(self._in_flight.values()), slot)
        horizon = min(oldest.taken_s, slot.taken_s)
        while self._ended[0].ended_s + hold_s(self.plan) <= horizon:
            self._ended.popleft()

    def _joined(self, ended: _Ended) -> _Ended:
        """`ended`, or when many are kept, one value for it and the last one, if their times allow."""
        if len(self._ended) < _KEPT_APART:
            return ended
        step_s = self.plan.window_s / _KEPT_APART
        last, until_s = self._ended[-1], math.ceil(ended.ended_s / step_s) * step_s
        if last.ended_s != until_s or last.counted != ended.counted:
            return attrs.evolve(ended, ended_s=until_s)
        self._ended.pop()
        return attrs.evolve(last, taken_s=min(last.taken_s, ended.taken_s), count=last.count + 1)

    def learn(self, slot: Slot, now: float, headers: RateHeaders) -> None:
        """Correct plan and others' use by the response to `slot`, which was ended just before."""
        self._believe(headers.limit or self.plan.limit, headers.window_s or self.plan.window_s)
        if headers.remaining is not None:
            self._compare(slot, now, self.plan.limit - headers.remaining)

    def expects(self, headers: RateHeaders) -> bool:
        """Whether an answer with `headers` tells nothing of the plan or of others that is not known."""
        plan = self._bounded(headers.limit or self.plan.limit, headers.window_s or self.plan.window_s)
        if not self.is_learned or plan != self.plan:
            return False
        return headers.remaining is None or plan.limit - headers.remaining <= self._most_used

    @property
    def _most_used(self) -> int:
        """The number of slots that are not free at most, ours and others'; quicker than `used`."""
        others = self._foreign[0].count if self._foreign else 0
        return len(self._in_flight) + sum([ended.count for ended in self._ended]) + others

    def _believe(self, limit: int, window_s: float) -> None:
        """Replace the plan's limit and window."""
        self.plan = self._bounded(limit, window_s)
        self.is_learned = True

    def _bounded(self, limit: int, window_s: float) -> Plan:
        """The plan with this limit and window, within the bounds of what rcfs believes."""
        return attrs.evolve(self.plan, limit=min(limit, MOST_REQUESTS), window_s=min(window_s, LONGEST_S))

    def used(self, now: float) -> int:
        """The number of slots that are not free, ours and others'."""
        return len(self._in_flight) + len(self.releases(now))

    def free_at_s(self, now: float, *, spare: int = 0) -> float:
        """The earliest time at which more than `spare` slots may be free; `now` if they are."""
        if self._most_used + spare < self.plan.limit:
            return now  # A shortcut for large plans: the list of 1,500 releases would take 0.1 ms.
        releases = self.releases(now)
        # The k-th release brings the use down to limit - spare - 1.
        k = len(self._in_flight) + len(releases) + spare + 1 - self.plan.limit
        if k <= 0:
            return now
        return releases[k - 1] if k <= len(releases) else now + hold_s(self.plan)

    def foreign(self, now: float) -> int:
        """The number of slots that others use."""
        return max((step.count for step in self._foreign if step.seen_s + hold_s(self.plan) > now), default=0)

    def releases(self, now: float) -> list[float]:
        """The times, all after `now`, at which the used slots that are not in flight become free; sorted."""
        held_s = hold_s(self.plan)
        times = [
            at_s
            for ended in self._ended
            if (at_s := ended.ended_s + held_s) > now
            for _each in range(ended.count)
        ]
        steps = [step for step in self._foreign if step.seen_s + held_s > now]
        for i, step in enumerate(steps):
            lower = steps[i + 1].count if i + 1 < len(steps) else 0
            times += [step.seen_s + held_s] * (step.count - lower)
        return sorted(times)

    def _compare(self, slot: Slot, now: float, used: int) -> None:
        """Correct the estimate of others' use: when it answered `slot`, the server counted `used`.

        The server decided at some moment between the sending of `slot` and `now`. Of our requests it
        then counted no more than those that were in flight, or had ended less than a window ago, at any time
        in between; and no fewer than those answered before and sent less than a window before `now`. The rest
        of `used` are others'. So observations made before `slot` was sent are cut to the largest possible
        rest, and the smallest possible rest is a new observation.
        """
        longest_s, shortest_s = hold_s(self.plan), self.plan.window_s * (1 - CLOCK_DRIFT)
        *before, this = self._ended
        most = this.count + len(self._in_flight)
        most += sum(ended.count for ended in before if ended.ended_s + longest_s > slot.taken_s)
        fewest = this.counted + sum(
            ended.count
            for ended in before
            if ended.counted and ended.ended_s <= slot.taken_s and ended.taken_s + shortest_s > now
        )
        observed = [
            attrs.evolve(step, count=min(step.count, used - fewest)) if step.seen_s <= slot.taken_s else step
            for step in self._foreign
        ]
        staircase: list[_Foreign] = []
        for step in reversed([*observed, _Foreign(used - most, now)]):
            if step.count > (staircase[-1].count if staircase else 0):
                staircase.append(step)
        self._foreign = tuple(reversed(staircase))
