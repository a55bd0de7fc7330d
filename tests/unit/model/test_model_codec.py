import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rcfs.errors import ServerError
from rcfs.model import (
    Attachment,
    Availability,
    Party,
    extension_from,
    is_admin,
    is_tombstone,
    message_from,
    parse_time,
)
from rcfs.platform import next_page_url, records_of, sync_answer

HUGE = 7_000_000_000_000_000_000_001
"""Beyond 2^64, so beyond any float."""
LARGEST = (1 << 63) - 1
"""The largest id of a message."""

FIELDS = [
    "id", "type", "direction", "from", "to", "creationTime", "lastModifiedTime", "availability", "readStatus",
    "subject", "conversation", "conversationId", "faxPageCount", "attachments", "uri", "contentType",
    "fileName", "size", "vmDuration", "name", "phoneNumber", "extensionNumber", "status", "permissions",
    "admin", "enabled", "records", "navigation", "nextPage",
]  # fmt: skip

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False)
    | st.text(max_size=12)
    | st.sampled_from(
        ["2026-11-03T17:27:05.123Z", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00+14:00", "12"]
    )
)
names = st.sampled_from(FIELDS) | st.text(max_size=5)
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=6),
    max_leaves=10,
)
records = st.dictionaries(names, documents, max_size=10)


@given(records)
def test_no_record_is_an_error_and_raw_is_all_of_it(record: dict[str, Any]) -> None:
    for value in (message_from(record), extension_from(record)):
        if value is not None:
            assert value.id >= 0
            assert json.loads(value.raw) == record
            assert "\n" not in value.raw
    assert is_admin(record) in (True, False, None)
    assert isinstance(next_page_url(record), str)


@settings(max_examples=30)
@given(records, st.integers(0, 10**18))
def test_any_record_with_an_id_is_a_message(record: dict[str, Any], number: int) -> None:
    message = message_from(record | {"id": number})
    assert message is not None
    assert message.id == number
    assert json.loads(message.raw) == record | {"id": number}


def test_a_complete_record_becomes_a_complete_message() -> None:
    record = {
        "id": LARGEST,
        "type": "VoiceMail",
        "direction": "Inbound",
        "from": {"name": "Bob", "phoneNumber": "+12125557464"},
        "to": [{"extensionNumber": "101"}, "junk", {}],
        "creationTime": "2026-11-03T17:27:05.500Z",
        "lastModifiedTime": "2026-11-03T18:27:05+01:00",
        "availability": "Deleted",
        "readStatus": "Unread",
        "subject": "",
        "conversationId": 5,
        "conversation": {"id": str(HUGE)},
        "faxPageCount": 2,
        "attachments": [
            {
                "id": str(HUGE)[:19],
                "type": "AudioRecording",
                "contentType": "Audio/X-WAV; rate=8000",
                "uri": "https://media.ringcentral.com/x",
                "fileName": "a.wav",
                "size": 7,
                "vmDuration": "30",
            },
            {"type": "no id"},
            None,
        ],
    }
    message = message_from(record)
    assert message is not None
    assert message.id == LARGEST
    assert message.sender == Party("Bob", "+12125557464")
    assert message.recipients == (Party(extension_number="101"), Party())
    assert message.created_s == 1793726825.5
    assert message.modified_s == 1793726825.0
    assert message.availability == Availability.DELETED
    assert message.subject == ""
    assert message.conversation_id == str(HUGE)
    assert message.fax_pages == 2
    assert message.attachments == (
        Attachment(
            int(str(HUGE)[:19]),
            "AudioRecording",
            "audio/x-wav",
            "https://media.ringcentral.com/x",
            "a.wav",
            7,
            30,
        ),
    )
    assert json.loads(message.raw) == record


@pytest.mark.parametrize("junk", [None, True, 1.5, -1, [], {}, "", "junk", [[]], {"id": {}}])
@pytest.mark.parametrize("field", FIELDS[1:17])
def test_junk_in_a_field_leaves_its_default(field: str, junk: object) -> None:
    default = message_from({"id": 1})
    message = message_from({"id": 1, field: junk, "attachments": [{"id": 2, field: junk}]})
    assert default is not None
    assert message is not None
    assert message.id == 1
    for name in ("sender", "created_s", "modified_s", "fax_pages"):
        assert getattr(message, name) == getattr(default, name)
    assert message.availability in ("Alive", junk)
    assert message.subject in (None, junk)


@pytest.mark.parametrize(
    "number", [None, True, -1, 1.0, "", "-1", "1.0", "0x1", "٣", "1" * 21, [1], {"id": 1}]
)
def test_a_record_without_a_usable_id_is_refused(number: object) -> None:
    assert message_from({"id": number}) is None
    assert extension_from({"id": number}) is None


def test_a_record_without_an_id_is_refused() -> None:
    assert message_from({}) is None
    assert message_from({"id": LARGEST + 1}) is None, "no int64, so no id of the API's"
    assert extension_from({}) is None


@pytest.mark.parametrize("size", ["7", 7.0, True, None, -7, "junk"])
def test_only_a_natural_number_is_an_exact_size(size: object) -> None:
    message = message_from({"id": 1, "attachments": [{"id": 1, "size": size}]})
    assert message is not None
    assert message.attachments[0].size_bytes is None or size is True


def test_the_number_of_a_conversation_stands_in_for_its_id() -> None:
    message = message_from({"id": 1, "conversationId": HUGE, "conversation": {"id": None}})
    assert message is not None
    assert message.conversation_id == str(HUGE)


@pytest.mark.parametrize(
    ("text", "moment_s"),
    [
        ("2026-11-03T17:27:05Z", 1793726825.0),
        ("2026-11-03T17:27:05.1Z", 1793726825.1),
        ("2026-11-03T17:27:05.123456789Z", 1793726825.123456),
        ("2026-11-03T17:27:05.000+0000", 1793726825.0),
        ("2026-11-03T12:27:05-05:00", 1793726825.0),
        ("2026-11-03T17:27:05", None),
        ("2026-11-03", None),
        ("2026-13-03T17:27:05Z", None),
        ("9999-12-31T23:59:59-23:59", 253402387139.0),
        ("yesterday", None),
        ("", None),
        (1793726825, None),
        (None, None),
    ],
)
def test_only_a_time_with_a_zone_is_parsed(text: object, moment_s: float | None) -> None:
    assert parse_time(text) == moment_s


def test_the_records_of_a_list_are_its_objects() -> None:
    assert list(records_of({"records": [{"id": 1}, None, 5, {"id": 2}]})) == [{"id": 1}, {"id": 2}]
    assert list(records_of({"records": []})) == []


@pytest.mark.parametrize("page", [{}, {"records": None}, {"records": {}}, {"records": "x"}])
def test_a_list_without_records_is_a_fault_of_the_server(page: dict[str, Any]) -> None:
    with pytest.raises(ServerError):
        records_of(page)


@pytest.mark.parametrize(
    ("navigation", "url"),
    [
        ({"nextPage": {"uri": "https://x/2"}}, "https://x/2"),
        ({"nextPage": {"uri": None}}, ""),
        ({"nextPage": "https://x/2"}, ""),
        ({"firstPage": {"uri": "https://x/1"}}, ""),
        (None, ""),
        ([], ""),
    ],
)
def test_the_next_page_is_that_of_the_navigation(navigation: object, url: str) -> None:
    assert next_page_url({"navigation": navigation}) == url


@pytest.mark.parametrize(
    ("record", "admin"),
    [
        ({"permissions": {"admin": {"enabled": True}}}, True),
        ({"permissions": {"admin": {"enabled": False}}}, False),
        ({"permissions": {"admin": {"enabled": "true"}}}, None),
        ({"permissions": {"admin": True}}, None),
        ({}, None),
    ],
)
def test_an_admin_is_known_by_the_record_only(record: dict[str, Any], admin: bool | None) -> None:
    assert is_admin(record) is admin


def test_a_sync_has_records_and_the_next_token() -> None:
    told = sync_answer({"records": [{"id": 1}, None], "syncInfo": {"syncToken": "t", "syncType": "ISync"}})
    assert (told.records, told.token) == ([{"id": 1}], "t")
    for nothing in ({}, {"syncInfo": None}, {"syncInfo": {"syncToken": 7}}):
        assert sync_answer({"records": [], **nothing}).token == ""
    with pytest.raises(ServerError, match="no records"):
        sync_answer({"syncInfo": {"syncToken": "t"}})


@pytest.mark.parametrize(
    ("record", "tombstone"),
    [
        ({"id": 1, "availability": "Deleted"}, True),
        ({"id": 1, "availability": "Purged", "uri": "x"}, True),
        ({"id": 1, "availability": "Deleted", "type": "SMS"}, False),
        ({"id": 1, "availability": "Deleted", "creationTime": "x"}, False),
        ({"id": 1}, False),
    ],
)
def test_a_tombstone_has_only_an_availability(record: dict[str, object], tombstone: bool) -> None:
    assert is_tombstone(record) is tombstone
