"""Random harm to database, log and value files: no wrong byte, no exception, and all of it mends itself."""

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from rcfs.store import ContentCache, SizeIndex
from tests.fakes.integrity import LONG, disk_usage, key, known_sizes, put, small_chunks, whole

LIMIT = 4 << 20
PUT = range(40)
ROUNDS = 2000 if LONG else 20
DATABASE = ("cache.db", "cache.db-wal", "cache.db-shm")


@pytest.fixture(autouse=True)
def _small_chunks() -> Iterator[None]:
    with small_chunks():
        yield


def open_cache(directory: Path, warn: Callable[[str], None]) -> ContentCache:
    return ContentCache.open(directory, size_limit_bytes=LIMIT, free_floor_bytes=0, warn=warn)


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """A cache as a killed process left it: with all contents, and with a log that was not folded in."""
    before, directory = tmp_path / "before", tmp_path / "killed"
    cache = open_cache(before, pytest.fail)
    for number in PUT:
        assert put(cache, number)
    shutil.copytree(before, directory)
    cache.close()
    assert (directory / "cache.db-wal").stat().st_size > 4096
    return directory


def flip(path: Path, random: Random) -> None:
    data = bytearray(path.read_bytes())
    for _ in range(random.choice((1, 1, 10, 100))):
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    path.write_bytes(data)


def zero(path: Path, random: Random) -> None:
    with path.open("rb+") as file:
        file.seek(random.randrange(-(-path.stat().st_size // 4096)) * 4096)
        file.write(bytes(4096))


def scramble(path: Path, random: Random) -> None:
    with path.open("rb+") as file:
        file.seek(random.randrange(-(-path.stat().st_size // 4096)) * 4096)
        file.write(random.randbytes(4096))


def cut(path: Path, random: Random) -> None:
    os.truncate(path, random.randrange(path.stat().st_size))


def lose(path: Path, random: Random) -> None:
    path.unlink()


HARMS = (flip, zero, scramble, cut, lose)


def goes_on(cache: ContentCache, directory: Path, told: list[str]) -> None:
    """The harm is over: what is put is there, within the cap."""
    cache._table._recover_from_s = 0.0  # A minute later: until then mending is not tried again.
    cache.stats()
    for number in range(1000, 1004):
        assert put(cache, number), told
    assert whole(cache, range(1000, 1004)) == set(range(1000, 1004))
    assert disk_usage(directory) <= LIMIT
    for number in PUT:
        assert put(cache, number), told
    assert whole(cache, PUT) == set(PUT), told


@pytest.mark.parametrize("harm", HARMS)
def test_whatever_happens_to_the_files_no_byte_is_wrong_and_the_cache_goes_on(
    killed: Path, tmp_path: Path, harm: Callable[[Path, Random], None]
) -> None:
    random = Random(harm.__name__)
    directory = tmp_path / "harmed"
    for _round in range(ROUNDS // len(HARMS)):
        shutil.rmtree(directory, ignore_errors=True)
        shutil.copytree(killed, directory)
        values = sorted((directory / "chunks").iterdir())
        for path in random.sample([*[directory / name for name in DATABASE] * 8, *values], 4):
            if path.exists() and path.stat().st_size:
                harm(path, random)
        told: list[str] = []
        cache = open_cache(directory, told.append)
        for number in PUT:
            cache.contains(key(number))
        whole(cache, PUT)
        goes_on(cache, directory, told)
        cache.close()


@pytest.mark.parametrize("harm", [zero, scramble, cut, lose])
def test_harm_to_whole_pages_of_the_database_loses_no_content(
    killed: Path, tmp_path: Path, harm: Callable[[Path, Random], None]
) -> None:
    random = Random(harm.__name__)
    directory = tmp_path / "harmed"
    for _round in range(ROUNDS // 6):
        shutil.rmtree(directory, ignore_errors=True)
        shutil.copytree(killed, directory)
        for name in random.sample(DATABASE, random.randint(1, 3)):
            harm(directory / name, random)
        cache = open_cache(directory, lambda _line: None)
        assert whole(cache, PUT) == set(PUT)
        cache.close()


@pytest.mark.parametrize("statement", [
    "UPDATE Cache SET key = CAST(x'ff' AS TEXT) WHERE rowid = 5",
    "UPDATE Cache SET tag = CAST(x'ff' AS TEXT) WHERE rowid = 5",
    "UPDATE Cache SET filename = CAST(x'ff' AS TEXT) WHERE rowid = 5",
    "UPDATE Cache SET filename = x'ff', key = x'ff', tag = x'ff', mode = x'ff' WHERE rowid = 5",
    "UPDATE Cache SET size = 'many', access_time = 'never' WHERE rowid = 5",
    "UPDATE Cache SET size = NULL, access_time = NULL, raw = NULL WHERE rowid = 5",
    "UPDATE Settings SET value = 'many' WHERE key = 'size'",
    "UPDATE Settings SET value = NULL WHERE key = 'size'",
    "DELETE FROM Settings WHERE key = 'size'",
    "UPDATE Settings SET key = x'ff' WHERE key = 'sqlite_synchronous'",
    "UPDATE Settings SET value = x'ff' WHERE key = 'sqlite_synchronous'",
    "INSERT INTO Spare VALUES ('../../precious'), (x'ff'), (CAST(x'ff' AS TEXT)), (7)",
    "DROP TABLE Spare",
    "DROP TABLE Settings",
    "DROP TABLE Cache",
])  # fmt: skip
@pytest.mark.parametrize("when", ["before it is opened", "while it is open"])
def test_a_database_that_says_nonsense_costs_at_most_what_it_is_about(
    killed: Path, statement: str, when: str
) -> None:
    told: list[str] = []
    cache = None if when.startswith("before") else open_cache(killed, told.append)
    with closing(sqlite3.connect(killed / "cache.db")) as connection, connection:
        connection.execute(statement)
    if cache is None:
        cache = open_cache(killed, told.append)
    with ThreadPoolExecutor(1) as pool:  # Threads have connections of their own, and this one is new.
        assert len(pool.submit(whole, cache, PUT).result()) >= len(PUT) - 1
        pool.submit(goes_on, cache, killed, told).result()
    cache.close()


def test_an_index_that_lacks_rows_is_made_anew_when_it_is_found_out(killed: Path) -> None:
    told: list[str] = []
    open_cache(killed, told.append).close()
    with closing(sqlite3.connect(killed / "cache.db")) as connection, connection:
        # Made for no row, and then said to be for all.
        connection.execute("DROP INDEX Cache_expire_time")
        connection.execute("CREATE INDEX Cache_expire_time ON Cache (expire_time) WHERE rowid < 0")
        connection.execute("PRAGMA writable_schema = 1")
        for_all = "CREATE INDEX Cache_expire_time ON Cache (expire_time)"
        connection.execute("UPDATE sqlite_master SET sql = ? WHERE name = 'Cache_expire_time'", (for_all,))
    cache = open_cache(killed, told.append)
    cache.drop(key(PUT[0]))
    assert len(told) == 1
    assert whole(cache, PUT) == set(PUT[1:]), "found out, mended, and dropped"
    goes_on(cache, killed, told)
    cache.close()


def test_files_whose_rows_are_lost_are_not_given_up_because_an_index_still_has_them(killed: Path) -> None:
    told: list[str] = []
    open_cache(killed, told.append).close()
    named = "name = 'Cache_key_raw'"
    with closing(sqlite3.connect(killed / "cache.db")) as connection, connection:
        ((schema,),) = connection.execute(f"SELECT sql FROM sqlite_master WHERE {named}")
        connection.execute(schema.replace("Cache_key_raw", "Before"))
        ((page,),) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'Before'")
        connection.execute("PRAGMA writable_schema = 1")
        connection.execute("DELETE FROM sqlite_master WHERE name = 'Before'")
    with closing(sqlite3.connect(killed / "cache.db")) as connection, connection:
        connection.execute("DELETE FROM Cache WHERE rowid > 50")
        connection.execute("PRAGMA writable_schema = 1")
        connection.execute(f"UPDATE sqlite_master SET rootpage = ? WHERE {named}", (page,))
    cache = open_cache(killed, told.append)
    assert len(told) == 1
    assert whole(cache, PUT) == set(PUT)
    goes_on(cache, killed, told)
    cache.close()


def test_a_schema_that_is_no_text_is_damage(killed: Path) -> None:
    told: list[str] = []
    open_cache(killed, told.append).close()
    path = killed / "cache.db"
    schema = path.read_bytes()
    for text in (b"indexCache_expire_time", b"CREATE INDEX Cache_expire_time"):
        assert text in schema
        schema = schema.replace(text, text.replace(b"Cache", b"\xe8ache").replace(b"CREATE", b"CRXATE"))
    path.write_bytes(schema)
    cache = open_cache(killed, told.append)
    assert len(told) == 1
    assert whole(cache, PUT) == set(PUT)
    goes_on(cache, killed, told)
    cache.close()


def test_a_schema_that_only_calls_a_column_something_else_is_found_out_by_using_it(killed: Path) -> None:
    told: list[str] = []
    open_cache(killed, told.append).close()
    path = killed / "cache.db"
    schema = path.read_bytes()
    assert schema.count(b" value BLOB)") == 1
    path.write_bytes(schema.replace(b" value BLOB)", b" valve BLOB)"))
    cache = open_cache(killed, told.append)
    assert whole(cache, PUT) == set(PUT)
    goes_on(cache, killed, told)
    assert len(told) == 1
    cache.close()


def test_databases_moved_aside_count_for_the_cap(tmp_path: Path) -> None:
    warnings: list[str] = []
    for round_number in range(5):
        cache = open_cache(tmp_path, warnings.append)
        assert put(cache, round_number)
        cache.close()
        (tmp_path / "cache.db").write_bytes(os.urandom(500_000))
    cache = open_cache(tmp_path, warnings.append)
    assert len(warnings) == 5
    for number in range(100, 200):
        assert put(cache, number)
        assert disk_usage(tmp_path) <= LIMIT
    assert cache.stats().size_bytes == disk_usage(tmp_path)
    cache.close()


@pytest.mark.parametrize("harm", HARMS)
def test_whatever_happens_to_the_index_it_goes_on(
    tmp_path: Path, harm: Callable[[Path, Random], None]
) -> None:
    random = Random(harm.__name__)
    good, directory = tmp_path / "good", tmp_path / "harmed"
    index = SizeIndex.open(good / "sizes.sqlite", pytest.fail)
    for number in range(500):
        index.record(key(number), number)
    shutil.copytree(good, tmp_path / "killed")
    index.close()
    for _round in range(ROUNDS // len(HARMS)):
        shutil.rmtree(directory, ignore_errors=True)
        shutil.copytree(tmp_path / "killed", directory)
        harm(random.choice(sorted(directory.iterdir())), random)
        index = SizeIndex.open(directory / "sizes.sqlite", lambda _line: None)
        assert all(size >= 0 for size in known_sizes(index, map(key, range(500))).values())
        index.record(key(1000), 5)
        assert index.size(key(1000)) == 5
        index.close()


@pytest.mark.parametrize("statement", [
    "UPDATE sizes SET content = '400131/62/x' WHERE content LIKE '400131/62/7/%'",
    "UPDATE sizes SET content = '400131/62/7' WHERE content LIKE '400131/62/7/%'",
    "UPDATE sizes SET content = CAST(x'3430303133312f36322fff' AS TEXT) WHERE content LIKE '400131/62/7/%'",
    "UPDATE sizes SET size_bytes = 'many' WHERE content LIKE '400131/62/7/%'",
])  # fmt: skip
def test_a_row_that_is_none_costs_no_other(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "sizes.sqlite"
    index = SizeIndex.open(path, pytest.fail)
    for number in (6, 7, 8):
        index.record(key(number), number)
    index.close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA ignore_check_constraints = 1")
        connection.execute(statement)
    index = SizeIndex.open(path, lambda _line: None)
    assert known_sizes(index, map(key, (6, 7, 8))) == {key(6): 6, key(8): 8}
    index.close()


@pytest.mark.parametrize("statement", [
    "UPDATE Cache SET size = size + 4096 WHERE rowid % 5 = 0",
    "UPDATE Cache SET tag = '400131/62/999/1' WHERE rowid % 5 = 0",
    "UPDATE Cache SET key = replace(key, '/1#', '/2#') WHERE rowid % 5 = 0",
    "UPDATE Cache SET key = key || '7' WHERE key LIKE '%#0' AND rowid % 2",
    "UPDATE Cache SET access_time = 0.0 WHERE rowid % 5 = 0",
    "UPDATE Cache SET access_time = 'never', store_time = 1e300 WHERE rowid % 5 = 0",
])  # fmt: skip
def test_what_a_row_says_wrong_is_learned_from_its_file(killed: Path, statement: str) -> None:
    told: list[str] = []
    open_cache(killed, told.append).close()
    with closing(sqlite3.connect(killed / "cache.db")) as connection, connection:
        ((size,),) = connection.execute("SELECT value FROM Settings WHERE key = 'size'")
        connection.execute(statement)
        # A disk changes the row alone, without the triggers.
        connection.execute("UPDATE Settings SET value = ? WHERE key = 'size'", (size,))
    cache = open_cache(killed, told.append)
    assert whole(cache, PUT) == set(PUT), "its bytes are perfect"
    files = (killed / "chunks").iterdir()
    assert cache._table.present.value_bytes() == sum(-(-path.stat().st_size // 4096) * 4096 for path in files)
    with closing(sqlite3.connect(killed / "cache.db")) as connection:
        ((wrong,),) = connection.execute("SELECT COUNT(*) FROM Cache WHERE access_time < store_time")
        ((strange,),) = connection.execute("SELECT COUNT(*) FROM Cache WHERE tag LIKE '%/999/%'")
    assert (wrong, strange) == (0, 0)
    cache.close()
