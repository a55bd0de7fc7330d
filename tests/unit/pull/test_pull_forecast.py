"""The forecast of a pull takes the quota of each usage plan group."""

from collections import Counter
from typing import cast

from rcfs.model import HEAVY, MEDIUM, Priority, UsageGroup
from rcfs.pull._forecast import Forecast
from rcfs.transport import Budget

SECONDS = {MEDIUM: 1.5, HEAVY: 6.0}


class PlainBudget:
    """A quota in which each request of a group takes the same time."""

    def answered_s(self, group: UsageGroup, _priority: Priority, count: int) -> float:
        return SECONDS[group] * count

    def is_frozen(self, _group: UsageGroup) -> bool:
        return False


def test_the_slowest_group_decides() -> None:
    forecast = Forecast(cast("Budget", PlainBudget()))
    nothing: Counter[UsageGroup] = Counter()
    assert forecast.left_s({}, nothing) == 0
    assert forecast.left_s({MEDIUM: 0, HEAVY: 0}, nothing) == 0
    assert forecast.left_s({MEDIUM: 40}, nothing) == 60
    assert forecast.left_s({MEDIUM: 40, HEAVY: 20}, nothing) == 120
    assert forecast.left_s({MEDIUM: 40, HEAVY: 20}, Counter({HEAVY: 15})) == 60, "15 were asked for already"
