"""The fast lane: archives of a report fill the cache, in virtual time."""

import zipfile
from pathlib import Path

import attrs
import pytest
import trio

from rcfs.errors import PlatformError, StoreError
from rcfs.exports import FillReport
from rcfs.model import CHUNK_BYTES, AttachmentKey, Export, Wanted
from rcfs.store import ContentInfo
from tests.fakes.rig import EXTENSION_ID, Rig, noise
from tests.fakes.scripted import ACCOUNT_ID, End, Reply, ScriptedPlatform
from tests.fakes.zips import ARCHIVE, Mails, headers_of, keys_of, packed, path_of, prepare
from tests.scenario.conftest import OpenRig

FETCH = "readMessageContent"


async def fill(rig: Rig, export: Export, *numbers: int) -> FillReport:
    """Fill from these archives, or from all; the last report."""
    report = FillReport()
    await prepare(rig)
    for archive in export.archives:
        if not numbers or archive.number in numbers:
            report = await rig.engine.fast_lane.fill_from(export, archive)
    return report


async def serve(rig: Rig, mails: Mails, *archives: bytes) -> Export:
    """The report with these archives, as by `Mails.serve`, when its records are in the index."""
    export = mails.serve(*archives)
    await fill(rig, export, 0)
    return export


def cut(archive: bytes, stop: int) -> Reply:
    """The first bytes of `archive`, up to `stop`; then the connection breaks."""
    return Reply.sized(archive[:stop], len(archive), end=End.RESET)


async def assert_read(rig: Rig, mails: Mails) -> None:
    """Every attachment reads byte for byte, without a request."""
    before = len(rig.platform.seen)
    for key, data in zip(keys_of(mails.contents), mails.contents.values(), strict=True):
        assert await rig.read(Wanted(key)) == data
    assert len(rig.platform.seen) == before


@pytest.mark.parametrize("piped", [False, True])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
async def test_two_requests_fill_the_cache(
    platform: ScriptedPlatform, rig: Rig, method: int, piped: bool
) -> None:
    mails = Mails.of(platform, 40, 30_000)
    mails.add(41, bytes(3 * CHUNK_BYTES + 7))
    mails.add(42, noise(9 << 20))
    export = mails.serve(mails.records(), packed(mails.files(), method, piped=piped))
    before = len(platform.seen)
    report = await fill(rig, export)
    assert [seen.operation for seen in platform.seen[before:]] == ["syncMessages", ARCHIVE, ARCHIVE]
    assert (report.filled, report.is_whole, report.agrees, report.examples) == (42, True, True, [])
    assert report.size_bytes == sum(map(len, mails.contents.values()))
    assert rig.sizes.size(keys_of(mails.contents)[-1]) == 9 << 20
    await assert_read(rig, mails)


async def test_a_fill_is_not_repeated_and_another_one_finds_everything_there(
    platform: ScriptedPlatform, new_rig: OpenRig
) -> None:
    mails = Mails.of(platform, 20)
    mails.add(21, noise(9 << 20))
    export = mails.serve()
    async with new_rig() as rig:
        first = await fill(rig, export)
        assert (await fill(rig, export)) == attrs.evolve(first, requests=0, resumed_bytes=first.done_bytes)
        assert len(headers_of(platform)) == 2
        again = await rig.engine.fast_lane.fill_from(export, export.archives[1], afresh=True)
        assert (again.filled, again.present, again.differing) == (0, 21, 0)
        # Without the contents the mark is worth nothing.
        rig.cache.clear()
        assert (await fill(rig, export, 1)).filled == 21
        await assert_read(rig, mails)


async def test_a_broken_connection_is_resumed_without_a_byte_twice(
    platform: ScriptedPlatform, rig: Rig
) -> None:
    mails = Mails.of(platform, 30, 100_000)
    export = await serve(rig, mails)
    archive = mails.archives[1]
    platform.script(ARCHIVE, cut(archive, 1_234_567))
    report = await fill(rig, export, 1)
    assert (report.filled, report.requests) == (30, 2)
    assert headers_of(platform)[1:] == ["", "bytes=1234567-"]
    await assert_read(rig, mails)


async def test_a_server_without_ranges_sends_it_again(platform: ScriptedPlatform, rig: Rig) -> None:
    mails = Mails.of(platform, 30, 100_000)
    export = await serve(rig, mails)
    archive = mails.archives[1]
    platform.script(ARCHIVE, cut(archive, 1_234_567), Reply.sized(archive))
    report = await fill(rig, export, 1)
    assert (report.filled, report.damaged, report.agrees) == (30, 0, True)
    await assert_read(rig, mails)


async def test_after_another_archive_came_the_next_run_begins_again(
    platform: ScriptedPlatform, rig: Rig
) -> None:
    mails = Mails.of(platform, 30, 100_000)
    export = await serve(rig, mails)
    archive = mails.archives[1]
    broken = cut(archive, 1_500_000)
    platform.script(ARCHIVE, broken, *[Reply.sized(archive + b"more")] * 2)
    with pytest.raises(PlatformError, match="and had"):
        await fill(rig, export, 1)
    assert (await rig.engine.fast_lane.reported(export.archives[1])).done_bytes == 0
    report = await fill(rig, export, 1)
    assert (report.filled + report.present, report.requests, report.agrees) == (30, 1, True)
    assert headers_of(platform)[1:] == ["", "bytes=1500000-", ""]
    await assert_read(rig, mails)


@pytest.mark.parametrize("tenth", range(1, 10))
async def test_after_a_failure_the_next_run_continues_with_the_member_in_progress(
    platform: ScriptedPlatform, new_rig: OpenRig, tenth: int
) -> None:
    mails = Mails.of(platform, 30, 100_000)
    async with new_rig() as rig:
        export = await serve(rig, mails)
        stop = len(mails.archives[1]) * tenth // 10
        platform.script(ARCHIVE, cut(mails.archives[1], stop), *[Reply.error(503)] * 5)
        with pytest.raises(PlatformError):
            await fill(rig, export, 1)
        told = await rig.engine.fast_lane.reported(export.archives[1])
        assert 0 <= stop - told.done_bytes < 101_000
    async with new_rig() as rig:
        report = await fill(rig, export, 1)
        assert (report.filled, report.present, report.agrees) == (30, 0, True)
        assert headers_of(platform)[-1] == (f"bytes={told.done_bytes}-" if told.done_bytes else "")
        await assert_read(rig, mails)


async def test_an_archive_in_the_cache_needs_no_request(platform: ScriptedPlatform, rig: Rig) -> None:
    mails = Mails.of(platform, 30, 100_000)
    export = await serve(rig, mails)
    archive = export.archives[1]
    assert await rig.read(Wanted(archive.key, archive.uri)) == mails.archives[1]
    before = len(platform.seen)
    report = await fill(rig, export, 1)
    assert (report.filled, report.requests, len(platform.seen) - before) == (30, 0, 0)
    await assert_read(rig, mails)


async def test_strange_members_are_counted_and_the_rest_is_filled(
    platform: ScriptedPlatform, rig: Rig
) -> None:
    mails = Mails.of(platform, 6, 5000)
    files = mails.files()
    broken = packed(files[:1])
    damaged = broken[:200].replace(files[0][1][:8], b"\0" * 8) + broken[200:]
    strange = [
        ("../../etc/passwd", b"root"),
        ("/account/1/extension/101/message-store/2/content/2.wav", b"another account"),
        (path_of(77), b"no such message"),
        (path_of(2, 99), b"no such attachment"),
        (path_of(9**19), b"too large a number"),
        ("caf\udce9".encode("utf-8", "surrogateescape").decode("cp437"), b"odd name"),
        (path_of(3).replace("content", "con\x1b[2Jtent"), b"control"),
    ]
    export = mails.serve(mails.records(), damaged, packed(strange + files[1:] + files[1:3]))
    first = await fill(rig, export, 0, 1)
    assert (first.filled, first.damaged) == (0, 1)
    report = await fill(rig, export, 2)
    assert (report.filled, report.unknown, report.present, report.is_whole) == (5, 7, 2, True)
    assert all(example.name.isprintable() for example in report.examples)
    assert rig.cache.contains(keys_of(mails.contents)[0]) == "no"


async def test_what_the_cache_has_is_kept_and_a_difference_is_reported(
    platform: ScriptedPlatform, rig: Rig
) -> None:
    mails = Mails.of(platform, 4, 5000)
    mails.add(5, noise(9 << 20))
    others = [(path_of(number), noise(len(data), 99)) for number, data in mails.contents.items()]
    export = await serve(rig, mails, mails.records(), packed(others))
    await rig.mailbox()
    for key in keys_of(mails.contents):
        if key.message_id != 2:
            await rig.read(Wanted(key))
    report = await fill(rig, export, 1)
    assert (report.filled, report.differing) == (1, 4)
    del mails.contents[2]
    await assert_read(rig, mails)


@pytest.mark.parametrize(("size", "filled"), [(5000, 1), (4999, 0), (0, 1)])
async def test_the_size_in_the_record_must_agree(
    platform: ScriptedPlatform, rig: Rig, size: int, filled: int
) -> None:
    mails = Mails.of(platform, 1, 5000, size=size)
    report = await fill(rig, mails.serve())
    assert (report.filled, report.differing) == (filled, 1 - filled)


async def test_a_cut_archive_says_so_and_fills_what_came(platform: ScriptedPlatform, rig: Rig) -> None:
    mails = Mails.of(platform, 30, 100_000)
    export = mails.serve(mails.records(), packed(mails.files())[:1_500_000])
    report = await fill(rig, export)
    assert (report.filled, report.is_whole) == (14, False)
    assert "cut" in report.problem


async def test_no_archive_at_all(platform: ScriptedPlatform, rig: Rig) -> None:
    mails = Mails.of(platform, 1)
    report = await fill(rig, mails.serve(mails.records(), b"<html>Service unavailable</html>" * 9))
    assert (report.filled, report.is_whole) == (0, False)
    assert "no member begins at byte 0" in report.problem


async def test_the_cache_never_exceeds_its_limit(
    platform: ScriptedPlatform, new_rig: OpenRig, tmp_path: Path
) -> None:
    mails = Mails.of(platform, 80, 100_000)
    mails.add(81, noise(9 << 20))
    limit = 24 << 20
    sizes: list[int] = []

    def measure(_report: FillReport) -> None:
        sizes.append(sum(file.stat().st_blocks * 512 for file in (tmp_path / "cache").rglob("*")))

    async with new_rig(cache_bytes=limit) as rig:
        export = await serve(rig, mails)
        await rig.engine.fast_lane.fill_from(export, export.archives[1], progress=measure)
        assert max(sizes) <= limit
        await assert_read(rig, mails)


async def test_a_cache_full_of_pins_ends_the_fill_and_later_it_continues(
    platform: ScriptedPlatform, new_rig: OpenRig
) -> None:
    mails = Mails.of(platform, 80, 100_000)
    async with new_rig(cache_bytes=6 << 20) as rig:
        export = await serve(rig, mails)
        rig.cache.pin(keys_of(mails.contents))
        with pytest.raises(StoreError, match="no more"):
            await fill(rig, export, 1)
        rig.warnings.clear()
    async with new_rig(cache_bytes=60 << 20) as rig:
        report = await fill(rig, export, 1)
        assert report.resumed_bytes > 3_000_000
        assert report.filled + report.present == 80
        await assert_read(rig, mails)


async def test_a_content_that_is_being_fetched_is_left_alone(
    platform: ScriptedPlatform, new_rig: OpenRig, tmp_path: Path
) -> None:
    mails = Mails.of(platform, 3, 5000)
    data = mails.contents[2]
    async with new_rig() as rig:
        export = await serve(rig, mails)
        platform.script(FETCH, Reply.sized(data, gap_s=5, pieces=[data[:100], data[100:]]))
        content = await rig.open(Wanted(keys_of(mails.contents)[1]))
        await content.wait_size()
        report = await fill(rig, export, 1)
        assert (report.filled, report.present) == (2, 1)
        await content.wait_complete()
        rig.engine.library.release(content)
        await assert_read(rig, mails)


async def test_a_reader_that_waits_for_its_turn_needs_no_request(
    platform: ScriptedPlatform, rig: Rig
) -> None:
    mails = Mails.of(platform, 60, 5000)
    export = await serve(rig, mails)
    contents = [await rig.open(Wanted(key)) for key in keys_of(mails.contents)]
    await trio.sleep(1)
    sent = len(platform.sent(FETCH))
    assert sent < 60
    report = await fill(rig, export, 1)
    assert report.filled + report.present == 60
    for content in contents:
        await content.wait_complete()
        rig.engine.library.release(content)
    assert len(platform.sent(FETCH)) == sent


async def test_two_fills_of_an_archive_at_once_send_one_request(platform: ScriptedPlatform, rig: Rig) -> None:
    mails = Mails.of(platform, 3, 5000)
    export = await serve(rig, mails)
    before = len(platform.sent(ARCHIVE))
    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(fill, rig, export, 1)
    assert len(platform.sent(ARCHIVE)) == before + 1
    await assert_read(rig, mails)


@pytest.mark.parametrize(("reads_first", "requests"), [(True, 1), (False, 2)])
async def test_a_reader_of_the_archive_as_a_file_does_not_wait_for_its_fill(
    platform: ScriptedPlatform, rig: Rig, reads_first: bool, requests: int
) -> None:
    mails = Mails.of(platform, 3, 5000)
    export = await serve(rig, mails)
    archive, data = export.archives[1], mails.archives[1]
    slow = Reply.sized(data, gap_s=20, pieces=[data[:100], data[100:]])
    platform.script(ARCHIVE, slow)
    before, read_s = len(platform.sent(ARCHIVE)), 0.0

    async def read() -> None:
        nonlocal read_s
        assert await rig.read(Wanted(archive.key, archive.uri)) == data
        read_s = trio.current_time()

    async def take_apart() -> None:
        assert (await fill(rig, export, 1)).is_whole

    begun_s = trio.current_time()
    async with trio.open_nursery() as nursery:
        for job in (read, take_apart) if reads_first else (take_apart, read):
            nursery.start_soon(job)
            await trio.sleep(10)
    assert len(platform.sent(ARCHIVE)) - before == requests
    assert read_s - begun_s < (50 if reads_first else 20)
    await assert_read(rig, mails)


async def test_the_other_layout(platform: ScriptedPlatform, rig: Rig) -> None:
    mails = Mails.of(platform, 3, 5000)
    names = [
        path_of(n).replace(f"{n}/content/{n}.wav", f"content/{n}{suffix}")
        for n, suffix in ((1, ""), (2, ".wav"), (3, "/3.wav"))
    ]
    report = await fill(
        rig, mails.serve(mails.records(bare=True), packed(zip(names, mails.contents.values(), strict=True)))
    )
    assert report.filled == 3
    await assert_read(rig, mails)


async def test_a_partial_content_is_replaced(platform: ScriptedPlatform, rig: Rig) -> None:
    mails = Mails(platform)
    mails.add(1, noise(3 * CHUNK_BYTES, 1))
    mails.add(2, noise(9 << 20, 2))
    for key in keys_of(mails.contents):
        info = ContentInfo(size_bytes=len(mails.contents[key.message_id]))
        chunk = rig.cache.put_chunk(key, 1, noise(CHUNK_BYTES, 99), info)
        assert chunk is not None
        chunk.close()
    assert (await fill(rig, mails.serve())).filled == 2
    await assert_read(rig, mails)


async def test_searches_find_what_transcripts_say(platform: ScriptedPlatform, rig: Rig) -> None:
    mails = Mails(platform)
    mails.add(1, b"call me about the zebra", type="AudioTranscription", contentType="text/plain")
    await rig.mailbox()
    await fill(rig, mails.serve(mails.records(), packed(mails.files())))
    key = AttachmentKey(ACCOUNT_ID, EXTENSION_ID, 1, 1)
    assert await rig.read(Wanted(key)) == mails.contents[1]
