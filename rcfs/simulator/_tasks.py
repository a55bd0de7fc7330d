"""Export tasks: accepted at once, finished on the account's clock, packed at the first download.

A task passes through its states as time passes. It ends in success, unless `TaskBook.plan` was told otherwise
before its creation, so that a test can have each outcome that the documentation names.
"""

import secrets
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from types import MappingProxyType
from typing import Any

import attrs

from rcfs.simulator._archives import Archive
from rcfs.simulator._wire import ApiError, not_found
from rcfs.simulator.account._plan import DAY_S

MOST_AT_ONCE = 2
"""Unfinished tasks of one kind that an account may have (descriptions of the two creating operations)."""

Course = Sequence[tuple[float, str]]
"""The states of a task, each with the fraction of the duration at which it begins, from 0 to 1."""

SUCCESS = "Completed"
"""The only state with archives."""

EXPORT_KEPT_S = 7 * DAY_S
"""Seconds that a finished export of team messaging is kept. U: the documentation does not say."""

FINAL = frozenset({SUCCESS, "Failed", "Cancelled", "Expired"})
"""Final states of a task; AttemptFailed is not one, as another attempt follows."""

_REPORT_BEGINS = ((0.0, "Accepted"), (0.1, "Pending"), (0.3, "InProgress"))
_EXPORT_BEGINS = ((0.0, "Accepted"), (0.3, "InProgress"))
_AGAIN = ((0.5, "AttemptFailed"), (0.7, "InProgress"))

REPORT_COURSES: Mapping[str, Course] = MappingProxyType(
    {
        SUCCESS: (*_REPORT_BEGINS, (1.0, SUCCESS)),
        "AttemptFailed": (*_REPORT_BEGINS, *_AGAIN, (1.0, SUCCESS)),
        "Failed": (*_REPORT_BEGINS, (1.0, "Failed")),
        "Cancelled": (*_REPORT_BEGINS, (1.0, "Cancelled")),
    }
)
"""Courses of a message store report by outcome (schema MessageStoreReport); the fractions are guesses."""

EXPORT_COURSES: Mapping[str, Course] = MappingProxyType(
    {
        SUCCESS: (*_EXPORT_BEGINS, (1.0, SUCCESS)),
        "AttemptFailed": (*_EXPORT_BEGINS, *_AGAIN, (1.0, SUCCESS)),
        "Failed": (*_EXPORT_BEGINS, (1.0, "Failed")),
        "Cancelled": (*_EXPORT_BEGINS, (1.0, "Cancelled")),
        "Expired": (*_EXPORT_BEGINS, (1.0, "Expired")),
    }
)
"""Courses of an export of team messaging by outcome. The guide names AttemptFailed and Cancelled, but the
schema DataExportTask does not, so these two come only on demand."""


@attrs.define(eq=False)
class ExportTask:
    """One task. Any thread may ask for its archives."""

    id: str
    """Random id, unique within the account."""
    extension_id: int
    """The extension that created it."""
    created_s: float
    """Time of its creation, seconds since 1970 UTC."""
    finished_s: float
    """Time of its end, past or future, seconds since 1970 UTC."""
    kept_s: float
    """Seconds that its archives are kept after that; then it is Expired."""
    course: Course
    """The states that it passes through."""
    wanted: Mapping[str, Any]
    """Parameters of the request, which the answer repeats."""
    _make: Callable[[], Iterable[Archive]]
    _archives: list[Archive] | None = attrs.field(default=None, init=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    def state(self, now_s: float) -> tuple[str, float]:
        """Its state at `now_s`, and the time at which that began, in seconds since 1970 UTC."""
        if self.course[-1][1] == SUCCESS and now_s >= self.finished_s + self.kept_s:
            return "Expired", self.finished_s + self.kept_s
        takes_s = self.finished_s - self.created_s
        passed = [entry for entry in self.course if (now_s - self.created_s) / takes_s >= entry[0]]
        part, status = passed[-1] if passed else self.course[0]
        return status, self.created_s + part * takes_s

    def archives(self) -> Sequence[Archive]:
        """Its archives. The first call makes them, which takes some 3 ms for each content."""
        with self._lock:
            if self._archives is None:
                with ExitStack() as unfinished:
                    self._archives = [unfinished.enter_context(closing(made)) for made in self._make()]
                    unfinished.pop_all()
            return self._archives

    def close(self) -> None:
        """Free the disk space of its archives."""
        with self._lock:
            for archive in self._archives or ():
                archive.close()


class TaskBook:
    """The tasks of one kind.

    Args:
        takes_s: Duration of a task, in seconds of the account's clock, above 0.
        courses: The possible courses of a task, by outcome; `SUCCESS` among them.
        kept_s: Seconds of the account's clock that a finished task is kept.
    """

    def __init__(self, takes_s: float, courses: Mapping[str, Course], kept_s: float = float("inf")) -> None:
        self._takes_s = takes_s
        self._courses = courses
        self._kept_s = kept_s
        self._planned: deque[str] = deque()
        self._tasks: dict[str, ExportTask] = {}

    def plan(self, outcome: str) -> None:
        """Give the next task the given `outcome`; several calls apply to successive tasks.

        Raises:
            ValueError: No task of this kind has that outcome.
        """
        if outcome not in self._courses:
            raise ValueError(f"the outcome must be one of {', '.join(self._courses)}")
        self._planned.append(outcome)

    def create(
        self,
        prefix: str,
        extension_id: int,
        now_s: float,
        wanted: Mapping[str, Any],
        make: Callable[[], Iterable[Archive]],
    ) -> ExportTask:
        """A new task, whose id begins with `prefix`; `make` makes its archives, in a thread.

        Raises:
            ApiError: 400, too many tasks are unfinished. U: the platform's code for this is unknown; CMN-111
                is a guess.
        """
        if sum(task.state(now_s)[0] not in FINAL for task in self._tasks.values()) >= MOST_AT_ONCE:
            raise ApiError(400, "CMN-111", f"No more than {MOST_AT_ONCE} simultaneous tasks are allowed")
        task = ExportTask(
            id=f"{prefix}-{secrets.token_hex(16)}",
            extension_id=extension_id,
            created_s=now_s,
            finished_s=now_s + self._takes_s,
            kept_s=self._kept_s,
            course=self._courses[self._planned.popleft() if self._planned else SUCCESS],
            wanted=wanted,
            make=make,
        )
        self._tasks[task.id] = task
        return task

    def find(self, task_id: str) -> ExportTask:
        """The task with this id.

        Raises:
            ApiError: 404, no such task exists.
        """
        if task_id not in self._tasks:
            raise not_found("taskId")
        return self._tasks[task_id]

    def find_completed(self, task_id: str, now_s: float) -> ExportTask:
        """The completed task with this id.

        Raises:
            ApiError: 404, no such task exists, or it is unfinished, failed or expired.
        """
        task = self.find(task_id)
        if task.state(now_s)[0] != SUCCESS:
            raise not_found("taskId")
        return task

    def newest_first(self) -> Sequence[ExportTask]:
        """All tasks, newest first."""
        return list(reversed(self._tasks.values()))

    def close(self) -> None:
        """Free the disk space of all archives."""
        for task in self._tasks.values():
            task.close()
