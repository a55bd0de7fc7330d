"""The log of the cache's database: while others always read, SQLite does not empty it."""

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Event

import pytest

from rcfs.filenames import CacheFiles
from rcfs.model import AttachmentKey
from rcfs.store import ContentCache, ContentInfo

MOST_BYTES = 3 << 20
"""Much less than the log has after 600 writes if nothing empties it, with room for three tries that fail
because this machine is busy."""


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[ContentCache]:
    opened = ContentCache.open(tmp_path, free_floor_bytes=0, warn=pytest.fail)
    yield opened
    opened.close()


def reader(directory: Path) -> sqlite3.Connection:
    """A connection that reads the database as it is now, until it is closed."""
    connection = sqlite3.connect(CacheFiles(directory).database, isolation_level=None)
    connection.execute("BEGIN")
    connection.execute("SELECT COUNT(*) FROM Cache").fetchone()
    return connection


def put(cache: ContentCache, number: int) -> None:
    content = AttachmentKey("400131", 62, number, 1)
    assert cache.put_chunk(content, 0, b"text", ContentInfo(4, "text/plain")) is not None


def log_bytes(directory: Path) -> int:
    return Path(f"{CacheFiles(directory).database}-wal").stat().st_size


def read_always(directory: Path, is_over: Event) -> None:
    """Begins a read before the last one ends, so that there always is one, until `is_over`."""
    before = reader(directory)
    while not is_over.is_set():
        after = reader(directory)
        before.close()
        before = after
    before.close()


def test_a_write_empties_a_log_that_readers_have_let_grow(cache: ContentCache, tmp_path: Path) -> None:
    is_over = Event()
    with ThreadPoolExecutor() as pool:
        reading = pool.submit(read_always, tmp_path, is_over)
        try:
            sizes = []
            for number in range(600):
                put(cache, number)
                sizes.append(log_bytes(tmp_path))
        finally:
            is_over.set()
        reading.result()
    assert max(sizes) < MOST_BYTES


def test_a_reader_that_does_not_end_holds_up_no_write(cache: ContentCache, tmp_path: Path) -> None:
    with closing(reader(tmp_path)):
        for number in range(600):
            put(cache, number)
        assert log_bytes(tmp_path) > MOST_BYTES
