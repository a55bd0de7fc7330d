"""Processes that are killed while they send: no message is sent twice, and none is lost that was kept."""

from contextlib import suppress
from itertools import cycle
from pathlib import Path

import pytest
import trio

from rcfs.model import SendKind, SendState
from rcfs.simulator import AccountSpec
from tests.fakes.call_rig import CallWorld, open_calls
from tests.fakes.mortal import Life, install
from tests.fakes.sending import OPERATIONS, all_settled, outbox_of, outgoing_of, sending

STRIDE = 2
"""Every second statement is one at which a process is killed."""


async def _send_and_die(
    world: CallWorld, kind: SendKind, directory: Path, statements: int, survived: list[int]
) -> None:
    """Lets a process send a message and die at a statement; `survived` gets the number that was enough."""
    scope = trio.CancelScope()
    life = Life(scope.cancel)
    with suppress(Exception), scope:  # noqa: ASYNC912 - it always has a checkpoint
        async with world.engine(outbox=True, life=life) as rig, trio.open_nursery() as nursery:
            life.statements_left = statements
            nursery.start_soon(rig.engine.sends.run)
            outgoing, paths = outgoing_of(world, kind, directory, text=f"number {statements}")
            send = await rig.engine.sends.add(outgoing, paths)
            await rig.engine.sends.wait(send.id, lambda each: each.state.is_settled)
            nursery.cancel_scope.cancel()
    if not life.is_over:
        survived.append(statements)
        life.end()


async def test_a_process_that_is_killed_anywhere_sends_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch)
    statements, survived = 4, list[int]()
    kept, found_by_look = 0, 0
    async with open_calls(tmp_path, spec=AccountSpec(messages=5, months=1), calls=0) as world:
        for kind in cycle(SendKind):
            if survived:
                break
            mark, before = world.mark(), len(outbox_of(world))
            async with trio.open_nursery() as nursery:  # noqa: ASYNC112 - the process dies in a task of its own
                nursery.start_soon(_send_and_die, world, kind, tmp_path, statements, survived)
            async with sending(world) as rig:
                sends = rig.engine.sends
                # Those of one kind look alike, and a message that is settled must not be taken for the next.
                sent = await all_settled(sends, sends.all())
                assert all(each.state is SendState.SENT for each in sent), [each.problem for each in sent]
                assert len(outbox_of(world)) - before == len(sent) - kept <= 1
                kept = len(sent)
            assert {each.message_id for each in sent} == set(outbox_of(world))
            requests = len(world.sent(OPERATIONS[kind], since=mark))
            looks = len(world.sent("listMessages", since=mark))
            found_by_look += requests == 1 and 1 <= looks < 3
            statements += STRIDE
        assert world.platform.simulator.journal.violations() == []
    assert found_by_look, "one was killed between the request and the note of its answer"
    assert kept > 3, "most were on the disk before the process died"


async def test_a_request_that_is_carried_out_after_the_death_of_its_process(tmp_path: Path) -> None:
    async with open_calls(tmp_path, spec=AccountSpec(messages=5, months=1), calls=0) as world:
        outgoing, _paths = outgoing_of(world, SendKind.SMS, tmp_path)
        world.platform.fault("late", delay_s=60.0, operation=OPERATIONS[SendKind.SMS])
        async with world.engine(outbox=True) as rig:
            send = await rig.engine.sends.add(outgoing)
            with trio.move_on_after(10):
                await rig.engine.sends.run()
        assert outbox_of(world) == []
        async with sending(world) as rig:
            (sent,) = await all_settled(rig.engine.sends, [send])
            assert sent.state is SendState.SENT
        assert [sent.message_id] == outbox_of(world)
        assert len(world.sent(OPERATIONS[SendKind.SMS])) == 1


@pytest.mark.parametrize("kind", list(SendKind))
async def test_a_process_that_ends_before_its_slot_has_not_sent(tmp_path: Path, kind: SendKind) -> None:
    async with open_calls(tmp_path, spec=AccountSpec(messages=5, months=1), calls=0) as world:
        outgoing, paths = outgoing_of(world, kind, tmp_path)
        world.platform.fault("rate_limited", operation=OPERATIONS[kind])
        async with world.engine(outbox=True) as rig:
            send = await rig.engine.sends.add(outgoing, paths)
            with trio.move_on_after(10):
                await rig.engine.sends.run()
            (waiting,) = rig.engine.sends.all()
            assert waiting.state is SendState.WAITING, "it was still waiting for its second slot"
        async with sending(world) as rig:
            (sent,) = await all_settled(rig.engine.sends, [send])
            assert sent.state is SendState.SENT
        assert [each.status for each in world.sent(OPERATIONS[kind])] == [429, 200]
        assert world.sent("listMessages") == []
