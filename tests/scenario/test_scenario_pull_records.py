"""Pulls that take the records of mailboxes out of an export: which lists they spare, in virtual time."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from rcfs.mailbox import Mailboxes, Shelving
from rcfs.mailbox._records import parse_messages
from rcfs.mailbox._update import Target, Updater
from rcfs.model import Availability, Filter, Record
from rcfs.pull import Via, _export_lane, _records_lane
from rcfs.simulator import AccountSpec
from rcfs.simulator._journal import Entry
from rcfs.simulator.account._message_store import new_message
from rcfs.tree import PURGED, name_folder, shelve
from tests.fakes import call_rig
from tests.fakes.call_rig import CallRig, CallWorld, open_calls
from tests.scenario.test_scenario_pull_exports import ARCHIVE, ASK, CONTENT, MAIL, Pulled

LIST, SYNC = "listMessages", "syncMessages"
SPEC = AccountSpec(messages=180, months=3)
PAGE = 10


def world(directory: Path, **config: Any) -> Any:
    options: dict[str, Any] = {"spec": SPEC, "calls": 0} | config
    return open_calls(directory, page_messages=PAGE, **options)


def shown(rig: CallRig) -> dict[tuple[int, int], tuple[str, str]]:
    """(availability, read status) of the messages that the index has, by extension and id."""
    found = {}
    for extension in rig.engine.account.extensions:
        state = rig.engine.index.reader.mailbox(rig.engine.account.id, extension.id)
        for message in (
            [] if state is None or not state.loaded else _messages(rig, state.number, extension.id)
        ):
            if message.availability != Availability.PURGED:
                found[extension.id, message.id] = (str(message.availability), message.read_status)
    return found


def _messages(rig: CallRig, number: int, extension_id: int) -> Any:
    ids = rig.world.backend.account.message_ids(extension_id)
    return parse_messages(rig.engine.index.reader.known(number, list(ids)).values())


def truth(calls: CallWorld) -> dict[tuple[int, int], tuple[str, str]]:
    """The same on the platform."""
    account = calls.backend.account
    return {
        (extension.id, message.id): (message.availability, message.read_status)
        for extension in account.extensions
        if not extension.mailbox_refused
        for message in account.mailbox(extension.id).newest_first()
        if message.availability != Availability.PURGED
    }


async def load(
    calls: CallWorld, *, via: Via = Via.EXPORTS, meanwhile: Callable[[], None] | None = None
) -> list[str]:
    """A pull's lists of the mailboxes; returns its notes."""
    async with calls.engine(exports=True) as rig, trio.open_nursery() as nursery:
        if meanwhile is not None:

            async def change() -> None:
                await trio.sleep(15)
                assert calls.sent(ASK)
                meanwhile()

            nursery.start_soon(change)
        done = Pulled(rig, via=via)
        await done.pull.take_records(((),), MAIL)
        await done.plan()
        assert shown(rig) == truth(calls)
    return done.notes


def lists(calls: CallWorld, since: int = 0) -> dict[str, list[str]]:
    """The requests for lists and syncs of each mailbox that could be read, in order."""
    found: dict[str, list[str]] = {}
    entries: list[Entry] = calls.sent(LIST, SYNC, since=since)
    for entry in entries:
        if entry.status == 200:
            found.setdefault(entry.path.split("/extension/")[1].split("/")[0], []).append(entry.operation)
    return found


async def test_a_mailbox_costs_three_requests_whatever_its_size(tmp_path: Path) -> None:
    async with world(tmp_path) as calls:
        assert await load(calls) == []
        sizes = calls.backend.account
        found = lists(calls)
        assert found
        for extension_id, operations in found.items():
            is_long = len(sizes.message_ids(int(extension_id))) > PAGE
            assert operations == ([SYNC, LIST, SYNC] if is_long else [SYNC, LIST]), extension_id
        assert [len(calls.sent(each)) for each in (ASK, ARCHIVE, CONTENT)] == [1, 1, 0]


async def test_what_happens_meanwhile_is_not_missed(tmp_path: Path) -> None:
    async with world(tmp_path, export_s=60.0) as calls:
        account, messages = calls.backend.account, calls.backend.messages

        def change() -> None:
            for extension_id in calls.extensions[:2]:
                ids, now_s = account.message_ids(extension_id), calls.now_s
                for place, purge in ((3, False), (5, True), (-2, False), (-3, True)):
                    message = account.message(extension_id, ids[place])
                    assert message is not None
                    messages.delete(message, now_s, purge=purge)
                for place in (4, -4):
                    message = account.message(extension_id, ids[place])
                    assert message is not None
                    messages.mark(message, "Unread" if message.read_status == "Read" else "Read", now_s)
                messages.arrive(new_message(account, extension_id, "SMS", "Inbound", now_s))

        assert await load(calls, meanwhile=change) == []
        assert all(len(each) <= 3 for each in lists(calls).values())


@pytest.mark.parametrize("meanwhile", ["nothing", "arrival behind the first page", "purge before it"])
async def test_a_list_is_read_to_its_end_where_the_export_lacks_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    keeping = Shelving(partial(shelve, keep_purged=True), name_folder, purged_view=PURGED)
    monkeypatch.setattr(call_rig, "SHELVING", keeping)
    async with world(tmp_path) as calls:
        first = calls.extensions[0]
        account, messages = calls.backend.account, calls.backend.messages
        lost, other = account.message_ids(first)[-1], account.message(first, account.message_ids(first)[-3])
        assert other is not None
        take, read, catch_up = Mailboxes.take_records, Updater._list, Updater._catch_up
        to_come = [meanwhile]

        # Neither the new message nor the purged one may count in place of the lost one.
        async def purge_and_list(updater: Updater, target: Target, *rest: Any) -> Any:
            if target.extension_id == first and to_come == ["purge before it"]:
                to_come.clear()
                messages.delete(other, calls.now_s, purge=True)
            return await read(updater, target, *rest)

        async def receive_and_sync(updater: Updater, target: Target, *rest: Any) -> Any:
            if target.extension_id == first and to_come == ["arrival behind the first page"]:
                to_come.clear()
                messages.arrive(new_message(account, first, "SMS", "Inbound", calls.now_s))
            return await catch_up(updater, target, *rest)

        monkeypatch.setattr(Updater, "_list", purge_and_list)
        monkeypatch.setattr(Updater, "_catch_up", receive_and_sync)

        def take_fewer(mailboxes: Mailboxes, numbers: tuple[int, int], records: list[Record]) -> None:
            take(mailboxes, numbers, [each for each in records if each["id"] != lost])

        monkeypatch.setattr(Mailboxes, "take_records", take_fewer)
        assert await load(calls) == []
        found = lists(calls)
        pages = -(-len(calls.backend.account.message_ids(first)) // PAGE)
        whole = [SYNC, LIST, SYNC, *[LIST] * (pages - 1), SYNC]
        # A purge at the time of the last token is told once more, and then the list is read again.
        asked = found.pop(str(first))
        assert (asked[: len(whole)] if meanwhile == "purge before it" else asked) == whole
        assert meanwhile == "nothing" or to_come == []
        assert all(len(each) <= 3 for each in found.values())


async def test_a_token_that_is_refused_means_a_load_as_usual(tmp_path: Path) -> None:
    async with world(tmp_path, export_s=600.0, sync_token_lifetime_s=300.0) as calls:
        assert await load(calls) == []
        assert all(LIST in each for each in lists(calls).values())


@pytest.mark.parametrize("states", [["Accepted", "Failed"], ["Accepted", "Pending"]])
async def test_without_the_export_the_mailboxes_are_listed(tmp_path: Path, states: list[str]) -> None:
    async with world(tmp_path) as calls:
        calls.backend.reports.plan(states=states)
        (said,) = await load(calls)
        assert said == "export 2000-01-01 to 2026-11-20 brings no records; rcfs lists the mailboxes"
        assert len(calls.sent(ASK)) == 1


async def test_an_export_that_is_refused_again_and_again_is_given_up(tmp_path: Path) -> None:
    async with world(tmp_path) as calls:
        calls.platform.fault("status", operation=ASK, status=409, code="MSG-1", count=None)
        with trio.fail_after(2 * _export_lane.PATIENCE_S):
            (said,) = await load(calls)
        assert said == "export 2000-01-01 to 2026-11-20 brings no records; rcfs lists the mailboxes"
        assert calls.sent(ASK)


async def test_a_pull_that_was_killed_asks_for_nothing_twice(tmp_path: Path) -> None:
    async with world(tmp_path, export_s=300.0) as calls:
        for kill_s in (0.3, 100.0, 100.0):
            async with calls.engine(exports=True) as rig:
                with trio.move_on_after(kill_s):
                    await Pulled(rig, via=Via.EXPORTS).pull.take_records(((),), MAIL)
        assert await load(calls) == []
        assert len(calls.sent(ASK)) == len(calls.sent(ARCHIVE)) == 1
        assert all(len(each) <= 3 for each in lists(calls).values())


async def test_auto_asks_only_if_lists_are_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_records_lane, "_SAMPLE", 2)
    async with world(tmp_path / "short", spec=SPEC) as calls:
        assert await load(calls, via=Via.AUTO) == []
        assert calls.sent(ASK) == []
        assert {tuple(each[:2]) for each in lists(calls).values()} == {(SYNC, LIST)}
        assert all(each.count(SYNC) <= 2 for each in lists(calls).values()), (
            "no mailbox was loaded as a sample"
        )
    monkeypatch.setattr(_records_lane, "_PAGE", 1)
    monkeypatch.setattr(_records_lane, "WORTH", 0.1)
    async with world(tmp_path / "long", spec=SPEC) as calls:
        assert await load(calls, via=Via.AUTO) == []
        assert len(calls.sent(ASK)) == 1


@pytest.mark.parametrize(
    ("paths", "wanted", "via"),
    [
        (((),), Filter(types=frozenset({"fax"})), Via.EXPORTS),
        (((),), Filter(since_s=1.0), Via.EXPORTS),
        (((),), Filter(direction="Inbound"), Via.EXPORTS),
        (((),), Filter(types=frozenset({"recording"})), Via.EXPORTS),
        ((("*", "Fax"),), Filter(), Via.EXPORTS),
        (((),), Filter(), Via.ATTACHMENTS),
    ],
)
async def test_a_pull_of_some_messages_asks_for_no_export_of_all(
    tmp_path: Path, paths: Any, wanted: Filter, via: Via
) -> None:
    async with (
        world(tmp_path, spec=AccountSpec(messages=10, months=1)) as calls,
        calls.engine(exports=True) as rig,
    ):
        mark = calls.mark()
        await Pulled(rig, via=via).pull.take_records(paths, wanted)
        assert calls.sent(ASK, SYNC, LIST, since=mark) == []


async def test_an_account_that_is_mostly_known_is_synced(tmp_path: Path) -> None:
    async with world(tmp_path) as calls:
        async with calls.engine(exports=True) as rig:
            for extension in calls.backend.account.extensions[1:]:
                if not extension.mailbox_refused:
                    await rig.engine.account.mailboxes.refresh(extension.id)
        assert await load(calls) == []
        assert calls.sent(ASK) == []
