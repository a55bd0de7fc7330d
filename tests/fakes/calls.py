"""Calls as the tree would shelve them, and as their records have them, made in a few words."""

import json
from typing import Any

import attrs

from rcfs.model import (
    COMPANY,
    Call,
    Extension,
    FolderNames,
    Leg,
    Party,
    Place,
    Recording,
    ShelvedCall,
    ShelvedRecording,
)

CONTACT = "+12125557464"


def name_by_key(place: Place, _parties: object, _owners: object) -> FolderNames:
    """Names each folder after its key."""
    return FolderNames(place.key, place.key, place.key)


def contact(key: str = CONTACT) -> Place:
    """The folder of a contact."""
    return Place("By-Contact", key, ((key, ""),))


def shelved_recording(
    recording_id: str,
    owner: int = 101,
    month: str = "2026-11",
    *,
    started_s: float | None = 1.0,
    links: tuple[Place, ...] = (),
) -> ShelvedRecording:
    """A recording of half a minute."""
    uri = f"https://media.example.com/recording/{recording_id}/content"
    return ShelvedRecording(
        recording_id, owner, month, f"call [{recording_id}].mp3", started_s, 30, uri, links
    )


def shelved_call(
    call_id: str,
    *recordings: ShelvedRecording,
    month: str = "2026-11",
    started_s: float | None = 1.0,
    modified_s: float | None = 1.0,
    extension_ids: tuple[int, ...] = (101,),
    text: str = "",
    people: str = "Bob Ray +12125557464",
    message: tuple[int, int] | None = None,
) -> ShelvedCall:
    """A call; `text` stands in its line and in its record."""
    return ShelvedCall(
        id=call_id,
        month=month,
        started_s=started_s,
        modified_s=modified_s,
        extension_ids=extension_ids,
        line=f"{call_id},{text}\n",
        raw=f'{{"id":"{call_id}","text":"{text}"}}',
        name=f"call [{call_id}]",
        recordings=recordings,
        people=people,
        message=message,
    )


OWNERS = (COMPANY, 101, 102)
MONTHS = ("2026-10", "2026-11")

# Calls as their records have them

NOV_S = 1793726825.0  # 2026-11-03T17:27:05Z
JANE, BOB = Extension(5, "101", "Jane"), Extension(6, "102", "Bob")
RAY = Party("Bob Ray", "+12125557464")
LEG = Leg(
    "Inbound",
    RAY,
    Party("Jane", "+1000"),
    5,
    NOV_S,
    151,
    Recording("77", "Automatic", "https://m/77/content"),
)
NAME = "2026-11-03T17.27.05Z from +12125557464 Bob Ray 2m31s [77].mp3"


def call(call_id: str = "c1", leg: Leg = LEG, *legs: Leg, **fields: Any) -> Call:
    """A call with these legs; other fields by name."""
    # A leg and the whole call are never the same object.
    legs = tuple(map(attrs.evolve, legs))
    made = Call(call_id, leg, "321", "Voice", "Phone Call", "Call connected", legs, NOV_S + 200)
    return attrs.evolve(made, **{"raw": json.dumps({"id": call_id}), **fields})
