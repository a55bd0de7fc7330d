"""The list of exports: nothing is lost, and no process overwrites another."""

import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from rcfs.errors import StoreError
from rcfs.filenames import StateFiles
from rcfs.model import DatasetKey, Export, ExportArchive, ExportKind, ExportQuery, ExportState, ReportKey
from rcfs.store import ExportBook

ACCOUNT = "400131"


def export(number: int, kind: ExportKind = ExportKind.MESSAGES) -> Export:
    query = ExportQuery.of_days(kind, "2026-01-01", f"2026-01-{number:02}")
    return Export(f"id{number}", query, "", ExportState.WAITING, 100.0, 100.0, 100.0)


@pytest.fixture
def files(tmp_path: Path) -> StateFiles:
    return StateFiles(tmp_path / "state")


@pytest.fixture
def book(files: StateFiles) -> Iterator[ExportBook]:
    opened = ExportBook.open(files, pytest.fail)
    yield opened
    opened.close()


def test_everything_survives_a_restart(files: StateFiles, book: ExportBook) -> None:
    query = ExportQuery.of_days(ExportKind.TEAM, "2026-01-01", "2026-01-02", contacts=["é"], chats=["1"])
    whole = Export(
        "id",
        query,
        "400-62-abc/..",
        ExportState.COMPLETED,
        1.5,
        2.5,
        0.0,
        (
            ExportArchive(0, DatasetKey(ACCOUNT, "400-62-abc/..", "1"), 1 << 40, "https://media.example/x"),
            ExportArchive(1, ReportKey(ACCOUNT, "t", 7), None, ""),
        ),
        "a problem\n",
    )
    assert book.add(ACCOUNT, export(1)) == export(1)
    assert book.add(ACCOUNT, whole) == whole
    book.add("other", export(2))
    other = ExportBook.open(files, pytest.fail)
    assert other.all(ACCOUNT) == (export(1), whole)
    other.close()
    assert stat.S_IMODE(files.exports.stat().st_mode) == 0o600


def test_a_name_is_there_once(book: ExportBook) -> None:
    first = book.add(ACCOUNT, export(1))
    assert book.add(ACCOUNT, attrs.evolve(export(1), id="another", asked_s=7.0)) == first
    team = attrs.evolve(export(1, ExportKind.TEAM), id="team")
    assert book.add(ACCOUNT, team) == team
    assert book.all(ACCOUNT) == (first, team)


def test_what_another_process_changed_is_not_overwritten(files: StateFiles, book: ExportBook) -> None:
    other = ExportBook.open(files, pytest.fail)
    first = book.add(ACCOUNT, export(1))
    asked = attrs.evolve(first, state=ExportState.ASKED, asked_s=200.0)
    seen = other.version()
    assert book.change(ACCOUNT, first, asked)
    assert other.version() != seen
    assert not other.change(ACCOUNT, first, attrs.evolve(first, problem="late"))
    assert other.change(ACCOUNT, asked, attrs.evolve(asked, task_id="t"))
    assert other.remove(first.id)
    assert not book.remove(first.id)
    assert not book.change(ACCOUNT, attrs.evolve(asked, task_id="t"), asked)
    assert book.all(ACCOUNT) == ()
    other.close()


def test_only_what_nobody_has_asked_for_can_be_withdrawn(book: ExportBook) -> None:
    waiting = book.add(ACCOUNT, export(1))
    asked = attrs.evolve(waiting, state=ExportState.ASKED, asked_s=200.0)
    assert book.change(ACCOUNT, waiting, asked)
    assert not book.withdraw(waiting)
    assert book.all(ACCOUNT) == (asked,)
    other = book.add(ACCOUNT, export(2))
    assert book.withdraw(other)
    assert book.all(ACCOUNT) == (asked,)


def test_the_version_stays_when_nothing_changes(book: ExportBook) -> None:
    book.add(ACCOUNT, export(1))
    version = book.version()
    book.all(ACCOUNT)
    assert book.version() == version
    book.remove("id1")
    assert book.version() != version


def test_one_at_a_time_has_the_turn_of_an_account(files: StateFiles, book: ExportBook) -> None:
    other = ExportBook.open(files, pytest.fail)
    with book.turn(ACCOUNT) as mine:
        assert mine
        with other.turn(ACCOUNT) as theirs, other.turn("another") as elsewhere:
            assert not theirs
            assert elsewhere
    with other.turn(ACCOUNT) as theirs:
        assert theirs
    other.close()


def test_the_latest_durations_are_kept(book: ExportBook) -> None:
    for number in range(30):
        book.add_duration(ACCOUNT, ExportKind.MESSAGES, number, 1000.0 + number)
    book.add_duration("other", ExportKind.MESSAGES, 5, 0)
    assert sorted(book.durations(ACCOUNT, ExportKind.MESSAGES)) == [float(each) for each in range(10, 30)]
    assert book.durations(ACCOUNT, ExportKind.TEAM) == ()


def test_a_damaged_row_is_left_out_and_its_name_is_free(files: StateFiles, book: ExportBook) -> None:
    for number in (1, 2):
        book.add(ACCOUNT, export(number))
    with sqlite3.connect(files.exports) as raw:
        raw.execute("UPDATE exports SET task_id = 'wrong' WHERE id = 'id1'")
    raw.close()
    assert book.all(ACCOUNT) == (export(2),)
    again = attrs.evolve(export(1), id="again")
    assert book.add(ACCOUNT, again) == again
    assert set(book.all(ACCOUNT)) == {export(2), again}


def test_a_state_of_a_later_version_is_left_out(files: StateFiles, book: ExportBook) -> None:
    book.add(ACCOUNT, export(1))
    other = export(2)
    object.__setattr__(other, "state", type("Later", (), {"value": "Paused"}))
    book.add(ACCOUNT, other)
    assert book.all(ACCOUNT) == (export(1),)


def test_a_damaged_database_keeps_its_good_rows(files: StateFiles, book: ExportBook) -> None:
    for number in range(1, 29):
        book.add(ACCOUNT, attrs.evolve(export(number), task_id=f"task{number}"))
    book.close()
    data = bytearray(files.exports.read_bytes())
    place = data.index(b"task15")
    data[place : place + 6] = b"TASK??"
    files.exports.write_bytes(data)
    warnings: list[str] = []
    mended = ExportBook.open(files, warnings.append)
    assert len(mended.all(ACCOUNT)) == 27
    assert "the list of exports" in warnings[0]
    mended.close()


def test_no_list_in_memory_takes_its_place(files: StateFiles) -> None:
    files.directory.parent.mkdir(exist_ok=True)
    files.directory.write_text("a file")
    with pytest.raises(StoreError, match=f"the list of exports {files.exports} cannot be used"):
        ExportBook.open(files, pytest.fail)


def test_an_account_is_erased(files: StateFiles, book: ExportBook) -> None:
    book.add(ACCOUNT, attrs.evolve(export(1), task_id="a-task-to-forget"))
    book.add("other", attrs.evolve(export(2), id="x"))
    book.add_duration(ACCOUNT, ExportKind.MESSAGES, 1, 1)
    book.forget_account(ACCOUNT)
    assert book.all(ACCOUNT) == ()
    assert len(book.all("other")) == 1
    book.close()
    assert b"a-task-to-forget" not in files.exports.read_bytes()
