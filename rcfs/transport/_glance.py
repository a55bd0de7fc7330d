"""Answers to questions that may take long, for callers that cannot wait: the newest answer so far."""

from collections.abc import Callable
from typing import Generic, TypeVar

import trio

from rcfs.errors import RcfsError
from rcfs.transport._recorder import Recorder

T = TypeVar("T")

WITHIN_S = 0.2
"""Longest wait for an answer, in seconds: a person does not notice it, and only a stuck disk or database
takes longer."""


class Glance(Generic[T]):
    """The answers to one question, asked in a thread of its own; all methods run in the trio thread."""

    def __init__(
        self, question: Callable[[], T], name: str, nursery: trio.Nursery, recorder: Recorder
    ) -> None:
        """Asks `question` in a task of `nursery`; `recorder` logs failures under `name`."""
        self._question = question
        self._name = name
        self._nursery = nursery
        self._recorder = recorder
        # Its own thread, because a question that is stuck must not block other thread calls.
        self._threads = trio.CapacityLimiter(1)
        self._answered: trio.Event | None = None
        self._asked_s = 0.0
        self._answer: T | None = None

    @property
    def newest(self) -> T | None:
        """The newest answer; None before the first."""
        return self._answer

    async def look(self) -> T | None:
        """The present answer if it comes within `WITHIN_S`, else the newest one; None before the first.

        While a question is stuck, later callers get the newest answer at once.
        """
        if self._answered is None:
            self._answered, self._asked_s = trio.Event(), trio.current_time()
            self._nursery.start_soon(self._ask, self._answered)
        with trio.move_on_at(self._asked_s + WITHIN_S):
            await self._answered.wait()
        return self._answer

    async def _ask(self, answered: trio.Event) -> None:
        try:
            self._answer = await trio.to_thread.run_sync(
                self._question, limiter=self._threads, abandon_on_cancel=True
            )
        except RcfsError as exc:
            self._recorder.fault(self._name, str(exc))
        except Exception as exc:  # noqa: BLE001 - a failed question must not end the mount
            self._recorder.crash(self._name, exc)
        finally:
            self._answered = None
            answered.set()
