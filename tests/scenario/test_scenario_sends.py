"""Messages that are sent: each exactly once at the platform, whatever is lost on the way."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from rcfs.cli._send_run import _stopped
from rcfs.errors import ForbiddenError, StoreError
from rcfs.model import Outgoing, SendKind, SendState
from rcfs.model._delivery import FAX_ERRORS, SMS_ERRORS
from rcfs.simulator import AccountSpec
from rcfs.simulator.account._failing import FAILING_FAX, FAILING_SMS
from rcfs.store import OutboxBook
from tests.fakes.call_rig import CallWorld, open_calls
from tests.fakes.sending import (
    BOB,
    OPERATIONS,
    add_each_kind,
    all_settled,
    outbox_of,
    outgoing_of,
    sending,
    settled,
)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[CallWorld]:
    """An account of few messages."""
    async with open_calls(tmp_path, spec=AccountSpec(messages=5, months=1), calls=0) as world:
        yield world
        assert world.platform.simulator.journal.violations() == []


async def test_messages_of_each_kind_are_sent_with_one_request_each(world: CallWorld, tmp_path: Path) -> None:
    async with sending(world) as rig:
        sent = await all_settled(rig.engine.sends, await add_each_kind(world, rig.engine.sends, tmp_path))
        assert [each.state for each in sent] == [SendState.SENT] * 4
        assert sorted(each.message_id or 0 for each in sent) == sorted(outbox_of(world))
        assert not any(tmp_path.glob("outbox/*/*")), "the copies of the files are gone"
    assert [len(world.sent(each)) for each in OPERATIONS.values()] == [1] * 4
    assert world.sent("listMessages") == []


CARRIED_OUT: dict[str, dict[str, Any]] = {
    "reset": {"kind": "reset"},
    "503": {"kind": "status_after", "status": 503, "retry_after_s": 20},
    "HTML": {"kind": "status_after", "status": 502, "body": "html"},
    "no JSON": {"kind": "malformed_json"},
    "no id": {"kind": "missing_fields", "fields": "id"},
    "late": {"kind": "late", "delay_s": 20.0, "reset": True},
    "later than the answer may be": {"kind": "late", "delay_s": 80.0},
    "nothing comes": {"kind": "stall", "for_s": 300.0},
}
NOT_CARRIED_OUT: dict[str, dict[str, Any]] = {
    "lost": {"kind": "lost_request"},
    "503": {"kind": "status", "status": 503},
}


def fault_each(world: CallWorld, options: dict[str, Any]) -> None:
    for operation in OPERATIONS.values():
        world.platform.fault(**options, operation=operation)


@pytest.mark.parametrize("name", list(CARRIED_OUT))
async def test_a_lost_answer_sends_nothing_twice(world: CallWorld, name: str, tmp_path: Path) -> None:
    fault_each(world, CARRIED_OUT[name])
    async with sending(world) as rig:
        sent = await all_settled(rig.engine.sends, await add_each_kind(world, rig.engine.sends, tmp_path))
        assert [each.state for each in sent] == [SendState.SENT] * 4, [each.problem for each in sent]
        assert sorted(each.message_id or 0 for each in sent) == sorted(outbox_of(world))
    assert [len(world.sent(each)) for each in OPERATIONS.values()] == [1] * 4
    assert len(world.sent("listMessages")) <= 3 * 4


@pytest.mark.parametrize("name", list(NOT_CARRIED_OUT))
async def test_a_request_that_was_not_carried_out_is_repeated_after_two_minutes(
    world: CallWorld, name: str, tmp_path: Path
) -> None:
    fault_each(world, NOT_CARRIED_OUT[name])
    async with sending(world) as rig:
        sent = await all_settled(rig.engine.sends, await add_each_kind(world, rig.engine.sends, tmp_path))
        assert [each.state for each in sent] == [SendState.SENT] * 4, [each.problem for each in sent]
        assert sorted(each.message_id or 0 for each in sent) == sorted(outbox_of(world))
    for operation in OPERATIONS.values():
        first, second = world.sent(operation)
        assert second.time_s - first.time_s > 119


async def test_three_attempts_are_enough(world: CallWorld, tmp_path: Path) -> None:
    world.platform.fault("status", status=500, count=None, operation="createSMSMessage")
    async with sending(world) as rig:
        outgoing, paths = outgoing_of(world, SendKind.SMS, tmp_path)
        send = await settled(rig.engine.sends, await rig.engine.sends.add(outgoing, paths))
        assert (send.state, send.problem) == (
            SendState.REFUSED,
            "3 requests got no answer, and the message does not exist",
        )
    assert len(world.sent("createSMSMessage")) == 3
    assert outbox_of(world) == []


# Other devices


def texted_elsewhere(world: CallWorld, tmp_path: Path) -> CallWorld:
    """Another machine with the same login, such as a telephone."""
    (tmp_path / "elsewhere").mkdir()
    return CallWorld(world.platform, tmp_path / "elsewhere")


async def send_elsewhere(elsewhere: CallWorld, outgoing: Outgoing) -> None:
    async with sending(elsewhere) as rig:
        sent = await settled(rig.engine.sends, await rig.engine.sends.add(outgoing))
        assert sent.state is SendState.SENT


async def test_an_equal_text_from_elsewhere_is_left_to_a_person(tmp_path: Path) -> None:
    async with open_calls(tmp_path, spec=AccountSpec(messages=5, months=1), calls=0) as world:
        outgoing, _paths = outgoing_of(world, SendKind.SMS, tmp_path)
        elsewhere = texted_elsewhere(world, tmp_path)
        async with sending(world) as rig:
            sends = rig.engine.sends
            world.platform.fault("reset", operation="createSMSMessage")
            send = await sends.add(outgoing)
            await sends.wait(send.id, lambda each: bool(each.ended_s))
            await send_elsewhere(elsewhere, outgoing)
            found = await settled(sends, send)
            assert found.state is SendState.UNKNOWN
            assert all(str(each) in found.problem for each in outbox_of(world))
            assert len(outbox_of(world)) == 2
            with trio.move_on_after(1800):
                await sends.wait(send.id, lambda each: each.state is not SendState.UNKNOWN)
            assert len(outbox_of(world)) == 2, "nothing is sent for it any more"
            assert "`rcfs outbox` shows how far it is" in await _stopped(sends, send.id)
            assert await sends.drop(send.id)
            assert sends.all() == ()


async def test_a_person_may_have_an_unknown_message_sent_again(tmp_path: Path) -> None:
    async with open_calls(tmp_path, spec=AccountSpec(messages=5, months=1), calls=0) as world:
        outgoing, _paths = outgoing_of(world, SendKind.SMS, tmp_path)
        await send_elsewhere(texted_elsewhere(world, tmp_path), outgoing)
        await trio.sleep(20)
        async with sending(world) as rig:
            sends = rig.engine.sends
            world.platform.fault("lost_request", operation="createSMSMessage")
            send = await sends.add(outgoing)
            assert not await sends.again(send.id), "it is under way"
            found = await settled(sends, send)
            assert found.state is SendState.UNKNOWN
            assert "may be this one, or one like it" in found.problem
            assert await sends.again(send.id)
            assert (await settled(sends, found)).state is SendState.SENT
    assert len(outbox_of(world)) == 2


async def test_another_text_from_elsewhere_is_not_taken_for_it(world: CallWorld, tmp_path: Path) -> None:
    outgoing, _paths = outgoing_of(world, SendKind.SMS, tmp_path)
    elsewhere = texted_elsewhere(world, tmp_path)
    async with sending(world) as rig:
        sends = rig.engine.sends
        world.platform.fault("lost_request", operation="createSMSMessage")
        send = await sends.add(outgoing)
        await send_elsewhere(elsewhere, attrs.evolve(outgoing, text="something else"))
        assert (await settled(sends, send)).state is SendState.SENT
    assert len(outbox_of(world)) == 2


# Outages, refusals, several processes


async def test_an_outage_of_an_hour_only_delays(world: CallWorld, tmp_path: Path) -> None:
    async with sending(world) as rig:
        sends = rig.engine.sends
        rig.line.is_cut = True
        added = await add_each_kind(world, sends, tmp_path)
        with trio.move_on_after(3600):
            await sends.wait(added[0].id, lambda each: each.state is SendState.SENT)
        assert outbox_of(world) == []
        assert all(each.state is SendState.WAITING for each in sends.all())
        rig.line.is_cut = False
        sent = await all_settled(sends, added)
        assert sorted(each.message_id or 0 for each in sent) == sorted(outbox_of(world))
        assert len(outbox_of(world)) == 4


async def test_an_outage_that_begins_during_the_request(world: CallWorld, tmp_path: Path) -> None:
    world.platform.fault("reset", operation="createSMSMessage")
    async with sending(world) as rig:
        sends = rig.engine.sends
        outgoing, _paths = outgoing_of(world, SendKind.SMS, tmp_path)
        send = await sends.add(outgoing)
        await sends.wait(send.id, lambda each: bool(each.ended_s))
        rig.line.is_cut = True
        await trio.sleep(3600)
        rig.line.is_cut = False
        assert (await settled(sends, send)).state is SendState.SENT
    assert len(world.sent("createSMSMessage")) == 1


async def test_the_quota_refuses_and_nothing_is_lost(world: CallWorld, tmp_path: Path) -> None:
    for operation in OPERATIONS.values():
        world.platform.fault("rate_limited", operation=operation)
    async with sending(world) as rig:
        sent = await all_settled(rig.engine.sends, await add_each_kind(world, rig.engine.sends, tmp_path))
        assert [each.state for each in sent] == [SendState.SENT] * 4
    assert len(outbox_of(world)) == 4
    assert world.sent("listMessages") == []


async def test_the_platform_refuses(world: CallWorld, tmp_path: Path) -> None:
    async with sending(world) as rig:
        sends = rig.engine.sends
        outgoing, _paths = outgoing_of(world, SendKind.SMS, tmp_path)
        foreign = attrs.evolve(outgoing, sender="+13035556830")
        found = await settled(sends, await sends.add(foreign))
        assert found.state is SendState.REFUSED
        assert "MSG-304" in found.problem
        assert "belong to extension" in found.problem
    async with sending(world) as rig:
        assert rig.engine.sends.find(found.id) == found, "a later process tells it, too"
    assert len(world.sent("createSMSMessage")) == 1


async def test_an_app_without_the_scope_is_told_at_once(tmp_path: Path) -> None:
    config: dict[str, Any] = {"spec": AccountSpec(messages=5, months=1), "calls": 0}
    async with open_calls(tmp_path, missing_scopes=frozenset({"Faxes"}), **config) as world:
        fax, paths = outgoing_of(world, SendKind.FAX, tmp_path)
        sms, _none = outgoing_of(world, SendKind.SMS, tmp_path)
        async with sending(world) as rig:
            with pytest.raises(ForbiddenError, match="cannot send: the app lacks the scope Faxes"):
                await rig.engine.sends.add(fax, paths)
            assert (await settled(rig.engine.sends, await rig.engine.sends.add(sms))).state is SendState.SENT


async def test_a_user_without_the_permission(world: CallWorld, tmp_path: Path) -> None:
    world.platform.fault("status", status=403, code="CMN-401", operation="createSMSMessage")
    async with sending(world) as rig:
        sends = rig.engine.sends
        outgoing, _paths = outgoing_of(world, SendKind.SMS, tmp_path)
        found = await settled(sends, await sends.add(outgoing))
        assert (found.state, found.problem) == (SendState.REFUSED, "the app lacks the scope SMS (CMN-401)")
        with pytest.raises(ForbiddenError, match="lacks the scope SMS"):
            await sends.add(outgoing)


async def test_two_processes_send_each_message_once(world: CallWorld, tmp_path: Path) -> None:
    world.platform.fault("rate_limited", operation="createSMSMessage")
    async with sending(world) as one, sending(world) as other:
        added = []
        for number in range(6):
            sends = (one, other)[number % 2].engine.sends
            outgoing, _paths = outgoing_of(world, SendKind.SMS, tmp_path, text=f"number {number}")
            added.append(await sends.add(outgoing))
        for rig in (one, other):
            sent = await all_settled(rig.engine.sends, added)
            assert [each.state for each in sent] == [SendState.SENT] * 6
    assert len(world.sent("createSMSMessage")) == 7
    assert len(outbox_of(world)) == 6
    assert world.sent("listMessages") == [], "neither takes what the other waits to send for lost"


async def test_equal_messages_are_told_apart(tmp_path: Path) -> None:
    """Two equal texts, whose answers are both lost: the second waits for the fate of the first."""
    async with open_calls(tmp_path, spec=AccountSpec(messages=5, months=1), calls=0) as world:
        world.platform.fault("reset", operation="createSMSMessage", count=2)
        async with sending(world) as rig:
            sends = rig.engine.sends
            outgoing, _paths = outgoing_of(world, SendKind.SMS, tmp_path)
            added = [await sends.add(outgoing), await sends.add(outgoing)]
            sent = await all_settled(sends, added)
            assert [each.state for each in sent] == [SendState.SENT] * 2
            assert sorted(each.message_id or 0 for each in sent) == sorted(outbox_of(world))
        assert len(world.sent("createSMSMessage")) == 2


async def test_a_message_that_is_dropped_in_time_is_not_sent(world: CallWorld, tmp_path: Path) -> None:
    outgoing, paths = outgoing_of(world, SendKind.MMS, tmp_path)
    async with world.engine(outbox=True) as rig:
        send = await rig.engine.sends.add(outgoing, paths)
        assert [path.name for path in tmp_path.glob("outbox/*/*")] == [send.id]
        assert await rig.engine.sends.drop(send.id)
        assert list(tmp_path.glob("outbox/*/*")) == []
        await rig.engine.sends.look()
    assert outbox_of(world) == []


async def test_a_message_can_be_dropped_while_its_request_waits_for_a_slot(
    world: CallWorld, tmp_path: Path
) -> None:
    world.platform.fault("rate_limited", operation="createSMSMessage")
    outgoing, _paths = outgoing_of(world, SendKind.SMS, tmp_path)
    async with sending(world) as rig:
        send = await rig.engine.sends.add(outgoing)
        await trio.sleep(10)
        found = rig.engine.sends.find(send.id)
        assert found is not None
        assert found.state is SendState.ASKED
        assert await rig.engine.sends.drop(send.id)
        await trio.sleep(300)
    assert len(world.sent("createSMSMessage")) == 1
    assert outbox_of(world) == []


@pytest.mark.parametrize("kinds", [(SendKind.SMS, SendKind.FAX), (SendKind.FAX, SendKind.SMS)])
async def test_a_fax_and_a_text_do_not_wait_for_each_other(
    world: CallWorld, tmp_path: Path, kinds: tuple[SendKind, SendKind]
) -> None:
    world.platform.fault("rate_limited", operation=OPERATIONS[kinds[0]])
    async with sending(world) as rig:
        sends = rig.engine.sends
        first = await sends.add(*outgoing_of(world, kinds[0], tmp_path))
        await trio.sleep(10)
        with trio.fail_after(5):
            await settled(sends, await sends.add(*outgoing_of(world, kinds[1], tmp_path)))
        assert not sends.all()[0].state.is_settled
        assert (await settled(sends, first)).state is SendState.SENT
    assert [len(world.sent(OPERATIONS[each])) for each in kinds] == [2, 1]


async def test_a_person_who_interrupts_the_wait_for_a_slot_has_sent_nothing(
    world: CallWorld, tmp_path: Path
) -> None:
    world.platform.fault("rate_limited", operation="createSMSMessage")
    outgoing, _paths = outgoing_of(world, SendKind.SMS, tmp_path)
    async with world.engine(outbox=True) as rig, trio.open_nursery() as nursery:
        nursery.start_soon(rig.engine.sends.run)
        send = await rig.engine.sends.add(outgoing)
        await trio.sleep(10)
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            assert await rig.engine.sends.drop(send.id)
    async with sending(world) as rig:
        await trio.sleep(300)
        assert rig.engine.sends.all() == ()
    assert len(world.sent("createSMSMessage")) == 1


async def test_a_person_who_interrupts_is_told_what_became_of_the_message(
    world: CallWorld, tmp_path: Path
) -> None:
    outgoing, _paths = outgoing_of(world, SendKind.SMS, tmp_path)
    async with world.engine(outbox=True) as rig:
        sends = rig.engine.sends
        early = await sends.add(outgoing)
        assert await _stopped(sends, early.id) == "interrupted; nothing was sent"
        assert sends.all() == ()
        late = await sends.add(outgoing)
        await sends.look()
        (message_id,) = outbox_of(world)
        assert await _stopped(sends, late.id) == f"interrupted, but it was sent: message {message_id}"
        assert [each.id for each in sends.all()] == [late.id], "its delivery is still to be told"


async def test_a_file_that_changes_meanwhile_is_not_sent(world: CallWorld, tmp_path: Path) -> None:
    outgoing, paths = outgoing_of(world, SendKind.FAX, tmp_path)
    paths[0].write_text("something else")
    async with sending(world) as rig:
        with pytest.raises(ValueError, match="changed while rcfs read it"):
            await rig.engine.sends.add(outgoing, paths)
        assert rig.engine.sends.all() == ()
        assert list(tmp_path.glob("outbox/*/*")) == []


async def test_a_fault_of_the_outbox_is_told_as_it_is(
    world: CallWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.engine(outbox=True) as rig:
        outgoing, _paths = outgoing_of(world, SendKind.SMS, tmp_path)
        await rig.engine.sends.add(outgoing)

        def fail(*_arguments: object) -> bool:
            raise StoreError("the disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(OutboxBook, "change", fail)
            with pytest.raises(StoreError, match="the disk is full"):
                await rig.engine.sends.look()
    assert outbox_of(world) == []


# Delivery


async def test_syncs_tell_the_delivery_without_requests_of_their_own(
    world: CallWorld, tmp_path: Path
) -> None:
    own = world.extensions[0]
    async with sending(world) as rig:
        sends, mailboxes = rig.engine.sends, rig.engine.account.mailboxes
        catalogue = await mailboxes.open(own)
        outgoing, _paths = outgoing_of(world, SendKind.SMS, tmp_path)
        sent = await settled(sends, await sends.add(outgoing))
        await trio.sleep(10)
        assert sent.message_id is not None
        assert catalogue.read(sent.message_id) is not None, "the mailbox shows it soon"
        before = world.mark()
        with trio.fail_after(3600):
            final = await sends.wait(sent.id, lambda each: each.is_final)
        assert final is not None
        assert final.status == "Delivered"
        operations = {each.operation for each in world.platform.simulator.journal.entries(since=before)}
        assert operations <= {
            "syncMessages",
            "syncAccountCallLog",
            "readAccountInfo",
            "readExtension",
            "listExtensions",
        }


async def test_a_person_who_waits_is_told_the_delivery(world: CallWorld, tmp_path: Path) -> None:
    async with sending(world) as rig:
        sends = rig.engine.sends
        outgoing, _paths = outgoing_of(world, SendKind.SMS, tmp_path)
        sent = await settled(sends, await sends.add(outgoing))
        await trio.sleep(30)
        await sends.ask_delivery(sent.id)
        found = sends.find(sent.id)
        assert found is not None
        assert (found.status, found.is_final) == ("Delivered", True)


async def test_a_fax_for_later_waits_at_the_platform_and_is_cancelled_by_deleting_it(
    world: CallWorld, tmp_path: Path
) -> None:
    own = world.extensions[0]
    async with sending(world) as rig:
        sends, mailboxes = rig.engine.sends, rig.engine.account.mailboxes
        await mailboxes.open(own)
        outgoing, paths = outgoing_of(world, SendKind.FAX, tmp_path, send_at_s=world.now_s + 7200)
        sent = await settled(sends, await sends.add(outgoing, paths))
        assert (sent.state, sent.status, sent.is_final) == (SendState.SENT, "Queued", False)
        await trio.sleep(3600)
        assert sends.find(sent.id) == sent
        message = world.backend.account.message(own, sent.message_id or 0)
        assert message is not None
        world.backend.messages.delete(message, world.now_s)
        await mailboxes.refresh(own)
        with trio.fail_after(60):
            final = await sends.wait(sent.id, lambda each: each.is_final)
        assert final is not None
        assert final.status == "Queued"
    assert len(world.sent("createFaxMessage")) == 1


@pytest.mark.parametrize(
    ("kind", "number", "problem"),
    [
        (SendKind.SMS, next(iter(FAILING_SMS)), SMS_ERRORS[next(iter(FAILING_SMS.values()))]),
        (SendKind.FAX, next(iter(FAILING_FAX)), FAX_ERRORS[next(iter(FAILING_FAX.values()))]),
    ],
)
async def test_a_failed_delivery_is_told_in_words(
    world: CallWorld, kind: SendKind, number: str, problem: str, tmp_path: Path
) -> None:
    outgoing, paths = outgoing_of(world, kind, tmp_path)
    async with sending(world) as rig:
        sends = rig.engine.sends
        sent = await settled(sends, await sends.add(attrs.evolve(outgoing, recipients=(number,)), paths))
        for _question in range(10):
            await trio.sleep(30)
            await sends.ask_delivery(sent.id)
        found = sends.find(sent.id)
        assert found is not None
        assert found.is_failed
        assert found.problem.startswith(problem)


async def test_parties_in_any_notation(world: CallWorld) -> None:
    own, colleague = world.backend.account.extensions[:2]
    async with sending(world) as rig:
        sends = rig.engine.sends
        assert await sends.parties.find(SendKind.FAX, [BOB, "+1 212 555 7464"]) == ("", (BOB,))
        to_colleague = (own.number, (colleague.number,))
        assert await sends.parties.find(SendKind.PAGE, [colleague.number]) == to_colleague
        with pytest.raises(ValueError, match="no colleague has the extension 99999"):
            await sends.parties.find(SendKind.PAGE, ["99999"])
        assert world.sent("listExtensionPhoneNumbers") == []
        for kind in (SendKind.SMS, SendKind.MMS):
            assert await sends.parties.find(kind, ["(212) 555-7464"]) == (own.phone_number, (BOB,))
        assert await sends.parties.find(SendKind.FAX, ["(212) 555-7464"]) == ("", (BOB,))
    assert len(world.sent("listExtensionPhoneNumbers")) == 1
