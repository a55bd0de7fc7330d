"""A person beside a bulk job: 200 attachments are copied while the person listens to a few."""

import attrs
import pytest
import trio

from rcfs.quota import PRESENCE_S, OpenClassifier, Opener
from tests.fakes.rig import Rig, noise

COPIED = 200
DATA = noise(300)
ROUND_TRIP_S = 0.1


@attrs.define
class Copy:
    """`cp` of many files, one after the other, and persons who open one now and then."""

    rig: Rig
    classifier: OpenClassifier = attrs.field(factory=OpenClassifier)

    async def open(self, reader: str, number: int) -> float:
        """How long `reader` waited for the whole of an attachment."""
        begun_s = trio.current_time()
        library = self.rig.engine.library
        opener = Opener((reader,))
        content = await library.look(self.rig.wanted(number, DATA))
        if content.is_pending:
            library.fetch(content, self.classifier.classify(opener, "Fax", trio.current_time()))
        await content.wait_complete()
        assert content.read(0, len(DATA)) == DATA
        library.release(content)
        return trio.current_time() - begun_s

    async def copy(self, numbers: range) -> float:
        """How long the copy of `numbers` took."""
        begun_s = trio.current_time()
        for number in numbers:
            await self.open("cp", number)
        return trio.current_time() - begun_s


def allowed_s(requests: int, limit: int) -> float:
    """How long `requests` may take: at 98 % of `limit` a minute."""
    return requests / (0.98 * limit) * 60


async def test_a_copy_alone_uses_the_whole_budget(rig: Rig) -> None:
    duration_s = await Copy(rig).copy(range(COPIED))
    assert len(rig.ranges()) == COPIED
    # Its own first opens look like a person's, for whom a tenth of the budget is kept for two minutes.
    assert duration_s <= PRESENCE_S + allowed_s(COPIED - 72, limit=40)


@pytest.mark.parametrize("first_s", [3.0, 59.0, 100.0])
async def test_a_person_never_waits_behind_a_copy(rig: Rig, first_s: float) -> None:
    """Whenever the person comes, and for as many files as a person opens, it is one round trip."""
    scene = Copy(rig)
    waits_s: list[float] = []
    durations_s: list[float] = []

    async def copy() -> None:
        durations_s.append(await scene.copy(range(COPIED)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(copy)
        await trio.sleep(first_s)
        for number in range(4):
            waits_s.append(await scene.open("person", 1000 + number))
            await trio.sleep(20)
    assert waits_s == pytest.approx([ROUND_TRIP_S] * 4, abs=0.01)
    assert len(rig.ranges()) == COPIED + 4
    # While a person is present, a tenth of the budget stays free.
    assert durations_s[0] <= allowed_s(COPIED + 4, limit=36)


async def test_a_person_who_opens_four_files_at_once_waits_for_none(rig: Rig) -> None:
    scene = Copy(rig)
    waits_s: list[float] = []

    async def open_one(number: int) -> None:
        waits_s.append(await scene.open("person", number))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.copy, range(100))
        await trio.sleep(10)
        for number in range(1000, 1004):
            nursery.start_soon(open_one, number)
    assert waits_s == pytest.approx([ROUND_TRIP_S] * 4, abs=0.01)
