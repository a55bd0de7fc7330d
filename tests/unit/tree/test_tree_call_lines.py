"""The names of calls, and their lines in the call log."""

import csv
import io
from typing import Any

import attrs
import pytest

from rcfs.model import COMPANY, Call, Extension, Leg, Party, Place, Recording, ShelvedCall
from rcfs.tree import shelve_call, shown_extensions

NOV_S = 1793726825.0  # 2026-11-03T17:27:05Z
RAY = Party("Bob Ray", "+12125557464")
LEG = Leg("Inbound", RAY, Party("Jane", "", "101"), 5, NOV_S, 151)
CONTEXT = shown_extensions(
    [Extension(5, "101", "Jane"), Extension(6, "102", "Bob")],
    lambda extension_id, message_id: (
        "Voicemail/2026-11/x [9]" if (extension_id, message_id) == (5, 9) else None
    ),
)


def shelved(whole: Leg = LEG, *legs: Leg, **fields: Any) -> ShelvedCall:
    return shelve_call(attrs.evolve(Call("aB-c", whole, legs=legs), **fields), CONTEXT)


def recorded(**fields: Any) -> str:
    """The name of the only recording of a call whose leg has these fields."""
    leg = attrs.evolve(LEG, **{"recording": Recording("77"), **fields})
    (found,) = shelved(leg).recordings
    return found.name


def cells(call: ShelvedCall) -> list[str]:
    (row,) = csv.reader(io.StringIO(call.line, newline=""))
    return row


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({}, "2026-11-03T17.27.05Z from +12125557464 Bob Ray 2m31s [77].mp3"),
        ({"direction": "Outbound"}, "2026-11-03T17.27.05Z to 101 Jane 2m31s [77].mp3"),
        ({"direction": "Sideways"}, "2026-11-03T17.27.05Z from +12125557464 Bob Ray 2m31s [77].mp3"),
        ({"direction": "", "sender": Party()}, "2026-11-03T17.27.05Z from unknown 2m31s [77].mp3"),
        ({"sender": Party("+1", "+1")}, "2026-11-03T17.27.05Z from +1 2m31s [77].mp3"),
        ({"sender": Party("\u202e")}, "2026-11-03T17.27.05Z from unknown 2m31s [77].mp3"),
        ({"started_s": None}, "undated from +12125557464 Bob Ray 2m31s [77].mp3"),
        ({"started_s": float("nan"), "duration_s": None}, "undated from +12125557464 Bob Ray [77].mp3"),
        ({"duration_s": 0}, "2026-11-03T17.27.05Z from +12125557464 Bob Ray 0s [77].mp3"),
        ({"duration_s": 3600}, "2026-11-03T17.27.05Z from +12125557464 Bob Ray 1h [77].mp3"),
        ({"duration_s": 90061}, "2026-11-03T17.27.05Z from +12125557464 Bob Ray 25h1m1s [77].mp3"),
        ({"duration_s": -1}, "2026-11-03T17.27.05Z from +12125557464 Bob Ray [77].mp3"),
        ({"duration_s": 2**63 - 1}, "2026-11-03T17.27.05Z from +12125557464 Bob Ray [77].mp3"),
        ({"sender": Party('A "B"\n/c')}, "2026-11-03T17.27.05Z from A _B_ _c 2m31s [77].mp3"),
        (
            {"sender": Party("\u00e9" * 150)},
            "2026-11-03T17.27.05Z from " + "\u00e9" * 107 + " 2m31s [77].mp3",
        ),
        (
            {"recording": Recording("a/../B")},
            "2026-11-03T17.27.05Z from +12125557464 Bob Ray 2m31s [41f1921906].mp3",
        ),
    ],
)
def test_a_recording_is_called_after_its_leg(fields: dict[str, Any], name: str) -> None:
    assert recorded(**fields) == name


def test_ids_that_differ_in_case_give_different_names() -> None:
    assert recorded(recording=Recording("aB")).lower() != recorded(recording=Recording("Ab")).lower()


def test_recordings_that_no_request_can_name_are_left_out() -> None:
    legs = [Leg(recording=Recording(name)) for name in ("", ".", "..", "x" * 200, "78")]
    assert [each.id for each in shelved(LEG, *legs).recordings] == ["78"]


def test_a_call_is_found_under_its_time_and_party() -> None:
    assert shelved().name == "2026-11-03T17.27.05Z from +12125557464 Bob Ray 2m31s [aB-c].csv"
    assert shelved(id="a/b").name.endswith(" 2m31s [9a159f8121].csv")
    assert shelved(id="421").name.endswith(" 2m31s [421].csv")
    assert shelved(Leg(), id="421").name == "undated from unknown [421].csv"


def test_a_line_tells_the_facts() -> None:
    call = shelved(
        attrs.evolve(LEG, recording=Recording("77"), message_id=9),
        session_id="321",
        type="Voice",
        result="Voicemail",
    )
    assert cells(call) == [
        "2026-11-03T17:27:05Z",
        "Inbound",
        "+12125557464",
        "Bob Ray",
        "101",
        "Jane",
        "101",
        "Voicemail",
        "151",
        "Voice",
        "321",
        "101 Jane/Recordings/2026-11/2026-11-03T17.27.05Z from +12125557464 Bob Ray 2m31s [77].mp3",
        "101 Jane/Voicemail/2026-11/x [9]",
    ]


def test_a_line_ends_with_a_line_feed_alone() -> None:
    assert shelved().line.endswith(",,,,\n")
    assert "\r" not in shelved().line


def test_a_record_without_any_field_has_an_empty_line() -> None:
    call = shelved(Leg())
    assert call.line == ",,,,,,,,,,,,\n"
    assert (call.month, call.started_s, call.extension_ids, call.people) == ("undated", None, (), "")
    assert (call.recordings, call.message) == ((), None)


def test_fields_that_the_record_lacks_are_of_its_legs() -> None:
    call = shelved(Leg(duration_s=9), Leg(), LEG)
    assert cells(call)[:10] == [
        *("2026-11-03T17:27:05Z", "Inbound", "+12125557464", "Bob Ray", "101", "Jane", "101", "", "9", "")
    ]
    assert (call.month, call.started_s, call.extension_ids) == ("2026-11", NOV_S, (5,))


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("Bob", "Bob"),
        ("", ""),
        ("a,b;c", "a,b;c"),
        ('say "hi"', 'say "hi"'),
        ("two\nlines\r\nthree\rfour", "two lines  three four"),
        ("\u2028x\x00\x1by\x85", "x  y"),
        ("left\u202eright", "leftright"),
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("@SUM(1)", "'@SUM(1)"),
        ("\t=1", "'=1"),
        ("\r=1", "'=1"),
        (" \u00a0=1", "'=1"),
        ("\u200b=1", "'=1"),
        ("\uff1d1", "'\uff1d1"),
        ("\uff0b1", "'\uff0b1"),
        ("-1+1", "'-1+1"),
        ("+1-1", "'+1-1"),
        ("+12125557464 x", "'+12125557464 x"),
        ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
        ("-", "'-"),
        ("+\u0661", "'+\u0661"),
        ("+12125557464", "+12125557464"),
        ("-5", "-5"),
        ("-5.25", "-5.25"),
        ("'=1", "'=1"),
        ("1=1", "1=1"),
        ("half\ud83d", "half\ufffd"),
    ],
)
def test_a_strangers_cell_is_harmless(text: str, cell: str) -> None:
    sender = Party(text, text)
    call = shelved(attrs.evolve(LEG, sender=sender), result=text, session_id=text, type=text)
    assert call.line.count("\n") == 1
    found = cells(call)
    assert len(found) == 13
    assert [found[at] for at in (2, 3, 7, 9, 10)] == [cell] * 5


def test_a_call_of_no_shown_extension_is_the_companys() -> None:
    leg = attrs.evolve(LEG, extension_id=99, recording=Recording("77"))
    call = shelved(leg, message_id := attrs.evolve(LEG, extension_id=99, message_id=9))
    (found,) = call.recordings
    assert (found.owner, found.links) == (COMPANY, ())
    assert cells(call)[6:7] == [""]
    assert cells(call)[-2].startswith("Company/Recordings/2026-11/")
    assert (cells(call)[-1], call.message, call.extension_ids) == ("", (99, 9), (99,))
    assert message_id.message_id == 9


@pytest.mark.parametrize(
    ("whole", "legs", "message"),
    [
        (attrs.evolve(LEG, message_id=9), (), (5, 9)),
        (Leg(message_id=9), (Leg(extension_id=6),), (6, 9)),
        (LEG, (Leg(), Leg(message_id=9)), (5, 9)),
        (LEG, (Leg(extension_id=6, message_id=9), Leg(message_id=8)), (6, 9)),
        (Leg(message_id=9), (), None),
    ],
)
def test_the_message_of_a_call_is_the_first_one(
    whole: Leg, legs: tuple[Leg, ...], message: tuple[int, int] | None
) -> None:
    assert shelved(whole, *legs).message == message


def test_a_message_that_is_not_loaded_has_no_path() -> None:
    assert cells(shelved(attrs.evolve(LEG, message_id=8)))[-1] == ""


def test_a_recording_is_with_its_contact_as_messages_are() -> None:
    for sender, place in (
        (RAY, Place("By-Contact", "+12125557464", (("+12125557464", "Bob Ray"),))),
        (Party("Bob"), Place("By-Contact", "Bob", (("Bob", "Bob"),))),
        (Party(), Place("By-Contact", "unknown", (("unknown", ""),))),
    ):
        (found,) = shelved(attrs.evolve(LEG, sender=sender, recording=Recording("77"))).recordings
        assert found.links == (place,)


def test_a_search_finds_all_parties_and_the_day() -> None:
    people = shelved(LEG, Leg("Outbound", Party("Eve"), Party("", "", "102"))).people
    assert people.split()[:2] == ["Bob", "Ray"]
    assert {"+12125557464", "5557464", "2125557464", "Jane", "101", "Eve", "102", "2026-11-03"} <= set(
        people.split()
    )
    assert people.count("Jane") == 1


def test_a_call_without_a_time_can_have_the_month_of_its_listing() -> None:
    leg = Leg(extension_id=5, recording=Recording("77"))
    call = shelve_call(Call("1", leg), CONTEXT, undated="2026-10")
    assert (call.month, call.recordings[0].month) == ("2026-10", "2026-10")
    assert cells(call)[-2].startswith("101 Jane/Recordings/2026-10/undated from")
    assert shelve_call(Call("1", LEG), CONTEXT, undated="2026-10").month == "2026-11"
