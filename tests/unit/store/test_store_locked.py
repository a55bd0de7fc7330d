"""Databases that another process has locked: nothing waits for it, and nothing is lost."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from rcfs.model import AttachmentKey, FolderNames, Place, ShelvedMessage
from rcfs.store import ContentCache, ContentInfo, FetchHistory, FetchRecord, MailboxIndex, SizeIndex
from rcfs.store._archive import PurgedArchive
from rcfs.store._database import Format, open_database

KEY = AttachmentKey("400131", 62, 1001, 1)
AT_ONCE_S = 1.9
"""Less than the shortest wait for a lock, and far more than what does not wait needs on a busy machine."""
AGAIN = 60
"""Number of calls that would take longer than that if each waited 0.05 s, as threads do."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def at_once() -> Iterator[None]:
    started_s = time.monotonic()
    yield
    assert time.monotonic() - started_s < AT_ONCE_S


def test_a_size_is_known_at_once_and_written_later(tmp_path: Path) -> None:
    path = tmp_path / "sizes.sqlite"
    sizes = SizeIndex.open(path, pytest.fail)
    other = AttachmentKey("400131", 62, 1002, 1)
    sizes.record(other, 5)
    with locked(path), at_once():
        for _again in range(AGAIN):
            sizes.record(KEY, 7)
        assert (sizes.size(KEY), sizes.size(other)) == (7, 5)
    sizes.close()
    again = SizeIndex.open(path, pytest.fail)
    assert (again.size(KEY), again.size(other)) == (7, 5)
    again.close()


def test_a_fetch_is_noted_later(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    history = FetchHistory.open(path, pytest.fail)
    with locked(path), at_once():
        for number in range(AGAIN):
            history.add(FetchRecord(KEY, float(number), "cp", "bulk", 1, 300))
        assert history.fetches([KEY]) == {}
    history.close()
    again = FetchHistory.open(path, pytest.fail)
    assert len(again.fetches([KEY])[KEY]) == AGAIN
    again.close()


def test_a_use_is_noted_later(tmp_path: Path) -> None:
    """So what was used while it was locked is not the first to go."""
    keys = [AttachmentKey("1", 2, number, 1) for number in range(3)]
    cache = ContentCache.open(tmp_path, free_floor_bytes=0, warn=pytest.fail)
    for key in keys:
        assert cache.put_chunk(key, 0, b"x", ContentInfo(1))
    with locked(tmp_path / "cache.db"), at_once():
        stored = cache.load(keys[0])
        assert stored is not None
        stored.close()
        assert cache.touch(keys[0])
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(cache.touch, keys[2]).result()
    with cache._table.present.session():
        assert cache._table.present.coldest_content(besides=()) == (str(keys[1]),)
    cache.close()


def name(place: Place, _parties: object, _owners: object) -> FolderNames:
    return FolderNames(place.key, place.key, place.key)


OPENERS: dict[str, Callable[[Path], object]] = {
    "sizes.sqlite": lambda path: SizeIndex.open(path, pytest.fail),
    "history.sqlite": lambda path: FetchHistory.open(path, pytest.fail),
    "mailboxes.sqlite": lambda path: MailboxIndex.open(path, pytest.fail),
    "archive.sqlite": lambda path: PurgedArchive(path, pytest.fail),
    "cache.db": lambda path: ContentCache.open(path.parent, free_floor_bytes=0, warn=pytest.fail),
}


def test_a_lock_for_which_sqlite_does_not_wait_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "new.sqlite"
    tries: list[sqlite3.Connection] = []
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        def impatient() -> sqlite3.Connection:
            connection = sqlite3.connect(path, timeout=0, isolation_level=None)
            tries.append(connection)
            try:
                connection.execute("PRAGMA journal_mode = WAL")
            finally:
                if other.in_transaction:
                    other.execute("ROLLBACK")
            return connection

        opened, damage = open_database(path, Format(1, 1), impatient, thorough=False)
    assert (len(tries), opened, damage) == (2, tries[1], None)
    for each in tries:
        each.close()


@pytest.mark.parametrize("file", OPENERS)
def test_what_is_there_is_opened_and_asked_at_once(tmp_path: Path, file: str) -> None:
    path = tmp_path / file
    first = OPENERS[file](path)
    if isinstance(first, PurgedArchive):
        first.keep_purged(keep=True)
        first.keep("1", 101, {7: "{}"})
    else:
        first.close()  # type: ignore[attr-defined]
    with locked(path), at_once():
        again = OPENERS[file](path)
        if isinstance(again, PurgedArchive):
            assert again.records("1", 101) == {7: "{}"}
            assert again.keeps_purged()
        elif isinstance(again, ContentCache):
            assert not again._table.present.read_only
            assert again.stats().contents == 0
    if not isinstance(again, PurgedArchive):
        again.close()  # type: ignore[attr-defined]


def test_every_question_to_the_index_is_answered_at_once(tmp_path: Path) -> None:
    path = tmp_path / "mailboxes.sqlite"
    index = MailboxIndex.open(path, pytest.fail)
    mailbox, listing = index.writer.begin("1", 101)
    message = ShelvedMessage(
        id=7, name="m", created_s=1.0, modified_s=1.0, home=Place("SMS", "a"), links=(), raw="{}"
    )
    index.writer.put(mailbox, [message], name, listing=listing)
    index.writer.synced(mailbox, "token", 1.0)
    with locked(path), at_once():
        assert index.reader.counts("1") == {101: 1}
        assert index.reader.unseen(mailbox, listing) == []
        assert list(index.reader.records(mailbox, "SMS", "a")) == ["{}"]
        assert index.reader.records_between(mailbox, "SMS") == ["{}"]
        assert index.reader.known(mailbox, [7, 8]) == {7: "{}"}
        assert index.reader.record(mailbox, 7) == "{}"
    index.close()


def test_a_writer_of_this_process_holds_no_question_up(tmp_path: Path) -> None:
    index = MailboxIndex.open(tmp_path / "mailboxes.sqlite", pytest.fail)
    begun, asked = threading.Event(), threading.Event()

    def write() -> None:
        with index._database.transaction():
            begun.set()
            asked.wait()

    writer = threading.Thread(target=write)
    writer.start()
    begun.wait()
    with at_once():
        assert index.reader.counts("1") == {}
        assert index.reader.known(1, [7]) == {}
    asked.set()
    writer.join()
    index.close()
