"""Many readers of one content, and readers that give up."""

from collections.abc import Callable

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from rcfs.errors import ForbiddenError, NotFoundError, NotReadyError
from rcfs.model import CHUNK_BYTES, Priority
from rcfs.transport import AbandonedError
from tests.fakes.rig import Rig, noise
from tests.fakes.scripted import End, Reply
from tests.scenario.conftest import OpenRig

DATA = noise(5000)
FETCH = "readMessageContent"
LARGE = noise(2 * CHUNK_BYTES + 5)


async def test_simultaneous_readers_cost_one_request(rig: Rig) -> None:
    wanted = rig.wanted(1, DATA)
    got: list[bytes] = []

    async def read() -> None:
        got.append(await rig.read(wanted))

    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(read)
    assert got == [DATA] * 50
    assert rig.ranges() == [""]
    assert rig.now == pytest.approx(0.1)


@pytest.mark.parametrize("data", [DATA, LARGE, b""], ids=["small", "large", "empty"])
async def test_the_second_open_is_free_and_so_is_one_after_a_restart(new_rig: OpenRig, data: bytes) -> None:
    async with new_rig() as rig:
        wanted = rig.wanted(1, data)
        assert await rig.read(wanted) == data
        assert await rig.read(wanted) == data
        assert await rig.engine.library.state(wanted.key) == "yes"
    async with new_rig() as rig:
        assert await rig.read(rig.wanted(1, data)) == data
        assert await rig.engine.library.state(wanted.key) == "yes"
        assert rig.ranges() == [""]


async def test_a_content_that_a_reader_sees_whole_is_on_the_disk(rig: Rig) -> None:
    wanted = rig.wanted(1, DATA)
    content = await rig.open(wanted)
    await content.wait_complete()
    assert rig.cache.contains(wanted.key) == "yes", "so a process that is killed now has lost nothing"
    rig.engine.library.release(content)


async def test_a_mount_that_ends_at_the_last_byte_still_caches_the_content(
    new_rig: OpenRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    storing = trio.Event()

    async def run_slowly(work: Callable[..., object], *arguments: object, **_options: object) -> object:
        if work.__name__ == "_keep":
            storing.set()
        await trio.sleep(0.01)
        return work(*arguments)

    monkeypatch.setattr(trio.to_thread, "run_sync", run_slowly)
    async with new_rig() as rig:
        wanted = rig.wanted(1, DATA)
        content = await rig.open(wanted)
        await storing.wait()
        assert rig.cache.contains(wanted.key) == "no"
        assert not content.complete
    async with new_rig() as rig:
        assert await rig.read(rig.wanted(1, DATA)) == DATA
        assert rig.ranges() == [""]


async def test_cached_bytes_of_a_broken_fetch_are_not_fetched_again(new_rig: OpenRig) -> None:
    async with new_rig() as rig:
        rig.platform.script(FETCH, Reply.sized(LARGE[: CHUNK_BYTES + 9], len(LARGE), end=End.STALL))
        with trio.move_on_after(5):
            await rig.read(rig.wanted(1, LARGE))
    async with new_rig() as rig:
        assert await rig.read(rig.wanted(1, LARGE)) == LARGE
        assert rig.ranges() == ["", f"bytes={CHUNK_BYTES}-"]


async def test_a_reader_that_gives_up_after_sending_does_not_stop_the_fetch(rig: Rig) -> None:
    wanted = rig.wanted(1, DATA)
    with trio.move_on_after(0.05) as scope:
        await rig.read(wanted)
    assert scope.cancelled_caught
    await trio.sleep(1)
    assert await rig.read(wanted) == DATA
    assert rig.ranges() == [""]


async def _fill_budget(rig: Rig) -> None:
    """Uses every medium slot of the first window."""
    async with trio.open_nursery() as nursery:
        for number in range(1000, 1040):
            nursery.start_soon(rig.read, rig.wanted(number, b"x"))


async def test_the_last_reader_to_give_up_withdraws_what_was_not_sent(rig: Rig) -> None:
    await _fill_budget(rig)
    wanted = rig.wanted(1, DATA)

    async def read_for(seconds: float) -> None:
        with trio.move_on_after(seconds):
            await rig.read(wanted)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read_for, 10)
        nursery.start_soon(read_for, 20)
        await trio.sleep(15)
        assert [state.waiting for state in rig.engine.lane.gate.queue()] == [1]
    assert rig.engine.lane.gate.queue() == ()
    await trio.sleep(120)
    assert len(rig.ranges()) == 40
    assert rig.used("medium") == 0
    assert await rig.read(wanted) == DATA


async def test_a_reader_right_after_a_withdrawal_gets_a_new_fetch(rig: Rig) -> None:
    await _fill_budget(rig)
    wanted = rig.wanted(1, DATA)
    library = rig.engine.library
    given_up = await rig.open(wanted)
    await wait_all_tasks_blocked()
    library.release(given_up)
    content = await rig.open(wanted)
    with pytest.raises(AbandonedError):
        await given_up.wait_complete()
    await content.wait_complete()
    assert content.read(0, len(DATA)) == DATA
    library.release(content)
    assert len(rig.ranges()) == 41


async def test_a_person_who_joins_a_bulk_fetch_makes_it_urgent(rig: Rig) -> None:
    for number in range(1000, 1040):
        await rig.read(rig.wanted(number, b"x"))
        await trio.sleep(0.9)
    async with trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(rig.read, rig.wanted(number, DATA), Priority.BULK)
            await wait_all_tasks_blocked()
        assert [(state.priority, state.waiting) for state in rig.engine.lane.gate.queue()] == [
            (Priority.BULK, 10)
        ]
        nursery.start_soon(rig.read, rig.wanted(7, DATA), Priority.PERSON)
        await wait_all_tasks_blocked()
        assert {state.priority: state.waiting for state in rig.engine.lane.gate.queue()} == {
            Priority.PERSON: 1,
            Priority.BULK: 9,
        }
    order = [int(seen.url.rpartition("/")[2]) for seen in rig.platform.sent(FETCH)[40:]]
    assert order == [7, 0, 1, 2, 3, 4, 5, 6, 8, 9]


@pytest.mark.parametrize(("status", "kind"), [(403, ForbiddenError), (404, NotFoundError)])
async def test_a_definite_refusal_is_remembered_for_five_minutes(
    rig: Rig, status: int, kind: type[Exception]
) -> None:
    rig.platform.script(FETCH, Reply.error(status, "CMN-419"))
    wanted = rig.wanted(1, DATA)
    for _ in range(3):
        with pytest.raises(kind, match="CMN-419"):
            await rig.read(wanted)
    await trio.sleep(299)
    with pytest.raises(kind):
        await rig.read(wanted)
    assert rig.ranges() == [""]
    await trio.sleep(1.2)
    assert await rig.read(wanted) == DATA
    assert rig.ranges() == ["", ""]


async def test_a_fax_in_processing_fails_at_once_and_is_not_remembered(rig: Rig) -> None:
    rig.platform.script(FETCH, Reply.error(404, "MSG-368"))
    wanted = rig.wanted(1, DATA)
    with pytest.raises(NotReadyError):
        await rig.read(wanted)
    assert rig.now == pytest.approx(0.1)
    assert await rig.read(wanted) == DATA
    assert rig.fetch_times() == [0.0, 0.1]


async def test_a_reader_that_is_refused_for_its_class_costs_no_request(rig: Rig) -> None:
    wanted = rig.wanted(1, DATA)
    content = await rig.engine.library.look(wanted)
    assert content.is_pending, "and nobody gives a class for it"
    rig.engine.library.release(content)
    await trio.sleep(60)
    assert rig.ranges() == []
    assert await rig.read(wanted) == DATA
    # A complete content needs no class.
    content = await rig.engine.library.look(wanted)
    assert content.complete
    rig.engine.library.release(content)


async def test_a_uri_on_a_foreign_host_is_not_used(rig: Rig) -> None:
    wanted = rig.wanted(1, DATA)
    stray = type(wanted)(wanted.key, "https://ringcentral.com.evil.example/x", wanted.content_type)
    assert await rig.read(stray) == DATA
    assert [seen.url for seen in rig.platform.sent(FETCH)] == [wanted.uri]
    assert rig.platform.sent("foreign") == []


async def test_a_content_without_a_uri_is_fetched_from_its_usual_path(rig: Rig) -> None:
    wanted = rig.wanted(1, DATA)
    assert await rig.read(type(wanted)(wanted.key, "", "")) == DATA
    assert [seen.url for seen in rig.platform.sent(FETCH)] == [wanted.uri]


async def test_contents_are_served_although_the_cache_takes_nothing(new_rig: OpenRig) -> None:
    async with new_rig(cache_bytes=0) as rig:
        for number, data in enumerate([DATA, LARGE]):
            assert await rig.read(rig.wanted(number, data)) == data
        await wait_all_tasks_blocked()
        assert rig.ranges() == ["", ""]
        assert rig.warnings
        # Small ones stay at hand as long as the engine runs; large ones are given up with the last reader.
        assert await rig.read(rig.wanted(0, DATA)) == DATA
        assert rig.ranges() == ["", ""]
        assert await rig.read(rig.wanted(1, LARGE)) == LARGE
        assert rig.ranges() == ["", "", ""]


async def test_a_chunk_that_rots_in_the_cache_is_fetched_again(new_rig: OpenRig) -> None:
    async with new_rig() as rig:
        await rig.read(rig.wanted(1, LARGE))
        files = sorted((rig.cache.stats().directory / "chunks").glob("*.val"), key=lambda f: f.stat().st_size)
        spoiled = files[-1]
        spoiled.write_bytes(spoiled.read_bytes()[:-1] + b"!")
    async with new_rig() as rig:
        assert await rig.read(rig.wanted(1, LARGE)) == LARGE
        assert len(rig.ranges()) == 2
        assert "damaged" in rig.warnings[0]
