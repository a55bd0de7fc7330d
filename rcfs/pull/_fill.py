"""The fast lane as a pull uses it, and its outcome in words."""

from collections.abc import Sequence

from rcfs.engine import Engine
from rcfs.exports import FillReport
from rcfs.model import Export, ExportArchive, Priority
from rcfs.pull._export_lane import Arrived, Fill

PROGRAM = "rcfs pull"
"""The name of the program in the record of fetches."""
_WORDS = {
    "unknown": "belong to no known message",
    "damaged": "are damaged",
    "differing": "differ from what is known, which stays",
    "refused": "cannot be read",
}
"""Problems of members, by the counts of a `FillReport`."""


def fill_of(engine: Engine) -> Fill:
    """The fast lane of `engine`."""

    async def fill(export: Export, archive: ExportArchive, arrived: Arrived) -> Sequence[str]:
        report = await engine.fast_lane.fill_from(
            export, archive, priority=Priority.BULK, program=PROGRAM, arrived=arrived
        )
        return problems_of(report)

    return fill


def problems_of(report: FillReport) -> list[str]:
    """The problems of an archive, in lines."""
    problems = []
    if report.problem:
        problems.append(f"{report.problem}; its other attachments come one by one")
    for kind, words in _WORDS.items():
        count = getattr(report, kind)
        if count:
            example = next((f", such as {e.name}: {e.reason}" for e in report.examples if e.kind == kind), "")
            problems.append(f"{count} of its files {words}{example}")
    if report.is_whole and not report.agrees:
        problems.append("its directory does not list what it holds")
    return problems
