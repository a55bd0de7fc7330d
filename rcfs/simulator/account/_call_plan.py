"""The planned calls of the simulated account: parties, times and recordings.

As with messages, only the plan of each extension's calls is stored. It is made at first use: some 50 µs and
1 kB per call. Some calls belong to voicemails and faxes of the mailbox. A few happen on the day after the
account's present, so that a client that polls sees new calls, and their recordings somewhat later.
"""

import base64
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice

from rcfs.simulator._dice import Dice, stable_int
from rcfs.simulator.account._account import SimAccount
from rcfs.simulator.account._call_values import (
    APPEARS_S,
    RECORDED_FROM_S,
    RECORDING_APPEARS_S,
    RECORDING_KEPT_S,
    SimCall,
    SimRecording,
)
from rcfs.simulator.account._hours import office_moment
from rcfs.simulator.account._people import Contact, SimExtension, contact
from rcfs.simulator.account._plan import DAY_S, SimMessage
from rcfs.simulator.media._call import MP3, WAV, CallAudio
from rcfs.simulator.media._content import MediaBases

_REACH_S = 180 * DAY_S
"""Greatest age of a call: twice the retention of recordings, so that both sides of it occur."""
_LARGE_EACH = 25
"""One call in this number is a long meeting, recorded in uncompressed audio."""
_LARGE_S = (3300, 5400)
"""Shortest and longest such meeting in seconds: 53 to 86 MB."""
_TIED_SHARE = 4
"""At most one call in this number belongs to a message."""
_COMING_SHARE = 30
"""One further call per this number happens on the day after the account's present, at least one per
extension."""
_PLANNED_AT_ONCE = 50
"""Calls planned between two chances for other tasks to run: some 3 ms of work."""
_FIRST_RECORDING = 1_400_000_000_004
_RECORDING_STEP = 16_000
"""Distance between the recording ids of two calls; the second recording of a call is 1,000 after its
first."""


class PlannedCalls:
    """A certain number of calls of `account`, over half a year.

    Args:
        account: The account; some calls belong to its most recent messages.
        count: Number of calls of all extensions up to the account's present, at least 0.
        kept_s: Seconds that a recording is kept.
    """

    def __init__(self, account: SimAccount, count: int, kept_s: float) -> None:
        self._account = account
        self._count = count
        self._kept_s = kept_s
        self._bases = MediaBases()
        self._logs: dict[int, Sequence[SimCall]] = {}
        self._whole: Sequence[SimCall] | None = None

    def steps(self) -> Iterator[None]:
        """Plan all calls; the caller may run other tasks between steps."""
        for owner in self._account.extensions:
            yield from self._steps_of(owner)

    def log(
        self, extension_id: int | None, now_s: float, since_s: float, until_s: float
    ) -> Sequence[SimCall]:
        """The calls of an extension, or of all for None, that began in ``[since_s, until_s]``.

        Those without a record at `now_s` are missing; the newest comes first.
        """
        if self._whole is None:
            for _ in self.steps():
                pass
            self._whole = _newest_first(chain.from_iterable(self._logs.values()))
        return [
            call
            for call in self._whole
            if since_s <= call.start_s <= until_s
            and call.appears_s <= now_s
            and (extension_id is None or extension_id in call.owners)
        ]

    def find(self, call_id: str) -> SimCall | None:
        """The call with this id."""
        calls = self.log(None, float("inf"), float("-inf"), float("inf"))
        return next((call for call in calls if call.id == call_id), None)

    def holder(self, recording_id: int) -> SimCall | None:
        """The call that a recording is of; None if no call has it."""
        # The id determines the owner, so only that log is planned.
        slot = (recording_id - _FIRST_RECORDING) // _RECORDING_STEP % len(self._account.extensions)
        owner = self._account.extensions[slot]
        for _ in self._steps_of(owner):
            pass
        log = self._logs[owner.id]
        return next((call for call in log if any(r.id == recording_id for r in call.recordings)), None)

    def _steps_of(self, owner: SimExtension) -> Iterator[None]:
        if owner.id not in self._logs:
            calls: list[SimCall] = []
            for call in self._plan(owner):
                calls.append(call)
                if len(calls) % _PLANNED_AT_ONCE == 0:
                    yield
            self._logs[owner.id] = _newest_first(calls)
            yield

    def _plan(self, owner: SimExtension) -> Iterator[SimCall]:
        """The calls of `owner`, in any order."""
        spec = self._account.spec
        callers = self._callers()
        if owner not in callers:
            return
        # Rounding the running sums makes the shares add up to the whole.
        before = sum(other.share for other in callers[: callers.index(owner)])
        whole = sum(other.share for other in callers)
        count = round(self._count * (before + owner.share) / whole) - round(self._count * before / whole)
        tied = self._tied(owner, count // _TIED_SHARE)
        for index, message in enumerate(tied):
            yield self._message_call(owner, index, message)
        start_s = spec.end_s - min(_REACH_S, spec.months * 30 * DAY_S)
        for index in range(len(tied), count):
            long = index % _LARGE_EACH == 0
            dice = Dice(spec.seed, "call", owner.slot, index)
            reach_s = RECORDING_KEPT_S - 2 * DAY_S if long else spec.end_s - start_s
            moment = office_moment(dice, max(start_s, spec.end_s - reach_s), spec.end_s - DAY_S)
            yield self._conversation(owner, index, min(moment, spec.end_s - 2 * _LARGE_S[1]), dice, long=long)
        for index in range(count, count + -(-count // _COMING_SHARE)):
            dice = Dice(spec.seed, "call", owner.slot, index)
            moment = spec.end_s + dice.between(60, int(DAY_S))
            yield self._conversation(owner, index, moment, dice, long=False)

    def _tied(self, owner: SimExtension, most: int) -> list[SimMessage]:
        """The newest voicemails and faxes of `owner`, at most `most`."""
        end_s = self._account.spec.end_s
        found = (
            message
            for message in self._account.mailbox(owner.id).newest_first()
            if message.type in ("VoiceMail", "Fax")
            and message.fixture is None
            and message.created_s is not None
            and message.created_s < end_s
        )
        return list(islice(found, most))

    def _message_call(self, owner: SimExtension, index: int, message: SimMessage) -> SimCall:
        created_s = message.last_modified if message.created_s is None else message.created_s
        seed = self._account.spec.seed
        dice = Dice(seed, "message call", message.id)
        duration_s = dice.between(20, 90)
        results = {"VoiceMail": "Voicemail", "Fax": "Received" if message.direction == "Inbound" else "Sent"}
        return SimCall(
            id=_opaque(seed, owner.slot, index),
            number=stable_int(48, seed, "session", owner.slot, index),
            extension_id=owner.id,
            type="Fax" if message.type == "Fax" else "Voice",
            direction=message.direction,
            result=results[message.type],
            start_s=created_s - duration_s,
            duration_s=duration_s,
            other=contact(seed, owner.slot, message.contact),
            message=message,
        )

    def _conversation(
        self, owner: SimExtension, index: int, start_s: float, dice: Dice, *, long: bool
    ) -> SimCall:
        """A call between people, recorded or not."""
        seed = self._account.spec.seed
        inbound = owner.type != "User" or dice.chance(0.55)
        answered = long or dice.chance(0.7)
        if answered:
            result = "Accepted" if inbound else "Call connected"
        else:
            result = "Missed" if inbound else dice.pick(("No Answer", "Busy", "Hang Up"))
        first_id = _FIRST_RECORDING + (index * self._account.spec.extensions + owner.slot) * _RECORDING_STEP
        audio = self._audio(first_id, long=long)
        duration_s = audio.duration_s if answered else dice.between(5, 40)
        recorded = answered and (long or dice.chance(0.6))
        kind = "OnDemand" if dice.chance(0.3) else "Automatic"
        transferred = recorded and not long and dice.chance(0.15)
        plans = [(first_id, owner.id, audio)] if recorded else []
        if transferred:
            second_id = first_id + 1000
            colleagues = [e.id for e in self._callers() if e.id != owner.id] or [owner.id]
            # A stream of its own, so that the choice changes nothing else about the call.
            other_id = Dice(seed, "transfer", second_id).pick(colleagues)
            plans.append((second_id, other_id, self._audio(second_id, long=False)))
        kept = [plan for plan in plans if plan[2].duration_s > RECORDED_FROM_S]
        appears_s = start_s + duration_s + APPEARS_S + RECORDING_APPEARS_S
        return SimCall(
            id=_opaque(seed, owner.slot, index),
            number=stable_int(48, seed, "session", owner.slot, index),
            extension_id=owner.id,
            type="Voice",
            direction="Inbound" if inbound else "Outbound",
            result=result,
            start_s=start_s,
            duration_s=duration_s,
            other=self._other(owner, dice),
            recordings=tuple(
                SimRecording(recording_id, leg_owner, kind, appears_s, start_s + self._kept_s, made)
                for recording_id, leg_owner, made in kept
            ),
            is_short=recorded and audio.duration_s <= RECORDED_FROM_S,
        )

    def _callers(self) -> Sequence[SimExtension]:
        """The extensions that make and take calls."""
        return [extension for extension in self._account.extensions if extension.status == "Enabled"]

    def _other(self, owner: SimExtension, dice: Dice) -> Contact | SimExtension | None:
        chance = dice.unit()
        colleagues = [e for e in self._account.extensions if e.id != owner.id and e.number]
        if chance < 0.05:
            return None
        if chance < 0.2 and colleagues:
            return dice.pick(colleagues)
        return contact(self._account.spec.seed, owner.slot, dice.rank(40))

    def _audio(self, recording_id: int, *, long: bool) -> CallAudio:
        """The content of a recording, which depends only on the seed and the recording's id."""
        seed = self._account.spec.seed
        dice = Dice(seed, "recording", recording_id)
        duration_s = dice.between(*_LARGE_S) if long else 5 + dice.rank(900)
        content_type = WAV if long or dice.chance(0.4) else MP3
        return CallAudio(f"{seed}/{recording_id}", duration_s, content_type, self._bases)


def _newest_first(calls: Iterable[SimCall]) -> Sequence[SimCall]:
    return sorted(calls, key=lambda call: (call.start_s, call.id), reverse=True)


def _opaque(seed: int, slot: int, index: int) -> str:
    """An id of a call record in the platform's form: letters, digits, ``-`` and ``_``."""
    number = stable_int(88, seed, "call id", slot, index)
    return base64.urlsafe_b64encode(number.to_bytes(11, "big")).decode().rstrip("=")
