"""Whether the cache lacks a content, asked in the event loop: at once, and never wrongly."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from rcfs.model import AttachmentKey
from rcfs.store import ContentCache, ContentInfo

KEY, OTHER = AttachmentKey("400131", 62, 1001, 1), AttachmentKey("400131", 62, 1002, 1)


def opened(directory: Path) -> ContentCache:
    return ContentCache.open(directory, free_floor_bytes=0, warn=pytest.fail)


def test_only_a_content_without_any_value_is_lacking(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    assert cache.lacks(KEY)
    assert cache.put_info(KEY, ContentInfo(5))
    assert not cache.lacks(KEY)
    assert cache.lacks(OTHER)
    assert cache.stats().misses == 2
    cache.close()


def test_what_another_process_stores_is_seen(tmp_path: Path) -> None:
    cache, other = opened(tmp_path), opened(tmp_path)
    assert cache.lacks(KEY)
    assert other.put_chunk(KEY, 0, b"x", ContentInfo(1))
    assert not cache.lacks(KEY)
    for each in (cache, other):
        each.close()


def test_a_database_that_was_replaced_is_opened_again(tmp_path: Path) -> None:
    cache, other = opened(tmp_path / "here"), opened(tmp_path / "there")
    assert cache.lacks(KEY)
    assert other.put_chunk(KEY, 0, b"x", ContentInfo(1))
    other.close()
    for name in ("cache.db", "cache.db-wal", "cache.db-shm"):
        source, target = tmp_path / "there" / name, tmp_path / "here" / name
        target.unlink(missing_ok=True)
        if source.exists():
            source.rename(target)
    assert not cache.lacks(KEY)
    cache.close()


def test_a_database_that_cannot_answer_now_leaves_it_open(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    assert cache.lacks(KEY)
    cache.close()
    with closing(sqlite3.connect(tmp_path / "cache.db", isolation_level=None)) as alone:
        alone.execute("PRAGMA locking_mode = EXCLUSIVE")
        alone.execute("PRAGMA journal_mode = DELETE")
        alone.execute("BEGIN EXCLUSIVE")
        assert not cache.lacks(KEY)
    (tmp_path / "cache.db").unlink()
    assert not cache.lacks(KEY)


def test_uses_are_written_together_and_at_the_latest_at_the_end(tmp_path: Path) -> None:
    keys = [AttachmentKey("400131", 62, number, 1) for number in range(3)]
    cache = opened(tmp_path)
    for key in keys:
        assert cache.put_chunk(key, 0, b"x", ContentInfo(1))
    assert cache.use(OTHER) is False
    assert cache.use(keys[1]) is True
    assert cache.use(keys[0]) is True
    assert order(tmp_path) == [str(key) for key in keys], "nothing is written yet"
    cache.close()
    assert order(tmp_path) == [str(keys[index]) for index in (2, 1, 0)]


def test_after_many_uses_one_asks_for_a_thread_that_writes_them(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    keys = [AttachmentKey("400131", 62, number, 1) for number in range(60)]
    for key in keys:
        assert cache.put_chunk(key, 0, b"x", ContentInfo(1))
    answers = [cache.use(key) for key in reversed(keys)]
    assert answers.index(None) == 50
    assert cache.touch(keys[0])
    assert cache.use(keys[0]) is True
    assert order(tmp_path)[-2:] == [str(keys[10]), str(keys[0])]
    cache.close()


def order(directory: Path) -> list[str]:
    """The contents, the least recently used first."""
    with closing(sqlite3.connect(directory / "cache.db")) as connection:
        rows = connection.execute("SELECT tag FROM Cache ORDER BY access_time").fetchall()
    return [tag for (tag,) in rows]
