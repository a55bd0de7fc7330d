"""The exports in the status, as text."""

from rcfs.model import format_duration, format_size
from rcfs.status._values import ExportsStatus, ExportStatus

_NAMED = 10
"""The status names at most 10 exports, unfinished ones first, and counts the others."""
_WORDS = {
    "Waiting": "not asked for yet",
    "Asked": "asked for",
    "Accepted": "accepted",
    "Pending": "pending",
    "InProgress": "in progress",
    "AttemptFailed": "tried again",
    "Failed": "failed",
    "Completed": "complete",
    "Cancelled": "cancelled",
    "Expired": "expired",
}


def export_lines(exports: ExportsStatus) -> list[str]:
    """A line for each export, and one with the reason for each kind that is missing."""
    rows = sorted(exports.exports, key=lambda row: row.is_final)
    lines = [f"{row.kind}, {row.name}: {export_line(row)}" for row in rows[:_NAMED]]
    if len(rows) > _NAMED:
        lines.append(f"and {len(rows) - _NAMED:,} more, which `rcfs export list` shows")
    lines += [f"none of {row.kind}: {row.because}" for row in exports.refused]
    return lines or ["none asked for"]


def export_line(row: ExportStatus) -> str:
    """The state of an export, since when, what comes next, and what is wrong."""
    parts = [f"{_WORDS.get(row.state, row.state)} since {row.since}"]
    if row.state == "Completed":
        count = f"{row.archives:,} archive{'' if row.archives == 1 else 's'}"
        parts.append(f"{count}, {format_size(row.size_bytes)}")
    if row.left_s is not None and not row.is_final:
        parts.append(f"about {format_duration(row.left_s, up=True)} to go, by earlier ones")
    elif row.task_id is not None and not row.is_final:
        parts.append("how long it takes is not known")
    if row.next_look is not None:
        parts.append(f"next look at {row.next_look}")
    if row.problem is not None:
        parts.append(row.problem)
    return "; ".join(parts)
