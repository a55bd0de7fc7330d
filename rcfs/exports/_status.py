"""Exports as values of the status."""

from collections.abc import Sequence

from rcfs.model import Export, ExportState, iso_time
from rcfs.status import ExportStatus


def usual_s(durations_s: Sequence[float]) -> float | None:
    """How long an export usually takes, if earlier ones took `durations_s`; None without any."""
    return sorted(durations_s)[len(durations_s) // 2] if durations_s else None


def left_s(export: Export, durations_s: Sequence[float], now_s: float) -> float | None:
    """Seconds from `now_s` until an export is probably complete, if it takes as long as earlier ones did.

    None if `durations_s`, those of earlier ones of its kind, are empty, if it takes longer than their median,
    if the platform has not accepted it yet, or if it has ended without success.
    """
    if export.state is ExportState.COMPLETED:
        return 0.0
    duration_s = usual_s(durations_s)
    if duration_s is None or not export.task_id or export.state.is_final:
        return None
    rest_s = export.asked_s + duration_s - now_s
    return rest_s if rest_s > 0 else None


def status_of(export: Export, *, left_s: float | None, reason: str) -> ExportStatus:
    """The status of `export`; see `Exports.left_s` and `Exports.reason`."""
    looks = export.next_look_s > 0 and not export.state.is_final
    return ExportStatus(
        kind=export.query.kind.value,
        name=export.query.name,
        state=export.state.value,
        is_final=export.state.is_final,
        since=iso_time(export.since_s),
        next_look=iso_time(export.next_look_s) if looks else None,
        left_s=None if export.state.is_final else left_s,
        task_id=export.task_id or None,
        archives=len(export.archives),
        size_bytes=export.size_bytes,
        problem=reason or None,
    )
