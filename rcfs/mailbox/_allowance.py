"""How much of the quota goes to syncs that no person waits for: pure, all times in seconds from any origin.

Each loaded collection wants to be synced by time, and whenever the platform hints that something happened in
it. One of them costs little, but a thousand mailboxes would want 67 Light requests a minute by time alone,
and the default limit is 50. So all syncs of one cause in one usage plan group share an allowance.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

import attrs

from rcfs.mailbox._freshness import Freshness
from rcfs.model import Plan, UsageGroup

T = TypeVar("T")

_TIMED_SHARE: Final = 1 / 4
"""Share of a group's limit for syncs by time: up to 187 mailboxes are synced every quarter of an hour, as
they want, 1,000 mailboxes every 80 minutes."""
_HINTED_SHARE: Final = 1 / 2
"""Share of a group's limit for syncs after hints: more, because a hint mostly means news. Both together leave
a quarter to loads and pulls, in the busiest account."""


@attrs.define
class Allowance:
    """A token bucket: a whole limit at once after a pause, then a share of the limit."""

    share: float
    """Share of the limit, more than 0 and at most 1."""
    _paid_s: float = -math.inf
    """Until when the syncs so far use up the share."""

    def due_s(self, plan: Plan, now: float) -> float:
        """When the next sync may begin under `plan`; `now` if it may now."""
        return max(now, self._paid_s - (plan.limit - 1) * self._each_s(plan))

    def spend(self, plan: Plan, now: float) -> None:
        """Notes that a sync begins."""
        self._paid_s = max(now, self._paid_s) + self._each_s(plan)

    def _each_s(self, plan: Plan) -> float:
        return plan.window_s / (plan.limit * self.share)


class Allowances:
    """The allowances of all usage plan groups."""

    def __init__(self, plan_of: Callable[[UsageGroup], Plan]) -> None:
        """`plan_of` gives the present limits of a group."""
        self._plan_of = plan_of
        self._timed: defaultdict[UsageGroup, Allowance] = defaultdict(lambda: Allowance(_TIMED_SHARE))
        self._hinted: defaultdict[UsageGroup, Allowance] = defaultdict(lambda: Allowance(_HINTED_SHARE))

    def spend(self, due: Iterable[tuple[Freshness, T]], now: float) -> tuple[list[T], float]:
        """Lets syncs begin whose time has come, those first that wait longest by their own measure.

        Returns:
            Those of `due` that begin now, and when the next one may; inf if none is left.
        """
        begin, next_s, plans = list[T](), math.inf, dict[UsageGroup, Plan]()
        for freshness, each in sorted(due, key=lambda pair: -pair[0].lateness(now)):
            group = freshness.policy.group
            if group not in plans:
                plans[group] = self._plan_of(group)
            allowance = (self._hinted if freshness.is_hinted else self._timed)[group]
            due_s = allowance.due_s(plans[group], now)
            if due_s > now:
                next_s = min(next_s, due_s)
            else:
                allowance.spend(plans[group], now)
                begin.append(each)
        return begin, next_s
