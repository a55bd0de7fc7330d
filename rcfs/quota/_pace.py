"""How fast background work of one group may go, so that a person who comes finds a slot.

Background work bursts while there are slots: a copy of 30 files on an idle account takes a second. Once it
is held up it is *paced*: its sends are an even share of the window apart, for otherwise everything would be
sent in one moment of each window, and who comes after that moment would wait for the next. It is paced
until it was not held up for a whole window. Pace and presence are those of all processes together: two
copies go at half the pace each, and leave the reserve to a person who reads through a third process.

The reserve is what background work leaves free: while a person is about, and from the start of a burst
until the slots of the burst come back, for which it takes nearly a window. The reserve itself is then sent
at the pace just before they do. From then on a slot comes free every `window / limit` seconds, reserve or
not, and no part of the budget lies idle.

The pace costs no throughput: a slot is free a round trip later than its next turn, so it is the window that
holds up the paced sender, by one round trip per window.
"""

import math
from collections.abc import Sequence
from typing import Final

from rcfs.model import Plan
from rcfs.quota._bucket import hold_s

PRESENCE_S: Final = 120.0
"""How long after a person's request somebody is taken to be there, in seconds: two windows, so that
listening to one voicemail after another (a minute is a long one) is one visit."""

RESERVE_DIVISOR: Final = 10
"""The reserve is the limit divided by this, but at least 1: 4 of 40, 1 of 10."""


class Pace:
    """Presence, pace and reserve of one group; times in seconds as in the ledger."""

    def __init__(self) -> None:
        self._person_s = -math.inf
        self._sent_s = -math.inf
        self._before_s = -math.inf
        self._paced_from_s = -math.inf
        self._paced_until_s = -math.inf

    @classmethod
    def load(cls, values: Sequence[float | None], shift_s: float) -> "Pace":
        """The pace that `dump` gave, on a clock that shows `shift_s` more."""
        pace = cls()
        times = (-math.inf if value is None else float(value) + shift_s for value in values)
        pace._person_s, pace._sent_s, pace._before_s, pace._paced_from_s, pace._paced_until_s = times
        return pace

    def dump(self) -> list[float | None]:
        """The state as JSON values: five times, None where there is none."""
        times = (self._person_s, self._sent_s, self._before_s, self._paced_from_s, self._paced_until_s)
        return [None if time_s == -math.inf else time_s for time_s in times]

    def bound(self, latest_s: float) -> None:
        """End the pace at `latest_s` at the latest."""
        self._paced_until_s = min(self._paced_until_s, latest_s)

    def note_person(self, now: float) -> None:
        """A person asked for something in this group, was served, or is about to ask."""
        self._person_s = now

    def sent(self, now: float) -> None:
        """Background work was sent."""
        self._before_s, self._sent_s = self._sent_s, now

    def unsent(self, taken_s: float) -> None:
        """A request that was admitted at `taken_s` was not sent after all: its turn is free again."""
        if self._sent_s == taken_s:
            self._sent_s = self._before_s

    def reserve(self, plan: Plan, now: float) -> int:
        """How many slots background work leaves free now; less than the limit."""
        return _reserve(plan) if not self.is_paced(now) or now < self._reserve_until_s(plan) else 0

    def is_paced(self, now: float) -> bool:
        """Whether background work is sent one at a time now."""
        return now < self._paced_until_s

    def due_s(self, plan: Plan, now: float) -> float:
        """When background work may be sent next, as far as the pace goes; `now` when it may."""
        if not self.is_paced(now):
            return now
        return max(now, self._sent_s + hold_s(plan) / (plan.limit - self.reserve(plan, now)))

    def hold(self, plan: Plan, now: float, until_s: float) -> float:
        """Note that background work has to wait until `until_s`.

        Returns:
            When to try again: then, or when the reserve is given up if that is earlier.
        """
        if not self.is_paced(now):
            self._paced_from_s = now
        reserve_until_s = self._reserve_until_s(plan)
        if reserve_until_s > now:
            until_s = min(until_s, reserve_until_s)
        self._paced_until_s = max(self._paced_until_s, until_s + hold_s(plan))
        return until_s

    def _reserve_until_s(self, plan: Plan) -> float:
        """When paced work gives up the reserve if no person comes."""
        burst_back_s = self._paced_from_s + hold_s(plan)
        reserve_lasts_s = _reserve(plan) * hold_s(plan) / plan.limit
        return max(self._person_s + PRESENCE_S, burst_back_s - reserve_lasts_s)


def _reserve(plan: Plan) -> int:
    return min(max(1, plan.limit // RESERVE_DIVISOR), plan.limit - 1)
