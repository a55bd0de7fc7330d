"""The report of an audit as text, for a person who has to show it to others. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from rcfs.audit import Finding, OwnerReport, Row, Summary, Trouble
from rcfs.model import format_size, iso_time
from rcfs.pull import PullNote

_HEADS = ("Messages", "Here", "Files", "Intact", "Damaged", "Purged", "Size")
_MOST_PULLS = 5
"""Pulls that the report names, the last ones."""


def report_lines(
    summary: Summary, owners: Sequence[OwnerReport], findings: Sequence[Finding], left_out: int
) -> Iterator[str]:
    """The lines of the report.

    Args:
        summary: The whole audit.
        owners: The extensions and the company.
        findings: The first findings.
        left_out: Number of findings that are not among these.
    """
    yield from _head(summary)
    yield ""
    yield from _table(_owner_rows(summary, owners))
    bases = dict.fromkeys(owner.basis for owner in owners)
    yield ""
    yield from (f"Basis: {basis}." for basis in bases)
    yield from _files(summary)
    if findings:
        yield ""
        yield "Findings:"
        yield from (f"  {finding_line(finding)}" for finding in findings)
    if left_out:
        yield f"  and {left_out} more, which --json lists"
    if summary.unproven:
        yield ""
        yield from (f"Not proven: {sentence}" for sentence in summary.unproven)
    yield ""
    yield f"Result: {verdict(summary)}"


def finding_line(finding: Finding) -> str:
    """A finding in one line."""
    detail = f" ({finding.detail})" if finding.detail else ""
    return f"{finding.trouble}: {finding.path}{detail}"


def verdict(summary: Summary) -> str:
    """The result in one line."""
    counts = ", ".join(
        f"{summary.troubles[trouble]} {trouble}" for trouble in Trouble if summary.troubles.get(trouble)
    )
    if summary.is_complete:
        return f"complete{f'; {counts}' if counts else ''}"
    return f"NOT COMPLETE: {counts or f'{summary.total.missing} missing'}"


def _head(summary: Summary) -> Iterator[str]:
    what = f"the copy in {summary.archive}" if summary.archive else "the cache of this machine"
    name = f" ({summary.account})" if summary.account else ""
    yield f"Audit of {what}"
    yield f"Account:  {summary.account_id}{name}"
    if summary.server:
        yield f"Login:    {summary.login or 'unknown'} at {summary.server}"
    lists = "1 list" if summary.requests == 1 else f"{summary.requests} lists"
    asked = f"{lists} requested" if summary.compared else "not asked"
    yield f"Platform: {asked}"
    yield f"Time:     {iso_time(summary.begun_s)} to {iso_time(summary.ended_s)}"
    yield f"Scope:    {_scope(summary.paths, summary.wanted)}"
    for note in summary.pulls[-_MOST_PULLS:]:
        yield f"Pull:     {_pull(note)}"


def _scope(paths: Iterable[str], wanted: Mapping[str, object]) -> str:
    places = ", ".join(filter(None, paths)) or "the whole account"
    conditions = ", ".join(
        f"{name.removesuffix('_s')} {_shown(name, value)}" for name, value in wanted.items()
    )
    return f"{places}; only {conditions}" if conditions else places


def _shown(name: str, value: object) -> str:
    if name in ("since_s", "until_s") and isinstance(value, (int, float)):
        try:
            return iso_time(value)
        except (ValueError, OverflowError, OSError):
            return str(value)
    return "+".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _pull(note: PullNote) -> str:
    by = f" by {note.login}" if note.login else ""
    failed = f", {note.failed} failed" if note.failed else ""
    closed = f", {len(note.closed)} not readable" if note.closed else ""
    scope = _scope(note.paths, note.wanted)
    return f"{iso_time(note.at_s)}{by}, {note.outcome}{failed}{closed}: {scope}"


def _owner_rows(summary: Summary, owners: Sequence[OwnerReport]) -> Iterator[tuple[str, Row]]:
    for owner in owners:
        yield owner.name, owner.total()
        for kind, month, row in owner.sorted_rows():
            if row.missing:
                yield f"  {kind} {month}", row
    for kind, row in summary.kinds.items():
        yield f"All {kind}", row
    yield "Total", summary.total


def _table(rows: Iterable[tuple[str, Row]]) -> Iterator[str]:
    cells: list[tuple[str, ...]] = [("", *_HEADS)]
    cells += [
        (
            name,
            *map(str, (row.messages, row.messages_here, row.contents, row.contents_here)),
            *map(str, (row.damaged, row.purged)),
            format_size(row.size_bytes),
        )
        for name, row in rows
    ]
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    for name, *numbers in cells:
        padded = (number.rjust(width) for number, width in zip(numbers, widths[1:], strict=True))
        yield f"{name.ljust(widths[0])}  {'  '.join(padded)}"


def _files(summary: Summary) -> Iterator[str]:
    files = summary.files
    if not files.listed and not files.extra:
        return
    extra = f"; {files.extra} more that the manifest does not list" if files.extra else ""
    size = format_size(files.size_bytes)
    yield f"Files of the copy: {files.listed} read ({size}), {files.sound} with the right checksum{extra}."
