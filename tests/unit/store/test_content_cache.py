"""The promises of the content cache while nothing fails."""

import os
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import rcfs.store._cache as cache_module
import rcfs.store._content as content_module
import rcfs.store._room as room_module
import rcfs.store._value as value_module
from rcfs.errors import StoreError
from rcfs.model import CHUNK_BYTES, AttachmentKey, ContentKey
from rcfs.store import ContentCache, ContentInfo, StoredContent

KEY = AttachmentKey("400131", 62, 1001, 1)
SMALL_CHUNK = 64 << 10


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def cache(tmp_path: Path, warnings: list[str]) -> Iterator[ContentCache]:
    opened = ContentCache.open(tmp_path / "cache", free_floor_bytes=0, warn=warnings.append)
    yield opened
    opened.close()


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> int:
    for module in (cache_module, content_module, room_module):
        monkeypatch.setattr(module, "CHUNK_BYTES", SMALL_CHUNK)
    return SMALL_CHUNK


def key(message_id: int) -> ContentKey:
    return AttachmentKey("400131", 62, message_id, 1)


def put(cache: ContentCache, key: ContentKey, data: bytes, chunk_bytes: int = CHUNK_BYTES) -> bool:
    stored = [
        cache.put_chunk(key, start // chunk_bytes, data[start : start + chunk_bytes])
        for start in range(0, len(data), chunk_bytes)
    ]
    return cache.put_info(key, ContentInfo(len(data), "audio/mpeg")) and None not in stored


def content_bytes(stored: StoredContent | None) -> bytes:
    assert stored is not None
    assert stored.complete
    chunks = {**stored.chunks, **{index: chunk.check() for index, chunk in stored.unchecked.items()}}
    return b"".join(chunks[index].pread(0, CHUNK_BYTES) for index in sorted(chunks))


def disk_usage(directory: Path) -> int:
    paths = [directory, *directory.rglob("*")]
    return sum(-(-path.stat().st_size // 4096) * 4096 for path in paths if path.exists())


@pytest.mark.parametrize(
    "size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES, 3 * CHUNK_BYTES + 5]
)
def test_round_trip_around_chunk_borders(cache: ContentCache, warnings: list[str], size: int) -> None:
    data = os.urandom(size)
    assert put(cache, KEY, data)
    stored = cache.load(KEY)
    assert content_bytes(stored) == data
    assert stored is not None
    assert stored.prefix_bytes == size
    assert stored.info == ContentInfo(size, "audio/mpeg")
    assert cache.contains(KEY) == "yes"
    assert warnings == []
    stored.close()


def test_contents_survive_closing_and_reopening(tmp_path: Path, warnings: list[str]) -> None:
    first = ContentCache.open(tmp_path, free_floor_bytes=0, warn=warnings.append)
    put(first, KEY, b"voicemail")
    first.close()
    second = ContentCache.open(tmp_path, free_floor_bytes=0, warn=warnings.append)
    assert content_bytes(second.load(KEY)) == b"voicemail"
    assert warnings == []


def test_nothing_is_known_of_an_unknown_content(cache: ContentCache) -> None:
    assert cache.load(KEY) is None
    assert cache.contains(KEY) == "no"


def test_attachments_with_the_same_id_are_told_apart(cache: ContentCache) -> None:
    keys = [
        AttachmentKey("1", 2, 3, 1),
        AttachmentKey("1", 2, 31, 1),
        AttachmentKey("1", 23, 1, 1),
        AttachmentKey("12", 3, 1, 1),
    ]
    for number, each in enumerate(keys):
        put(cache, each, bytes([number]))
    assert [content_bytes(cache.load(each)) for each in keys] == [b"\0", b"\1", b"\2", b"\3"]


def test_a_partial_content_gives_its_prefix_and_is_not_complete(
    cache: ContentCache, small_chunks: int
) -> None:
    for index in (0, 1, 3):
        cache.put_chunk(KEY, index, bytes(small_chunks))
    cache.put_info(KEY, ContentInfo(4 * small_chunks))
    stored = cache.load(KEY)
    assert stored is not None
    assert (sorted(stored.chunks), stored.prefix_bytes, stored.complete) == (
        [0, 1, 3],
        2 * small_chunks,
        False,
    )
    assert cache.contains(KEY) == "partial"


def test_all_chunks_without_the_size_are_not_a_complete_content(cache: ContentCache) -> None:
    cache.put_chunk(KEY, 0, b"all there is, but who knows")
    stored = cache.load(KEY)
    assert stored is not None
    assert (stored.info, stored.complete, stored.prefix_bytes) == (None, False, 27)
    assert cache.contains(KEY) == "partial"


def test_a_size_without_chunks_is_no_part_of_the_content(cache: ContentCache) -> None:
    cache.put_info(KEY, ContentInfo(10))
    stored = cache.load(KEY)
    assert stored is not None
    assert (stored.complete, stored.prefix_bytes) == (False, 0)
    assert cache.contains(KEY) == "no"


@pytest.mark.parametrize("lengths", [{0: 100, 1: 50}, {0: SMALL_CHUNK, 1: 10, 2: SMALL_CHUNK}])
def test_a_chunk_too_short_for_its_place_is_dropped(
    cache: ContentCache, warnings: list[str], small_chunks: int, lengths: dict[int, int]
) -> None:
    for index, length in lengths.items():
        cache.put_chunk(KEY, index, bytes(length))
    short = next(index for index, length in lengths.items() if length < small_chunks)
    stored = cache.load(KEY)
    assert stored is not None
    assert set(stored.chunks) == set(lengths) - {short}
    assert len(warnings) == 1
    again = cache.load(KEY)
    assert again is not None
    assert set(again.chunks) == set(lengths) - {short}
    assert len(warnings) == 1


def test_chunks_that_contradict_the_size_are_dropped(cache: ContentCache, small_chunks: int) -> None:
    cache.put_chunk(KEY, 0, bytes(small_chunks))
    cache.put_chunk(KEY, 1, bytes(10))
    cache.put_chunk(KEY, 2, bytes(small_chunks))
    cache.put_info(KEY, ContentInfo(small_chunks + 11))
    stored = cache.load(KEY)
    assert stored is not None
    assert set(stored.chunks) == {0}


def test_what_is_put_is_returned_open(cache: ContentCache) -> None:
    chunk = cache.put_chunk(KEY, 0, b"0123456789")
    assert chunk is not None
    assert chunk.length_bytes == 10
    assert [chunk.pread(0, 4), chunk.pread(8, 100), chunk.pread(10, 1), chunk.pread(99, 1)] == [
        b"0123",
        b"89",
        b"",
        b"",
    ]
    with pytest.raises(ValueError, match="cannot read"):
        chunk.pread(-1, 4)


def test_a_closed_chunk_reads_nobody_elses_file(cache: ContentCache) -> None:
    chunk = cache.put_chunk(KEY, 0, b"0123456789")
    assert chunk is not None
    chunk.close()
    chunk.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        chunk.pread(0, 4)


def test_descriptors_are_closed_with_their_owner(cache: ContentCache) -> None:
    put(cache, KEY, b"x")
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - counting names
    stored = cache.load(KEY)
    assert len(os.listdir("/proc/self/fd")) == before + 1  # noqa: PTH208
    del stored
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_putting_again_replaces(cache: ContentCache, tmp_path: Path) -> None:
    put(cache, KEY, b"first")
    held = cache.load(KEY)
    put(cache, KEY, b"second!")
    assert content_bytes(cache.load(KEY)) == b"second!"
    assert content_bytes(held) == b"first"
    assert len(list((tmp_path / "cache" / "chunks").iterdir())) == 2


@pytest.mark.parametrize(("index", "size"), [(-1, 1), (0, 0), (0, CHUNK_BYTES + 1)])
def test_a_chunk_out_of_bounds_is_a_mistake_of_the_caller(cache: ContentCache, index: int, size: int) -> None:
    with pytest.raises(ValueError, match="out of bounds"):
        cache.put_chunk(KEY, index, bytes(size))


def test_drop_and_clear_remove_and_open_chunks_stay_readable(cache: ContentCache, tmp_path: Path) -> None:
    for number in range(3):
        put(cache, key(number), b"abc")
    held = cache.load(key(0))
    cache.drop(key(0))
    assert cache.contains(key(0)) == "no"
    assert content_bytes(held) == b"abc"
    assert cache.clear() == 2 * 2 * 4096
    assert [cache.load(key(number)) for number in range(3)] == [None] * 3
    assert list((tmp_path / "cache" / "chunks").iterdir()) == []
    assert cache.clear() == 0


def test_statistics(cache: ContentCache, tmp_path: Path) -> None:
    put(cache, key(1), b"abc")
    cache.put_chunk(key(2), 0, b"abc")
    for number in (1, 1, 2, 3):
        cache.load(key(number))
    stats = cache.stats()
    assert (stats.hits, stats.misses, stats.contents) == (2, 2, 2)
    assert stats.directory == tmp_path / "cache"
    assert stats.limit_bytes == 10 << 30
    assert stats.size_bytes == disk_usage(tmp_path / "cache")


@pytest.fixture
def checked_writes(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """Calls a function between the writing of each value file and the commit of its row."""

    def install(check: Callable[[], None]) -> None:
        original = value_module.write_value

        def write_value(path: Path, name: str, payload: bytes) -> None:
            original(path, name, payload)
            check()

        monkeypatch.setattr("rcfs.store._disk.write_value", write_value)

    return install


def test_the_cap_holds_at_every_moment(
    tmp_path: Path, small_chunks: int, checked_writes: Callable[[Callable[[], None]], None]
) -> None:
    limit, usages = 4 << 20, []
    checked_writes(lambda: usages.append(disk_usage(tmp_path)))
    cache = ContentCache.open(tmp_path, size_limit_bytes=limit, free_floor_bytes=0, warn=pytest.fail)
    for number in range(60):
        # From one chunk to nine: 17 MiB in all, and many of the evictions free more than is needed.
        data = bytes([number]) * (small_chunks * (number % 9) + 100)
        assert put(cache, key(number), data, small_chunks)
        usages.append(disk_usage(tmp_path))
        assert content_bytes(cache.load(key(number))) == data
    assert limit - (1 << 20) < max(usages) <= limit
    assert cache.evictions > 0
    assert cache.stats().size_bytes <= limit


def test_the_cap_holds_for_very_small_values_too(
    tmp_path: Path, checked_writes: Callable[[Callable[[], None]], None]
) -> None:
    limit, usages = 1 << 20, []
    checked_writes(lambda: usages.append(disk_usage(tmp_path)))
    cache = ContentCache.open(tmp_path, size_limit_bytes=limit, free_floor_bytes=0, warn=pytest.fail)
    for number in range(150):
        assert put(cache, key(number), b"hello")
    assert max(usages) <= limit
    assert cache.contains(key(149)) == "yes"
    assert cache.contains(key(0)) == "no"


def test_the_least_recently_used_content_goes_first_and_whole(tmp_path: Path, small_chunks: int) -> None:
    cache = ContentCache.open(tmp_path, size_limit_bytes=2 << 20, free_floor_bytes=0, warn=pytest.fail)
    data = bytes(6 * small_chunks)
    for number in (1, 2, 3):
        put(cache, key(number), data, small_chunks)
    cache.load(key(1))
    put(cache, key(4), data, small_chunks)
    put(cache, key(5), data, small_chunks)
    assert [cache.contains(key(number)) for number in (1, 2, 3, 4, 5)] == ["yes", "no", "no", "yes", "yes"]


def test_a_content_that_arrives_slowly_is_as_recent_as_its_last_chunk(
    tmp_path: Path, small_chunks: int
) -> None:
    cache = ContentCache.open(tmp_path, size_limit_bytes=2 << 20, free_floor_bytes=0, warn=pytest.fail)
    for index in range(4):
        cache.put_chunk(key(1), index, bytes(small_chunks))
    put(cache, key(2), bytes(8 * small_chunks), small_chunks)
    cache.put_chunk(key(1), 4, bytes(small_chunks))
    put(cache, key(3), bytes(10 * small_chunks), small_chunks)
    stored = cache.load(key(1))
    assert stored is not None
    assert stored.prefix_bytes == 5 * small_chunks
    assert cache.contains(key(2)) == "no"


def test_a_content_never_makes_room_for_itself(tmp_path: Path, small_chunks: int) -> None:
    limit = 2 << 20
    cache = ContentCache.open(tmp_path, size_limit_bytes=limit, free_floor_bytes=0, warn=pytest.fail)
    for index in range(8):
        cache.put_chunk(key(1), index, bytes(small_chunks))
    kept_free = room_module._GROWTH_BYTES + small_chunks + 4096
    more = 0
    while cache.stats().size_bytes + kept_free <= limit:
        cache.put_chunk(key(2), more, bytes(small_chunks))
        more += 1
    assert cache.contains(key(1)) == "partial"
    cache.put_chunk(key(1), 8, bytes(small_chunks))
    stored = cache.load(key(1))
    assert stored is not None
    assert stored.prefix_bytes == 9 * small_chunks
    assert cache.contains(key(2)) == "no"


def test_a_content_larger_than_the_cap_is_not_kept_and_told_once(
    tmp_path: Path, warnings: list[str], small_chunks: int
) -> None:
    cache = ContentCache.open(tmp_path, size_limit_bytes=2 << 20, free_floor_bytes=0, warn=warnings.append)
    chunks = [cache.put_chunk(KEY, index, bytes(small_chunks)) for index in range(40)]
    kept = [chunk is not None for chunk in chunks]
    assert kept[0]
    assert not any(kept[32:])
    assert cache.contains(KEY) == "no"
    assert len(warnings) == 1
    assert "larger than the limit" in warnings[0]
    assert put(cache, key(2), b"the next one is kept again")


def test_a_floor_of_free_space_is_kept_at_the_cost_of_the_cache(
    tmp_path: Path, warnings: list[str], small_chunks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    floor = 1 << 20
    free = 2 << 20

    class Usage:
        @property
        def free(self) -> int:
            return free - disk_usage(tmp_path)

    monkeypatch.setattr("rcfs.store._room.shutil.disk_usage", lambda _path: Usage())
    cache = ContentCache.open(tmp_path, free_floor_bytes=floor, warn=warnings.append)
    for number in range(20):
        assert put(cache, key(number), bytes(2 * small_chunks), small_chunks)
        assert Usage().free >= floor - (64 << 10)  # The database's own growth is not foreseen.
    assert cache.contains(key(0)) == "no"
    assert warnings == []
    free = 0
    assert cache.put_chunk(KEY, 0, b"x") is None
    assert cache.put_chunk(KEY, 0, b"x") is None
    assert len(warnings) == 1


def test_the_default_floor_is_a_gibibyte_or_a_twentieth_of_a_small_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage:
        total = 8 << 30
        free = (8 << 30) // 20

    monkeypatch.setattr("rcfs.store._room.shutil.disk_usage", lambda _path: Usage)
    cache = ContentCache.open(tmp_path, warn=lambda _line: None)
    assert cache.put_chunk(KEY, 0, b"x") is None
    Usage.free += room_module._GROWTH_BYTES + 8192
    assert cache.put_chunk(KEY, 0, b"x") is not None
    Usage.total, Usage.free = 1 << 40, 1 << 30
    cache = ContentCache.open(tmp_path, warn=lambda _line: None)
    assert cache.put_chunk(KEY, 0, b"x") is None
    Usage.free += room_module._GROWTH_BYTES + 8192
    assert cache.put_chunk(KEY, 0, b"x") is not None


@pytest.mark.parametrize("umask", [0o000, 0o777])
def test_nobody_else_may_open_anything_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    previous = os.umask(umask)
    try:
        cache = ContentCache.open(tmp_path / "a" / "b", free_floor_bytes=0, warn=pytest.fail)
        put(cache, KEY, b"secret")
    finally:
        os.umask(previous)
    paths = list((tmp_path / "a").rglob("*"))
    assert {path.name for path in paths} >= {"b", "chunks", "cache.db", "cache.db-wal"}
    for path in [tmp_path / "a", *paths]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_an_existing_directory_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    ContentCache.open(tmp_path, free_floor_bytes=0, warn=pytest.fail).close()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


@pytest.mark.parametrize("below", ["", "deeper/still"])
def test_a_file_in_the_place_of_the_directory(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("precious")
    directory = tmp_path / "file" / below
    with pytest.raises(StoreError, match="Not a directory") as caught:
        ContentCache.open(directory, warn=pytest.fail)
    assert str(directory) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (tmp_path / "file").read_text() == "precious"


def test_a_directory_that_diskcache_would_take_for_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RCFS_TEST", "elsewhere")
    with pytest.raises(StoreError, match="environment variable"):
        ContentCache.open(tmp_path / "$RCFS_TEST", warn=pytest.fail)
    assert list(tmp_path.iterdir()) == []


def test_many_threads_use_one_cache(cache: ContentCache, warnings: list[str]) -> None:
    wrong: list[int] = []

    def work(number: int) -> None:
        data = bytes([number]) * 1000
        for message_id in range(number, number + 10):
            put(cache, key(message_id * 100 + number), data)
            stored = cache.load(key(message_id * 100 + number))
            if content_bytes(stored) != data:
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert warnings == []
    assert cache.stats().contents == 60
    assert cache.stats().hits == 60
