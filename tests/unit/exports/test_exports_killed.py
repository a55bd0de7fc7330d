"""Fills that are killed with SIGKILL, in processes of their own: the next one continues.

With ``RCFS_LONG=1`` in the environment they are killed 30 times, at every tenth of each archive.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from itertools import cycle, product
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from rcfs.exports import FillReport
from rcfs.exports._filling import Filling
from rcfs.exports._report import FillMark
from rcfs.model import CHUNK_BYTES, Export, Wanted
from rcfs.store._incoming import Incoming
from tests.fakes.integrity import LONG
from tests.fakes.rig import noise, open_rig, run_inline
from tests.fakes.scripted import ScriptedPlatform
from tests.fakes.zips import Mails, headers_of, keys_of, packed, prepare

MOMENTS = ("receive", "write", "store", "take", "mark")
"""The kinds of moments: when a piece has come, a file is half written, files are stored, the whole piece is
stored, or the mark is behind it."""
PIECE_BYTES = 32 << 10
"""Bytes that are taken apart at a time, in place of a MiB."""
SMALL_BYTES, LARGE_BYTES = 40_000, 2 * CHUNK_BYTES + 5
"""Sizes of the contents."""
CACHE_BYTES = 5 << 20
"""The contents have 4 MB, database and log up to 0.7."""


def served() -> tuple[ScriptedPlatform, Mails, Export]:
    """A report with three archives of contents: many small ones, one of several chunks, and few."""
    platform = ScriptedPlatform(admin=False)
    mails = Mails.of(platform, 36, SMALL_BYTES)
    mails.add(37, noise(LARGE_BYTES, 37))
    parts = [range(1, 15), range(15, 26), (37, *range(26, 37))]
    return platform, mails, mails.serve(mails.records(), *(packed(mails.files(part)) for part in parts))


class Killer:
    """Kills this process at a place of an archive."""

    def __init__(self, log: Path, archive: int, position: int, where: str) -> None:
        """Kills at the first moment of the kind `where` after the byte `position` of `archive` has come."""
        self.facts: dict[str, Any] = {}
        """Facts that are in the file `log` after the death."""
        self._log = log
        self._archive = archive
        self._position = position
        self._where = where
        self._is_armed = False

    def arm(self, archive: int, position: int) -> None:
        """Notes where the fill is."""
        self._is_armed = archive == self._archive and position >= self._position

    def reach(self, where: str, first: Callable[[], object] = lambda: None) -> None:
        """Kills, after `first`, if this is the moment."""
        if self._is_armed and where == self._where:
            first()
            self._log.write_text(json.dumps(self.facts))
            os.kill(os.getpid(), signal.SIGKILL)

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Watches this process."""
        wrote, take, put, mark = os.write, Filling.take, Incoming.put, FillMark.write

        def write(fd: int, data: Any) -> int:
            # In the middle of the file.
            self.reach("write", lambda: wrote(fd, bytes(data)[: len(data) // 2]))
            return wrote(fd, data)

        def take_apart(filling: Filling, data: bytes) -> None:
            self.arm(self.facts["archive"], filling._reader._position + len(data))
            self.reach("receive")
            take(filling, data)
            self.reach("take")

        def put_and_die(incoming: Incoming, contents: Any) -> int:
            stored = put(incoming, contents)
            self.reach("store")
            return stored

        def write_mark(*arguments: Any) -> None:
            mark(*arguments)
            self.reach("mark")

        patch.setattr(os, "write", write)
        patch.setattr(Filling, "take", take_apart)
        patch.setattr(Incoming, "put", put_and_die)
        patch.setattr(FillMark, "write", write_mark)
        patch.setattr("rcfs.exports._fill.CHUNK_BYTES", PIECE_BYTES)
        patch.setattr(trio.to_thread, "run_sync", run_inline)


async def fill(directory: Path, facts: dict[str, Any]) -> None:
    """Fill from all archives."""
    platform, _mails, export = served()
    async with open_rig(platform, directory, cache_bytes=CACHE_BYTES) as rig:
        await prepare(rig)
        for archive in export.archives:
            number = facts["archive"] = archive.number
            marked = await rig.engine.fast_lane.reported(archive)
            facts[f"begun {number}"] = marked.done_bytes
            is_whole = marked.is_whole

            def note(report: FillReport, number: int = number) -> None:
                facts[f"done {number}"] = report.done_bytes

            sent = len(headers_of(platform))
            report = await rig.engine.fast_lane.fill_from(export, archive, progress=note)
            asked = headers_of(platform)[sent:]
            wanted = f"bytes={marked.done_bytes}-" if marked.done_bytes else ""
            assert asked == ([] if is_whole else [wanted])
            assert (report.is_whole, report.damaged, report.differing, report.unknown) == (True, 0, 0, 0)
            facts[f"counted {number}"] = report.filled + report.present


def run_child(directory: Path, log: Path, archive: int, position: int, where: str) -> bool:
    """Fill in a process that kills itself at a place, see `Killer`; whether it came to its end."""
    child = os.fork()
    if child:
        _pid, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) in (0, -signal.SIGKILL)
        return status == 0
    code = 1
    try:
        killer = Killer(log, archive, position, where)
        with pytest.MonkeyPatch.context() as patch:
            killer.install(patch)
            trio.run(fill, directory, killer.facts, clock=MockClock(autojump_threshold=0))
        log.write_text(json.dumps(killer.facts))
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


def test_a_fill_that_is_killed_at_every_tenth_of_its_way_does_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _platform, mails, _export = served()
    log, done, kills, before = tmp_path / "log", dict[str, int](), 0, 0
    moments = cycle(MOMENTS)
    for archive, tenth in product(range(1, 4), range(0, 10, 1 if LONG else 4)):
        before = before if tenth else 0
        position = len(mails.archives[archive]) * tenth // 10
        ended = run_child(tmp_path, log, archive, position, next(moments))
        assert not ended, "the fill was beyond this already"
        kills += 1
        facts = json.loads(log.read_text())
        for number in range(4):
            begun = facts.get(f"begun {number}", 0)
            assert begun >= done.get(str(number), 0)
            done[str(number)] = facts.get(f"done {number}", begun)
        # Only the member in progress comes again, and what had not been taken apart yet.
        member_bytes = LARGE_BYTES if archive == 3 else SMALL_BYTES
        assert facts[f"begun {archive}"] > before - PIECE_BYTES - member_bytes - 1000
        before = position
        assert disk_bytes(tmp_path) <= CACHE_BYTES + 2 * CHUNK_BYTES
    assert kills == (30 if LONG else 9)
    assert run_child(tmp_path, log, 4, 0, "")
    facts = json.loads(log.read_text())
    assert [facts[f"counted {number}"] for number in range(1, 4)] == [14, 11, 12]
    monkeypatch.setattr(trio.to_thread, "run_sync", run_inline)
    trio.run(assert_filled, tmp_path, clock=MockClock(autojump_threshold=0))
