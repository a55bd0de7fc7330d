"""The outbox: nothing is lost, and no process overwrites another."""

import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from rcfs.errors import NoRoomError, StoreError
from rcfs.filenames import StateFiles
from rcfs.store import Intent, OutboxBook

ACCOUNT = "400131"


def intent(number: int, kind: str = "change") -> Intent:
    return Intent(f"id{number}", ACCOUNT, kind, "waiting", 100.0, 100.0, f'{{"message": "{number}"}}')


@pytest.fixture
def files(tmp_path: Path) -> StateFiles:
    return StateFiles(tmp_path / "state")


@pytest.fixture
def book(files: StateFiles) -> Iterator[OutboxBook]:
    opened = OutboxBook.open(files, pytest.fail)
    yield opened
    opened.close()


def test_everything_survives_a_restart_in_its_order(files: StateFiles, book: OutboxBook) -> None:
    other_account = attrs.evolve(intent(9), account_id="other")
    book.add([intent(3), intent(1, "send"), other_account])
    book.add([intent(2)])
    other = OutboxBook.open(files, pytest.fail)
    assert other.all(ACCOUNT) == (intent(3), intent(1, "send"), intent(2))
    assert other.all(ACCOUNT, "change") == (intent(3), intent(2))
    other.close()
    assert stat.S_IMODE(files.outbox.stat().st_mode) == 0o600


def test_what_is_written_is_on_the_disk_also_through_a_power_cut(book: OutboxBook) -> None:
    ((synchronous,),) = book._connection.execute("PRAGMA synchronous")
    assert synchronous == 2


def test_a_full_disk_is_told(book: OutboxBook) -> None:
    book._connection.execute("PRAGMA max_page_count = 1")
    with pytest.raises(NoRoomError, match="the outbox cannot be used: database or disk is full"):
        book.add([attrs.evolve(intent(1), body="x" * 100_000)])
    assert book.all(ACCOUNT) == ()


def test_a_change_replaces_removes_and_adds_in_one_step(book: OutboxBook) -> None:
    book.add([intent(1), intent(2), intent(3)])
    asked = attrs.evolve(intent(2), state="asked", changed_s=200.0)
    assert book.change([intent(1), intent(2)], [asked, intent(4)])
    assert book.all(ACCOUNT) == (asked, intent(3), intent(4))


@pytest.mark.parametrize(
    "stale",
    [
        attrs.evolve(intent(2), state="held"),
        attrs.evolve(intent(2), body="{}"),
        attrs.evolve(intent(2), changed_s=101),
        intent(5),
    ],
)
def test_nothing_changes_if_one_of_them_has_changed_meanwhile(book: OutboxBook, stale: Intent) -> None:
    book.add([intent(1), intent(2)])
    asked = [attrs.evolve(each, state="asked") for each in (intent(1), intent(2))]
    assert not book.change([intent(1), stale], asked)
    assert not book.change([intent(1), stale], [])
    assert book.all(ACCOUNT) == (intent(1), intent(2))


def test_what_another_process_has_added_meanwhile_is_not_overwritten(book: OutboxBook) -> None:
    assert book.add([intent(1)])
    assert not book.add([intent(2), attrs.evolve(intent(1), body="{}")])
    assert book.all(ACCOUNT) == (intent(1),)


def test_nothing_changes_if_it_cannot_be_written(book: OutboxBook) -> None:
    book.add([intent(1)])
    wrong = attrs.evolve(intent(2), body=None)  # type: ignore[arg-type]
    with pytest.raises(StoreError, match="the outbox cannot be used"):
        book.change([intent(1)], [wrong])
    assert book.all(ACCOUNT) == (intent(1),)


def test_the_version_tells_of_every_change(files: StateFiles, book: OutboxBook) -> None:
    other = OutboxBook.open(files, pytest.fail)
    for change, by in ((book.add, "this process"), (lambda gone: other.change(gone, []), "another")):
        version = book.version()
        assert book.version() == version
        assert change([intent(1)])
        assert book.version() != version, by
    other.close()


def test_one_at_a_time_has_the_turn_of_an_account(files: StateFiles, book: OutboxBook) -> None:
    other = OutboxBook.open(files, pytest.fail)
    with book.turn(ACCOUNT, "send") as mine, other.turn(ACCOUNT, "send") as theirs:
        assert (mine, theirs) == (True, False)
        with other.turn("another", "send") as elsewhere, other.turn(ACCOUNT, "change") as of_another_kind:
            assert (elsewhere, of_another_kind) == (True, True)
    with other.turn(ACCOUNT, "send") as theirs:
        assert theirs
    other.close()


def test_a_damaged_row_is_left_out(files: StateFiles, book: OutboxBook) -> None:
    book.add([intent(1), intent(2)])
    with sqlite3.connect(files.outbox) as raw:
        raw.execute("UPDATE intents SET state = 'asked' WHERE id = 'id1'")
    raw.close()
    assert book.all(ACCOUNT) == (intent(2),)


def test_the_good_rows_of_a_damaged_outbox_stay_and_the_loss_is_told(
    files: StateFiles, book: OutboxBook
) -> None:
    book.add([intent(1), intent(2), intent(3)])
    with sqlite3.connect(files.outbox) as raw:
        raw.execute("UPDATE intents SET state = 'asked' WHERE id = 'id1'")
    raw.close()
    book.close()
    told: list[str] = []
    mended = OutboxBook.open(files, told.append)
    assert mended.all(ACCOUNT) == (intent(2), intent(3))
    mended.close()
    (line,) = told
    assert (
        "with its 2 good rows; at least 1 are lost; changes may not be made, and messages not be sent" in line
    )


def test_no_outbox_in_memory_takes_its_place(files: StateFiles) -> None:
    files.directory.write_text("a file")
    with pytest.raises(StoreError, match=r"the outbox \S+outbox.sqlite cannot be used"):
        OutboxBook.open(files, pytest.fail)


def test_an_account_is_erased(files: StateFiles, book: OutboxBook) -> None:
    book.add([attrs.evolve(intent(1), body='"to-forget"'), attrs.evolve(intent(2), account_id="other")])
    book.forget_account(ACCOUNT)
    assert book.all(ACCOUNT) == ()
    assert len(book.all("other")) == 1
    book.close()
    assert b"to-forget" not in files.outbox.read_bytes()
