"""Processes that are killed while they change messages: no change is lost, and none is made twice."""

from contextlib import suppress
from pathlib import Path

import pytest
import trio

from tests.fakes.changing import ChangeWorld, open_changes
from tests.fakes.mortal import Life, install

STRIDE = 11
"""Every eleventh statement is one at which a process is killed."""


async def change_and_die(world: ChangeWorld, ids: list[int], statements: int, kept: list[str]) -> None:
    """Changes messages and dies at a statement; `kept` gets the wishes that were kept before."""
    scope = trio.CancelScope()
    life = Life(scope.cancel)
    with suppress(Exception), scope:  # noqa: ASYNC912 - it always has a checkpoint
        async with world.process(life=life) as process:
            life.statements_left = statements
            await process.outbox.trash(world.owner_id, ids[:2])
            kept.append("trash")
            await process.outbox.mark(world.owner_id, ids[2:], read=False)
            kept.append("mark")
            await process.outbox.flush(600)
            kept.append("flush")
            scope.cancel()
    if not life.is_over:
        life.end()


async def test_a_process_that_is_killed_anywhere_loses_no_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch)
    statements, survived = 0, False
    async with open_changes(tmp_path, messages=300) as world:
        alive = [each for each in world.mailbox if each.availability == "Alive"]
        ids = [each.id for each in alive if each.read_status == "Read"][:4]
        while not survived:
            kept: list[str] = []
            async with trio.open_nursery() as nursery:  # noqa: ASYNC112 - the process dies in a task of its own
                nursery.start_soon(change_and_die, world, ids, statements, kept)
            async with world.process() as process:
                await process.outbox.flush(600)
                await process.sync()
                assert process.outbox.left == 0
                for found in (world.states, process.shows):
                    if "trash" in kept:
                        assert found(ids[:2]) == {("Deleted", "Read")}
                    if "mark" in kept:
                        assert found(ids[2:]) == {("Alive", "Unread")}
                assert world.states(ids) == process.shows(ids)
                world.put_back(ids)
                await process.sync()
            survived = "flush" in kept
            statements += STRIDE
        assert statements > 50
