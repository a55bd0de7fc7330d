"""When a pull will have fetched everything: as fast as the quota allows, and no faster than so far."""

from collections import Counter
from collections.abc import Mapping

import attrs
import trio

from rcfs.model import Priority, UsageGroup
from rcfs.transport import Budget

_LEAST_PACED = 20
"""Contents of a group from which the forecast takes a pace, at least: with fewer it is wrong by more than
5 %."""


@attrs.define
class _Pace:
    """The contents of one group that came since the last penalty."""

    count: int = 0
    from_s: float = 0.0
    to_s: float = 0.0

    def note(self, now_s: float) -> None:
        self.from_s, self.to_s = self.from_s if self.count else now_s, now_s
        self.count += 1

    def left_s(self, count: int, now_s: float) -> float:
        """Seconds until `count` more have come at this pace; 0.0 while too few came to tell."""
        if self.count < _LEAST_PACED:
            return 0.0
        # Divided by the contents and not by the gaps, so that a burst, after which the quota pauses, does not
        # look like a slow line.
        return self.to_s + count * (self.to_s - self.from_s) / self.count - now_s


class Forecast:
    """The quota's forecast, corrected by the pace at which contents come; for the trio thread."""

    def __init__(self, budget: Budget) -> None:
        """Begins without a pace; `budget` knows the quota."""
        self._budget = budget
        self._paces: dict[UsageGroup, _Pace] = {}

    def note_arrival(self, group: UsageGroup) -> None:
        """Notes that a content, whose request counted in `group`, has come now."""
        self._paces.setdefault(group, _Pace()).note(trio.current_time())

    def left_s(self, left: Mapping[UsageGroup, int], asked: Counter[UsageGroup]) -> float:
        """Seconds until the last content comes; each group has a budget of its own.

        A slow line, or other processes of the login, may keep the pull from using all that the quota allows.

        Args:
            left: Contents that have not come yet, by the usage plan group of their requests.
            asked: Those of them whose requests wait or were sent already.
        """
        for group in tuple(self._paces):
            if self._budget.is_frozen(group):
                del self._paces[group]  # A penalty says nothing of the pace that comes after.
        times_s = [0.0]
        for group, count in left.items():
            if count > 0:
                times_s.append(self._budget.answered_s(group, Priority.BULK, max(0, count - asked[group])))
                if group in self._paces:
                    times_s.append(self._paces[group].left_s(count, trio.current_time()))
        return max(times_s)
