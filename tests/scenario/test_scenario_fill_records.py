"""Records out of exports: which mailboxes take them, in virtual time."""

import json
import zipfile
from typing import Any

import attrs
import pytest

from tests.fakes.rig import EXTENSION_ID, Rig
from tests.fakes.scripted import ScriptedPlatform
from tests.fakes.zips import OWNER, Mails, packed, path_of, prepare


async def test_an_export_from_before_the_token_brings_no_records(
    platform: ScriptedPlatform, rig: Rig
) -> None:
    mails = Mails.of(platform, 5, 20)
    export = attrs.evolve(mails.serve(), asked_s=1.0)
    await prepare(rig)
    reports = [await rig.engine.fast_lane.fill_from(export, archive) for archive in export.archives]
    assert [(report.is_whole, report.is_empty, report.records) for report in reports] == [
        (True, False, 0)
    ] * 2
    assert reports[1].unknown == 5
    assert len(await rig.messages()) == 5


async def test_a_mailbox_that_was_not_prepared_takes_no_records(platform: ScriptedPlatform, rig: Rig) -> None:
    mails = Mails.of(platform, 5, 20)
    export = mails.serve()
    assert (await rig.engine.fast_lane.fill_from(export, export.archives[0])).records == 0


async def test_a_token_is_asked_for_once(platform: ScriptedPlatform, rig: Rig) -> None:
    Mails.of(platform, 5, 20)
    first = await prepare(rig)
    assert first is not None
    assert await prepare(rig) == first
    await rig.messages()
    assert await prepare(rig) is None
    assert len(platform.sent("syncMessages")) == 1


async def test_a_mailbox_that_is_loaded_takes_no_record_of_the_past(
    platform: ScriptedPlatform, rig: Rig
) -> None:
    mails = Mails.of(platform, 5, 20)
    export = mails.serve()
    await rig.messages()
    platform.remove(2, "Purged")
    await rig.engine.account.mailboxes.refresh(EXTENSION_ID)
    report = await rig.engine.fast_lane.fill_from(export, export.archives[0])
    assert report.records == 0
    assert {message.id for message in await rig.messages()} == {1, 3, 4, 5}
    report = await rig.engine.fast_lane.fill_from(export, export.archives[1])
    assert (report.filled, report.unknown) == (4, 1)


async def test_odd_records_cost_only_themselves(platform: ScriptedPlatform, rig: Rig) -> None:
    mails = Mails.of(platform, 3, 20)
    good = [json.dumps(record) for record in platform.messages]
    strange: list[Any] = [None, 7, [], {}, {"id": "x"}, {"id": 9**30, "type": 5}, {"attachments": "none"}]
    text = ",".join([good[0], *map(json.dumps, strange), '{"id": nonsense}', *good[1:]])
    records = packed([(f"{OWNER}/message-store.json", b"[" + text.encode() + b"]")], zipfile.ZIP_DEFLATED)
    export = mails.serve(records, packed(mails.files()))
    await prepare(rig)
    await rig.engine.fast_lane.fill_from(export, export.archives[0])
    assert (await rig.engine.fast_lane.fill_from(export, export.archives[1])).filled == 3
    assert len(await rig.messages()) == 3


@pytest.mark.parametrize(
    "name",
    [path_of(1).replace("content", "message-store.json"), "account/9/extension/101/message-store.json"],
)
async def test_records_elsewhere_are_not_taken(platform: ScriptedPlatform, rig: Rig, name: str) -> None:
    mails = Mails.of(platform, 3, 20)
    export = mails.serve(packed([(name, json.dumps(platform.messages).encode())]))
    report = await rig.engine.fast_lane.fill_from(export, export.archives[0])
    assert (report.records, report.unknown) == (0, 1)
