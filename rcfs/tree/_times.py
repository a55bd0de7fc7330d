"""Times of records as names, text and file times; all UTC, and all tolerant of a time that is missing.

A time outside 1970 to 9999 is as good as missing: no calendar name and no file time could show it.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

import attrs

from rcfs.model import Message

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


def message_times(message: Message, fallback_s: float) -> Times:
    """``creationTime`` and ``lastModifiedTime``; where one is missing the other, else `fallback_s`."""
    return _times(_sane(message.created_s), _sane(message.modified_s), fallback_s)


def newest_times(messages: Iterable[Message], fallback_s: float) -> Times:
    """The newest creationTime and lastModifiedTime of `messages`; `fallback_s` where none has any."""
    created_s = modified_s = None
    for message in messages:
        if (time_s := _sane(message.created_s)) is not None and (created_s is None or time_s > created_s):
            created_s = time_s
        if (time_s := _sane(message.modified_s)) is not None and (modified_s is None or time_s > modified_s):
            modified_s = time_s
    return _times(created_s, modified_s, fallback_s)


def created_order(message: Message) -> tuple[float, int]:
    """A sort key: the oldest first, those without a time before them, equal ones by id."""
    created_s = _sane(message.created_s)
    return (-1.0 if created_s is None else created_s, message.id)


def month_name(created_s: float | None) -> str:
    """The month as ``2026-11``, or ``undated``."""
    return _formatted(created_s, "%04d-%02d", 2)


def stamp(created_s: float | None) -> str:
    """The second as ``2026-11-03T17.27.05Z`` (no file system minds the dots), or ``undated``."""
    return _formatted(created_s, "%04d-%02d-%02dT%02d.%02d.%02dZ", 6)


def clock_text(created_s: float | None) -> str:
    """The second as people read it: ``2026-11-03 17:27:05Z``, or ``undated``."""
    return _formatted(created_s, "%04d-%02d-%02d %02d:%02d:%02dZ", 6)


def _times(created_s: float | None, modified_s: float | None, fallback_s: float) -> Times:
    if created_s is None:
        created_s = fallback_s if modified_s is None else modified_s
    return Times(created_s, created_s if modified_s is None else modified_s)


def _formatted(time_s: float | None, pattern: str, fields: int) -> str:
    """`pattern` with the first `fields` of year, month, day, hour, minute and second."""
    time_s = _sane(time_s)
    if time_s is None:
        return UNDATED
    # Whole seconds, downwards: rounding could carry a message into the next month.
    return pattern % datetime.fromtimestamp(int(time_s), UTC).timetuple()[:fields]


def _sane(time_s: float | None) -> float | None:
    """`time_s` when a file can have it; None otherwise, and for the float that is no number."""
    return time_s if time_s is not None and 0 <= time_s < _END_S else None
