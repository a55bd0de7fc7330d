import pytest

from rcfs.model import Message
from rcfs.tree._times import Times, clock_text, message_times, month_name, newest_times, stamp

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
    assert message_times(Message(1, created_s=time_s), 7.0) == Times(7.0, 7.0)


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
    assert message_times(Message(1, created_s=created_s, modified_s=modified_s), 9.0) == times


def test_a_directory_is_as_new_as_the_newest_that_it_holds() -> None:
    messages = [Message(1, created_s=3.0, modified_s=4.0), Message(2, created_s=5.0), Message(3)]
    assert newest_times(messages, 9.0) == Times(5.0, 4.0)
    assert newest_times([], 9.0) == Times(9.0, 9.0)
