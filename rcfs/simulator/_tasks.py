"""Export tasks: accepted at once, finished on the account's clock, packed at the first download.

A task passes through its states as time passes. It ends in success, unless `TaskBook.plan` was told otherwise
before its creation, so that a test can have each outcome that the documentation names, and those that it
does not: tasks that are slow, hang or expire, and archives with quirks.
"""

import math
import secrets
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from types import MappingProxyType
from typing import Any

import attrs

from rcfs.simulator._archives import Archive
from rcfs.simulator._quirks import Quirk
from rcfs.simulator._wire import ApiError, not_found
from rcfs.simulator.account._plan import DAY_S

MOST_AT_ONCE = 2
"""Unfinished tasks of one kind that an account may have (descriptions of the two creating operations)."""

LEAST_POLL_S = 10.0
"""Seconds between two questions for the state of an unfinished task, at least. The documentation says nothing
of it; faster polls are answered, and the journal notes them."""

Course = Sequence[tuple[float, str]]
"""The states of a task, each with the fraction of the duration at which it begins, from 0 to 1."""

SUCCESS = "Completed"
"""The only state with archives."""

EXPIRED = "Expired"
"""The state of a task that is kept no longer. A kind without such a state forgets the task."""

EXPORT_KEPT_S = 7 * DAY_S
"""Seconds that a finished export of team messaging is kept. U: the documentation does not say."""

FINAL = frozenset({SUCCESS, "Failed", "Cancelled", EXPIRED})
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
        EXPIRED: (*_EXPORT_BEGINS, (1.0, EXPIRED)),
    }
)
"""Courses of an export of team messaging by outcome. The guide names AttemptFailed and Cancelled, but the
schema DataExportTask does not, so these two come only on demand."""


@attrs.frozen
class TaskPlan:
    """How a task runs, and what its archives are like."""

    course: Course
    """The states that it passes through."""
    takes_s: float = attrs.field(validator=attrs.validators.gt(0))
    """Seconds of the account's clock from its creation to its end."""
    kept_s: float = attrs.field(default=math.inf, validator=attrs.validators.ge(0))
    """Seconds that it is kept after its end; then it is expired."""
    archives_kept_s: float = attrs.field(default=math.inf, validator=attrs.validators.ge(0))
    """Seconds that its archives are kept after its end, if those are fewer."""
    quirks: frozenset[Quirk] = frozenset()
    """Quirks of its archives."""


Make = Callable[[Collection[Quirk]], Iterable[Archive]]
"""Makes the archives of a task, with quirks."""


@attrs.define(eq=False)
class ExportTask:
    """One task. Any thread may ask for its archives."""

    id: str
    """Random id, unique within the account."""
    extension_id: int
    """The extension that created it."""
    created_s: float
    """Time of its creation, seconds since 1970 UTC."""
    plan: TaskPlan
    """How it runs."""
    wanted: Mapping[str, Any]
    """Parameters of the request, which the answer repeats."""
    _make: Make
    _archives: list[Archive] | None = attrs.field(default=None, init=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)
    _polled_s: float = attrs.field(default=-math.inf, init=False)

    @property
    def finished_s(self) -> float:
        """Time of its end, past or future, seconds since 1970 UTC."""
        return self.created_s + self.plan.takes_s

    def state(self, now_s: float) -> tuple[str, float]:
        """Its state at `now_s`, and the time at which that began, in seconds since 1970 UTC."""
        course = self.plan.course
        if course[-1][1] == SUCCESS and now_s >= self.finished_s + self.plan.kept_s:
            return EXPIRED, self.finished_s + self.plan.kept_s
        passed = [entry for entry in course if (now_s - self.created_s) / self.plan.takes_s >= entry[0]]
        part, status = passed[-1] if passed else course[0]
        return status, self.created_s + part * self.plan.takes_s

    def has_archives(self, now_s: float) -> bool:
        """Whether its archives can be downloaded at `now_s`."""
        return self.state(now_s)[0] == SUCCESS and now_s < self.finished_s + self.plan.archives_kept_s

    def archives(self) -> Sequence[Archive]:
        """Its archives. The first call makes them, which takes some 3 ms for each content."""
        with self._lock:
            if self._archives is None:
                with ExitStack() as unfinished:
                    made = self._make(self.plan.quirks)
                    self._archives = [unfinished.enter_context(closing(each)) for each in made]
                    unfinished.pop_all()
            return self._archives

    def listed_archives(self) -> Sequence[Archive]:
        """The archives that a list shows."""
        return () if Quirk.NO_ARCHIVES in self.plan.quirks else self.archives()

    def made_archives(self) -> Sequence[Archive]:
        """Those of its archives that exist already."""
        return self._archives or ()

    def note_poll(self, clock_s: float, now_s: float) -> str:
        """Note a question for its state; returns what is wrong with it, or nothing.

        Args:
            clock_s: Seconds of the simulator's clock, which nobody moves.
            now_s: Time of the account, seconds since 1970 UTC.
        """
        since_s, self._polled_s = clock_s - self._polled_s, clock_s
        if since_s >= LEAST_POLL_S:
            return ""
        if self.state(now_s)[0] in FINAL:
            return ""  # The question that finds the end, and those after it, repeat nothing.
        return f"polled after {since_s:.1f} s"

    def close(self) -> None:
        """Free the disk space of its archives."""
        with self._lock:
            for archive in self._archives or ():
                archive.close()


class TaskBook:
    """The tasks of one kind.

    Args:
        usual: How a task of this kind runs; its course is the one of `SUCCESS`.
        courses: The possible courses of a task, by outcome; `SUCCESS` among them.
    """

    def __init__(self, usual: TaskPlan, courses: Mapping[str, Course]) -> None:
        self._usual = usual
        self._courses = courses
        self._planned: deque[TaskPlan] = deque()
        self._tasks: dict[str, ExportTask] = {}

    def plan(self, outcome: str = SUCCESS, states: Sequence[str] = (), **changes: Any) -> None:
        """Plan the next task; several calls apply to successive tasks.

        Args:
            outcome: Its outcome.
            states: The states that it passes through in equal steps, in place of the usual ones of an
                outcome; if the last one is not final, the task never ends.
            changes: Other fields of `TaskPlan`.

        Raises:
            ValueError: No task of this kind has that outcome or one of these states, or a number is out of
                bounds.
            TypeError: A change is not a number or not a set of quirks.
        """
        if outcome not in self._courses:
            raise ValueError(f"the outcome must be one of {', '.join(self._courses)}")
        course = self._courses[outcome]
        if states:
            known = {status for course in self._courses.values() for _part, status in course}
            unknown = [status for status in states if status not in known]
            if unknown:
                raise ValueError(f"a state must be one of {', '.join(sorted(known))}, not {unknown[0]}")
            steps = max(1, len(states) - 1)
            course = tuple((number / steps, status) for number, status in enumerate(states))
        self._planned.append(attrs.evolve(self._usual, course=course, **changes))

    @property
    def planned(self) -> int:
        """Number of plans that no task has taken yet."""
        return len(self._planned)

    def create(
        self, prefix: str, extension_id: int, now_s: float, wanted: Mapping[str, Any], make: Make
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
            plan=self._planned.popleft() if self._planned else self._usual,
            wanted=wanted,
            make=make,
        )
        self._tasks[task.id] = task
        return task

    def find(self, task_id: str, now_s: float) -> ExportTask:
        """The task with this id.

        Raises:
            ApiError: 404, no such task exists, or it is expired and its kind has no such state.
        """
        task = self._tasks.get(task_id)
        if task is None or (EXPIRED not in self._courses and task.state(now_s)[0] == EXPIRED):
            raise not_found("taskId")
        return task

    def find_completed(self, task_id: str, now_s: float) -> ExportTask:
        """The completed task with this id.

        Raises:
            ApiError: 404, no such task exists, it is unfinished or failed, or its archives were deleted.
        """
        task = self.find(task_id, now_s)
        if not task.has_archives(now_s):
            raise not_found("taskId")
        return task

    def newest_first(self) -> Sequence[ExportTask]:
        """All tasks, newest first."""
        return list(reversed(self._tasks.values()))

    def close(self) -> None:
        """Free the disk space of all archives."""
        for task in self._tasks.values():
            task.close()
