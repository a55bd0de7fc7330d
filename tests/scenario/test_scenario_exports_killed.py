"""Processes that are killed while they ask for an export: its task is not lost, and not made twice for it."""

from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest
import trio

from rcfs.model import ExportKind, ExportQuery, ExportState
from rcfs.simulator import AccountSpec
from tests.fakes.call_rig import CallRig, CallWorld, open_calls
from tests.fakes.mortal import Life, install

ASK, ASK_TEAM = "createMessageStoreReport", "createDataExportTaskNew"
STRIDE = 3
"""Every third statement is one at which a process is killed."""


async def _ask_and_die(world: CallWorld, query: ExportQuery, statements: int, survived: list[int]) -> None:
    """Lets a process want `query` and die at a statement; `survived` gets the number that was enough."""
    scope = trio.CancelScope()
    life = Life(scope.cancel)
    with suppress(Exception), scope:  # noqa: ASYNC912 - it always has a checkpoint
        async with world.engine(exports=True, life=life) as rig, trio.open_nursery() as nursery:
            life.statements_left = statements
            nursery.start_soon(rig.engine.exports.run)
            export = await rig.engine.exports.request(query)
            await rig.engine.exports.wait(export.id, lambda each: each.state.is_final)
            nursery.cancel_scope.cancel()
    if not life.is_over:
        survived.append(statements)
        life.end()


async def _finish(rig: CallRig, query: ExportQuery) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.engine.exports.run)
        export = await rig.engine.exports.request(query)
        with trio.fail_after(3600):
            ended = await rig.engine.exports.wait(export.id, lambda each: each.state.is_final)
        assert ended is not None
        assert ended.state is ExportState.COMPLETED
        assert ended.archives
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("kind", list(ExportKind))
async def test_a_process_that_is_killed_anywhere_loses_no_export(
    tmp_path: Path, kind: ExportKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch)
    operation = ASK if kind is ExportKind.MESSAGES else ASK_TEAM
    statements, survived, most = 0, list[int](), 0
    async with open_calls(tmp_path, spec=AccountSpec(messages=5, months=1), calls=0) as world:
        while not survived:
            day = f"2026-0{1 + statements % 9}-{1 + statements // 9:02}"
            query = ExportQuery.of_days(kind, day, day)
            before = world.mark()
            async with trio.open_nursery() as nursery:  # noqa: ASYNC112 - the process dies in a task of its own
                nursery.start_soon(_ask_and_die, world, query, statements, survived)
            async with world.engine(exports=True) as rig:
                await _finish(rig, query)
            asked = [each.time_s for each in world.sent(operation, since=before)]
            assert 1 <= len(asked) <= 2
            if kind is ExportKind.TEAM:
                assert len(asked) == 1 or asked[1] - asked[0] > 590, "the platform's list had the first"
            # Ten minutes after it was noted, and the first may have waited a minute for its slot.
            assert all(later - earlier > 530 for earlier, later in pairwise(asked))
            most = max(most, len(asked))
            statements += STRIDE
    assert statements > 30
    assert most == 2 or kind is ExportKind.TEAM, "one was killed between the request and its answer"


async def test_a_process_that_ends_before_its_slot_has_not_asked(tmp_path: Path) -> None:
    async with open_calls(tmp_path, spec=AccountSpec(messages=5, months=1), calls=0) as world:
        query = ExportQuery.of_days(ExportKind.MESSAGES, "2026-10-01", "2026-10-02")
        world.platform.fault("rate_limited", operation=ASK)
        async with world.engine(exports=True) as rig:
            await rig.engine.exports.request(query)
            with trio.move_on_after(10):
                await rig.engine.exports.run()
            (export,) = rig.engine.exports.all()
            assert export.state is ExportState.WAITING, "it was still waiting for its second slot"
        began_s = world.now_s
        async with world.engine(exports=True) as rig:
            await _finish(rig, query)
        assert [each.status for each in world.sent(ASK)] == [429, 202]
        assert world.now_s - began_s < 200
