"""Looks at what may take long, for those who want an answer at once: the newest one that there is."""

from collections.abc import Callable
from typing import Generic, TypeVar

import trio

from rcfs.errors import RcfsError
from rcfs.transport._recorder import Recorder

T = TypeVar("T")

WITHIN_S = 0.2
"""How long a look is waited for, in seconds: a person does not notice, and what needs longer is a disk or a
database that is stuck."""


class Glance(Generic[T]):
    """One question that is asked again and again, in a thread of its own.

    All methods run in the trio thread.
    """

    def __init__(
        self, question: Callable[[], T], name: str, nursery: trio.Nursery, recorder: Recorder
    ) -> None:
        """Asks `question` in `nursery`; when it fails, `recorder` hears so under `name`."""
        self._question = question
        self._name = name
        self._nursery = nursery
        self._recorder = recorder
        # Not a thread of those that all share: a question that is stuck must hold up nothing else.
        self._threads = trio.CapacityLimiter(1)
        self._answered: trio.Event | None = None
        self._asked_s = 0.0
        self._answer: T | None = None

    @property
    def newest(self) -> T | None:
        """The newest answer; None when there is none yet."""
        return self._answer

    async def look(self) -> T | None:
        """The answer as of now; None when there is none.

        It is an older one when the present one does not come within `WITHIN_S`. While a question is stuck,
        everyone who comes later gets the older answer at once.
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
        except Exception as exc:  # noqa: BLE001 - what cannot be told must not end the mount
            self._recorder.crash(self._name, exc)
        finally:
            self._answered = None
            answered.set()
