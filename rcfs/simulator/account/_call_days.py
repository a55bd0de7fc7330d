"""A steady number of calls a day, without end: the plan of a large account, in constant memory.

A call's number determines all of it, and its number follows from its time by arithmetic, so a page anywhere
in a log of millions costs as much as the first. Every call is answered and recorded, and calls come evenly by
day and night; each user takes every N-th of them.
"""

import base64
import math
from collections.abc import Iterator, Sequence
from typing import overload

from rcfs.simulator._dice import Dice, stable_int
from rcfs.simulator.account._account import SimAccount
from rcfs.simulator.account._call_values import (
    APPEARS_S,
    RECORDED_FROM_S,
    RECORDING_APPEARS_S,
    SimCall,
    SimRecording,
)
from rcfs.simulator.account._people import contact
from rcfs.simulator.account._plan import DAY_S
from rcfs.simulator.media._call import MP3, CallAudio
from rcfs.simulator.media._content import MediaBases

_FIRST_RECORDING = 1_400_000_000_004
_RECORDING_STEP = 1000
_LONGEST_S = 600
"""Longest call in seconds, so that the few calls without a record yet are the newest of all."""
_CONTACTS = 40
"""Number of people that each user talks to."""


class DailyCalls:
    """Calls of `account` at a constant rate.

    Args:
        account: The account.
        per_day: Calls of all users a day, at least 1.
        days: Days before the account's present on which there were calls, at least 1.
        limit: Most recordings that the account keeps: the newest.
        kept_s: Seconds that a recording is kept.
    """

    def __init__(self, account: SimAccount, per_day: int, days: int, limit: int, kept_s: float) -> None:
        self._seed = account.spec.seed
        self._users = [e for e in account.extensions if e.status == "Enabled" and e.type == "User"]
        self._start_s = account.spec.end_s - days * DAY_S
        self._step_s = DAY_S / per_day
        self._limit = limit
        self._kept_s = kept_s
        self._bases = MediaBases()

    def steps(self) -> Iterator[None]:
        """Nothing has to be planned beforehand."""
        return iter(())

    def log(
        self, extension_id: int | None, now_s: float, since_s: float, until_s: float
    ) -> Sequence[SimCall]:
        """See `CallPlan.log`; the calls are made when they are read."""
        first, last = self._number(since_s), self._number(min(until_s, now_s), after=True)
        step, offset = 1, 0
        if extension_id is not None:
            places = [place for place, user in enumerate(self._users) if user.id == extension_id]
            if not places:
                return ()
            step, offset = len(self._users), places[0]
        first += (offset - first) % step
        settled = max(first, self._number(now_s - _LONGEST_S - APPEARS_S))
        settled += (offset - settled) % step
        recent = map(self._call, reversed(range(settled, last, step)))
        newest = [call for call in recent if call.appears_s <= now_s]
        return _Log(self, newest, range(first, min(settled, last), step)[::-1])

    def find(self, call_id: str) -> SimCall | None:
        """The call with this id."""
        try:
            data = base64.urlsafe_b64decode(call_id + "=" * (-len(call_id) % 4))
        except ValueError:
            return None
        call = self._call(int.from_bytes(data[:8], "big")) if len(data) == 11 else None
        return call if call is not None and call.id == call_id else None

    def holder(self, recording_id: int) -> SimCall | None:
        """The call that a recording is of; None if no call has it."""
        number, rest = divmod(recording_id - _FIRST_RECORDING, _RECORDING_STEP)
        return None if rest or number < 0 else self._call(number)

    def _number(self, time_s: float, *, after: bool = False) -> int:
        """Number of the first call that begins at `time_s` or later, or `after` it."""
        if time_s <= self._start_s and not after:
            return 0
        passed = (time_s - self._start_s) / self._step_s
        number = max(0, math.floor(passed) - 1)
        while self._begins_s(number) < time_s or (after and self._begins_s(number) <= time_s):
            number += 1
        return number

    def _begins_s(self, number: int) -> float:
        return int((self._start_s + number * self._step_s) * 1000) / 1000

    def _call(self, number: int) -> SimCall:
        """The call with this number; some 20 µs."""
        owner = self._users[number % len(self._users)]
        dice = Dice(self._seed, "daily call", number)
        inbound = dice.chance(0.55)
        start_s = self._begins_s(number)
        duration_s = dice.between(RECORDED_FROM_S + 1, _LONGEST_S)
        recording_id = _FIRST_RECORDING + number * _RECORDING_STEP
        appears_s = start_s + duration_s + APPEARS_S + RECORDING_APPEARS_S
        # The newest recordings push out the oldest.
        ends_s = min(start_s + self._kept_s, max(appears_s, self._begins_s(number + self._limit)))
        audio = CallAudio(f"{self._seed}/{recording_id}", duration_s, MP3, self._bases)
        return SimCall(
            id=self._opaque(number),
            number=stable_int(48, self._seed, "daily session", number),
            extension_id=owner.id,
            type="Voice",
            direction="Inbound" if inbound else "Outbound",
            result="Accepted" if inbound else "Call connected",
            start_s=start_s,
            duration_s=duration_s,
            other=contact(self._seed, owner.slot, dice.rank(_CONTACTS)),
            recordings=(SimRecording(recording_id, owner.id, "Automatic", appears_s, ends_s, audio),),
        )

    def _opaque(self, number: int) -> str:
        """An id from which the number can be read, with a check so that other texts are no ids."""
        check = stable_int(24, self._seed, "daily id", number)
        return base64.urlsafe_b64encode(number.to_bytes(8, "big") + check.to_bytes(3, "big")).decode()[:-1]


class _Log(Sequence[SimCall]):
    """A log whose calls are made when they are read.

    Args:
        plan: Makes the calls.
        newest: The newest ones.
        numbers: The numbers of all others, descending.
    """

    def __init__(self, plan: DailyCalls, newest: Sequence[SimCall], numbers: range) -> None:
        self._make = plan._call  # noqa: SLF001 - a part of the plan
        self._newest = newest
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._newest) + len(self._numbers)

    @overload
    def __getitem__(self, place: int) -> SimCall: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[SimCall]: ...
    def __getitem__(self, place: int | slice) -> SimCall | Sequence[SimCall]:
        if isinstance(place, slice):
            return [self[number] for number in range(*place.indices(len(self)))]
        place = range(len(self))[place]
        if place < len(self._newest):
            return self._newest[place]
        return self._make(self._numbers[place - len(self._newest)])
