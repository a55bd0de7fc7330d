"""The choice of messages, calls and greetings, condition by condition."""

from typing import Any

import attrs
import pytest

from rcfs.model import (
    FILTER_TYPES,
    Attachment,
    Availability,
    Call,
    Filter,
    Leg,
    Message,
    Party,
    Recording,
    is_party,
)

DAY_S = 86_400.0
JANE = Party("Jane Smith", "+12125550101", "101")
BOB = Party("Bob Ray", "+12125557464")
ANN = Party("Änn  LEE", "+441234567890")

SMS = Message(1, "SMS", "Inbound", BOB, (JANE,), created_s=DAY_S, read_status="Unread", subject="Hi")
SMS = attrs.evolve(SMS, conversation_id="77")
MMS = attrs.evolve(SMS, id=2, direction="Outbound", sender=JANE, recipients=(ANN, BOB), read_status="Read")
MMS = attrs.evolve(MMS, attachments=(Attachment(1, "MmsAttachment"),), conversation_id="78")
VOICEMAIL = Message(3, "VoiceMail", "Inbound", ANN, (JANE,), created_s=2 * DAY_S)
AUDIO = (Attachment(1, "AudioRecording", duration_s=30),)
VOICEMAIL = attrs.evolve(VOICEMAIL, attachments=AUDIO, availability=Availability.DELETED)
FAX = Message(4, "Fax", "Outbound", JANE, (BOB,), created_s=3 * DAY_S)
PAGER = Message(5, "Pager", "", BOB, (JANE,))
NEW = Message(6, "Postcard", "Inbound", BOB, (JANE,), created_s=4 * DAY_S)
ALL = (SMS, MMS, VOICEMAIL, FAX, PAGER, NEW)


@pytest.mark.parametrize(
    ("conditions", "ids"),
    [
        ({}, [1, 2, 3, 4, 5, 6]),
        ({"types": {"sms"}}, [1, 2]),
        ({"types": {"mms"}}, [2]),
        ({"types": {"sms", "mms"}}, [1, 2]),
        ({"types": {"voicemail", "pager"}}, [3, 5]),
        ({"types": {"fax"}}, [4]),
        ({"types": {"recording", "greeting", "calls"}}, []),
        ({"since_s": 2 * DAY_S}, [3, 4, 6]),
        ({"until_s": 2 * DAY_S}, [1, 2, 5]),
        ({"since_s": 2 * DAY_S, "until_s": 4 * DAY_S}, [3, 4]),
        ({"direction": "Outbound"}, [2, 4]),
        ({"direction": "Inbound"}, [1, 3, 5, 6]),
        ({"unread": True}, [1]),
        ({"conversation_id": "78"}, [2]),
        ({"trash": True}, [3]),
        ({"min_duration_s": 30.0}, [3]),
        ({"min_duration_s": 30.5}, []),
        ({"party": "bob"}, [1, 2, 4, 5, 6]),
        ({"party": "ann lee"}, [2, 3]),
        ({"party": "Jane"}, []),
        ({"party": "(212) 555-7464", "types": {"fax"}, "since_s": DAY_S}, [4]),
    ],
)
def test_the_messages_that_fit(conditions: dict[str, Any], ids: list[int]) -> None:
    conditions = {key: frozenset(each) if key == "types" else each for key, each in conditions.items()}
    wanted = Filter(**conditions)
    assert [message.id for message in ALL if wanted.fits(message)] == ids
    assert wanted.is_everything == (not conditions)
    assert wanted.fits(None), "a file of no message"


@pytest.mark.parametrize(
    ("text", "party", "fits"),
    [
        ("+12125557464", BOB, True),
        ("212 555 7464", BOB, True),
        ("5557464", BOB, True),
        ("0012125557464", BOB, True),
        ("57464", BOB, False),
        ("01234567890", ANN, True),
        ("101", JANE, True),
        ("101", BOB, False),
        ("12125557464", Party("", "555-7464"), True),
        ("12345", Party("", "12345"), True),
        ("12345", Party("", "112345"), False),
        ("0000000", Party(), False),
        ("ray", BOB, True),
        ("BOB  RAY", BOB, True),
        ("Ray Bob", BOB, False),
        ("änn lee", ANN, True),
        ("12 Monkeys", Party("The 12 monkeys"), True),
        (" ", BOB, False),
        ("Bob", Party(), False),
    ],
)
def test_parties(text: str, party: Party, fits: bool) -> None:
    assert is_party(text, party) is fits


LEG = Leg("Outbound", JANE, ANN, 101, DAY_S + 5, 20, Recording("r2"))
CALL = Call("c", Leg("Inbound", BOB, JANE, None, DAY_S, 90, Recording("r1")), legs=(LEG,))


@pytest.mark.parametrize(
    ("conditions", "call", "recordings"),
    [
        ({}, True, ["r2", "r1"]),
        ({"types": frozenset({"recording"})}, False, ["r2", "r1"]),
        ({"types": frozenset({"calls"})}, True, []),
        ({"types": frozenset({"sms", "greeting"})}, False, []),
        ({"since_s": DAY_S + 1}, False, ["r2"]),
        ({"until_s": DAY_S + 1}, True, ["r1"]),
        ({"direction": "Inbound"}, True, ["r1"]),
        ({"direction": "Outbound"}, False, ["r2"]),
        ({"min_duration_s": 21.0}, True, ["r1"]),
        ({"party": "Bob"}, True, ["r1"]),
        ({"party": "Ann"}, True, ["r2"]),
        ({"party": "Nobody"}, False, []),
        ({"unread": True}, False, []),
        ({"trash": True}, False, []),
        ({"conversation_id": "1"}, False, []),
    ],
)
def test_the_calls_and_recordings_that_fit(
    conditions: dict[str, Any], call: bool, recordings: list[str]
) -> None:
    wanted = Filter(**conditions)
    assert wanted.fits_call(CALL) is call
    found = [leg.recording.id for leg in CALL.recorded_legs if leg.recording and wanted.fits_recording(leg)]
    assert sorted(found) == sorted(recordings)


def test_a_call_without_times_counts_as_old() -> None:
    assert not Filter(since_s=0.0).fits_call(Call("c"))
    assert Filter(until_s=0.0).fits_call(Call("c"))


@pytest.mark.parametrize(
    ("conditions", "kinds"),
    [
        ({}, set(FILTER_TYPES)),
        ({"since_s": 1.0}, set(FILTER_TYPES) - {"greeting"}),
        ({"party": "Bob"}, set(FILTER_TYPES) - {"greeting"}),
        ({"unread": True}, {"sms", "mms", "pager", "voicemail", "fax"}),
        ({"trash": True}, {"sms", "mms", "pager", "voicemail", "fax"}),
        ({"min_duration_s": 1.0}, {"voicemail", "recording", "calls"}),
        ({"conversation_id": "1"}, {"sms", "mms", "pager"}),
        ({"since_s": 2.0, "until_s": 2.0}, set()),
        ({"types": frozenset({"greeting"}), "since_s": 1.0}, set()),
        ({"types": frozenset({"fax", "greeting"}), "since_s": 1.0}, {"fax"}),
    ],
)
def test_the_types_that_can_fit(conditions: dict[str, Any], kinds: set[str]) -> None:
    wanted = Filter(**conditions)
    assert wanted.kinds == kinds
    assert wanted.fits_greetings == ("greeting" in kinds)


def test_months() -> None:
    november_s, december_s = 1_793_491_200.0, 1_796_083_200.0
    assert Filter().fits_month("2026-11")
    assert Filter(since_s=december_s - 1).fits_month("2026-11")
    assert not Filter(since_s=december_s).fits_month("2026-11")
    assert Filter(until_s=november_s + 1).fits_month("2026-11")
    assert not Filter(until_s=november_s).fits_month("2026-11")
    assert Filter(since_s=december_s).fits_month("2026-12")
    assert Filter(since_s=december_s).fits_month("not a month")
