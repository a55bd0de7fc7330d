"""The simulator's rate limits, without a server."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rcfs.model import Plan, UsageGroup
from rcfs.simulator._police import BucketKey, Police

MEDIUM, LIGHT = UsageGroup("medium"), UsageGroup("light")
KEY = BucketKey("user", "app", MEDIUM)


def police(limit: int, window_s: float, penalty_s: float, *, fixed: bool = False) -> Police:
    return Police({MEDIUM: Plan(limit, window_s, penalty_s)}, fixed_window=fixed)


def test_the_window_slides_over_the_times_of_arrival() -> None:
    p = police(2, 60, 5)
    assert [p.arrive(KEY, now).remaining for now in (0.0, 50.0)] == [1, 0]
    assert p.arrive(KEY, 60.0).admitted, "the arrival at 0 is exactly one window old"
    refused = p.arrive(KEY, 70.0)
    assert not refused.admitted
    assert refused.retry_after_s == 40.0, "the slot of the arrival at 50 comes free at 110, not after 5 s"


def test_a_request_over_the_limit_is_refused_but_not_in_a_penalty_itself() -> None:
    p = police(1, 60, 60)
    p.arrive(KEY, 0.0)
    refused = p.arrive(KEY, 1.0)
    assert (refused.admitted, refused.in_penalty, refused.has_headers) == (False, False, True)
    assert (refused.remaining, refused.retry_after_s) == (0, 60.0)


def test_every_request_in_the_penalty_restarts_it() -> None:
    p = police(1, 10, 60)
    p.arrive(KEY, 0.0)
    p.arrive(KEY, 1.0)
    for now in (50.0, 100.0, 159.9):
        verdict = p.arrive(KEY, now)
        assert (verdict.admitted, verdict.in_penalty, verdict.retry_after_s) == (False, True, 60.0)
    assert p.arrive(KEY, 219.9).admitted


def test_fixed_window_ends_at_once() -> None:
    p = police(2, 60, 1, fixed=True)
    assert [p.arrive(KEY, now).admitted for now in (0.0, 59.0, 60.0, 61.0)] == [True] * 4
    assert p.arrive(KEY, 62.0).retry_after_s == 58.0


def test_buckets_are_independent() -> None:
    p = Police({MEDIUM: Plan(1), LIGHT: Plan(1)})
    p.arrive(KEY, 0.0)
    others = [BucketKey("user", "app", LIGHT), BucketKey("user", "b", MEDIUM), BucketKey("u", "app", MEDIUM)]
    assert all(p.arrive(other, 1.0).admitted for other in others)
    assert not p.arrive(KEY, 1.0).admitted


def test_limits_change_while_running() -> None:
    p = police(3, 60, 0)
    for now in (0.0, 10.0, 20.0):
        p.arrive(KEY, now)
    p.change_plans({MEDIUM: Plan(1, 60, 0)})
    assert p.arrive(KEY, 61.0).retry_after_s == 19.0, "two must leave before one of three makes room"
    p.change_plans({MEDIUM: Plan(5, 60, 0)})
    assert p.arrive(KEY, 61.0).remaining == 2


def test_punish_hits_one_bucket_and_freeze_everything_of_the_login() -> None:
    p = police(10, 60, 60)
    light = BucketKey("user", "app", LIGHT)
    p.punish(KEY, 0.0, 5.0)
    assert p.arrive(KEY, 4.0).in_penalty
    assert p.arrive(light, 4.0).admitted
    p.freeze("user", "app", 10.0, 5.0)
    frozen = p.arrive(light, 12.0)
    assert (frozen.in_penalty, frozen.has_headers, frozen.retry_after_s) == (True, False, 5.0)
    assert p.arrive(KEY, 16.9).in_penalty, "the request at 12 has restarted it"
    assert p.arrive(BucketKey("other", "app", LIGHT), 12.0).admitted
    assert p.arrive(light, 21.9).admitted


def _reference(limit: int, window_s: int, penalty_s: int, *, fixed: bool) -> Callable[[int], bool]:
    """The same rules, naively: every request searches the whole history."""
    admitted: list[int] = []
    starts: list[int] = []
    refused: list[int] = []

    def arrive(now: int) -> bool:
        if refused and now < refused[-1] + penalty_s:
            refused.append(now)
            return False
        if fixed:
            if not starts or now - starts[-1] >= window_s:
                starts.append(now)
                admitted.clear()
            used = len(admitted)
        else:
            used = sum(now - moment < window_s for moment in admitted)
        (admitted if used < limit else refused).append(now)
        return used < limit

    return arrive


@given(
    gaps=st.lists(st.integers(0, 12), max_size=60),
    limit=st.integers(1, 4),
    window_s=st.integers(1, 20),
    penalty_s=st.integers(0, 25),
    fixed=st.booleans(),
)
def test_the_police_agree_with_a_naive_implementation(
    gaps: list[int], limit: int, window_s: int, penalty_s: int, fixed: bool
) -> None:
    p = police(limit, window_s, penalty_s, fixed=fixed)
    reference = _reference(limit, window_s, penalty_s, fixed=fixed)
    now = 0
    for gap in gaps:
        now += gap
        assert p.arrive(KEY, float(now)).admitted == reference(now)


@given(arrivals=st.lists(st.integers(0, 100), min_size=1, max_size=50))
def test_obeying_retry_after_is_always_enough(arrivals: list[int]) -> None:
    p = police(3, 20, 7)
    for now in sorted(arrivals):
        p.arrive(KEY, float(now))
    verdicts = [p.arrive(KEY, float(max(arrivals))) for _ in range(4)]
    assert not verdicts[-1].admitted
    assert p.arrive(KEY, max(arrivals) + verdicts[-1].retry_after_s).admitted


def test_group_without_a_plan_is_an_error_of_the_simulator() -> None:
    with pytest.raises(KeyError):
        Police().arrive(BucketKey("", "", UsageGroup("unheard-of")), 0.0)
