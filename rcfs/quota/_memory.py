"""The ledger of one process, forgotten when it ends."""

import itertools
from collections.abc import Mapping
from typing import Final

from rcfs.model import PRIOR_PLANS, Plan, RateHeaders, UsageGroup
from rcfs.quota._bucket import Bucket
from rcfs.quota._ledger import GroupState, Ledger, Slot

FREEZE_MIN_S: Final = 30.0
"""Shortest wait after a 429 without ``Retry-After``; source: "Rate limits" of the API's documentation."""

FREEZE_MARGIN_S: Final = 1.0
"""Added to every wait after a 429: ``Retry-After`` counts whole seconds, so it may be rounded down, and a
request that is early by a blink restarts a penalty of a minute."""

UNKNOWN_PLAN: Final = Plan(limit=5)
"""What is assumed of a group that no prior names: the smallest of the documented limits (Auth)."""


class MemoryLedger(Ledger):
    """A `Ledger` in memory, for one event loop: it has no lock.

    Args:
        plans: What is assumed of each group until a response says otherwise.
    """

    def __init__(self, plans: Mapping[UsageGroup, Plan] = PRIOR_PLANS) -> None:
        self._buckets = {group: Bucket(plan) for group, plan in plans.items()}
        self._frozen_until_s: dict[UsageGroup | None, float] = {}  # None: every group
        self._ids = itertools.count()

    def plan(self, group: UsageGroup) -> Plan:
        """See `Ledger.plan`."""
        return self._bucket(group).plan

    def take(self, group: UsageGroup, now: float, *, spare: int = 0) -> Slot | float:
        """See `Ledger.take`."""
        bucket = self._bucket(group)
        at_s = max(self._thaw_s(group, now), bucket.free_at_s(now, spare=spare))
        if at_s > now:
            return at_s
        slot = Slot(next(self._ids), group, now)
        bucket.open(slot)
        return slot

    def settle(self, slot: Slot, now: float, headers: RateHeaders | None) -> None:
        """See `Ledger.settle`."""
        self._end(slot, now, headers, counted=True)

    def fail(self, slot: Slot, now: float) -> None:
        """See `Ledger.fail`."""
        if self._end(slot, now, None, counted=False):
            for scope in (slot.group, None):
                if self._frozen_until_s.get(scope, now) > now:
                    self._freeze(scope, now, self._penalty_s(slot.group))

    def refuse(
        self, slot: Slot, now: float, headers: RateHeaders | None, retry_after_s: float | None
    ) -> None:
        """See `Ledger.refuse`.

        Without ``Retry-After`` the wait is the plan's penalty: the documentation asks for 30 s at least,
        but a penalty is 60 s, and asking again after 30 would restart it.
        """
        self._end(slot, now, headers, counted=False)
        scope = headers.group if headers else None
        if retry_after_s is None:
            retry_after_s = self._penalty_s(scope or slot.group)
        self._freeze(scope, now, retry_after_s)

    def cancel(self, slot: Slot) -> None:
        """See `Ledger.cancel`."""
        self._bucket(slot.group).drop(slot)

    def states(self, now: float) -> tuple[GroupState, ...]:
        """See `Ledger.states`; the configured groups come first, then the others as they were seen."""
        return tuple(self._state(group, bucket, now) for group, bucket in self._buckets.items())

    def _state(self, group: UsageGroup, bucket: Bucket, now: float) -> GroupState:
        thaw_s = self._thaw_s(group, now)
        return GroupState(
            group=group,
            used=bucket.used(now),
            limit=bucket.plan.limit,
            window_s=bucket.plan.window_s,
            next_free_s=max(thaw_s, bucket.free_at_s(now)) - now,
            frozen_for_s=thaw_s - now,
        )

    def _bucket(self, group: UsageGroup) -> Bucket:
        return self._buckets.setdefault(group, Bucket(UNKNOWN_PLAN))

    def _end(self, slot: Slot, now: float, headers: RateHeaders | None, *, counted: bool) -> bool:
        """End `slot` in the group where it counts; False when it had ended already."""
        if not self._bucket(slot.group).drop(slot):
            return False
        bucket = self._bucket(headers.group if headers else slot.group)
        bucket.end(slot, now, counted=counted)
        if headers:
            bucket.learn(slot, now, headers)
        return True

    def _penalty_s(self, group: UsageGroup) -> float:
        return max(FREEZE_MIN_S, self._bucket(group).plan.penalty_s)

    def _freeze(self, scope: UsageGroup | None, now: float, wait_s: float) -> None:
        until_s = now + wait_s + FREEZE_MARGIN_S
        self._frozen_until_s[scope] = max(until_s, self._frozen_until_s.get(scope, until_s))

    def _thaw_s(self, group: UsageGroup, now: float) -> float:
        """When the group's penalty and the general one are over; `now` when they are."""
        return max(now, *(self._frozen_until_s.get(scope, now) for scope in (group, None)))
