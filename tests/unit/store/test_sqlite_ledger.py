"""The ledger in a file: what happens to the file, and between processes that use it.

The promises of every ledger are in `test_ledger_contract`.
"""

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import attrs
import pytest

from rcfs.model import LONGEST_S, MOST_REQUESTS, Plan, Priority, RateHeaders, UsageGroup
from rcfs.platform import Credentials
from rcfs.quota import CLOCK_DRIFT, LINGER_S, LONGEST_REQUEST_S, Ledger, Slot, Waiting
from rcfs.store import LinuxMachine, SqliteHome, open_ledger
from tests.fakes.ledgers import FakeMachine, close_file

MEDIUM = UsageGroup("medium")
PLANS = {MEDIUM: Plan(2, 60 * (1 - CLOCK_DRIFT))}
ONE = Waiting.only(Priority.METADATA, 0.0)
STOP_S = LINGER_S + 61.0
"""The time in which a lost request may still arrive, the longest window and penalty, and the margin of every
freeze."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger.sqlite"


def opened(
    path: Path,
    machine: FakeMachine,
    warn: Callable[[str], None] = pytest.fail,
    credential: str = "somebody",
) -> Ledger:
    ledger = open_ledger(path, credential, PLANS, warn, machine)
    assert isinstance(ledger._replica.home, SqliteHome)
    return ledger


def taken(ledger: Ledger, now: float) -> Slot:
    slot = ledger.take(MEDIUM, ONE, now)
    assert isinstance(slot, Slot), slot
    return slot


def used(ledger: Ledger, now: float) -> int:
    return next(state.used for state in ledger.states(now) if state.group == MEDIUM)


def frozen_s(ledger: Ledger, now: float) -> float:
    return next(state.frozen_for_s for state in ledger.states(now) if state.group == MEDIUM)


# The file


@pytest.mark.parametrize("umask", [0o000, 0o777])
def test_nobody_else_may_open_it_whatever_the_umask(path: Path, umask: int) -> None:
    previous = os.umask(umask)
    try:
        taken(opened(path, FakeMachine()), 0.0)
    finally:
        os.umask(previous)
    assert {each.name for each in path.parent.iterdir()} >= {"ledger.sqlite", "ledger.sqlite-wal"}
    for each in path.parent.iterdir():
        assert stat.S_IMODE(each.stat().st_mode) == 0o600, each
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_credentials_have_budgets_of_their_own(path: Path) -> None:
    first = opened(path, FakeMachine(owner="a"), credential="one")
    second = opened(path, FakeMachine(owner="b"), credential="two")
    taken(first, 0.0)
    assert (used(first, 0.0), used(second, 0.0)) == (1, 0)


def test_what_one_assumes_of_a_plan_is_not_what_others_assume(path: Path) -> None:
    first = opened(path, FakeMachine(owner="a"))
    taken(first, 0.0)
    other = open_ledger(path, "somebody", {MEDIUM: Plan(7)}, pytest.fail, FakeMachine(owner="b"))
    assert (first.plan(MEDIUM).limit, other.plan(MEDIUM).limit) == (2, 7)
    first.settle(taken(first, 0.0), 1.0, RateHeaders(MEDIUM, limit=4))
    assert (first.plan(MEDIUM).limit, other.plan(MEDIUM).limit) == (4, 4)


def test_the_book_of_a_credential_that_nobody_uses_is_dropped_after_a_month(path: Path) -> None:
    day_s = 86400.0
    wall_s = FakeMachine().wall
    ledger = opened(path, FakeMachine(), credential="old")
    taken(ledger, 0.0)
    ledger.close(0.0)
    for days, kept in ((29, ["old"]), (31, [])):
        opened(path, FakeMachine(wall=wall_s + days * day_s)).close(0.0)
        with closing(sqlite3.connect(path)) as connection:
            rows = connection.execute("SELECT credential FROM books WHERE credential = 'old'").fetchall()
        assert [name for (name,) in rows] == kept


def test_a_ledger_that_cannot_be_written_is_kept_in_memory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    warnings: list[str] = []
    ledger = open_ledger(
        tmp_path / "file" / "ledger.sqlite", "somebody", PLANS, warnings.append, FakeMachine()
    )
    taken(ledger, 0.0)
    assert used(ledger, 0.0) == 1
    assert len(warnings) == 1
    assert "Not a directory" in warnings[0]


def garbage(path: Path) -> None:
    path.write_bytes(os.urandom(10_000))


def foreign(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("CREATE TABLE books (mine TEXT); PRAGMA user_version = 1")


def newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 2")


@pytest.mark.parametrize("harm", [garbage, foreign, newer])
@pytest.mark.parametrize("age_s", [0.0, 20.0, 70.0, -1000.0])
def test_after_the_loss_of_a_file_nothing_is_sent_until_it_cannot_matter(
    path: Path, harm: Callable[[Path], None], age_s: float
) -> None:
    warnings: list[str] = []
    ledger = opened(path, FakeMachine())
    taken(ledger, 0.0)
    ledger.close(0.0)
    harm(path)
    wall_s = path.stat().st_mtime
    harmed = path.read_bytes()
    machine = FakeMachine(clock=500.0, wall=wall_s + age_s, owner="next")
    again = opened(path, machine, warnings.append)
    assert frozen_s(again, 500.0) == pytest.approx(max(0.0, STOP_S - max(0.0, age_s)))
    # A later process knows of the loss, too, with any credential.
    other = opened(path, attrs.evolve(machine, owner="third"), warnings.append, "somebody else")
    assert frozen_s(other, 500.0) == frozen_s(again, 500.0)
    assert len(warnings) == 1
    assert str(path) in warnings[0]
    assert path.with_name("ledger.sqlite.damaged").read_bytes() == harmed


@pytest.mark.parametrize(
    "change",
    [
        "book = replace(book, '0', '1')",
        "book = ''",
        "book = '[]', checksum = 223132457",
        "checksum = checksum + 1",
        "book = CAST(replace(book, 'null', x'ff') AS TEXT)",
        "boot = 'another'",
        "boot = CAST(x'ff' AS TEXT)",
        "clock_s = clock_s - 1e9",
        "wall_s = wall_s - 3600",
        "wall_s = 0",
    ],
)
def test_a_book_that_is_not_as_it_was_written_is_begun_anew_after_a_pause(path: Path, change: str) -> None:
    warnings: list[str] = []
    ledger = opened(path, FakeMachine(wall=time.time()))
    taken(ledger, 0.0)
    ledger.close(0.0)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"UPDATE books SET {change}, version = 99")
        connection.commit()
    again = opened(path, FakeMachine(clock=5.0, wall=path.stat().st_mtime), warnings.append)
    assert not isinstance(again.take(MEDIUM, ONE, 5.0), Slot)
    assert frozen_s(again, 5.0) == pytest.approx(STOP_S, abs=1.0)
    assert len(warnings) == 1
    taken(again, 5.0 + STOP_S)


def test_a_file_that_begins_to_fail_is_left_for_memory_and_nothing_is_forgotten(path: Path) -> None:
    warnings: list[str] = []
    ledger = opened(path, FakeMachine(), warnings.append)
    slot = taken(ledger, 0.0)
    with closing(sqlite3.connect(path)) as other:
        other.execute("DROP TABLE books")
    ledger.settle(slot, 1.0, None)
    taken(ledger, 1.0)
    assert not isinstance(ledger.take(MEDIUM, ONE, 1.0), Slot)
    assert used(ledger, 60.9) == 2
    assert used(ledger, 61.0) == 1
    assert len(warnings) == 1
    ledger.close(2.0)


def test_a_process_follows_when_another_has_begun_the_file_anew(path: Path) -> None:
    warnings: list[str] = []
    first = opened(path, FakeMachine(owner="a"), warnings.append)
    taken(first, 0.0)
    path.rename(path.with_name("elsewhere"))
    second = opened(path, FakeMachine(owner="b"), warnings.append)
    taken(first, 1.0)  # it knows its own requests, and writes them into the new file
    assert used(second, 1.0) == 2
    assert warnings == []


# Locks


def test_while_another_process_holds_the_lock_nothing_is_taken_and_nothing_is_lost(path: Path) -> None:
    ledger, other = opened(path, FakeMachine(owner="a")), opened(path, FakeMachine(owner="b"))
    slots = [taken(ledger, 0.0) for _ in range(2)]
    with closing(sqlite3.connect(path, isolation_level=None)) as stopped:
        stopped.execute("BEGIN IMMEDIATE")
        again_s = ledger.take(MEDIUM, ONE, 1.0)
        assert not isinstance(again_s, Slot)
        assert 1.0 < again_s < 1.2
        ledger.cancel(slots[0])
        ledger.refuse(slots[1], 1.0, None, 5.0)
        assert 1.0 < ledger.sync(1.0) < 1.2
        assert used(other, 1.0) == 2
        stopped.execute("ROLLBACK")
    assert ledger.sync(1.2) == float("inf")
    assert used(other, 1.2) == 1
    assert frozen_s(other, 1.2) == pytest.approx(5.8)


def test_what_was_late_comes_before_what_is_asked_next(path: Path) -> None:
    ledger = opened(path, FakeMachine())
    slots = [taken(ledger, 0.0) for _ in range(2)]
    with closing(sqlite3.connect(path, isolation_level=None)) as stopped:
        stopped.execute("BEGIN IMMEDIATE")
        ledger.cancel(slots[0])
        stopped.execute("ROLLBACK")
    taken(ledger, 1.0)


def test_a_lock_that_shows_only_when_the_row_is_read_is_waited_for_as_well(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = opened(path, FakeMachine())
    busy = sqlite3.OperationalError("database is locked")
    busy.sqlite_errorcode = sqlite3.SQLITE_BUSY

    class Busy:
        def execute(self, *_statement: object) -> None:
            raise busy

    with monkeypatch.context() as patched:
        patched.setattr(ledger._replica.home, "_connection", Busy())
        assert not isinstance(ledger.take(MEDIUM, ONE, 0.0), Slot)
    taken(ledger, 0.1)


def test_a_lock_ends_with_the_process_that_holds_it(path: Path) -> None:
    ledger = opened(path, FakeMachine())
    taken(ledger, 0.0)
    code = (
        "import os, signal, sqlite3, sys\n"
        "connection = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "connection.execute('BEGIN IMMEDIATE')\n"
        "connection.execute(\"UPDATE books SET book = 'half'\")\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    taken(ledger, 0.0)
    assert used(ledger, 0.0) == 2


# Boots and clocks


@pytest.mark.parametrize(
    ("wall_passed_s", "free_s"),
    [
        (100.0, 30.0),  # nothing counts any more
        (40.0, 50.0),  # of the old clock's 60 s, 40 are over
        (-5000.0, 60.0),  # set back: everything happened before this boot, so it counts until 60 s at most
    ],
)
def test_a_row_of_an_earlier_boot_is_translated_by_the_wall_clock(
    path: Path, wall_passed_s: float, free_s: float
) -> None:
    machine = FakeMachine(clock=70_000.0)
    ledger = opened(path, machine)
    for _ in range(2):
        ledger.settle(taken(ledger, 70_000.0), 70_000.0, None)
    ledger.close(70_000.0)
    reborn = FakeMachine(boot="second boot", clock=30.0, wall=machine.wall + wall_passed_s)
    again = opened(path, reborn)
    state = next(state for state in again.states(30.0) if state.group == MEDIUM)
    assert state.next_free_s == pytest.approx(free_s - 30.0)
    assert state.frozen_for_s == 0.0


@pytest.mark.parametrize(("wall_passed_s", "thaw_s"), [(10.0, 80.0), (-5000.0, 61.0), (90.0, 30.0)])
def test_a_penalty_of_an_earlier_boot_lasts_no_longer_than_it_would_have(
    path: Path, wall_passed_s: float, thaw_s: float
) -> None:
    machine = FakeMachine(clock=70_000.0)
    ledger = opened(path, machine)
    ledger.refuse(taken(ledger, 70_000.0), 70_000.0, None, 60.0)
    ledger.close(70_000.0)
    reborn = FakeMachine(boot="second boot", clock=30.0, wall=machine.wall + wall_passed_s)
    thaw_s = min(thaw_s, 61.0)  # counted from this boot's beginning at most
    assert frozen_s(opened(path, reborn), 30.0) == pytest.approx(max(0.0, thaw_s - 30.0))


def test_after_a_power_cut_nothing_is_sent_until_what_was_lost_cannot_matter(path: Path) -> None:
    ledger = opened(path, FakeMachine(clock=70_000.0))
    taken(ledger, 70_000.0)
    close_file(ledger)
    reborn = FakeMachine(boot="second boot", clock=20.0, wall=FakeMachine().wall + 1000.0)
    again = opened(path, reborn)
    assert frozen_s(again, 20.0) == STOP_S - 20.0
    taken(again, STOP_S)


# Processes


def test_this_process_is_alive_and_a_dead_one_is_not() -> None:
    machine = LinuxMachine.here()
    assert machine.is_alive(machine.owner)
    pid, start, namespace = machine.owner.split(".")
    assert not machine.is_alive(f"{pid}.{int(start) + 1}.{namespace}")
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert child.stdin is not None
    text = Path(f"/proc/{child.pid}/stat").read_text()
    owner = f"{child.pid}.{text.rpartition(')')[2].split()[19]}.{namespace}"
    assert machine.is_alive(owner)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not machine.is_alive(owner), "a zombie is dead"
    child.wait()
    child.stdin.close()
    assert not machine.is_alive(owner)
    assert machine.is_alive(f"1.1.{int(namespace) + 1}"), "what cannot be seen may be alive"


def test_the_clock_of_the_machine_never_stands_and_is_that_of_all_processes() -> None:
    machine = LinuxMachine.here()
    before_s = machine.clock_s()
    code = "from rcfs.store import LinuxMachine; print(LinuxMachine.here().clock_s())"
    other = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert before_s < float(other.stdout) < machine.clock_s()


def test_a_process_that_ends_leaves_nothing_in_flight(path: Path) -> None:
    first, second = opened(path, FakeMachine(owner="a")), opened(path, FakeMachine(owner="b"))
    taken(first, 0.0)
    first.take(MEDIUM, Waiting.only(Priority.BULK, 0.0, 7), 0.0)
    first.close(5.0)
    state = next(state for state in second.states(5.0) if state.group == MEDIUM)
    assert (state.in_flight, state.used, sum(state.elsewhere)) == (0, 1, 0)


def test_nothing_in_the_file_tells_who_it_is(path: Path) -> None:
    login = Credentials("app-id", "s3cret", "s3cret.jwt")
    ledger = opened(path, FakeMachine(), credential=login.identity("https://platform.example.com"))
    taken(ledger, 0.0)
    data = b"".join(each.read_bytes() for each in path.parent.iterdir())
    assert b"s3cret" not in data
    assert b"app-id" not in data
    assert b"example" not in data


# Rate limits that an earlier version believed


def test_a_year_that_an_earlier_version_wrote_down_is_an_hour(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as earlier:
        for module in ("_book", "_bucket"):
            earlier.setattr(f"rcfs.quota.{module}.LONGEST_S", 1e17)
        earlier.setattr("rcfs.quota._bucket.MOST_REQUESTS", 10**18)
        old = opened(path, FakeMachine(owner="old"))
        # More than are counted one by one: they are counted in steps of two days.
        for remaining in [None] * 250 + [0]:
            old.settle(taken(old, 5.0), 6.0, RateHeaders(MEDIUM, 1000, remaining, 31_536_000.0))
        old.take(MEDIUM, Waiting.only(Priority.BULK, 5.0), 6.0)  # which begins a pace
        old.refuse(Slot(10**6, MEDIUM, 6.0, "me"), 7.0, None, 1e12)
        old.close(8.0)
    machine = FakeMachine(owner="new")
    ledger = opened(path, machine)
    assert frozen_s(ledger, 10.0) <= LONGEST_S + 10.0
    later_s = 10.0 + LONGEST_S + 10.0
    (state,) = (each for each in ledger.states(10.0) if each.group == MEDIUM)
    assert state.window_s == LONGEST_S
    assert max(state.returns_s, default=0.0) < LONGEST_S * 1.01 + 30.0 + LONGEST_REQUEST_S
    assert isinstance(ledger.take(MEDIUM, ONE, 10.0), float)
    again = opened(path, FakeMachine(owner="third"))
    assert frozen_s(again, later_s) == 0.0, "it was written down, so it does not move on"
    taken(again, later_s + LONGEST_S)


def test_a_limit_beyond_reason_that_an_earlier_version_wrote_down_takes_no_memory(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr("rcfs.quota._bucket.MOST_REQUESTS", 10**18)
        old = opened(path, FakeMachine(owner="old"))
        old.settle(taken(old, 0.0), 1.0, RateHeaders(MEDIUM, 10**18, 0))
        close_file(old)
    ledger = opened(path, FakeMachine(owner="new"))
    assert used(ledger, 2.0) <= MOST_REQUESTS + 1, "its own, and what seem to be others'"
    ledger.close(2.0)


def test_a_second_ledger_of_the_file_leaves_the_locks_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    machine = FakeMachine()
    first = open_ledger(path, "first", PLANS, pytest.fail, machine)
    first.note_person(0.0)
    locks = locks_of(path)
    assert locks, "the write-ahead log belongs to the processes that have these"
    second = open_ledger(path, "second", PLANS, pytest.fail, machine)
    assert locks_of(path) >= locks
    second.close(0.0)
    assert locks_of(path) >= locks
    first.close(0.0)


def locks_of(path: Path) -> set[str]:
    """The bytes of a file that this process has locked."""
    rows = [line.split() for line in Path("/proc/locks").read_text(encoding="ascii").splitlines()]
    inode, own = str(path.stat().st_ino), str(os.getpid())
    return {row[6] for row in rows if row[4] == own and row[5].rpartition(":")[2] == inode}
