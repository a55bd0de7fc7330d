"""Times as the API and rcfs's own documents write them."""

from datetime import UTC, datetime


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
