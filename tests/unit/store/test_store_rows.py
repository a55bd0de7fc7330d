"""A disk changes bytes within the small databases: rows are as they were written, or gone and told."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from rcfs.model import AttachmentKey, ContentKey
from rcfs.store import FetchHistory, FetchRecord, Refusal, SizeIndex
from rcfs.store._archive import PurgedArchive

ROWS = 150
ROUNDS = 25
Warn = Callable[[str], None]


def key(number: int) -> ContentKey:
    return AttachmentKey("400131", 62, 1000 + number, 1)


def raw(number: int) -> str:
    return f'{{"id": {number}, "subject": "{"Zoë " * ((number % 7 and 40) or 500)}"}}'


def fill_sizes(path: Path) -> None:
    sizes = SizeIndex.open(path, pytest.fail)
    for number in range(ROWS):
        sizes.record(key(number), number * 1000)
    sizes.close()


def read_sizes(path: Path, warn: Warn) -> dict[int, object]:
    sizes = SizeIndex.open(path, warn)
    found = {number: sizes.size(key(number)) for number in range(ROWS)}
    assert sizes.total("400131")[0] == sum(size or 0 for size in found.values())
    sizes.close()
    return {number: size for number, size in found.items() if size is not None}


def fill_archive(path: Path) -> None:
    archive = PurgedArchive(path, pytest.fail)
    archive.keep_purged(keep=True)
    archive.keep("400131", 62, {number: raw(number) for number in range(ROWS)})


def read_archive(path: Path, warn: Warn) -> dict[int, object]:
    archive = PurgedArchive(path, warn)
    assert archive.keeps_purged()
    return dict(archive.records("400131", 62))


def fill_history(path: Path) -> None:
    history = FetchHistory.open(path, pytest.fail)
    for number in range(ROWS):
        history.add(FetchRecord(key(number), float(number), "cp", "bulk", 1, number))
        history.refuse(Refusal(key(number), number + 0.5, "tracker"))
    history.close()


def read_history(path: Path, warn: Warn) -> dict[int, object]:
    history = FetchHistory.open(path, warn)
    fetches, refusals = history.fetches(map(key, range(ROWS))), history.refusals(map(key, range(ROWS)))
    history.close()
    told: dict[int, object] = {2 * n: fetches[key(n)][0] for n in range(ROWS) if key(n) in fetches}
    return told | {2 * n + 1: refusals[key(n)] for n in range(ROWS) if key(n) in refusals}


KINDS = {
    "sizes": (fill_sizes, read_sizes),
    "archive": (fill_archive, read_archive),
    "history": (fill_history, read_history),
}


def flip_bits(data: bytearray, random: Random) -> None:
    for _ in range(random.choice((1, 1, 8))):
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def scatter_bytes(data: bytearray, random: Random) -> None:
    for _ in range(64):
        data[random.randrange(len(data))] = random.randrange(256)


def spoil_page(data: bytearray, random: Random) -> None:
    start = random.randrange(len(data) // 4096) * 4096
    data[start : start + 4096] = random.randbytes(4096)


@pytest.mark.parametrize(("harm", "share"), [(flip_bits, 0.8), (scatter_bytes, 0.5), (spoil_page, 0.6)])
@pytest.mark.parametrize("kind", KINDS)
def test_no_row_is_wrong_and_good_ones_are_saved(
    tmp_path: Path, kind: str, harm: Callable[[bytearray, Random], None], share: float
) -> None:
    fill, read = KINDS[kind]
    path = tmp_path / "state" / "it.sqlite"
    fill(path)
    truth = read(path, pytest.fail)
    sound = path.read_bytes()
    random, kept, told_of_loss = Random(f"{kind} {harm.__name__}"), 0, 0
    for _round in range(ROUNDS):
        shutil.rmtree(path.parent)
        path.parent.mkdir()
        data = bytearray(sound)
        harm(data, random)
        path.write_bytes(data)
        told: list[str] = []
        found = read(path, told.append)
        assert found.items() <= truth.items()
        assert told or found == truth, "nothing is lost without a word"
        kept += len(found)
        told_of_loss += len(found) < len(truth)
    assert told_of_loss, "the harm is such that it matters"
    assert kept > ROUNDS * len(truth) * share


@pytest.mark.parametrize("kind", KINDS)
def test_rows_that_are_only_in_the_log_are_saved_too(tmp_path: Path, kind: str) -> None:
    fill, read = KINDS[kind]
    path, killed = tmp_path / "it.sqlite", tmp_path / "killed" / "it.sqlite"
    killed.parent.mkdir()
    with closing(sqlite3.connect(path)) as holds_the_log:
        holds_the_log.execute("PRAGMA journal_mode = WAL")
        holds_the_log.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
        fill(path)
        for file in path.parent.glob("it.sqlite*"):
            shutil.copy(file, killed.parent)
    data = bytearray(killed.read_bytes())
    data[:100] = bytes(100)
    killed.write_bytes(data)
    told: list[str] = []
    assert read(killed, told.append) == read(path, pytest.fail)


@pytest.mark.parametrize("kind", KINDS)
def test_a_database_without_checksums_gets_them_with_nothing_lost(tmp_path: Path, kind: str) -> None:
    fill, read = KINDS[kind]
    path = tmp_path / "it.sqlite"
    fill(path)
    truth = read(path, pytest.fail)
    with closing(sqlite3.connect(path)) as other, other:
        for (table,) in other.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            other.execute(f"ALTER TABLE {table} DROP COLUMN crc")
        other.execute("PRAGMA user_version = 1")
    assert read(path, pytest.fail) == truth
    assert read(path, pytest.fail) == truth


def test_a_size_that_changes_while_mounted_is_not_believed_and_learned_again(tmp_path: Path) -> None:
    path, told = tmp_path / "sizes.sqlite", list[str]()
    sizes = SizeIndex.open(path, told.append)
    sizes.record(key(1), 5000)
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE sizes SET size_bytes = 4")
    assert [sizes.size(key(1)) for _again in range(3)] == [None] * 3
    assert len(told) == 1
    assert str(key(1)) in told[0]
    sizes.record(key(1), 5000)
    assert sizes.size(key(1)) == 5000
    sizes.close()


def test_what_was_erased_is_not_salvaged(tmp_path: Path) -> None:
    path = tmp_path / "archive.sqlite"
    archive = PurgedArchive(path, lambda _line: None)
    archive.keep("1", 2, {number: raw(number) for number in range(50)})
    archive.keep("400131", 62, {7: raw(7)})
    archive.forget_account("1")
    data = bytearray(path.read_bytes())
    data[:16] = bytes(16)
    path.write_bytes(data)
    assert archive.records("400131", 62) == {7: raw(7)}
    assert archive.count() == 1
