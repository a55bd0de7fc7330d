"""Times of records as names, text and file times, all in UTC; each function accepts a missing time.

A time outside 1970 to 9999 counts as missing, because no calendar name and no file time could show it.
"""

from datetime import UTC, datetime

import attrs

UNDATED = "undated"
"""Text in place of a missing time."""

_END_S = 253402300800.0
"""10000-01-01 UTC, the first moment that `datetime` cannot express."""


@attrs.frozen
class Times:
    """The two times of a file that people see, in seconds since 1970-01-01 UTC."""

    mtime_s: float
    """Time of the content."""
    ctime_s: float
    """Time of the last change of content or attributes."""


def times_of(created_s: float | None, modified_s: float | None, fallback_s: float) -> Times:
    """Times from creation and last change; either stands in for the other, and `fallback_s` for both."""
    if created_s is None:
        created_s = fallback_s if modified_s is None else modified_s
    return Times(created_s, created_s if modified_s is None else modified_s)


def month_name(created_s: float | None) -> str:
    """The month as ``2026-11``, or ``undated``."""
    return _formatted(created_s, "%04d-%02d", 2)


def day_name(created_s: float | None) -> str:
    """The day as ``2026-11-03``, or ``undated``."""
    return _formatted(created_s, "%04d-%02d-%02d", 3)


def stamp(created_s: float | None) -> str:
    """The second as ``2026-11-03T17.27.05Z`` (every file system accepts the dots), or ``undated``."""
    return _formatted(created_s, "%04d-%02d-%02dT%02d.%02d.%02dZ", 6)


def clock_text(created_s: float | None) -> str:
    """The second as people read it: ``2026-11-03 17:27:05Z``, or ``undated``."""
    return _formatted(created_s, "%04d-%02d-%02d %02d:%02d:%02dZ", 6)


def _formatted(time_s: float | None, pattern: str, fields: int) -> str:
    """`pattern` filled with the first `fields` of year, month, day, hour, minute and second."""
    time_s = sane(time_s)
    if time_s is None:
        return UNDATED
    # Round down: rounding up could move a message into the next month.
    at = datetime.fromtimestamp(int(time_s), UTC)
    return pattern % (at.year, at.month, at.day, at.hour, at.minute, at.second)[:fields]


def sane(time_s: float | None) -> float | None:
    """`time_s` if a file can have that time, else None; NaN gives None."""
    return time_s if time_s is not None and 0 <= time_s < _END_S else None
