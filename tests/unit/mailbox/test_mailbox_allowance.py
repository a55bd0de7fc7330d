"""How many syncs of a thousand collections an allowance permits, whose limit may change."""

import pytest

from rcfs.mailbox._allowance import Allowance
from rcfs.model import Plan


def begun(allowance: Allowance, plan: Plan, *, from_s: float, until_s: float) -> list[float]:
    """When syncs begin if another one always waits."""
    found, now = [], from_s
    while (now := allowance.due_s(plan, now)) < until_s:
        allowance.spend(plan, now)
        found.append(now)
    return found


@pytest.mark.parametrize("share", [0.25, 0.5, 1.0])
def test_a_whole_limit_begins_at_once_and_then_a_share(share: float) -> None:
    allowance = Allowance(share)
    assert len(begun(allowance, Plan(50), from_s=1000.0, until_s=1000.5)) == 50
    hour = begun(allowance, Plan(50), from_s=1001.0, until_s=4600.0)
    assert len(hour) == pytest.approx(3600 / 60 * 50 * share, abs=1)
    assert hour[0] == pytest.approx(1000 + 60 / 50 / share)


def test_a_pause_earns_at_most_a_limit() -> None:
    allowance = Allowance(0.25)
    begun(allowance, Plan(50), from_s=0.0, until_s=0.5)
    assert len(begun(allowance, Plan(50), from_s=120.0, until_s=120.5)) == 25
    assert len(begun(allowance, Plan(50), from_s=9000.0, until_s=9000.5)) == 50


def test_a_limit_that_the_platform_changes_counts_from_now_on() -> None:
    allowance = Allowance(0.25)
    begun(allowance, Plan(50), from_s=0.0, until_s=0.5)
    assert len(begun(allowance, Plan(500), from_s=60.0, until_s=120.0)) > 125
    assert len(begun(allowance, Plan(10), from_s=3600.0, until_s=3660.5)) == 10 + 2
