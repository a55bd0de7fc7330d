"""Odd JSON from a server, and the documents that rcfs makes of it."""

import json
from typing import Any

import pytest

from rcfs.errors import ServerError
from rcfs.platform import decoded_object

MAX_DEPTH = 32
"""Deepest nesting that is kept."""


def depth_of(value: Any) -> int:
    depth = 0
    while isinstance(value, (list, dict)):
        depth += 1
        below = list(value.values()) if isinstance(value, dict) else value
        value = below[0] if below else None
    return depth


@pytest.mark.parametrize("depth", [1, MAX_DEPTH, MAX_DEPTH + 1, 980, 1_000, 50_000])
def test_values_nested_too_deep_are_null(depth: int) -> None:
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
def test_numbers_beyond_64_bits_or_not_finite_are_null(text: str, value: object) -> None:
    assert decoded_object(f'{{"n":{text}}}', "test") == {"n": value}


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
    assert decoded_object(f'{{"{text}":["{text}"]}}', "test") == {value: [value]}
    json.dumps(value, ensure_ascii=False).encode()


def test_the_last_value_of_a_repeated_key_counts() -> None:
    assert decoded_object('{"id":1,"id":2}', "test") == {"id": 2}


def test_a_byte_order_mark_is_ignored() -> None:
    assert decoded_object(b'\xef\xbb\xbf{"id":1}', "test") == {"id": 1}


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
def test_invalid_json_is_an_error_that_quotes_nothing(body: bytes) -> None:
    with pytest.raises(ServerError, match="test: the answer is not JSON") as caught:
        decoded_object(body, "test")
    assert "s3cret" not in repr(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("body", [b"[]", b"7", b"null", b'"{}"'])
def test_a_document_that_is_not_an_object_is_an_error(body: bytes) -> None:
    with pytest.raises(ServerError, match="not a JSON object"):
        decoded_object(body, "test")
