"""The months of call logs, such as ``2026-11``, in UTC. Pure; times are seconds since 1970-01-01 UTC."""

import re
from datetime import UTC, datetime

_MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])", re.ASCII)


def is_month(text: str) -> bool:
    """Whether `text` has the form of a month."""
    return _MONTH.fullmatch(text) is not None


def month_of(moment_s: float) -> str:
    """The month of `moment_s`."""
    return datetime.fromtimestamp(moment_s, UTC).strftime("%Y-%m")


def month_span_s(month: str) -> tuple[float, float]:
    """The begin of `month`, and that of the next one.

    Raises:
        ValueError: `month` is not the name of a month.
    """
    begin = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
    year, following = (begin.year, begin.month + 1) if begin.month < 12 else (begin.year + 1, 1)
    return begin.timestamp(), datetime(year, following, 1, tzinfo=UTC).timestamp()


def months_between(first_s: float, last_s: float) -> list[str]:
    """The months from that of `first_s` to that of `last_s`, newest first."""
    months, month = [], month_of(last_s)
    while month >= month_of(first_s):
        months.append(month)
        month = month_of(month_span_s(month)[0] - 1.0)
    return months
