import json
import sys
from contextlib import closing
from pathlib import Path

import attrs
import pytest
import trio
from bench._calls_load import BEFORE, NOW, load
from bench._calls_results import CallsFigures, CallsResults, Timed, calls_table
from bench._read_through import main as read_through
from trio.testing import MockClock

from rcfs.model import COMPANY
from rcfs.store import MailboxIndex
from tests.fakes.rig import run_inline


def test_a_load_in_virtual_time_leaves_an_index_of_both_months(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trio.to_thread, "run_sync", run_inline)
    loaded = trio.run(load, tmp_path, 40, 3, clock=MockClock(autojump_threshold=0))
    assert [month.month for month in loaded.months] == [NOW, BEFORE]
    assert sum(month.calls for month in loaded.months) in range(1195, 1201)
    assert [month.requests for month in loaded.months] == [1, 1]
    assert loaded.refused == 0
    assert loaded.look_requests <= 12, "one in five minutes"
    with closing(MailboxIndex.open(tmp_path / "mailboxes.sqlite", pytest.fail)) as index:
        account = index.reader.calls.records_after(0, 1)[0][1]
        for month in loaded.months:
            state = index.reader.calls.month(account, COMPANY, month.month)
            assert state is not None
            assert state.loaded


def test_a_directory_and_a_file_are_read_to_their_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a").write_text("one\ntwo\n")
    (tmp_path / "b").touch()
    found = []
    for path in (tmp_path, tmp_path / "a", tmp_path / "b"):
        monkeypatch.setattr(sys, "argv", ["", str(path)])
        read_through()
        first_s, rest_s, *counted = json.loads(capsys.readouterr().out)
        assert min(first_s, rest_s) >= 0
        found.append(counted)
    assert found == [[2, 0], [2, 8], [0, 0]]


def test_the_table_has_a_line_for_each_figure() -> None:
    month = {"month": NOW, "calls": 780_000, "requests": 780, "seconds": 4680.0, "share": 1.0}
    load_figures = {
        "months": [month],
        "looked_s": 3600.0,
        "look_requests": 12,
        "refused": 0,
        "index_bytes": 10**9,
        "idle_bytes": 90_000_000,
    }
    figures = CallsFigures(load=load_figures, load_s=100.0, load_rss_bytes=140_000_000)
    figures.read["calls"] = Timed(entries=3, size_bytes=2_000_000, first_s=0.5, whole_s=1.0)
    figures.mount_rss_bytes["mounting"] = 80_000_000
    figures.status = "calls      3"
    lines = calls_table(CallsResults({"machine": "2 cores", "commit": ""}, figures)).splitlines()
    what = f"first look into {NOW}: calls / Heavy requests / minutes / share of the budget"
    assert f"| {what} | 780,000 / 780 / 78 / 100% |" in lines
    assert "| peak memory of the load, MB (of which the simulator had before) | 140 (90) |" in lines
    assert "| calls: 3 lines, 2.0 MB, s to the first byte / all | 0.500 / 1.000 |" in lines
    assert "| peak memory of the mount after mounting, MB | 80 |" in lines
    assert lines[-1] == "Conditions: machine: 2 cores."
    assert attrs.asdict(figures)["read"]["calls"]["entries"] == 3
