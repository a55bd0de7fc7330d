"""A large content with many readers while it arrives in pieces over breaking connections."""

from random import Random

import attrs
import pytest
import trio

from rcfs.content import Content
from rcfs.content._storage import Sink
from rcfs.model import CHUNK_BYTES
from tests.fakes.rig import Rig, drain, noise
from tests.fakes.scripted import End, Reply
from tests.scenario.conftest import OpenRig

SIZE = 3 * CHUNK_BYTES + 12_345
DATA = noise(SIZE)
FETCH = "readMessageContent"


def in_pieces(dice: Random, start: int, stop: int) -> list[bytes]:
    """DATA[start:stop] in pieces of random sizes, some of them as large as a chunk or empty."""
    pieces = []
    while start < stop:
        size = dice.choice([0, 1, 1000, 65_536, CHUNK_BYTES, dice.randrange(1, 2 * CHUNK_BYTES)])
        pieces.append(DATA[start : min(stop, start + size)])
        start += size
    return pieces


def broken_stream(dice: Random) -> list[Reply]:
    """Answers that bring DATA in up to four connections, whole or in parts."""
    cuts = sorted(dice.randrange(70_000, SIZE) for _ in range(dice.randrange(4)))
    replies = []
    for start, stop in zip([0, *cuts], [*cuts, SIZE], strict=True):
        end = End.CLEAN if stop == SIZE else dice.choice([End.RESET, End.TRUNCATED, End.STALL])
        whole = start == 0 or dice.random() < 0.3
        reply = Reply.sized(DATA) if whole else Reply.part(DATA, start, SIZE)
        pieces = in_pieces(dice, 0 if whole else start, stop)
        replies.append(attrs.evolve(reply, pieces=pieces, end=end, gap_s=dice.choice([0.001, 0.5])))
    return replies


async def read_at_random(content: Content, dice: Random) -> None:
    for _ in range(25):
        start = dice.randrange(SIZE + 10)
        size = dice.choice([1, 4096, 131_072, dice.randrange(1, SIZE)])
        await content.wait_for(start, size)
        assert content.read(start, size) == DATA[start : start + size]


async def peek_at_random(content: Content, dice: Random) -> None:
    """Reads without waiting: fewer bytes, never wrong ones."""
    while not content.complete:
        start = dice.randrange(SIZE)
        part = content.read(start, 200_000)
        assert part == DATA[start : start + len(part)]
        assert start + len(part) <= max(start, content.arrived)
        await trio.sleep(dice.choice([0.0007, 0.07, 7]))


async def read_in_order(content: Content) -> None:
    assert await drain(content) == DATA


@pytest.mark.parametrize("seed", range(8))
async def test_no_reader_ever_sees_a_wrong_byte(rig: Rig, seed: int) -> None:
    dice = Random(seed)
    replies = broken_stream(dice)
    rig.platform.script(FETCH, *replies)
    content = await rig.open(rig.wanted(1, DATA))
    assert await content.wait_size() == SIZE
    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(read_at_random, content, Random(f"{seed} {number}"))
        nursery.start_soon(peek_at_random, content, Random(f"{seed} peek"))
        nursery.start_soon(read_in_order, content)
    rig.engine.library.release(content)
    assert len(rig.ranges()) == len(replies)


async def test_the_first_bytes_are_there_after_one_round_trip(rig: Rig) -> None:
    rig.platform.script(FETCH, Reply.sized(DATA, pieces=[DATA[:1000], DATA[1000:]], gap_s=25))
    content = await rig.open(rig.wanted(1, DATA))
    assert await content.wait_size() == SIZE
    await content.wait_for(0, 1000)
    assert content.read(0, 5000) == DATA[:1000]
    assert rig.now == pytest.approx(0.1)
    await content.wait_complete()
    assert rig.now == pytest.approx(25.1)
    rig.engine.library.release(content)


async def test_a_reader_that_comes_while_it_arrives_joins_in(rig: Rig) -> None:
    rig.platform.script(FETCH, Reply.sized(DATA, pieces=[DATA[:1000], DATA[1000:]], gap_s=25))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.read, rig.wanted(1, DATA))
        await trio.sleep(10)
        assert await rig.read(rig.wanted(1, DATA)) == DATA
    assert rig.ranges() == [""]


async def test_a_chunk_is_stored_while_the_next_one_arrives_and_no_more(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    library, disk = rig.engine.library, trio.Event()
    store = Sink.store

    async def slow(sink: Sink, index: int) -> None:
        await disk.wait()
        await store(sink, index)

    monkeypatch.setattr(Sink, "store", slow)
    pieces = [DATA[at : at + 65_536] for at in range(0, SIZE, 65_536)]
    rig.platform.script(FETCH, Reply.sized(DATA, pieces=pieces, gap_s=0.001))
    content = await rig.open(rig.wanted(1, DATA))
    try:
        with trio.fail_after(10):
            await content.wait_for(0, 2 * CHUNK_BYTES)
        await trio.sleep(10)
        assert content.arrived == 2 * CHUNK_BYTES, "a disk slower than the line bounds what is in memory"
    finally:
        disk.set()
    await content.wait_complete()
    assert content.read(0, SIZE) == DATA
    library.release(content)
    assert rig.ranges() == [""]


async def test_what_has_arrived_of_a_content_that_fails_stays_readable(rig: Rig) -> None:
    rig.platform.script(FETCH, Reply.sized(DATA[:70_000], SIZE, end=End.RESET), *[Reply.error(404)] * 2)
    content = await rig.open(rig.wanted(1, DATA))
    with pytest.raises(Exception, match="404"):
        await content.wait_complete()
    await content.wait_for(0, 70_000)
    assert content.read(0, 80_000) == DATA[:70_000]
    with pytest.raises(Exception, match="404"):
        await content.wait_for(0, 70_001)
    rig.engine.library.release(content)


async def test_a_content_is_partial_from_its_first_byte_until_it_is_cached(rig: Rig) -> None:
    reply = Reply.sized(DATA)
    pieces = [DATA[:70_000], DATA[70_000:]]
    rig.platform.script(FETCH, attrs.evolve(reply, pieces=pieces, gap_s=5))
    content = await rig.open(rig.wanted(1, DATA))
    await content.wait_for(0, 1)
    assert await rig.engine.library.state(content.key) == "partial", "though no chunk is on the disk yet"
    await content.wait_complete()
    assert await rig.engine.library.state(content.key) == "yes"
    rig.engine.library.release(content)


async def test_an_open_content_survives_its_eviction(new_rig: OpenRig) -> None:
    async with new_rig(cache_bytes=6 * CHUNK_BYTES) as rig:
        content = await rig.open(rig.wanted(1, DATA))
        await content.wait_complete()
        for number in range(2, 6):
            await rig.read(rig.wanted(number, DATA))
        assert await rig.engine.library.state(content.key) == "no"
        assert content.read(0, SIZE) == DATA
        rig.engine.library.release(content)
