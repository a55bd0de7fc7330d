"""The index of learned sizes."""

import itertools
import os
import sqlite3
import stat
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from rcfs.model import AttachmentKey
from rcfs.store import SizeIndex

KEY = AttachmentKey("400131", 62, 1001, 1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "sizes.db"


def test_sizes_are_kept_for_ever_per_mailbox(path: Path) -> None:
    index = SizeIndex.open(path, pytest.fail)
    neighbours = [
        AttachmentKey("400131", 620, 1, 1),
        AttachmentKey("400131", 6, 2, 1),
        AttachmentKey("40013", 162, 3, 1),
    ]
    for size, key in enumerate([KEY, AttachmentKey("400131", 62, 1001, 2), *neighbours]):
        index.record(key, size)
    index.record(KEY, 7)
    index.record(KEY, 7)
    index.close()
    again = SizeIndex.open(path, pytest.fail)
    assert again.size(KEY) == 7
    assert again.size(AttachmentKey("400131", 62, 1001, 2)) == 1
    assert [again.size(key) for key in neighbours] == [2, 3, 4]
    assert again.size(AttachmentKey("1", 1, 1001, 1)) is None
    again.close()


def test_ids_and_sizes_beyond_32_bits(path: Path) -> None:
    index = SizeIndex.open(path, pytest.fail)
    key = AttachmentKey("9" * 30, 2**53 + 1, 2**64 + 1, 2**70)
    index.record(key, 2**40)
    assert index.size(key) == 2**40


def garbage(path: Path) -> None:
    path.write_bytes(os.urandom(10_000))


def damaged_within(path: Path) -> None:
    with path.open("rb+") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096)


def foreign(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("CREATE TABLE sizes (mine TEXT); PRAGMA user_version = 1")


def newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 3")


@pytest.mark.parametrize("harm", [garbage, damaged_within, foreign, newer])
def test_an_unusable_index_is_moved_aside_and_begun_anew(path: Path, harm: Callable[[Path], None]) -> None:
    warnings: list[str] = []
    index = SizeIndex.open(path, warnings.append)
    for message_id in range(300):
        index.record(AttachmentKey("1", 2, message_id, 1), 5)
    index.close()
    harm(path)
    harmed = path.read_bytes()
    again = SizeIndex.open(path, warnings.append)
    found = {again.size(AttachmentKey("1", 2, message_id, 1)) for message_id in range(300)}
    # The good rows of a damaged or newer database are copied.
    assert found == ({None} if harm in (garbage, foreign) else {None, 5} if harm is damaged_within else {5})
    again.record(KEY, 3)
    again.close()
    assert len(warnings) == 1
    assert str(path) in warnings[0]
    assert path.with_name("sizes.db.damaged").read_bytes() == harmed
    third = SizeIndex.open(path, warnings.append)
    assert third.size(KEY) == 3
    assert len(warnings) == 1


def test_an_index_that_cannot_be_written_is_kept_in_memory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    warnings: list[str] = []
    index = SizeIndex.open(tmp_path / "file" / "sizes.db", warnings.append)
    index.record(KEY, 3)
    assert index.size(KEY) == 3
    assert len(warnings) == 1
    assert "Not a directory" in warnings[0]
    assert (tmp_path / "file").read_text() == "precious"


def test_a_failing_database_is_told_once_and_never_raised(path: Path) -> None:
    warnings: list[str] = []
    index = SizeIndex.open(path, warnings.append)
    with closing(sqlite3.connect(path)) as other:
        other.execute("DROP TABLE sizes")
    index.record(KEY, 3)
    index.record(KEY, 3)
    assert index.size(KEY) is None
    assert len(warnings) == 1


def test_two_indexes_and_many_threads_on_one_file(path: Path) -> None:
    indexes = [SizeIndex.open(path, pytest.fail) for _ in range(2)]

    def work(number: int) -> None:
        for message_id in range(30):
            indexes[number % 2].record(AttachmentKey("1", 2, message_id, number), message_id)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index in indexes:
        for number, message_id in itertools.product(range(4), range(30)):
            assert index.size(AttachmentKey("1", 2, message_id, number)) == message_id
        index.close()


@pytest.mark.parametrize("umask", [0o000, 0o777])
def test_nobody_else_may_open_it_whatever_the_umask(path: Path, umask: int) -> None:
    previous = os.umask(umask)
    try:
        index = SizeIndex.open(path, pytest.fail)
        index.record(KEY, 1)
    finally:
        os.umask(previous)
    assert {each.name for each in path.parent.iterdir()} >= {"sizes.db", "sizes.db-wal"}
    for each in path.parent.iterdir():
        assert stat.S_IMODE(each.stat().st_mode) == 0o600, each
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
