"""Chunks of large cached contents are checked once, before their first read; no wrong byte is served."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from rcfs.content import Content
from rcfs.errors import StoreError
from rcfs.model import CHUNK_BYTES, ContentKey, Wanted
from rcfs.store import Chunk, ContentCache, UncheckedChunk
from tests.fakes.rig import Rig, noise
from tests.scenario.conftest import OpenRig

CHUNKS = 12
DATA = noise(CHUNKS * CHUNK_BYTES - 1000)


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The indices of the chunks that were checked, in order."""
    indices: list[int] = []
    check = ContentCache.check

    def note(cache: ContentCache, key: ContentKey, index: int, unchecked: UncheckedChunk) -> Chunk | None:
        indices.append(index)
        return check(cache, key, index, unchecked)

    monkeypatch.setattr(ContentCache, "check", note)
    return indices


@pytest.fixture
async def cached(new_rig: OpenRig) -> AsyncIterator[tuple[Rig, Wanted]]:
    """A rig that has just begun, and a content that an earlier one has fetched."""
    async with new_rig() as rig:
        await rig.read(rig.wanted(1, DATA))
    async with new_rig() as rig:
        yield rig, rig.wanted(1, DATA)


def spoil(rig: Rig, index: int) -> None:
    """Changes a bit of a cached chunk on the disk."""
    for path in Path(rig.cache.stats().directory, "chunks").glob("*.val"):
        data = bytearray(path.read_bytes())
        if data[512:] == DATA[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES]:
            data[5000] ^= 4
            path.write_bytes(data)
            return
    pytest.fail(f"there is no chunk {index}")


async def opened(rig: Rig, wanted: Wanted) -> Content:
    return await rig.open(wanted)


async def until_checked(content: Content, count: int) -> None:
    """Returns when `count` chunks have been checked, and no check is under way."""
    while len(content.unchecked(0, len(DATA))) > CHUNKS - count:
        await content.wait_progress()


async def read(rig: Rig, content: Content, start: int, size: int) -> bytes:
    await rig.engine.library.reach(content, start, size)
    return content.read(start, size)


async def test_opening_checks_nothing_and_the_head_one_chunk(
    cached: tuple[Rig, Wanted], checked: list[int]
) -> None:
    rig, wanted = cached
    content = await opened(rig, wanted)
    assert content.complete
    assert content.read(0, 4096) == b"", "nothing is given out unchecked"
    assert not checked
    assert await read(rig, content, 0, 4096) == DATA[:4096]
    await wait_all_tasks_blocked()
    assert checked == [0]
    assert rig.ranges() == [""]


async def test_a_read_across_a_border_checks_both_chunks(
    cached: tuple[Rig, Wanted], checked: list[int]
) -> None:
    rig, wanted = cached
    content = await opened(rig, wanted)
    at = 7 * CHUNK_BYTES - 50
    assert await read(rig, content, at, 100) == DATA[at : at + 100]
    assert sorted(checked) == [6, 7]


async def test_chunks_are_checked_ahead_of_a_sequential_reader_and_each_once(
    cached: tuple[Rig, Wanted], checked: list[int]
) -> None:
    rig, wanted = cached
    content = await opened(rig, wanted)
    await read(rig, content, 0, 4096)
    await read(rig, content, CHUNK_BYTES, 4096)
    await until_checked(content, 6)
    assert sorted(checked) == [0, 1, 2, 3, 4, 5]
    rig.engine.library.look_ahead(content, 2 * CHUNK_BYTES, 4096)
    await until_checked(content, 7)
    assert sorted(checked) == [0, 1, 2, 3, 4, 5, 6], "also by a read that need not wait"
    assert await rig.read(wanted) == DATA
    assert sorted(checked) == list(range(CHUNKS))


async def test_a_chunk_is_checked_once_while_it_is_kept_open(
    cached: tuple[Rig, Wanted], checked: list[int]
) -> None:
    rig, wanted = cached
    assert await rig.read(wanted) == DATA
    assert await rig.read(wanted) == DATA
    assert sorted(checked) == list(range(CHUNKS))


async def test_a_damaged_chunk_costs_one_range_request_and_is_never_served(
    cached: tuple[Rig, Wanted],
) -> None:
    rig, wanted = cached
    spoil(rig, 7)
    content = await opened(rig, wanted)
    assert await read(rig, content, 0, 4096) == DATA[:4096]
    assert rig.ranges() == [""], "it is not known yet"
    at = 7 * CHUNK_BYTES + 5000
    assert await read(rig, content, at, 100) == DATA[at : at + 100]
    assert rig.ranges() == ["", f"bytes={7 * CHUNK_BYTES}-{8 * CHUNK_BYTES - 1}"]
    assert "damaged" in rig.warnings[0]
    await content.wait_complete()
    rig.engine.library.release(content)
    assert rig.cache.contains(wanted.key) == "yes"
    assert await rig.read(wanted) == DATA
    assert len(rig.ranges()) == 2


async def test_all_who_read_a_damaged_chunk_wait_for_the_same_request(cached: tuple[Rig, Wanted]) -> None:
    rig, wanted = cached
    spoil(rig, 3)
    content = await opened(rig, wanted)

    async def reader(at: int) -> None:
        assert await read(rig, content, at, 70_000) == DATA[at : at + 70_000]

    async with trio.open_nursery() as nursery:
        for at in range(3 * CHUNK_BYTES, 4 * CHUNK_BYTES, 130_000):
            nursery.start_soon(reader, at)
    assert len(rig.ranges()) == 2


async def test_a_chunk_found_damaged_after_the_last_reader_has_gone_is_left_to_the_next(
    cached: tuple[Rig, Wanted],
) -> None:
    rig, wanted = cached
    spoil(rig, 4)
    content = await opened(rig, wanted)
    await read(rig, content, 0, 4096)
    await read(rig, content, CHUNK_BYTES, 4096)
    rig.engine.library.release(content)
    await until_checked(content, 6)
    assert rig.warnings
    assert rig.ranges() == [""]
    assert await rig.engine.library.state(wanted.key) == "partial"
    assert await rig.read(wanted) == DATA
    assert len(rig.ranges()) == 2


async def test_a_reader_of_cached_bytes_only_gets_no_damaged_chunk(cached: tuple[Rig, Wanted]) -> None:
    rig, wanted = cached
    spoil(rig, 2)
    content = await rig.engine.library.look(wanted)
    assert await read(rig, content, 0, 4096) == DATA[:4096]
    with pytest.raises(StoreError, match="lost bytes"):
        await read(rig, content, 2 * CHUNK_BYTES, 4096)
    rig.engine.library.release(content)
    assert await rig.read(wanted) == DATA, "somebody else is not harmed"
    assert len(rig.ranges()) == 2


async def test_the_number_of_open_chunks_is_bounded(rig: Rig) -> None:
    directory = rig.cache.stats().directory

    async def held() -> int:
        await wait_all_tasks_blocked()  # the fetches have ended, too
        links = [path.readlink() for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
        return sum(link.is_relative_to(directory) and link.suffix == ".val" for link in links)

    wanted = [rig.wanted(number, DATA) for number in range(8)]
    for each in wanted:
        await rig.read(each)
    assert await held() == 5 * CHUNKS
    for _again in range(3):
        await rig.read(wanted[7])
    await rig.read(rig.wanted(100, DATA[:1000]))
    assert await held() == 5 * CHUNKS + 1
