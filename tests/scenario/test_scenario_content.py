"""The fetch of one content from servers that break, compress, split or mislabel its body."""

import gzip
import itertools
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from rcfs.content import _storage
from rcfs.errors import NoRoomError, ServerError, TooLargeError, TransportError
from rcfs.model import CHUNK_BYTES, RecordingKey, Wanted
from rcfs.transport import AbandonedError
from tests.fakes.rig import Rig, noise
from tests.fakes.scripted import ACCOUNT_ID, End, Reply
from tests.scenario.conftest import OpenRig

BODY_GAP_S = 30.0
"""Longest silence within a body before rcfs gives the connection up."""

DATA = noise(300_000)
FETCH = "readMessageContent"
GZIP = {"Content-Encoding": "gzip"}

# httpx leaves the inner of its nested generators to the garbage collector when the outer one ends early.
abandoned_body = pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")


async def test_one_read_is_one_request_without_a_range(rig: Rig) -> None:
    assert await rig.read(rig.wanted(1, DATA)) == DATA
    assert rig.ranges() == [""]
    assert rig.now == pytest.approx(0.1)


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES])
async def test_every_size_is_read_whole_and_cached(rig: Rig, size: int) -> None:
    data = noise(size)
    wanted = rig.wanted(1, data)
    assert await rig.read(wanted) == data
    assert await rig.read(wanted) == data
    assert rig.ranges() == [""]
    await wait_all_tasks_blocked()
    assert rig.sizes.size(wanted.key) == size
    stored = rig.cache.load(wanted.key)
    assert stored is not None
    assert stored.complete
    assert b"".join(stored.chunks[i].pread(0, CHUNK_BYTES) for i in sorted(stored.chunks)) == data
    stored.close()


@pytest.mark.parametrize("end", [End.RESET, End.TRUNCATED])
async def test_a_body_that_breaks_is_resumed_where_it_stopped(rig: Rig, end: End) -> None:
    rig.platform.script(FETCH, Reply.sized(DATA[:100_000], len(DATA), end=end))
    assert await rig.read(rig.wanted(1, DATA)) == DATA
    assert rig.ranges() == ["", "bytes=100000-"]
    # So much had arrived that the break is no fault: nothing is waited for.
    assert rig.fetch_times() == [0.0, 0.1]


@pytest.mark.parametrize("size", [300_000, 2 * CHUNK_BYTES])
async def test_a_connection_that_breaks_behind_the_last_byte_costs_nothing(rig: Rig, size: int) -> None:
    data = noise(size)
    rig.platform.script(FETCH, Reply.sized(data, end=End.RESET))
    wanted = rig.wanted(1, data)
    assert await rig.read(wanted) == data
    assert rig.cache.contains(wanted.key) == "yes"
    assert rig.ranges() == [""]


async def test_a_large_body_that_breaks_is_resumed_within_a_chunk(rig: Rig) -> None:
    data = noise(3 * CHUNK_BYTES)
    rig.platform.script(FETCH, Reply.sized(data[: CHUNK_BYTES + 77], len(data), end=End.RESET))
    assert await rig.read(rig.wanted(1, data)) == data
    assert rig.ranges() == ["", f"bytes={CHUNK_BYTES + 77}-"]


async def test_after_a_body_that_breaks_soon_rcfs_waits_before_it_resumes(rig: Rig) -> None:
    rig.platform.script(FETCH, *[Reply.sized(b"", len(DATA), end=End.RESET)] * 3)
    assert await rig.read(rig.wanted(1, DATA)) == DATA
    assert rig.ranges() == [""] * 4
    assert rig.fetch_times() == [0.0, 2.1, 6.2, 14.3]


async def test_a_body_that_always_breaks_soon_is_given_up_after_five_requests(rig: Rig) -> None:
    rig.platform.script(FETCH, *[Reply.sized(b"", len(DATA), end=End.RESET)] * 9)
    with pytest.raises(TransportError):
        await rig.read(rig.wanted(1, DATA))
    assert rig.fetch_times() == [0.0, 2.1, 6.2, 14.3, 30.4]


async def test_a_body_that_ends_short_without_an_error_is_resumed(rig: Rig) -> None:
    rig.platform.script(FETCH, Reply.sized(DATA[:1000], len(DATA)))
    assert await rig.read(rig.wanted(1, DATA)) == DATA
    assert rig.ranges() == ["", "bytes=1000-"]


async def test_a_body_that_falls_silent_is_resumed_over_a_new_connection(rig: Rig) -> None:
    rig.platform.script(FETCH, Reply.sized(DATA[:100_000], len(DATA), end=End.STALL))
    assert await rig.read(rig.wanted(1, DATA)) == DATA
    assert rig.ranges() == ["", "bytes=100000-"]
    assert rig.fetch_times() == [0.0, 0.1 + BODY_GAP_S]


async def test_a_slow_body_is_no_stall(rig: Rig) -> None:
    pieces = [DATA[:100_000], DATA[100_000:200_000], DATA[200_000:]]
    rig.platform.script(FETCH, Reply.sized(DATA, pieces=pieces, gap_s=BODY_GAP_S - 1))
    assert await rig.read(rig.wanted(1, DATA)) == DATA
    assert rig.ranges() == [""]


async def test_unrequested_parts_are_put_together(rig: Rig) -> None:
    rig.platform.script(
        FETCH,
        Reply.part(DATA, 0, 100_000),
        Reply.part(DATA, 100_000, 200_000),
        Reply.part(DATA, 200_000, 300_000),
    )
    assert await rig.read(rig.wanted(1, DATA)) == DATA
    assert rig.ranges() == ["", "bytes=100000-", "bytes=200000-"]
    assert rig.fetch_times() == [0.0, 0.1, 0.2]


async def test_parts_without_a_total_end_with_the_416_that_confirms_it(rig: Rig) -> None:
    rig.platform.script(FETCH, Reply.part(DATA, 0, 300_000, total="*"))
    assert await rig.read(rig.wanted(1, DATA)) == DATA
    assert rig.ranges() == ["", "bytes=300000-"]


async def test_a_whole_answer_to_a_range_request_is_used_from_the_position_on(rig: Rig) -> None:
    rig.platform.script(FETCH, Reply.sized(DATA[:100_000], len(DATA), end=End.RESET), Reply.sized(DATA))
    assert await rig.read(rig.wanted(1, DATA)) == DATA
    assert rig.ranges() == ["", "bytes=100000-"]


@pytest.mark.parametrize(
    "wrong",
    [
        Reply.part(DATA, 150_000, 300_000),
        attrs.evolve(Reply.part(DATA, 100_000, 300_000), headers={"Content-Length": "200000"}),
        attrs.evolve(
            Reply.part(DATA, 100_000, 300_000),
            headers={"Content-Length": "5", "Content-Range": "bytes 1-2/3"},
        ),
        Reply.part(DATA, 100_000, 300_000, total="299999"),
        Reply.error(416, headers={"Content-Range": "bytes */50"}),
        Reply.error(416),
    ],
    ids=["later", "unsaid", "contradictory", "beyond the end", "416 with less", "416 without a total"],
)
async def test_a_part_without_a_position_is_followed_by_a_request_for_the_whole(
    rig: Rig, wrong: Reply
) -> None:
    rig.platform.script(FETCH, Reply.sized(DATA[:100_000], len(DATA), end=End.RESET), wrong)
    assert await rig.read(rig.wanted(1, DATA)) == DATA
    assert rig.ranges() == ["", "bytes=100000-", ""]
    assert rig.fetch_times() == [0.0, 0.1, 2.2]


async def test_parts_without_a_position_are_finally_taken_as_the_whole(rig: Rig) -> None:
    def unsaid(start: int, stop: int) -> Reply:
        return Reply(206, DATA[start:stop])

    rig.platform.script(
        FETCH,
        Reply.sized(DATA[:100_000], len(DATA), end=End.RESET),
        unsaid(100_000, 200_000),  # might be anything: asked for the whole
        unsaid(0, 150_000),  # so that is its way
        unsaid(150_000, 300_000),
    )
    assert await rig.read(rig.wanted(1, DATA)) == DATA
    assert rig.ranges() == ["", "bytes=100000-", "", "bytes=150000-"]


async def test_a_body_without_a_length_ends_where_it_ends(rig: Rig) -> None:
    rig.platform.script(FETCH, Reply(body=DATA))
    assert await rig.read(rig.wanted(1, DATA)) == DATA
    assert rig.ranges() == [""]


async def test_a_body_without_a_length_that_breaks_is_resumed(rig: Rig) -> None:
    rig.platform.script(FETCH, Reply(body=DATA[:100_000], end=End.TRUNCATED))
    assert await rig.read(rig.wanted(1, DATA)) == DATA
    assert rig.ranges() == ["", "bytes=100000-"]


@pytest.mark.parametrize("size", [50_000, 200_000, 400_000])
async def test_a_whole_body_without_a_length_that_contradicts_the_known_size_is_not_served(
    rig: Rig, size: int
) -> None:
    rig.platform.script(
        FETCH, Reply.sized(DATA[:100_000], len(DATA), end=End.RESET), Reply(body=noise(size, seed=1))
    )
    assert await rig.read(rig.wanted(1, DATA)) == DATA
    assert rig.ranges() == ["", "bytes=100000-", ""]


async def test_a_compressed_body_is_unpacked(rig: Rig) -> None:
    packed = gzip.compress(DATA)
    rig.platform.script(FETCH, Reply(200, packed, GZIP | {"Content-Length": str(len(packed))}))
    assert await rig.read(rig.wanted(1, DATA)) == DATA
    assert rig.ranges() == [""]


async def test_a_compressed_body_that_breaks_is_resumed_in_plain_bytes(rig: Rig) -> None:
    packed = gzip.compress(DATA)
    rig.platform.script(FETCH, Reply(200, packed[:200_000], GZIP, end=End.RESET))
    assert await rig.read(rig.wanted(1, DATA)) == DATA
    first, second = rig.ranges()
    assert first == ""
    assert 0 < int(second.removeprefix("bytes=").removesuffix("-")) <= 200_000


async def test_a_compressed_part_is_asked_for_whole(rig: Rig) -> None:
    part = Reply.part(DATA, 100_000, 300_000)
    rig.platform.script(
        FETCH,
        Reply.sized(DATA[:100_000], len(DATA), end=End.RESET),
        attrs.evolve(part, body=gzip.compress(part.body), headers=dict(part.headers) | GZIP),
    )
    assert await rig.read(rig.wanted(1, DATA)) == DATA
    assert rig.ranges() == ["", "bytes=100000-", ""]


async def test_a_body_in_an_unknown_coding_is_not_served(rig: Rig) -> None:
    rig.platform.script(FETCH, Reply(200, b"packed", {"Content-Encoding": "br"}))
    assert await rig.read(rig.wanted(1, DATA)) == DATA
    assert rig.fetch_times() == [0.0, 2.1]


@abandoned_body
async def test_a_body_with_damaged_compression_is_fetched_again(rig: Rig) -> None:
    rig.platform.script(FETCH, Reply(200, b"not gzip", GZIP))
    assert await rig.read(rig.wanted(1, DATA)) == DATA
    assert rig.fetch_times() == [0.0, 2.1]


async def test_a_content_whose_size_changes_is_fetched_from_scratch(rig: Rig) -> None:
    newer = noise(250_000, seed=1)
    wanted = rig.wanted(1, newer)
    rig.platform.script(FETCH, Reply.sized(DATA[:100_000], len(DATA), end=End.RESET))
    assert await rig.read(wanted) == newer
    assert rig.ranges() == ["", "bytes=100000-", ""]
    await wait_all_tasks_blocked()
    assert rig.sizes.size(wanted.key) == 250_000


async def test_a_content_whose_size_changes_leaves_nothing_on_the_disk(rig: Rig) -> None:
    older = noise(3 * CHUNK_BYTES)
    newer = noise(100, seed=1)
    wanted = rig.wanted(1, newer)
    rig.platform.script(
        FETCH,
        Reply.sized(older[: 2 * CHUNK_BYTES + 5], len(older), end=End.RESET),
        *[Reply.sized(b"", len(newer), end=End.RESET)] * 6,
    )
    with pytest.raises(TransportError):
        await rig.read(wanted)
    assert rig.cache.contains(wanted.key) == "no"


async def test_a_web_page_is_not_the_content(rig: Rig) -> None:
    page = Reply(200, b"<html>Maintenance</html>", {"Content-Type": "text/html; charset=utf-8"})
    rig.platform.script(FETCH, page)
    assert await rig.read(rig.wanted(1, DATA)) == DATA
    assert rig.fetch_times() == [0.0, 2.1]


async def test_nothing_but_web_pages_is_a_fault_and_nothing_is_kept(rig: Rig) -> None:
    page = Reply(200, b"<html>Maintenance</html>", {"Content-Type": "text/html"})
    rig.platform.script(FETCH, *[page] * 5)
    wanted = rig.wanted(1, DATA)
    with pytest.raises(ServerError, match="web page"):
        await rig.read(wanted)
    assert rig.fetch_times() == [0.0, 2.1, 6.2, 14.3, 30.4]
    assert rig.cache.load(wanted.key) is None
    # A fault of the server is never remembered as an absence.
    assert await rig.read(wanted) == DATA


async def test_a_web_page_is_the_content_where_the_record_says_so(rig: Rig) -> None:
    rig.platform.script(FETCH, Reply(200, b"<html>Fax</html>", {"Content-Type": "text/html"}))
    assert await rig.read(rig.wanted(1, b"", content_type="text/html")) == b"<html>Fax</html>"


@pytest.mark.parametrize("content_type", ["", "text/html"])
async def test_a_web_page_is_never_a_recording(rig: Rig, content_type: str) -> None:
    key = RecordingKey(ACCOUNT_ID, "3421234004")
    wanted = Wanted(key, rig.platform.add_content(key, DATA), content_type)
    rig.platform.script("readCallRecordingContent", Reply(200, b"<html>", {"Content-Type": "text/html"}))
    assert await rig.read(wanted) == DATA


async def test_a_server_that_sends_empty_parts_is_given_up_after_five(rig: Rig) -> None:
    rig.platform.script(FETCH, *[Reply(206, b"", {"Content-Range": "bytes */300000"})] * 5)
    with pytest.raises(ServerError, match="brought no missing bytes"):
        await rig.read(rig.wanted(1, DATA))
    assert len(rig.ranges()) == 5


async def test_one_wrong_content_range_among_unrequested_parts_is_ignored(rig: Rig) -> None:
    part = [Reply.part(DATA, start, start + 1000) for start in (0, 1000, 2000)]
    wrong = attrs.evolve(part[1], headers={**part[1].headers, "Content-Range": "bytes 5000-5999/300000"})
    # The part that answers the request for the whole, which follows, brings nothing new.
    rig.platform.script(FETCH, part[0], wrong, part[0], part[1])
    assert await rig.read(rig.wanted(1, DATA)) == DATA
    assert rig.ranges()[:4] == ["", "bytes=1000-", "", "bytes=1000-"]


async def test_a_whole_answer_is_kept_although_an_earlier_total_disagreed(rig: Rig) -> None:
    rig.platform.script(FETCH, Reply.part(DATA, 0, 1000, total="77777"), Reply.sized(DATA))
    assert await rig.read(rig.wanted(1, DATA)) == DATA
    assert len(rig.ranges()) == 2


@abandoned_body
@pytest.mark.parametrize("coding", [None, "gzip"])
async def test_a_body_without_an_end_is_given_up_and_leaves_nothing(
    new_rig: OpenRig, coding: str | None
) -> None:
    async with new_rig(cache_bytes=16 << 20, max_content_bytes=6 * CHUNK_BYTES) as rig:
        kept, endless = rig.wanted(1, DATA), rig.wanted(2, b"")
        await rig.read(kept)
        pieces: Any = itertools.repeat(b"x" * 65_536)
        body = Reply(pieces=pieces)
        if coding:
            packed = gzip.compress(bytes(7 * CHUNK_BYTES))
            body = Reply(body=packed, headers={"Content-Encoding": coding})
        rig.platform.script(FETCH, body)
        for _again in range(2):
            with pytest.raises(TooLargeError, match="bytes or more, and --max-content"):
                await rig.read(endless)
        assert len(rig.ranges()) == 2, "it was asked for once"
        assert (rig.cache.contains(endless.key), rig.cache.contains(kept.key)) == ("no", "yes")


async def test_a_content_whose_length_is_too_large_is_not_received(new_rig: OpenRig) -> None:
    async with new_rig(max_content_bytes=1000) as rig:
        with pytest.raises(TooLargeError, match="has 300,000 bytes, and --max-content allows 1,000"):
            await rig.read(rig.wanted(1, DATA))
        assert await rig.read(rig.wanted(2, DATA[:1000])) == DATA[:1000]


def open_spills(rig: Rig) -> int:
    """How many files without a name are open beside the cache's database."""
    directory = str(rig.cache.directory)
    links = [path.readlink() for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    return sum(str(link.parent) == directory and link.name.endswith("(deleted)") for link in links)


@pytest.mark.parametrize("sized", [True, False])
async def test_a_content_larger_than_the_cache_lies_in_an_unlinked_file(
    new_rig: OpenRig, sized: bool
) -> None:
    async with new_rig(cache_bytes=5 * CHUNK_BYTES) as rig:
        small, data = rig.wanted(1, DATA), noise(9 * CHUNK_BYTES + 5)
        await rig.read(small)
        large = rig.wanted(2, data)
        rig.platform.script(FETCH, Reply.sized(data) if sized else Reply(body=data))
        content = await rig.open(large)
        await content.wait_complete()
        await rig.engine.library.reach(content, 0, content.arrived)
        assert content.read(0, content.arrived) == data
        assert content.memory_bytes == 0
        assert open_spills(rig) == 1
        if sized:
            assert rig.cache.contains(small.key) == "yes", "it drove nothing out"
        rig.engine.library.release(content)
        await wait_all_tasks_blocked()
        assert open_spills(rig) == 0


async def test_without_disk_space_a_content_fails_before_it_fills_the_memory(
    new_rig: OpenRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with new_rig(cache_bytes=2 * CHUNK_BYTES) as rig:

        def full() -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(rig.cache, "spill", full)
        monkeypatch.setattr(_storage, "_MEMORY_BYTES", 4 * CHUNK_BYTES)
        small = noise(3 * CHUNK_BYTES)
        assert await rig.read(rig.wanted(1, small)) == small, "what fits is read through memory"
        with pytest.raises(NoRoomError):
            await rig.read(rig.wanted(2, noise(20 * CHUNK_BYTES)))
        assert await rig.read(rig.wanted(3, small)) == small, "and is given back"


@abandoned_body
async def test_a_body_that_trickles_without_readers_is_given_up(rig: Rig) -> None:
    drip: Any = itertools.repeat(b"x" * 4096)
    rig.platform.script(FETCH, *[Reply(pieces=drip, gap_s=2.0)] * 3)
    wanted = [rig.wanted(number, DATA) for number in range(3)]
    contents = [await rig.open(each) for each in wanted]
    await trio.sleep(60)
    for content in contents[:2]:
        rig.engine.library.release(content)
    await trio.sleep(600)
    assert all(
        isinstance(content.failure, AbandonedError) and not content.held.spans for content in contents[:2]
    )
    assert contents[2].is_pending, "somebody waits for this one"
    assert len(rig.ranges()) == 3, "and nothing was asked for again"
    rig.engine.library.release(contents[2])
    await trio.sleep(60)
    assert not contents[2].is_pending
