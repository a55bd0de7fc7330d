"""When the wall clock is set, eviction keeps its order, and no content expires."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from rcfs.store import ContentCache
from tests.fakes.integrity import CHUNK, disk_usage, key, small_chunks

LIMIT = 1 << 20
YEAR_S = 31_557_600.0


class WallClock:
    """A clock that advances a little with each reading, and jumps when it is set."""

    def __init__(self) -> None:
        self.now_s = 1_790_000_000.0

    def __call__(self) -> float:
        self.now_s += 1e-5
        return self.now_s


@pytest.fixture
def clock() -> Iterator[WallClock]:
    with small_chunks():
        yield WallClock()


def test_the_least_recently_used_goes_first_however_the_clock_is_set(
    clock: WallClock, tmp_path: Path
) -> None:
    random = Random(3)
    cache = ContentCache.open(
        tmp_path, size_limit_bytes=LIMIT, free_floor_bytes=0, warn=pytest.fail, wall_clock=clock
    )
    used: list[int] = []
    there: list[int] = []
    for number in range(150):
        clock.now_s = max(
            0.0, clock.now_s + random.choice((0.0, 0.0, 1.0, -YEAR_S, YEAR_S, -40 * YEAR_S, 90 * YEAR_S))
        )
        for again in random.sample(used[-8:], min(len(used), random.randint(0, 3))):
            stored = cache.load(key(again))
            if stored is not None:
                stored.close()
                used.remove(again)
                used.append(again)
        assert cache.put_chunk(key(number), 0, bytes(CHUNK)) is not None
        used.append(number)
        assert disk_usage(tmp_path) <= LIMIT
        there = [number for number in used if cache.contains(key(number)) != "no"]
        assert there == used[-len(there) :]
        assert len(there) >= min(len(used), 8)
    assert len(there) < 40, "most were evicted"
    cache.close()


def test_nothing_expires(clock: WallClock, tmp_path: Path) -> None:
    for jump_s in (0.0, 1000 * YEAR_S, -1040 * YEAR_S):
        clock.now_s += jump_s
        cache = ContentCache.open(tmp_path, free_floor_bytes=0, warn=pytest.fail, wall_clock=clock)
        if not jump_s:
            cache.put_chunk(key(1), 0, b"kept")
        stored = cache.load(key(1))
        assert stored is not None
        assert stored.chunks[0].pread(0, 4) == b"kept"
        stored.close()
        cache.close()
