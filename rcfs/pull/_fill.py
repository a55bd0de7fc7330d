"""The outcome of an archive in words. Pure."""

from rcfs.exports import FillReport

_WORDS = {
    "unknown": "belong to no known message",
    "damaged": "are damaged",
    "differing": "differ from what is known, which stays",
    "refused": "cannot be read",
}
"""Problems of members, by the counts of a `FillReport`."""


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
    if report.is_empty:
        problems.append("it is empty: RingCentral has no attachments of that period")
    if report.is_whole and not report.agrees:
        problems.append("its directory does not list what it holds")
    return problems
