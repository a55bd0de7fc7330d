"""Converts records of the call log to calls.

Every field may be absent, null or of a wrong type; the value then has its default, and ``raw`` keeps the
record whole. Only a record without a usable id is refused. Source: schemas CallLogRecord,
CallLogRecordLegInfo and CallLogRecordingInfo of the official description, and payloads that deviate from
them.
"""

from rcfs.model._calls import Call, Leg, Recording
from rcfs.model._fields import (
    Record,
    compact_json,
    id_field,
    natural,
    object_field,
    objects,
    party_from,
    text_field,
    uri_field,
)
from rcfs.model._times import parse_time


def call_from(record: object, raw: str = "") -> Call | None:
    """The call of one record; None if `record` is no object, or has no usable id.

    `raw` is the record as compact JSON text, if the caller has it.
    """
    if not isinstance(record, dict) or not (call_id := id_field(record)):
        return None
    return Call(
        id=call_id,
        whole=_leg(record),
        session_id=text_field(record, "sessionId"),
        type=text_field(record, "type"),
        action=text_field(record, "action"),
        result=text_field(record, "result"),
        legs=tuple(map(_leg, objects(record.get("legs")))),
        modified_s=parse_time(record.get("lastModifiedTime")),
        deleted=record.get("deleted") is True,
        raw=raw or compact_json(record),
    )


def _leg(record: Record) -> Leg:
    return Leg(
        direction=text_field(record, "direction"),
        sender=party_from(record.get("from")),
        receiver=party_from(record.get("to")),
        # 0 stands for the company, so no extension may have it.
        extension_id=natural(object_field(record, "extension").get("id")) or None,
        started_s=parse_time(record.get("startTime")),
        duration_s=natural(record.get("duration")),
        recording=_recording(object_field(record, "recording")),
        message_id=natural(object_field(record, "message").get("id")),
    )


def _recording(record: Record) -> Recording | None:
    """The recording in a record; None without a usable id, since no request could name it."""
    recording_id = id_field(record)
    if not recording_id:
        return None
    return Recording(recording_id, text_field(record, "type"), uri_field(record, "contentUri"))
