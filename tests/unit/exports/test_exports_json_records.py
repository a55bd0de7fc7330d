"""Cutting records out of a list that arrives in pieces."""

import json
from random import Random
from typing import Any

import pytest

from rcfs.exports import RecordCutter

RECORDS: list[dict[str, Any]] = [
    {"id": 1, "subject": 'a "quoted" \\ text with ] } and { ['},
    {"id": 2, "to": [{"name": "x"}, {"name": "y"}], "nested": {"records": [{"id": 9}]}},
    {"id": 3, "subject": "ü\u2028\\\\"},
    {},
]


def cut(text: bytes, size: int) -> tuple[list[Any], bool]:
    cutter = RecordCutter()
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    found = [json.loads(record) for piece in pieces for record in cutter.feed(piece)]
    return found, cutter.is_whole


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize(
    "document",
    [
        RECORDS,
        {"records": RECORDS},
        {"uri": "x", "paging": {"page": 1, "records": [{"id": 8}]}, "records": RECORDS, "more": [{"id": 7}]},
    ],
)
@pytest.mark.parametrize("indent", [None, 2])
def test_the_records_of_any_list_cut_anywhere(size: int, document: Any, indent: int | None) -> None:
    assert cut(json.dumps(document, indent=indent).encode(), size) == (RECORDS, True)
    assert cut(json.dumps(document, ensure_ascii=False).encode("utf-8-sig"), size) == (RECORDS, True)


def test_a_list_that_is_cut_is_not_whole() -> None:
    text = json.dumps({"records": RECORDS}).encode()
    found, is_whole = cut(text[:-3], 50)
    assert (len(found), is_whole) == (3, False)


@pytest.mark.parametrize(
    "text", [b"", b"null", b'"records"', b"{}", b'{"items": [{"id": 1}]}', b"]]]}}", b'"']
)
def test_no_list(text: bytes) -> None:
    assert cut(text * 3, 4)[0] == []


def test_a_record_of_more_than_a_mib_is_left_out_and_costs_no_memory() -> None:
    cutter = RecordCutter()
    text = json.dumps([{"id": 1}, {"id": 2, "x": ["y" * 100] * 30_000}, {"id": 3}]).encode()
    pieces = [text[at : at + 65_536] for at in range(0, len(text), 65_536)]
    assert [json.loads(record)["id"] for piece in pieces for record in cutter.feed(piece)] == [1, 3]
    assert (cutter.too_long, cutter.is_whole) == (1, True)


def test_noise_raises_nothing() -> None:
    random = Random(1)
    for _attempt in range(300):
        text = bytes(random.choice(b'"\\[]{},:records1') for _ in range(60))
        cutter, size = RecordCutter(), random.randrange(1, 20)
        pieces = [text[at : at + size] for at in range(0, len(text), size)]
        for record in (record for piece in pieces for record in cutter.feed(piece)):
            assert record.startswith(b"{")
