import errno
from collections import Counter

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from rcfs.content import Content
from rcfs.errors import StoreError, TransportError
from rcfs.model import CHUNK_BYTES, AttachmentKey
from tests.fakes.rig import noise

KEY = AttachmentKey("1", 2, 3, 4)
DATA = noise(2 * CHUNK_BYTES + 100)


class LentChunk:
    """A chunk from the cache, which counts how often it is closed."""

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


def lent(data: bytes) -> dict[int, LentChunk]:
    return {
        at // CHUNK_BYTES: LentChunk(data[at : at + CHUNK_BYTES]) for at in range(0, len(data), CHUNK_BYTES)
    }


def write(content: Content, start: int, data: bytes, *, keep: bool = True) -> None:
    """Writes in pieces that end at chunk borders, and stores full chunks on the disk or in memory."""
    while data:
        index = start // CHUNK_BYTES
        piece = data[: (index + 1) * CHUNK_BYTES - start]
        content.write(start, memoryview(piece))
        if content.is_full(index):
            data_of_chunk = content.seal(index)
            content.note_stored(index, LentChunk(bytes(data_of_chunk)) if keep else None)
        start, data = start + len(piece), data[len(piece) :]


EDGES = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES, len(DATA) - 1, len(DATA)]


@pytest.mark.parametrize("keep", [True, False], ids=["on the disk", "in memory"])
def test_every_range_is_read_across_chunks_and_drafts(keep: bool) -> None:
    content = Content(KEY)
    write(content, 0, DATA, keep=keep)
    assert content.arrived == len(DATA)
    for start in EDGES:
        for stop in [*EDGES, len(DATA) + 1000]:
            if start <= stop:
                assert content.read(start, stop - start) == DATA[start:stop]


def test_a_read_ends_before_the_first_missing_byte_in_whatever_order_bytes_arrive() -> None:
    content = Content(KEY)
    for start in [CHUNK_BYTES + 500, 2 * CHUNK_BYTES + 50, 0, 100]:
        write(content, start, DATA[start : start + 50])
    assert content.read(0, 1000) == DATA[:50]
    assert content.read(120, 1000) == DATA[120:150]
    assert content.read(60, 10) == b""
    assert content.has(CHUNK_BYTES + 500, 50)
    assert not content.has(CHUNK_BYTES + 499, 50)
    write(content, 50, DATA[50:100])
    assert content.read(0, 1000) == DATA[:150]


@pytest.mark.parametrize("size_first", [True, False])
def test_a_content_is_stored_when_every_chunk_is_and_not_before(size_first: bool) -> None:
    content = Content(KEY)
    if size_first:
        content.set_size(len(DATA))
    write(content, 2 * CHUNK_BYTES, DATA[2 * CHUNK_BYTES :])
    write(content, CHUNK_BYTES, DATA[CHUNK_BYTES : 2 * CHUNK_BYTES])
    assert content.full_drafts() == []
    content.write(0, memoryview(DATA[:CHUNK_BYTES]))
    content.set_size(len(DATA))
    assert content.full_drafts() == ([0] if size_first else [2, 0])
    for index in content.full_drafts():
        assert not content.is_stored
        data = content.seal(index)
        assert data == DATA[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES]
        assert not content.is_stored
        assert content.read(0, len(DATA)) == DATA, "a reader does not notice the storing"
        content.note_stored(index, None)
    assert content.is_stored


def test_a_read_past_the_end_is_empty() -> None:
    content = Content(KEY)
    assert content.read(0, 10) == b""
    content.write(content.arrived, memoryview(b"abc"))
    assert content.read(3, 10) == b""
    assert content.read(100, 10) == b""


def test_has_is_true_for_present_bytes_and_up_to_a_known_end() -> None:
    content = Content(KEY)
    content.write(content.arrived, memoryview(b"abc"))
    assert content.has(0, 3)
    assert not content.has(0, 4)
    content.set_size(3)
    assert content.has(0, 4), "all up to the end"
    assert not content.has(3, 1), "the end is certain only when it is complete"
    content.finish()
    assert content.has(100, 1)


def test_bytes_that_arrive_continue_the_chunks_from_the_cache() -> None:
    content = Content(KEY)
    content.adopt(lent(DATA[:CHUNK_BYTES]), None)
    content.write(content.arrived, memoryview(DATA[CHUNK_BYTES : CHUNK_BYTES + 50]))
    assert content.read(CHUNK_BYTES - 5, 100) == DATA[CHUNK_BYTES - 5 : CHUNK_BYTES + 50]


def test_clear_closes_the_chunks_of_the_cache_and_drops_the_size() -> None:
    chunks = lent(DATA)
    content = Content(KEY)
    content.adopt(chunks, len(DATA))
    version = content.version
    content.clear()
    assert [chunk.closed for chunk in chunks.values()] == [1, 1, 1]
    assert (content.arrived, content.size_bytes, content.is_stored) == (0, None, False)
    assert content.version != version
    assert content.read(0, 10) == b""


def test_reading_a_chunk_that_the_disk_lost_raises_a_store_error() -> None:
    chunks = lent(DATA)
    content = Content(KEY)
    content.adopt(chunks, len(DATA))
    chunks[1].failing = True
    assert content.read(0, 10) == DATA[:10]
    with pytest.raises(StoreError, match="1/2/3/4") as caught:
        content.read(CHUNK_BYTES - 1, 2)
    assert isinstance(caught.value.__cause__, OSError)


async def test_waiters_wake_when_their_bytes_are_present_and_not_before() -> None:
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
        content.write(content.arrived, memoryview(b"abc"))
        await wait_all_tasks_blocked()
        assert woken == []
        content.write(content.arrived, memoryview(b"d"))
        await wait_all_tasks_blocked()
        assert woken == ["first"]
        content.set_size(10)
        await wait_all_tasks_blocked()
        assert woken == ["first", "size"]
        content.write(content.arrived, memoryview(b"efghij"))
        await wait_all_tasks_blocked()
        assert len(woken) == 2
        content.finish()
    assert sorted(woken[2:]) == ["beyond", "complete"]


class Steps(trio.abc.Instrument):
    """Counts how often each task runs, by its name."""

    def __init__(self) -> None:
        self.counted: Counter[str] = Counter()

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.counted[task.name] += 1


async def test_a_piece_wakes_only_the_readers_that_it_completes() -> None:
    content = Content(KEY)
    content.set_size(8)
    steps = Steps()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(content.wait_for, 0, 4, name="first half")
        nursery.start_soon(content.wait_for, 4, 4, name="second half")
        nursery.start_soon(content.wait_complete, name="all")
        await wait_all_tasks_blocked()
        trio.lowlevel.add_instrument(steps)
        for at in range(8):
            content.write(at, memoryview(DATA[at : at + 1]))
            await wait_all_tasks_blocked()
            woken = [name for name in ("first half", "second half", "all") if steps.counted[name]]
            assert woken == ["first half", "second half"][: (at + 1) // 4], f"after {at + 1} bytes"
        trio.lowlevel.remove_instrument(steps)
        content.finish()


async def test_a_failure_is_raised_for_all_present_and_later_waiters() -> None:
    content = Content(KEY)
    content.write(content.arrived, memoryview(b"abc"))
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
