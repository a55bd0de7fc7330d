"""Seeks in a large content: when they cost a request, and how soon they are served."""

from itertools import pairwise

import attrs
import httpx
import pytest
import trio

from rcfs.content import Content
from rcfs.model import CHUNK_BYTES, RecordingKey, UsageGroup, Wanted
from rcfs.quota import GroupState
from rcfs.store import ContentInfo
from tests.fakes.rig import Rig, noise
from tests.fakes.scripted import ACCOUNT_ID, End, Reply, ScriptedPlatform
from tests.scenario.conftest import OpenRig

FETCH = "readMessageContent"
MB = CHUNK_BYTES
SIZE = 50 * MB
DATA = noise(SIZE)
PIECE = 256 << 10
MEDIUM = UsageGroup("medium")


def flow(platform: ScriptedPlatform, rate: float, *, times: int = 50, operation: str = FETCH) -> None:
    """Lets contents come at `rate` bytes a second for each request, in the way that it asks for."""

    def answer(request: httpx.Request) -> Reply:
        reply = platform._content(request)
        size = min(PIECE, int(10 * rate))
        pieces = [reply.body[at : at + size] for at in range(0, len(reply.body), size)]
        return attrs.evolve(reply, pieces=pieces, gap_s=size / rate)

    platform.script(operation, *[answer] * times)


async def opened(rig: Rig, wanted: Wanted) -> Content:
    """An open content of which the first chunk is there, as a mount opens it."""
    content = await rig.open(wanted)
    await content.wait_size()
    await content.wait_for(0, MB)
    return content


async def read(rig: Rig, content: Content, start: int, size: int = 131_072) -> bytes:
    """Reads as a mount does, and checks the bytes."""
    await rig.engine.library.reach(content, start, size)
    data = content.read(start, size)
    assert data == DATA[start : start + size]
    return data


async def test_head_and_tail_are_two_requests_and_the_tail_takes_a_round_trip(rig: Rig) -> None:
    flow(rig.platform, 2.0 * MB)
    content = await opened(rig, rig.wanted(1, DATA))
    began = trio.current_time()
    await read(rig, content, SIZE - 1000)
    # From the beginning of its chunk on: half a second at this rate.
    assert trio.current_time() - began == pytest.approx(0.1 + 0.5, abs=0.15)
    assert rig.ranges() == ["", f"bytes={49 * MB}-"]
    await content.wait_complete()
    assert rig.ranges() == ["", f"bytes={49 * MB}-"]
    assert rig.now == pytest.approx(0.1 + 49 / 2, abs=0.3), "what the tail brought is not received again"
    assert content.read(0, SIZE) == DATA
    rig.engine.library.release(content)


async def test_a_reader_just_ahead_of_a_stream_waits_for_it(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow(rig.platform, 2.0 * MB)
    content = await opened(rig, rig.wanted(1, DATA))
    asked: list[float] = []
    gate, states = rig.engine.lane.gate, rig.engine.lane.gate.states

    def noted() -> tuple[GroupState, ...]:
        asked.append(rig.now)
        return states()

    monkeypatch.setattr(gate, "states", noted)
    for start in range(MB, 4 * MB, 131_072):
        await read(rig, content, start)
    assert asked == []
    await read(rig, content, SIZE - 1000)
    assert asked, "so does who seeks"
    rig.engine.library.release(content)


async def test_a_tail_that_comes_within_the_price_is_waited_for(rig: Rig) -> None:
    flow(rig.platform, 40.0 * MB)
    content = await opened(rig, rig.wanted(1, DATA))
    await read(rig, content, SIZE - 1000)
    assert rig.ranges() == [""]
    assert rig.now < 0.1 + 1.5
    rig.engine.library.release(content)


async def test_the_price_is_what_the_ledger_says(rig: Rig) -> None:
    rig.platform.police.set_limit(MEDIUM, 2)
    flow(rig.platform, 2.0 * MB)
    content = await opened(rig, rig.wanted(1, DATA))
    await read(rig, content, SIZE - 1000)
    assert rig.ranges() == [""], "a request costs 30 s, and in 25 s the tail is there"
    rig.engine.library.release(content)


@pytest.mark.parametrize(("rate", "ranges"), [(10.0 * MB, [""]), (2.0 * MB, ["", f"bytes={49 * MB}-"])])
async def test_the_price_of_a_recording_is_that_of_its_group(
    rig: Rig, rate: float, ranges: list[str]
) -> None:
    """One of ten requests a minute costs 6 s: a tail that comes within 5 s is worth none, one in 25 s is."""
    key = RecordingKey(ACCOUNT_ID, "99")
    flow(rig.platform, rate, operation="readCallRecordingContent")
    content = await opened(rig, Wanted(key, rig.platform.add_content(key, DATA), "audio/mpeg"))
    await read(rig, content, SIZE - 1000)
    assert [seen.byte_range for seen in rig.platform.sent("readCallRecordingContent")] == ranges
    rig.engine.library.release(content)


@pytest.mark.parametrize("rate", [3000.0, 100_000.0, 5.0 * MB, 500.0 * MB])
async def test_a_sequential_reader_costs_one_request_at_any_rate(rig: Rig, rate: float) -> None:
    data = DATA[: 4 * MB]
    flow(rig.platform, rate)
    content = await rig.open(rig.wanted(1, data))
    await content.wait_size()

    async def reader(first: int) -> None:
        for start in range(first * 131_072, len(data), 2 * 131_072):
            await rig.engine.library.reach(content, start, 131_072)

    async with trio.open_nursery() as nursery:  # the read, and the read-ahead in front of it
        nursery.start_soon(reader, 0)
        nursery.start_soon(reader, 1)
    assert rig.ranges() == [""]
    rig.engine.library.release(content)


async def test_random_reads_cost_at_most_one_request_per_price(rig: Rig) -> None:
    flow(rig.platform, 0.5 * MB)
    content = await opened(rig, rig.wanted(1, DATA))
    began = trio.current_time()
    for number in range(24):
        await read(rig, content, (number * 37 % 49) * MB + 500_000, 4096)
    elapsed_s = trio.current_time() - began
    assert len(rig.ranges()) <= 2 + elapsed_s / 1.5
    assert len(rig.ranges()) < 15, "and what one brought serves the next ones"
    await content.wait_complete()
    assert content.read(0, SIZE) == DATA
    rig.engine.library.release(content)


async def test_simultaneous_random_readers_share_the_price(rig: Rig) -> None:
    flow(rig.platform, 0.5 * MB)
    content = await opened(rig, rig.wanted(1, DATA))
    async with trio.open_nursery() as nursery:
        for number in range(6):
            nursery.start_soon(read, rig, content, (45 - 7 * number) * MB, 4096)
        await trio.sleep(6)
    times = rig.fetch_times()
    assert len(times) > 4
    assert all(later - sooner > 1.49 for sooner, later in pairwise(times[1:]))
    rig.engine.library.release(content)


async def test_a_seek_whose_reader_leaves_before_it_is_sent_costs_nothing(rig: Rig) -> None:
    rig.platform.police.set_limit(MEDIUM, 2)
    await rig.read(rig.wanted(2, b"x"))
    flow(rig.platform, 0.1 * MB)
    content = await opened(rig, rig.wanted(1, DATA))
    with trio.move_on_after(10) as scope:
        await read(rig, content, SIZE - 1000)
    assert scope.cancelled_caught
    assert rig.engine.lane.gate.queue() == ()
    await trio.sleep(100)
    assert len(rig.ranges()) == 2
    rig.engine.library.release(content)


async def test_a_stalled_stream_is_replaced_and_no_byte_comes_twice(rig: Rig) -> None:
    stalling = Reply.sized(DATA[: 2 * MB], SIZE, end=End.STALL)
    rig.platform.script(FETCH, stalling)
    content = await opened(rig, rig.wanted(1, DATA))
    await read(rig, content, 10 * MB)
    assert rig.now < 4
    assert rig.ranges() == ["", f"bytes={10 * MB}-"]
    await content.wait_complete()
    assert rig.ranges() == ["", f"bytes={10 * MB}-", f"bytes={2 * MB}-"]
    rig.engine.library.release(content)


@pytest.mark.parametrize("answer", ["whole", "503", "unsaid", "416"])
async def test_a_server_without_range_support_gets_one_range_request(rig: Rig, answer: str) -> None:
    flow(rig.platform, 2.0 * MB, times=1)
    rig.platform.script(
        FETCH,
        {
            "whole": Reply.sized(DATA, pieces=[DATA[:MB], DATA[MB:]], gap_s=60.0),
            "503": Reply.error(503),
            "unsaid": Reply(206, DATA[30 * MB :]),
            "416": Reply.error(416),
        }[answer],
    )
    content = await opened(rig, rig.wanted(1, DATA))
    for start in (30 * MB, 45 * MB, 20 * MB):
        await read(rig, content, start)
    await content.wait_complete()
    assert rig.ranges() == ["", f"bytes={30 * MB}-"]
    assert rig.now == pytest.approx(0.1 + 25, abs=1)
    rig.engine.library.release(content)


async def test_a_refused_range_does_not_end_the_content(rig: Rig) -> None:
    flow(rig.platform, 2.0 * MB, times=1)
    rig.platform.script(FETCH, Reply.error(404, "CMN-102"))
    wanted = rig.wanted(1, DATA)
    content = await opened(rig, wanted)
    await read(rig, content, 45 * MB)
    assert rig.ranges() == ["", f"bytes={45 * MB}-"], "the range was asked for, and refused"
    assert [fault.event for fault in rig.engine.recorder.faults] == ["shortcut"]
    assert content.is_pending
    await content.wait_complete()
    assert await rig.engine.library.look(wanted) is content, "the refusal is not remembered"
    assert rig.now == pytest.approx(0.1 + 25, abs=1), "the first request brings all of it"
    assert len(rig.ranges()) == 2
    for _use in range(2):
        rig.engine.library.release(content)


async def test_a_content_that_changes_during_two_streams_is_fetched_from_scratch(rig: Rig) -> None:
    flow(rig.platform, 2.0 * MB, times=1)
    newer = DATA[: 45 * MB]
    wanted = rig.wanted(1, DATA)
    content = await opened(rig, wanted)
    rig.platform.add_content(wanted.key, newer)
    with trio.move_on_after(200):
        await rig.engine.library.reach(content, 40 * MB, 1000)
    await content.wait_complete()
    assert content.size_bytes == len(newer)
    assert content.read(0, SIZE) == newer
    rig.engine.library.release(content)
    stored = rig.cache.load(wanted.key)
    assert stored is not None
    assert stored.complete
    assert b"".join(stored.unchecked[index].check().pread(0, MB) for index in range(45)) == newer
    stored.close()


async def test_after_a_restart_only_the_gaps_are_fetched(new_rig: OpenRig) -> None:
    async with new_rig() as rig:
        flow(rig.platform, 1.0 * MB)
        wanted = rig.wanted(1, DATA)
        content = await opened(rig, wanted)
        await read(rig, content, 40 * MB)
        await trio.sleep(5)
        assert await rig.engine.library.state(wanted.key) == "partial"
        rig.engine.library.release(content)
    async with new_rig() as rig:
        await rig.read(rig.wanted(2, DATA[: 20 * MB]))  # so it is known how fast bodies come
        size_bytes = rig.sizes.size(wanted.key)
        assert size_bytes == SIZE
        assert rig.cache.contains(wanted.key) == "partial"
        content = await rig.open(wanted)
        assert content.size_bytes == SIZE
        await rig.engine.library.check(content, 40 * MB, 1000)
        assert content.read(40 * MB, 1000) == DATA[40 * MB : 40 * MB + 1000], "without the server"
        head, tail = content.held.run_end(0), content.held.run_end(40 * MB)
        assert head % MB == tail % MB == 0
        assert 6 * MB <= head <= 7 * MB
        assert 44 * MB <= tail <= 46 * MB
        await content.wait_complete()
        await rig.engine.library.check(content, 0, SIZE)
        assert content.read(0, SIZE) == DATA
        # At this rate what is there is more than a request is worth.
        assert rig.ranges()[3:] == [f"bytes={head}-{40 * MB - 1}", f"bytes={tail}-"]
        rig.engine.library.release(content)
    async with new_rig() as rig:
        assert await rig.read(wanted) == DATA
        assert len(rig.ranges()) == 5


async def test_the_rest_of_a_content_is_fetched_only_for_a_reader(rig: Rig) -> None:
    await rig.read(rig.wanted(2, DATA[:MB]))
    flow(rig.platform, 1.0 * MB)
    await rig.read(rig.wanted(3, DATA[: 20 * MB]))
    wanted = rig.wanted(1, DATA)
    for index in [0, *range(20, 40)]:
        rig.cache.put_chunk(wanted.key, index, DATA[index * MB : (index + 1) * MB])
    rig.cache.put_info(wanted.key, ContentInfo(SIZE))
    content = await rig.open(wanted)
    await trio.sleep(1)
    rig.engine.library.release(content)
    await trio.sleep(60)
    assert rig.ranges()[2:] == [f"bytes={MB}-{20 * MB - 1}"], "it was paid for, so it went on to its end"
    assert await rig.engine.library.state(wanted.key) == "partial"
    assert await rig.read(wanted) == DATA
    assert rig.ranges()[3:] == [f"bytes={40 * MB}-"]
