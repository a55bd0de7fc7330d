"""Answers to requests for several records."""

import json

import pytest

from rcfs.errors import ServerError
from rcfs.platform import records_by_id
from rcfs.simulator._multipart import mixed


def test_the_simulators_form_is_understood() -> None:
    rows = [
        {"href": f"http://x/message-store/{each}", "status": 200 if each < 3 else 404} for each in (1, 2, 3)
    ]
    parts = [{"response": rows}, {"id": 1}, {"id": 2, "subject": "ü\r\n--"}, {"errorCode": "CMN-102"}]
    content_type, body = mixed(json.dumps(part, ensure_ascii=False).encode() for part in parts)
    assert records_by_id(body, content_type, [1, 2, 3], "op") == {1: parts[1], 2: parts[2], 3: None}


def test_a_record_with_another_id_or_none_is_left_out() -> None:
    document = [
        {"resourceId": "1", "status": 200, "body": {"id": 9}},
        {"resourceId": "7", "status": 404},
        {"resourceId": "2", "status": 404},
        None,
    ]
    assert records_by_id(json.dumps(document).encode(), "application/json", [1, 2], "op") == {2: None}


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/mixed", b""),
        ("multipart/mixed; boundary=B", b"--B\r\n\r\n[]\r\n--B--\r\n"),
        ("multipart/mixed; boundary=B", b"not these parts"),
        ("application/json", b"{"),
    ],
)
def test_an_answer_in_neither_form_is_an_error(content_type: str, body: bytes) -> None:
    with pytest.raises(ServerError):
        records_by_id(body, content_type, [1, 2], "op")
