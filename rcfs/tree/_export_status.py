"""The text about an export that has no archives yet."""

from collections.abc import Mapping
from types import MappingProxyType

from rcfs.model import Export, ExportState, one_line
from rcfs.tree._times import clock_text

_AGAIN = "To ask again, remove this directory and make it again, or use `rcfs export request --again`."
_WORDS: Mapping[ExportState, str] = MappingProxyType(
    {
        ExportState.WAITING: "rcfs has not asked RingCentral for it yet.",
        ExportState.ASKED: "rcfs has asked RingCentral for it, and waits for the answer.",
        ExportState.ACCEPTED: "RingCentral has accepted the request.",
        ExportState.PENDING: "RingCentral will begin to make it.",
        ExportState.IN_PROGRESS: "RingCentral is making it.",
        ExportState.ATTEMPT_FAILED: "RingCentral failed to make it, and tries again.",
        ExportState.FAILED: "RingCentral could not make it.",
        ExportState.COMPLETED: "It is complete, and has no archives: nothing fits the request.",
        ExportState.CANCELLED: "It was cancelled.",
        ExportState.EXPIRED: "RingCentral no longer has it.",
    }
)
"""The states in words."""


def status_text(export: Export, reason: str) -> bytes:
    """The state of an export in words, as lines of UTF-8; `reason` is as in `ExportCatalogue.reason`.

    Without archives, for example::

        RingCentral is making it.

        state      InProgress
        since      2026-11-29 11:00:10Z
        asked      2026-11-29 11:00:00Z
        next look  2026-11-29 11:00:40Z
        task       230919004-230919010-5ac4
    """
    facts = [("state", export.state.value), ("since", clock_text(export.since_s))]
    facts.append(("wanted" if export.state is ExportState.WAITING else "asked", clock_text(export.asked_s)))
    if export.next_look_s:
        facts.append(("next look", clock_text(export.next_look_s)))
    facts += [("task", export.task_id), ("reason", reason)]
    lines = [_WORDS[export.state], ""]
    lines += [f"{name:9}  {one_line(value).strip()}" for name, value in facts if value]
    if export.state in (ExportState.FAILED, ExportState.CANCELLED, ExportState.EXPIRED):
        lines += ["", _AGAIN]
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")
