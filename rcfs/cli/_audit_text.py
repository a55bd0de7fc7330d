"""The report of an audit as text, for a person who has to show it to others. Pure."""

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

from rcfs.audit import Basis, Finding, OwnerReport, Row, Summary, Trouble, pulled_scope
from rcfs.cli._filter_options import filter_arguments
from rcfs.model import Filter, format_size, iso_time
from rcfs.pull import PullNote, filter_of

_HEADS = ("Messages", "Here", "Files", "Intact", "Damaged", "Purged", "Size", "Compared with")
_WHOLE = "the whole account"
_MOST_PULLS = 5
"""Pulls that the report names, the last ones."""
_MOST_MONTHS = 20
"""Months with a lack that the table shows; if there are more, it shows none, but with --verbose all."""
_BASES = {
    Basis.LISTED: "each message",
    Basis.COUNTED: "the total",
    Basis.INDEX: "the index",
    Basis.MANIFEST: "the pulls",
    Basis.NOTHING: "nothing",
}
_LEGENDS = {
    Basis.LISTED: "each message of RingCentral's list was looked for",
    Basis.COUNTED: "RingCentral's newest messages were looked for, and the number of all others is right",
    Basis.INDEX: "what rcfs knows on this machine; RingCentral was not asked for it",
    Basis.MANIFEST: "what the pulls have found at RingCentral, as the manifest of the copy says",
    Basis.NOTHING: "nothing tells what should be here",
}


def report_lines(
    summary: Summary, owners: Sequence[OwnerReport], findings: Sequence[Finding], *, verbose: bool
) -> Iterator[str]:
    """The lines of the report.

    Args:
        summary: The whole audit.
        owners: The extensions and the company; a row of the kind "" has the sum of rows not to be shown.
        findings: The first findings of each kind.
        verbose: Whether to show all months.
    """
    yield from _head(summary)
    yield ""
    lacking = sum(bool(row.missing) for owner in owners for (kind, _), row in owner.rows.items() if kind)
    shows_months = verbose or lacking <= _MOST_MONTHS
    yield from _table(_owner_rows(summary, owners, shows_months=shows_months))
    yield ""
    yield "Messages, Files: what should be here. Here, Intact: what is, with the right checksum."
    bases = sorted({owner.basis for owner in owners if owner.rows}, key=list(Basis).index)
    yield from (f"Compared with {_BASES[basis]}: {_LEGENDS[basis]}." for basis in bases)
    if not shows_months:
        yield f"Something is missing in {lacking} months; --verbose shows them."
    elif not verbose and any(owner.rows for owner in owners):
        yield "Months in which nothing is missing are not shown one by one; --verbose shows them."
    yield from _files(summary)
    if findings:
        yield ""
        yield "Findings:"
        yield from _finding_lines(summary, findings)
    if summary.limits:
        yield ""
        yield "Limits:"
        yield from (f"  {sentence}" for sentence in summary.limits)
    yield ""
    yield f"Result: {verdict(summary)}"
    command = _narrower(summary)
    if command:
        yield f"The last pull was asked for less. This audits just that: {command}"


def finding_line(finding: Finding) -> str:
    """A finding in one line."""
    if not finding.path:
        return f"{finding.trouble}: {finding.detail}"
    detail = f" ({finding.detail})" if finding.detail else ""
    return f"{finding.trouble}: {finding.path}{detail}"


def verdict(summary: Summary) -> str:
    """The result in one line."""
    counts = ", ".join(
        f"{summary.troubles[trouble]} {trouble}" for trouble in Trouble if summary.troubles.get(trouble)
    )
    if summary.is_complete:
        readable = " for what this login may read" if Trouble.REFUSED in summary.troubles else ""
        return f"complete{readable}{f'; {counts}' if counts else ''}"
    return f"NOT COMPLETE: {counts or f'{summary.total.missing} missing'}"


def command_of(summary: Summary, paths: Iterable[str], wanted: Filter) -> str:
    """The command that audits the same cache or copy, for these paths and this filter."""
    arguments = ["rcfs", "audit"]
    if summary.archive:
        arguments += ["--archive", summary.archive]
    if not summary.compared:
        arguments.append("--offline")
    arguments += [*filter_arguments(wanted), *filter(None, paths)]
    return shlex.join(arguments)


def _head(summary: Summary) -> Iterator[str]:
    what = f"the copy in {summary.archive}" if summary.archive else "the cache of this machine"
    name = f" ({summary.account})" if summary.account else ""
    yield f"Audit of {what}, by rcfs {summary.version}"
    yield f"Account:  {summary.account_id}{name}"
    if summary.server:
        yield f"Login:    {summary.login or 'unknown'} at {summary.server}"
    lists = "1 list" if summary.requests == 1 else f"{summary.requests} lists"
    yield f"Platform: {f'RingCentral was asked for {lists} of messages' if summary.compared else 'not asked'}"
    yield f"Time:     {iso_time(summary.begun_s)} to {iso_time(summary.ended_s)}"
    as_pulled = ", as the last pull" if summary.is_as_pulled and (summary.paths or summary.wanted) else ""
    whole = "all that its manifest lists" if summary.archive and not summary.compared else _WHOLE
    yield f"Scope:    {_scope(summary.paths, summary.wanted, whole)}{as_pulled}"
    if as_pulled:
        wanted = filter_of(summary.wanted) or Filter()
        yield f"Command:  {command_of(summary, summary.paths, wanted)}"
    for note in summary.pulls[-_MOST_PULLS:]:
        yield f"Pull:     {_pull(note)}"


def _narrower(summary: Summary) -> str:
    """The command that audits what the last pull was asked for, if that is less and this was not complete."""
    if summary.is_complete or summary.is_as_pulled or not summary.compared or summary.paths or summary.wanted:
        return ""
    paths, wanted = pulled_scope(summary.pulls)
    if () in paths and wanted.is_everything:
        return ""
    return command_of(summary, ["/".join(path) for path in paths], wanted)


def _scope(paths: Iterable[str], wanted: Mapping[str, object], whole: str = _WHOLE) -> str:
    places = ", ".join(filter(None, paths)) or whole
    conditions = ", ".join(_condition(name, value) for name, value in wanted.items())
    return f"{places}, limited to {conditions}" if conditions else places


def _condition(name: str, value: object) -> str:
    """A condition of a filter in words; a manifest may have any."""
    words = {"types": "type", "since_s": "since", "until_s": "until", "party": "with"}
    shown = "+".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    if name in ("since_s", "until_s") and isinstance(value, (int, float)):
        with suppress(ValueError, OverflowError, OSError):
            shown = iso_time(value)
    if value is True:
        return name
    if name == "min_duration_s":
        return f"of {shown} s or longer"
    return f"{words.get(name, name.removesuffix('_id'))} {shown}"


def _pull(note: PullNote) -> str:
    by = f" by {note.login}" if note.login else ""
    failed = f", {note.failed} failed" if note.failed else ""
    closed = f", {len(note.closed)} not readable" if note.closed else ""
    scope = _scope(note.paths, note.wanted)
    return f"{iso_time(note.at_s)}{by}, {note.outcome}{failed}{closed}: {scope}"


def _owner_rows(
    summary: Summary, owners: Sequence[OwnerReport], *, shows_months: bool
) -> Iterator[tuple[str, Row, str]]:
    for owner in owners:
        yield owner.name, owner.total(), _basis(owner)
        for kind, month, row in owner.sorted_rows():
            if kind and shows_months:
                yield f"  {kind} {month}", row, ""
    for kind, row in summary.kinds.items():
        yield f"All {kind}", row, ""
    yield "Total", summary.total, ""


def _basis(owner: OwnerReport) -> str:
    if owner.basis is Basis.NOTHING and Trouble.REFUSED in owner.troubles:
        return "refused"
    return _BASES[owner.basis] if owner.rows or owner.basis is not Basis.NOTHING else "-"


def _table(rows: Iterable[tuple[str, Row, str]]) -> Iterator[str]:
    cells: list[tuple[str, ...]] = [("", *_HEADS)]
    cells += [
        (
            name,
            *map(str, (row.messages, row.messages_here, row.contents, row.contents_here)),
            *map(str, (row.damaged, row.purged)),
            format_size(row.size_bytes),
            basis,
        )
        for name, row, basis in rows
    ]
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    for name, *numbers, basis in cells:
        padded = (number.rjust(width) for number, width in zip(numbers, widths[1:], strict=False))
        yield f"{name.ljust(widths[0])}  {'  '.join(padded)}  {basis}".rstrip()


def _files(summary: Summary) -> Iterator[str]:
    files = summary.files
    if not files.listed and not files.extra:
        return
    extra = f"; {files.extra} more that the manifest does not list" if files.extra else ""
    size = format_size(files.size_bytes)
    yield f"Files of the copy: {files.listed} read ({size}), {files.sound} with the right checksum{extra}."


def _finding_lines(summary: Summary, findings: Sequence[Finding]) -> Iterator[str]:
    for trouble in Trouble:
        shown = [each for each in findings if each.trouble is trouble]
        yield from (f"  {finding_line(each)}" for each in shown)
        left_out = summary.troubles.get(trouble, 0) - sum(each.count for each in shown)
        if shown and left_out > 0:
            yield f"  {trouble}: {left_out} more, which --verbose shows"
