"""When an office is busy: moments that lie mostly on weekdays and by day, in the order of a number.

A week is a curve of activity that only rises; a moment is read off it backwards. So the moments of growing
numbers never go back, and a stretch of time is divided by arithmetic instead of by drawing and sorting.
"""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

import attrs

from rcfs.simulator._dice import Dice

HOUR_S = 3_600.0
"""Seconds of an hour."""
UTC_OFFSET_S = -8 * HOUR_S
"""The office's clock: Pacific standard time the whole year, which is realistic enough."""

_NIGHT = 0.02
"""Activity of any hour, beside that of the office hours, which make 9.5 in a day: 5 in 100 of it."""
_WEEKEND = 0.2
"""Activity of a day at the weekend as part of a weekday's."""


def _week() -> tuple[float, ...]:
    """Activity from the start of a week up to each of its hours, 169 values; weeks start on Thursdays.

    Because 1970-01-01 was one. By day it rises from 8:00 to 13:30 and falls until 19:00.
    """
    day = [_NIGHT + max(0.0, 1.727 - abs(hour + 0.5 - 13.5) * 0.314) for hour in range(24)]
    hours = [part * (_WEEKEND if weekday in (2, 3) else 1.0) for weekday in range(7) for part in day]
    return tuple(accumulate(hours, initial=0.0))


_WEEK: Sequence[float] = _week()


@attrs.frozen
class OfficeHours:
    """The time ``[start_s, stop_s]`` as an office lives through it."""

    start_s: float
    """Its beginning, seconds since 1970 UTC."""
    stop_s: float
    """Its end, not before the beginning."""
    _before: float = attrs.field(init=False, repr=False)
    """What the office has done before."""
    _within: float = attrs.field(init=False, repr=False)
    """What it does meanwhile."""

    @_before.default
    def _measure_before(self) -> float:
        return _activity(self.start_s)

    @_within.default
    def _measure_within(self) -> float:
        return _activity(self.stop_s) - self._before

    def moment(self, part: float) -> float:
        """The whole second at which `part` (``[0, 1)``) of the activity is done; never outside."""
        weeks, rest = divmod(self._before + part * self._within, _WEEK[-1])
        hour = min(bisect_right(_WEEK, rest), len(_WEEK) - 1) - 1
        hours = hour + (rest - _WEEK[hour]) / (_WEEK[hour + 1] - _WEEK[hour])
        local_s = (weeks * (len(_WEEK) - 1) + hours) * HOUR_S
        return min(max(float(int(local_s - UTC_OFFSET_S)), self.start_s), self.stop_s)


def office_moment(dice: Dice, start_s: float, stop_s: float) -> float:
    """A moment in whole seconds in ``[start_s, stop_s]``, mostly on a weekday, mostly by day."""
    return OfficeHours(start_s, stop_s).moment(dice.unit())


def _activity(time_s: float) -> float:
    """What an office has done from 1970 to `time_s`."""
    weeks, hours = divmod((time_s + UTC_OFFSET_S) / HOUR_S, len(_WEEK) - 1)
    hour = int(hours)
    within = _WEEK[hour] + (hours - hour) * (_WEEK[hour + 1] - _WEEK[hour])
    return weeks * _WEEK[-1] + within
