"""The sliding window of one usage plan group: our slots, and what others seem to use of it."""

from collections import deque

import attrs

from rcfs.model import Plan, RateHeaders
from rcfs.quota._ledger import Slot


@attrs.frozen
class _Ended:
    """One of our requests that is over."""

    taken_s: float
    """When it was sent, at the earliest."""
    ended_s: float
    """When its response headers arrived or it failed: the server counted it no later."""
    counted: bool
    """True when the server certainly counted it: it was answered, and not with a 429."""


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

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._in_flight: dict[int, Slot] = {}
        self._ended: deque[_Ended] = deque()
        self._foreign: tuple[_Foreign, ...] = ()

    def open(self, slot: Slot) -> None:
        """Count `slot` as in flight."""
        self._in_flight[slot.id] = slot

    def drop(self, slot: Slot) -> bool:
        """Forget that `slot` is in flight; False when it was not."""
        return self._in_flight.pop(slot.id, None) is not None

    def end(self, slot: Slot, now: float, *, counted: bool) -> None:
        """Count `slot`, which is not in flight any more, until one window from `now`."""
        self._ended.append(_Ended(slot.taken_s, now, counted))
        # What has left the window may still explain the `Remaining` of a request sent before it left.
        oldest = next(iter(self._in_flight.values()), slot)
        horizon = min(oldest.taken_s, slot.taken_s)
        while self._ended[0].ended_s + self.plan.window_s <= horizon:
            self._ended.popleft()

    def learn(self, slot: Slot, now: float, headers: RateHeaders) -> None:
        """Believe the headers of the response to `slot`, whose `end` was noted just before."""
        self.plan = attrs.evolve(
            self.plan,
            limit=headers.limit or self.plan.limit,
            window_s=headers.window_s or self.plan.window_s,
        )
        if headers.remaining is not None:
            self._compare(slot, now, self.plan.limit - headers.remaining)

    def used(self, now: float) -> int:
        """Slots that are not free, ours and others'."""
        return len(self._in_flight) + len(self._releases(now))

    def free_at_s(self, now: float, *, spare: int = 0) -> float:
        """The earliest time at which more than `spare` slots may be free; `now` when they are."""
        releases = sorted(self._releases(now))
        # The k-th release brings the use down to limit - spare - 1.
        k = len(self._in_flight) + len(releases) + spare + 1 - self.plan.limit
        if k <= 0:
            return now
        return releases[k - 1] if k <= len(releases) else now + self.plan.window_s

    def _releases(self, now: float) -> list[float]:
        """When each of the slots that are used but not in flight becomes free; all after `now`."""
        window_s = self.plan.window_s
        times = [ended.ended_s + window_s for ended in self._ended if ended.ended_s + window_s > now]
        steps = [step for step in self._foreign if step.seen_s + window_s > now]
        for i, step in enumerate(steps):
            lower = steps[i + 1].count if i + 1 < len(steps) else 0
            times += [step.seen_s + window_s] * (step.count - lower)
        return times

    def _compare(self, slot: Slot, now: float, used: int) -> None:
        """Correct the estimate of others' use: when it answered `slot`, the server counted `used`.

        The server decided at some moment between the sending of `slot` and `now`. Of our requests it
        then counted no more than those that were in flight, or over for less than a window, at any time
        in between; and no fewer than those answered before and sent less than a window before `now`.
        The rest of `used` are others', so an observation made before `slot` was sent is cut to the most
        that is possible, and what is certain is a new one.
        """
        window_s = self.plan.window_s
        *before, this = self._ended
        most = 1 + len(self._in_flight) + sum(ended.ended_s + window_s > slot.taken_s for ended in before)
        fewest = this.counted + sum(
            ended.counted and ended.ended_s <= slot.taken_s and ended.taken_s + window_s > now
            for ended in before
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
