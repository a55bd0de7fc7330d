"""Conversions between times of the API, of rcfs's own documents, and of files."""

from datetime import UTC, datetime

_LATEST_S = 2**33
"""Latest time of a file, in 2242, so that no hostile record makes a time that tools cannot print."""


def parse_time(text: object) -> float | None:
    """Seconds since 1970 UTC of an ISO 8601 time with a zone; None for anything else."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.timestamp() if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def iso_time(moment_s: float) -> str:
    """`moment_s` (seconds since 1970 UTC) as ISO 8601 in whole seconds."""
    return datetime.fromtimestamp(moment_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def file_time_ns(time_s: float) -> int:
    """`time_s` (seconds since 1970 UTC) in nanoseconds, cut to the years from 1970 to 2242."""
    return int(min(max(time_s, 0.0), _LATEST_S) * 1e9)
