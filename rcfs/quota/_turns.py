"""The turns of the processes that wait for slots of one group.

A process that gets no slot records which requests wait in it, and when it will ask again. This keeps its
place in the order until a moment after that time. A process that is dead or stopped does not ask again, so it
delays the others once, and not longer than that.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs

from rcfs.model import Plan, Priority
from rcfs.quota._bucket import hold_s
from rcfs.quota._values import Waiting

GRACE_S: Final = 0.25
"""How long after the time at which a process will ask again its turn passes to others, in seconds: on a busy
machine a process wakes up tens of milliseconds late."""


@attrs.define
class _Process:
    """A process that waits, or was served lately."""

    waiting: Waiting | None
    """The requests that wait in it; None without any."""
    ask_s: float
    """When it will ask again."""
    served_s: float = -math.inf
    """When it last got a slot for background work; -inf if not lately."""


@attrs.frozen
class Ahead:
    """The slots and the turn that other processes get before a process gets its own."""

    slots: int
    """Number of slots that they need first."""
    turn_s: float
    """Until when the next turn of background work is another process's; -inf if it is the process's own."""


@attrs.frozen
class Elsewhere:
    """The requests that wait in another process."""

    counts: tuple[int, ...]
    """Number of requests of each class, in the order of `Priority`."""
    has_turn: bool
    """Whether it has its next turn of background work before the asking process."""


class Turns:
    """The processes that wait for one group; each is named by its owner, as in `Slot`."""

    def __init__(self) -> None:
        self._processes: dict[str, _Process] = {}

    @classmethod
    def load(cls, values: Mapping[str, Any], shift_s: float) -> "Turns":
        """The turns that were dumped as `values`, their times moved by `shift_s`.

        Raises:
            TypeError, ValueError: A value has a wrong type.
        """
        turns = cls()
        for owner, (counts, since_s, ask_s, served_s) in values.items():
            process = _Process(None, ask_s + shift_s)
            if counts:
                process.waiting = Waiting(tuple(map(int, counts)), since_s + shift_s)
            if served_s is not None:
                process.served_s = served_s + shift_s
            turns._processes[owner] = process
        return turns

    def dump(self) -> dict[str, Any]:
        """The state as JSON values."""
        return {
            owner: [
                process.waiting.counts if process.waiting else [],
                process.waiting.since_s if process.waiting else 0.0,
                process.ask_s,
                None if process.served_s == -math.inf else process.served_s,
            ]
            for owner, process in self._processes.items()
        }

    def ahead(self, owner: str, waiting: Waiting, plan: Plan, now: float) -> Ahead:
        """The slots and the turn that others get before the first of `waiting`, which wait in `owner`."""
        first, slots, turn_s = waiting.first, 0, -math.inf
        mine = _rank(self._processes.get(owner), waiting)
        for process, theirs in self._others(owner, plan, now):
            urgent = sum(theirs.counts[:first])
            slots += urgent or _rank(process, theirs) < mine
            # A process that will ask only later leaves this turn to others.
            if theirs.first > Priority.METADATA and _rank(process, theirs) < mine and process.ask_s <= now:
                turn_s = max(turn_s, process.ask_s + _grace_s(plan))
        return Ahead(slots, turn_s)

    def elsewhere(self, owner: str, plan: Plan, now: float) -> tuple[Elsewhere, ...]:
        """The requests that wait in each process except `owner`."""
        mine = self._processes.get(owner)
        served_s = mine.served_s if mine else -math.inf
        return tuple(
            Elsewhere(waiting.counts, process.served_s < served_s)
            for process, waiting in self._others(owner, plan, now)
        )

    def wait(self, owner: str, waiting: Waiting, ask_s: float) -> None:
        """Record that `owner` got no slot for `waiting`, and asks again at `ask_s`."""
        process = self._processes.setdefault(owner, _Process(waiting, ask_s))
        process.waiting, process.ask_s = waiting, ask_s

    def serve(self, owner: str, waiting: Waiting, plan: Plan, now: float) -> None:
        """Record that `owner` got a slot for the first of `waiting`; it asks again at once if others wait."""
        first = waiting.first
        process = self._processes.setdefault(owner, _Process(None, now))
        process.ask_s = now
        process.waiting = waiting.without_first()
        if first > Priority.METADATA:
            process.served_s = now
        for other, process in list(self._processes.items()):
            idle = process.waiting is None or process.ask_s + _grace_s(plan) <= now
            if idle and process.served_s + hold_s(plan) <= now:
                del self._processes[other]

    def leave(self, owner: str) -> None:
        """Record that nothing waits in `owner` any more."""
        if owner in self._processes:
            self._processes[owner].waiting = None

    def forget(self, owner: str) -> None:
        """Remove `owner`, which has ended."""
        self._processes.pop(owner, None)

    def _others(self, owner: str, plan: Plan, now: float) -> Iterator[tuple[_Process, Waiting]]:
        """The processes except `owner` that keep their place, and the requests that wait in them."""
        for other, process in self._processes.items():
            if other != owner and process.waiting and now < process.ask_s + _grace_s(plan):
                yield process, process.waiting


def _grace_s(plan: Plan) -> float:
    """`GRACE_S`, or one slot's share of the window if that is shorter: a missed turn costs no more."""
    return min(GRACE_S, plan.window_s / plan.limit)


def _rank(process: _Process | None, waiting: Waiting) -> tuple[int, float, float]:
    """The place in the order, lowest first: by class, in background work by the last turn, then by age."""
    first = waiting.first
    served_s = process.served_s if process and first > Priority.METADATA else -math.inf
    return first, served_s, waiting.since_s
