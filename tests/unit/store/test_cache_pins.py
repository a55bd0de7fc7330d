"""Pinned contents stay."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from rcfs.errors import StoreError
from rcfs.model import AttachmentKey, ContentKey
from rcfs.store import ContentCache, ContentInfo

CAP_BYTES = 2 << 20
SIZE_BYTES = 100_000


def key(message_id: int) -> ContentKey:
    return AttachmentKey("400131", 62, message_id, 1)


def put(cache: ContentCache, number: int, size_bytes: int = SIZE_BYTES) -> bool:
    return cache.put_chunk(key(number), 0, bytes(size_bytes)) is not None and cache.put_info(
        key(number), ContentInfo(size_bytes)
    )


def held(cache: ContentCache, numbers: range) -> list[int]:
    return [number for number in numbers if cache.contains(key(number)) == "yes"]


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def cache(tmp_path: Path, warnings: list[str]) -> Iterator[ContentCache]:
    opened = ContentCache.open(tmp_path, size_limit_bytes=CAP_BYTES, free_floor_bytes=0, warn=warnings.append)
    yield opened
    opened.close()


def test_pinned_contents_are_not_evicted_by_any_process(tmp_path: Path, cache: ContentCache) -> None:
    other = ContentCache.open(tmp_path, size_limit_bytes=CAP_BYTES, free_floor_bytes=0, warn=pytest.fail)
    put(cache, 1)
    put(cache, 2)
    assert other.pin([key(1), key(3)]) == 2
    assert other.pin([key(1)]) == 0
    put(cache, 3)
    for number in range(10, 60):
        assert put(cache, number)
    assert held(cache, range(10)) == [1, 3]
    assert len(held(cache, range(10, 60))) > 5, "the others take turns"
    assert cache.pins() == other.pins() == {key(1), key(3)}

    assert cache.unpin([key(1), key(2)]) == 1
    for number in range(60, 110):
        put(other, number)
    assert held(cache, range(10)) == [3]
    other.close()


def test_pins_outlive_the_database(tmp_path: Path, cache: ContentCache) -> None:
    cache.pin([key(1)])
    put(cache, 1)
    cache.close()
    for path in tmp_path.glob("cache.db*"):
        path.write_bytes(b"garbage" * 1000)
    told: list[str] = []
    again = ContentCache.open(tmp_path, size_limit_bytes=CAP_BYTES, free_floor_bytes=0, warn=told.append)
    for number in range(10, 60):
        put(again, number)
    assert held(again, range(10)) == [1]
    assert len(told) == 1
    again.close()


def test_when_all_is_pinned_new_contents_pass_through(cache: ContentCache, warnings: list[str]) -> None:
    numbers = range(100)
    cache.pin(map(key, numbers))
    kept = [number for number in numbers if put(cache, number)]
    assert 10 < len(kept) < 25
    assert held(cache, numbers) == kept
    assert put(cache, 200) is False
    assert len(warnings) == 1
    assert "or unpin contents" in warnings[0]


def test_clearing_keeps_what_is_pinned_unless_told_otherwise(cache: ContentCache) -> None:
    cache.pin([key(1), key(5)])
    put(cache, 1)
    put(cache, 2)
    stats = cache.pin_stats()
    assert (stats.contents, stats.cached) == (2, 1)
    assert SIZE_BYTES <= stats.size_bytes <= SIZE_BYTES + 3 * 4096
    assert cache.clear() >= SIZE_BYTES
    assert held(cache, range(3)) == [1]
    assert cache.clear(pinned=True) >= SIZE_BYTES
    assert held(cache, range(3)) == []
    assert cache.pins() == {key(1), key(5)}


def test_a_content_that_turned_out_to_be_another_is_still_pinned(cache: ContentCache) -> None:
    cache.pin([key(1)])
    put(cache, 1)
    cache.drop(key(1))
    assert cache.contains(key(1)) == "no"
    assert cache.pins() == {key(1)}


def test_lines_that_are_no_keys_are_passed_over_and_told(tmp_path: Path) -> None:
    told: list[str] = []
    cache = ContentCache.open(tmp_path, free_floor_bytes=0, warn=told.append)
    (tmp_path / "pins").write_bytes(b"400131/62/1/1\njunk\n\n1/2/3\n\xff/1/1/1x\n400131/62/2/1")
    assert cache.pins() == cache.pins() == {key(1), key(2)}
    assert len(told) == 1
    assert "3 lines" in told[0]
    cache.close()


def test_a_pin_that_a_disk_changed_pins_nothing_else_and_is_told(tmp_path: Path) -> None:
    told: list[str] = []
    cache = ContentCache.open(tmp_path, free_floor_bytes=0, warn=told.append)
    pins = {key(number) for number in range(20)}
    cache.pin(pins)
    sound = (tmp_path / "pins").read_bytes()
    random = Random(27)
    for _round in range(100):
        data = bytearray(sound)
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
        (tmp_path / "pins").unlink()
        (tmp_path / "pins").write_bytes(data)
        told.clear()
        cache._told.clear()
        found = cache.pins()
        assert found < pins
        assert len(found) >= len(pins) - 2
        assert len(told) == 1
    cache.close()


def test_pins_that_cannot_be_written_are_told(tmp_path: Path, cache: ContentCache) -> None:
    cache.pin([key(1)])
    (tmp_path / "pins").unlink()
    (tmp_path / "pins").mkdir()
    with pytest.raises(StoreError, match="cannot be changed"):
        cache.pin([key(2)])
