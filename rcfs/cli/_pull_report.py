"""How `rcfs pull` shows what it does: a bar on a terminal, lines elsewhere, JSON for programs."""

import errno
import json
import sys
import time
from types import TracebackType
from typing import Any, Protocol, Self

from rcfs.cli._output import error_line, say, tell
from rcfs.errors import RcfsError
from rcfs.model import format_duration, format_size
from rcfs.pull import Entry, Failure, Plan, Progress

_LINE_EVERY_S = 10.0
_LINE_EVERY_SHARE = 0.05
"""A line of progress is written when so much time has passed, or so much of the work was done, whichever
comes first, so that a log is neither empty nor full of them."""


class Report(Protocol):
    """Told what happens; a context manager, because a bar must give the terminal back."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def previewed(self, plan: Plan, left_s: float) -> None:
        """What would be done, and how many seconds it would take; nothing else follows."""

    def planned(self, plan: Plan, left_s: float) -> None:
        """What will be done, and how many seconds that takes."""

    def done(self, entry: Entry, size_bytes: int) -> None:
        """A file is where it is to be."""

    def failed(self, failure: Failure) -> None:
        """A file could not be had."""

    def advanced(self, progress: Progress, left_s: float) -> None:
        """How far it is; called every second or so."""

    def noted(self, note: str) -> None:
        """Something that was left out, once for all files."""

    def ended(self, plan: Plan, progress: Progress, outcome: str, exit_code: int) -> None:
        """It is over: ``done``, ``partial`` or ``interrupted``."""


class _Quiet:
    """What the reports have in common."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        pass

    def previewed(self, plan: Plan, left_s: float) -> None:
        _tell_closed(plan)
        say(plan_line(plan, left_s))

    def done(self, entry: Entry, size_bytes: int) -> None:
        pass

    def failed(self, failure: Failure) -> None:
        pass

    def noted(self, note: str) -> None:
        tell(f"note: {note}")


class JsonReport(_Quiet):
    """One JSON object per line on stdout."""

    def __init__(self) -> None:
        self._written_s = time.monotonic()

    def previewed(self, plan: Plan, left_s: float) -> None:
        self.planned(plan, left_s)

    def planned(self, plan: Plan, left_s: float) -> None:
        _write(
            "plan",
            files=plan.files,
            present=len(plan.present),
            requests=len(plan.missing),
            gone=len(plan.gone),
            estimated_bytes=plan.estimated_bytes,
            eta_s=round(left_s, 1),
        )
        for closed in plan.closed:
            _write("note", path=closed.path, reason=reason_of(closed))

    def done(self, entry: Entry, size_bytes: int) -> None:
        _write("file", path=entry.path, size_bytes=size_bytes)

    def failed(self, failure: Failure) -> None:
        _write("failure", path=failure.path, error=reason_of(failure))

    def noted(self, note: str) -> None:
        _write("note", text=note)

    def advanced(self, progress: Progress, left_s: float) -> None:
        if time.monotonic() >= self._written_s + _LINE_EVERY_S:
            self._written_s = time.monotonic()
            _write("progress", **_counts(progress), eta_s=round(left_s, 1))

    def ended(self, plan: Plan, progress: Progress, outcome: str, exit_code: int) -> None:
        _write("end", outcome=outcome, of=plan.files, **_counts(progress), exit_code=exit_code)


class LineReport(_Quiet):
    """Lines on stderr, now and then."""

    def __init__(self) -> None:
        self._of = 0
        self._written_s = time.monotonic()
        self._written_files = 0

    def planned(self, plan: Plan, left_s: float) -> None:
        self._of, self._written_files = plan.files, len(plan.present)
        tell(plan_line(plan, left_s))

    def advanced(self, progress: Progress, left_s: float) -> None:
        share = (progress.files - self._written_files) / max(1, self._of)
        if share >= _LINE_EVERY_SHARE or time.monotonic() >= self._written_s + _LINE_EVERY_S:
            self._written_s, self._written_files = time.monotonic(), progress.files
            tell(f"{progress.files} of {self._of} files, {_state(progress, left_s)}")

    def ended(self, plan: Plan, progress: Progress, outcome: str, exit_code: int) -> None:  # noqa: ARG002
        _tell_end(plan, progress)


class BarReport(_Quiet):
    """A bar on stderr, which is a terminal."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bar

        self._bar = Bar(
            BarColumn(),
            TextColumn("{task.completed}/{task.total} files"),
            TextColumn("{task.description}"),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task("listing the mailboxes", total=None)

    def previewed(self, plan: Plan, left_s: float) -> None:
        self._bar.stop()
        super().previewed(plan, left_s)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._bar.stop()

    def planned(self, plan: Plan, left_s: float) -> None:
        self._bar.console.print(f"rcfs: {plan_line(plan, left_s)}", highlight=False, markup=False)
        self._bar.update(self._task, total=plan.files, completed=len(plan.present), description="")

    def advanced(self, progress: Progress, left_s: float) -> None:
        self._bar.update(self._task, completed=progress.files, description=_state(progress, left_s))

    def ended(self, plan: Plan, progress: Progress, outcome: str, exit_code: int) -> None:  # noqa: ARG002
        self._bar.stop()
        _tell_end(plan, progress)


def report_for(*, as_json: bool) -> Report:
    """The report that fits where the output goes."""
    if as_json:
        return JsonReport()
    return BarReport() if sys.stderr.isatty() else LineReport()


def plan_line(plan: Plan, left_s: float) -> str:
    """What a plan comes to, in one line."""
    requests = len(plan.missing)
    gone = f" ({len(plan.gone)} more were purged before they were fetched)" if plan.gone else ""
    if not requests:
        return f"{plan.files} files{gone}, {len(plan.present)} of them there already; no request is needed"
    size = f"{'' if plan.is_exact else 'at most '}{format_size(plan.estimated_bytes)}"
    return (
        f"{plan.files} files{gone}, {len(plan.present)} of them there already; {requests} requests"
        f" for {size}, about {format_duration(left_s)}"
    )


def reason_of(failure: Failure) -> str:
    """Why something could not be had, in one line."""
    error = failure.error
    if isinstance(error, RcfsError):
        return error_line(error)
    if isinstance(error, OSError) and error.errno == errno.EFBIG:
        return "the disk takes no file of this size (FAT32: less than 4 GiB)"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return f"unexpected error ({type(error).__name__}), see pull.log in the log directory"


def _state(progress: Progress, left_s: float) -> str:
    failed = f", {len(progress.failures)} failed" if progress.failures else ""
    left = f", {progress.requests_left} requests left" if progress.requests_left else ""
    return f"{format_size(progress.size_bytes)}{left}, {format_duration(left_s)} to go{failed}"


def _tell_closed(plan: Plan) -> None:
    for closed in plan.closed:
        tell(f"note: {closed.path} is left out, as this login may not read it ({reason_of(closed)})")


def _tell_end(plan: Plan, progress: Progress) -> None:
    _tell_closed(plan)
    for failure in progress.failures:
        tell(f"{failure.path}: {reason_of(failure)}")
    brought = progress.files - len(plan.present)
    say(
        f"{progress.files} of {plan.files} files are there: {brought} of them new"
        f" ({format_size(progress.size_bytes)}), with {progress.fetched} requests."
    )


def _counts(progress: Progress) -> dict[str, int]:
    return {
        "files": progress.files,
        "fetched": progress.fetched,
        "size_bytes": progress.size_bytes,
        "requests_left": progress.requests_left,
        "failures": len(progress.failures),
    }


def _write(event: str, **fields: Any) -> None:
    say(json.dumps({"event": event, **fields}))
