"""The learned sizes that lie under the name of an earlier version."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from rcfs.model import AttachmentKey
from rcfs.store import SizeIndex

KEYS = [AttachmentKey("1", 2, 3, number) for number in range(5)]


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Where the sizes are to lie, and where three of them do."""
    former = tmp_path / "index.sqlite"
    with closing(SizeIndex.open(former, pytest.fail)) as sizes:
        for number, key in enumerate(KEYS[:3]):
            sizes.record(key, 100 + number)
    return tmp_path / "sizes.sqlite", former


def open_both(files: tuple[Path, Path], warnings: list[str] | None = None) -> SizeIndex:
    path, former = files
    return SizeIndex.open(path, pytest.fail if warnings is None else warnings.append, former=former)


@pytest.fixture
def older_process(files: tuple[Path, Path]) -> Iterator[SizeIndex]:
    """A mount of the earlier version, which is up."""
    with closing(SizeIndex.open(files[1], pytest.fail)) as sizes:
        yield sizes


def test_they_are_taken_over_and_the_file_goes(files: tuple[Path, Path]) -> None:
    for _time in range(2):
        with closing(open_both(files)) as sizes:
            assert [sizes.size(key) for key in KEYS] == [100, 101, 102, None, None]
            assert [path.name for path in files[0].parent.glob("index*")] == []


def test_an_older_process_that_has_them_open_loses_nothing(
    files: tuple[Path, Path], older_process: SizeIndex
) -> None:
    with closing(open_both(files)) as sizes:
        assert sizes.size(KEYS[0]) == 100
        assert files[1].exists()
        sizes.record(KEYS[3], 103)
        older_process.record(KEYS[4], 104)
        assert older_process.size(KEYS[4]) == 104
    older_process.close()
    with closing(open_both(files)) as sizes:
        assert [sizes.size(key) for key in KEYS] == [100, 101, 102, 103, 104]
    assert not files[1].exists()


def test_several_processes_take_them_over_at_once(files: tuple[Path, Path]) -> None:
    with closing(open_both(files)) as first, closing(open_both(files)) as second:
        assert [sizes.size(KEYS[2]) for sizes in (first, second)] == [102, 102]


def test_a_kill_before_the_file_is_removed_loses_nothing(files: tuple[Path, Path]) -> None:
    path, former = files
    kept = former.read_bytes()
    open_both(files).close()
    former.write_bytes(kept)
    with closing(open_both(files)) as sizes:
        assert [sizes.size(key) for key in KEYS[:3]] == [100, 101, 102]
    assert path.exists()
    assert not former.exists()


def test_the_good_ones_of_a_damaged_file_are_taken_over(files: tuple[Path, Path]) -> None:
    with closing(sqlite3.connect(files[1])) as connection, connection:
        connection.execute("UPDATE sizes SET size_bytes = 7 WHERE content LIKE '%/1'")
    warnings: list[str] = []
    with closing(open_both(files, warnings)) as sizes:
        assert [sizes.size(key) for key in KEYS[:3]] == [100, None, 102]
    assert "index.sqlite.damaged" in warnings[0]


def test_where_nothing_can_be_written_they_are_read(files: tuple[Path, Path]) -> None:
    files[0].mkdir()
    warnings: list[str] = []
    with closing(open_both(files, warnings)) as sizes:
        assert [sizes.size(key) for key in KEYS[:3]] == [100, 101, 102]
    assert len(warnings) == 1


def test_an_account_is_forgotten_there_too(files: tuple[Path, Path], older_process: SizeIndex) -> None:
    with closing(open_both(files)) as sizes:
        sizes.forget_account("1")
        assert older_process.size(KEYS[0]) is None
    with closing(open_both(files)) as sizes:
        assert sizes.size(KEYS[0]) is None
