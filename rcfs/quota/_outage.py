"""Outages: the home of a book is out of reach for a time, or forgets changes that it stored. The rules.

**Changes.** Each process numbers its changes, and a book has the number of the last change of each process.
So a process knows which of its changes a book lacks, and makes them again: after an outage, after a home that
restarted from an older copy, and after an answer that was lost on its way.

**Apart.** While a process cannot reach the home it knows nothing of the others, and goes by what it saw last.
The requests that were sent before the outage count as long as ever. The slots that they leave free are
divided by the number of processes, the *parties*, rounded down: everyone else does the same, so all together
stay within the limit. The answers of RingCentral show the use of others, which counts as part of their
shares. If there are more parties than slots, they take turns, each with one request in several windows
(`rcfs.quota._apart`).

**Together again.** The first process that reaches the home again names in the book all others, which it
awaits. Until each of them has made its changes again, or the longest time has passed for which a request may
count, the processes that were heard use the shares of as many processes, and leave the rest.
"""

from collections.abc import Collection, Mapping
from typing import Any

import attrs

from rcfs.model import LONGEST_S, Plan


@attrs.define
class Outage:
    """The part of a book that is about outages; `owner` is as in `Slot`."""

    parties: int = 1
    """Number of processes that share the limit since the latest outage, at least 1."""
    _marks: dict[str, tuple[int, float]] = attrs.field(factory=dict)
    """The number of the last change of each process that the book has, and when it was stored."""
    _awaited: dict[str, float] = attrs.field(factory=dict)
    """Until when each process that was not heard since the outage is awaited."""

    @classmethod
    def load(cls, values: Mapping[str, Any], shift_s: float) -> "Outage":
        """The outage that was dumped as `values`, its times moved by `shift_s`.

        Raises:
            LookupError, TypeError, ValueError: A value is missing or has a wrong type.
        """
        marks = {
            str(owner): (int(number), at_s + shift_s) for owner, (number, at_s) in values["marks"].items()
        }
        awaited = {str(owner): until_s + shift_s for owner, until_s in values["awaited"].items()}
        return cls(max(1, int(values["parties"])), marks, awaited)

    def dump(self) -> dict[str, Any]:
        """The state as JSON values; empty if no home of the book has outages."""
        if not self._marks:
            return {}
        return {"parties": self.parties, "marks": dict(self._marks), "awaited": dict(self._awaited)}

    def mark(self, owner: str) -> int:
        """The number of the last change of `owner` that the book has; 0 without any."""
        return self._marks.get(owner, (0, 0.0))[0]

    def note(self, owner: str, number: int, now: float) -> None:
        """Record that the book has all changes of `owner` up to `number`, so that nobody awaits it."""
        self._marks[owner] = number, now
        self._awaited.pop(owner, None)

    def await_all(self, others: Collection[str], until_s: float) -> None:
        """Record that one process was heard, and all `others` are awaited until `until_s`."""
        self.parties = len(others) + 1
        self._awaited = dict.fromkeys(others, until_s)

    def awaited(self, now: float) -> Collection[str]:
        """The processes that are still awaited."""
        return [owner for owner, until_s in self._awaited.items() if until_s > now]

    def bound(self, owners: Collection[str], now: float) -> None:
        """Forget what no longer matters; `owners` still use the book."""
        self._awaited = {owner: until_s for owner, until_s in self._awaited.items() if until_s > now}
        for owner, (_number, at_s) in list(self._marks.items()):
            if owner not in owners and at_s + LONGEST_S < now:
                del self._marks[owner]


def left_slots(plan: Plan, before: int, heard: int, parties: int) -> int:
    """The number of slots that stay free for the processes that cannot be heard.

    Args:
        plan: The plan of the group.
        before: Number of slots that are used by requests from before the outage.
        heard: Number of processes that share what they know, this one included.
        parties: Number of all processes.
    """
    free = max(0, plan.limit - before)
    return free - heard * (free // parties)
