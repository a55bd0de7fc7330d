"""Fills that are killed with SIGKILL, in processes of their own: the next one continues."""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from rcfs.exports import FillReport
from rcfs.model import CHUNK_BYTES, Export, Wanted
from tests.fakes.rig import noise, open_rig, run_inline
from tests.fakes.scripted import ScriptedPlatform
from tests.fakes.zips import Mails, headers_of, keys_of, packed

KILLS = 30
CACHE_BYTES = 5 << 20
"""The contents have 4 MB, database and log up to 0.7."""


def served() -> tuple[ScriptedPlatform, Mails, Export]:
    """A report with three archives of contents: many small ones, one of several chunks, and few."""
    platform = ScriptedPlatform(admin=False)
    mails = Mails.of(platform, 36, 40_000)
    mails.add(37, noise(2 * CHUNK_BYTES + 5, 37))
    parts = [range(1, 15), range(15, 26), (37, *range(26, 37))]
    return platform, mails, mails.serve(mails.records(), *(packed(mails.files(part)) for part in parts))


async def fill(directory: Path, tell: Callable[[str, Any], None]) -> None:
    """Fill from all archives."""
    platform, _mails, export = served()
    async with open_rig(platform, directory, cache_bytes=CACHE_BYTES) as rig:
        for archive in export.archives:
            number = archive.number
            tell("ranges", lambda: headers_of(platform))
            marked = await rig.engine.fast_lane.reported(archive)
            tell(f"begun {number}", marked.done_bytes)
            is_whole = marked.is_whole

            def note(report: FillReport, number: int = number) -> None:
                tell(f"done {number}", report.done_bytes)

            sent = len(headers_of(platform))
            report = await rig.engine.fast_lane.fill_from(export, archive, progress=note)
            asked = headers_of(platform)[sent:]
            wanted = f"bytes={marked.done_bytes}-" if marked.done_bytes else ""
            assert asked == ([] if is_whole else [wanted])
            assert (report.is_whole, report.damaged, report.differing, report.unknown) == (True, 0, 0, 0)
            tell(f"counted {number}", report.filled + report.present)


def run_child(directory: Path, log: Path, writes: int) -> bool:
    """Fill in a process that kills itself at a number of writes to files; whether it came to its end."""
    child = os.fork()
    if child:
        _pid, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) in (0, -signal.SIGKILL)
        return status == 0
    code = 1
    try:
        facts: dict[str, Any] = {}
        wrote, left = os.write, writes

        def write(fd: int, data: Any) -> int:
            nonlocal left
            left -= 1
            if left == 0:
                # In the middle of the file.
                wrote(fd, bytes(data)[: len(data) // 2])
                log.write_text(json.dumps(facts))
                os.kill(os.getpid(), signal.SIGKILL)
            return wrote(fd, data)

        def tell(name: str, value: Any) -> None:
            facts[name] = value if not callable(value) else value()

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(trio.to_thread, "run_sync", run_inline)
            patch.setattr(os, "write", write)
            trio.run(fill, directory, tell, clock=MockClock(autojump_threshold=0))
        log.write_text(json.dumps(facts | {"writes": writes - left}))
        code = 0
    except BaseException as exc:  # noqa: ASYNC103, BLE001 - the parent must not run twice
        print(repr(exc), file=sys.__stderr__)
    finally:
        os._exit(code)
    return False


def disk_bytes(directory: Path) -> int:
    return sum(file.stat().st_blocks * 512 for file in (directory / "cache").rglob("*"))


async def assert_filled(directory: Path) -> None:
    """Every attachment reads byte for byte, without a request for a content."""
    platform, mails, _export = served()
    async with open_rig(platform, directory, cache_bytes=CACHE_BYTES) as rig:
        for key in keys_of(mails.contents):
            assert await rig.read(Wanted(key)) == mails.contents[key.message_id]
    assert platform.sent("readMessageContent") == []


def test_a_fill_that_is_killed_again_and_again_does_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    assert run_child(tmp_path / "once", log, 1 << 40)
    writes = json.loads(log.read_text())["writes"]
    stride = writes // KILLS
    directory, kills, done = tmp_path / "killed", 0, dict[str, int]()
    # A transaction that is killed leaves nothing, so each run lives longer than the one before.
    while not run_child(directory, log, 1 + kills * stride):
        kills += 1
        facts = json.loads(log.read_text())
        for number in range(4):
            begun = facts.get(f"begun {number}", 0)
            assert begun >= done.get(str(number), 0)
            done[str(number)] = facts.get(f"done {number}", begun)
        assert disk_bytes(directory) <= CACHE_BYTES + 2 * CHUNK_BYTES
    assert kills > 5
    facts = json.loads(log.read_text())
    assert [facts[f"counted {number}"] for number in range(1, 4)] == [14, 11, 12]
    monkeypatch.setattr(trio.to_thread, "run_sync", run_inline)
    trio.run(assert_filled, directory, clock=MockClock(autojump_threshold=0))
