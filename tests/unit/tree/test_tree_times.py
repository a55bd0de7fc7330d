import pytest

from rcfs.tree._times import Times, clock_text, month_name, sane, stamp, times_of

NAN = float("nan")


def test_times_are_shown_in_utc_down_to_the_second() -> None:
    time_s = 1793726825.999  # 2026-11-03T17:27:05.999Z
    assert stamp(time_s) == "2026-11-03T17.27.05Z"
    assert month_name(time_s) == "2026-11"
    assert clock_text(time_s) == "2026-11-03 17:27:05Z"


def test_the_last_moment_of_a_month_stays_in_it() -> None:
    assert month_name(1793491199.9999995) == "2026-10"
    assert month_name(1793491200.0) == "2026-11"


@pytest.mark.parametrize("time_s", [None, -1.0, 253402300800.0, float("inf"), NAN])
def test_a_time_that_no_calendar_has_is_missing(time_s: float | None) -> None:
    assert stamp(time_s) == month_name(time_s) == clock_text(time_s) == "undated"
    assert sane(time_s) is None


@pytest.mark.parametrize(
    ("created_s", "modified_s", "times"),
    [
        (1.0, 2.0, Times(1.0, 2.0)),
        (1.0, None, Times(1.0, 1.0)),
        (None, 2.0, Times(2.0, 2.0)),
        (None, None, Times(9.0, 9.0)),
    ],
)
def test_a_missing_time_is_taken_from_the_other(
    created_s: float | None, modified_s: float | None, times: Times
) -> None:
    assert times_of(created_s, modified_s, 9.0) == times
