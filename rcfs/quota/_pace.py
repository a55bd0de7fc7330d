"""The pace of background work in one group, which leaves a slot for a person who arrives.

Background work sends a burst while slots are free: a copy of 30 files on an idle account takes a second. When
the first request has to wait, the work becomes *paced*: its requests are an even share of the window apart.
Without that all would be sent in one moment of each window, and a person who arrives just after it would wait
for the next. The pace ends when no request had to wait for a whole window. Pace and presence are those of all
processes together: two copies run at half the pace each, and leave the reserve to a person who reads through
a third process.

The reserve is the number of slots that background work leaves free. It does so while a person is present, and
from the start of a burst until the slots of the burst become free again, nearly a window later. Shortly
before that it uses the reserve too, at its pace. From then on a slot becomes free every `window / limit`
seconds, with or without a reserve, and no part of the budget is unused.

The pace costs no throughput: a slot becomes free one round trip later than its next turn, so the paced sender
waits for the window, one round trip per window.
"""

import math
from collections.abc import Sequence
from typing import Final

import attrs

from rcfs.model import DAY_S, Plan
from rcfs.quota._bucket import hold_s

PRESENCE_S: Final = 120.0
"""How long a person counts as present after a request, in seconds: two windows, so that listening to one
voicemail after another (a minute is a long one) is one visit."""

RESERVE_DIVISOR: Final = 10
"""The reserve is the limit divided by this: 4 of 40."""

_LATE_DIVISOR: Final = 20
"""A turn that is late by less than a window divided by this does not delay the next ones: two of 40 then come
at once. The server of a shared ledger that restarts is away for about as long."""

_SMALL_RESERVE: Final = 2
_SMALL_DIVISOR: Final = 5
"""A small limit has a reserve of 2, or of the limit divided by this, but at least 1: 2 of 10, 1 of 5. Anyone
who opens a recording mostly opens a second one within the minute, or looks into another month of calls."""


@attrs.define(eq=False)
class Pace:
    """Presence, pace and reserve of one group; times in seconds as in the ledger."""

    _person_s: float = -math.inf
    """When a person last asked."""
    _sent_s: float = -math.inf
    """When background work was last sent."""
    _before_s: float = -math.inf
    """When it was sent before that."""
    _paced_from_s: float = -math.inf
    """When the pace last began."""
    _paced_until_s: float = -math.inf
    """When it ends."""

    @classmethod
    def load(cls, values: Sequence[float | None], shift_s: float) -> "Pace":
        """The pace that was dumped as `values`, its times moved by `shift_s`.

        Raises:
            TypeError, ValueError: They are not five times.
        """
        if len(values) != len(attrs.fields(cls)):
            raise ValueError("a pace has five times")
        return cls(*(-math.inf if value is None else float(value) + shift_s for value in values))

    def dump(self) -> list[float | None]:
        """The state as JSON values: the five times in the order of the fields, None for -inf."""
        times = (self._person_s, self._sent_s, self._before_s, self._paced_from_s, self._paced_until_s)
        return [None if time_s == -math.inf else time_s for time_s in times]

    def bound(self, latest_s: float) -> None:
        """Cut the end of the pace to `latest_s`."""
        self._paced_until_s = min(self._paced_until_s, latest_s)

    def note_person(self, now: float) -> None:
        """Record that a person asks for something in this group, or is likely to soon."""
        self._person_s = now

    def sent(self, plan: Plan, now: float) -> None:
        """Record that background work was sent, which counts from when it was due.

        A process wakes up late, and a ledger on a server answers late, or restarts; the next turns are not
        late for that.
        """
        due_s = self._sent_s + self._interval_s(plan, now)
        is_late = self.is_paced(now) and due_s <= now < due_s + self._late_s(plan, now)
        self._before_s, self._sent_s = self._sent_s, due_s if is_late else now

    def unsent(self, plan: Plan, taken_s: float) -> None:
        """Free the turn of a request that was admitted at `taken_s` and not sent."""
        if self._sent_s <= taken_s < self._sent_s + self._late_s(plan, taken_s):
            self._sent_s = self._before_s

    def reserve(self, plan: Plan, now: float) -> int:
        """The number of slots that background work leaves free now; less than the limit."""
        return _reserve(plan) if not self.is_paced(now) or now < self._reserve_until_s(plan) else 0

    def is_paced(self, now: float) -> bool:
        """Whether background work is paced now."""
        return now < self._paced_until_s

    def due_s(self, plan: Plan, now: float) -> float:
        """The earliest time at which the pace lets background work be sent; `now` if it may be now."""
        if not self.is_paced(now):
            return now
        return max(now, self._sent_s + self._interval_s(plan, now))

    def _interval_s(self, plan: Plan, now: float) -> float:
        """The time between two turns of paced work."""
        return hold_s(plan) / (plan.limit - self.reserve(plan, now))

    def _late_s(self, plan: Plan, now: float) -> float:
        """How late a turn may be without delaying the next ones."""
        return max(self._interval_s(plan, now), hold_s(plan) / _LATE_DIVISOR)

    def hold(self, plan: Plan, now: float, until_s: float) -> float:
        """Record that background work has to wait until `until_s`; the time to try again.

        That is `until_s`, or the time at which it may use the reserve, if that is earlier.
        """
        if not self.is_paced(now):
            self._paced_from_s = now
        reserve_until_s = self._reserve_until_s(plan)
        if reserve_until_s > now:
            until_s = min(until_s, reserve_until_s)
        self._paced_until_s = max(self._paced_until_s, until_s + hold_s(plan))
        return until_s

    def _reserve_until_s(self, plan: Plan) -> float:
        """The time from which paced work uses the reserve if no person comes."""
        burst_back_s = self._paced_from_s + hold_s(plan)
        reserve_lasts_s = _reserve(plan) * hold_s(plan) / plan.limit
        return max(self._person_s + PRESENCE_S, burst_back_s - reserve_lasts_s)


@attrs.frozen
class DailyShare:
    """The requests of one group that background work can send in a day, if it has the whole budget."""

    most: float
    """While nobody is present."""
    beside_persons: float
    """While somebody is present all day, for whom it leaves the reserve free."""


def daily_share(plan: Plan) -> DailyShare:
    """How much background work can do in a day under `plan`."""
    windows = DAY_S / plan.window_s
    return DailyShare(windows * plan.limit, windows * (plan.limit - _reserve(plan)))


def _reserve(plan: Plan) -> int:
    small = max(1, min(_SMALL_RESERVE, plan.limit // _SMALL_DIVISOR))
    return min(max(small, plan.limit // RESERVE_DIVISOR), plan.limit - 1)
