"""The calls of the simulated account, as tests change them.

A plan determines the calls (`_call_plan`, `_call_days`); this module keeps what tests add and change.
"""

import itertools
import math
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, overload

import attrs

from rcfs.simulator._dice import stable_int
from rcfs.simulator.account._account import SimAccount
from rcfs.simulator.account._call_days import DailyCalls
from rcfs.simulator.account._call_plan import PlannedCalls
from rcfs.simulator.account._call_values import (
    HIPAA_RECORDING_KEPT_S,
    RECORDED_FROM_S,
    RECORDING_KEPT_S,
    RECORDING_LIMIT,
    SimCall,
    SimRecording,
)
from rcfs.simulator.account._people import Contact
from rcfs.simulator.media._call import MP3, CallAudio
from rcfs.simulator.media._content import MediaBases

_FIRST_ADDED = 1_900_000_000_004
"""Smallest id of a recording that a test adds: above those of 31 million planned calls."""
_ADDED_STEP = 1000
"""Distance between two such ids."""


class CallPlan(Protocol):
    """The calls that an account has by itself."""

    def steps(self) -> Iterator[None]:
        """Do what `log` needs; the caller may run other tasks between steps."""

    def log(
        self, extension_id: int | None, now_s: float, since_s: float, until_s: float
    ) -> Sequence[SimCall]:
        """See `CallBook.calls`."""

    def find(self, call_id: str) -> SimCall | None:
        """The call with this id, whether it has a record yet or not."""

    def holder(self, recording_id: int) -> SimCall | None:
        """The call that a recording is of; None if no call has it."""


@attrs.frozen
class NewLeg:
    """One leg of a call that a test adds."""

    extension_id: int
    """The extension that talks in it."""
    duration_s: int
    """Length in seconds, at least 1; up to `RECORDED_FROM_S`, no recording of it is kept."""


class CallBook:
    """All calls of `account`.

    Args:
        account: The account; some calls belong to its most recent messages.
        count: Number of calls of all extensions up to the account's present, at least 0.
        per_day: Instead of `count`, calls a day, without end, on `days` days before the present; 0 for none.
        days: See `per_day`.
        limit: Most recordings that an account with `per_day` keeps.
        hipaa: Whether recordings are kept for `HIPAA_RECORDING_KEPT_S`.
    """

    def __init__(
        self,
        account: SimAccount,
        count: int,
        *,
        per_day: int = 0,
        days: int = 30,
        limit: int = RECORDING_LIMIT,
        hipaa: bool = False,
    ) -> None:
        self._seed = account.spec.seed
        self._kept_s = HIPAA_RECORDING_KEPT_S if hipaa else RECORDING_KEPT_S
        self._plan: CallPlan = PlannedCalls(account, count, self._kept_s)
        if per_day:
            self._plan = DailyCalls(account, per_day, days, limit, self._kept_s)
        self._bases = MediaBases()
        self._changed: dict[str, SimCall] = {}
        self._added: list[str] = []
        self._holders: dict[int, str] = {}
        self._numbers = itertools.count(_FIRST_ADDED, _ADDED_STEP)

    def steps(self) -> Iterator[None]:
        """Plan all calls; the caller may run other tasks between steps.

        Without this, the first call of another method does it at once.
        """
        yield from self._plan.steps()

    def calls(
        self,
        extension_id: int | None,
        now_s: float,
        since_s: float = -math.inf,
        until_s: float = math.inf,
    ) -> Sequence[SimCall]:
        """The calls of an extension, or of all for None, that began in ``[since_s, until_s]``.

        Those without a record at `now_s` are missing; the newest comes first.
        """
        planned = self._plan.log(extension_id, now_s, since_s, until_s)
        added = [
            call
            for call in map(self._changed.__getitem__, self._added)
            if call.appears_s <= now_s
            and since_s <= call.start_s <= until_s
            and (extension_id is None or extension_id in call.owners)
        ]
        return _Changed(planned, self._changed, added) if self._changed else planned

    def changed(self, extension_id: int | None) -> Sequence[SimCall]:
        """The calls of an extension, or of all for None, that tests have added or changed."""
        calls = self._changed.values()
        return [call for call in calls if extension_id is None or extension_id in call.owners]

    def find(self, extension_id: int | None, call_id: str, now_s: float) -> SimCall | None:
        """The call with this id in the log of an extension, or in that of all; None if `now_s` has none."""
        call = self._changed.get(call_id) or self._plan.find(call_id)
        if call is None or call.appears_s > now_s:
            return None
        return call if extension_id is None or extension_id in call.owners else None

    def recording(self, recording_id: int, now_s: float) -> SimRecording | None:
        """The recording with this id; None if it does not exist at `now_s`."""
        call = self._holder(recording_id)
        found = (recording for recording in call.recordings if recording.id == recording_id) if call else ()
        return next((recording for recording in found if recording.is_there(now_s)), None)

    def recordings(self, now_s: float) -> Iterator[SimRecording]:
        """All recordings available at `now_s`, newest call first."""
        for call in self.calls(None, now_s):
            yield from (recording for recording in call.recordings if recording.is_there(now_s))

    # Changes by tests.

    def add(
        self,
        legs: Sequence[NewLeg],
        now_s: float,
        *,
        direction: str,
        other: Contact | None,
        log_after_s: float,
        recording_after_s: float | None,
    ) -> SimCall:
        """A call that ends at `now_s`; the legs after the first are transfers.

        Args:
            legs: Its legs in order, at least one.
            now_s: The present.
            direction: ``Inbound`` or ``Outbound``.
            other: The other party; None if the number is withheld.
            log_after_s: Seconds until its record appears.
            recording_after_s: Seconds from then until its recordings appear; None for no recordings.

        Raises:
            ValueError: One of several legs has no recording.
        """
        kept = recording_after_s is not None and all(leg.duration_s > RECORDED_FROM_S for leg in legs)
        if len(legs) > 1 and not kept:
            raise ValueError(f"several legs need recordings, and more than {RECORDED_FROM_S} s each")
        number, first = len(self._added), legs[0]
        duration_s = sum(leg.duration_s for leg in legs)
        call = SimCall(
            id=f"new{number}-{stable_int(64, self._seed, 'added call', number):x}",
            number=stable_int(48, self._seed, "added session", number),
            extension_id=first.extension_id,
            type="Voice",
            direction=direction,
            result="Accepted" if direction == "Inbound" else "Call connected",
            start_s=now_s - duration_s,
            duration_s=duration_s,
            other=other,
            log_after_s=log_after_s,
            is_short=recording_after_s is not None and not kept,
        )
        if recording_after_s is not None and kept:
            appears_s = call.appears_s + recording_after_s
            made = tuple(self._recording(leg.extension_id, leg.duration_s, appears_s) for leg in legs)
            call = attrs.evolve(call, recordings=made)
        self._added.append(call.id)
        return self._keep(call)

    def record(self, call_id: str, leg: int, duration_s: int, now_s: float) -> SimRecording:
        """Let a recording appear now: the leg's coming one, or a new one that replaces what the leg has.

        Raises:
            ValueError: There is no such call, or it has no such leg.
        """
        call = self._known(call_id)
        held = list(call.recordings)
        if not 0 <= leg < max(1, len(held)):
            raise ValueError(f"call {call_id} has no leg {leg}")
        if leg < len(held) and held[leg].appears_s > now_s:
            made = attrs.evolve(held[leg], appears_s=now_s)
        else:
            owner_id = held[leg].extension_id if held else call.extension_id
            made = self._recording(owner_id, duration_s, now_s)
        held[leg : leg + 1] = [made]
        self._keep(attrs.evolve(call, recordings=tuple(held), changed_s=now_s))
        return made

    def delete_recording(self, recording_id: int, now_s: float, *, still_named: bool) -> None:
        """Delete a recording now: its content is gone; the record names it on if `still_named`.

        Raises:
            ValueError: There is no such recording.
        """
        call = self._holder(recording_id)
        if call is None or all(recording.id != recording_id for recording in call.recordings):
            raise ValueError(f"there is no recording {recording_id}")

        def ended(recording: SimRecording) -> SimRecording:
            if recording.id != recording_id:
                return recording
            return attrs.evolve(recording, lost_s=now_s, ends_s=recording.ends_s if still_named else now_s)

        held = tuple(map(ended, call.recordings))
        # A lost recording changes nothing in the record, so its time of modification stays.
        changed_s = call.changed_s if still_named else now_s
        self._keep(attrs.evolve(call, recordings=held, changed_s=changed_s))

    def rewrite(
        self, call_id: str, fields: Mapping[str, Any], leg_fields: Mapping[str, Any], now_s: float
    ) -> None:
        """Change the record of a call now, see `SimCall.fields`; an earlier change of it ends.

        Raises:
            ValueError: There is no such call.
        """
        call = self._known(call_id)
        self._keep(attrs.evolve(call, fields=fields, leg_fields=leg_fields, changed_s=now_s))

    def _known(self, call_id: str) -> SimCall:
        call = self._changed.get(call_id) or self._plan.find(call_id)
        if call is None:
            raise ValueError(f"there is no call {call_id}")
        return call

    def _holder(self, recording_id: int) -> SimCall | None:
        call_id = self._holders.get(recording_id)
        if call_id is not None:
            return self._changed[call_id]
        call = None if recording_id >= _FIRST_ADDED else self._plan.holder(recording_id)
        return None if call is None else self._changed.get(call.id, call)

    def _keep(self, call: SimCall) -> SimCall:
        self._changed[call.id] = call
        self._holders |= {recording.id: call.id for recording in call.recordings}
        return call

    def _recording(self, extension_id: int, duration_s: int, appears_s: float) -> SimRecording:
        recording_id = next(self._numbers)
        audio = CallAudio(f"{self._seed}/{recording_id}", duration_s, MP3, self._bases)
        return SimRecording(
            recording_id, extension_id, "Automatic", appears_s, appears_s + self._kept_s, audio
        )


class _Changed(Sequence[SimCall]):
    """The calls of a plan with changes; its own memory is that of the changes.

    Args:
        planned: The planned calls, newest first.
        changed: All changed calls, by id.
        added: Further calls, in any order.
    """

    def __init__(
        self, planned: Sequence[SimCall], changed: Mapping[str, SimCall], added: Sequence[SimCall]
    ) -> None:
        self._planned = planned
        self._changed = changed
        self._added = sorted(added, key=lambda call: call.start_s, reverse=True)
        self._places = [
            number + bisect_left(planned, -call.start_s, key=lambda one: -one.start_s)
            for number, call in enumerate(self._added)
        ]

    def __len__(self) -> int:
        return len(self._planned) + len(self._added)

    @overload
    def __getitem__(self, place: int) -> SimCall: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[SimCall]: ...
    def __getitem__(self, place: int | slice) -> SimCall | Sequence[SimCall]:
        if isinstance(place, slice):
            return [self[number] for number in range(*place.indices(len(self)))]
        place = range(len(self))[place]
        before = bisect_left(self._places, place)
        if before < len(self._places) and self._places[before] == place:
            return self._added[before]
        call = self._planned[place - before]
        return self._changed.get(call.id, call)
