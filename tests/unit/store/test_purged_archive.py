"""The records of purged messages that are kept."""

from collections.abc import Callable
from pathlib import Path

import pytest

from rcfs.errors import StoreError
from rcfs.store._archive import PurgedArchive


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "archive.sqlite"


@pytest.fixture
def opened(path: Path) -> Callable[[], PurgedArchive]:
    return lambda: PurgedArchive(path, pytest.fail)


def test_it_keeps_the_latest_record_of_each_message(opened: Callable[[], PurgedArchive]) -> None:
    opened().keep("1", 101, {7: "{}", 8: "{}"})
    opened().keep("1", 101, {7: '{"subject":"Zoë"}'})
    opened().keep("1", 102, {9: "{}"})
    assert opened().records("1", 101) == {7: '{"subject":"Zoë"}', 8: "{}"}
    assert opened().records("2", 101) == {}


def test_nothing_is_made_before_there_is_something_to_keep(
    opened: Callable[[], PurgedArchive], path: Path
) -> None:
    assert not opened().keeps_purged()
    opened().keep_purged(keep=False)
    assert opened().records("1", 101) == {}
    assert not path.parent.exists()


def test_what_is_wanted_stays_wanted(opened: Callable[[], PurgedArchive]) -> None:
    for keep in (True, True, False, True):
        opened().keep_purged(keep=keep)
        assert opened().keeps_purged() is keep


def test_it_is_for_its_owner_alone(opened: Callable[[], PurgedArchive], path: Path) -> None:
    opened().keep("1", 101, {7: "{}"})
    assert [p.stat().st_mode & 0o777 for p in (path.parent, path)] == [0o700, 0o600]


def test_a_damaged_one_is_moved_aside(path: Path, opened: Callable[[], PurgedArchive]) -> None:
    opened().keep("1", 101, {7: "{}"})
    path.write_bytes(b"\0" * 8192)
    told: list[str] = []
    archive = PurgedArchive(path, told.append)
    assert archive.records("1", 101) == {}
    assert "rcfs moved it to archive.sqlite.damaged, and made a new one" in told[0]
    archive.keep("1", 101, {7: "{}"})
    assert opened().records("1", 101) == {7: "{}"}


def test_damage_within_is_told_when_it_is_met_and_costs_no_good_record(
    path: Path, opened: Callable[[], PurgedArchive]
) -> None:
    opened().keep("1", 101, dict.fromkeys(range(100), "x" * 500))
    data = bytearray(path.read_bytes())
    data[-4096:] = b"\x5a" * 4096
    path.write_bytes(data)
    told: list[str] = []
    archive = PurgedArchive(path, told.append)
    kept = archive.records("1", 101)
    assert 80 < len(kept) < 100
    assert set(kept.values()) == {"x" * 500}
    assert archive.records("1", 101) == kept
    assert len(told) == 1
    assert f"{len(kept)} good rows; at least" in told[0]
    assert path.with_name("archive.sqlite.damaged").exists()


def test_one_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    archive = PurgedArchive(tmp_path / "file" / "archive.sqlite", pytest.fail)
    with pytest.raises(StoreError, match="Not a directory"):
        archive.keep("1", 101, {7: "{}"})
    with pytest.raises(StoreError, match="Not a directory"):
        archive.keep_purged(keep=True)
