"""A damaged index is replaced, at the cost of loading the mailboxes again when someone looks into them."""

from pathlib import Path
from typing import Any

import pytest
import trio

from rcfs.errors import OfflineError
from rcfs.mailbox import Change, MailboxesLost
from rcfs.store import IndexDamagedError
from tests.fakes.rig import Rig, noise
from tests.fakes.scripted import MEDIA, PLATFORM, ScriptedPlatform
from tests.scenario.conftest import OpenRig

DATA = noise(3000)
LIST = "listMessages"
PAGE_BYTES = 4096


def sms(number: int) -> dict[str, Any]:
    return {"id": number, "type": "SMS", "creationTime": "2026-11-03T10:00:00Z", "subject": "hi"}


def damage(path: Path) -> None:
    """Overwrites all pages but the first, through which a database is opened."""
    pages = path.stat().st_size // PAGE_BYTES - 1
    assert pages > 2
    with path.open("r+b") as file:
        file.seek(PAGE_BYTES)
        file.write(b"\x5a" * PAGE_BYTES * pages)


def damage_used(rig: Rig, path: Path) -> None:
    """Damages an open database, and drops the pages that SQLite keeps in memory."""
    database = rig.index._database
    database._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    damage(path)
    for connection in (database._writer, database._reader):
        connection.execute("PRAGMA shrink_memory")


@pytest.fixture
def index_path(tmp_path: Path) -> Path:
    return tmp_path / "mailboxes.sqlite"


async def test_damage_found_at_the_start(
    platform: ScriptedPlatform, new_rig: OpenRig, index_path: Path
) -> None:
    platform.change(**sms(1))
    async with new_rig() as rig:
        cached = rig.wanted(1, DATA)
        await rig.read(cached)
        await rig.mailbox()
    damage(index_path)
    async with new_rig() as rig:
        assert [extension.id for extension in rig.engine.account.extensions] == [101]
        await trio.lowlevel.checkpoint()
        assert [message.id for message in await rig.messages()] == [1]
        assert len(platform.sent(LIST)) == 2
        assert await rig.read(cached) == DATA
        assert len(rig.ranges()) == 1, "the contents have nothing to do with it"
        assert len(rig.warnings) == 1
    platform.away = [PLATFORM, MEDIA]
    async with new_rig() as rig:
        assert [message.id for message in await rig.messages()] == [1], "known again"


async def test_damage_found_offline(new_rig: OpenRig, index_path: Path) -> None:
    async with new_rig():
        pass
    damage(index_path)
    with pytest.raises(OfflineError, match="has never seen this account"):
        async with new_rig(offline=True):
            pass


async def test_damage_found_by_a_listing(
    platform: ScriptedPlatform, new_rig: OpenRig, index_path: Path
) -> None:
    platform.change(**sms(1))
    async with new_rig() as rig:
        lost: list[str] = []

        def hear(change: Change) -> None:
            if isinstance(change, MailboxesLost):
                lost.append("lost")

        rig.engine.account.changes.subscribe(hear)
        cached = rig.wanted(1, DATA)
        await rig.read(cached)
        await rig.mailbox()
        damage_used(rig, index_path)
        for _look in range(3):
            with pytest.raises(IndexDamagedError):
                await rig.messages()
        assert lost == []
        await trio.sleep(0.01)
        assert lost == ["lost"], "once, however many met it"
        assert rig.engine.account.mailboxes.catalogue(101) is None
        assert [message.id for message in await rig.messages()] == [1]
        assert len(platform.sent(LIST)) == 2
        assert await rig.read(cached) == DATA
        assert len(rig.ranges()) == 1
        platform.change(**sms(2))
        await rig.engine.account.mailboxes.refresh(101)
        assert [message.id for message in await rig.messages()] == [1, 2]
    platform.away = [PLATFORM, MEDIA]
    async with new_rig() as rig:
        assert [message.id for message in await rig.messages()] == [1, 2], "the account is known, too"


async def test_damage_found_by_a_sync(rig: Rig, index_path: Path) -> None:
    rig.platform.change(**sms(1))
    await rig.mailbox()
    damage_used(rig, index_path)
    rig.platform.change(**sms(2))
    with pytest.raises(IndexDamagedError):
        await rig.engine.account.mailboxes.refresh(101)
    await trio.sleep(0.01)
    assert [message.id for message in await rig.messages()] == [1, 2]


@pytest.mark.parametrize("when", ["at the start", "while it is used"])
async def test_kept_purged_messages_survive_damage(
    platform: ScriptedPlatform, new_rig: OpenRig, index_path: Path, when: str
) -> None:
    async def mailbox(rig: Rig) -> dict[int, tuple[str, str | None]]:
        return {message.id: (message.availability, message.subject) for message in await rig.messages()}

    expected = {1: ("Purged", "hi"), 2: ("Alive", "hi")}
    for number in (1, 2):
        platform.change(**sms(number))
    async with new_rig(keep_purged=True) as rig:
        await rig.mailbox()
        platform.remove(1, "Purged")
        await rig.engine.account.mailboxes.refresh(101)
        assert await mailbox(rig) == expected
        if when != "at the start":
            damage_used(rig, index_path)
            with pytest.raises(IndexDamagedError):
                await rig.messages()
            await trio.sleep(0.01)
            assert await mailbox(rig) == expected
    if when == "at the start":
        damage(index_path)
    async with new_rig(keep_purged=True) as rig:
        assert await mailbox(rig) == expected
    assert len(platform.sent(LIST)) == 2


async def test_mailboxes_that_were_lost_are_not_polled(rig: Rig, index_path: Path) -> None:
    """Each is loaded when somebody looks into it: hundreds would otherwise load at once."""
    await rig.mailbox()
    damage_used(rig, index_path)
    with pytest.raises(IndexDamagedError):
        await rig.messages()
    before = len(rig.platform.seen)
    await trio.sleep(3000)
    assert len(rig.platform.seen) == before
