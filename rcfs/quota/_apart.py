"""The knowledge of a process that cannot reach the home of its book; `rcfs.quota._outage` has the rules."""

import math
from typing import Final

import attrs

from rcfs.model import Plan, UsageGroup
from rcfs.quota._book import LINGER_S, Book
from rcfs.quota._bucket import hold_s
from rcfs.quota._outage import LONGEST_REQUEST_S
from rcfs.quota._values import Share

_TURN_S: Final = 5.0
"""How long a turn lasts, and how much the clocks of two processes may differ by then, in seconds."""


@attrs.define(eq=False)
class Apart:
    """A process that cannot reach the home of its book."""

    reason: str
    """Why not, in one line."""
    base: Book | None
    """The book as it was before the outage; None if this process has never seen it."""
    divisor: int
    """The share of this process: 1 divided by this, or none if it is 0."""
    place: int
    """Place of this process among all, from 0; everyone sorts them in the same way."""
    begin_s: float
    """From when on it may use its share."""
    sent_s: dict[UsageGroup, float] = attrs.field(factory=dict)
    """When this process last took a slot of each group."""

    @property
    def part(self) -> float:
        """The part of each limit that is this process's, from 0 to 1."""
        return 1 / self.divisor if self.divisor else 0.0

    def share(self, group: UsageGroup, plan: Plan, now: float) -> Share:
        """The part of the limit of `group` that this process may use.

        If that is less than one request in a window, the processes take turns, so far apart that no window
        has more requests than the limit.
        """
        if not self.divisor:
            return Share(from_s=self.begin_s, is_held=True)
        if own := plan.limit // self.divisor:
            return Share(plan.limit - own, self.begin_s)
        interval_s = (hold_s(plan) + LINGER_S + LONGEST_REQUEST_S + 2 * _TURN_S) / plan.limit
        period_s = self.divisor * interval_s
        turn_s = self._turn_s(group, self.place * interval_s, period_s, max(now, self.begin_s))
        return Share(plan.limit - 1, turn_s, period_s)

    def _turn_s(self, group: UsageGroup, first_s: float, period_s: float, now: float) -> float:
        """When this process may send one request of `group` in its turn; `now` if now."""
        turn_s = first_s + math.floor((now - first_s) / period_s) * period_s
        is_now = now < turn_s + _TURN_S and self.sent_s.get(group, -math.inf) < turn_s
        return now if is_now else turn_s + period_s
