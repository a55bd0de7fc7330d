"""Exports: asked for once, polled gently, never lost, and honest about whatever is in the way."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
import trio

from rcfs.errors import ForbiddenError, StoreError
from rcfs.exports import Exports, ExportsChanged
from rcfs.model import Export, ExportKind, ExportQuery, ExportState, ReportKey
from rcfs.simulator import AccountSpec
from rcfs.simulator._journal import Entry
from rcfs.store import ExportBook
from tests.fakes.call_rig import CallRig, CallWorld, open_calls

ASK, POLL, LIST = "createMessageStoreReport", "readMessageStoreReportTask", "readMessageStoreReportArchive"
ASK_TEAM, POLL_TEAM, LIST_TEAM = "createDataExportTaskNew", "readDataExportTaskNew", "listDataExportTasksNew"
MONTHS = [
    ExportQuery.of_days(ExportKind.MESSAGES, f"2026-{month:02}-01", f"2026-{month:02}-19")
    for month in (9, 10, 11)
]
TEAM = ExportQuery.of_days(ExportKind.TEAM, "2026-09-01", "2026-10-31")
SMALL = AccountSpec(messages=20, months=2)


def world(directory: Path, **config: Any) -> AbstractAsyncContextManager[CallWorld]:
    return open_calls(directory, spec=SMALL, calls=0, **config)


@asynccontextmanager
async def running(world: CallWorld, **options: Any) -> AsyncIterator[CallRig]:
    """A process that asks and polls."""
    async with world.engine(exports=True, **options) as rig, trio.open_nursery() as nursery:
        nursery.start_soon(rig.engine.exports.run)
        yield rig
        nursery.cancel_scope.cancel()


def sent(world: CallWorld, *operations: str) -> list[Entry]:
    return world.sent(*(operations or (ASK, POLL, LIST, ASK_TEAM, POLL_TEAM, LIST_TEAM)))


async def until_final(exports: Exports, export: Export, within_s: float = 3600) -> Export:
    with trio.fail_after(within_s):
        ended = await exports.wait(export.id, lambda each: each.state.is_final)
    assert ended is not None
    return ended


async def test_a_report_goes_through_its_states_with_polls_15_to_30_s_apart(tmp_path: Path) -> None:
    async with world(tmp_path, export_s=100.0) as calls, running(calls) as rig:
        exports, seen = rig.engine.exports, list[str]()
        exports.changes.subscribe(lambda event: seen.extend(each.state.value for each in event.changed))
        export = await exports.request(MONTHS[1])
        assert export.state is ExportState.WAITING
        assert exports.find(ExportKind.MESSAGES, MONTHS[1].name) == export
        assert sent(calls) == [], "the query is on the disk before anything is sent"
        ended = await until_final(exports, export)
        states = list(dict.fromkeys(seen))
        assert states == ["Waiting", "Asked", "Accepted", "Pending", "InProgress", "Completed"]
        times = [each.time_s for each in sent(calls, ASK, POLL)]
        pauses = [later - earlier for earlier, later in pairwise(times)]
        assert all(14.9 < pause < 31 for pause in pauses), pauses
        assert len(sent(calls, ASK)) == len(sent(calls, LIST)) == 1
        assert ended.task_id in sent(calls, POLL)[0].path
        task = calls.backend.reports.find(ended.task_id, calls.now_s)
        assert [each.size_bytes for each in ended.archives] == [each.size_bytes for each in task.archives()]
        assert [each.name for each in ended.archives] == ["archive-0.zip", "archive-1.zip"]
        assert ended.archives[1].key == ReportKey(rig.engine.account.id, ended.task_id, 1)
        assert ended.archives[1].uri.startswith("http://127.0.0.1:1001/")
        assert abs(ended.since_s - ended.asked_s - 100) < 2
        assert ended.problem == ""
        before = len(sent(calls))
        await trio.sleep(900)
        assert len(sent(calls)) == before, "a completed one is left alone"
        assert await exports.forget(export.id)
        told = [line for line in rig.engine.recorder.lines if ended.task_id in line]
        assert ["export forgotten" in line for line in told[-1:]] == [True], "nothing lists the task any more"


@pytest.mark.parametrize(
    ("query", "outcome", "state"),
    [
        (MONTHS[0], "Failed", ExportState.FAILED),
        (MONTHS[0], "Cancelled", ExportState.CANCELLED),
        (MONTHS[0], "AttemptFailed", ExportState.COMPLETED),
        (TEAM, "Completed", ExportState.COMPLETED),
        (TEAM, "Failed", ExportState.FAILED),
        (TEAM, "Expired", ExportState.EXPIRED),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_every_end_is_told(
    tmp_path: Path, query: ExportQuery, outcome: str, state: ExportState
) -> None:
    async with world(tmp_path, export_s=100.0) as calls, running(calls) as rig:
        exports, problems = rig.engine.exports, list[str]()
        exports.changes.subscribe(lambda event: problems.extend(each.problem for each in event.changed))
        book = calls.backend.reports if query.kind is ExportKind.MESSAGES else calls.backend.team_exports
        book.plan(outcome)
        ended = await until_final(exports, await exports.request(query))
        assert ended.state is state
        assert bool(ended.archives) == (state is ExportState.COMPLETED) != bool(ended.problem)
        if outcome == "AttemptFailed":
            assert "an attempt of the platform failed, and it tries again" in problems
        await trio.sleep(600)
        assert len(sent(calls, ASK, ASK_TEAM)) == 1


async def test_two_run_the_third_waits_and_says_so(tmp_path: Path) -> None:
    async with world(tmp_path, export_s=60.0) as calls, running(calls) as rig:
        exports = rig.engine.exports
        wanted = [await exports.request(query) for query in MONTHS]
        team = await exports.request(TEAM)
        await trio.sleep(30)
        assert len(sent(calls, ASK)) == 2
        assert len(sent(calls, ASK_TEAM)) == 1, "each kind has two of its own"
        third = exports.find(ExportKind.MESSAGES, MONTHS[2].name)
        assert third is not None
        assert third.state is ExportState.WAITING
        assert "two other exports are unfinished" in exports.reason(third)
        for each in (*wanted, team):
            assert (await until_final(exports, each)).state is ExportState.COMPLETED
        asked = [each.status for each in sent(calls, ASK)]
        assert asked == [202, 202, 202], "the third was not sent before its time"


async def test_tasks_of_somebody_else_make_it_wait(tmp_path: Path) -> None:
    async with world(tmp_path, export_s=300.0) as calls, running(calls) as rig:
        exports = rig.engine.exports
        for _each in range(2):
            calls.backend.reports.create("x", calls.extensions[0], calls.now_s, {}, lambda _quirks: ())
        export = await exports.request(MONTHS[0])
        await trio.sleep(10)
        refused = exports.find(ExportKind.MESSAGES, MONTHS[0].name)
        assert refused is not None
        assert refused.state is ExportState.WAITING
        assert "other exports of the account" in refused.problem
        assert "CMN-111" in refused.problem
        assert (await until_final(exports, export)).state is ExportState.COMPLETED
        asked = sent(calls, ASK)
        assert [each.status for each in asked[-2:]] == [400, 202]
        assert 2 <= len(asked) <= 6, "it does not insist"


async def test_a_wrong_parameter_is_not_sent_twice(tmp_path: Path) -> None:
    async with world(tmp_path) as calls, running(calls) as rig:
        calls.platform.fault("status", operation=ASK, status=400, code="CMN-101", count=None)
        ended = await until_final(rig.engine.exports, await rig.engine.exports.request(MONTHS[0]))
        assert ended.state is ExportState.FAILED
        assert "CMN-101" in ended.problem
        assert len(sent(calls, ASK)) == 1


@pytest.mark.parametrize("fault", ["reset", "reset_body", "truncate", "empty", "malformed_json", "status"])
async def test_a_report_whose_answer_is_lost_is_asked_for_again_after_ten_minutes(
    tmp_path: Path, fault: str
) -> None:
    async with world(tmp_path) as calls, running(calls) as rig:
        exports = rig.engine.exports
        calls.platform.fault(fault, operation=ASK)
        export = await exports.request(MONTHS[0])
        await trio.sleep(590)
        lost = exports.find(ExportKind.MESSAGES, MONTHS[0].name)
        assert lost is not None
        assert lost.state is ExportState.ASKED
        assert "no request lists reports" in lost.problem
        assert len(sent(calls, ASK)) == 1, "not repeated blindly"
        assert (await until_final(exports, export)).state is ExportState.COMPLETED
        assert len(sent(calls, ASK)) == 2


@pytest.mark.parametrize(("query", "fault"), [(MONTHS[0], "malformed_json"), (TEAM, "status")])
async def test_after_three_lost_answers_rcfs_gives_up(tmp_path: Path, query: ExportQuery, fault: str) -> None:
    ask = ASK if query.kind is ExportKind.MESSAGES else ASK_TEAM
    async with world(tmp_path) as calls, running(calls) as rig:
        exports = rig.engine.exports
        calls.platform.fault(fault, operation=ask, count=3)
        export = await exports.request(query)
        ended = await until_final(exports, export)
        assert (ended.state, ended.next_look_s) == (ExportState.FAILED, 0.0)
        assert "no answer to 3 requests could be read" in ended.problem
        await trio.sleep(3600)
        assert len(sent(calls, ask)) == 3
        # Then it may be asked for as often again.
        calls.platform.fault(fault, operation=ask, count=2)
        again = await exports.request(query, again=True)
        assert (await until_final(exports, again)).state is ExportState.COMPLETED
        assert len(sent(calls, ask)) == 6


async def test_a_person_may_ask_again_at_once(tmp_path: Path) -> None:
    async with world(tmp_path) as calls, running(calls) as rig:
        exports = rig.engine.exports
        calls.platform.fault("reset_body", operation=ASK)
        export = await exports.request(MONTHS[0])
        await trio.sleep(30)
        assert (await exports.request(MONTHS[0])).state is ExportState.ASKED
        await trio.sleep(30)
        assert len(sent(calls, ASK)) == 1
        again = await exports.request(MONTHS[0], again=True)
        assert again.id == export.id
        assert (await until_final(exports, export, 300)).state is ExportState.COMPLETED
        assert len(sent(calls, ASK)) == 2


async def test_a_team_export_whose_answer_is_lost_is_found_in_the_list(tmp_path: Path) -> None:
    async with world(tmp_path) as calls, running(calls) as rig:
        exports = rig.engine.exports
        calls.platform.fault("reset_body", operation=ASK_TEAM)
        export = await exports.request(TEAM)
        assert (await until_final(exports, export)).state is ExportState.COMPLETED
        assert len(sent(calls, ASK_TEAM)) == len(sent(calls, LIST_TEAM)) == 1


async def test_a_team_export_that_the_list_lacks_is_asked_for_again(tmp_path: Path) -> None:
    async with world(tmp_path) as calls, running(calls) as rig:
        exports = rig.engine.exports
        other = ExportQuery.of_days(ExportKind.TEAM, "2026-09-01", "2026-10-30")
        await until_final(exports, await exports.request(other))
        calls.platform.fault("status", operation=ASK_TEAM)
        export = await exports.request(TEAM)
        ended = await until_final(exports, export)
        assert ended.state is ExportState.COMPLETED
        assert len(sent(calls, ASK_TEAM)) == 3
        assert len(sent(calls, LIST_TEAM)) == 10, "once a minute"


async def test_an_outage_sends_nothing_and_loses_nothing(tmp_path: Path) -> None:
    async with world(tmp_path, export_s=100.0) as calls, running(calls) as rig:
        exports = rig.engine.exports
        first = await exports.request(MONTHS[0])
        await trio.sleep(20)
        rig.line.is_cut = True
        second = await exports.request(MONTHS[1])
        await trio.sleep(900)
        before = len(sent(calls))
        waiting = exports.find(ExportKind.MESSAGES, MONTHS[1].name)
        assert waiting is not None
        assert waiting.state is ExportState.WAITING
        assert "cannot be reached" in exports.reason(waiting)
        assert before <= 3
        rig.line.is_cut = False
        for each in (first, second):
            assert (await until_final(exports, each)).state is ExportState.COMPLETED
        assert [each.status for each in sent(calls, ASK)] == [202, 202]


async def test_offline_shows_what_is_known_and_asks_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as calls:
        async with running(calls) as rig:
            ended = await until_final(rig.engine.exports, await rig.engine.exports.request(MONTHS[0]))
        before = len(calls.platform.simulator.journal.entries())
        async with running(calls, offline=True) as rig:
            assert rig.engine.exports.all() == (ended,)
            export = await rig.engine.exports.request(MONTHS[1])
            await trio.sleep(600)
            assert rig.engine.exports.reason(export) == "rcfs is offline"
        assert len(calls.platform.simulator.journal.entries()) == before


async def test_a_task_that_the_platform_forgot_has_expired(tmp_path: Path) -> None:
    async with world(tmp_path, export_s=1000.0) as calls, running(calls) as rig:
        exports = rig.engine.exports
        export = await exports.request(MONTHS[0])
        await trio.sleep(200)
        calls.backend.reports._tasks.clear()
        ended = await until_final(exports, export)
        assert ended.state is ExportState.EXPIRED
        assert "the platform no longer knows it" in ended.problem
        assert "404" in ended.problem
        again = await exports.request(MONTHS[0], again=True)
        assert (await until_final(exports, again)).state is ExportState.COMPLETED


async def test_a_404_of_a_new_task_is_no_end(tmp_path: Path) -> None:
    async with world(tmp_path) as calls, running(calls) as rig:
        calls.platform.fault("status", operation=POLL, status=404, code="CMN-102")
        ended = await until_final(rig.engine.exports, await rig.engine.exports.request(MONTHS[0]))
        assert ended.state is ExportState.COMPLETED
        assert len(sent(calls, ASK)) == 1


async def test_a_missing_archive_shows_that_a_completed_export_has_expired(tmp_path: Path) -> None:
    async with world(tmp_path) as calls, running(calls) as rig:
        exports = rig.engine.exports
        ended = await until_final(exports, await exports.request(TEAM))
        task = calls.backend.team_exports.find(ended.task_id, calls.now_s)
        task.plan = attrs.evolve(task.plan, kept_s=0.0)
        await exports.recheck("another")
        await exports.recheck(ended.task_id)
        with trio.fail_after(60):
            expired = await exports.wait(ended.id, lambda each: each.state is ExportState.EXPIRED)
        assert expired is not None
        assert expired.problem == "the platform no longer keeps it"
        assert expired.archives == ()


async def test_a_standard_user_has_none(tmp_path: Path) -> None:
    async with world(tmp_path, standard_user=True) as calls, running(calls) as rig:
        assert rig.engine.exports.kinds == ()
        for query in (MONTHS[0], TEAM):
            with pytest.raises(ForbiddenError, match="no administrator"):
                await rig.engine.exports.request(query)
        assert sent(calls) == []


async def test_a_missing_scope_is_known_before_any_request(tmp_path: Path) -> None:
    async with world(tmp_path, missing_scopes=["TeamMessaging"]) as calls, running(calls) as rig:
        assert rig.engine.exports.kinds == (ExportKind.MESSAGES,)
        with pytest.raises(ForbiddenError, match="the app lacks the scope TeamMessaging"):
            await rig.engine.exports.request(TEAM)
        assert sent(calls) == []


async def test_a_missing_permission_is_remembered_for_a_day(tmp_path: Path) -> None:
    async with world(tmp_path, missing_permissions=["Users"]) as calls:
        async with running(calls) as rig:
            exports, events = rig.engine.exports, list[ExportsChanged]()
            exports.changes.subscribe(events.append)
            assert ExportKind.MESSAGES in exports.kinds
            ended = await until_final(exports, await exports.request(MONTHS[0]))
            assert ended.state is ExportState.FAILED
            assert ended.problem == "the user may not export messages (CMN-408)"
            assert exports.refusal(ExportKind.MESSAGES) == ended.problem
            assert exports.kinds == (ExportKind.TEAM,)
            assert events[-1].changed == (ended,), "whoever shows the kinds hears of it"
            with pytest.raises(ForbiddenError, match="CMN-408"):
                await exports.request(MONTHS[0], again=True)
        async with calls.engine(exports=True) as rig:
            assert rig.engine.exports.kinds == (ExportKind.TEAM,)
            assert len(sent(calls, ASK)) == 1
            await trio.sleep(86_401)  # noqa: ASYNC116 - a day of virtual time
            assert ExportKind.MESSAGES in rig.engine.exports.kinds


async def test_two_processes_ask_once_and_poll_as_one(tmp_path: Path) -> None:
    async with world(tmp_path, export_s=100.0) as calls, running(calls) as one, running(calls) as other:
        wanted = [await one.engine.exports.request(MONTHS[0]), await other.engine.exports.request(MONTHS[0])]
        assert wanted[0] == wanted[1]
        ended = [await until_final(each.engine.exports, wanted[0]) for each in (one, other)]
        assert ended[0] == ended[1]
        assert len(sent(calls, ASK)) == len(sent(calls, LIST)) == 1
        times = [each.time_s for each in sent(calls, POLL)]
        assert all(later - earlier > 14.9 for earlier, later in pairwise(times))
        assert await one.engine.exports.forget(wanted[0].id)
        await trio.sleep(10)
        assert other.engine.exports.all() == ()


async def test_a_forgotten_one_is_not_asked_for(tmp_path: Path) -> None:
    async with world(tmp_path) as calls, calls.engine(exports=True) as rig:
        export = await rig.engine.exports.request(MONTHS[0])
        assert await rig.engine.exports.forget(export.id)
        assert not await rig.engine.exports.forget(export.id)
        await rig.engine.exports.look()
        assert rig.engine.exports.all() == ()
        assert sent(calls) == []


async def test_a_change_by_another_process_is_seen_while_a_request_waits_for_its_slot(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as calls, running(calls) as rig:
        exports = rig.engine.exports
        calls.platform.fault("rate_limited", operation=ASK)
        export = await exports.request(MONTHS[0])
        await trio.sleep(5)
        assert [each.state for each in exports.all()] == [ExportState.ASKED]
        async with calls.engine(exports=True) as other:
            await other.engine.exports.read()
            assert await other.engine.exports.forget(export.id)
        await trio.sleep(4)
        assert exports.all() == ()
        assert len(sent(calls, ASK)) == 1
        await trio.sleep(300)
        assert len(sent(calls, ASK)) == 1, "what was forgotten is not asked for"


@pytest.mark.parametrize("method", ["add", "remove"])
async def test_a_caller_who_gives_up_too_late_hears_what_was_done(
    tmp_path: Path, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    change, scope = getattr(ExportBook, method), trio.CancelScope()

    def change_late(book: ExportBook, *arguments: Any) -> Any:
        done = change(book, *arguments)
        scope.cancel()
        return done

    async with world(tmp_path) as calls, calls.engine(exports=True) as rig:
        exports = rig.engine.exports
        export = await exports.request(MONTHS[0]) if method == "remove" else None
        monkeypatch.setattr(ExportBook, method, change_late)
        with scope:
            done = await (exports.forget(export.id) if export is not None else exports.request(MONTHS[0]))
        assert not scope.cancelled_caught
        assert exports.all() == (() if method == "remove" else (done,))


async def test_a_task_id_that_cannot_be_written_is_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change, is_full = ExportBook.change, [True]

    def change_unless_full(book: ExportBook, account_id: str, before: Export, after: Export) -> bool:
        if after.task_id and is_full:
            raise StoreError("the disk is full")
        return change(book, account_id, before, after)

    monkeypatch.setattr(ExportBook, "change", change_unless_full)
    async with world(tmp_path) as calls, running(calls) as rig:
        export = await rig.engine.exports.request(MONTHS[0])
        await trio.sleep(900)
        assert rig.engine.exports.all()[0].state is ExportState.ASKED
        assert any("is only in memory" in fault.detail for fault in rig.engine.recorder.faults)
        is_full.clear()
        assert (await until_final(rig.engine.exports, export)).state is ExportState.COMPLETED
        assert len(sent(calls, ASK)) == 1


async def test_how_long_it_takes_is_known_from_earlier_ones(tmp_path: Path) -> None:
    async with world(tmp_path, export_s=100.0) as calls, running(calls) as rig:
        exports = rig.engine.exports
        first = await exports.request(MONTHS[0])
        await trio.sleep(10)
        assert exports.left_s(exports.all()[0]) is None, "nothing is known yet"
        await until_final(exports, first)
        usual_s = exports.usual_s(ExportKind.MESSAGES)
        assert usual_s is not None
        assert abs(usual_s - 100) < 2
        assert exports.usual_s(ExportKind.TEAM) is None
        await exports.request(MONTHS[1])
        await trio.sleep(40)
        left_s = exports.left_s(exports.all()[1])
        assert left_s is not None
        assert 50 < left_s < 65


async def test_the_same_report_as_another_client(tmp_path: Path) -> None:
    """Another client that follows the documentation finds the archives that rcfs shows."""
    async with world(tmp_path) as calls, running(calls) as rig:
        exports = rig.engine.exports
        ended = await until_final(exports, await exports.request(MONTHS[1]))
        hosts = rig.engine.client.hosts
        token = rig.engine.lane.session.current
        assert token is not None
        async with httpx.AsyncClient(
            transport=rig.line, base_url=hosts.server_url, headers={"Authorization": f"Bearer {token.access}"}
        ) as http:
            listed = await http.get(f"/restapi/v1.0/account/~/message-store-report/{ended.task_id}/archive")
        assert [each["size"] for each in listed.json()["records"]] == [
            each.size_bytes for each in ended.archives
        ]
