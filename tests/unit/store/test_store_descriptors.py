"""Descriptors: chunks are read with few of them, and none is left behind."""

import gc
import resource
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from rcfs.store import ContentCache
from tests.fakes.integrity import check, key, put, small_chunks, whole

LIMIT = 40


@pytest.fixture(autouse=True)
def _small_chunks() -> Iterator[None]:
    with small_chunks():
        yield


@pytest.fixture
def few_files() -> Iterator[None]:
    """The process may open few files beyond those that it has open."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_files() + LIMIT, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def open_files() -> int:
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


def open_cache(directory: Path) -> ContentCache:
    return ContentCache.open(directory, size_limit_bytes=4 << 20, free_floor_bytes=0, warn=pytest.fail)


@pytest.mark.usefixtures("few_files")
def test_more_contents_are_open_than_the_process_may_open_files(tmp_path: Path) -> None:
    cache = open_cache(tmp_path)
    for number in range(60):
        assert put(cache, number)
    stored = {number: cache.load(key(number)) for number in range(60)}
    assert all(check(cache, each, number) for number, each in stored.items())
    again = {number: cache.load(key(number)) for number in range(60)}
    cache.drop(key(0))
    assert put(cache, 61), "there is still one to write with"
    for each in again.values():
        assert each is not None
        each.close()
    cache.close()


def test_a_churn_leaves_no_descriptors_behind(tmp_path: Path) -> None:
    cache = open_cache(tmp_path)
    assert put(cache, 0)
    assert whole(cache, [0]) == {0}
    counts = []
    for lap in range(6):
        numbers = range(lap * 60, lap * 60 + 60)

        def work(numbers: range = numbers) -> None:
            for number in numbers:
                assert put(cache, number)
                assert check(cache, cache.load(key(number)), number)

        threads = [threading.Thread(target=work, args=(numbers[part::4],)) for part in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        cache.clear()
        counts.append(open_files())
    # A pool keeps one connection more or fewer at hand; a leak would leave twelve descriptors at each lap.
    assert max(counts) <= counts[0] + 4
    cache.close()
