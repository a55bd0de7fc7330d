"""Damage to searches, transcripts and the full-text index: it is logged, and repaired without a request."""

import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest
import trio

from rcfs.errors import StoreError
from rcfs.model import AttachmentKey
from tests.fakes.rig import Rig
from tests.fakes.scripted import ACCOUNT_ID, ScriptedPlatform
from tests.scenario.conftest import OpenRig
from tests.scenario.test_scenario_bit_rot import shown, sms

LIST, SYNC = "listMessages", "syncMessages"
MESSAGES = 12
SPOKEN = 7
WITHIN_S = 3700.0
"""All of the index is looked at every hour."""
QUERIES = ("message", "person", "plumber", "5550199")
SEARCHES = ["invoice", "roof"]


@pytest.fixture
def index_path(tmp_path: Path) -> Path:
    return tmp_path / "mailboxes.sqlite"


def voicemail() -> dict[str, Any]:
    attachment = {"id": SPOKEN, "type": "AudioTranscription", "contentType": "text/plain"}
    return sms(SPOKEN) | {"type": "VoiceMail", "attachments": [attachment]}


async def fill(rig: Rig) -> None:
    """A mailbox with a transcript, and two searches."""
    for number in range(1, MESSAGES + 1):
        rig.platform.change(**(voicemail() if number == SPOKEN else sms(number)))
    await rig.mailbox()
    key = AttachmentKey(ACCOUNT_ID, 101, SPOKEN, SPOKEN)
    await rig.engine.account.mailboxes.learn_text(key, b"please call the plumber")
    for name in SEARCHES:
        await rig.engine.searches.keep(name)


def found(rig: Rig) -> dict[str, list[int]]:
    return {query: [row.id for row in rig.engine.searches.matches(query, 0, 99)] for query in QUERIES}


def kept(rig: Rig) -> list[str]:
    return [row.name for row in rig.engine.searches.kept(0, 99)]


def owners(rig: Rig) -> list[str]:
    return [identity for (identity,) in rig.index._database.all("SELECT identity FROM owners ORDER BY 1")]


def told(rig: Rig) -> list[str]:
    return [line for line in rig.warnings if "unusable" in line]


@pytest.mark.parametrize("harm", [
    "UPDATE owners SET identity = identity || '9'",
    "UPDATE owners SET identity = CAST(x'ff' || identity AS TEXT)",
    "UPDATE words_content SET c0 = 'nothing' WHERE id % 2",
    "UPDATE words_content SET c1 = CAST(x'ff' AS TEXT)",
    "DELETE FROM words_content WHERE id % 2",
    "DELETE FROM words_data WHERE id > 10",
    "UPDATE words_data SET block = zeroblob(8)",
    "UPDATE words_data SET block = randomblob(length(block)) WHERE id > 10",
    "DELETE FROM words_docsize WHERE id % 2",
    "DROP TABLE words_idx",
])  # fmt: skip
async def test_a_new_index_is_completed_from_the_records_without_a_request(
    rig: Rig, index_path: Path, harm: str
) -> None:
    await fill(rig)
    truth = shown(rig), found(rig), kept(rig), owners(rig)
    assert owners(rig)
    with closing(sqlite3.connect(index_path)) as other, other:
        other.execute(harm)
    await trio.sleep(WITHIN_S)
    assert (shown(rig), found(rig), kept(rig), owners(rig)) == truth
    assert len(told(rig)) == 1
    assert "kept 1 undamaged mailboxes" in told(rig)[0]
    assert len(rig.platform.sent(LIST)) == 1
    rig.platform.change(**sms(MESSAGES + 1))
    await rig.engine.account.mailboxes.refresh(101)
    assert found(rig)["message"] == [*range(1, MESSAGES + 2)], "it is kept current as before"
    assert len(rig.platform.sent(LIST)) == 1


async def test_a_damaged_full_text_index_is_rebuilt_by_a_search(rig: Rig, index_path: Path) -> None:
    await fill(rig)
    truth = found(rig)
    with closing(sqlite3.connect(index_path)) as other, other:
        other.execute("DELETE FROM words_data WHERE id > 10")
    with pytest.raises(StoreError, match="damaged"):
        found(rig)
    await trio.sleep(0.1)
    assert found(rig) == truth
    assert len(told(rig)) == 1
    assert len(rig.platform.sent(LIST)) == 1


@pytest.mark.parametrize("harm", [
    "UPDATE transcripts SET text = 'please call the baker'",
    "UPDATE transcripts SET text = CAST(x'ff' AS TEXT)",
])  # fmt: skip
async def test_a_damaged_transcript_is_reported_and_nothing_else_is_lost(
    rig: Rig, index_path: Path, harm: str
) -> None:
    await fill(rig)
    truth = shown(rig), kept(rig)
    with closing(sqlite3.connect(index_path)) as other, other:
        other.execute(harm)
    await trio.sleep(WITHIN_S)
    assert (shown(rig), kept(rig)) == truth
    assert "searches skip 1 transcripts" in told(rig)[0]
    await rig.engine.account.mailboxes.learn_text(
        AttachmentKey(ACCOUNT_ID, 101, SPOKEN, SPOKEN), b"please call the plumber"
    )
    assert found(rig)["plumber"] == [SPOKEN]
    assert len(rig.platform.sent(LIST)) == 1


@pytest.mark.parametrize("harm", [
    "UPDATE searches SET name = 'another' WHERE name = 'roof'",
    "UPDATE searches SET made_s = 7 WHERE name = 'roof'",
    "UPDATE searches SET account_id = '7' WHERE name = 'roof'",
    "UPDATE searches SET name = CAST(x'ff' AS TEXT) WHERE name = 'roof'",
    "UPDATE searches SET crc = NULL WHERE name = 'roof'",
])  # fmt: skip
async def test_a_damaged_search_is_lost_alone(rig: Rig, index_path: Path, harm: str) -> None:
    await fill(rig)
    truth = shown(rig), found(rig)
    with closing(sqlite3.connect(index_path)) as other, other:
        other.execute(harm)
    assert not await rig.engine.searches.rename("another", "believed"), "damage is not made to look sound"
    await trio.sleep(WITHIN_S)
    assert kept(rig) == ["invoice"]
    assert (shown(rig), found(rig)) == truth
    assert "at least 1 searches are lost" in told(rig)[0]
    assert len(rig.platform.sent(LIST)) == 1
    assert await rig.engine.searches.keep("roof")


async def test_searches_are_salvaged_from_pages_that_sqlite_cannot_read(
    platform: ScriptedPlatform, new_rig: OpenRig, index_path: Path
) -> None:
    async with new_rig() as rig:
        await fill(rig)
    data = bytearray(index_path.read_bytes())
    data[100:4096] = bytes(3996)  # The schema is there, and only there.
    index_path.write_bytes(data)
    async with new_rig() as rig:
        assert kept(rig) == SEARCHES
        assert len(told(rig)) == 1


@pytest.mark.parametrize("harm", [
    "UPDATE folders SET name = 'another' WHERE folder = 2",
    "UPDATE messages SET home = 1 + home WHERE id = 3",
    "UPDATE parties SET name = 'Somebody Else'",
    "UPDATE mailboxes SET edition = 7",
])  # fmt: skip
async def test_a_sync_does_not_hide_the_damage_of_a_row(rig: Rig, index_path: Path, harm: str) -> None:
    await fill(rig)
    with closing(sqlite3.connect(index_path)) as other, other:
        other.execute(harm)
    for number in range(1, MESSAGES + 1):
        rig.platform.change(**(sms(number) | {"readStatus": "Read"}))
    for _sync in range(3):
        with suppress(StoreError):
            await rig.engine.account.mailboxes.refresh(101)
        await trio.sleep(60)
    assert len(told(rig)) == 1
    catalogue = await rig.mailbox()
    assert {row.name for row in catalogue.folders("By-Contact", 0, 99)} == {
        f"+1303555{number:04} Person {number}" for number in range(7)
    }


def scatter(data: bytearray, random: Random) -> None:
    for _byte in range(64):
        data[random.randrange(len(data))] = random.randrange(256)


def overwrite(data: bytearray, random: Random) -> None:
    start = random.randrange(len(data) - 64)
    data[start : start + 64] = random.randbytes(64)


def flip(data: bytearray, random: Random) -> None:
    data[random.randrange(len(data))] ^= 1 << random.randrange(8)


@pytest.mark.parametrize("harm", [overwrite, flip])
async def test_random_damage_loses_nothing_silently(
    platform: ScriptedPlatform,
    new_rig: OpenRig,
    index_path: Path,
    harm: Callable[[bytearray, Random], None],
) -> None:
    async with new_rig() as rig:
        await fill(rig)
        truth = shown(rig), found(rig)
    sound = index_path.read_bytes()
    random = Random(harm.__name__)
    for _round in range(12):
        for path in index_path.parent.glob("mailboxes.sqlite*"):
            path.unlink()
        data = bytearray(sound)
        harm(data, random)
        index_path.write_bytes(data)
        await trio.sleep(60)  # Five logins a minute are allowed.
        async with new_rig() as rig:
            await rig.mailbox()
            await trio.sleep(1)
            found_now = found(rig)
            if not told(rig):
                assert found_now == truth[1]
            assert found_now == truth[1] or found_now == truth[1] | {"plumber": []}
            assert shown(rig) == truth[0]
            assert kept(rig) == SEARCHES or any("searches are lost" in line for line in told(rig))
            moved = list(index_path.parent.glob("mailboxes.sqlite.damaged*"))
            assert bool(moved) == bool(told(rig))
