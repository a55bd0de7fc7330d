"""The opponent of the other tests does what the documentation says."""

from rcfs.model import Plan, UsageGroup
from tests.fakes.police import Police

GROUP = UsageGroup("medium")


def admitted(police: Police, times_s: list[float]) -> list[bool]:
    return [police.arrive(GROUP, time_s).admitted for time_s in times_s]


def test_the_sliding_window_frees_each_request_by_itself() -> None:
    police = Police({GROUP: Plan(2, window_s=60.0, penalty_s=0.0)})
    assert admitted(police, [0.0, 50.0, 59.9, 60.0, 61.0, 110.0]) == [True, True, False, True, False, True]


def test_the_fixed_window_starts_with_the_first_request_and_frees_all_at_once() -> None:
    police = Police({GROUP: Plan(2, window_s=60.0, penalty_s=0.0)}, fixed=True)
    times_s = [5.0, 64.0, 64.9, 65.0, 66.0, 124.9, 125.0]
    assert admitted(police, times_s) == [True, True, False, True, True, False, True]


def test_every_early_request_restarts_the_penalty() -> None:
    police = Police({GROUP: Plan(1, window_s=1.0, penalty_s=60.0)})
    assert admitted(police, [0.0, 0.5, 60.0, 119.0, 178.9, 238.9]) == [True] + [False] * 4 + [True]
    assert [verdict.penalty_from_s for verdict in police.violations] == [None, 0.5, 0.5, 0.5]


def test_the_headers_tell_what_remains_for_all_who_share_the_bucket() -> None:
    police = Police({GROUP: Plan(3)})
    police.arrive_foreign(GROUP, 0.0)
    headers = police.arrive(GROUP, 1.0).headers
    assert (headers.limit, headers.remaining, headers.window_s) == (3, 1, 60.0)
