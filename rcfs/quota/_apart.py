"""The knowledge of a process that cannot reach the home of its book; `rcfs.quota._outage` has the rules."""

import math
from typing import Final

import attrs

from rcfs.model import Plan, UsageGroup
from rcfs.quota._book import LINGER_S, Book
from rcfs.quota._bucket import hold_s
from rcfs.quota._outage import LONGEST_REQUEST_S

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
    """When this process last took a slot of each group in its turn."""

    def share(self, plan: Plan) -> int:
        """The number of requests in a window that are this process's."""
        return plan.limit // self.divisor if self.divisor else 0

    def turn_s(self, group: UsageGroup, plan: Plan, now: float) -> float:
        """When this process may send one request of `group` if its share is less than one; `now` if now.

        Each process has its turn after another, so far apart that no window has more requests than the limit.
        """
        if not self.divisor:
            return math.inf
        period_s = self.period_s(plan)
        first_s = self.place * period_s / self.divisor
        turn_s = first_s + math.floor((now - first_s) / period_s) * period_s
        is_now = now < turn_s + _TURN_S and self.sent_s.get(group, -math.inf) < turn_s
        return now if is_now else turn_s + period_s

    def period_s(self, plan: Plan) -> float:
        """The time from one turn of this process to its next one, in seconds."""
        interval_s = (hold_s(plan) + LINGER_S + LONGEST_REQUEST_S + 2 * _TURN_S) / plan.limit
        return self.divisor * interval_s
