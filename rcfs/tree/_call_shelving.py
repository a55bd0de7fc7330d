"""Shelving of calls: their lines in the call logs, and the folders that show their recordings.

    Calls/2026-11.csv, .jsonl         a line for each call of a month
    Recordings/2026-11/               home      the recordings of calls of that month
    By-Contact/<number> <name>/       links     recordings of calls with one number or person

An extension shows the recordings of its own legs. ``Company`` shows those of all other legs.
"""

from collections.abc import Iterator

from rcfs.model import (
    COMPANY,
    Call,
    CallContext,
    Leg,
    Place,
    ShelvedCall,
    ShelvedRecording,
    is_usable_id,
    safe_json,
    valid,
)
from rcfs.tree._call_lines import call_line, message_of
from rcfs.tree._call_names import call_name, recording_name, whole_of
from rcfs.tree._facts import UNKNOWN
from rcfs.tree._shelving import BY_CONTACT, identity_of, searchable
from rcfs.tree._times import UNDATED, day_name, month_name, sane


def shelve_call(call: Call, context: CallContext, *, undated: str = UNDATED) -> ShelvedCall:
    """`call` with its month, its line, its recordings and its searchable text.

    Args:
        call: Any call.
        context: The extensions and messages that the root shows.
        undated: The month that shows a call without a time.
    """
    whole = whole_of(call)
    started_s = sane(whole.started_s)
    month = undated if started_s is None else month_name(started_s)
    recordings = tuple(_shelved_recordings(call, month, context))
    return ShelvedCall(
        id=call.id,
        month=month,
        started_s=started_s,
        modified_s=sane(call.modified_s),
        extension_ids=tuple(each for each in call.extension_ids if each != COMPANY),
        line=call_line(call, whole, recordings, context),
        raw=_line_of_json(call.raw),
        name=call_name(call, whole),
        recordings=recordings,
        people=_people(call, started_s),
        message=message_of(call, whole),
    )


def _shelved_recordings(call: Call, month: str, context: CallContext) -> Iterator[ShelvedRecording]:
    # A leg that begins after midnight stays with its call, whose month brings its record.
    for place, leg in enumerate(call.recorded_legs, start=1):
        recording = leg.recording
        if recording is None or not is_usable_id(recording.id):
            continue
        is_shown = leg.extension_id is not None and leg.extension_id in context.directories
        owner = leg.extension_id if is_shown and leg.extension_id is not None else COMPANY
        yield ShelvedRecording(
            id=recording.id,
            owner=owner,
            month=month,
            name=recording_name(leg, recording, place),
            started_s=sane(leg.started_s),
            duration_s=leg.duration_s,
            uri=recording.uri,
            links=() if owner == COMPANY else (_contact(leg),),
        )


def _line_of_json(raw: str) -> str:
    """The JSON text `raw` with the same meaning, without line feeds and unsafe characters."""
    if not raw.isascii() or "\x7f" in raw:  # `safe_json` takes longer than all else here.
        raw = safe_json(raw)
    # JSON may have line feeds between its values only, and there they mean nothing.
    return raw.replace("\n", " ")


def _contact(leg: Leg) -> Place:
    """The folder of the other party, which messages exchanged with it have, too."""
    party = leg.other_party
    identity = identity_of(party) or UNKNOWN
    return Place(BY_CONTACT, identity, ((identity, valid(party.name)),))


def _people(call: Call, started_s: float | None) -> str:
    parties = dict.fromkeys(party for leg in (call.whole, *call.legs) for party in (leg.sender, leg.receiver))
    found = (*map(searchable, parties), "" if started_s is None else day_name(started_s))
    return " ".join(filter(None, found))
