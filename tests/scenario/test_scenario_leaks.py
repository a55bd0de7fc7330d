"""No content stays in memory once it has no readers, whether it was read, refused or evicted."""

import gc
from collections import Counter

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from rcfs.content._content import Content
from rcfs.content._fetch import Fetch
from rcfs.errors import NotFoundError
from rcfs.store._value import Chunk, UncheckedChunk
from tests.fakes.rig import Rig, noise
from tests.fakes.scripted import Reply, ScriptedPlatform

KINDS = (Content, Fetch, Chunk, UncheckedChunk)


def left() -> Counter[str]:
    """How many objects there are that hold contents, by their class."""
    gc.collect()
    return Counter(type(each).__name__ for each in gc.get_objects() if isinstance(each, KINDS))


@pytest.fixture(autouse=True)
def _nothing_before() -> None:
    assert not left(), "of another test"


async def test_contents_that_were_read(rig: Rig) -> None:
    for number in range(1, 31):
        data = noise(2000, seed=number)
        assert await rig.read(rig.wanted(number, data)) == data
    assert left()["Content"] > 20, "they are kept open for a while"
    await trio.sleep(62)
    assert not left()


async def test_contents_that_were_refused(rig: Rig, platform: ScriptedPlatform) -> None:
    platform.script("readMessageContent", *[Reply.error(404, "CMN-102")] * 12)
    wanted = [rig.wanted(number, b"") for number in range(1, 13)]
    for each in wanted[:10]:
        with pytest.raises(NotFoundError):
            await rig.read(each)
    assert not left(), "a refusal is remembered, and not what was refused"
    sent = len(rig.fetch_times())
    with pytest.raises(NotFoundError):
        await rig.read(wanted[0])
    assert len(rig.fetch_times()) == sent
    assert len(rig.engine.library._remembered) == 10
    await trio.sleep(300)
    with pytest.raises(NotFoundError):
        await rig.read(wanted[11])
    assert len(rig.engine.library._remembered) == 1, "the others are old"


async def test_contents_of_readers_that_gave_up(rig: Rig) -> None:
    for number in range(1, 31):
        with trio.move_on_after(0.001 * number):
            await rig.read(rig.wanted(number, noise(2000, seed=number)))
    await trio.sleep(200)
    assert not left()


async def test_contents_that_were_evicted_while_they_were_read(rig: Rig) -> None:
    wanted = rig.wanted(1, noise(2000))
    content = await rig.open(wanted)
    await content.wait_complete()
    await wait_all_tasks_blocked()  # The fetch ends after its content.
    rig.cache.drop(wanted.key)
    assert content.read(0, 2000) == noise(2000), "who reads it may read on"
    rig.engine.library.release(content)
    del content
    assert not left(), "its descriptor is closed, and the room on the disk is free"
