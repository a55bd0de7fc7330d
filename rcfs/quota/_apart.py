"""The knowledge of a process that cannot reach the home of its book; `rcfs.quota._outage` has the rules."""

import math
from typing import Final

import attrs

from rcfs.model import Plan
from rcfs.quota._book import LINGER_S, Book
from rcfs.quota._bucket import hold_s
from rcfs.quota._outage import LONGEST_REQUEST_S
from rcfs.quota._values import Share

_TURN_S: Final = 5.0
"""How long a turn lasts, and how much the clocks of two processes may differ by then, in seconds."""


@attrs.frozen
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

    @property
    def part(self) -> float:
        """The part of each limit that is this process's, from 0 to 1."""
        return 1 / self.divisor if self.divisor else 0.0

    def share(self, plan: Plan, now: float) -> Share:
        """The part of the limit of `plan` that this process may use.

        If that is less than one request in a window, the processes take turns, so far apart that no window
        has more requests than the limit. In its turn a process has one slot.
        """
        if not self.divisor:
            return Share(from_s=self.begin_s, is_held=True)
        if own := plan.limit // self.divisor:
            return Share(plan.limit - own, self.begin_s)
        interval_s = (hold_s(plan) + LINGER_S + LONGEST_REQUEST_S + 2 * _TURN_S) / plan.limit
        first_s, period_s = self.place * interval_s, self.divisor * interval_s
        at_s = max(now, self.begin_s)
        turn_s = first_s + math.floor((at_s - first_s) / period_s) * period_s
        is_on = at_s < turn_s + _TURN_S
        return Share(plan.limit - 1, at_s if is_on else turn_s + period_s, period_s)
