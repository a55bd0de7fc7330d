"""A content that another process fetches: rcfs waits for it, and then reads it from the cache."""

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from rcfs.model import CHUNK_BYTES, ContentKey
from rcfs.store import ContentInfo
from rcfs.transport import AbandonedError
from tests.fakes.rig import Rig, noise
from tests.fakes.scripted import End, Reply

DATA = noise(2 * CHUNK_BYTES + 5)
FETCH = "readMessageContent"


@attrs.define
class OtherProcess:
    """Claims of which another process holds one; real claims would need a second process in virtual time."""

    busy: bool = False
    changes: int = 0
    claimed: set[ContentKey] = attrs.field(factory=set)

    def mark(self, key: ContentKey) -> bytes:
        return bytes([self.changes])

    def take(self, key: ContentKey) -> bool:
        if not self.busy:
            self.claimed.add(key)
        return not self.busy

    def give_back(self, key: ContentKey) -> None:
        self.claimed.remove(key)

    def close(self) -> None:
        assert not self.claimed

    def end(self) -> None:
        """The other process ends its fetch."""
        self.busy, self.changes = False, self.changes + 1


@pytest.fixture
def other(rig: Rig) -> OtherProcess:
    rig.cache.claims.close()
    other = OtherProcess()
    rig.cache.claims = other  # type: ignore[assignment]  # what the library uses of it
    return other


def store(rig: Rig, key: ContentKey, chunks: int = 3) -> None:
    for index in range(chunks):
        rig.cache.put_chunk(key, index, DATA[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES])
    rig.cache.put_info(key, ContentInfo(len(DATA)))


async def test_a_content_that_another_process_fetches_is_read_from_the_cache(
    rig: Rig, other: OtherProcess
) -> None:
    wanted = rig.wanted(1, DATA)
    other.busy = True
    async with trio.open_nursery() as nursery:
        got: list[bytes] = []

        async def read() -> None:
            got.append(await rig.read(wanted))

        nursery.start_soon(read)
        nursery.start_soon(read)
        await trio.sleep(10)
        assert got == []
        store(rig, wanted.key)
        other.end()
    assert got == [DATA, DATA]
    assert rig.ranges() == []
    assert rig.now <= 10.3
    assert rig.used("medium") == 0
    assert other.claimed == set()


async def test_an_unfinished_fetch_of_another_process_is_completed(rig: Rig, other: OtherProcess) -> None:
    wanted = rig.wanted(1, DATA)
    other.busy = True
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.read, wanted)
        await trio.sleep(10)
        store(rig, wanted.key, chunks=1)
        other.end()
    assert rig.ranges() == [f"bytes={CHUNK_BYTES}-"]


async def test_a_content_that_another_process_fetched_during_our_wait_is_not_fetched_again(
    rig: Rig, other: OtherProcess
) -> None:
    async with trio.open_nursery() as nursery:
        for number in range(1000, 1040):
            nursery.start_soon(rig.read, rig.wanted(number, b"x"))
    wanted = rig.wanted(1, DATA)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.read, wanted)
        await trio.sleep(10)
        assert rig.used("medium") == 40
        store(rig, wanted.key)
        other.end()
    assert len(rig.ranges()) == 40
    assert rig.used("medium") == 0, "the slot was given back"


async def test_a_waiter_for_another_process_that_gives_up_leaves_nothing(
    rig: Rig, other: OtherProcess
) -> None:
    wanted = rig.wanted(1, DATA)
    other.busy = True
    content = await rig.open(wanted)
    await trio.sleep(5)
    rig.engine.library.release(content)
    await wait_all_tasks_blocked()
    with pytest.raises(AbandonedError):
        await content.wait_complete()
    other.end()
    assert await rig.read(wanted) == DATA
    assert rig.ranges() == [""]


async def test_a_claim_is_held_as_long_as_the_fetch_and_given_back_when_it_fails(
    rig: Rig, other: OtherProcess
) -> None:
    rig.platform.script(FETCH, Reply.error(503), Reply.error(404))
    wanted = rig.wanted(1, DATA)
    content = await rig.open(wanted)
    await trio.sleep(1)
    assert other.claimed == {wanted.key}, "also between two attempts"
    with pytest.raises(Exception, match="404"):
        await content.wait_complete()
    rig.engine.library.release(content)
    assert other.claimed == set()


async def test_a_mark_that_changes_during_a_fetch_does_not_affect_it(rig: Rig, other: OtherProcess) -> None:
    wanted = rig.wanted(1, DATA)
    broken = Reply.sized(DATA[: CHUNK_BYTES + 70_000], len(DATA), end=End.STALL)
    rig.platform.script(FETCH, broken)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.read, wanted)
        await trio.sleep(5)
        other.changes += 1
    assert rig.ranges() == ["", f"bytes={CHUNK_BYTES + 70_000}-"]
