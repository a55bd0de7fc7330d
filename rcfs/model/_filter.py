"""The choice of messages, calls and greetings that `pull` and `search` take. Pure.

Each condition has one meaning wherever it is used. A file or record that lacks what a condition asks for does
not fit: with a shortest duration, texts do not fit, because they have none.
"""

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

import attrs

from rcfs.model._calls import Call, Leg
from rcfs.model._months import month_span_s
from rcfs.model._records import OUTBOUND, Availability, Message, Party

RECORDING: Final = "recording"
GREETING: Final = "greeting"
CALL_LOG: Final = "calls"
"""Types of what is no message: recordings of calls; greetings and prompts; call logs."""

_MESSAGE_TYPES: Final = {
    "sms": "SMS",
    "mms": "SMS",
    "pager": "Pager",
    "voicemail": "VoiceMail",
    "fax": "Fax",
}
"""Types of messages, and their names in the API, which has no type of its own for texts with files."""

FILTER_TYPES: Final = (*_MESSAGE_TYPES, RECORDING, GREETING, CALL_LOG)
"""All types; ``sms`` holds all texts, and ``mms`` those with files."""

_NUMBER = re.compile(r"[+0-9().\-/\s\u2010-\u2015]*[0-9][+0-9().\-/\s\u2010-\u2015]*")
"""A phone number in any notation."""
_LOCAL_DIGITS = 7
"""Fewest digits by which two notations of a number may be the same: a local number in North America."""


@attrs.frozen(kw_only=True)
class Filter:
    """A choice; all conditions must hold."""

    types: frozenset[str] = frozenset()
    """Only these of `FILTER_TYPES`; empty for all, and for messages of types that are not among them."""
    since_s: float | None = None
    """Only what was created or began at that time or later, in seconds since 1970 UTC; None for all. Anything
    without a time counts as old."""
    until_s: float | None = None
    """Only what was created or began before that time, in the same unit; None for all."""
    direction: str = ""
    """Only `INBOUND` or `OUTBOUND`; empty for both."""
    unread: bool = False
    """Only unread messages."""
    party: str = ""
    """Only what was exchanged with a party that this number or part of a name fits, see `is_party`; empty for
    all."""
    conversation_id: str = ""
    """Only messages of this conversation; empty for all."""
    trash: bool = False
    """Only messages in the trash."""
    min_duration_s: float | None = None
    """Only voicemails and calls of this length in seconds or longer; None for all."""

    @property
    def is_everything(self) -> bool:
        """Whether it takes everything."""
        return self == _EVERYTHING

    @property
    def kinds(self) -> frozenset[str]:
        """Those of `FILTER_TYPES` of which anything can fit; empty if nothing can."""
        return frozenset(kind for kind in (self.types or FILTER_TYPES) if self._can_fit(kind))

    @property
    def message_types(self) -> frozenset[str]:
        """Types of messages that it asks for, as the API names them; empty for all types."""
        return frozenset(_MESSAGE_TYPES[each] for each in self.types if each in _MESSAGE_TYPES)

    @property
    def takes_messages(self) -> bool:
        """Whether any message can fit."""
        return not self.kinds.isdisjoint(_MESSAGE_TYPES)

    def fits(self, message: Message | None) -> bool:
        """Whether it takes `message`; None stands for a file that belongs to none, which it takes."""
        if message is None:
            return True
        return (
            self._fits_type(message)
            and self._fits_time(message.created_s)
            and self._fits_direction(message.direction)
            and (not self.unread or message.read_status == "Unread")
            and self.conversation_id in ("", message.conversation_id)
            and (not self.trash or message.availability == Availability.DELETED)
            and self._fits_duration(_longest(message))
            and self._fits_party(message.counterparts)
        )

    def fits_call(self, call: Call) -> bool:
        """Whether it takes `call` as an entry of a call log."""
        whole = call.whole
        return (
            CALL_LOG in self.kinds
            and self._fits_leg(whole)
            and self._fits_party(leg.other_party for leg in (whole, *call.legs))
        )

    def fits_recording(self, leg: Leg) -> bool:
        """Whether it takes the recording of `leg`, one of `Call.recorded_legs`."""
        return RECORDING in self.kinds and self._fits_leg(leg) and self._fits_party((leg.other_party,))

    @property
    def fits_greetings(self) -> bool:
        """Whether it takes greetings and prompts, which have neither a time nor a party."""
        return GREETING in self.kinds

    def fits_month(self, month: str) -> bool:
        """Whether anything of a month such as ``2026-11`` may be new and old enough; True for other texts."""
        try:
            begin_s, end_s = month_span_s(month)
        except ValueError:
            return True
        return (self.since_s is None or end_s > self.since_s) and (
            self.until_s is None or begin_s < self.until_s
        )

    @property
    def fits_whole_months(self) -> bool:
        """Whether it takes all calls of a month that `fits_month`, if that is not cut by a time."""
        return not (self.direction or self.party or self.min_duration_s is not None)

    def _can_fit(self, kind: str) -> bool:
        if self.since_s is not None and self.until_s is not None and self.since_s >= self.until_s:
            return False
        if kind in _MESSAGE_TYPES:
            has_duration, converses = kind == "voicemail", kind in ("sms", "mms", "pager")
            return (has_duration or self.min_duration_s is None) and (converses or not self.conversation_id)
        if self.unread or self.trash or self.conversation_id:
            return False
        return kind != GREETING or (self.since_s is None and self.fits_whole_months)

    def _fits_type(self, message: Message) -> bool:
        if not self.types:
            return True
        if message.type not in self.message_types:
            return False
        if message.type != "SMS" or "sms" in self.types:
            return True
        return any(attachment.kind == "MmsAttachment" for attachment in message.attachments)

    def _fits_leg(self, leg: Leg) -> bool:
        return (
            self._fits_time(leg.started_s)
            and self._fits_direction(leg.direction)
            and self._fits_duration(leg.duration_s)
        )

    def _fits_time(self, time_s: float | None) -> bool:
        if time_s is None:
            return self.since_s is None
        return (self.since_s is None or time_s >= self.since_s) and (
            self.until_s is None or time_s < self.until_s
        )

    def _fits_direction(self, direction: str) -> bool:
        # A record without a direction counts as inbound, as in the names of directories.
        return not self.direction or (direction == OUTBOUND) == (self.direction == OUTBOUND)

    def _fits_duration(self, duration_s: int | None) -> bool:
        return self.min_duration_s is None or (duration_s is not None and duration_s >= self.min_duration_s)

    def _fits_party(self, parties: Iterable[Party]) -> bool:
        return not self.party or any(is_party(self.party, party) for party in parties)


_EVERYTHING = Filter()


def is_party(wanted: str, party: Party) -> bool:
    """Whether `wanted` names `party`.

    A number fits in any notation, with the country code or without it, and an extension by its number. Any
    other text fits if the name contains it; case, accents and the amount of white space make no difference.
    """
    if _NUMBER.fullmatch(wanted):
        digits = _digits(wanted)
        return digits == party.extension_number or _is_same_number(digits, _digits(party.phone_number))
    return bool(wanted.strip()) and _folded(wanted) in _folded(party.name)


def _is_same_number(one: str, other: str) -> bool:
    if one == other:
        return True
    # Without the 00 or 0 that is dialled before a country code or within a country.
    one, other = one.lstrip("0"), other.lstrip("0")
    shorter, longer = sorted((one, other), key=len)
    return one == other != "" or (len(shorter) >= _LOCAL_DIGITS and longer.endswith(shorter))


def _digits(number: str) -> str:
    return re.sub(r"[^0-9]", "", number)


def _folded(name: str) -> str:
    plain = "".join(each for each in unicodedata.normalize("NFKD", name) if not unicodedata.combining(each))
    return " ".join(plain.casefold().split())


def _longest(message: Message) -> int | None:
    durations = (attachment.duration_s for attachment in message.attachments)
    return max((each for each in durations if each is not None), default=None)
