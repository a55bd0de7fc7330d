"""Outages: the home of a book is out of reach for a time, or forgets changes that it stored. The rules.

They keep all processes together within each limit, whichever of them reach the home. Times are those of the
book. *R* is the longest time from taking a slot to the last moment at which its request may reach the server
of RingCentral (`LONGEST_REQUEST_S`), *W* the longest time for which it then counts (`Book.longest_s`).

**Changes.** Each process numbers its changes, and a book has the number of the last change of each process.
So a process knows which of its changes a book lacks, and makes them again: after an outage, after a home that
restarted from an older copy, and after an answer that was lost on its way.

**Shares.** In the book each process has a share of all limits, the part that it may use while it cannot reach
the home. Only the process itself changes it: to a fair one, or to less if the others have left less. So all
shares together are never more than the whole.

**Silent.** The home knows until when each process promised to be heard. From then on the others leave its
share free, until it is heard, ends, is found dead, or is removed `ABSENT_S` later. A process that cannot
reach the home sends nothing until *R* and *W* after its own promise has ended: by then nothing counts any
more that others sent before they began to leave its share. Then it uses its share. It waits as long if it
sees that the home is gone for all: others may have taken slots just before, of which it has not heard. A
process that starts meanwhile has no share, unless it takes over that of a dead process of its machine.

**Lost.** A home that restarted, or that has less than a process has seen in it, may lack slots that only
others know. The first process that notices it stores the book that it saw last, or the home's if that has as
much, and awaits all others that the book names. If one of those has seen more, it stores its own instead, and
awaits all again. While somebody is awaited, nobody takes a slot, for *R* and *W* at most. A process that has
seen no book since it started stores one with the others that its machine remembers, each with a fair share.

**Joining.** A new process takes no slot before each other process that is not silent has seen it in the book.
So those who come back after a loss await it, too.
"""

import math
from collections.abc import Collection, Mapping
from typing import Any, Final

import attrs

from rcfs.model import LONGEST_S
from rcfs.quota._values import Share

LONGEST_REQUEST_S: Final = 75.0
"""Longest time from taking a slot until its request is given up, in seconds: 5 until an unused slot is given
back, 10 for the connection, and 60 for the headers of the answer."""

ABSENT_S: Final = 600.0
"""How long others leave the share of a silent process, in seconds: a computer that sleeps or was destroyed
says no goodbye, and should not keep a part of the limit from the others for long."""

_LEAST_PARTIES: Final = 2
"""A process that is alone has a half, so that one that starts while it is silent has the other half."""


@attrs.define
class Outage:
    """The part of a book that is about outages; `owner` is as in `Slot`."""

    _marks: dict[str, tuple[int, float]] = attrs.field(factory=dict)
    """The number of the last change of each process that the book has, and when it was stored."""
    _divisors: dict[str, int] = attrs.field(factory=dict)
    """The share of each process: 1 divided by this, or none if it is 0."""
    _awaited: dict[str, float] = attrs.field(factory=dict)
    """Until when each process is awaited that was not heard since the home lost changes."""
    _unseen: dict[str, list[str]] = attrs.field(factory=dict)
    """For each new process: those that have not seen it yet."""

    @classmethod
    def load(cls, values: Mapping[str, Any], shift_s: float) -> "Outage":
        """The outage that was dumped as `values`, its times moved by `shift_s`.

        Raises:
            LookupError, TypeError, ValueError: A value is missing or has a wrong type.
        """
        return cls(
            {str(owner): (int(number), at_s + shift_s) for owner, (number, at_s) in values["marks"].items()},
            {str(owner): int(divisor) for owner, divisor in values["divisors"].items()},
            {str(owner): until_s + shift_s for owner, until_s in values["awaited"].items()},
            {str(owner): list(map(str, others)) for owner, others in values["unseen"].items()},
        )

    def dump(self) -> dict[str, Any]:
        """The state as JSON values; empty if no home of the book has outages."""
        if not self._marks and not self._divisors:
            return {}
        return {
            "marks": dict(self._marks),
            "divisors": dict(self._divisors),
            "awaited": dict(self._awaited),
            "unseen": {owner: list(others) for owner, others in self._unseen.items()},
        }

    def mark(self, owner: str) -> int:
        """The number of the last change of `owner` that the book has; 0 without any."""
        return self._marks.get(owner, (0, 0.0))[0]

    @property
    def divisors(self) -> Mapping[str, int]:
        """The share of each process: 1 divided by this, or none if it is 0."""
        return self._divisors

    def join(self, owner: str, others: Collection[str]) -> None:
        """Record that `owner` is new, and that none of `others` has seen it yet."""
        if others:
            self._unseen[owner] = list(others)

    def note(self, owner: str, number: int, owners: Collection[str], now: float) -> None:
        """Record that `owner`, one of `owners`, has seen the book, which has its changes up to `number`."""
        self._marks[owner] = number, now
        self._divisors[owner] = self._fair(owner, owners)
        self._awaited.pop(owner, None)
        for new, others in list(self._unseen.items()):
            self._see(new, others, owner)

    def is_noted(self, owner: str, owners: Collection[str]) -> bool:
        """Whether `note` would change nothing but the mark."""
        return (
            owner not in self._awaited
            and not any(owner in others for others in self._unseen.values())
            and self._divisors.get(owner) == self._fair(owner, owners)
        )

    def remove(self, owner: str) -> None:
        """Record that `owner` has ended. The others may still await it: it may have sent requests."""
        self._divisors.pop(owner, None)
        self._unseen.pop(owner, None)
        for new, others in list(self._unseen.items()):
            self._see(new, others, owner)

    def await_all(self, others: Collection[str], until_s: float) -> None:
        """Record that the home may lack changes of `others`, for each of which to wait until `until_s`."""
        # One that was awaited before may have ended meanwhile, and no longer be among the others.
        self._awaited |= dict.fromkeys(others, until_s)

    def awaited(self, now: float) -> Collection[str]:
        """The processes that are still awaited."""
        return [owner for owner, until_s in self._awaited.items() if until_s > now]

    @property
    def awaited_until_s(self) -> float:
        """When nobody will be awaited any more at the latest; in the past if nobody is."""
        return max(self._awaited.values(), default=-math.inf)

    def share(self, owner: str, limit: int, silent: Collection[str]) -> Share:
        """The part of `limit` that `owner` may use, while `silent` are silent."""
        parts = [1 / divisor for other in silent if (divisor := self._divisors.get(other, 0))]
        is_held = any(other not in silent for other in self._unseen.get(owner, ()))
        left = math.ceil(limit * math.fsum(parts) - _ROUNDING)
        return Share(left, self.awaited_until_s, is_held=is_held)

    def bound(self, owners: Collection[str], now: float) -> None:
        """Forget what no longer matters; `owners` still use the book."""
        self._awaited = {owner: until_s for owner, until_s in self._awaited.items() if until_s > now}
        for owner, (_number, at_s) in list(self._marks.items()):
            if owner not in owners and at_s + LONGEST_S < now:
                del self._marks[owner]

    def _fair(self, owner: str, owners: Collection[str]) -> int:
        """The divisor of the fair share of `owner`, or of the smaller one that the others have left."""
        taken = math.fsum(1 / each for other, each in self._divisors.items() if each and other != owner)
        free = 1 - taken
        if free < _ROUNDING:
            return 0
        return max(_LEAST_PARTIES, len({*owners, owner}), math.ceil(1 / free - _ROUNDING))

    def _see(self, new: str, others: list[str], owner: str) -> None:
        if owner in others:
            others.remove(owner)
        if not others:
            del self._unseen[new]


_ROUNDING: Final = 1e-9
"""Largest error of a sum of parts."""
