"""Real disks that are full or read-only, and directories that go away while they are used."""

import os
import resource
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import pytest

from rcfs.store import ContentCache, SizeIndex
from tests.fakes.integrity import check, key, known_sizes, put, small_chunks, value_files, whole
from tests.fakes.own_mounts import in_own_mounts, mount

T = TypeVar("T")

BEFORE, AFTER = range(10), range(300, 310)


@pytest.fixture(autouse=True)
def _small_chunks() -> Iterator[None]:
    with small_chunks():
        yield


def open_cache(directory: Path, told: list[str], free_floor_bytes: int = 0) -> ContentCache:
    return ContentCache.open(directory, free_floor_bytes=free_floor_bytes, warn=told.append)


def in_new_thread(work: Callable[[], T]) -> T:
    """The result of `work` in another thread, with another database connection."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


def put_all(cache: ContentCache, numbers: range) -> bool:
    return None not in [put(cache, number) or None for number in numbers]


def goes_on(cache: ContentCache) -> None:
    """The obstacle is gone, so everything works again, in this thread and in others."""
    assert put_all(cache, AFTER)
    assert whole(cache, AFTER) == set(AFTER)
    assert in_new_thread(lambda: put_all(cache, AFTER))
    assert in_new_thread(lambda: whole(cache, AFTER)) == set(AFTER)


@pytest.mark.parametrize("left_pages", [0, 1, 2, 5, 9, 17, 40, 100])
def test_a_disk_that_somebody_else_fills_and_empties(tmp_path: Path, left_pages: int) -> None:
    def story() -> None:
        mount(tmp_path, "-t", "tmpfs", "-o", "size=3m", "none")
        told: list[str] = []
        cache, sizes = open_cache(tmp_path / "cache", told), SizeIndex.open(tmp_path / "sizes", told.append)
        assert put_all(cache, BEFORE)
        sizes.record(key(1), 1)
        fill(tmp_path / "filler", left_pages)
        kept = [number for number in range(100, 130) if put(cache, number)]
        for number in range(100, 130):
            sizes.record(key(number), number)
        found = whole(cache, range(400))
        assert in_new_thread(lambda: whole(cache, range(400))) == found
        assert found <= {*BEFORE, *kept}
        assert found.issuperset(kept[-2:]), "the coldest make room for the newest"
        second = open_cache(tmp_path / "cache", told)
        assert whole(second, range(400)) == found
        second.close()
        cache.drop(key(100))
        assert kept or any("No space left" in line or "full" in line for line in told), told
        assert len(told) == len(set(told)) <= 4, told
        (tmp_path / "filler").unlink()
        goes_on(cache)
        sizes.record(key(2), 2)
        assert known_sizes(sizes, [key(1), key(2)]) == {key(1): 1, key(2): 2}
        rows = {name for (name,) in cache._table.present._sql("SELECT filename FROM Cache")}
        assert value_files(tmp_path / "cache") == rows

    in_own_mounts(story)


def fill(path: Path, left_pages: int) -> None:
    """Fill the disk with the file `path`, except a number of pages of 4 KiB."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)) == 4096:
            pass
    os.truncate(path, max(0, path.stat().st_size - left_pages * 4096))


def test_a_full_disk_with_a_floor_gives_way_to_others(tmp_path: Path) -> None:
    def story() -> None:
        mount(tmp_path, "-t", "tmpfs", "-o", "size=6m", "none")
        floor, told = 2 << 20, list[str]()
        cache = open_cache(tmp_path / "cache", told, floor)
        for number in range(200):
            assert put(cache, number)
            # The database's own growth is not foreseen.
            assert shutil.disk_usage(tmp_path).free >= floor - (300 << 10)
        assert 199 in whole(cache, range(190, 200))
        assert told == []

    in_own_mounts(story)


def test_a_read_only_disk_is_read(tmp_path: Path) -> None:
    def story() -> None:
        mount(tmp_path, "-t", "tmpfs", "none")
        told: list[str] = []
        cache, sizes = open_cache(tmp_path / "cache", told), SizeIndex.open(tmp_path / "sizes", told.append)
        assert put_all(cache, BEFORE)
        sizes.record(key(1), 1)
        cache.close()
        sizes.close()
        mount(tmp_path, "-o", "remount,ro")
        cache, sizes = open_cache(tmp_path / "cache", told), SizeIndex.open(tmp_path / "sizes", told.append)
        for _again in range(2):
            assert whole(cache, BEFORE) == in_new_thread(lambda: whole(cache, BEFORE)) == set(BEFORE)
            assert not put(cache, 100)
            cache.drop(key(100))
            sizes.record(key(2), 2)
            assert known_sizes(sizes, map(key, range(10))) == {key(1): 1, key(2): 2}
        cache.close()
        sizes.close()
        assert len(told) == 2, told
        mount(tmp_path, "-o", "remount,rw")
        cache = open_cache(tmp_path / "cache", told)
        goes_on(cache)
        assert whole(cache, BEFORE) == set(BEFORE)
        assert len(told) == 2, told

    in_own_mounts(story)


@pytest.mark.parametrize("how", ["removed", "emptied", "replaced by a copy", "replaced by a file"])
def test_a_directory_that_goes_away_while_it_is_used(tmp_path: Path, how: str) -> None:
    directory, told = tmp_path / "cache", list[str]()
    cache = open_cache(directory, told)
    assert put_all(cache, BEFORE)
    held = cache.load(key(3))
    shutil.copytree(directory, tmp_path / "copy")
    directory.rename(tmp_path / "away")
    shutil.rmtree(tmp_path / "away")
    if how == "replaced by a copy":
        (tmp_path / "copy").rename(directory)
    elif how == "emptied":
        directory.mkdir()
    elif how == "replaced by a file":
        directory.write_text("precious")
    assert check(cache, held, 3), "what is open stays readable"
    found = whole(cache, BEFORE) | in_new_thread(lambda: whole(cache, BEFORE))
    assert found == (set(BEFORE) if how == "replaced by a copy" else set())
    if how == "replaced by a file":
        assert not put_all(cache, range(100, 105))
        assert directory.read_text() == "precious"
        assert 1 <= len(told) <= 3, told
        directory.unlink()
        cache._table._recover_from_s = 0.0  # A minute later.
    goes_on(cache)
    cache.close()
    cache = open_cache(directory, told)
    assert whole(cache, AFTER) == set(AFTER)
    cache.close()


def test_reads_go_on_while_nothing_can_be_written(tmp_path: Path) -> None:
    told: list[str] = []
    cache = open_cache(tmp_path, told)
    assert put_all(cache, BEFORE)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        for limit in (0, 8192, 100_000):
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limits[1]))
            put_all(cache, range(100, 120))
            assert whole(cache, BEFORE) == in_new_thread(lambda: whole(cache, BEFORE)) == set(BEFORE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    goes_on(cache)
    assert whole(cache, BEFORE) == set(BEFORE)
    assert 1 <= len(told) <= 3, told
    cache.close()
