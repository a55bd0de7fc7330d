"""Contents that enter the cache whole: many in a transaction, a large one hidden until it is complete."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rcfs.errors import StoreError
from rcfs.model import CHUNK_BYTES, AttachmentKey
from rcfs.store import ContentCache, WholeContent
from tests.fakes.rig import noise


def key_of(number: int) -> AttachmentKey:
    return AttachmentKey("400123", 101, number, number)


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def cache(tmp_path: Path, warnings: list[str]) -> Iterator[ContentCache]:
    cache = ContentCache.open(
        tmp_path / "cache", size_limit_bytes=8 << 20, free_floor_bytes=0, warn=warnings.append
    )
    yield cache
    cache.close()


def content_of(cache: ContentCache, number: int) -> bytes:
    stored = cache.load(key_of(number))
    assert stored is not None
    assert stored.complete
    chunks = [stored.chunks[index] for index in sorted(stored.chunks)]
    data = b"".join(chunk.pread(0, chunk.length_bytes) for chunk in chunks)
    stored.close()
    return data


def test_many_contents_at_once(cache: ContentCache, warnings: list[str]) -> None:
    sizes = [*range(1, 300, 7), 0, CHUNK_BYTES, 2 * CHUNK_BYTES + 5]
    contents = [WholeContent(key_of(n), noise(size, n), "audio/wav") for n, size in enumerate(sizes)]
    assert cache.incoming().put(contents) == len(contents)
    assert cache.incoming().put(contents) == len(contents)
    for number, size in enumerate(sizes):
        assert content_of(cache, number) == noise(size, number)
    files = list((cache.directory / "chunks").iterdir())
    assert len(files) == 2 * len(sizes) - 1 + 2  # one for each chunk, and one for each info
    assert warnings == []


def test_others_leave_for_them_and_pins_stay(cache: ContentCache, warnings: list[str]) -> None:
    incoming = cache.incoming()
    cache.pin([key_of(0)])
    contents = [WholeContent(key_of(number), noise(500_000, number)) for number in range(30)]
    assert incoming.put(contents[:1]) == 1
    assert all(incoming.put(contents[start : start + 3]) == 3 for start in range(1, 28, 3))
    assert cache.stats().size_bytes <= 8 << 20
    assert [cache.contains(key_of(number)) for number in (0, 1, 27)] == ["yes", "no", "yes"]
    cache.pin([key_of(number) for number in range(30)])
    assert incoming.put(contents) < 30
    assert any("full" in warning for warning in warnings)


def test_a_large_content_is_hidden_until_it_is_complete(cache: ContentCache) -> None:
    data = noise(3 * CHUNK_BYTES + 9)
    hidden = cache.incoming().hidden(key_of(1), "audio/wav")
    for start in range(0, len(data), 300_000):
        assert cache.contains(key_of(1)) == "no"
        hidden.write(data[start : start + 300_000])
    assert hidden.commit()
    assert content_of(cache, 1) == data
    assert cache.stats().contents == 1


def test_what_is_left_of_a_hidden_content_goes_with_the_next_one(cache: ContentCache) -> None:
    cache.incoming().hidden(key_of(1)).write(noise(2 * CHUNK_BYTES))
    assert cache.stats().contents == 1
    hidden = cache.incoming().hidden(key_of(1))
    assert cache.stats().contents == 0
    hidden.write(noise(CHUNK_BYTES + 1))
    hidden.discard()
    assert (cache.stats().contents, cache.contains(key_of(1))) == (0, "no")


def test_a_hidden_content_too_large_for_the_cache_is_refused(cache: ContentCache) -> None:
    hidden = cache.incoming().hidden(key_of(1))
    with pytest.raises(StoreError):
        hidden.write(noise(9 << 20))
    hidden.discard()
    assert cache.stats().contents == 0


def test_a_hidden_content_that_was_evicted_is_not_committed(cache: ContentCache) -> None:
    hidden = cache.incoming().hidden(key_of(1))
    hidden.write(noise(2 * CHUNK_BYTES))
    cache.clear()
    assert not hidden.commit()
    assert cache.contains(key_of(1)) == "no"
