"""When an office is busy: times that lie mostly on weekdays and by day.

A week is a rising curve of accumulated activity. A fraction of the activity is mapped back to a time, so
growing fractions give growing times, and a period is divided by arithmetic instead of by drawing and sorting.
"""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

import attrs

from rcfs.simulator._dice import Dice

HOUR_S = 3_600.0
"""Seconds of an hour."""
UTC_OFFSET_S = -8 * HOUR_S
"""The office's time zone: Pacific standard time the whole year, which is realistic enough."""

_NIGHT = 0.02
"""Activity of every hour besides office hours. Office hours add 9.5 a day, so nights make 5 % of it."""
_WEEKEND = 0.2
"""Activity on a day of the weekend, relative to a weekday."""


def _week() -> tuple[float, ...]:
    """Accumulated activity at the start of each hour of a week, 169 values; weeks start on Thursdays.

    That is because 1970-01-01 was one. By day activity rises from 8:00 to 13:30 and falls until 19:00.
    """
    day = [_NIGHT + max(0.0, 1.727 - abs(hour + 0.5 - 13.5) * 0.314) for hour in range(24)]
    hours = [part * (_WEEKEND if weekday in (2, 3) else 1.0) for weekday in range(7) for part in day]
    return tuple(accumulate(hours, initial=0.0))


_WEEK: Sequence[float] = _week()


@attrs.frozen
class OfficeHours:
    """The activity of an office in the period ``[start_s, stop_s]``."""

    start_s: float
    """Its beginning, seconds since 1970 UTC."""
    stop_s: float
    """Its end, not before the beginning."""
    _before: float = attrs.field(init=False, repr=False)
    """Activity before the period."""
    _within: float = attrs.field(init=False, repr=False)
    """Activity within the period."""

    @_before.default
    def _measure_before(self) -> float:
        return _activity(self.start_s)

    @_within.default
    def _measure_within(self) -> float:
        return _activity(self.stop_s) - self._before

    def moment(self, part: float) -> float:
        """The whole second in the period when the fraction `part` (``[0, 1)``) of the activity is done."""
        weeks, rest = divmod(self._before + part * self._within, _WEEK[-1])
        hour = min(bisect_right(_WEEK, rest), len(_WEEK) - 1) - 1
        hours = hour + (rest - _WEEK[hour]) / (_WEEK[hour + 1] - _WEEK[hour])
        local_s = (weeks * (len(_WEEK) - 1) + hours) * HOUR_S
        return min(max(float(int(local_s - UTC_OFFSET_S)), self.start_s), self.stop_s)


def office_moment(dice: Dice, start_s: float, stop_s: float) -> float:
    """A time in whole seconds in ``[start_s, stop_s]``, mostly on a weekday and by day."""
    return OfficeHours(start_s, stop_s).moment(dice.unit())


def _activity(time_s: float) -> float:
    """Accumulated activity from 1970 to `time_s`."""
    weeks, hours = divmod((time_s + UTC_OFFSET_S) / HOUR_S, len(_WEEK) - 1)
    hour = int(hours)
    within = _WEEK[hour] + (hours - hour) * (_WEEK[hour + 1] - _WEEK[hour])
    return weeks * _WEEK[-1] + within
