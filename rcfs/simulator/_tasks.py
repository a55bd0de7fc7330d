"""Export tasks: accepted at once, finished on the account's clock, their archives made when asked for."""

import secrets
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs

from rcfs.simulator._archives import Archive
from rcfs.simulator._wire import ApiError, not_found

MOST_AT_ONCE = 2
"""Tasks of one kind that may be under way in an account (descriptions of the two that create them)."""

_ACCEPTED_PART = 0.1
_PENDING_PART = 0.3
"""Up to which part of its time a task is Accepted, and then Pending; the rest it is InProgress."""


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
    """When it will be, or was, finished."""
    wanted: Mapping[str, Any]
    """What was asked for, as the answer repeats it."""
    _make: Callable[[], Iterable[Archive]]
    _archives: list[Archive] | None = attrs.field(default=None, init=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    def status(self, now_s: float) -> str:
        """Where it stands at `now_s`."""
        part = (now_s - self.created_s) / (self.finished_s - self.created_s)
        if part >= 1:
            return "Completed"
        return "Accepted" if part < _ACCEPTED_PART else "Pending" if part < _PENDING_PART else "InProgress"

    def archives(self) -> Sequence[Archive]:
        """What came of it; the first call makes it, which takes a while: some 3 ms for each content."""
        with self._lock:
            if self._archives is None:
                self._archives = list(self._make())
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
    """

    def __init__(self, takes_s: float) -> None:
        self._takes_s = takes_s
        self._tasks: dict[str, ExportTask] = {}

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
            ApiError: 400, too many are under way. U: the platform's code for it is not known.
        """
        if sum(task.status(now_s) != "Completed" for task in self._tasks.values()) >= MOST_AT_ONCE:
            raise ApiError(400, "CMN-111", f"No more than {MOST_AT_ONCE} simultaneous tasks are allowed")
        task_id = f"{prefix}-{secrets.token_hex(16)}"
        task = ExportTask(task_id, extension_id, now_s, now_s + self._takes_s, wanted, make)
        self._tasks[task_id] = task
        return task

    def find(self, task_id: str) -> ExportTask:
        """The task with this id.

        Raises:
            ApiError: 404, there is none.
        """
        if task_id not in self._tasks:
            raise not_found("taskId")
        return self._tasks[task_id]

    def newest_first(self) -> Sequence[ExportTask]:
        """All tasks."""
        return list(reversed(self._tasks.values()))

    def close(self) -> None:
        """Free the space of all archives."""
        for task in self._tasks.values():
            task.close()
