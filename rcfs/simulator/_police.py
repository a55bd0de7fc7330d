"""The platform's rate limits, sans-IO: which requests are admitted, and which penalties they start.

A bucket belongs to one (user, client, usage plan group). An admitted request counts from the moment it
arrives. A request beyond the limit is refused and starts a penalty, and **every request that arrives during
the penalty restarts it**. A refused request takes no slot of the window. The documentation is silent on this,
but it makes no difference, because nothing is admitted before the penalty has passed.

There is also the freeze, the documentation's account-level limit: it refuses everything that one user sends
through one client, whatever the group, and its answers carry no rate headers.

This is an independent implementation, not shared with the program: if two readings of the same rules agree,
that says more than one reading used twice.

Source: "Rate limits" of RingCentral's API documentation.
"""

from collections import deque
from collections.abc import Mapping

import attrs

from rcfs.model import PRIOR_PLANS, Plan, UsageGroup


@attrs.frozen
class BucketKey:
    """The requests that share a budget."""

    user: str
    """Extension id of the login; empty for the token endpoint, which counts per client."""
    client: str
    """Client id of the app."""
    group: UsageGroup
    """Usage plan group of the operation."""


@attrs.frozen
class Verdict:
    """The decision on one request, and the budget that its answer reports."""

    admitted: bool
    """False for an answer of 429."""
    group: UsageGroup
    """Usage plan group that the request counted for."""
    plan: Plan
    """Plan of that group at this moment."""
    remaining: int
    """Requests of the window that are left after this one; 0 when refused."""
    in_penalty: bool
    """Whether it arrived while its bucket or its user had a penalty, which it restarted."""
    retry_after_s: float
    """Seconds until a request can be admitted if none is sent before; 0 when admitted."""
    has_headers: bool
    """Whether the answer carries ``X-Rate-Limit-*``; that of an account-level refusal does not."""


@attrs.frozen
class Meter:
    """The use of one budget at one moment."""

    user: str
    """Extension id of the login; empty for a budget per app, and for a group that nobody has used."""
    client: str
    """Client id of the app; empty for a group that nobody has used."""
    group: UsageGroup
    """Usage plan group."""
    limit: int
    """Requests allowed per window."""
    used: int
    """Requests in the present window."""
    window_s: float
    """Length of a window, in seconds."""
    penalty_left_s: float
    """Seconds until the penalty ends if nothing is sent; 0 without a penalty."""


@attrs.define
class _Penalty:
    """A period of refusal that restarts with every request."""

    until: float
    length_s: float

    def restarted(self, now: float) -> bool:
        """Whether `now` lies within the penalty, which this call then restarts."""
        if now >= self.until:
            return False
        self.until = now + self.length_s
        return True


@attrs.define
class _Bucket:
    """The state of one bucket."""

    arrivals: deque[float] = attrs.field(factory=deque)
    """Times of the admitted requests that still count, oldest first; a fixed window starts with the first."""
    penalty: _Penalty | None = None


class Police:
    """Counts requests and decides on each; `now` is in seconds of any origin and never goes back."""

    def __init__(self, plans: Mapping[UsageGroup, Plan] = PRIOR_PLANS, *, fixed_window: bool = False) -> None:
        self._plans = {**PRIOR_PLANS, **plans}
        self._fixed_window = fixed_window
        self._buckets: dict[BucketKey, _Bucket] = {}
        self._freezes: dict[tuple[str, str], _Penalty] = {}
        self._own: dict[tuple[str, str], Mapping[UsageGroup, Plan]] = {}

    @property
    def plans(self) -> Mapping[UsageGroup, Plan]:
        """The present plan of each group."""
        return dict(self._plans)

    def change_plans(self, plans: Mapping[UsageGroup, Plan]) -> None:
        """Apply `plans` from the next request on; groups without an entry keep their plans."""
        self._plans.update(plans)

    def set_own(self, user: str, client: str, plans: Mapping[UsageGroup, Plan]) -> None:
        """Give one user in one app `plans` of its own."""
        self._own[user, client] = plans

    def _plan(self, key: BucketKey) -> Plan:
        return self._own.get((key.user, key.client), {}).get(key.group) or self._plans[key.group]

    def arrive(self, key: BucketKey, now: float) -> Verdict:
        """The decision on a request that arrives at `now`; this call counts the request.

        Raises:
            KeyError: The group of `key` has no plan.
        """
        plan = self._plan(key)
        freeze = self._freezes.get((key.user, key.client))
        if freeze is not None and freeze.restarted(now):
            return self._refusal(key, plan, freeze.length_s, in_penalty=True, has_headers=False)
        bucket = self._buckets.setdefault(key, _Bucket())
        slot_at = self._slot_at(bucket, plan, now)
        if bucket.penalty is not None and bucket.penalty.restarted(now):
            wait_s = max(bucket.penalty.length_s, slot_at - now)
            return self._refusal(key, plan, wait_s, in_penalty=True)
        if slot_at > now:
            bucket.penalty = _Penalty(now + plan.penalty_s, plan.penalty_s)
            return self._refusal(key, plan, max(plan.penalty_s, slot_at - now), in_penalty=False)
        bucket.arrivals.append(now)
        return Verdict(
            admitted=True,
            group=key.group,
            plan=plan,
            remaining=plan.limit - len(bucket.arrivals),
            in_penalty=False,
            retry_after_s=0.0,
            has_headers=True,
        )

    def meters(self, now: float) -> list[Meter]:
        """The use of each budget; groups that nobody has used come last."""
        used = [self._meter(key, bucket, now) for key, bucket in self._buckets.items()]
        unused = self._plans.keys() - {key.group for key in self._buckets}
        return used + [self._meter(BucketKey("", "", group), _Bucket(), now) for group in sorted(unused)]

    def punish(self, key: BucketKey, now: float, penalty_s: float) -> None:
        """Start a penalty of `penalty_s` seconds for the bucket `key`."""
        self._buckets.setdefault(key, _Bucket()).penalty = _Penalty(now + penalty_s, penalty_s)

    def freeze(self, user: str, client: str, now: float, penalty_s: float) -> None:
        """Refuse all requests of `user` through `client` for `penalty_s` seconds, without rate headers."""
        self._freezes[user, client] = _Penalty(now + penalty_s, penalty_s)

    def _meter(self, key: BucketKey, bucket: _Bucket, now: float) -> Meter:
        plan = self._plan(key)
        window_from = now - plan.window_s
        if self._fixed_window:
            used = len(bucket.arrivals) if bucket.arrivals and bucket.arrivals[0] > window_from else 0
        else:
            used = sum(arrival > window_from for arrival in bucket.arrivals)
        penalties = (bucket.penalty, self._freezes.get((key.user, key.client)))
        left_s = max((penalty.until - now for penalty in penalties if penalty is not None), default=0.0)
        return Meter(key.user, key.client, key.group, plan.limit, used, plan.window_s, max(0.0, left_s))

    def _slot_at(self, bucket: _Bucket, plan: Plan, now: float) -> float:
        """The time at which `bucket` has room, `now` if it has; drops arrivals that no longer count.

        An arrival exactly one window ago no longer counts.
        """
        if self._fixed_window:
            if bucket.arrivals and now >= bucket.arrivals[0] + plan.window_s:
                bucket.arrivals.clear()
            return now if len(bucket.arrivals) < plan.limit else bucket.arrivals[0] + plan.window_s
        while bucket.arrivals and now >= bucket.arrivals[0] + plan.window_s:
            bucket.arrivals.popleft()
        too_many = len(bucket.arrivals) - plan.limit
        return now if too_many < 0 else bucket.arrivals[too_many] + plan.window_s

    @staticmethod
    def _refusal(
        key: BucketKey, plan: Plan, wait_s: float, *, in_penalty: bool, has_headers: bool = True
    ) -> Verdict:
        return Verdict(
            admitted=False,
            group=key.group,
            plan=plan,
            remaining=0,
            in_penalty=in_penalty,
            retry_after_s=wait_s,
            has_headers=has_headers,
        )
