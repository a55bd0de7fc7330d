"""What a server may put into JSON, and what is made of it."""

import json
from typing import Any

import pytest

from rcfs.errors import ServerError
from rcfs.platform._document import MAX_DEPTH, decoded, decoded_object


def depth_of(value: Any) -> int:
    depth = 0
    while isinstance(value, (list, dict)):
        depth += 1
        below = list(value.values()) if isinstance(value, dict) else value
        value = below[0] if below else None
    return depth


@pytest.mark.parametrize("depth", [1, MAX_DEPTH, MAX_DEPTH + 1, 980, 1_000, 50_000])
def test_what_lies_too_deep_is_null(depth: int) -> None:
    body = '{"deep":' + "[" * depth + "]" * depth + ',"after":"]]}"}'
    document = decoded_object(body, "test")
    assert depth_of(document) == min(depth + 1, MAX_DEPTH)
    assert document["after"] == "]]}"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("9223372036854775807", 2**63 - 1),
        ("18446744073709551615", 2**64 - 1),
        ("18446744073709551616", None),
        ("-9223372036854775808", -(2**63)),
        ("9" * 5000, None),
        ("NaN", None),
        ("-Infinity", None),
        ("1e999", None),
        ("1.5", 1.5),
        ("-0", 0),
    ],
)
def test_numbers_that_nothing_can_hold_are_null(text: str, value: object) -> None:
    assert decoded(f"[{text}]", "test") == [value]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r"\ud83d\ude00", "\U0001f600"),
        (r"\uD83D\uDE00 \uD83D\uDE00", "\U0001f600 \U0001f600"),
        (r"a\ud83d", "a\ufffd"),
        (r"\ude00b", "\ufffdb"),
        (r"\ude00\ud83d", "\ufffd\ufffd"),
        (r"\\ud83d\ude00", "\\ud83d\ufffd"),
        (r"\\\ud83d\ude00", "\\\U0001f600"),
        (r"\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
    ],
)
def test_only_half_a_surrogate_pair_is_replaced(text: str, value: str) -> None:
    assert decoded(f'{{"{text}":["{text}"]}}', "test") == {value: [value]}
    json.dumps(value, ensure_ascii=False).encode()


def test_of_a_key_that_comes_twice_the_last_counts() -> None:
    assert decoded('{"id":1,"id":2}', "test") == {"id": 2}


def test_a_byte_order_mark_is_passed_over() -> None:
    assert decoded(b'\xef\xbb\xbf{"id":1}', "test") == {"id": 1}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"s3cret",
        b"<html>",
        b"\xff\xfe{",
        b'"\xed\xa0\x80"',
        b"[" * 100_000,
        b'{"a":' * 5_000,
        b'"[[',
    ],
)
def test_what_is_no_json_is_an_error_that_quotes_nothing(body: bytes) -> None:
    with pytest.raises(ServerError, match="test: the answer is not JSON") as caught:
        decoded(body, "test")
    assert "s3cret" not in repr(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("body", [b"[]", b"7", b"null", b'"{}"'])
def test_an_answer_that_must_be_an_object(body: bytes) -> None:
    with pytest.raises(ServerError, match="not a JSON object"):
        decoded_object(body, "test")
