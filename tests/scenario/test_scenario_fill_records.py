"""Records out of exports: which requests they spare, in virtual time."""

import json
import zipfile
from typing import Any

import attrs
import pytest

from rcfs.model import ExportQuery, Wanted
from tests.fakes.rig import EXTENSION_ID, Rig
from tests.fakes.scripted import ScriptedPlatform
from tests.fakes.zips import ARCHIVE, OWNER, Mails, keys_of, packed, path_of

LISTS = ("listMessages", "syncMessages", "readMessage")


def new_requests(platform: ScriptedPlatform, since: int) -> list[str]:
    """The requests that came after the first `since`, except a login's."""
    ignored = ("getToken", "readMessageStoreConfiguration", "probe")
    return [seen.operation for seen in platform.seen[since:] if seen.operation not in ignored]


async def test_a_prepared_mailbox_needs_no_list(platform: ScriptedPlatform, rig: Rig) -> None:
    mails = Mails.of(platform, 2500, 20)
    before = len(platform.seen)
    assert await rig.engine.fast_lane.prepare() == 1
    assert await rig.engine.fast_lane.prepare() == 0
    export = mails.serve()
    # Changes while the export was made, and before the mailbox is looked at.
    platform.change(
        **(platform.messages[6] | {"readStatus": "Read", "lastModifiedTime": "2026-11-04T00:00:00.000Z"})
    )
    platform.change(**(platform.messages[0] | {"id": 3001}))
    platform.remove(2, "Purged")
    platform.remove(3, "Deleted")
    for archive in export.archives:
        await rig.engine.fast_lane.fill_from(export, archive)
    assert rig.engine.account.mailboxes.catalogue(EXTENSION_ID) is None
    messages = {message.id: message for message in await rig.messages()}
    assert new_requests(platform, before) == ["syncMessages", ARCHIVE, ARCHIVE, "syncMessages"]
    assert set(messages) == {*range(1, 2501), 3001} - {2}
    assert (messages[7].read_status, messages[3].availability) == ("Read", "Deleted")
    assert [seen.query["syncType"] for seen in platform.sent("syncMessages")] == [["FSync"], ["ISync"]]
    assert await rig.read(Wanted(keys_of(mails.contents)[9])) == mails.contents[10]


@pytest.mark.parametrize(
    "spans", [[("2000-01-01", "2026-11-02")], [("2000-01-01", "2020-12-31"), ("2021-01-02", "2026-12-31")]]
)
async def test_records_of_a_part_of_the_past_do_not_spare_the_list(
    platform: ScriptedPlatform, rig: Rig, spans: list[tuple[str, str]]
) -> None:
    mails = Mails.of(platform, 5, 20)
    await rig.engine.fast_lane.prepare()
    await take_periods(rig, mails, spans)
    assert len(await rig.messages()) == 5
    assert len(platform.sent("listMessages")) == 1


async def test_several_periods_together_spare_the_list(platform: ScriptedPlatform, rig: Rig) -> None:
    mails = Mails.of(platform, 5, 20)
    await rig.engine.fast_lane.prepare()
    await take_periods(rig, mails, [("2021-01-01", "2026-12-31"), ("2000-01-01", "2020-12-31")])
    assert len(await rig.messages()) == 5
    assert platform.sent("listMessages") == []


async def take_periods(rig: Rig, mails: Mails, spans: list[tuple[str, str]]) -> None:
    """Take the records of an export for each period."""
    export = mails.serve(mails.records())
    for first, last in spans:
        query = ExportQuery.of_days(export.query.kind, first, last)
        of_period = attrs.evolve(export, query=query)
        await rig.engine.fast_lane.fill_from(of_period, export.archives[0], afresh=True)


async def test_records_of_some_types_do_not_spare_the_list(platform: ScriptedPlatform, rig: Rig) -> None:
    mails = Mails.of(platform, 5, 20)
    await rig.engine.fast_lane.prepare()
    export = mails.serve(mails.records())
    voicemails = attrs.evolve(export, query=attrs.evolve(export.query, types=("VoiceMail",)))
    await rig.engine.fast_lane.fill_from(voicemails, export.archives[0])
    assert len(await rig.messages()) == 5
    assert len(platform.sent("listMessages")) == 1


async def test_an_export_from_before_the_token_does_not_spare_the_list(
    platform: ScriptedPlatform, rig: Rig
) -> None:
    mails = Mails.of(platform, 5, 20)
    export = attrs.evolve(mails.serve(), asked_s=1.0)
    await rig.engine.fast_lane.prepare()
    for archive in export.archives:
        assert (await rig.engine.fast_lane.fill_from(export, archive)).is_whole
    assert len(await rig.messages()) == 5
    assert len(platform.sent("listMessages")) == 1


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
    await rig.engine.fast_lane.prepare()
    await rig.engine.fast_lane.fill_from(export, export.archives[0])
    assert (await rig.engine.fast_lane.fill_from(export, export.archives[1])).filled == 3
    # One of them was no JSON, so the list is read.
    assert len(await rig.messages()) == 3
    assert len(platform.sent("listMessages")) == 1


@pytest.mark.parametrize(
    "name",
    [path_of(1).replace("content", "message-store.json"), "account/9/extension/101/message-store.json"],
)
async def test_records_elsewhere_are_not_taken(platform: ScriptedPlatform, rig: Rig, name: str) -> None:
    mails = Mails.of(platform, 3, 20)
    export = mails.serve(packed([(name, json.dumps(platform.messages).encode())]))
    report = await rig.engine.fast_lane.fill_from(export, export.archives[0])
    assert (report.records, report.unknown) == (0, 1)


async def test_five_thousand_messages_cost_two_heavy_requests_and_none_for_a_content(
    platform: ScriptedPlatform, rig: Rig
) -> None:
    mails = Mails.of(platform, 1250, 1000)
    texts = [
        {"id": 10_000 + number, "type": "SMS", "subject": "hello", "creationTime": "2026-10-01T00:00:00.000Z"}
        for number in range(3750)
    ]
    platform.messages += texts
    await rig.engine.fast_lane.prepare()
    thirds = [packed(mails.files(range(start, start + 417))) for start in (1, 418)]
    export = mails.serve(mails.records(), *thirds, packed(mails.files(range(835, 1251))))
    before = len(platform.seen)
    filled = 0
    for archive in export.archives:
        filled += (await rig.engine.fast_lane.fill_from(export, archive)).filled
    assert filled == 1250
    assert len(await rig.messages()) == 5000
    assert new_requests(platform, before) == [*[ARCHIVE] * 4, "syncMessages"]
    before = len(platform.seen)
    for key in keys_of(mails.contents):
        assert await rig.read(Wanted(key)) == mails.contents[key.message_id]
    assert len(platform.seen) == before
