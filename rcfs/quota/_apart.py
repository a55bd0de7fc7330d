"""The knowledge of a process that cannot reach the home of its book; `rcfs.quota._outage` has the rules."""

import attrs

from rcfs.model import Plan, UsageGroup
from rcfs.quota._book import LINGER_S, Book
from rcfs.quota._bucket import hold_s


@attrs.define(eq=False)
class Apart:
    """A process that cannot reach the home of its book."""

    reason: str
    """Why not, in one line."""
    base: Book | None
    """The book as it was before the outage; None if this process has never seen it."""
    version: int
    """The version of `base`."""
    parties: int
    """Number of processes before the outage, at least 1."""
    place: int
    """Place of this process among them, from 0; everyone sorts them in the same way."""
    since_s: float
    """When the outage began."""
    sent_s: dict[UsageGroup, float] = attrs.field(factory=dict)
    """When this process last took a slot of each group in its turn."""

    def turn_s(self, group: UsageGroup, plan: Plan) -> float:
        """When this process may send its next request of `group` if there are more processes than slots."""
        # The others' answers may be as late as that; nobody hears of them.
        interval_s = (hold_s(plan) + LINGER_S) / plan.limit
        if group in self.sent_s:
            return self.sent_s[group] + self.parties * interval_s
        return self.since_s + hold_s(plan) + self.place * interval_s
