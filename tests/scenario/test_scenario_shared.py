"""Engines of several machines that share one object store: one request for each content."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from rcfs.model import CHUNK_BYTES, MEDIUM, ContentKey, Priority, Wanted
from rcfs.objects import CLAIM_EXPIRY_S, ObjectNames, chunk_digest, is_claim, write_header
from rcfs.quota import Ledger, MemoryHome, Scheduler, Send
from rcfs.status import SharedStatus
from rcfs.store import Claims, ContentInfo, FetchHistory
from tests.fakes.objects import MemoryObjects
from tests.fakes.rig import Rig, add_voicemail, noise, open_rig
from tests.fakes.scripted import LATENCY_S, PLATFORM, Reply, ScriptedPlatform
from tests.fakes.zips import Mails, keys_of, prepare

SMALL = noise(70_000)
LARGE = noise(3 * CHUNK_BYTES + 5)
FETCH = "readMessageContent"


@pytest.fixture
def objects() -> MemoryObjects:
    return MemoryObjects(trio.current_time)


@pytest.fixture
def ledger(platform: ScriptedPlatform) -> Ledger:
    """The budget, which all machines share."""
    return Ledger(MemoryHome(platform.plans))


@pytest.fixture
async def rigs(
    platform: ScriptedPlatform,
    tmp_path: Path,
    objects: MemoryObjects,
    ledger: Ledger,
    history: FetchHistory,
) -> AsyncIterator[tuple[Rig, Rig]]:
    """Two machines."""
    async with (
        open_rig(platform, tmp_path / "1", ledger=ledger, objects=objects) as first,
        open_rig(platform, tmp_path / "2", ledger=ledger, objects=objects, history=history) as second,
    ):
        yield first, second


@pytest.fixture
def history(tmp_path: Path) -> Iterator[FetchHistory]:
    """The record of fetches of the second machine."""
    with closing(FetchHistory.open(tmp_path / "history.sqlite", pytest.fail)) as history:
        yield history


def name_of(key: ContentKey) -> str:
    return ObjectNames(PLATFORM).content(key)


def status(rig: Rig) -> SharedStatus:
    assert rig.engine.sharing is not None
    return rig.engine.sharing.status()


def events(rig: Rig) -> str:
    return " ".join(fault.detail for fault in rig.engine.recorder.faults)


async def written(rig: Rig) -> None:
    assert rig.engine.sharing is not None
    await wait_all_tasks_blocked()
    await rig.engine.sharing.writer.drain()


@pytest.mark.parametrize("data", [b"x", SMALL, LARGE], ids=["tiny", "small", "large"])
async def test_what_one_machine_fetched_the_other_reads_without_a_request(
    rigs: tuple[Rig, Rig], data: bytes, history: FetchHistory
) -> None:
    first, second = rigs
    wanted = first.wanted(1, data)
    assert await first.read(wanted) == data
    await written(first)
    used = second.used("medium")
    assert await second.read(wanted) == data
    assert len(first.ranges()) == 1
    assert second.used("medium") == used, "no slot was taken"
    assert second.cache.contains(wanted.key) == "yes"
    assert (status(first).written, status(first).hits, status(second).hits) == (1, 0, 1)
    assert await second.read(wanted) == data
    assert status(second).hits == 1, "the second time from the disk"
    assert [(each.requests, each.remark) for each in history.fetches([wanted.key])[wanted.key]] == [
        (0, "from the shared store")
    ]


async def test_machines_that_want_a_content_at_once_send_one_request(
    rigs: tuple[Rig, Rig], platform: ScriptedPlatform
) -> None:
    first, _second = rigs
    wanted = [first.wanted(number, noise(1000, number)) for number in range(1, 30)]
    async with trio.open_nursery() as nursery:
        for rig in rigs:
            for each in wanted:
                nursery.start_soon(rig.read, each)
    assert len(platform.sent(FETCH)) == len(wanted)
    assert first.used("medium") == len(wanted), "a slot that another machine made useless was given back"
    assert {status(rig).waiting for rig in rigs} == {0}


async def test_a_bulk_queue_holds_no_claims(rigs: tuple[Rig, Rig], platform: ScriptedPlatform) -> None:
    """A person of another machine gets at once what a copy of this one would fetch in a minute."""
    first, second = rigs
    wanted = [first.wanted(number, noise(1000, number)) for number in range(1, 60)]
    async with trio.open_nursery() as nursery:
        for each in wanted:
            nursery.start_soon(first.read, each, Priority.BULK)
        await trio.sleep(5)
        begun_s = trio.current_time()
        assert await second.read(wanted[-1]) == noise(1000, 59)
        assert trio.current_time() - begun_s < 2
    assert len(platform.sent(FETCH)) == len(wanted)


async def test_a_dead_machines_claim_is_taken_over(
    platform: ScriptedPlatform, rigs: tuple[Rig, Rig], objects: MemoryObjects, history: FetchHistory
) -> None:
    first, second = rigs
    wanted = first.wanted(1, SMALL)
    objects.objects[name_of(wanted.key)] = b'rcfs claim 1\n{"holder": "dead"}', "0", trio.current_time()
    await trio.sleep(3)
    begun_s = trio.current_time()
    assert await second.read(wanted) == SMALL
    assert CLAIM_EXPIRY_S - 5 < trio.current_time() - begun_s < CLAIM_EXPIRY_S + 3
    assert status(second).taken_over == 1
    (record,) = history.fetches([wanted.key])[wanted.key]
    assert (record.priority, record.remark) == ("person", "after a machine that had claimed it died")
    await written(second)
    assert await first.read(wanted) == SMALL
    assert len(platform.sent(FETCH)) == 1


async def test_a_claim_is_renewed_for_as_long_as_a_fetch_takes(
    platform: ScriptedPlatform, rigs: tuple[Rig, Rig]
) -> None:
    first, second = rigs
    wanted = first.wanted(1, SMALL)
    platform.script(FETCH, Reply.sized(SMALL, delay_s=55.0))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(first.read, wanted)
        await wait_all_tasks_blocked()
        assert await second.read(wanted) == SMALL
    assert len(platform.sent(FETCH)) == 1
    assert status(second).taken_over == 0


async def test_a_failed_fetch_gives_its_claim_back(
    platform: ScriptedPlatform, rigs: tuple[Rig, Rig], objects: MemoryObjects
) -> None:
    first, second = rigs
    wanted = first.wanted(1, SMALL)
    platform.script(FETCH, Reply.error(404))
    with pytest.raises(Exception, match="404"):
        await first.read(wanted)
    await trio.sleep(1)
    assert objects.objects == {}
    assert await second.read(wanted) == SMALL


def damaged(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def foreign(_data: bytes) -> bytes:
    header = write_header(bytes(16), 5, "", [bytes(16)])
    return header + b"12345"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: damaged(data, len(data) - 1),
        lambda data: damaged(data, len(data) - CHUNK_BYTES - 10),
        lambda data: damaged(data, 30),
        lambda data: data.replace(b"audio/x-wav", b"audio/x-wax", 1),
        lambda data: data[:-1],
        lambda data: data + b"x",
        lambda _data: b"",
        lambda _data: b"<html>",
        foreign,
    ],
    ids=[
        "last byte",
        "second chunk",
        "header",
        "type",
        "cut",
        "longer",
        "empty",
        "no content",
        "another content",
    ],
)
async def test_a_wrong_object_is_never_given_to_a_reader_and_is_replaced(
    rigs: tuple[Rig, Rig],
    objects: MemoryObjects,
    platform: ScriptedPlatform,
    spoil: Callable[[bytes], bytes],
) -> None:
    first, second = rigs
    wanted = first.wanted(1, LARGE)
    assert await first.read(wanted) == LARGE
    await written(first)
    good, _tag, at_s = objects.objects[name_of(wanted.key)]
    objects.objects[name_of(wanted.key)] = spoil(good), "spoilt", at_s
    assert await second.read(wanted) == LARGE
    assert len(platform.sent(FETCH)) == 2
    assert "wrong object" in events(second)
    assert status(second).wrong == 1
    await written(second)
    assert objects.objects[name_of(wanted.key)][0] == good


async def test_a_store_that_fails_costs_readers_nothing_and_is_used_again(
    rigs: tuple[Rig, Rig], objects: MemoryObjects, platform: ScriptedPlatform
) -> None:
    first, second = rigs
    objects.problem = "503 Slow Down"
    begun_s = trio.current_time()
    for number in range(1, 11):
        wanted = first.wanted(number, noise(100, number))
        assert await first.read(wanted) == noise(100, number)
    assert trio.current_time() - begun_s == pytest.approx(10 * LATENCY_S)
    assert status(first).passed_over_because == "503 Slow Down"
    assert events(first).count("works without the shared store") == 1
    assert len(objects.calls) == 1, "one reader noticed it"
    objects.problem = ""
    await trio.sleep(5)
    await written(first)
    assert status(first).passed_over_because is None
    assert (status(first).waiting, status(first).written, status(first).dropped) == (0, 10, 0)
    assert await second.read(first.wanted(10, noise(100, 10))) == noise(100, 10)
    assert len(platform.sent(FETCH)) == 10


async def test_a_store_that_is_full_is_still_read(
    rigs: tuple[Rig, Rig], objects: MemoryObjects, platform: ScriptedPlatform
) -> None:
    first, second = rigs
    wanted = [first.wanted(number, noise(100, number)) for number in range(4)]
    await first.read(wanted[0])
    await first.read(wanted[1])
    await written(first)
    objects.full = "No space left on device"
    for each in (*wanted[2:], *wanted[:2]):
        await second.read(each)
    assert status(second).passed_over_because == "No space left on device"
    assert (status(second).is_read, status(second).hits) == (True, 2)
    assert events(second).count("only reads the shared store") == 1
    assert len(platform.sent(FETCH)) == 4
    objects.problem = "gone"
    await second.read(first.wanted(4, SMALL))
    assert not status(second).is_read
    objects.problem = ""
    await trio.sleep(60)
    assert status(second).is_read, "a probe has found that it can be read again"
    objects.full = ""
    await trio.sleep(120)
    assert status(second).passed_over_because is None


async def test_what_waits_for_a_store_that_stays_away_is_dropped(
    rigs: tuple[Rig, Rig], objects: MemoryObjects
) -> None:
    objects.problem = "gone"
    first, _second = rigs
    await first.read(first.wanted(1, SMALL))
    await trio.sleep(300)
    assert (status(first).waiting, status(first).dropped) == (0, 1)
    assert len(objects.calls) < 12, "probes become rare"


async def test_a_store_that_breaks_within_a_content_is_continued_by_the_platform(
    rigs: tuple[Rig, Rig], objects: MemoryObjects
) -> None:
    first, second = rigs
    wanted = first.wanted(1, LARGE)
    await first.read(wanted)
    await written(first)
    objects.breaks_behind = 1
    assert await second.read(wanted) == LARGE
    assert first.ranges() == ["", f"bytes={CHUNK_BYTES}-"]


async def test_a_purged_message_leaves_the_store_also_when_it_was_away(
    platform: ScriptedPlatform, rigs: tuple[Rig, Rig], objects: MemoryObjects
) -> None:
    first, _second = rigs
    for number in (1, 2):
        add_voicemail(platform, number, SMALL)
    for message in await first.messages():
        attachment = message.fetched_attachments[0]
        key = first.wanted(message.id, SMALL).key
        assert attachment.id == message.id
        await first.read(Wanted(key, PLATFORM + key.resource))
    await written(first)
    assert len(objects.objects) == 2
    objects.problem = "away"
    platform.remove(1, "Purged")
    await first.engine.account.mailboxes.refresh(101)
    await trio.sleep(10)
    assert status(first).to_erase == 1
    objects.problem = ""
    await trio.sleep(60)
    assert list(objects.objects) == [name_of(first.wanted(2, SMALL).key)]
    assert status(first).to_erase == 0


async def test_what_an_export_brought_is_shared_too(
    platform: ScriptedPlatform, rigs: tuple[Rig, Rig], objects: MemoryObjects
) -> None:
    first, second = rigs
    mails = Mails.of(platform, 20)
    mails.add(21, LARGE)
    export = mails.serve()
    there = name_of(keys_of(mails.contents)[0])
    objects.objects[there] = b"rcfs content 1\n", "old", 0.0
    await prepare(first)
    for archive in export.archives:
        assert (await first.engine.fast_lane.fill_from(export, archive)).problem == ""
    await written(first)
    assert len(objects.objects) == 21
    assert objects.objects[there][1] == "old", "what is there is not written again"
    before = len(platform.seen)
    for key, data in list(zip(keys_of(mails.contents), mails.contents.values(), strict=True))[1:]:
        assert await second.read(Wanted(key)) == data
    assert len(platform.seen) == before


async def test_processes_of_a_machine_take_turns_before_the_machines_do(
    rigs: tuple[Rig, Rig], objects: MemoryObjects
) -> None:
    """Else one could have the claim of the machine that the other one waits for, and the other way round."""
    first, _second = rigs

    class Busy(Claims):
        def take(self, key: ContentKey | str) -> bool:
            return False

    first.cache.claims.close()
    first.cache.claims = Busy(None)
    wanted = first.wanted(1, SMALL)
    content = await first.open(wanted)
    await trio.sleep(3)
    assert objects.objects == {}
    first.engine.library.release(content)


async def test_an_object_of_another_size_does_not_mix_with_what_the_platform_has_sent(
    rigs: tuple[Rig, Rig], objects: MemoryObjects
) -> None:
    first, _second = rigs
    wanted = first.wanted(1, LARGE)
    first.cache.put_chunk(wanted.key, 0, LARGE[:CHUNK_BYTES], ContentInfo(len(LARGE)))
    header = write_header(ObjectNames(PLATFORM).identity(wanted.key), len(SMALL), "", [chunk_digest(SMALL)])
    objects.objects[name_of(wanted.key)] = header + SMALL, "old", 0.0
    assert await first.read(wanted) == LARGE
    assert len(first.ranges()) == 1


async def test_a_content_that_the_cache_cannot_keep_gives_its_claim_back(
    platform: ScriptedPlatform, tmp_path: Path, objects: MemoryObjects
) -> None:
    async with open_rig(platform, tmp_path / "3", objects=objects, cache_bytes=2 * CHUNK_BYTES) as rig:
        assert await rig.read(rig.wanted(1, LARGE)) == LARGE
        await written(rig)
        assert objects.objects == {}
        assert status(rig).dropped == 1


async def test_a_penalty_that_begins_while_a_content_is_claimed_is_waited_for(
    rigs: tuple[Rig, Rig], objects: MemoryObjects, ledger: Ledger
) -> None:
    first, _second = rigs

    def refuse() -> None:
        objects.on_create = lambda: None
        scheduler, now_s = Scheduler(ledger), trio.current_time()
        scheduler.submit(MEDIUM, Priority.PERSON, now_s)
        decision = scheduler.next(now_s)
        assert isinstance(decision, Send)
        ledger.refuse(decision.slot, now_s, None, 30.0)

    objects.on_create = refuse
    begun_s = trio.current_time()
    assert await first.read(first.wanted(1, SMALL)) == SMALL
    assert trio.current_time() - begun_s > 30


async def test_a_reader_that_gives_up_while_another_machine_fetches_leaves_nothing(
    rigs: tuple[Rig, Rig], objects: MemoryObjects
) -> None:
    first, _second = rigs
    wanted = first.wanted(1, SMALL)
    objects.objects[name_of(wanted.key)] = b'rcfs claim 1\n{"holder": "slow"}', "0", trio.current_time()
    content = await first.open(wanted)
    await trio.sleep(3)
    first.engine.library.release(content)
    await trio.sleep(3)
    assert content.failure is not None
    looks = len(objects.calls)
    await trio.sleep(60)
    assert len(objects.calls) == looks
    assert first.ranges() == []


async def test_the_end_of_a_mount_writes_what_waits_and_releases_its_claims(
    platform: ScriptedPlatform, tmp_path: Path, objects: MemoryObjects
) -> None:
    platform.script(FETCH, Reply.sized(SMALL, delay_s=50.0))
    async with open_rig(platform, tmp_path / "1", objects=objects) as rig:
        wanted = [rig.wanted(number, SMALL) for number in range(9)]
        await rig.open(wanted[0])
        await trio.sleep(1)
        async with trio.open_nursery() as nursery:
            for each in wanted[1:]:
                nursery.start_soon(rig.read, each)
    assert set(objects.objects) == {name_of(each.key) for each in wanted[1:]}
    assert not any(is_claim(data) for data, _tag, _at_s in objects.objects.values())
