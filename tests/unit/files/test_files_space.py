"""The answer to statfs: at once, whatever hangs."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from rcfs.errors import StoreError
from rcfs.files import Space, SpaceMeter, _space
from rcfs.fuse._attributes import statvfs_of
from rcfs.model import AttachmentKey
from rcfs.store import SizeIndex

MIB = 1 << 20
LIMIT_S = 60.0
"""Longest wait for a thread to be done, on a machine however busy."""


@pytest.fixture
def sizes(tmp_path: Path) -> Iterator[SizeIndex]:
    opened = SizeIndex.open(tmp_path / "sizes.sqlite", pytest.fail)
    yield opened
    opened.close()


def engine_of(sizes: SizeIndex, records: Any, directory: Path) -> Any:
    extensions = (SimpleNamespace(id=5),)
    return SimpleNamespace(
        cache=SimpleNamespace(directory=directory),
        account=SimpleNamespace(id="1", extensions=extensions),
        sizes=sizes,
        index=SimpleNamespace(reader=SimpleNamespace(record_bytes=records)),
        recorder=SimpleNamespace(fault=lambda *_: None),
    )


async def _answer(meter: SpaceMeter, used_bytes: int) -> Space:
    """The answer, as soon as it tells of `used_bytes`: they are summed in threads, in no virtual time."""
    with trio.fail_after(LIMIT_S):
        while True:
            space = await meter.look()
            if space.tree_bytes == used_bytes:
                return space
            await trio.sleep(0.001)


async def test_used_is_the_tree_and_free_is_the_disk(
    sizes: SizeIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_space, "_SUM_EVERY_S", 0.0)
    monkeypatch.setattr("rcfs.store._sizes._SUMMED", 2)
    for number in range(5):
        sizes.record(AttachmentKey("1", 5, number, 1), MIB)
    sizes.record(AttachmentKey("11", 5, 1, 1), 100 * MIB)  # of another account
    pages = {-1: (3 * MIB, 700), 700: (MIB, None)}
    space = SpaceMeter(engine_of(sizes, lambda _account, _extension, after: pages[after], tmp_path))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(space.run)
        data = statvfs_of(await _answer(space, 9 * MIB), 7)
        assert (data.f_blocks - data.f_bfree) * data.f_frsize == 9 * MIB
        assert data.f_bavail == data.f_bfree > 0
        assert data.f_files - data.f_ffree == 7
        sizes.record(AttachmentKey("1", 5, 9, 1), MIB)
        space.changed([("101 Jane",)])
        await _answer(space, 10 * MIB)
        nursery.cancel_scope.cancel()


async def test_a_disk_that_hangs_and_an_index_that_fails_delay_no_answer(
    sizes: SizeIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Any:
        raise StoreError("busy")

    space = SpaceMeter(engine_of(sizes, fail, tmp_path))
    released = threading.Event()
    asked: list[Path] = []

    def hang(directory: Path) -> os.statvfs_result:
        asked.append(directory)
        released.wait(LIMIT_S)
        raise OSError

    monkeypatch.setattr(os, "statvfs", hang)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(space.run)
        before = await space.look()
        assert before.free_bytes > 0
        for _question in range(50):
            assert await space.look() == before
        assert asked in ([], [tmp_path]), "at most one thread waits, and it may not have begun yet"
        released.set()
        with trio.fail_after(LIMIT_S):
            while True:
                if not (await space.look()).free_bytes:
                    break
                await trio.sleep(0.001)
        nursery.cancel_scope.cancel()
    assert asked == [tmp_path] * 2, "the disk is asked again when the first question has ended"


async def test_the_first_answer_waits_for_the_first_sum(
    sizes: SizeIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_space, "_FIRST_SUM_WITHIN_S", LIMIT_S)
    space = SpaceMeter(engine_of(sizes, lambda *_: (MIB, None), tmp_path))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(space.run)
        assert (await space.look()).tree_bytes == MIB
        nursery.cancel_scope.cancel()


async def test_no_answer_waits_longer_than_a_moment_for_the_first_sum(
    sizes: SizeIndex, tmp_path: Path, autojump_clock: MockClock
) -> None:
    released = threading.Event()

    def locked(*_: object) -> tuple[int, None]:
        released.wait(LIMIT_S)
        return MIB, None

    space = SpaceMeter(engine_of(sizes, locked, tmp_path))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(space.run)
        began = trio.current_time()
        for _question in range(3):
            assert (await space.look()).tree_bytes == 0
        released.set()
        # A second for the sum, and a quarter for the disk: threads take no virtual time, so either may run
        # out.
        assert 1.0 <= trio.current_time() - began <= 1.0 + 3 * 0.25
        nursery.cancel_scope.cancel()
