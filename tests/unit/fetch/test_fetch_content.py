import errno

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from rcfs.errors import StoreError, TransportError
from rcfs.fetch import Content
from rcfs.model import CHUNK_BYTES, ContentKey
from tests.fakes.rig import noise

KEY = ContentKey("1", 2, 3, 4)
DATA = noise(2 * CHUNK_BYTES + 100)


class LentChunk:
    """A chunk of the cache."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.closed = 0
        self.failing = False

    @property
    def length_bytes(self) -> int:
        return len(self.data)

    def pread(self, offset: int, size: int) -> bytes:
        assert not self.closed
        if self.failing:
            raise OSError(errno.EIO, "the chunk was cut short while it was open")
        return self.data[offset : offset + size]

    def close(self) -> None:
        self.closed += 1


def lent(data: bytes) -> list[LentChunk]:
    return [LentChunk(data[at : at + CHUNK_BYTES]) for at in range(0, len(data), CHUNK_BYTES)]


def appended(data: bytes, *, keep: bool) -> Content:
    content = Content(KEY)
    for chunk in lent(data):
        content.append(memoryview(chunk.data))
        if chunk.length_bytes == CHUNK_BYTES:
            content.close_chunk(chunk if keep else None)
    return content


@pytest.mark.parametrize("keep", [True, False], ids=["on the disk", "in memory"])
def test_every_range_is_read_across_chunks_and_the_tail(keep: bool) -> None:
    content = appended(DATA, keep=keep)
    assert (content.arrived, content.chunks, content.tail) == (len(DATA), 2, DATA[2 * CHUNK_BYTES :])
    edges = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES, len(DATA) - 1, len(DATA)]
    for start in edges:
        for stop in [*edges, len(DATA) + 1000]:
            if start <= stop:
                assert content.read(start, stop - start) == DATA[start:stop]


def test_past_the_end_there_is_nothing() -> None:
    content = Content(KEY)
    assert content.read(0, 10) == b""
    content.append(memoryview(b"abc"))
    assert content.read(3, 10) == b""
    assert content.read(100, 10) == b""


def test_what_is_there_is_told_apart_from_what_is_not() -> None:
    content = Content(KEY)
    content.append(memoryview(b"abc"))
    assert content.has(0, 3)
    assert not content.has(0, 4)
    content.finish()
    assert content.has(0, 4)
    assert content.has(100, 1)
    assert content.size_bytes == 3


def test_adopted_chunks_are_continued() -> None:
    content = Content(KEY)
    content.adopt(lent(DATA[:CHUNK_BYTES]))
    content.append(memoryview(DATA[CHUNK_BYTES : CHUNK_BYTES + 50]))
    assert content.read(CHUNK_BYTES - 5, 100) == DATA[CHUNK_BYTES - 5 : CHUNK_BYTES + 50]
    assert content.chunks == 1


def test_clearing_gives_back_what_was_lent_and_forgets_the_size() -> None:
    chunks = lent(DATA)
    content = Content(KEY)
    content.adopt(chunks)
    content.learn_size(len(DATA))
    content.clear()
    assert [chunk.closed for chunk in chunks] == [1, 1, 1]
    assert (content.arrived, content.chunks, content.tail, content.size_bytes) == (0, 0, b"", None)
    assert content.read(0, 10) == b""


def test_a_disk_that_loses_a_chunk_is_a_store_error() -> None:
    chunks = lent(DATA)
    content = Content(KEY)
    content.adopt(chunks)
    chunks[1].failing = True
    assert content.read(0, 10) == DATA[:10]
    with pytest.raises(StoreError, match="1/2/3/4") as caught:
        content.read(CHUNK_BYTES - 1, 2)
    assert isinstance(caught.value.__cause__, OSError)


async def test_waiters_wake_when_their_bytes_are_there_and_not_before() -> None:
    content = Content(KEY)
    woken: list[str] = []

    async def wait(name: str, start: int, size: int) -> None:
        await content.wait_for(start, size)
        woken.append(name)

    async def wait_size() -> None:
        assert await content.wait_size() == 10
        woken.append("size")

    async def wait_complete() -> None:
        await content.wait_complete()
        woken.append("complete")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait, "first", 0, 4)
        nursery.start_soon(wait, "beyond", 100, 1)
        nursery.start_soon(wait_size)
        nursery.start_soon(wait_complete)
        await wait_all_tasks_blocked()
        content.append(memoryview(b"abc"))
        await wait_all_tasks_blocked()
        assert woken == []
        content.append(memoryview(b"d"))
        await wait_all_tasks_blocked()
        assert woken == ["first"]
        content.learn_size(10)
        await wait_all_tasks_blocked()
        assert woken == ["first", "size"]
        content.append(memoryview(b"efghij"))
        await wait_all_tasks_blocked()
        assert len(woken) == 2
        content.finish()
    assert sorted(woken[2:]) == ["beyond", "complete"]


async def test_a_failure_reaches_everybody_who_waits_and_who_comes_later() -> None:
    content = Content(KEY)
    content.append(memoryview(b"abc"))
    failed: list[TransportError] = []

    async def wait() -> None:
        try:
            await content.wait_complete()
        except TransportError as exc:
            failed.append(exc)

    error = TransportError("broken")
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        content.fail(error)
    await wait()
    assert failed == [error] * 4
    with pytest.raises(TransportError):
        await content.wait_size()
    await content.wait_for(0, 3)


async def test_a_waiter_that_is_cancelled_leaves_nothing_behind() -> None:
    content = Content(KEY)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(content.wait_complete)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    content.finish()
    await content.wait_complete()
