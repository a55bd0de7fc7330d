"""The share of a process that cannot reach the home of its book."""

from itertools import pairwise

import pytest

from rcfs.model import Plan
from rcfs.quota import LONGEST_REQUEST_S, Share
from rcfs.quota._apart import Apart

BEGIN_S = 1000.0


def apart(divisor: int, place: int = 0) -> Apart:
    return Apart("cannot be reached", None, divisor, place, BEGIN_S)


def moments(place: int, divisor: int, plan: Plan) -> list[float]:
    """The whole seconds at which the process in this place may send."""
    process = apart(divisor, place)
    return [now for now in map(float, range(5000)) if process.share(plan, now).from_s <= now]


def test_its_share_begins_when_the_others_leave_it() -> None:
    assert apart(3).share(Plan(40), 0.0) == Share(40 - 13, BEGIN_S)


def test_without_a_share_it_sends_nothing_however_long_it_waits() -> None:
    share = apart(0).share(Plan(40), 10 * BEGIN_S)
    assert (share.is_held, share.from_s) == (True, BEGIN_S)


def test_with_less_than_one_request_it_has_one_slot_in_each_of_its_turns() -> None:
    share = apart(5).share(Plan(2), 0.0)
    assert share.left == 1
    now_s = moments(0, 5, Plan(2))
    assert now_s[0] >= BEGIN_S
    begins_s = [later_s for earlier_s, later_s in pairwise(now_s) if later_s > earlier_s + 1.0]
    gaps_s = [later_s - earlier_s for earlier_s, later_s in pairwise(begins_s)]
    assert len(gaps_s) > 1
    assert gaps_s == pytest.approx([share.every_s] * len(gaps_s), abs=1.0)


def test_between_turns_it_is_told_when_the_next_one_begins() -> None:
    share = apart(5, 1).share(Plan(2), BEGIN_S)
    assert share.from_s > BEGIN_S
    assert apart(5, 1).share(Plan(2), share.from_s + 1.0).from_s == share.from_s + 1.0


def test_no_window_has_the_turns_of_more_processes_than_the_limit() -> None:
    limit, processes = 2, 5
    now_s = sorted((at_s, place) for place in range(processes) for at_s in moments(place, 5, Plan(limit)))
    # A request may reach the server late, and then counts for a window.
    counts_s = LONGEST_REQUEST_S + Plan(limit).window_s
    most = max(len({place for at_s, place in now_s if 0 <= at_s - from_s <= counts_s}) for from_s, _ in now_s)
    assert most == limit
