"""The names of recordings and calls, made as the names of messages are."""

import re

import attrs

from rcfs.model import Call, Leg, Recording
from rcfs.tree._facts import UNKNOWN
from rcfs.tree._media import recording_extension
from rcfs.tree._names import clean, fit, shown_id
from rcfs.tree._times import stamp

_OPAQUE_ID = re.compile(r"[A-Za-z0-9_-]{1,40}", re.ASCII)
"""Ids of calls as the platform makes them, such as ``Y3ZzRjhQbVNmWnc``; twice the longest known."""
_NAMED_ID = re.compile(r" \[([A-Za-z0-9_-]{1,40})\]\.(mp3|wav|csv)\Z", re.ASCII)
"""The end of the name of a recording or a call."""
_LONGEST_S = 10_000_000
"""Longest duration in a name, 115 days: no call lasts longer, and a record may claim any number."""


def recording_name(leg: Leg, recording: Recording, place: int) -> str:
    """The name of the file of a recording: ``<time> from|to <number> <name> <duration>[ leg 2] [<id>].mp3``.

    The id is never cut, so the name is unique in the account.

    Args:
        leg: The leg, from `Call.recorded_legs`.
        recording: Its recording.
        place: Place of the leg in `Call.recorded_legs`, counted from 1; named from 2 on.
    """
    counted = f" leg {place}" if place > 1 else ""
    extension = recording_extension(recording.uri)
    return fit(_headline(leg), f"{_lasting(leg)}{counted} [{shown_id(recording.id)}]{extension}")


def call_name(call: Call, whole: Leg) -> str:
    """The name under which a search shows a call: ``<time> from|to <number> <name> <duration> [<id>].csv``.

    It leads to a call log, hence the ending. The id of a call has letters of both cases, unlike all others;
    time and party make the name different in the other case as well.

    Args:
        call: The call.
        whole: Its `whole_of`.
    """
    shown = call.id if _OPAQUE_ID.fullmatch(call.id) else shown_id(call.id)
    return fit(_headline(whole), f"{_lasting(whole)} [{shown}].csv")


def call_id_of(name: str) -> str | None:
    """The id in a name that `recording_name` or `call_name` made; None if `name` cannot be one."""
    match = _NAMED_ID.search(name)
    return match[1] if match else None


def whole_of(call: Call) -> Leg:
    """The fields of the whole call; those that its record lacks are of the first leg that has them.

    The duration is an exception, because no leg needs to last as long as the call.
    """
    legs = (call.whole, *call.legs)
    return attrs.evolve(
        call.whole,
        direction=next((leg.direction for leg in legs if leg.direction), ""),
        sender=next((leg.sender for leg in legs if leg.sender != _NOBODY.sender), _NOBODY.sender),
        receiver=next((leg.receiver for leg in legs if leg.receiver != _NOBODY.receiver), _NOBODY.receiver),
        extension_id=next((leg.extension_id for leg in legs if leg.extension_id is not None), None),
        started_s=next((leg.started_s for leg in legs if leg.started_s is not None), None),
    )


_NOBODY = Leg()


def _headline(leg: Leg) -> str:
    party = leg.other_party
    known = dict.fromkeys(filter(None, (clean(party.number), clean(party.name))))
    return f"{stamp(leg.started_s)} {'to' if leg.is_outbound else 'from'} {' '.join(known) or UNKNOWN}"


def _lasting(leg: Leg) -> str:
    """The duration with a space before it, such as `` 2m31s``; empty if it is missing or absurd."""
    if leg.duration_s is None or not 0 <= leg.duration_s <= _LONGEST_S:
        return ""
    minutes, seconds = divmod(leg.duration_s, 60)
    hours, minutes = divmod(minutes, 60)
    units = [(hours, "h"), (minutes, "m"), (seconds, "s")]
    return " " + ("".join(f"{number}{unit}" for number, unit in units if number) or "0s")
