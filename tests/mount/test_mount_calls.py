"""Calls that come, change and vanish at the platform while a mount shows them, and what that costs."""

import csv
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.mount.conftest import Mounted, Mounting, eventually, mounts
from tests.mount.test_mount_live import following, shown

pytestmark = pytest.mark.mount

CALLS = 9000
"""In half a year: a month has more than fit on one page, which are a thousand."""
LOADS = ("readCompanyCallLog", "readUserCallLog")
SYNCS = ("syncAccountCallLog", "syncUserCallLog")
MONTH, EARLIER = "2026-11", "2026-10"
"""The present month of the simulated account, and the one before it."""


@pytest.fixture(scope="module")
def mount(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mounted]:
    """A mount with the documented limit of recordings and call logs, raised for these tests."""
    with mounts(tmp_path_factory.mktemp("calls")) as make:
        yield make("--messages=10", f"--calls={CALLS}", "--limit=heavy=40")


class Desk:
    """Two extensions in a mount, and the present month of their calls."""

    def __init__(self, mount: Mounted) -> None:
        self.mount = mount
        self.jane, self.zoe = (next(mount.path.glob(f"{number} *")) for number in (101, 102))
        self.ids = [
            int(json.loads((path / "extension.json").read_text())["id"]) for path in (self.jane, self.zoe)
        ]
        self.log = self.jane / "Calls" / f"{MONTH}.csv"

    def refresh(self) -> None:
        """Lets the mount look for changed calls."""
        done = self.mount.rcfs("refresh", str(self.mount.path / "Company"))
        assert "the call log" in done.stdout

    def call(self, *owners: int, **wish: Any) -> dict[str, Any]:
        """A call of 101 whose record is there at once, or one with a leg for each of `owners`."""
        legs = [{"extension_id": owner, "duration_s": 60} for owner in owners or self.ids[:1]]
        return self.mount.server.call(legs=legs, log_after_s=0, **{"recording_after_s": None} | wish)

    def row(self, session_id: str) -> dict[str, str]:
        """The line of a call."""
        with self.log.open(newline="") as file:
            (row,) = (row for row in csv.DictReader(file) if row["session_id"] == session_id)
        return row

    def find(self, extension: Path, recording_id: int) -> list[Path]:
        """The files of a recording below an extension."""
        return list(extension.glob(f"Recordings/{MONTH}/*[[]{recording_id}[]].mp3"))

    def only(self, extension: Path, recording_id: int) -> Path:
        (path,) = self.find(extension, recording_id)
        return path


@pytest.fixture
def desk(mount: Mounted) -> Desk:
    return Desk(mount)


def requests(mount: Mounted, *operations: str) -> int:
    return sum(entry["operation"] in operations for entry in mount.server.journal())


def test_a_month_of_everybody_is_one_scan(mount: Mounted) -> None:
    mount.server.reset_journal()
    assert len(list(mount.path.glob(f"Company/Calls/{EARLIER}.*"))) == 2
    assert requests(mount, *LOADS) == 0, "months are listed without being loaded"
    calls = (mount.path / f"Company/Calls/{EARLIER}.jsonl").read_text().splitlines()
    assert requests(mount, *LOADS) == -(-len(calls) // 1000) == 2
    shown = (
        [(path, path.read_bytes()) for path in mount.path.glob(f"*/Calls/{EARLIER}.csv")],
        list(mount.path.glob(f"*/Recordings/{EARLIER}/*")),
    )
    assert all(shown)
    assert requests(mount, *LOADS, *SYNCS) == 2, "it has the calls of all extensions"
    assert mount.server.summary()["limited"] == 0


def test_calls_come_and_change_in_an_open_mount(desk: Desk) -> None:
    mount, server = desk.mount, desk.mount.server
    server.reset_journal()
    assert desk.log.read_text()
    desk.refresh()  # From here on the platform tells the changes since the last time.
    before = desk.log.read_text()
    with following("-f", desk.log) as tail:
        call = desk.call()
        desk.refresh()
        after = desk.log.read_text()
        assert after.startswith(before)
        assert after[len(before) :].count("\n") == 1
        assert shown(tail, call["session_id"]) in after[len(before) :]
    assert desk.log.stat().st_size == len(after.encode())
    assert desk.row(call["session_id"])["recording"] == ""
    assert call["id"] in desk.log.with_suffix(".jsonl").read_text()

    # The recording comes late.
    recording_id = server.record(call["id"])
    month = os.open(desk.jane / "Recordings" / MONTH, os.O_RDONLY | os.O_DIRECTORY)
    try:
        names = set(os.listdir(month))  # noqa: PTH208 - it is the open handle that counts
        desk.refresh()
        (name,) = set(os.listdir(month)) - names  # noqa: PTH208
    finally:
        os.close(month)
    path = desk.only(desk.jane, recording_id)
    assert path.name == name
    assert mount.path / desk.row(call["session_id"])["recording"] == path
    assert len(path.read_bytes()) == path.stat().st_size > 0

    # The platform changes the record.
    server.rewrite_call(call["id"], {"result": "Voicemail"}, {"result": "Voicemail"})
    desk.refresh()
    assert desk.row(call["session_id"])["result"] == "Voicemail"
    assert desk.only(desk.jane, recording_id) == path

    # It drops the recording from the record as well.
    server.delete_recording(recording_id)
    desk.refresh()
    assert desk.find(desk.jane, recording_id) == []
    assert not path.exists()
    assert desk.row(call["session_id"])["recording"] == ""
    assert requests(mount, *SYNCS) <= 5
    assert server.summary()["limited"] == 0


def test_each_leg_of_a_transfer_is_recorded_under_its_extension(desk: Desk) -> None:
    assert desk.log.read_text()
    desk.refresh()
    call = desk.call(*desk.ids, recording_after_s=0)
    desk.refresh()
    first, second = call["recording_ids"]
    paths = desk.only(desk.jane, first), desk.only(desk.zoe, second)
    assert [" leg 2 [" in path.name for path in paths] == [False, True]
    assert desk.find(desk.zoe, first) == desk.find(desk.jane, second) == []
    cell = desk.row(call["session_id"])["recording"]
    assert [desk.mount.path / each for each in cell.split(" | ")] == list(paths)


def test_a_login_without_the_companys_log(mounting: Mounting) -> None:
    mount = mounting("--messages=10", "--calls=200", "--standard-user", "--limit=heavy=40")
    (own,) = mount.path.glob("1*")
    assert not (mount.path / "Company").exists()
    calls = (own / f"Calls/{MONTH}.jsonl").read_text().splitlines()
    assert calls
    assert requests(mount, "readUserCallLog") == 1
    recordings = list(own.glob(f"Recordings/{MONTH}/*.mp3"))
    smallest = min(recordings, key=lambda path: path.stat().st_size)
    assert len(smallest.read_bytes()) == smallest.stat().st_size > 0
    assert mount.server.summary()["limited"] == 0


def test_calls_of_the_time_without_notifications_come_when_these_begin(mounting: Mounting) -> None:
    mount = mounting("--messages=10", "--calls=40", "--limit=auth=40")
    server, log = mount.server, mount.path / f"Company/Calls/{MONTH}.csv"
    before = log.read_text()
    owner = int(json.loads(next(mount.path.glob("101 */extension.json")).read_text())["id"])
    mount.umount()
    # Between two syncs are five minutes. The first mount after that learns the platform's time, and the next
    # one knows from its beginning how old the log is.
    known_s = clock_ahead_s(mount)
    server.advance(1000)
    mount.mount()
    eventually(lambda: clock_ahead_s(mount) > known_s + 900)
    mount.umount()
    call = server.call(owner, log_after_s=0)
    server.reset_journal()
    mount.mount()
    eventually(lambda: hints_of(mount)["call_logs"] == 1)
    eventually(lambda: log.stat().st_size > len(before.encode()))
    assert requests(mount, *SYNCS) == 1
    assert call["session_id"] in log.read_text()
    assert requests(mount, *LOADS) == 0
    assert server.summary()["limited"] == 0


def clock_ahead_s(mount: Mounted) -> float:
    """How far the platform's clock is ahead of this machine's, as the state has it; 0.0 without a note."""
    index = f"file:{mount.state}/mailboxes.sqlite?mode=ro"
    with closing(sqlite3.connect(index, uri=True)) as connection:
        notes = connection.execute("SELECT text FROM notes WHERE topic LIKE 'clock %'").fetchall()
    return float(notes[0][0]) if notes else 0.0


def hints_of(mount: Mounted) -> dict[str, Any]:
    """The part of the status about notifications."""
    found: dict[str, Any] = json.loads((mount.path / ".rcfs/status.json").read_text())["hints"]
    return found
