"""The JSON records of calls and recordings, as the platform sends them.

Source: schemas CallLogRecord, CallLogRecordLegInfo and GetCallRecordingResponse of the official description.
"""

from collections.abc import Mapping
from typing import Any

import attrs

from rcfs.simulator._params import iso_time
from rcfs.simulator.account._call_values import SimCall, SimRecording
from rcfs.simulator.account._people import Contact, SimExtension
from rcfs.simulator.account._records import Json, account_uri

_REASONS = {"Missed": "No Answer", "No Answer": "No Answer", "Busy": "Line Busy", "Hang Up": "Hang Up"}
"""Field ``reason`` of unanswered calls, by result."""


@attrs.frozen
class CallWriter:
    """Makes records with absolute URIs below the two origins, which must not end with a slash."""

    account_id: int
    """The account."""
    platform_url: str
    """Origin of the platform."""
    media_url: str
    """Origin of the media host."""
    extensions: Mapping[int, SimExtension]
    """All extensions, by id."""

    def call(self, call: SimCall, now_s: float, *, detailed: bool) -> Json:
        """The record of `call` at the time `now_s`."""
        view = "Detailed" if detailed else "Simple"
        record: Json = {
            "uri": f"{self._extension_uri(call.extension_id)}/call-log/{call.id}?view={view}",
            "id": call.id,
            "sessionId": call.session_id,
            "telephonySessionId": call.telephony_session_id,
            "partyId": f"p-a{call.number:x}z-1",
            **self._leg(call, now_s, recording=next(iter(call.recordings), None), owner_id=call.extension_id),
            "lastModifiedTime": iso_time(call.modified_s(now_s)),
        }
        if call.is_short:
            record["shortRecording"] = True
        if detailed:
            record["billing"] = {"costIncluded": 0, "costPurchased": 0}
            record["legs"] = [merge_patch(leg, call.leg_fields) for leg in self._legs(call, now_s)]
        return merge_patch(record, call.fields)

    def recording(self, recording: SimRecording) -> Json:
        """The answer of the operation that reads a recording; it has no size."""
        return {
            "uri": self._recording_uri(self.platform_url, recording),
            "id": str(recording.id),
            "contentUri": self._recording_uri(self.media_url, recording) + "/content",
            "contentType": recording.audio.content_type,
            "duration": recording.audio.duration_s,
        }

    def _legs(self, call: SimCall, now_s: float) -> list[Json]:
        """The master leg, and one leg for each transfer; each may have its own recording."""
        inbound = call.direction == "Inbound"
        legs = []
        for place, recording in enumerate(call.recordings or (None,)):
            kind = "TransferCall" if place else "PstnToSip" if inbound else "SipToPstnUnmetered"
            if call.type == "Fax" and not inbound:
                kind = "FaxSent"
            owner_id = call.extension_id if recording is None else recording.extension_id
            leg = self._leg(call, now_s, recording=recording, owner_id=owner_id)
            if place:
                leg["action"] = "Transfer"
            legs.append({**leg, "legType": kind, "master": not place})
        return legs

    def _leg(self, call: SimCall, now_s: float, *, recording: SimRecording | None, owner_id: int) -> Json:
        """The fields that a record and each of its legs share; `owner_id` is the extension that talks."""
        inbound, fax = call.direction == "Inbound", call.type == "Fax"
        owner = self.extensions[owner_id]
        own, other = {"name": owner.name, "phoneNumber": owner.phone_number}, _party(call.other)
        leg: Json = {
            "startTime": iso_time(call.start_s),
            "duration": call.duration_s,
            "durationMs": call.duration_s * 1000,
            "type": call.type,
            "internalType": "Local",
            "direction": call.direction,
            "action": ("Incoming Fax" if inbound else "Outgoing Fax") if fax else "Phone Call",
            "result": call.result,
            "to": own if inbound else other,
            "from": other if inbound else own,
            "transport": call.transport,
            "extension": {"uri": self._extension_uri(owner.id), "id": owner.id},
        }
        if call.result in _REASONS:
            leg["reason"] = _REASONS[call.result]
        if call.message is not None:
            uri = f"{self._extension_uri(call.extension_id)}/message-store/{call.message.id}"
            leg["message"] = {"id": str(call.message.id), "type": call.message.type, "uri": uri}
        if recording is not None and recording.is_named(now_s):
            leg["recording"] = {
                "uri": self._recording_uri(self.platform_url, recording),
                "id": str(recording.id),
                "type": recording.type,
                "contentUri": self._recording_uri(self.media_url, recording) + "/content",
            }
        return leg

    def _extension_uri(self, extension_id: int) -> str:
        return f"{account_uri(self.platform_url, self.account_id)}/extension/{extension_id}"

    def _recording_uri(self, origin: str, recording: SimRecording) -> str:
        return f"{account_uri(origin, self.account_id)}/recording/{recording.id}"


def merge_patch(record: Json, patch: Mapping[str, Any]) -> Json:
    """`record` with the changes of a JSON merge patch: None removes a field, objects are merged.

    Source: RFC 7396, section 2.
    """
    merged = dict(record)
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, Mapping):
            former = merged.get(name)
            merged[name] = merge_patch(former if isinstance(former, dict) else {}, value)
        else:
            merged[name] = value
    return merged


def _party(other: Contact | SimExtension | None) -> Json:
    """The other party as a record shows it; empty if the number is withheld."""
    match other:
        case None:
            return {}
        case SimExtension():
            shown: Json = {"name": other.name, "phoneNumber": other.phone_number}
            return shown | {"extensionId": str(other.id), "extensionNumber": other.number}
        case Contact():
            shown = {"phoneNumber": other.number, "location": other.location}
            return shown | {"name": other.name} if other.name else shown
