"""The simulator's rate limits under random traffic, against an oracle that only reads the history.

The police keep queues and deadlines. The oracle keeps only the history, and checks each verdict against the
rules as the documentation words them.
"""

import math

import attrs
from hypothesis import given
from hypothesis import strategies as st

from rcfs.model import Plan, UsageGroup
from rcfs.simulator._police import BucketKey, Police, Verdict
from rcfs.simulator._wire import rate_headers, retry_after

GROUPS = (UsageGroup("light"), UsageGroup("medium"))
KEYS = tuple(BucketKey(user, "app", group) for user in ("101", "102") for group in GROUPS)

plans = st.builds(
    Plan,
    limit=st.integers(1, 5),
    window_s=st.sampled_from([1.0, 7.5, 20.0, 60.0]),
    penalty_s=st.sampled_from([0.5, 5.0, 30.0, 60.0]),
)
# Whole and half seconds now and then, so that moments coincide with the ends of windows and penalties.
gaps_s = st.one_of(
    st.sampled_from([0.0, 0.0, 0.5, 1.0, 5.0, 7.5, 20.0, 30.0, 60.0]),
    st.floats(0.0, 25.0).map(lambda gap_s: round(gap_s * 64) / 64),  # exact sums: no rounding to argue about
)
arrivals = st.lists(st.tuples(gaps_s, st.sampled_from(KEYS)), min_size=1, max_size=80)


@attrs.define
class History:
    """All verdicts on one bucket, with a check of each."""

    plan: Plan
    fixed: bool
    admitted: list[float] = attrs.field(factory=list)
    refused: list[float] = attrs.field(factory=list)
    window_starts: list[float] = attrs.field(factory=list)

    def penalty_ends(self) -> float:
        """The end of the penalty if nothing more is sent: every refusal, early or not, has restarted it."""
        return self.refused[-1] + self.plan.penalty_s if self.refused else -math.inf

    def in_window(self, now: float) -> list[float]:
        """The admitted requests that count at `now`."""
        window_s = self.plan.window_s
        if not self.fixed:
            return [moment for moment in self.admitted if moment > now - window_s]
        if not self.window_starts or now >= self.window_starts[-1] + window_s:
            return []
        return [moment for moment in self.admitted if moment >= self.window_starts[-1]]

    def room_at(self, now: float) -> float:
        """The first time from `now` on with room in the window, if nothing more is sent."""
        ends = [moment + self.plan.window_s for moment in (*self.admitted, *self.window_starts)]
        candidates = sorted({now, *(end for end in ends if end > now)})
        return next(moment for moment in candidates if len(self.in_window(moment)) < self.plan.limit)

    def check(self, verdict: Verdict, now: float) -> None:
        """Fail unless `verdict` is right; then record it."""
        punished = now < self.penalty_ends()
        used = len(self.in_window(now))
        assert verdict.admitted == (not punished and used < self.plan.limit)
        assert verdict.in_penalty == punished
        headers = rate_headers(verdict.group, verdict.plan, verdict.remaining)
        if verdict.admitted:
            if self.fixed and not self.in_window(now):
                self.window_starts.append(now)
            self.admitted.append(now)
            assert headers["X-Rate-Limit-Remaining"] == str(self.plan.limit - used - 1)
            assert verdict.retry_after_s == 0.0
        else:
            self.refused.append(now)
            assert headers["X-Rate-Limit-Remaining"] == "0"
            free_at = max(self.penalty_ends(), self.room_at(now))
            assert verdict.retry_after_s == free_at - now
            assert int(retry_after(verdict.retry_after_s)["Retry-After"]) >= free_at - now
        assert headers["X-Rate-Limit-Limit"] == str(self.plan.limit)
        assert headers["X-Rate-Limit-Window"] == str(math.ceil(self.plan.window_s))
        assert headers["X-Rate-Limit-Group"] == verdict.group
        assert verdict.has_headers

    def check_windows(self) -> None:
        """Fail if a window holds more than the limit, or if a request was admitted in a penalty."""
        window_s, limit = self.plan.window_s, self.plan.limit
        starts = self.window_starts if self.fixed else self.admitted
        for start in starts:
            assert sum(start <= moment < start + window_s for moment in self.admitted) <= limit
        for begun in self.refused:
            assert not [m for m in self.admitted if begun < m < begun + self.plan.penalty_s]


@given(arrivals=arrivals, light=plans, medium=plans, fixed=st.booleans())
def test_every_verdict_follows_from_the_history(
    arrivals: list[tuple[float, BucketKey]], light: Plan, medium: Plan, fixed: bool
) -> None:
    limits = dict(zip(GROUPS, (light, medium), strict=True))
    police = Police(limits, fixed_window=fixed)
    histories = {key: History(limits[key.group], fixed) for key in KEYS}
    now = 0.0
    for gap_s, key in arrivals:
        now += gap_s
        history = histories[key]
        meter = next((m for m in police.meters(now) if (m.user, m.group) == (key.user, key.group)), None)
        if meter is not None:
            assert meter.used == len(history.in_window(now))
            assert meter.penalty_left_s == max(0.0, history.penalty_ends() - now)
        history.check(police.arrive(key, now), now)
    for history in histories.values():
        history.check_windows()


@given(plan=plans, fixed=st.booleans(), early=st.lists(st.floats(0.0, 0.99), max_size=6))
def test_each_early_request_restarts_the_penalty(plan: Plan, fixed: bool, early: list[float]) -> None:
    police = Police({GROUPS[0]: plan}, fixed_window=fixed)
    now = 0.0
    while police.arrive(KEYS[0], now).admitted:
        pass
    for share in early:
        now += share * plan.penalty_s
        assert police.arrive(KEYS[0], now).in_penalty
    just_before = now + plan.penalty_s - 1 / 64
    assert police.arrive(KEYS[0], just_before).in_penalty
    after = just_before + max(plan.penalty_s, plan.window_s)
    assert police.arrive(KEYS[0], after).admitted


def test_unused_groups_have_a_meter_too() -> None:
    police = Police()
    police.arrive(KEYS[1], 0.0)
    assert [(m.group, m.used) for m in police.meters(1.0)] == [
        ("medium", 1),
        ("auth", 0),
        ("heavy", 0),
        ("light", 0),
    ]
