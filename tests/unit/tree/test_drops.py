"""Files in Outbox: which are complete, when, and what may be done to them."""

from collections.abc import Callable

import pytest

from rcfs.errors import (
    BusyError,
    ExistsError,
    FileError,
    NoRoomError,
    NotFoundError,
    NotPermittedError,
    TooLargeError,
)
from rcfs.model import MOST_FAX_BYTES
from rcfs.tree import DropDirectory, DropFile, Drops, Stage
from rcfs.tree._drop_values import Path
from rcfs.tree._drops import FOLDER_QUIET_S, MOST_BYTES, MOST_FILES, QUIET_S

BOB: Path = ("SMS", "+12125557464.txt")
FAX: Path = ("Fax", "+13035556830")


@pytest.fixture
def drops() -> Drops:
    return Drops(lambda: 1, 0.0)


def put(drops: Drops, path: Path, now_s: float, size_bytes: int = 5) -> DropFile:
    """Writes a file, and closes it."""
    file = drops.create(path, now_s)
    drops.begin_write(file, now_s)
    drops.wrote(file, size_bytes, now_s)
    drops.end_write(file, now_s)
    return file


def due(drops: Drops, now_s: float) -> list[Path]:
    return [each.path for each in drops.due(now_s)]


def test_a_file_is_due_when_it_was_closed_and_quiet(drops: Drops) -> None:
    file = drops.create(BOB, 0)
    drops.begin_write(file, 0)
    drops.wrote(file, 5, 1)
    assert due(drops, 1000) == [], "it is open"
    drops.end_write(file, 10)
    assert due(drops, 10 + QUIET_S - 0.1) == []
    drops.touch(file, 11)
    assert due(drops, 11 + QUIET_S - 0.1) == [], "its time was set"
    assert drops.next_s == 11 + QUIET_S
    assert due(drops, 11 + QUIET_S) == [BOB]


@pytest.mark.parametrize(
    "name", [".hidden.txt", "+12125557464.txt~", "+12125557464.txt.part", "+12125557464.txt.swp", "a.lock"]
)
def test_unfinished_names_are_never_due(drops: Drops, name: str) -> None:
    put(drops, ("SMS", name), 0)
    assert due(drops, 1e6) == []
    assert drops.next_s is None


def test_an_empty_file_waits(drops: Drops) -> None:
    file = put(drops, BOB, 0, size_bytes=0)
    assert due(drops, 1e6) == []
    drops.wrote(file, 1, 5)
    assert due(drops, 5 + QUIET_S) == [BOB]


def test_a_file_that_an_editor_has_open_waits(drops: Drops) -> None:
    put(drops, BOB, 0)
    lock = ("SMS", f".{BOB[1]}.swp")
    put(drops, lock, 0)
    assert due(drops, 1e6) == []
    drops.remove(lock, 5)
    assert due(drops, 5 + QUIET_S) == [BOB]


def test_a_directory_is_one_message_and_waits_for_all_of_its_files(drops: Drops) -> None:
    drops.make_folder(FAX, 0)
    assert due(drops, 1e6) == [], "it has no file"
    put(drops, (*FAX, "b.pdf"), 0)
    second = drops.create((*FAX, "a.pdf.part"), 3)
    drops.wrote(second, 5, 3)
    assert due(drops, 1e6) == [], "one has no final name"
    drops.rename((*FAX, "a.pdf.part"), (*FAX, "a.pdf"), 4)
    put(drops, (*FAX, ".DS_Store"), 4)
    assert due(drops, 4 + FOLDER_QUIET_S - 0.1) == []
    (entry,) = drops.due(4 + FOLDER_QUIET_S)
    assert [name for name, _file in entry.sendable()] == ["a.pdf", "b.pdf"]
    drops.begin_write(second, 20)
    assert due(drops, 1e6) == [], "one is open again"


def test_a_file_of_an_editor_replaces_the_old_one(drops: Drops) -> None:
    old, new = put(drops, BOB, 0), put(drops, ("SMS", ".goutputstream-X"), 1)
    assert drops.rename(("SMS", ".goutputstream-X"), BOB, 2) is old
    assert drops.find(BOB) is new
    assert old.drop is None
    assert due(drops, 2 + QUIET_S) == [BOB]
    assert drops.rename(BOB, BOB, 2) is None


@pytest.mark.parametrize("stage", [Stage.TAKEN, Stage.QUEUED, Stage.UNKNOWN])
def test_what_is_being_sent_can_only_be_removed(drops: Drops, stage: Stage) -> None:
    drops.make_folder(FAX, 0)
    file = put(drops, (*FAX, "a.pdf"), 0)
    put(drops, BOB, 0)
    (entry,) = (each for each in drops.due(100) if each.path == FAX)
    entry.stage, entry.send_id = stage, "id"
    attempts: list[Callable[[], object]] = [
        lambda: drops.begin_write(file, 100),
        lambda: drops.require_growth(file, 6),
        lambda: drops.create((*FAX, "b.pdf"), 100),
        lambda: drops.rename(BOB, (*FAX, "a.pdf"), 100),
        lambda: drops.rename((*FAX, "a.pdf"), BOB, 100),
        lambda: drops.rename(FAX, ("Fax", "other"), 100),
    ]
    for attempt in attempts:
        with pytest.raises(BusyError):
            attempt()
    put(drops, ("Page", "102.txt"), 100)
    drops.remove((*FAX, "a.pdf"), 100)
    assert drops.sent_as("id") is None
    assert FAX not in due(drops, 1e6)


def test_a_part_of_a_message_that_was_stopped_is_not_sent(drops: Drops) -> None:
    drops.make_folder(FAX, 0)
    for name in ("a.pdf", "b.pdf"):
        put(drops, (*FAX, name), 0)
    drops.queue(drops.due(100)[0], "id")
    drops.remove((*FAX, "a.pdf"), 100)
    assert due(drops, 1e6) == []


def test_a_report_stays_until_it_is_removed_or_the_file_is_written_again(drops: Drops) -> None:
    file = put(drops, BOB, 0)
    report = ("SMS", BOB[1] + ".FAILED.txt")
    entry = drops.due(100)[0]
    drops.fail(entry, "why", 100)
    listed = DropDirectory(drops=drops, path=("SMS",)).entries()
    assert list(listed) == [BOB[1], report[1]]
    assert due(drops, 1e6) == []
    with pytest.raises(FileError):
        drops.rename(report, ("SMS", "x.txt"), 100)
    drops.begin_write(file, 200)
    assert report not in drops.reports
    assert drops.forgotten == {report}
    drops.end_write(file, 200)
    assert due(drops, 200 + QUIET_S) == [BOB]
    drops.fail(entry, "why", 300)
    drops.remove(BOB, 300)
    drops.remove(report, 300)
    assert not drops.entries
    assert not drops.reports
    with pytest.raises(NotFoundError):
        drops.remove(report, 300)


def test_a_report_of_an_unknown_message_stays_with_the_file(drops: Drops) -> None:
    file = put(drops, BOB, 0)
    drops.fail(drops.due(100)[0], "why", 100, is_unknown=True)
    assert list(drops.reports) == [("SMS", BOB[1] + ".UNKNOWN.txt")]
    with pytest.raises(BusyError):
        drops.begin_write(file, 200)
    assert due(drops, 1e6) == []


def test_bounds(drops: Drops) -> None:
    file = put(drops, BOB, 0)
    drops.require_growth(file, MOST_FAX_BYTES)
    with pytest.raises(TooLargeError):
        drops.require_growth(file, MOST_FAX_BYTES + 1)
    for number in range(MOST_BYTES // MOST_FAX_BYTES):
        put(drops, ("SMS", f"{number}.txt"), 0, size_bytes=MOST_FAX_BYTES)
    with pytest.raises(NoRoomError):
        drops.require_growth(file, 6)
    for number in range(len(drops.entries), MOST_FILES):
        drops.create(("SMS", f"{number}.txt"), 0)
    with pytest.raises(NoRoomError):
        drops.create(("SMS", "one more"), 0)


@pytest.mark.parametrize(
    "path", [("new.txt",), ("Voicemail", "a.txt"), (*FAX, "a", "b"), ("SMS", "a.FAILED.txt")]
)
def test_files_can_only_be_made_where_they_are_sent(drops: Drops, path: Path) -> None:
    drops.make_folder(FAX, 0)
    with pytest.raises(NotPermittedError):
        drops.create(path, 0)
    with pytest.raises(ExistsError):
        drops.make_folder(FAX, 0)
