"""Calls, as the records of the call log have them."""

import json
from copy import deepcopy
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rcfs.model import Call, Leg, Party, Recording, RecordingKey, call_from
from tests.fakes.hostile import HOSTILE, at, hostile, places, received

CONTENT = "https://media.ringcentral.com:443/restapi/v1.0/account/400123/recording/"
LEG: dict[str, Any] = {
    "startTime": "2026-11-03T17:27:05.000Z",
    "duration": 151,
    "durationMs": 151_000,
    "type": "Voice",
    "direction": "Inbound",
    "action": "Phone Call",
    "result": "Accepted",
    "from": {"phoneNumber": "+12125557464", "name": "Bob Ray", "location": "New York, NY"},
    "to": {
        "phoneNumber": "+12125550101",
        "extensionNumber": "101",
        "extensionId": "62309001",
        "name": "Jane",
    },
    "extension": {"id": 62309001, "uri": "https://platform.ringcentral.com/x"},
    "message": {"id": "7001", "type": "VoiceMail", "uri": "https://platform.ringcentral.com/y"},
    "recording": {
        "id": "3421234004",
        "uri": "https://platform.ringcentral.com/z",
        "type": "Automatic",
        "contentUri": f"{CONTENT}3421234004/content",
    },
    "legType": "PstnToSip",
    "master": True,
}
TRANSFERRED: dict[str, Any] = {
    **LEG,
    "action": "Transfer",
    "extension": {"id": "62309002"},
    "recording": {"id": 3421235004, "type": "OnDemand", "contentUri": f"{CONTENT}3421235004/content"},
}
RECORD: dict[str, Any] = {
    **LEG,
    "id": "Abc-_1",
    "uri": "https://platform.ringcentral.com/restapi/v1.0/account/400123/call-log/Abc-_1",
    "sessionId": "1234567890123",
    "telephonySessionId": "s-a1b2",
    "lastModifiedTime": "2026-11-03T17:31:00.000Z",
    "deleted": False,
    "legs": [LEG, TRANSFERRED],
}
# Without parts that are one object in two places, so that a change spoils one of them.
RECORD = json.loads(json.dumps(RECORD))
ODD_IDS: list[object] = [None, True, "", ".", "..", -1, 0.5, {}, [], "x" * 129, "\u00e9" * 65]
STARTED_S = 1793726825.0


def test_a_record_has_all_fields_of_a_call() -> None:
    call = call_from(RECORD)
    assert call is not None
    leg = Leg(
        direction="Inbound",
        sender=Party("Bob Ray", "+12125557464"),
        receiver=Party("Jane", "+12125550101", "101"),
        extension_id=62309001,
        started_s=STARTED_S,
        duration_s=151,
        recording=Recording("3421234004", "Automatic", f"{CONTENT}3421234004/content"),
        message_id=7001,
    )
    assert (call.whole, call.legs[0]) == (leg, leg)
    assert call.legs[1].recording == Recording("3421235004", "OnDemand", f"{CONTENT}3421235004/content")
    assert call.extension_ids == (62309001, 62309002)
    assert [each.recording for each in call.recorded_legs] == [each.recording for each in call.legs]
    assert (call.id, call.session_id, call.modified_s) == ("Abc-_1", "1234567890123", STARTED_S + 235)
    assert (call.type, call.action, call.result, call.deleted) == ("Voice", "Phone Call", "Accepted", False)
    assert json.loads(call.raw) == RECORD
    assert call_from(RECORD, "given") == attrs.evolve(call, raw="given")


def test_a_record_that_has_nothing_but_an_id_is_a_call() -> None:
    assert call_from({"id": 7, "deleted": True}) == Call("7", deleted=True, raw='{"id":7,"deleted":true}')


@pytest.mark.parametrize(
    "record",
    [None, 7, "x", [], [RECORD], {}, *({**RECORD, "id": odd} for odd in ODD_IDS)],
)
def test_a_record_without_a_usable_id_is_no_call(record: object) -> None:
    assert call_from(record) is None


def test_the_extension_0_is_none_as_that_is_the_company() -> None:
    call = call_from({**RECORD, "extension": {"id": 0}, "legs": [{"extension": {"id": "0"}}]})
    assert call is not None
    assert call.extension_ids == ()


@pytest.mark.parametrize("odd", ODD_IDS)
def test_a_recording_without_a_usable_id_is_missing_alone(odd: object) -> None:
    record = deepcopy(RECORD)
    record["recording"]["id"] = record["legs"][0]["recording"]["id"] = odd
    call = call_from(record)
    assert call is not None
    assert (call.whole.recording, call.legs[0].recording) == (None, None)
    assert [leg.extension_id for leg in call.recorded_legs] == [62309002]


@given(record=hostile(RECORD))
def test_no_odd_value_is_an_error_and_raw_is_all_of_the_record(record: dict[str, Any]) -> None:
    record = received(record)
    call = call_from(record)
    if call is None:
        assert record["id"] != RECORD["id"]
        return
    assert json.loads(call.raw) == record
    assert "\n" not in call.raw
    assert call.raw.encode()
    for leg in (call.whole, *call.legs, *call.recorded_legs):
        assert leg.extension_id is None or 0 < leg.extension_id < 1 << 63
        assert leg.message_id is None or 0 <= leg.message_id < 1 << 63
        assert leg.duration_s is None or 0 <= leg.duration_s < 1 << 63
        if leg.recording is not None:
            assert RecordingKey("1", leg.recording.id).resource.isascii()
            assert leg.recording.uri.encode() is not None


@pytest.mark.parametrize("path", list(places(RECORD)), ids=lambda path: "/".join(map(str, path)))
def test_every_value_may_be_odd_and_spoils_no_other(path: tuple[str | int, ...]) -> None:
    sound = call_from(RECORD)
    for value in HOSTILE:
        call = call_from(received(at(RECORD, path, value)))
        if path == ("id",):
            continue
        assert call is not None
        assert call.id == "Abc-_1"
        if sound is not None and path[0] == "legs":
            assert call.whole == sound.whole
        elif sound is not None:
            assert call.legs == sound.legs


NAMES = st.sampled_from(sorted(RECORD))
SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=3)
DOCUMENTS = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=6)
)


@given(DOCUMENTS)
def test_no_document_is_an_error(document: object) -> None:
    call = call_from(document)
    assert call is None or call.id
