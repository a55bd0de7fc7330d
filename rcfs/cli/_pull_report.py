"""The output of `rcfs pull`: a progress bar on a terminal, lines elsewhere, or JSON for programs."""

import errno
import json
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import click

from rcfs.cli._output import LINE_EVERY_S, Pace, erase_line, error_line, redraw_line, say, tell
from rcfs.errors import PlatformError, RcfsError
from rcfs.mailbox import READ_MESSAGES
from rcfs.model import format_duration, format_size
from rcfs.platform import is_missing_scope
from rcfs.pull import Failure, Item, KeepingUp, Progress, Survey, Way

if TYPE_CHECKING:
    from click._termui_impl import ProgressBar

_LINE_EVERY_SHARE = 0.05
"""A line of progress is due after 10 s or 5 % of the files, whichever comes first: a log gets neither too few
lines nor too many."""
_FIRST_LINE_S = 1.0
"""A survey that takes longer than this gets its first line then."""


class Report:
    """Shows a pull to a person or a program; this one shows only notes and what would be done.

    It is a context manager, because a bar must give the terminal back.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        """Nothing to give back."""

    def surveyed(self, survey: Survey) -> None:
        """Called about every second with the state of the survey."""

    def previewed(self, survey: Survey, left_s: float) -> None:
        """Called last in a dry run: the pull would do this in `left_s` seconds."""
        _tell_closed(survey)
        _tell_failures(survey.failures)
        say(plan_line(survey, left_s))
        _tell_hard(survey)
        if str(survey.way):
            say(str(survey.way))

    def planned(self, survey: Survey, left_s: float) -> None:
        """Called once: the pull will do this in `left_s` seconds."""

    def done(self, item: Item, size_bytes: int) -> None:
        """Called when a file is in its place."""

    def failed(self, failure: Failure) -> None:
        """Called when a file cannot be pulled."""

    def advanced(self, progress: Progress, left_s: float) -> None:
        """Called about every second with the progress."""

    def noted(self, note: str) -> None:
        """Called with what the copy leaves out of all files, or with what exports did not bring."""
        tell(f"note: {note}")

    def ended(self, survey: Survey, progress: Progress, outcome: str, exit_code: int) -> None:  # noqa: ARG002
        """Called last; `outcome` is ``done``, ``partial`` or ``interrupted``."""
        _tell_closed(survey)
        _tell_failures(progress.failures)
        new = progress.files - survey.present
        say(
            f"{progress.files} of {survey.files} files are here, {new} of them new"
            f" ({format_size(progress.size_bytes)}), with {progress.fetched} requests{_exported(progress)}"
            f"{_elsewhere(progress)}."
        )


class JsonReport(Report):
    """One JSON object per line on stdout."""

    def __init__(self) -> None:
        self._pace = Pace()

    def surveyed(self, survey: Survey) -> None:
        if self._pace.is_due():
            _write("survey", looked=survey.looked)

    def previewed(self, survey: Survey, left_s: float) -> None:
        self.planned(survey, left_s)

    def planned(self, survey: Survey, left_s: float) -> None:
        _write(
            "plan",
            files=survey.files,
            present=survey.present,
            requests=survey.missing,
            gone=survey.gone,
            late=survey.late,
            estimated_bytes=survey.estimated_bytes,
            eta_s=round(left_s, 1),
            recordings=_recordings(survey.keeping_up),
        )
        _write("via", **_way(survey.way))
        for closed in survey.closed:
            _write("note", text=_left_out(closed), path=closed.path, reason=reason_of(closed))
        for failure in survey.failures:
            self.failed(failure)

    def done(self, item: Item, size_bytes: int) -> None:
        _write("file", path=item.path, size_bytes=size_bytes)

    def failed(self, failure: Failure) -> None:
        _write("failure", path=failure.path, error=reason_of(failure))

    def noted(self, note: str) -> None:
        _write("note", text=note)

    def advanced(self, progress: Progress, left_s: float) -> None:
        if self._pace.is_due():
            _write("progress", **_counts(progress), eta_s=round(left_s, 1))

    def ended(self, survey: Survey, progress: Progress, outcome: str, exit_code: int) -> None:
        _write("end", outcome=outcome, of=survey.files, **_counts(progress), exit_code=exit_code)


class LineReport(Report):
    """A line of progress on stderr from time to time."""

    def __init__(self) -> None:
        self._of = 0
        self._written_s = time.monotonic()
        self._written_files = 0
        self._survey_line_s = self._written_s + _FIRST_LINE_S

    def surveyed(self, survey: Survey) -> None:
        if time.monotonic() >= self._survey_line_s:
            self._survey_line_s = time.monotonic() + LINE_EVERY_S
            tell(_looked(survey))

    def planned(self, survey: Survey, left_s: float) -> None:
        self._of, self._written_files = survey.files, survey.present
        _tell_plan(survey, left_s)

    def advanced(self, progress: Progress, left_s: float) -> None:
        share = (progress.files - self._written_files) / max(1, self._of)
        if share >= _LINE_EVERY_SHARE or time.monotonic() >= self._written_s + LINE_EVERY_S:
            self._written_s, self._written_files = time.monotonic(), progress.files
            tell(f"{progress.files} of {self._of} files, {_state(progress, left_s)}")


class BarReport(Report):
    """A progress bar on stderr, which is a terminal."""

    def __init__(self) -> None:
        self._bar: ProgressBar[str] | None = None

    def surveyed(self, survey: Survey) -> None:
        redraw_line(_looked(survey))

    def previewed(self, survey: Survey, left_s: float) -> None:
        erase_line()
        super().previewed(survey, left_s)

    def __exit__(self, *_exception: object) -> None:
        self._stop()

    def planned(self, survey: Survey, left_s: float) -> None:
        erase_line()
        _tell_plan(survey, left_s)
        self._bar = click.progressbar(
            length=survey.files,
            width=0,  # as wide as the terminal
            show_pos=True,
            show_eta=False,  # click knows nothing of the quota
            show_percent=False,
            update_min_steps=0,  # the state changes although no file is done
            item_show_func=lambda state: state,
            file=sys.stderr,
        )
        self._show(survey.present, "")

    def advanced(self, progress: Progress, left_s: float) -> None:
        self._show(progress.files, _state(progress, left_s))

    def ended(self, survey: Survey, progress: Progress, outcome: str, exit_code: int) -> None:
        self._stop()
        super().ended(survey, progress, outcome, exit_code)

    def _show(self, files: int, state: str) -> None:
        if self._bar is not None:
            self._bar.update(files - self._bar.pos, state)

    def _stop(self) -> None:
        if self._bar is None:
            erase_line()
        else:
            self._bar.render_finish()
            self._bar = None


def report_for(*, as_json: bool) -> Report:
    """The report that suits the output."""
    if as_json:
        return JsonReport()
    return BarReport() if sys.stderr.isatty() else LineReport()


def plan_line(survey: Survey, left_s: float) -> str:
    """A summary of a plan in one line."""
    requests = survey.missing
    gone = f" ({survey.gone} more were purged before rcfs fetched them)" if survey.gone else ""
    if not requests:
        return f"{survey.files} files{gone}, {survey.present} of them here already; no request is needed"
    size = f"{'' if survey.is_exact else 'at most '}{format_size(survey.estimated_bytes)}"
    late = f"; RingCentral deletes {survey.late} of them before their turn" if survey.late else ""
    work = f"{requests} files of {size} to bring" if survey.way.periods else f"{requests} requests for {size}"
    return (
        f"{survey.files} files{gone}, {survey.present} of them here already; {work},"
        f" about {format_duration(left_s)}{late}"
    )


def keeping_up_line(found: KeepingUp) -> str:
    """Says that the logins cannot keep up with the new recordings, or only just; empty if it can."""
    if not found.is_hard:
        return ""
    whose = "this login" if found.logins == 1 else f"your {found.logins} logins"
    rates = (
        f"about {found.new_a_day:,.0f} new recordings come each day; {whose} can fetch at most"
        f" {found.fetched_a_day:,.0f}, or {found.beside_persons_a_day:,.0f} while somebody reads in a mount"
    )
    if not found.behind_a_day:
        return f"{rates}: a copy keeps up only while nobody does"
    return (
        f"{rates}: a complete copy can never keep up, and falls {found.behind_a_day:,.0f} further behind each"
        " day; use more logins, or ask RingCentral for a higher limit"
    )


def reason_of(failure: Failure) -> str:
    """The reason of a failure in one line."""
    error = failure.error
    if isinstance(error, RcfsError):
        return error_line(error)
    if isinstance(error, OSError) and error.errno == errno.EFBIG:
        return "the file is too large for this disk (FAT32 takes less than 4 GiB); copy to another disk"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return f"unexpected error ({type(error).__name__}); see pull.log in the log directory"


def scope_line(failures: Sequence[Failure]) -> str:
    """Says that the app lacks the scope of mailboxes; empty if no failure shows that, or another as well."""
    scoped = [each for each in failures if _lacks_scope(each)]
    if not scoped or len(scoped) < len(failures):
        return ""
    return (
        f"no mailbox can be read: the app lacks the scope {READ_MESSAGES}; add it in RingCentral's developer"
        " console"
    )


def _lacks_scope(failure: Failure) -> bool:
    """Whether a mailbox could not be read because the app lacks the scope."""
    error = failure.error
    return "/" not in failure.path and isinstance(error, PlatformError) and is_missing_scope(error)


def _tell_failures(failures: Sequence[Failure]) -> None:
    scoped = [each for each in failures if _lacks_scope(each)]
    if scoped:
        tell(f"{scope_line(scoped)} ({len(scoped)} extensions)")
    for failure in failures:
        if not _lacks_scope(failure):
            tell(f"{failure.path}: {reason_of(failure)}")


def _looked(survey: Survey) -> str:
    if not survey.looked:
        return f"waiting for {survey.waits_for}" if survey.waits_for else "listing the mailboxes"
    return f"checking which files are here already: {survey.looked} so far"


def _state(progress: Progress, left_s: float) -> str:
    failed = f", {len(progress.failures)} failed" if progress.failures else ""
    if progress.parts_done is not None:
        failed += f"; all machines: {progress.parts_done} parts done, {progress.parts_left} left"
    left = f", {progress.requests_left} requests left" if progress.requests_left else ""
    if progress.expected:
        exports = "export" if progress.waits_for == 1 else "exports"
        left += f", {progress.expected} files in {progress.waits_for} {exports} to come"
    return f"{format_size(progress.size_bytes)}{left}, {format_duration(left_s)} to go{failed}"


def _exported(progress: Progress) -> str:
    if not progress.archives:
        return ""
    archives = "1 archive" if progress.archives == 1 else f"{progress.archives} archives"
    return f" and {archives} of exports, which brought {progress.exported}"


def _elsewhere(progress: Progress) -> str:
    if progress.parts_done is None:
        return ""
    others = f"; other machines have brought {progress.elsewhere}" if progress.elsewhere else ""
    return f"{others}; all machines: {progress.parts_done} parts done, {progress.parts_left} left"


def _tell_plan(survey: Survey, left_s: float) -> None:
    tell(plan_line(survey, left_s))
    if str(survey.way):
        tell(str(survey.way))
    _tell_hard(survey)


def _way(way: Way) -> dict[str, Any]:
    return {
        "way": way.via.value,
        "line": str(way),
        "reason": way.reason,
        "attachments": way.count,
        "by_exports": way.by_exports,
        "archives": way.archives,
        "archive_bytes": round(way.total_bytes),
        "exports": [period.query.name for period in way.periods],
        "eta_s": round(way.left_s, 1),
        "other_eta_s": None if way.other_s is None else round(way.other_s, 1),
        "report_s": round(way.report_s, 1),
        "report_s_is_assumed": way.is_assumed,
    }


def _tell_closed(survey: Survey) -> None:
    for closed in survey.closed:
        tell(f"note: {_left_out(closed)}")


def _left_out(closed: Failure) -> str:
    return f"{closed.path} is left out, because this login may not read it ({reason_of(closed)})"


def _tell_hard(survey: Survey) -> None:
    line = keeping_up_line(survey.keeping_up) if survey.keeping_up is not None else ""
    if line:
        tell(f"note: {line}")


def _recordings(found: KeepingUp | None) -> dict[str, float] | None:
    if found is None:
        return None
    return {
        "new_a_day": round(found.new_a_day, 1),
        "fetched_a_day": round(found.fetched_a_day, 1),
        "fetched_beside_persons_a_day": round(found.beside_persons_a_day, 1),
        "behind_a_day": round(found.behind_a_day, 1),
    }


def _counts(progress: Progress) -> dict[str, int]:
    joint = {} if progress.parts_done is None else {"parts_done": progress.parts_done}
    if joint:
        joint |= {"parts_left": progress.parts_left, "elsewhere": progress.elsewhere}
    return {
        **joint,
        "files": progress.files,
        "fetched": progress.fetched,
        "size_bytes": progress.size_bytes,
        "requests_left": progress.requests_left,
        "expected": progress.expected,
        "exported": progress.exported,
        "archives": progress.archives,
        "failures": len(progress.failures),
    }


def _write(event: str, **fields: Any) -> None:
    say(json.dumps({"event": event, **fields}))
