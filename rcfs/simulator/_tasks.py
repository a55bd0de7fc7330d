"""Export tasks: accepted at once, finished on the account's clock, their archives made when asked for.

A task goes through its states as time passes. What it comes to is success, unless it was told otherwise
before it was created (`TaskBook.plan`): so a test can have each end that the documentation names.
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
"""Tasks of one kind that may be under way in an account (descriptions of the two that create them)."""

Course = Sequence[tuple[float, str]]
"""The states of a task, each with the part of its time at which it begins: the first at 0, the last at 1."""

SUCCESS = "Completed"
"""The state in which there are archives."""

EXPORT_KEPT_S = 7 * DAY_S
"""How long a finished export of team messaging can be had, in seconds. U: the documentation does not say."""

FINAL = frozenset({SUCCESS, "Failed", "Cancelled", "Expired"})
"""States that are the end of a task; AttemptFailed is not, as a further attempt follows."""

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
"""Courses of a message store report by what they come to (schema MessageStoreReport); the parts are
guesses."""

EXPORT_COURSES: Mapping[str, Course] = MappingProxyType(
    {
        SUCCESS: (*_EXPORT_BEGINS, (1.0, SUCCESS)),
        "AttemptFailed": (*_EXPORT_BEGINS, *_AGAIN, (1.0, SUCCESS)),
        "Failed": (*_EXPORT_BEGINS, (1.0, "Failed")),
        "Cancelled": (*_EXPORT_BEGINS, (1.0, "Cancelled")),
        "Expired": (*_EXPORT_BEGINS, (1.0, "Expired")),
    }
)
"""Courses of an export of team messaging. The schema DataExportTask knows neither AttemptFailed nor
Cancelled, but the guide does; so these two come on demand only."""


@attrs.define(eq=False)
class ExportTask:
    """One task. Its archives may be asked for in any thread."""

    id: str
    """What the client calls it."""
    extension_id: int
    """Who has asked for it."""
    created_s: float
    """When that was, seconds since 1970 UTC."""
    finished_s: float
    """When it will have, or has, come to its end."""
    kept_s: float
    """How long it can be had after that, in seconds; then it is Expired."""
    course: Course
    """The states that it goes through."""
    wanted: Mapping[str, Any]
    """What was asked for, as the answer repeats it."""
    _make: Callable[[], Iterable[Archive]]
    _archives: list[Archive] | None = attrs.field(default=None, init=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    def state(self, now_s: float) -> tuple[str, float]:
        """Where it stands at `now_s`, and since when, in seconds since 1970 UTC."""
        if self.course[-1][1] == SUCCESS and now_s >= self.finished_s + self.kept_s:
            return "Expired", self.finished_s + self.kept_s
        takes_s = self.finished_s - self.created_s
        passed = [entry for entry in self.course if (now_s - self.created_s) / takes_s >= entry[0]]
        part, status = passed[-1] if passed else self.course[0]
        return status, self.created_s + part * takes_s

    def archives(self) -> Sequence[Archive]:
        """What came of it; the first call makes it, which takes a while: some 3 ms for each content."""
        with self._lock:
            if self._archives is None:
                with ExitStack() as unfinished:
                    self._archives = [unfinished.enter_context(closing(made)) for made in self._make()]
                    unfinished.pop_all()
            return self._archives

    def close(self) -> None:
        """Free the space of its archives."""
        with self._lock:
            for archive in self._archives or ():
                archive.close()


class TaskBook:
    """The tasks of one kind.

    Args:
        takes_s: How long a task takes, in seconds of the account's clock, above 0.
        courses: The courses that a task can take, by what it comes to; `SUCCESS` among them.
        kept_s: How long a finished task can be had, in seconds of the account's clock.
    """

    def __init__(self, takes_s: float, courses: Mapping[str, Course], kept_s: float = float("inf")) -> None:
        self._takes_s = takes_s
        self._courses = courses
        self._kept_s = kept_s
        self._planned: deque[str] = deque()
        self._tasks: dict[str, ExportTask] = {}

    def plan(self, outcome: str) -> None:
        """Let the next task that is created, after those planned before, come to `outcome`.

        Raises:
            ValueError: No task of this kind comes to that.
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
        """A new task, whose id begins with `prefix`; `make` gives its archives, in a thread.

        Raises:
            ApiError: 400, too many are under way. U: the platform's code for it is not known; CMN-111 is a
                guess.
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
            ApiError: 404, there is none.
        """
        if task_id not in self._tasks:
            raise not_found("taskId")
        return self._tasks[task_id]

    def find_completed(self, task_id: str, now_s: float) -> ExportTask:
        """The task with this id, which has archives.

        Raises:
            ApiError: 404, there is none, or it has none: not yet, not any more, or never.
        """
        task = self.find(task_id)
        if task.state(now_s)[0] != SUCCESS:
            raise not_found("taskId")
        return task

    def newest_first(self) -> Sequence[ExportTask]:
        """All tasks."""
        return list(reversed(self._tasks.values()))

    def close(self) -> None:
        """Free the space of all archives."""
        for task in self._tasks.values():
            task.close()
