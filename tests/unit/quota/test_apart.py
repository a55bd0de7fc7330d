"""The share of a process that cannot reach the home of its book."""

from itertools import pairwise

import pytest

from rcfs.model import Plan, UsageGroup
from rcfs.quota import LONGEST_REQUEST_S, Share
from rcfs.quota._apart import Apart

MEDIUM = UsageGroup("medium")
BEGIN_S = 1000.0


def apart(divisor: int, place: int = 0) -> Apart:
    return Apart("cannot be reached", None, divisor, place, BEGIN_S)


def times(place: int, divisor: int, plan: Plan) -> list[float]:
    """When the process in this place sends, if it looks every second whether it may."""
    process, sent_s = apart(divisor, place), []
    for now in map(float, range(5000)):
        if process.share(MEDIUM, plan, now).from_s <= now:
            process.sent_s[MEDIUM] = now
            sent_s.append(now)
    return sent_s


def test_its_share_begins_when_the_others_leave_it() -> None:
    assert apart(3).share(MEDIUM, Plan(40), 0.0) == Share(40 - 13, BEGIN_S)


def test_without_a_share_it_sends_nothing_however_long_it_waits() -> None:
    share = apart(0).share(MEDIUM, Plan(40), 10 * BEGIN_S)
    assert (share.is_held, share.from_s) == (True, BEGIN_S)


def test_with_less_than_one_request_it_sends_one_in_each_of_its_turns() -> None:
    share = apart(5).share(MEDIUM, Plan(2), 0.0)
    assert share.left == 1
    assert share.from_s >= BEGIN_S
    sent_s = times(0, 5, Plan(2))
    assert sent_s[0] >= BEGIN_S
    gaps_s = [later_s - earlier_s for earlier_s, later_s in pairwise(sent_s[1:])]
    assert gaps_s == pytest.approx([share.every_s] * len(gaps_s), abs=1.0)
    assert len(gaps_s) > 1


def test_turns_of_all_processes_are_a_part_of_a_window_apart() -> None:
    plan = Plan(2)
    sent_s = sorted(at_s for place in range(5) for at_s in times(place, 5, plan)[1:])
    assert len(sent_s) > 10
    # A request may reach the server late, and then counts for a window.
    third_s = [later_s - earlier_s for earlier_s, later_s in zip(sent_s, sent_s[2:], strict=False)]
    assert min(third_s) > LONGEST_REQUEST_S + plan.window_s
