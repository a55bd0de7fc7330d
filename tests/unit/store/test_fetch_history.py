"""The record of fetches."""

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

import rcfs.store._history as history_module
from rcfs.model import AttachmentKey, ContentKey
from rcfs.store import FetchHistory, FetchRecord, Refusal


def key(message_id: int) -> ContentKey:
    return AttachmentKey("400131", 62, message_id, 1)


def fetch(number: int, program: str = "cp") -> FetchRecord:
    return FetchRecord(key(number), 1e9 + number, program, "bulk", 1, 300)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "history.sqlite"


@pytest.fixture
def history(path: Path) -> Iterator[FetchHistory]:
    opened = FetchHistory.open(path, pytest.fail)
    yield opened
    opened.close()


def test_it_remembers_over_restarts_and_processes(path: Path, history: FetchHistory) -> None:
    history.add(fetch(1))
    history.add(fetch(1, "mpv"))
    history.refuse(Refusal(key(2), 5.0, "tumblerd"))
    history.refuse(Refusal(key(2), 6.0, "clamd"))
    other = FetchHistory.open(path, pytest.fail)
    other.add(fetch(3))
    for each in (history, other):
        assert each.fetches(map(key, range(9))) == {key(1): [fetch(1), fetch(1, "mpv")], key(3): [fetch(3)]}
        assert each.refusals(map(key, range(9))) == {key(2): Refusal(key(2), 6.0, "clamd")}
    other.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_oldest_go_first(history: FetchHistory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_module, "MOST_ENTRIES", 10)
    monkeypatch.setattr(history_module, "_TRIM_EVERY", 5)
    for number in range(51):
        history.add(fetch(number))
        history.refuse(Refusal(key(number), float(number), "clamd"))
    for kept in (
        [number for number in range(99) if key(number) in history.fetches(map(key, range(99)))],
        [number for number in range(99) if key(number) in history.refusals(map(key, range(99)))],
    ):
        assert 10 <= len(kept) < 16
        assert kept == list(range(51 - len(kept), 51))


def test_a_damaged_record_is_begun_anew(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"junk" * 5000)
    told: list[str] = []
    history = FetchHistory.open(path, told.append)
    history.add(fetch(1))
    assert history.fetches([key(1)]) == {key(1): [fetch(1)]}
    history.close()
    assert len(told) == 1
    assert "and made a new one" in told[0]


def test_what_fails_is_told_once(path: Path, tmp_path: Path) -> None:
    told: list[str] = []
    (tmp_path / "file").touch()
    history = FetchHistory.open(tmp_path / "file" / "history.sqlite", told.append)
    history.add(fetch(1))
    assert history.fetches([key(1)]) == {key(1): [fetch(1)]}, "in memory"
    assert len(told) == 1
    history._reader.execute("DROP TABLE fetches")
    for number in range(3):
        history.add(fetch(number))
    assert history.fetches([key(1)]) == {}
    assert len(told) == 2
    history.close()
