"""Times of records as names, text and file times; all UTC, and all tolerant of a time that is missing.

A time outside 1970 to 9999 is as good as missing: no calendar name and no file time could show it.
"""

from datetime import UTC, datetime

import attrs

UNDATED = "undated"
"""What stands where a time would, when the record has none."""

_END_S = 253402300800.0
"""10000-01-01 UTC, the first moment that `datetime` cannot express."""


@attrs.frozen
class Times:
    """The two times of a file that people see, in seconds since 1970-01-01 UTC."""

    mtime_s: float
    """When the content was made."""
    ctime_s: float
    """When anything about it changed last."""


def times_of(created_s: float | None, modified_s: float | None, fallback_s: float) -> Times:
    """The times of what was created and modified then; where one is missing the other, else `fallback_s`."""
    if created_s is None:
        created_s = fallback_s if modified_s is None else modified_s
    return Times(created_s, created_s if modified_s is None else modified_s)


def month_name(created_s: float | None) -> str:
    """The month as ``2026-11``, or ``undated``."""
    return _formatted(created_s, "%04d-%02d", 2)


def stamp(created_s: float | None) -> str:
    """The second as ``2026-11-03T17.27.05Z`` (no file system minds the dots), or ``undated``."""
    return _formatted(created_s, "%04d-%02d-%02dT%02d.%02d.%02dZ", 6)


def clock_text(created_s: float | None) -> str:
    """The second as people read it: ``2026-11-03 17:27:05Z``, or ``undated``."""
    return _formatted(created_s, "%04d-%02d-%02d %02d:%02d:%02dZ", 6)


def _formatted(time_s: float | None, pattern: str, fields: int) -> str:
    """`pattern` with the first `fields` of year, month, day, hour, minute and second."""
    time_s = sane(time_s)
    if time_s is None:
        return UNDATED
    # Whole seconds, downwards: rounding could carry a message into the next month.
    at = datetime.fromtimestamp(int(time_s), UTC)
    return pattern % (at.year, at.month, at.day, at.hour, at.minute, at.second)[:fields]


def sane(time_s: float | None) -> float | None:
    """`time_s` when a file can have it; None otherwise, and for the float that is no number."""
    return time_s if time_s is not None and 0 <= time_s < _END_S else None
