"""A disk changes bytes of the index: the tree soon shows the truth again, and the log names the damage."""

import sqlite3
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pytest
import trio

from rcfs.errors import StoreError
from rcfs.store import MailboxIndex
from tests.fakes.rig import Rig, messages_of
from tests.fakes.scripted import ScriptedPlatform
from tests.scenario.conftest import OpenRig

MESSAGES = 60
ROUNDS = 12
HARM_BYTES = 64


def sms(number: int) -> dict[str, Any]:
    return {
        "id": number,
        "type": "SMS",
        "creationTime": f"2026-11-{1 + number % 28:02}T10:00:00Z",
        "subject": f"message {number} " * (number % 40),
        "from": {"phoneNumber": f"+1303555{number % 7:04}", "name": f"Person {number % 7}"},
        "to": [{"phoneNumber": "+13035550199"}],
        "conversationId": number % 7,
        "direction": "Inbound",
    }


@pytest.fixture
def index_path(tmp_path: Path) -> Path:
    return tmp_path / "mailboxes.sqlite"


def shown(rig: Rig) -> list[Any] | None:
    """All that the mailbox shows, names included; None when it is not known."""
    mailbox = rig.engine.account.mailboxes.catalogue(101)
    if mailbox is None:
        return None
    names = [
        (view, row.name, [link.name for link, _home in mailbox.links(row.number, 0, 1000)])
        for view in sorted(mailbox.views())
        for row in mailbox.folders(view, 0, 1000)
    ]
    return [names, messages_of(mailbox)]


@pytest.mark.parametrize("small", [True, False], ids=["looked at first", "looked at meanwhile"])
async def test_random_bytes_never_cost_a_message(
    platform: ScriptedPlatform,
    new_rig: OpenRig,
    index_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    small: bool,
) -> None:
    if not small:
        monkeypatch.setattr("rcfs.store._index_database._SMALL_BYTES", 0)
    for number in range(1, MESSAGES + 1):
        platform.change(**sms(number))
    async with new_rig() as rig:
        await rig.mailbox()
        truth = shown(rig)
    sound = index_path.read_bytes()
    random, harmed = Random(27), 0
    for _round in range(ROUNDS):
        data = bytearray(sound)
        for _byte in range(HARM_BYTES):
            data[random.randrange(len(data))] = random.randrange(256)
        for path in index_path.parent.glob("mailboxes.sqlite*"):
            path.unlink()
        index_path.write_bytes(data)
        await trio.sleep(60)  # Five logins a minute are allowed.
        async with new_rig() as rig:
            await trio.sleep(1)
            await rig.mailbox()
            assert shown(rig) == truth
            moved = list(index_path.parent.glob("mailboxes.sqlite.damaged*"))
            told = [*rig.warnings, *(fault.detail for fault in rig.engine.recorder.faults)]
            assert bool(moved) == any("unusable" in line for line in told)
            harmed += bool(moved)
    assert harmed > ROUNDS // 2, "the harm is such that it matters"


HARMS = [
    "UPDATE messages SET raw = CAST(x'7b22ff22' AS TEXT) WHERE id = 5",
    "UPDATE messages SET raw = '{broken' WHERE id = 5",
    "UPDATE messages SET name = 'another [5]' WHERE id = 5",
    "UPDATE messages SET created_s = 7 WHERE id = 5",
    "UPDATE folders SET name = 'another'",
    "UPDATE folders SET spoken_bytes = 1 WHERE name != ''",
    "UPDATE mailboxes SET sync_token = 'another'",
    "UPDATE mailboxes SET extension_id = extension_id, synced_s = 1e300",
    "DELETE FROM messages WHERE id = 5",
    "UPDATE parties SET name = 'Somebody Else'",
]


@pytest.mark.parametrize("harm", HARMS)
async def test_a_changed_row_is_noticed_within_two_hours(rig: Rig, index_path: Path, harm: str) -> None:
    for number in range(1, 11):
        rig.platform.change(**sms(number))
    await rig.mailbox()
    truth = shown(rig)
    with closing(sqlite3.connect(index_path)) as other, other:
        other.execute(harm)
    await trio.sleep(2 * 3600)
    await rig.mailbox()
    assert shown(rig) == truth
    assert any("unusable" in line for line in rig.warnings)


@pytest.mark.parametrize("harm", HARMS[:5])
async def test_every_read_of_a_changed_row_reports_damage(rig: Rig, index_path: Path, harm: str) -> None:
    for number in range(1, 11):
        rig.platform.change(**sms(number))
    await rig.mailbox()
    truth = shown(rig)
    with closing(sqlite3.connect(index_path)) as other, other:
        other.execute(harm)
    with pytest.raises(StoreError, match="damaged"):
        shown(rig)
    await trio.sleep(0.01)
    await rig.mailbox()
    assert shown(rig) == truth


@pytest.mark.parametrize("version", [2, 3, 4])
async def test_an_index_of_an_earlier_version_is_migrated_without_loss(
    platform: ScriptedPlatform, new_rig: OpenRig, index_path: Path, version: int
) -> None:
    for number in range(1, 11):
        platform.change(**sms(number))
    async with new_rig() as rig:
        await rig.mailbox()
        await rig.engine.searches.keep("hello")
        truth = shown(rig)
    with closing(sqlite3.connect(index_path)) as other, other:
        for table in ("call_months", "calls", "call_places", "call_words", "recordings", "recording_links"):
            other.execute(f"DROP TABLE {table}")
        tables = [] if version == 4 else ["owners", "transcripts", "searches"]
        if version < 3:
            tables += ["messages", "folders", "parties", "mailboxes", "logins", "notes"]
            other.execute("ALTER TABLE messages DROP COLUMN raw_crc")
        for table in tables:
            other.execute(f"ALTER TABLE {table} DROP COLUMN crc")
        other.execute(f"PRAGMA user_version = {version}")
    async with new_rig() as rig:
        assert shown(rig) == truth
        assert [row.name for row in rig.engine.searches.kept(0, 9)] == ["hello"]
        assert len(rig.engine.searches.matches("message", 0, 99)) == 10
        await trio.sleep(2 * 3600)
        assert rig.warnings == [], "nothing of it is taken for damaged"
    assert len(platform.sent("listMessages")) == 1
    MailboxIndex.open(index_path, pytest.fail).close()


async def test_kept_searches_survive_damage(
    platform: ScriptedPlatform, new_rig: OpenRig, index_path: Path
) -> None:
    platform.change(**sms(1))
    async with new_rig() as rig:
        await rig.mailbox()
        await rig.engine.searches.keep("hello")
        with closing(sqlite3.connect(index_path)) as other, other:
            other.execute("UPDATE messages SET raw = '{broken'")
        with pytest.raises(StoreError):
            shown(rig)
        await trio.sleep(0.01)
        assert [row.name for row in rig.engine.searches.kept(0, 9)] == ["hello"]
