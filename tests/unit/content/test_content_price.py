"""The price of a request: a table of decisions, and rules that hold for any way of reading."""

import math
from random import Random
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rcfs.content._price import NEAR_BYTES, InFlight, Meter, RequestCost, Wait, decide, range_for
from rcfs.model import CHUNK_BYTES, RangeSet

MB = CHUNK_BYTES
SIZE = 50 * MB
RATE = 2.0 * MB
COST = RequestCost(price_s=1.5, slot_s=0.0, first_byte_s=0.1, rate=RATE, since_last_s=math.inf)
"""40 requests a minute; a request is worth 3 MB."""


def held(*spans: tuple[int, int]) -> RangeSet:
    """The bytes that are present, in MB."""
    found = RangeSet()
    for start, stop in spans:
        found = found.plus(start * MB, stop * MB)
    return found


def main(position: float, **fields: Any) -> InFlight:
    """The main download at `position` MB."""
    return InFlight(int(position * MB), SIZE, **({"rate": RATE} | fields))


WAIT = Wait(1.5)

TABLE: list[tuple[str, RangeSet, list[InFlight], float, dict[str, Any], Wait | tuple[int, int]]] = [
    ("the next bytes", held((0, 1)), [main(1)], 1, {}, WAIT),
    ("bytes that come within the price", held((0, 1)), [main(1)], 3.9, {}, WAIT),
    ("bytes that come later", held((0, 1)), [main(1)], 4.1, {}, (4 * MB, SIZE)),
    ("the end", held((0, 1)), [main(1)], 49.9, {}, (49 * MB, SIZE)),
    ("the same on a fast line", held((0, 1)), [main(1, rate=40.0 * MB)], 49.9, {}, WAIT),
    ("the same when a request is dear", held((0, 1)), [main(1)], 49.9, {"price_s": 30.0}, Wait(30.0)),
    ("the same when none can be sent", held((0, 1)), [main(1)], 49.9, {"slot_s": 40.0}, Wait(40.1)),
    ("a little ahead of a download that crawls", held((0, 1)), [main(1, rate=1.0)], 2.9, {}, WAIT),
    ("far ahead of it", held((0, 1)), [main(1, rate=1.0)], 3.1, {}, (3 * MB, SIZE)),
    ("soon after another jump", held((0, 1)), [main(1)], 30, {"since_last_s": 0.5}, Wait(1.0)),
    ("a price after it", held((0, 1)), [main(1)], 30, {"since_last_s": 1.5}, (30 * MB, SIZE)),
    (
        "up to the next present bytes",
        held((0, 1), (40, 50)),
        [main(1)],
        30,
        {},
        (30 * MB, 40 * MB),
    ),
    (
        "up to the next bytes in flight",
        held((0, 1), (40, 41)),
        [main(1), InFlight(41 * MB, SIZE, RATE)],
        30,
        {},
        (30 * MB, 40 * MB),
    ),
    (
        "through a short run of present bytes",
        held((0, 1), (33, 35), (45, 50)),
        [main(1)],
        30,
        {},
        (30 * MB, 45 * MB),
    ),
    ("behind present bytes", held((0, 1), (25, 30)), [main(1)], 30.5, {}, (30 * MB, SIZE)),
    ("where nothing is in flight", held((0, 10), (20, 50)), [], 15.5, {}, (15 * MB, 20 * MB)),
    ("where nothing is in flight, near the last bytes", held((0, 10)), [], 12.5, {}, (10 * MB, SIZE)),
    (
        "bytes of a request that has not begun",
        held((0, 1)),
        [main(1), InFlight(30 * MB, SIZE, RATE, begins_in_s=0.1)],
        31,
        {},
        WAIT,
    ),
    (
        "far behind its beginning",
        held((0, 1)),
        [main(1), InFlight(30 * MB, SIZE, RATE, begins_in_s=0.1)],
        40,
        {},
        (40 * MB, SIZE),
    ),
]


@pytest.mark.parametrize(("there", "in_flight", "at", "cost", "decision"), [row[1:] for row in TABLE],
                         ids=[row[0] for row in TABLE])  # fmt: skip
def test_when_a_read_waits_and_which_range_is_requested_for_it(
    there: RangeSet,
    in_flight: list[InFlight],
    at: float,
    cost: dict[str, Any],
    decision: Wait | tuple[int, int],
) -> None:
    read = (int(at * MB), int(at * MB) + 131_072)
    assert decide(SIZE, there, in_flight, read, attrs.evolve(COST, **cost)) == decision


def test_a_read_without_missing_bytes_is_a_programming_error() -> None:
    with pytest.raises(ValueError, match="is there"):
        decide(SIZE, held((0, 2)), [], (0, MB), COST)


@pytest.mark.parametrize(
    ("there", "ranges"),
    [
        (held((0, 10), (20, 30)), [(10, 20), (30, 50)]),
        (held((0, 10), (12, 14), (15, 16)), [(10, 50)]),
        (held((10, 20)), [(0, 10), (20, 50)]),
        (held((0, 10), (47, 50)), [(10, 47)]),
    ],
)
def test_the_gaps_are_requested_with_few_requests(there: RangeSet, ranges: list[tuple[int, int]]) -> None:
    found = []
    while (first := there.run_end(0)) < SIZE:
        start, stop = range_for(SIZE, there, [], first, COST)
        found.append((start // MB, stop // MB))
        there = there.plus(start, stop)
    assert found == ranges


def test_rates_follow_the_measurements_and_fall_in_a_stall() -> None:
    meter = Meter()
    for _ in range(20):
        meter.answered(0.5)
        meter.received(10 * MB, 2.0)
        meter.received(100, 50.0)
    assert meter.first_byte_s == pytest.approx(0.5, rel=0.05)
    assert meter.rate == pytest.approx(5 * MB, rel=0.05)
    assert meter.rate_of(0, 0.0) == pytest.approx(meter.rate), "nothing is known of it yet"
    assert meter.rate_of(MB, 1.0) == pytest.approx(MB, rel=0.1)
    assert meter.rate_of(MB, 100.0) < 0.02 * MB
    for _ in range(5000):
        meter.received(10 * MB, 0.0)
    assert meter.rate < math.inf


class Line:
    """One content that arrives over an ideal line, and its reader: time moves from decision to decision."""

    def __init__(self, size: int, rate: float, price_s: float) -> None:
        self.size, self.rate, self.price_s = size, rate, price_s
        self.held = RangeSet()
        self.now = 0.1
        self.starts: list[float] = []
        self.downloads: list[list[int]] = [[0, size]]

    def move(self, seconds: float) -> None:
        self.now += seconds
        for download in self.downloads:
            position = min(download[1], download[0] + max(1, int(seconds * self.rate)))
            self.held = self.held.plus(download[0], position)
            download[0] = position
        self.downloads = [download for download in self.downloads if not self.held.has(*download)]

    def read(self, start: int, stop: int) -> float:
        """Seconds that the read waits."""
        began = self.now
        while (gap := self.held.gap(start, min(stop, self.size))) is not None:
            since_s = self.now - self.starts[-1] if self.starts else math.inf
            cost = RequestCost(self.price_s, 0.0, 0.1, self.rate, since_s)
            in_flight = [InFlight(download[0], download[1], self.rate) for download in self.downloads]
            decision = decide(self.size, self.held, in_flight, (start, stop), cost)
            if isinstance(decision, Wait):
                coming = [(gap[1] - at) / self.rate for at, stop in self.downloads if at <= gap[0] < stop]
                self.move(min([decision.for_s, *coming]) + 1e-6)
            else:
                first, last = decision
                assert first <= gap[0] < last <= self.size
                assert not self.held.has(first, first + 1)
                assert last == self.size or last - gap[0] >= 1
                self.starts.append(self.now)
                self.downloads.append([first, last])
                self.move(0.1)
        return self.now - began


@given(st.integers(0, 2**32), st.sampled_from([0.2, 2.0, 50.0]), st.sampled_from([0.5, 1.5, 6.0]))
def test_no_pattern_of_reads_costs_more_than_a_request_per_price_or_waits_longer(
    seed: int, rate_mb: float, price_s: float
) -> None:
    dice = Random(seed)
    line = Line(dice.randrange(1, 64 * MB), rate_mb * MB, price_s)
    for _ in range(30):
        start = dice.randrange(line.size)
        length = dice.choice([1, 4096, 131_072])
        waited_s = line.read(start, start + length)
        # A price for the download or since the previous jump, a round trip, and the chunk up to the read; a
        # read near a download is left to it.
        assert waited_s <= 2 * max(price_s, 0.1) + 0.3 + (NEAR_BYTES + 2 * MB) / line.rate
        line.move(dice.choice([0.0, 0.01, 1.0]))
    assert len(line.starts) <= 1 + line.now / price_s
    assert line.held.end <= line.size


@given(st.integers(1, 64 * MB), st.floats(1e3, 1e9), st.sampled_from([32_768, 131_072, MB]))
def test_a_sequential_reader_never_causes_a_request(size: int, rate: float, step: int) -> None:
    line = Line(size, rate, 1.5)
    for start in range(0, min(size, 8 * MB), step):
        in_flight = [InFlight(download[0], download[1], rate) for download in line.downloads]
        for ahead in range(3):  # the read and the read-ahead in front of it
            read = (start + ahead * step, start + (ahead + 1) * step)
            if read[0] < size and not line.held.has(read[0], min(read[1], size)):
                assert decide(size, line.held, in_flight, read, attrs.evolve(COST, rate=rate)) == WAIT
        line.move(step / rate)
