"""A power cut after any system call, which takes with it what was not synced."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from rcfs.store import ContentCache, SizeIndex
from tests.fakes.integrity import LONG, disk_usage, key, known_sizes, put, small_chunks, whole
from tests.fakes.lossy import LossyDisk
from tests.fakes.traced import changes

LIMIT = 1 << 20
PUT = range(24)


@pytest.fixture(autouse=True)
def _small_chunks() -> Iterator[None]:
    with small_chunks():
        yield


def open_cache(directory: Path, warnings: list[str]) -> ContentCache:
    return ContentCache.open(directory, size_limit_bytes=LIMIT, free_floor_bytes=0, warn=warnings.append)


def fill(directory: Path) -> None:
    cache = open_cache(directory, [])
    for number in PUT:
        assert put(cache, number)
        if number % 7 == 3:
            put(cache, number - 1)
        if number % 11 == 10:
            cache.drop(key(number - 2))
    cache.close()


def whole_when_mended(cache: ContentCache, told: list[str]) -> set[int]:
    """The whole contents, after loading all until nothing is left to mend: a rebuilt database has contents
    that were not there before, some of them damaged."""
    for _look in range(4):
        before = len(told)
        found = whole(cache, PUT)
        if len(told) == before:
            return found
    raise AssertionError(f"there is no end to it: {told}")


def test_the_model_of_the_disk_holds_what_the_disk_holds(tmp_path: Path) -> None:
    disk = LossyDisk()
    for change in changes(lambda: fill(tmp_path), tmp_path):
        disk.apply(change)
    found = {path.relative_to(tmp_path): path for path in tmp_path.rglob("*") if path.is_file()}
    assert {str(name): path.read_bytes() for name, path in found.items()} == disk.contents()


def test_a_chunk_is_right_or_not_there_and_the_cache_goes_on(tmp_path: Path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    before.mkdir()
    disk, random, cuts, survived = LossyDisk(), Random(1), 0, 0
    for moment, change in enumerate(changes(lambda: fill(before), before)):
        disk.apply(change)
        if moment % 61 and not LONG:
            continue
        shutil.rmtree(after, ignore_errors=True)
        after.mkdir()
        disk.cut(after, random)
        told: list[str] = []
        cache = open_cache(after, told)
        found = whole_when_mended(cache, told)
        assert {number for number in PUT if cache.contains(key(number)) == "yes"} == found
        for again in range(1000, 1016):
            assert put(cache, again)
            assert disk_usage(after) <= LIMIT
        assert 1015 in whole(cache, range(1000, 1016))
        cache.close()
        cuts += 1
        survived += len(found)
    assert cuts > 15
    assert survived > 0, "the cuts left something to look at"


SIZES = {key(number): number * 1001 for number in range(60)}


def learn(directory: Path) -> None:
    index = SizeIndex.open(directory / "sizes.sqlite", print)
    for learned, size in SIZES.items():
        index.record(learned, size)
    index.close()


def test_a_learned_size_is_right_or_not_there(tmp_path: Path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    before.mkdir()
    disk, random, counts = LossyDisk(), Random(2), []
    for number, change in enumerate(changes(lambda: learn(before), before)):
        disk.apply(change)
        if number % 5 and not LONG:
            continue
        shutil.rmtree(after, ignore_errors=True)
        after.mkdir()
        disk.cut(after, random)
        warnings: list[str] = []
        index = SizeIndex.open(after / "sizes.sqlite", warnings.append)
        sizes = known_sizes(index, SIZES)
        assert sizes.items() <= SIZES.items()
        assert set(sizes) == set(list(SIZES)[: len(sizes)]), "none is lost but the newest"
        index.record(key(1000), 5)
        assert index.size(key(1000)) == 5
        assert warnings == []
        index.close()
        counts.append(len(sizes))
    assert counts[-1] == len(SIZES), "what a closed index holds is synced"
