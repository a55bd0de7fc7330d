"""The output of `rcfs audit`: progress on stderr, and a report as text or JSON on stdout."""

import json
import sys
import threading
from collections import Counter
from collections.abc import Mapping
from typing import Any, Self

import attrs

from rcfs.audit import Finding, OwnerReport, Row, Summary, Trouble
from rcfs.cli._audit_text import report_lines
from rcfs.cli._output import Pace, erase_line, redraw_line, say, say_json, tell
from rcfs.model import format_size, iso_time, one_line
from rcfs.pull import PullNote, filter_of

_MOST_FINDINGS = 10
_MOST_VERBOSE = 10_000
"""Findings of each kind that the text shows, and with --verbose, 3 MB of text; --json lists all."""


class Report:
    """The text for a person; a context manager, because the progress must give the terminal back."""

    def __init__(self, *, verbose: bool = False) -> None:
        """Begins without findings; with `verbose`, it shows all months and findings."""
        self._verbose = verbose
        self._owners: list[OwnerReport] = []
        self._findings: list[Finding] = []
        self._counts: Counter[Trouble] = Counter()
        self._is_terminal = sys.stderr.isatty()
        self._pace = Pace()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._erase()

    def found(self, finding: Finding) -> None:
        """Called with each finding, in any thread, one at a time."""
        self._counts[finding.trouble] += 1
        if self._counts[finding.trouble] <= (_MOST_VERBOSE if self._verbose else _MOST_FINDINGS):
            self._findings.append(finding)

    def owner_done(self, report: OwnerReport) -> None:
        """Called with each owner when it is done."""
        months_to_show = {place: row for place, row in report.rows.items() if row.missing or self._verbose}
        rest = Row()
        for place, row in report.rows.items():
            if place not in months_to_show:
                rest.add(row)
        # Only the rows that the text shows stay in memory.
        if len(months_to_show) < len(report.rows):
            months_to_show["", ""] = rest
        self._owners.append(attrs.evolve(report, rows=months_to_show))

    def advanced(self, summary: Summary, doing: str) -> None:
        """Called twice a second with the audit so far."""
        files = summary.files
        of = f" of {files.of_files}" if files.of_files else ""
        read = f", {files.listed}{of} files read ({format_size(files.size_bytes)})" if files.listed else ""
        self._show(f"{doing}; {summary.owners} extensions done, {summary.total.messages} messages{read}")

    def begins(self, doing: str) -> None:
        """Called with a step before the audit itself, which may take a minute."""
        self._show(doing)

    def _show(self, text: str) -> None:
        if self._is_terminal:
            redraw_line(text)
        elif self._pace.is_due():
            tell(text)

    def ended(self, summary: Summary) -> None:
        """Called last."""
        self._erase()
        for line in report_lines(summary, self._owners, self._findings, verbose=self._verbose):
            say(one_line(line))

    def _erase(self) -> None:
        if self._is_terminal:
            erase_line()


class JsonReport(Report):
    """One JSON object per line on stdout; each moment is a text like ``2026-11-29T11:00:10Z``, or null."""

    def __init__(self) -> None:
        super().__init__()
        self._is_terminal = False
        self._lock = threading.Lock()

    def found(self, finding: Finding) -> None:
        self._write(
            "finding",
            trouble=finding.trouble,
            path=finding.path,
            detail=finding.detail,
            count=finding.count,
            lack=finding.trouble.is_lack,
        )

    def owner_done(self, report: OwnerReport) -> None:
        rows = [{"kind": kind, "month": month, **_row(row)} for kind, month, row in report.sorted_rows()]
        self._write(
            "mailbox",
            extension_id=report.owner,
            name=report.name,
            basis=report.basis,
            platform_messages=report.platform_messages,
            index_messages=report.index_messages,
            complete=report.is_complete,
            total=_row(report.total()),
            rows=rows,
            findings=report.troubles,
        )

    def begins(self, doing: str) -> None:
        """Says nothing: there are no numbers yet."""

    def advanced(self, summary: Summary, doing: str) -> None:
        if self._pace.is_due():
            self._write("progress", doing=doing, mailboxes=summary.owners, files_read=summary.files.listed)

    def ended(self, summary: Summary) -> None:
        files = summary.files
        self._write(
            "end",
            complete=summary.is_complete,
            begun=iso_time(summary.begun_s),
            ended=iso_time(summary.ended_s),
            account_id=summary.account_id,
            account=summary.account,
            login=summary.login,
            server=summary.server,
            compared=summary.compared,
            requests=summary.requests,
            version=summary.version,
            archive=summary.archive,
            paths=summary.paths,
            filter=_conditions(summary.wanted),
            as_pulled=summary.is_as_pulled,
            pulls=[_pull(note) for note in summary.pulls],
            mailboxes=summary.owners,
            total=_row(summary.total),
            kinds={kind: _row(row) for kind, row in summary.kinds.items()},
            files={
                "read": files.listed,
                "sound": files.sound,
                "size_bytes": files.size_bytes,
                "extra": files.extra,
                "states": {state.value: count for state, count in files.states.items()},
            },
            findings=summary.troubles,
            limits=summary.limits,
        )

    def _write(self, event: str, **fields: Any) -> None:
        with self._lock:
            say_json(json.dumps({"event": event, **fields}))


def report_for(*, as_json: bool, verbose: bool) -> Report:
    """The report that suits the output."""
    return JsonReport() if as_json else Report(verbose=verbose)


def _pull(note: PullNote) -> dict[str, Any]:
    fields = attrs.asdict(note)
    del fields["at_s"], fields["ended_s"]
    return {
        "began": iso_time(note.at_s),
        "ended": iso_time(note.ended_s) if note.ended_s else None,
        **fields,
        "wanted": _conditions(note.wanted),
    }


def _conditions(wanted: Mapping[str, object]) -> dict[str, object]:
    """The conditions of a filter, with times as texts; a manifest may have any conditions."""
    found = filter_of(wanted)
    if found is None:
        return dict(wanted)
    times = {"since": found.since_s, "until": found.until_s}
    others = {name: value for name, value in wanted.items() if name not in ("since_s", "until_s")}
    return others | {name: iso_time(moment_s) for name, moment_s in times.items() if moment_s is not None}


def _row(row: Row) -> dict[str, int]:
    return {**attrs.asdict(row), "missing": row.missing}
