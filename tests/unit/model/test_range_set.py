from hypothesis import given
from hypothesis import strategies as st

from rcfs.model import RangeSet

positions = st.integers(0, 40)
pairs = st.lists(st.tuples(positions, positions).map(sorted).map(tuple), max_size=12)


def built(ranges: list[tuple[int, int]]) -> tuple[RangeSet, set[int]]:
    """The same positions as a range set and as a plain one."""
    found, truth = RangeSet(), set[int]()
    for start, stop in ranges:
        found = found.plus(start, stop)
        truth |= set(range(start, stop))
    return found, truth


@given(pairs)
def test_it_holds_what_was_added_in_as_few_ranges_as_possible(ranges: list[tuple[int, int]]) -> None:
    found, truth = built(ranges)
    assert {position for start, stop in found.spans for position in range(start, stop)} == truth
    assert all(before[1] < after[0] for before, after in zip(found.spans, found.spans[1:], strict=False)), (
        "a gap between any two"
    )
    assert (found.total, found.end) == (len(truth), max(truth, default=-1) + 1)


@given(pairs, positions, positions)
def test_removed_positions_are_not_in_it(ranges: list[tuple[int, int]], start: int, stop: int) -> None:
    found, truth = built(ranges)
    less = found.minus(start, stop)
    rest = truth - set(range(start, stop))
    assert {position for first, last in less.spans for position in range(first, last)} == rest
    assert less.total == len(rest)
    assert all(before[1] < after[0] for before, after in zip(less.spans, less.spans[1:], strict=False))


@given(pairs, positions, positions)
def test_missing_positions_are_found(ranges: list[tuple[int, int]], start: int, stop: int) -> None:
    found, truth = built(ranges)
    missing = [position for position in range(start, stop) if position not in truth]
    assert found.has(start, stop) == (not missing)
    gap = found.gap(start, stop)
    if not missing:
        assert gap is None
        return
    assert gap is not None
    assert gap[0] == missing[0]
    assert not truth & set(range(*gap))
    assert gap[1] == stop or gap[1] in truth


@given(pairs, positions)
def test_the_ends_of_runs_are_found(ranges: list[tuple[int, int]], position: int) -> None:
    found, truth = built(ranges)
    end = found.run_end(position)
    assert set(range(position, end)) <= truth
    assert end not in truth
    before = found.run_before(position)
    assert before <= position
    assert before == 0 or before - 1 in truth
    assert not truth & set(range(before, position)) or position in truth
