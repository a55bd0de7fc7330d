"""The index of mailboxes as a file: opened in whatever state it is, shared, damaged while it is used.

Its answers are compared with a plain mailbox in tests/property.
"""

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import attrs
import pytest

from rcfs.errors import StoreError
from rcfs.model import FolderNames, Place, ShelvedMessage
from rcfs.store import IndexDamagedError, Login, MailboxIndex, MailboxState, Note
from rcfs.store._database import migrate
from rcfs.store._index_schema import FORM

PAGE_BYTES = 4096
OWN_ROWS = ("views", "found", "CONSTANT")
"""Tables that a query makes itself."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "mailboxes.sqlite"


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def opened(path: Path, warnings: list[str]) -> Iterator[Callable[[], MailboxIndex]]:
    """Opens the index of the test, as often as it likes; all are closed at the end."""
    made: list[MailboxIndex] = []

    def open_it() -> MailboxIndex:
        made.append(MailboxIndex.open(path, warnings.append))
        return made[-1]

    yield open_it
    for index in made:
        index.close()


def name(place: Place, _parties: object, _owners: object) -> FolderNames:
    return FolderNames(place.key, place.key, place.key)


def message(
    number: int, *, modified_s: float = 1.0, raw: str = "{}", month: str = "2026-11"
) -> ShelvedMessage:
    return ShelvedMessage(number, f"message [{number}]", 1.0, modified_s, raw, Place("SMS", month))


def ids(index: MailboxIndex, mailbox: int) -> list[int]:
    """The messages that the index shows."""
    return sorted(
        row.id
        for view in index.reader.views(mailbox)
        for folder in index.reader.folders(mailbox, view, 0, 1000)
        for row in index.reader.messages(folder.number, 0, 1000)
    )


def loaded(index: MailboxIndex, *messages: int, extension: int = 101) -> int:
    """The number of a mailbox that was loaded whole."""
    mailbox, listing = index.writer.begin("1", extension)
    index.writer.put(mailbox, map(message, messages), name, listing=listing)
    index.writer.synced(mailbox, "token", 5.0)
    return mailbox


def test_nobody_else_may_read_it(opened: Callable[[], MailboxIndex], path: Path) -> None:
    before = os.umask(0)
    try:
        loaded(opened(), 1)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    files = list(path.parent.iterdir())
    assert len(files) == 3, "the database, its log, and the log's index"
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_what_is_in_it_is_there_tomorrow(opened: Callable[[], MailboxIndex], warnings: list[str]) -> None:
    login = Login("1", "Example Ltd", ('{"id":101}',))
    index = opened()
    assert index.reader.login("me") is None
    assert index.reader.mailbox("1", 101) is None
    index.writer.save_login("me", login)
    number = loaded(index, 1, 2)
    index.close()
    index = opened()
    assert index.reader.login("me") == login
    assert index.reader.login("somebody else") is None
    assert index.reader.mailbox("1", 101) == MailboxState(
        number, "1", 101, loaded=True, sync_token="token", synced_s=5.0, revision=1
    )
    assert index.reader.mailbox("2", 101) is None
    assert ids(index, number) == [1, 2]
    assert index.reader.counts("1") == {101: 2}
    assert warnings == []


def test_an_empty_file_becomes_a_present_index(opened: Callable[[], MailboxIndex], path: Path) -> None:
    path.parent.mkdir()
    path.touch(0o644)
    opened()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (FORM.version,)
        assert connection.execute("PRAGMA application_id").fetchone() == (FORM.application_id,)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_migration_that_was_broken_off_is_done_again(
    opened: Callable[[], MailboxIndex], path: Path
) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        with pytest.raises(sqlite3.Error, match="already exists"):
            migrate(connection, FORM, ("CREATE TABLE logins (x); CREATE TABLE logins (x)",))
        assert connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone() == (0,)
    loaded(opened(), 1)


def spoil(path: Path, how: str) -> None:
    """Makes the closed database `path` unusable."""
    if how == "not a database":
        path.write_bytes(b"\0" * PAGE_BYTES)
    elif how == "half of it":
        path.write_bytes(path.read_bytes()[: PAGE_BYTES // 2])
    elif how == "foreign":
        path.unlink()
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE mailboxes (theirs)")
    else:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(
                {
                    "newer": f"PRAGMA user_version = {FORM.version + 1}",
                    "older than any": "PRAGMA user_version = 0",
                }[how]
            )


@pytest.mark.parametrize("how", ["not a database", "half of it", "foreign", "newer", "older than any"])
def test_one_that_cannot_be_used_is_moved_aside(
    opened: Callable[[], MailboxIndex], path: Path, warnings: list[str], how: str
) -> None:
    index = opened()
    loaded(index, 1)
    index.close()
    spoil(path, how)
    spoiled = path.read_bytes()
    index = opened()
    assert index.reader.mailbox("1", 101) is None
    number = loaded(index, 2)
    assert ids(index, number) == [2]
    aside = path.with_name(path.name + ".damaged")
    assert aside.read_bytes() == spoiled, "it may belong to somebody else"
    (warning,) = warnings
    assert "unusable" in warning
    assert aside.name in warning
    assert "made a new one, and loads all mailboxes again" in warning


@pytest.mark.parametrize("obstacle", ["a file", "a directory in its place"])
def test_where_it_cannot_be_written_it_is_for_this_run_only(
    opened: Callable[[], MailboxIndex], path: Path, warnings: list[str], obstacle: str
) -> None:
    if obstacle == "a file":
        path.parent.write_text("in the way")
    else:
        path.mkdir(parents=True)
    index = opened()
    assert ids(index, loaded(index, 1)) == [1]
    (warning,) = warnings
    assert "forgets it when it ends" in warning
    index.close()
    assert opened().reader.mailbox("1", 101) is None


def test_messages_that_a_list_no_longer_has_are_known(opened: Callable[[], MailboxIndex]) -> None:
    index = opened()
    number = loaded(index, 1, 2, 3)
    again, listing = index.writer.begin("1", 101)
    assert again == number
    index.writer.put(number, [message(1), message(4)], name, listing=listing)
    assert sorted(index.reader.unseen(number, listing)) == [2, 3]
    # A message that a sync brings meanwhile stays, even though the list was read before.
    index.writer.put(number, [message(3, modified_s=2.0)], name)
    assert index.reader.unseen(number, listing) == [2]
    index.writer.put(number, [], name, removed=[2])
    assert ids(index, number) == [1, 3, 4]


def test_two_lists_at_once_lose_nothing(opened: Callable[[], MailboxIndex]) -> None:
    """Two processes that load the same mailbox: what either brought is there at the end."""
    one, other = opened(), opened()
    number, first = one.writer.begin("1", 101)
    same, second = other.writer.begin("1", 101)
    assert same == number
    other.writer.put(number, [message(1)], name, listing=second)
    one.writer.put(number, [message(1), message(2)], name, listing=first)
    other.writer.put(number, [message(2)], name, listing=second)
    one.writer.put(number, [message(3)], name, listing=first)
    assert one.reader.unseen(number, first) == []
    other.writer.put(number, [message(3)], name, listing=second)
    assert other.reader.unseen(number, second) == []
    assert ids(one, number) == ids(other, number) == [1, 2, 3]


_PUTS = """
import sys
from pathlib import Path
from rcfs.store import MailboxIndex
from tests.unit.store.test_mailbox_index import message, name
index = MailboxIndex.open(Path(sys.argv[1]), print)
mailbox, listing = index.writer.begin("1", 101)
for number in range(int(sys.argv[2]), int(sys.argv[2]) + 40):
    index.writer.put(mailbox, [message(number, month=str(number % 3))], name, listing=listing)
print(index.reader.mailbox("1", 101) is not None)
index.close()
"""


def test_processes_share_it(opened: Callable[[], MailboxIndex], path: Path, warnings: list[str]) -> None:
    index = opened()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", _PUTS, str(path), str(start)],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for start in (0, 40)
    ]
    outputs = [writer.communicate(timeout=60)[0] for writer in writers]
    assert outputs == ["True\n"] * 2
    state = index.reader.mailbox("1", 101)
    assert state is not None
    assert ids(index, state.number) == list(range(80))
    assert len(index.reader.folders(state.number, "SMS", 0, 100)) == 3
    assert warnings == []


def test_a_change_is_whole_or_not_there(opened: Callable[[], MailboxIndex]) -> None:
    index = opened()
    number = loaded(index, 1)

    def broken(place: Place, _parties: object, _owners: object) -> FolderNames:
        raise RuntimeError(place.key)

    with pytest.raises(RuntimeError, match="2026-12"):
        index.writer.put(number, [message(2), message(3, month="2026-12")], broken)
    assert ids(index, number) == [1]
    index.writer.put(number, [message(2)], name)
    assert ids(index, number) == [1, 2]


def damage(path: Path) -> None:
    """Overwrites all pages but those of the schema, through which a database is opened."""
    with closing(sqlite3.connect(path)) as connection:
        ((pages,),) = connection.execute("PRAGMA page_count")
        kept = {
            page for (page,) in connection.execute("SELECT pageno FROM dbstat WHERE name = 'sqlite_schema'")
        }
    assert len(kept) < pages - 2
    with path.open("r+b") as file:
        for page in set(range(1, pages + 1)) - kept:
            file.seek(PAGE_BYTES * (page - 1))
            file.write(b"\x5a" * PAGE_BYTES)


@pytest.fixture
def damaged(opened: Callable[[], MailboxIndex], path: Path) -> tuple[MailboxIndex, int]:
    """An index that opens as if nothing were wrong, and the number of a mailbox in it."""
    index = opened()
    number = loaded(index, *range(100))
    index.close()
    damage(path)
    return opened(), number


def test_damage_that_is_met_later_is_said_to_be_it(
    damaged: tuple[MailboxIndex, int], path: Path, warnings: list[str], opened: Callable[[], MailboxIndex]
) -> None:
    index, number = damaged
    heard: list[str] = []
    index.listen(lambda: heard.append("damage"))
    assert warnings == []
    for question in (
        lambda: index.reader.mailbox("1", 101),
        lambda: index.reader.record(number, 1),
        lambda: index.writer.begin("1", 101),
        lambda: index.writer.put(number, [message(1)], name),
    ):
        with pytest.raises(IndexDamagedError, match="is damaged"):
            question()
    assert heard == ["damage"] * 4
    assert index.renew()
    assert index.reader.mailbox("1", 101) is None
    with pytest.raises(StoreError, match="replaced the damaged index"):
        index.writer.put(number, [message(1)], name)
    assert index.reader.record(number, 1) is None
    again = loaded(index, 7)
    assert again != number, "a number that is still in use somewhere means nothing else"
    assert path.with_name(path.name + ".damaged").exists()
    assert len(warnings) == 1
    assert not index.renew(), "once is enough for all who met the damage"
    assert ids(index, again) == [7]
    index.close()
    index = opened()
    assert ids(index, again) == [7], "it is where it was, for the next run"
    assert len(warnings) == 1


def test_one_that_another_process_has_begun_anew_is_used(
    damaged: tuple[MailboxIndex, int], path: Path, opened: Callable[[], MailboxIndex], warnings: list[str]
) -> None:
    late, number = damaged
    quick = opened()
    for index in (quick, late):
        with pytest.raises(IndexDamagedError):
            index.reader.record(number, 1)
    assert quick.renew()
    again = loaded(quick, 7)
    assert late.renew()
    assert ids(late, again) == [7]
    assert [path.name for path in path.parent.glob("*.damaged*") if path.suffix == ".damaged"] == [
        "mailboxes.sqlite.damaged"
    ]
    assert len(warnings) == 1


def test_a_full_disk_is_no_damage(
    opened: Callable[[], MailboxIndex], path: Path, warnings: list[str]
) -> None:
    index = opened()
    number = loaded(index, 1)
    connection = index._database._writer
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreError, match="full") as caught:
        index.writer.put(number, [message(2, raw="x" * 100_000)], name)
    assert not isinstance(caught.value, IndexDamagedError)
    assert not index.renew()
    assert ids(index, number) == [1]
    connection.execute("PRAGMA max_page_count = 1000000")
    index.writer.put(number, [message(2)], name)
    assert ids(index, number) == [1, 2]
    assert warnings == []


def test_no_question_of_the_file_system_looks_through_a_table(opened: Callable[[], MailboxIndex]) -> None:
    index = opened()
    number = loaded(index, *range(1, 100))
    connection = index._database._reader
    asked: list[str] = []
    connection.set_trace_callback(asked.append)
    (view,) = index.reader.views(number)
    (folder,) = index.reader.folders(number, view, 0, 10)
    index.reader.folder(number, view, folder.name)
    index.reader.messages(folder.number, 0, 10)
    index.reader.links(folder.number, 0, 10)
    index.reader.message(folder.number, 7)
    index.reader.record(number, 7)
    index.reader.home(number, 7)
    assert index.reader.times(number, None) == index.reader.times(number, view) == (1.0, 1.0)
    index.reader.login("me")
    index.reader.mailbox("1", 101)
    connection.set_trace_callback(None)
    assert len(asked) == 12
    for question in asked:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {question}")]
        # Rows found earlier, one for each view, and constants: none of these is a table.
        scans = [line for line in plan if line.startswith("SCAN") and line.split()[1] not in OWN_ROWS]
        assert not scans, (question, plan)
        assert not [line for line in plan if "TEMP B-TREE" in line], (question, plan)
        if "max(" in question:
            used = {line.rpartition("(")[0].split()[-1] for line in plan if "USING COVERING INDEX" in line}
            assert {"folders_created", "folders_modified"} <= used, (question, plan)


def test_what_is_noted_is_there_for_the_next_run(opened: Callable[[], MailboxIndex]) -> None:
    index = opened()
    assert index.reader.noted("weather") is None
    index.writer.note("weather", "rain", 5.0)
    index.writer.note("weather", "sun", 6.0)
    assert opened().reader.noted("weather") == Note("sun", 6.0)


def test_an_index_stays_an_archive_until_it_is_told_otherwise(opened: Callable[[], MailboxIndex]) -> None:
    first = opened()
    assert not first.keeps_purged
    first.keep_purged(keep=True)
    assert opened().keeps_purged
    first.keep_purged(keep=False)
    assert not opened().keeps_purged


def test_an_index_that_is_begun_anew_is_an_archive_as_before(
    damaged: tuple[MailboxIndex, int], opened: Callable[[], MailboxIndex]
) -> None:
    index, number = damaged
    index.keep_purged(keep=True)
    with pytest.raises(IndexDamagedError):
        index.reader.record(number, 1)
    assert index.renew()
    assert index.keeps_purged
    assert opened().keeps_purged


def test_what_was_created_within_a_span(opened: Callable[[], MailboxIndex]) -> None:
    index = opened()
    number = loaded(index)
    months = {"2026-01": (1, 2, 3), "2026-02": (4, 5), "2026-03": (6, None)}
    messages = [
        attrs.evolve(
            message(100 * int(month[-1]) + place, month=month, raw=f"{month} {created_s}"),
            created_s=created_s,
        )
        for month, times in months.items()
        for place, created_s in enumerate(times)
    ]
    index.writer.put(number, messages, name)
    assert index.reader.records_between(number, "SMS", (2, 4)) == [
        "2026-01 2",
        "2026-01 3",
        "2026-02 4",
    ]
    assert index.reader.records_between(number, "SMS", (5.5, 9)) == ["2026-03 6", "2026-03 None"]
    assert len(index.reader.records_between(number, "SMS")) == 7
    assert index.reader.records_between(number, "Fax") == []


@pytest.mark.parametrize(
    "harm",
    ["UPDATE messages SET raw = '{broken'", "UPDATE messages SET raw = CAST(x'ff' AS TEXT)"],
)
def test_a_damaged_mailbox_costs_no_other(
    opened: Callable[[], MailboxIndex], path: Path, warnings: list[str], harm: str
) -> None:
    index = opened()
    damaged, sound = loaded(index, *range(50)), loaded(index, *range(50), extension=102)
    with closing(sqlite3.connect(path)) as other, other:
        other.execute(f"{harm} WHERE mailbox = ? AND id = 5", (damaged,))
    with pytest.raises(IndexDamagedError):
        index.reader.record(damaged, 5)
    assert index.renew()
    assert index.reader.mailbox("1", 101) is None
    kept = index.reader.mailbox("1", 102)
    assert kept is not None
    assert (kept.number, kept.loaded, kept.sync_token) == (sound, True, "token")
    assert ids(index, sound) == list(range(50))
    assert len(warnings) == 1
    assert "made a new one, and kept 1 undamaged mailboxes; the others load again" in warnings[0]
    index.find_damage()
