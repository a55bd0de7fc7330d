"""Changes of messages: their requests, lost answers, refusals, and several processes.

At the end of each scenario the platform has nothing to complain about, see `open_changes`.
"""

import math
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio

from rcfs.errors import ForbiddenError
from rcfs.mailbox import Mailboxes
from rcfs.model import ChangeRules
from tests.fakes.changing import MANY, Changer, ChangeWorld, open_changes

ALIVE, DELETED, PURGED = "Alive", "Deleted", "Purged"
LONG_S = 600.0
"""Longer than all pauses after lost answers together."""


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ChangeWorld]:
    async with open_changes(tmp_path) as world:
        yield world


def availability(states: set[tuple[str, str]]) -> set[str]:
    return {found for found, _read_status in states}


def read_status(states: set[tuple[str, str]]) -> set[str]:
    return {found for _availability, found in states}


def conversations(process: Changer) -> list[tuple[str, list[int]]]:
    """(id, messages) of the conversations without a message in the trash, the longest first."""
    messages = [each for each in process.messages().values() if each.type == "SMS"]
    trashed = {each.conversation_id for each in messages if each.availability == DELETED}
    found: dict[str, list[int]] = {}
    for each in messages:
        if each.conversation_id not in trashed:
            found.setdefault(each.conversation_id, []).append(each.id)
    return sorted(found.items(), key=lambda each: -len(each[1]))


# Requests


async def test_five_hundred_deletions_are_ten_requests(tmp_path: Path) -> None:
    async with open_changes(tmp_path, messages=1200) as world, world.process() as process:
        ids = process.ids(500)
        for each in ids[:20]:
            await process.outbox.trash(world.owner_id, [each])
        await process.outbox.trash(world.owner_id, ids[20:])
        assert availability(process.shows(ids)) == {DELETED}
        assert world.sent() == []
        assert await process.outbox.flush(60) == 0
        assert len(world.sent()) == 10
        assert availability(world.states(ids)) == {DELETED}


async def test_a_thousand_marks_are_one_request(tmp_path: Path) -> None:
    async with open_changes(tmp_path, messages=3500) as world, world.process() as process:
        messages, ids = process.messages(), process.ids(1000)
        read = [each for each in ids if messages[each].read_status == "Unread"]
        unread = [each for each in ids if each not in read]
        assert len(read) > 10
        await process.outbox.mark(world.owner_id, read, read=True)
        await process.outbox.mark(world.owner_id, unread, read=False)
        assert await process.outbox.flush(60) == 0
        assert world.sent() == [f"PUT {world.owner_id}/message-store/*"]
        assert read_status(world.states(read)) == read_status(process.shows(read)) == {"Read"}
        assert read_status(world.states(unread)) == read_status(process.shows(unread)) == {"Unread"}


async def test_changes_are_collected_for_a_moment(world: ChangeWorld) -> None:
    async with world.process() as process:
        for each in process.ids(4):
            await process.outbox.trash(world.owner_id, [each])
            await trio.sleep(0.9)
        assert world.sent() == []
        await trio.sleep(5)
        assert len(world.sent()) == 1


async def test_trash_restore_and_purge(world: ChangeWorld) -> None:
    async with world.process() as process:
        outbox, ids = process.outbox, process.ids(3)
        await outbox.trash(world.owner_id, ids)
        assert await outbox.flush(60) == 0
        await outbox.restore(world.owner_id, ids[:2])
        assert await outbox.flush(60) == 0
        assert availability(world.states(ids[:2])) == availability(process.shows(ids[:2])) == {ALIVE}
        await outbox.purge(world.owner_id, ids[2:])
        assert process.shows(ids[2:]) == {("", "")}
        assert await outbox.flush(60) == 0
        assert availability(world.states(ids[2:])) == {PURGED}
        assert world.sent()[-1] == f"DELETE {world.owner_id}/message-store/{ids[2]}?purge=true"
        await process.sync()
        assert process.shows(ids[2:]) == {("", "")}


async def test_contrary_wishes_need_no_request(world: ChangeWorld) -> None:
    async with world.process() as process:
        outbox, (one, other) = process.outbox, process.ids(2, read_status="Unread")
        before = process.shows([one, other])
        await outbox.mark(world.owner_id, [one], read=True)
        await outbox.trash(world.owner_id, [other])
        await outbox.mark(world.owner_id, [one], read=False)
        await outbox.restore(world.owner_id, [other])
        assert process.shows([one, other]) == before
        assert await outbox.flush(60) == 0
        assert world.sent() == []


async def test_what_was_trashed_and_purged_at_once_goes_in_this_order(world: ChangeWorld) -> None:
    async with world.process() as process:
        ids = process.ids(2)
        await process.outbox.trash(world.owner_id, ids)
        await process.outbox.purge(world.owner_id, ids)
        assert await process.outbox.flush(60) == 0
        assert [each.partition("?")[2] for each in world.sent()] == ["", "purge=true"]
        assert availability(world.states(ids)) == {PURGED}


async def test_a_conversation_is_one_request(world: ChangeWorld) -> None:
    async with world.process() as process:
        conversation, ids = conversations(process)[0]
        await process.outbox.delete_conversations(world.owner_id, [conversation])
        assert await process.outbox.flush(60) == 0
        (sent,) = world.sent()
        assert sent.startswith(f"DELETE {world.owner_id}/message-store?conversationId={conversation}&dateTo=")
        assert availability(world.states(ids)) == availability(process.shows(ids)) == {DELETED}


async def test_a_conversation_with_a_message_in_the_trash_is_deleted_by_its_messages(
    world: ChangeWorld,
) -> None:
    async with world.process() as process:
        conversation, ids = conversations(process)[0]
        await process.outbox.trash(world.owner_id, ids[:1])
        assert await process.outbox.flush(60) == 0
        await process.outbox.delete_conversations(world.owner_id, [conversation])
        await process.outbox.restore(world.owner_id, ids[1:2])
        assert await process.outbox.flush(60) == 0
        assert availability(world.states([ids[0], *ids[2:]])) == {DELETED}
        assert availability(world.states(ids[1:2])) == {ALIVE}


# Lost answers

LOST: dict[str, tuple[str, dict[str, Any]]] = {
    "reset after it was made": ("reset", {}),
    "never arrived": ("lost_request", {}),
    "made later": ("late", {"delay_s": 40, "reset": True}),
    "answered late": ("late", {"delay_s": 45}),
    "status after it was made": ("status_after", {}),
    "status": ("status", {"status": 503}),
    "half a body": ("truncate", {}),
    "no JSON": ("html", {}),
    "token": ("expired_token", {}),
    "limit": ("rate_limited", {"retry_after_s": 30}),
}


@pytest.mark.parametrize("lost", LOST.values(), ids=LOST)
async def test_a_lost_answer_neither_loses_nor_repeats_a_change(
    world: ChangeWorld, lost: tuple[str, dict[str, Any]]
) -> None:
    kind, options = lost
    async with world.process() as process:
        outbox, owner_id = process.outbox, world.owner_id
        marked, trashed, restored, purged = (process.ids(40, ALIVE)[n : n + 3] for n in (0, 10, 20, 30))
        await outbox.trash(owner_id, [*restored, *purged])
        assert await outbox.flush(60) == 0
        for operation in ("updateMessage", "patchMessage", "deleteMessage"):
            world.platform.fault(kind, operation=operation, count=2, **options)
        wanted = "Unread" if read_status(world.states(marked)) == {"Read"} else "Read"
        await outbox.mark(owner_id, marked, read=wanted == "Read")
        await outbox.trash(owner_id, trashed)
        await outbox.restore(owner_id, restored)
        await outbox.purge(owner_id, purged)
        assert await outbox.flush(LONG_S) == 0
        await trio.sleep(120)  # until the platform has carried out everything that is late
        for found in (world.states, process.shows):
            assert read_status(found(marked)) == {wanted}
            assert availability(found(trashed)) == {DELETED}
            assert availability(found(restored)) == {ALIVE}
        assert availability(world.states(purged)) == {PURGED}


async def test_a_deletion_that_is_carried_out_late_purges_nothing(world: ChangeWorld) -> None:
    async with world.process() as process:
        ids = process.ids(2)
        world.platform.fault("late", operation="deleteMessage", delay_s=58, reset=True)
        await process.outbox.trash(world.owner_id, ids)
        assert await process.outbox.flush(LONG_S) == 0
        await trio.sleep(120)
        assert availability(world.states(ids)) == {DELETED}
        assert len(world.sent()) == 1


async def test_an_outage_of_an_hour_delays_everything(world: ChangeWorld) -> None:
    async with world.process() as process:
        ids = process.ids(3)
        process.rig.line.is_cut = True
        await process.outbox.trash(world.owner_id, ids)
        await trio.sleep(3600)
        assert process.outbox.left == 3
        assert availability(process.shows(ids)) == {DELETED}
        process.rig.line.is_cut = False
        await trio.sleep(120)
        assert process.outbox.left == 0
        assert availability(world.states(ids)) == {DELETED}
        assert len(world.sent()) == 1


# Others change the same messages


async def test_a_record_that_arrives_meanwhile_undoes_nothing(world: ChangeWorld) -> None:
    async with world.process(runs=False) as process:
        (one, other), owner_id = process.ids(2, read_status="Unread"), world.owner_id
        await process.outbox.trash(owner_id, [one])
        await process.outbox.mark(owner_id, [other], read=True)
        now_s = world.platform.now_s
        world.backend.messages.mark(world.message(one), "Read", now_s)
        world.backend.messages.delete(world.message(other), now_s)
        await process.sync()
        assert process.shows([one, other]) == {(DELETED, "Read")}
        assert process.outbox.left == 2
    async with world.process() as process:
        assert await process.outbox.flush(60) == 0
        assert world.states([one, other]) == process.shows([one, other]) == {(DELETED, "Read")}


async def test_a_page_that_was_read_before_a_deletion_does_not_undo_it(world: ChangeWorld) -> None:
    async with world.process() as process:
        ids = process.ids(2)
        world.platform.fault("slow", operation="syncMessages", delay_s=30)
        world.backend.messages.mark(world.message(ids[0]), "Unread", world.platform.now_s)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(process.sync)
            await trio.sleep(5)
            await process.outbox.trash(world.owner_id, ids)
            await process.outbox.flush(20)
        assert await process.outbox.flush(60) == 0
        assert availability(process.shows(ids)) == {DELETED}


async def test_a_sync_that_was_asked_before_a_restoration_does_not_undo_it(world: ChangeWorld) -> None:
    """The platform tells a deletion without a time, so the answer may be older than the restoration."""
    async with world.process() as process, trio.open_nursery() as nursery:
        ids = process.ids(2)
        await process.outbox.trash(world.owner_id, ids)
        await process.outbox.flush(60)
        world.platform.fault("slow", operation="syncMessages", delay_s=30)
        nursery.start_soon(process.sync)
        await trio.sleep(1)
        await process.outbox.restore(world.owner_id, ids)
        await process.outbox.flush(20)
        assert availability(world.states(ids)) == {ALIVE}
        await trio.sleep(40)
        assert availability(process.shows(ids)) == {ALIVE}
        await process.outbox.trash(world.owner_id, ids)
        await process.outbox.flush(60)
        assert availability(world.states(ids)) == {DELETED}


async def test_what_somebody_else_has_deleted_is_not_deleted_again(world: ChangeWorld) -> None:
    async with world.process() as process:
        ids = process.ids(3)
        await trio.sleep(20)
        for each in ids[:2]:
            world.backend.messages.delete(world.message(each), world.platform.now_s)
        await process.outbox.trash(world.owner_id, ids)
        assert await process.outbox.flush(60) == 0
        assert availability(world.states(ids)) == {DELETED}
        assert world.sent() == [f"DELETE {world.owner_id}/message-store/{ids[2]}"]


async def test_what_somebody_else_has_just_deleted_is_not_purged(world: ChangeWorld) -> None:
    async with world.process() as process:
        await process.sync()
        await trio.sleep(5)
        (one,) = process.ids(1)
        world.backend.messages.delete(world.message(one), world.platform.now_s)
        await process.outbox.trash(world.owner_id, [one])
        assert await process.outbox.flush(60) == 0
        assert world.sent() == []
        assert availability(world.states([one])) == availability(process.shows([one])) == {DELETED}


async def test_a_wrong_clock_delays_no_deletion(world: ChangeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    async with world.process() as process:
        (one,) = process.ids(1)
        monkeypatch.setattr(Mailboxes, "sync_age_s", lambda *_: math.inf)
        await process.outbox.trash(world.owner_id, [one])
        assert await process.outbox.flush(15) == 0
        assert len(world.sent()) == 1


async def test_what_somebody_else_has_restored_is_not_purged(world: ChangeWorld) -> None:
    async with world.process() as process:
        ids = process.ids(2)
        await process.outbox.trash(world.owner_id, ids)
        assert await process.outbox.flush(60) == 0
        await process.outbox.purge(world.owner_id, ids)
        world.backend.messages.restore(world.message(ids[0]), world.platform.now_s)
        assert await process.outbox.flush(60) == 0
        assert availability(world.states(ids[:1])) == availability(process.shows(ids[:1])) == {ALIVE}
        assert availability(world.states(ids[1:])) == {PURGED}


async def test_a_message_that_was_purged_meanwhile_is_no_longer_shown(world: ChangeWorld) -> None:
    async with world.process() as process:
        trashed, restored = process.ids(2)
        await process.outbox.trash(world.owner_id, [restored])
        assert await process.outbox.flush(60) == 0
        await process.outbox.restore(world.owner_id, [restored])
        await process.outbox.trash(world.owner_id, [trashed])
        for each in (trashed, restored):
            world.backend.messages.delete(world.message(each), world.platform.now_s, purge=True)
        await process.outbox.flush(LONG_S)
        await process.sync()
        assert process.outbox.left == 0
        assert process.shows([trashed, restored]) == {("", "")}
        assert world.states([trashed, restored]) <= {(PURGED, "Read"), (PURGED, "Unread")}


# Refusals


async def test_a_mixed_answer_settles_each_message_on_its_own(world: ChangeWorld) -> None:
    async with world.process() as process:
        ids = process.ids(14)
        refused = ",".join(map(str, ids[::2]))
        world.platform.fault("refused_messages", ids=refused, operation="deleteMessage", count=None)
        await process.outbox.trash(world.owner_id, ids)
        assert await process.outbox.flush(60) == 0
        assert availability(process.shows(ids[::2])) == availability(world.states(ids[::2])) == {ALIVE}
        assert availability(process.shows(ids[1::2])) == availability(world.states(ids[1::2])) == {DELETED}
        assert len(world.sent()) == 1
        lines = [fault.detail for fault in process.engine.recorder.faults if fault.event == "change"]
        assert f"trash, message {ids[0]}" in lines[0]
        assert (len(lines), lines[-1]) == (6, "and 2 more messages")
        assert process.outbox.refused == 7


async def test_a_refusal_puts_everything_back_and_is_remembered(world: ChangeWorld) -> None:
    async with world.process() as process:
        ids = process.ids(3)
        before = process.shows(ids)
        world.platform.fault("status", status=403, operation="deleteMessage")
        await process.outbox.trash(world.owner_id, ids)
        assert await process.outbox.flush(60) == 0
        assert process.shows(ids) == before
        assert availability(world.states(ids)) == {ALIVE}
        with pytest.raises(ForbiddenError, match="cannot be changed"):
            await process.outbox.trash(world.owner_id, ids)
        assert len(world.sent()) == 1


async def test_wishes_that_make_no_sense_are_errors(world: ChangeWorld) -> None:
    async with world.process() as process:
        (one,) = process.ids(1)
        for wish in (
            process.outbox.trash(world.owner_id, []),
            process.outbox.trash(world.owner_id, [1]),
            process.outbox.purge(world.owner_id, [one]),
            process.outbox.delete_conversations(world.owner_id, []),
            process.outbox.delete_conversations(world.owner_id, ["1"]),
        ):
            with pytest.raises(ValueError, match=r"no message|no id|not in the trash"):
                await wish
        await trio.sleep(60)
        assert world.sent() == []


# The brake


async def test_too_many_deletions_are_held_until_somebody_confirms_them(world: ChangeWorld) -> None:
    rules = ChangeRules(read_write=True, delete_limit=5)
    async with world.process(rules=rules) as process:
        ids = process.ids(12)
        await process.outbox.trash(world.owner_id, ids[:4])
        assert await process.outbox.flush(60) == 0
        assert len(world.sent()) == 1
        await process.outbox.trash(world.owner_id, ids[4:])
        assert await process.outbox.flush(60) == 8
        status = process.outbox.status()
        assert (status.held, status.waiting) == (8, 0)
        assert "more than 5 deletions" in (status.problem or "")
        assert availability(process.shows(ids)) == {DELETED}
    async with world.process(rules=rules) as process:
        await trio.sleep(7200)
        assert len(world.sent()) == 1
        assert await process.outbox.confirm() == 8
        assert await process.outbox.flush(60) == 0
        assert availability(world.states(ids)) == {DELETED}
        assert len(world.sent()) == 2


async def test_the_limit_counts_over_restarts(world: ChangeWorld) -> None:
    rules = ChangeRules(read_write=True, delete_limit=5)
    async with world.process(rules=rules) as process:
        ids = process.ids(9)
        await process.outbox.trash(world.owner_id, ids[:4])
        assert await process.outbox.flush(60) == 0
    async with world.process(rules=rules) as process:
        await process.outbox.trash(world.owner_id, ids[4:6])
        assert await process.outbox.flush(60) == 2
        await process.outbox.trash(world.owner_id, ids[6:7])
        assert await process.outbox.flush(60) == 3
        # It is told once, and not for each deletion of `rm -r`.
        assert ["deletions are held" in each.detail for each in process.engine.recorder.faults].count(
            True
        ) == 1
        assert await process.outbox.drop() == 3
        assert availability(process.shows(ids[4:])) == {ALIVE}
        await trio.sleep(3600)
        await process.outbox.trash(world.owner_id, ids[7:])
        assert await process.outbox.flush(60) == 0
        assert availability(world.states(ids[4:7])) == {ALIVE}


# Processes


async def test_what_is_left_is_sent_by_the_next_process(world: ChangeWorld) -> None:
    async with world.process(runs=False) as process:
        ids = process.ids(3)
        await process.outbox.trash(world.owner_id, ids)
        await process.sync()
    async with world.process() as process:
        assert availability(process.shows(ids)) == {DELETED}
        await trio.sleep(10)
        assert availability(world.states(ids)) == {DELETED}


async def test_one_process_sends_and_the_other_sees_it(world: ChangeWorld) -> None:
    async with world.process() as one, world.process() as other:
        ids = one.ids(20)
        other.rig.heard.clear()
        world.platform.fault("slow", operation="deleteMessage", delay_s=25)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.outbox.trash, world.owner_id, ids[:10])
            nursery.start_soon(other.outbox.trash, world.owner_id, ids[5:])
        await trio.sleep(40)
        assert availability(world.states(ids)) == {DELETED}
        assert len(world.sent()) == 1
        assert world.sent("readMessage") == [], "the request of the one looks like a lost one to the other"
        assert one.outbox.left == other.outbox.left == 0
        assert other.rig.heard


async def test_nothing_is_sent_without_a_process_that_may(world: ChangeWorld) -> None:
    async with world.process(runs=False) as writer, world.process(rules=ChangeRules(), runs=False):
        ids = writer.ids(3)
        await writer.outbox.trash(world.owner_id, ids)
        await writer.sync()
        await trio.sleep(3600)
        assert world.sent() == []
        assert MANY.read_write
