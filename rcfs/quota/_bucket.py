"""The sliding window of one usage plan group: our slots, and what others seem to use of it."""

import math
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

import attrs

from rcfs.model import LONGEST_S, MOST_REQUESTS, Plan, RateHeaders, UsageGroup
from rcfs.quota._values import Slot

CLOCK_DRIFT: Final = 1e-3
"""How much slower the server's clock may go than ours, as a part of 1: time daemons slew a clock by up to
500 ppm (source: adjtimex(2) and the kernel's MAXFREQ), ours one way and the server's the other. It costs a
thousandth of the throughput; one request that is early by a blink costs a minute."""


_KEPT_APART: Final = 200
"""Ended requests that are kept one by one. Further ones are counted together in steps of a window's 200th
part: a plan of more than 200 requests a window, four times what the documentation names, gives 0.5 % away,
and its book stays short. It is written down at each change, which took 3 ms for 2,000 requests of a window
(measured 2026-11)."""


def hold_s(plan: Plan) -> float:
    """How long a slot counts after its request has ended: one window of `plan` by the server's clock."""
    return plan.window_s / (1 - CLOCK_DRIFT)


@attrs.frozen
class _Ended:
    """One of our requests that is over, or several."""

    taken_s: float
    """When the first was sent, at the earliest."""
    ended_s: float
    """When its response headers arrived or it failed: the server counted it no later."""
    counted: bool
    """True when the server certainly counted it: it was answered, and not with a 429."""
    count: int = 1
    """How many, at least 1."""


@attrs.frozen
class _Foreign:
    """Slots that others were seen to use."""

    count: int
    """How many, at least 1."""
    seen_s: float
    """When the response that told it arrived: they were taken no later."""


class Bucket:
    """Counts one group.

    Others' use is a staircase: observations in the order of their time, each lower than the one before,
    of which the first counts until it is a window old, then the next. An observation never adds to
    another, because both may have seen the same requests.
    """

    def __init__(self, prior: Plan) -> None:
        self.plan = prior
        self._learned = False
        self._in_flight: dict[int, Slot] = {}
        self._ended: deque[_Ended] = deque()
        self._foreign: tuple[_Foreign, ...] = ()

    @classmethod
    def load(cls, group: UsageGroup, values: Mapping[str, Any], prior: Plan, shift_s: float) -> "Bucket":
        """The bucket that `dump` gave, on a clock that shows `shift_s` more; what was learned beats `prior`.

        Raises:
            LookupError: Something is missing.
            TypeError: Something is of another kind.
            ValueError: Something is of another kind, or no plan.
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
            "learned": [self.plan.limit, self.plan.window_s] if self._learned else None,
            "in_flight": [[slot.id, slot.taken_s, slot.owner] for slot in self._in_flight.values()],
            "ended": [[ended.taken_s, ended.ended_s, ended.counted, ended.count] for ended in self._ended],
            "foreign": [[step.count, step.seen_s] for step in self._foreign],
        }

    @property
    def in_flight(self) -> tuple[Slot, ...]:
        """The slots whose requests are under way, in the order of their taking."""
        return tuple(self._in_flight.values())

    @property
    def round_trips_s(self) -> list[float]:
        """How long each request took lately."""
        return [ended.ended_s - ended.taken_s for ended in self._ended]

    @property
    def last_end_s(self) -> float:
        """When the last request ended, or will have; -inf when none has."""
        return max((ended.ended_s for ended in self._ended), default=-math.inf)

    @property
    def is_learned(self) -> bool:
        """Whether the server has told the plan; else it is assumed."""
        return self._learned

    def forget(self, prior: Plan) -> None:
        """Forget what the server told; our own requests still count."""
        self.plan, self._learned, self._foreign = prior, False, ()

    def bound(self, latest_s: float) -> None:
        """Let nothing be later than `latest_s` that is over."""
        joined_s = latest_s + self.plan.window_s / _KEPT_APART
        if self.last_end_s > joined_s:
            self._ended = deque(
                attrs.evolve(ended, ended_s=min(ended.ended_s, joined_s)) for ended in self._ended
            )
        self._foreign = tuple(attrs.evolve(step, seen_s=min(step.seen_s, latest_s)) for step in self._foreign)

    def open(self, slot: Slot) -> None:
        """Count `slot` as in flight."""
        self._in_flight[slot.id] = slot

    def drop(self, slot: Slot) -> bool:
        """Forget that `slot` is in flight; False when it was not."""
        # Compared whole: a ledger that was begun anew gives old numbers to others.
        if self._in_flight.get(slot.id) != slot:
            return False
        del self._in_flight[slot.id]
        return True

    def end(self, slot: Slot, now: float, *, counted: bool) -> None:
        """Count `slot`, which is not in flight any more, until one window from `now`."""
        self._ended.append(self._joined(_Ended(slot.taken_s, now, counted)))
        # What has left the window may still explain the `Remaining` of a request sent before it left.
        oldest = next(iter(self._in_flight.values()), slot)
        horizon = min(oldest.taken_s, slot.taken_s)
        while self._ended[0].ended_s + hold_s(self.plan) <= horizon:
            self._ended.popleft()

    def _joined(self, ended: _Ended) -> _Ended:
        """What to keep of `ended`: when there are many, it stands for the last one as well, if it can."""
        if len(self._ended) < _KEPT_APART:
            return ended
        step_s = self.plan.window_s / _KEPT_APART
        last, until_s = self._ended[-1], math.ceil(ended.ended_s / step_s) * step_s
        if last.ended_s != until_s or last.counted != ended.counted:
            return attrs.evolve(ended, ended_s=until_s)
        self._ended.pop()
        return attrs.evolve(last, taken_s=min(last.taken_s, ended.taken_s), count=last.count + 1)

    def learn(self, slot: Slot, now: float, headers: RateHeaders) -> None:
        """Believe the headers of the response to `slot`, whose `end` was noted just before."""
        self._believe(headers.limit or self.plan.limit, headers.window_s or self.plan.window_s)
        if headers.remaining is not None:
            self._compare(slot, now, self.plan.limit - headers.remaining)

    def _believe(self, limit: int, window_s: float) -> None:
        """Take the limit and the window for the server's, but for what goes beyond every reason."""
        self.plan = attrs.evolve(
            self.plan, limit=min(limit, MOST_REQUESTS), window_s=min(window_s, LONGEST_S)
        )
        self._learned = True

    def used(self, now: float) -> int:
        """Slots that are not free, ours and others'."""
        return len(self._in_flight) + len(self.releases(now))

    def free_at_s(self, now: float, *, spare: int = 0) -> float:
        """The earliest time at which more than `spare` slots may be free; `now` when they are."""
        most = len(self._in_flight) + sum(ended.count for ended in self._ended)
        most += self._foreign[0].count if self._foreign else 0
        if most + spare < self.plan.limit:
            return now  # The rule where the plan is large: the list of 1,500 releases would take 0.1 ms.
        releases = self.releases(now)
        # The k-th release brings the use down to limit - spare - 1.
        k = len(self._in_flight) + len(releases) + spare + 1 - self.plan.limit
        if k <= 0:
            return now
        return releases[k - 1] if k <= len(releases) else now + hold_s(self.plan)

    def releases(self, now: float) -> list[float]:
        """When each of the slots that are used but not in flight becomes free; sorted, all after `now`."""
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
        then counted no more than those that were in flight, or over for less than a window, at any time
        in between; and no fewer than those answered before and sent less than a window before `now`.
        The rest of `used` are others', so an observation made before `slot` was sent is cut to the most
        that is possible, and what is certain is a new one.
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
