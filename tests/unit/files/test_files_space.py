"""The answer to statfs: at once, whatever hangs."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio

from rcfs.errors import StoreError
from rcfs.files import _space
from rcfs.files._space import Space, SpaceMeter
from rcfs.fuse._attributes import statvfs_of
from rcfs.model import AttachmentKey
from rcfs.store import SizeIndex

MIB = 1 << 20


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
    with trio.fail_after(10):
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

    monkeypatch.setattr(_space, "_DISK_WITHIN_S", 0.01)
    space = SpaceMeter(engine_of(sizes, fail, tmp_path))
    before = await space.look()
    begun, released = threading.Event(), threading.Event()
    asked: list[Path] = []

    def hang(directory: Path) -> os.statvfs_result:
        asked.append(directory)
        begun.set()
        released.wait(30)
        raise OSError

    monkeypatch.setattr(os, "statvfs", hang)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(space.run)
        for _question in range(50):
            assert (await space.look()).free_bytes == before.free_bytes
        assert await trio.to_thread.run_sync(begun.wait, 10)  # A thread may begin late.
        assert asked == [tmp_path], "no thread waits but the first"
        released.set()
        nursery.cancel_scope.cancel()
