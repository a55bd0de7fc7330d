from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rcfs.content._placement import Head, MisplacedError, Placement, place
from rcfs.model import ByteRange

NONE = (None, None, None)
ASKED = ByteRange(50)

TABLE: list[tuple[str, dict[str, Any], ByteRange | None, int, Placement]] = [
    ("whole", {"status": 200, "content_length": 100}, None, 0, Placement(0, 100, 100)),
    ("whole and empty", {"status": 200, "content_length": 0}, None, 0, Placement(0, 0, 0)),
    ("whole without a length", {"status": 200}, None, 0, Placement(0, None, None)),
    (
        "whole, compressed: the length is of other bytes",
        {"status": 200, "content_length": 7, "encoded": True},
        None,
        0,
        Placement(0, None, None),
    ),
    (
        "whole though a part was asked for",
        {"status": 200, "content_length": 100},
        ASKED,
        50,
        Placement(0, 100, 100),
    ),
    (
        "whole, shorter than the present bytes",
        {"status": 200, "content_length": 10},
        ASKED,
        50,
        Placement(0, 10, 10),
    ),
    (
        "whole with a Content-Range, which means nothing there",
        {"status": 200, "content_length": 100, "content_range": (5, 6, 7)},
        None,
        0,
        Placement(0, 100, 100),
    ),
    (
        "part as asked",
        {"status": 206, "content_length": 50, "content_range": (50, 100, 100)},
        ASKED,
        50,
        Placement(50, 100, 100),
    ),
    (
        "part without a length",
        {"status": 206, "content_range": (50, 100, 100)},
        ASKED,
        50,
        Placement(50, 100, 100),
    ),
    (
        "part shorter than asked",
        {"status": 206, "content_length": 10, "content_range": (50, 60, 100)},
        ASKED,
        50,
        Placement(50, 60, 100),
    ),
    (
        "part without a total",
        {"status": 206, "content_length": 50, "content_range": (50, 100, None)},
        ASKED,
        50,
        Placement(50, 100, None),
    ),
    (
        "part that begins earlier",
        {"status": 206, "content_length": 80, "content_range": (20, 100, 100)},
        ASKED,
        50,
        Placement(20, 100, 100),
    ),
    (
        "part without a requested range",
        {"status": 206, "content_length": 60, "content_range": (0, 60, 100)},
        None,
        0,
        Placement(0, 60, 100),
    ),
    (
        "part without a requested range and without a position",
        {"status": 206, "content_length": 60},
        None,
        0,
        Placement(0, 60, None),
    ),
    (
        "the same without a length",
        {"status": 206, "content_range": (None, None, 100)},
        None,
        0,
        Placement(0, None, 100),
    ),
    (
        "416 that confirms the end",
        {"status": 416, "content_range": (None, None, 50)},
        ASKED,
        50,
        Placement(50, 50, 50),
    ),
]


@pytest.mark.parametrize(
    ("head", "asked", "arrived", "placement"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
@pytest.mark.parametrize("lenient", [False, True])
def test_the_position_of_a_body(
    head: dict[str, Any], asked: ByteRange | None, arrived: int, placement: Placement, lenient: bool
) -> None:
    assert place(Head(**head), asked, arrived, lenient=lenient) == placement


MISPLACED: list[tuple[str, dict[str, Any]]] = [
    ("a later part", {"status": 206, "content_length": 40, "content_range": (60, 100, 100)}),
    ("a part of another length", {"status": 206, "content_length": 49, "content_range": (50, 100, 100)}),
    ("a part past the end", {"status": 206, "content_length": 50, "content_range": (50, 100, 99)}),
    ("a compressed part", {"status": 206, "content_range": (50, 100, 100), "encoded": True}),
    ("416 with a larger total", {"status": 416, "content_range": (None, None, 100)}),
    ("416 with a smaller total", {"status": 416, "content_range": (None, None, 40)}),
    ("416 without a total", {"status": 416}),
]


@pytest.mark.parametrize("head", [row[1] for row in MISPLACED], ids=[row[0] for row in MISPLACED])
@pytest.mark.parametrize("lenient", [False, True])
def test_a_body_whose_position_is_not_certain_is_refused(head: dict[str, Any], lenient: bool) -> None:
    with pytest.raises(MisplacedError) as caught:
        place(Head(**head), ASKED, 50, lenient=lenient)
    assert caught.value.retryable


@pytest.mark.parametrize(("length", "stop"), [(30, 80), (None, None)])
def test_a_part_without_a_position_counts_as_the_requested_one_only_when_lenient(
    length: int | None, stop: int | None
) -> None:
    head = Head(206, length)
    with pytest.raises(MisplacedError):
        place(head, ASKED, 50)
    assert place(head, ASKED, 50, lenient=True) == Placement(50, stop, None)


lengths = st.none() | st.integers(0, 200)


@given(
    st.sampled_from([200, 206, 416]),
    lengths,
    st.tuples(lengths, lengths, lengths).filter(
        lambda given: (
            (given[0] is None) == (given[1] is None) and (given[0] is None or given[0] < (given[1] or 0))
        )
    ),
    st.booleans(),
    st.integers(0, 200),
    st.booleans(),
    st.booleans(),
)
def test_a_placement_never_leaves_a_gap_and_agrees_with_the_headers(
    status: int,
    length: int | None,
    content_range: tuple[int | None, int | None, int | None],
    encoded: bool,
    arrived: int,
    ranged: bool,
    lenient: bool,
) -> None:
    asked = ByteRange(arrived) if ranged and arrived else None
    head = Head(status, length, content_range, encoded)
    try:
        placement = place(head, asked, arrived, lenient=lenient)
    except MisplacedError:
        return
    assert 0 <= placement.start <= arrived
    if placement.stop is not None:
        assert placement.start <= placement.stop
        if placement.total is not None:
            assert placement.stop <= placement.total
    if status == 206 and content_range[0] is not None:
        assert (placement.start, placement.stop) == content_range[:2]
