"""The content cache with damaged files, a damaged database, or a failing disk."""

import errno
import os
import pickle
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

import rcfs.store._cache_database as table_module
import rcfs.store._cache_opening as opening_module
import rcfs.store._database as database_module
import rcfs.store._mended as mended_module
from rcfs.errors import StoreError
from rcfs.model import CHUNK_BYTES, AttachmentKey, ContentKey
from rcfs.store import ContentCache, ContentInfo, StoredContent
from rcfs.store._disk import FILE_OF_BYTES, BytesDisk, new_value_name
from rcfs.store._value import DamagedValueError

KEY = AttachmentKey("400131", 62, 1001, 1)
OTHER = AttachmentKey("400131", 62, 1002, 1)


class Evil:
    """Unpickling it creates a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.marker,)


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def cache(directory: Path, warnings: list[str]) -> Iterator[ContentCache]:
    opened = open_cache(directory, warnings)
    yield opened
    opened.close()


def open_cache(directory: Path, warnings: list[str]) -> ContentCache:
    return ContentCache.open(directory, free_floor_bytes=0, warn=warnings.append)


def put(cache: ContentCache, key: ContentKey, data: bytes) -> None:
    assert cache.put_chunk(key, 0, data) is not None
    assert cache.put_info(key, ContentInfo(len(data)))


def only_chunk(stored: StoredContent | None) -> bytes:
    assert stored is not None
    assert stored.complete
    return stored.chunks[0].pread(0, stored.chunks[0].length_bytes)


def value_file(directory: Path, name: str) -> Path:
    with closing(sqlite3.connect(directory / "cache.db")) as connection:
        ((filename,),) = connection.execute("SELECT filename FROM Cache WHERE key = ?", (name,))
    return directory / "chunks" / str(filename)


def doctor(directory: Path, sql: str, *values: object) -> None:
    with closing(sqlite3.connect(directory / "cache.db")) as connection, connection:
        connection.execute(sql, values)


def rows_and_files(directory: Path) -> tuple[set[str], set[str]]:
    with closing(sqlite3.connect(directory / "cache.db")) as connection:
        rows = {filename for (filename,) in connection.execute("SELECT filename FROM Cache")}
    return rows, {path.name for path in (directory / "chunks").iterdir()}


# The value files.


@pytest.mark.parametrize("position", [0, 7, 15, 17, 18, 49, 50, 60, 512, 1000, -1])
@pytest.mark.parametrize("name", ["0", "info"])
def test_a_flipped_bit_is_never_served(
    cache: ContentCache, directory: Path, warnings: list[str], position: int, name: str
) -> None:
    put(cache, KEY, bytes(2000))
    put(cache, OTHER, b"other")
    path = value_file(directory, f"{KEY}#{name}")
    data = bytearray(path.read_bytes())
    data[min(position, len(data) - 1)] ^= 0x10
    path.write_bytes(data)
    stored = cache.load(KEY)
    assert stored is not None
    assert not stored.complete
    assert (stored.info is None) == (name == "info")
    assert (0 not in stored.chunks) == (name == "0")
    assert not path.exists()
    assert len(warnings) == 1
    assert str(KEY) in warnings[0]
    assert only_chunk(cache.load(OTHER)) == b"other"
    put(cache, KEY, b"fetched again")
    assert only_chunk(cache.load(KEY)) == b"fetched again"


@pytest.mark.parametrize("size", [0, 100, 511, 512, 513, 2511, 2513])
def test_a_file_of_another_length_is_never_served(cache: ContentCache, directory: Path, size: int) -> None:
    cache.put_chunk(KEY, 0, os.urandom(2000))
    os.truncate(value_file(directory, f"{KEY}#0"), size)
    assert cache.load(KEY) is None
    assert rows_and_files(directory) == (set(), set())


def test_files_swapped_between_keys_are_never_served(cache: ContentCache, directory: Path) -> None:
    put(cache, KEY, b"mine")
    put(cache, OTHER, b"ours")
    mine, ours = value_file(directory, f"{KEY}#0"), value_file(directory, f"{OTHER}#0")
    mine.rename(directory / "between")
    ours.rename(mine)
    (directory / "between").rename(ours)
    for key in (KEY, OTHER):
        stored = cache.load(key)
        assert stored is not None
        assert stored.chunks == {}


def test_rows_swapped_between_contents_are_never_served(cache: ContentCache, directory: Path) -> None:
    put(cache, KEY, b"mine")
    cache.put_chunk(OTHER, 0, b"ours")
    doctor(directory, "UPDATE Cache SET tag = ? WHERE key = ?", str(KEY), f"{OTHER}#0")
    assert only_chunk(cache.load(KEY)) == b"mine"
    found = cache.load(OTHER)
    assert found is not None
    assert found.chunks[0].pread(0, 9) == b"ours"


def test_a_file_cut_while_it_is_open_gives_an_error_and_no_short_read(
    cache: ContentCache, directory: Path
) -> None:
    chunk = cache.put_chunk(KEY, 0, bytes(2000))
    assert chunk is not None
    os.truncate(value_file(directory, f"{KEY}#0"), 1000)
    with pytest.raises(OSError, match="cut short"):
        chunk.pread(0, 2000)


def test_a_lost_file_is_a_miss_and_its_row_goes(
    cache: ContentCache, directory: Path, warnings: list[str]
) -> None:
    cache.put_chunk(KEY, 0, b"x")
    value_file(directory, f"{KEY}#0").unlink()
    assert cache.load(KEY) is None
    assert cache.contains(KEY) == "no"
    assert warnings == []


def test_an_info_that_is_no_info_is_dropped(cache: ContentCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ContentInfo, "to_json", lambda _self: '{"size_bytes": "3"}')
    put(cache, KEY, b"abc")
    stored = cache.load(KEY)
    assert stored is not None
    assert stored.info is None
    assert stored.chunks[0].pread(0, 3) == b"abc"


def test_without_descriptors_what_can_be_opened_is_given_and_nothing_dropped(
    cache: ContentCache, monkeypatch: pytest.MonkeyPatch, warnings: list[str]
) -> None:
    monkeypatch.setattr("rcfs.store._content.CHUNK_BYTES", 10)
    for index in range(5):
        cache.put_chunk(KEY, index, bytes([index]) * 10)
    cache.put_info(KEY, ContentInfo(50))
    left = [3]
    real_open = os.open

    def scarce_open(path: Path, flags: int, mode: int = 0o777) -> int:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), str(path))
        return real_open(path, flags, mode)

    with monkeypatch.context() as scarce:
        scarce.setattr("rcfs.store._value.os.open", scarce_open)
        stored = cache.load(KEY)
    assert stored is not None
    assert stored.info == ContentInfo(50)
    assert (set(stored.chunks), stored.prefix_bytes, stored.complete) == ({0, 1}, 20, False)
    whole = cache.load(KEY)
    assert whole is not None
    assert whole.complete
    assert warnings == []


# Pickles and other doctored rows.


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """A file that an evil pickle would create; shown here to work, so that its absence proves something."""
    path = tmp_path / "pwned"
    pickle.loads(pickle.dumps(Evil(path)))
    assert path.exists()
    path.unlink()
    return path


@pytest.mark.parametrize("column", ["value", "file", "key"])
def test_a_planted_pickle_is_never_loaded(
    directory: Path, warnings: list[str], marker: Path, column: str
) -> None:
    evil = pickle.dumps(Evil(marker))
    cache = open_cache(directory, warnings)
    put(cache, KEY, b"abc")
    put(cache, OTHER, b"other")
    name = f"{KEY}#0"
    if column == "value":
        doctor(directory, "UPDATE Cache SET mode = 4, filename = NULL, value = ? WHERE key = ?", evil, name)
    elif column == "file":
        value_file(directory, name).write_bytes(evil)
        doctor(directory, "UPDATE Cache SET mode = 4 WHERE key = ?", name)
    else:
        doctor(directory, "UPDATE Cache SET key = ?, raw = 0 WHERE key = ?", evil, name)
    cache.stats()
    cache.contains(KEY)
    stored = cache.load(KEY)
    assert stored is not None
    assert bool(stored.chunks) == (column == "key"), "a sound file says itself whose it is"
    cache.close()
    again = open_cache(directory, warnings)
    assert only_chunk(again.load(OTHER)) == b"other"
    again.drop(KEY)
    again.clear()
    assert not marker.exists()


def test_no_method_by_which_diskcache_reads_or_writes_values_works(tmp_path: Path, marker: Path) -> None:
    disk = BytesDisk(str(tmp_path))
    disk.chunk_directory.mkdir()
    for value in (b"value", "text", 1, 1.5, None, bytearray(b"x"), Evil(marker)):
        with pytest.raises(TypeError):
            disk.store(value, read=False, key="k")
    with (tmp_path / "file").open("wb+") as file, pytest.raises(TypeError):
        disk.store(file, read=True, key="k")
    for key in ("k", b"k", 1, 1.5, None, ("k",)):
        with pytest.raises(TypeError):
            disk.put(key)
        with pytest.raises(TypeError):
            disk.store(b"value", read=False, key=key)
    with pytest.raises(TypeError):
        disk.get(pickle.dumps(Evil(marker)), raw=False)
    assert list(disk.chunk_directory.iterdir()) == []

    filename = new_value_name()
    assert disk.write(filename, "k", b"value") == 4096
    chunk = disk.open_unchecked(FILE_OF_BYTES, filename).check()
    assert chunk.pread(0, 9) == b"value"
    chunk.close()
    (tmp_path / "chunks" / filename).write_bytes(pickle.dumps(Evil(marker)))
    for mode in (1, 2, 3, 4):
        with pytest.raises(TypeError):
            disk.fetch(mode, filename, None, read=False)
        with pytest.raises(TypeError):
            disk.fetch(mode, None, pickle.dumps(Evil(marker)), read=False)
        with pytest.raises(DamagedValueError if mode == FILE_OF_BYTES else TypeError):
            disk.open_unchecked(mode, filename)
    assert not marker.exists()


@pytest.mark.parametrize("name", ["../../precious", "/etc/passwd", "../precious", None, 7, b"x", "precious"])
def test_a_doctored_file_name_leads_nowhere(
    cache: ContentCache, directory: Path, tmp_path: Path, name: object
) -> None:
    precious = [tmp_path / "precious", directory / "precious", directory / "chunks" / "precious"]
    for path in precious:
        path.write_text("mine")
    put(cache, KEY, b"abc")
    doctor(directory, "UPDATE Cache SET filename = ? WHERE key = ?", name, f"{KEY}#0")
    stored = cache.load(KEY)
    assert stored is not None
    assert stored.chunks == {}
    doctor(directory, "UPDATE Cache SET filename = ?", name)
    cache.drop(KEY)
    cache.clear()
    assert [path.read_text() for path in precious] == ["mine"] * 3


def test_rows_without_a_content_are_evicted_like_others(directory: Path, warnings: list[str]) -> None:
    cache = ContentCache.open(directory, size_limit_bytes=1 << 20, free_floor_bytes=0, warn=warnings.append)
    put(cache, KEY, bytes(500_000))
    doctor(directory, "UPDATE Cache SET tag = NULL, access_time = NULL")
    put(cache, OTHER, bytes(500_000))
    assert cache.stats().contents == 1
    assert warnings == []


# The database.


def garbage(path: Path) -> None:
    path.write_bytes(os.urandom(20_000))


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def removed(path: Path) -> None:
    path.unlink()


def foreign(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("CREATE TABLE Cache (mine TEXT); PRAGMA user_version = 1")


def newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")


def other_columns(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("ALTER TABLE Cache RENAME COLUMN mode TO kind")


def odd_settings(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO Settings VALUES ('disk_surprise', 1)")


@pytest.mark.parametrize("harm", [garbage, truncated, removed, foreign, newer, other_columns, odd_settings])
def test_an_unusable_database_is_rebuilt_with_all_contents(
    directory: Path, warnings: list[str], harm: Callable[[Path], None]
) -> None:
    cache = open_cache(directory, warnings)
    for number in range(30):
        put(cache, AttachmentKey("1", 2, number, 1), bytes([number]) * 100)
    cache.close()
    database = directory / "cache.db"
    assert not database.with_name("cache.db-wal").exists()
    harm(database)
    harmed = database.read_bytes() if database.exists() else None
    again = open_cache(directory, warnings)
    for number in range(30):
        assert only_chunk(again.load(AttachmentKey("1", 2, number, 1))) == bytes([number]) * 100
    aside = directory / "cache.db.damaged"
    if harmed is None:
        assert warnings == []
    else:
        assert len(warnings) == 1
        assert str(database) in warnings[0]
        assert "a new one from 60 chunks" in warnings[0]
        assert aside.stat().st_size == len(harmed)
    assert again.stats().size_bytes >= 60 * 4096
    again.close()
    open_cache(directory, warnings).close()
    assert len(warnings) == (harmed is not None)


def test_databases_moved_aside_do_not_replace_each_other(directory: Path, warnings: list[str]) -> None:
    for text in ("first", "second"):
        open_cache(directory, warnings).close()
        (directory / "cache.db").write_text(text * 100)
        open_cache(directory, warnings).close()
    assert (directory / "cache.db.damaged").read_text() == "first" * 100
    assert (directory / "cache.db.damaged2").read_text() == "second" * 100


def in_new_thread(work: Callable[[], object]) -> None:
    """Runs `work` with a database connection of its own."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(work).result()


def test_a_database_damaged_in_use_is_rebuilt_in_use(directory: Path, warnings: list[str]) -> None:
    cache = open_cache(directory, warnings)
    for number in range(100):
        put(cache, AttachmentKey("1", 2, number, 1), bytes([number]))
    cache.close()
    cache = open_cache(directory, warnings)
    with (directory / "cache.db").open("rb+") as file:
        file.seek(4096)
        file.write(os.urandom(directory.joinpath("cache.db").stat().st_size - 4096))

    def work() -> None:
        for number in range(100):
            assert only_chunk(cache.load(AttachmentKey("1", 2, number, 1))) == bytes([number])
        put(cache, KEY, b"new")

    in_new_thread(work)
    assert len(warnings) == 1
    assert "a new one from 200 chunks" in warnings[0]


def test_a_directory_removed_in_use_comes_back(cache: ContentCache, directory: Path) -> None:
    put(cache, KEY, b"abc")
    shutil.rmtree(directory)
    assert cache.load(KEY) is None
    put(cache, KEY, b"abc")
    in_new_thread(lambda: only_chunk(cache.load(KEY)))


def test_mending_is_not_tried_again_and_again(
    cache: ContentCache, directory: Path, monkeypatch: pytest.MonkeyPatch, warnings: list[str]
) -> None:
    attempts: list[Path] = []

    def fail(path: Path, *_args: object, **_options: object) -> None:
        attempts.append(path)
        raise StoreError("no")

    monkeypatch.setattr(mended_module, "open_table", fail)
    shutil.rmtree(directory / "chunks")
    assert [cache.put_chunk(KEY, 0, b"x") for _ in range(5)] == [None] * 5
    assert attempts == [directory]
    assert len(warnings) == 1


# Leftovers of a crash.


def test_a_file_whose_row_was_never_committed_is_taken_in(directory: Path, warnings: list[str]) -> None:
    cache = open_cache(directory, warnings)
    put(cache, KEY, b"abc")
    before = cache.stats()
    cache.close()
    doctor(directory, "DELETE FROM Cache")
    again = open_cache(directory, warnings)
    assert only_chunk(again.load(KEY)) == b"abc"
    assert again.stats().size_bytes - before.size_bytes in range(-65536, 65536)


def test_leftover_files_are_removed_and_strangers_are_not(directory: Path, warnings: list[str]) -> None:
    cache = open_cache(directory, warnings)
    put(cache, KEY, b"abc")
    cache.close()
    chunks = directory / "chunks"
    whole = value_file(directory, f"{KEY}#0").read_bytes()
    (chunks / f"{'0' * 32}.val").write_bytes(whole)
    (chunks / f"{'1' * 32}.val").write_bytes(whole[:-1])
    (chunks / f"{'2' * 32}.val").write_bytes(b"")
    (chunks / "stranger.val").write_bytes(b"not ours")
    again = open_cache(directory, warnings)
    rows, files = rows_and_files(directory)
    assert files - rows == {"stranger.val"}
    assert only_chunk(again.load(KEY)) == b"abc"


def test_rows_without_files_are_removed_and_no_longer_count(directory: Path, warnings: list[str]) -> None:
    cache = open_cache(directory, warnings)
    put(cache, KEY, bytes(500_000))
    cache.close()
    for path in (directory / "chunks").iterdir():
        path.unlink()
    again = open_cache(directory, warnings)
    assert again.stats().contents == 0
    assert again.stats().size_bytes < 400_000


def test_a_wrong_sum_of_sizes_is_put_right(directory: Path, warnings: list[str]) -> None:
    cache = open_cache(directory, warnings)
    put(cache, KEY, bytes(500_000))
    expected = cache.stats().size_bytes
    cache.close()
    doctor(directory, "UPDATE Settings SET value = -1 WHERE key = 'size'")
    assert open_cache(directory, warnings).stats().size_bytes in range(expected - 65536, expected + 65536)


# Disks that cannot be written.


def test_a_full_disk_is_told_once_leaves_nothing_behind_and_ends(
    cache: ContentCache, directory: Path, monkeypatch: pytest.MonkeyPatch, warnings: list[str]
) -> None:
    put(cache, OTHER, b"here before")
    files = rows_and_files(directory)
    real_write = os.write

    def full(fd: int, data: memoryview) -> int:
        if len(data) < 1000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real_write(fd, data[:600])

    with monkeypatch.context() as disk:
        disk.setattr("rcfs.store._value.os.write", full)
        assert [cache.put_chunk(KEY, 0, bytes(5000)) for _ in range(3)] == [None] * 3
        assert not cache.put_info(KEY, ContentInfo(5000))
    assert rows_and_files(directory) == files
    assert len(warnings) == 1
    assert "No space left on device" in warnings[0]
    assert only_chunk(cache.load(OTHER)) == b"here before"
    put(cache, KEY, bytes(5000))


def test_a_database_that_cannot_grow_leaves_no_file_behind(
    cache: ContentCache, directory: Path, warnings: list[str]
) -> None:
    connection = cache._table.present._con
    ((pages,),) = connection.execute("PRAGMA page_count")
    connection.execute(f"PRAGMA max_page_count = {pages}")
    stored = 0
    # A row takes about 0.5 KiB, so the few free bytes of the pages are soon used up.
    while cache.put_chunk(AttachmentKey("1", 2, stored, 1), 0, b"x") is not None:
        stored += 1
        assert stored < 1000
    assert len(warnings) == 1
    rows, files = rows_and_files(directory)
    assert rows == files
    assert len(rows) == stored
    connection.execute("PRAGMA max_page_count = 100000")
    put(cache, KEY, b"abc")


def test_a_locked_database_stops_writing_for_a_while_and_no_reading(
    directory: Path, monkeypatch: pytest.MonkeyPatch, warnings: list[str]
) -> None:
    monkeypatch.setattr(table_module, "LOCK_WAIT_S", 0.05)
    now_s = 100.0
    cache = ContentCache.open(directory, free_floor_bytes=0, warn=warnings.append, clock=lambda: now_s)
    put(cache, KEY, b"abc")
    with closing(sqlite3.connect(directory / "cache.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert cache.put_chunk(OTHER, 0, b"x") is None
        assert only_chunk(cache.load(KEY)) == b"abc"
        assert cache.contains(KEY) == "yes"
    assert len(warnings) == 1
    assert "locked" in warnings[0]
    assert rows_and_files(directory)[1] == rows_and_files(directory)[0]
    assert cache.put_chunk(OTHER, 0, b"x") is None
    now_s += 11
    put(cache, OTHER, b"x")
    assert len(warnings) == 1


def refuse(path: Path) -> None:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))


def test_a_read_only_directory_is_read_and_not_touched(
    directory: Path, warnings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = open_cache(directory, warnings)
    put(cache, KEY, b"abc")
    cache.close()
    (directory / "chunks" / f"{'0' * 32}.val").write_bytes(b"a leftover")
    listing = sorted((path, path.stat().st_mtime_ns) for path in directory.rglob("*"))
    monkeypatch.setattr(database_module, "make_private_file", refuse)
    reader = open_cache(directory, warnings)
    assert len(warnings) == 1
    assert "Read-only file system" in warnings[0]
    assert str(directory) in warnings[0]
    assert reader.contains(KEY) == "yes"
    assert only_chunk(reader.load(KEY)) == b"abc"
    assert reader.load(OTHER) is None
    assert reader.put_chunk(OTHER, 0, b"x") is None
    assert not reader.put_info(OTHER, ContentInfo(1))
    assert reader.stats().contents == 1
    scratch = Path(reader._table.present.directory)
    assert scratch.is_dir()
    reader.close()
    assert not scratch.exists()
    assert sorted((path, path.stat().st_mtime_ns) for path in directory.rglob("*")) == listing
    assert len(warnings) == 1


def test_an_unwritable_directory_with_nothing_to_read_is_an_error(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening_module, "make_private_directory", refuse)
    with pytest.raises(StoreError, match="Read-only file system") as caught:
        ContentCache.open(directory, warn=pytest.fail)
    assert str(directory) in str(caught.value)


LONG = b"".join(bytes([index]) * CHUNK_BYTES for index in range(6))


def put_long(cache: ContentCache) -> None:
    for index in range(6):
        assert cache.put_chunk(KEY, index, LONG[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES]) is not None
    assert cache.put_info(KEY, ContentInfo(len(LONG)))


def test_a_damaged_chunk_of_a_long_content_is_found_when_it_is_checked(
    cache: ContentCache, directory: Path, warnings: list[str]
) -> None:
    put_long(cache)
    path = value_file(directory, f"{KEY}#3")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    stored = cache.load(KEY)
    assert stored is not None
    assert stored.complete
    assert not stored.chunks
    assert warnings == []
    sound = cache.check(KEY, 2, stored.unchecked[2])
    assert sound is not None
    assert sound.pread(0, CHUNK_BYTES) == LONG[2 * CHUNK_BYTES : 3 * CHUNK_BYTES]
    assert cache.check(KEY, 3, stored.unchecked[3]) is None
    assert len(warnings) == 1
    stored.close()
    sound.close()
    assert not path.exists()
    assert cache.contains(KEY) == "partial"


def test_a_chunk_that_was_replaced_since_it_was_opened_is_left(cache: ContentCache, directory: Path) -> None:
    put_long(cache)
    stored = cache.load(KEY)
    assert stored is not None
    path = value_file(directory, f"{KEY}#3")
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    assert cache.put_chunk(KEY, 3, LONG[3 * CHUNK_BYTES : 4 * CHUNK_BYTES]) is not None
    assert cache.check(KEY, 3, stored.unchecked[3]) is None
    assert cache.contains(KEY) == "yes"
    stored.close()


def test_a_header_or_length_that_is_wrong_is_found_at_once(
    cache: ContentCache, directory: Path, warnings: list[str]
) -> None:
    put_long(cache)
    value_file(directory, f"{KEY}#1").write_bytes(b"nothing")
    os.truncate(value_file(directory, f"{KEY}#4"), 600)
    stored = cache.load(KEY)
    assert stored is not None
    assert {*stored.chunks, *stored.unchecked} == {0, 2, 3, 5}
    assert "in the cache: 2; rcfs fetches them again" in warnings[0]
    stored.close()
