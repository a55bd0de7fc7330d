"""Pulls by exports against a simulator that polices, in virtual time: requests, times, and fallbacks."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import trio

from rcfs.model import CHUNK_BYTES, AttachmentKey, ContentKey, Filter, Wanted
from rcfs.pull import FETCHES, Copy, Pull, Survey, Via
from rcfs.simulator import AccountSpec, Quirk
from tests.fakes.call_rig import CallRig, CallWorld, open_calls

ASK, POLL, LIST = "createMessageStoreReport", "readMessageStoreReportTask", "readMessageStoreReportArchive"
ARCHIVE, CONTENT = "messageStoreReportArchiveContent", "readMessageContent"
EVERYTHING = ((),)
MAIL = Filter(types=frozenset({"sms", "mms", "pager", "voicemail", "fax"}))
FILES = Filter(types=frozenset({"voicemail", "fax"}))
SMALL = AccountSpec(messages=60, months=3)


def world(
    directory: Path, spec: AccountSpec = SMALL, calls: int = 0, **config: Any
) -> AbstractAsyncContextManager[CallWorld]:
    return open_calls(directory, spec=spec, calls=calls, **config)


class Pulled:
    """A pull, and what it said."""

    def __init__(self, rig: CallRig, **options: Any) -> None:
        self.notes: list[str] = []
        self.pull = Pull(rig.engine, wall_clock=lambda: rig.world.now_s, on_note=self.notes.append, **options)
        self.survey = Survey()

    async def plan(self, paths: Any = EVERYTHING, wanted: Filter = MAIL) -> Survey:
        self.survey, unknown = await self.pull.survey(paths, wanted)
        assert unknown == []
        return self.survey

    async def run(self, paths: Any = EVERYTHING, wanted: Filter = MAIL) -> None:
        await self.plan(paths, wanted)
        with trio.fail_after(200_000):
            await self.pull.run(self.survey)


async def pulled(world: CallWorld, wanted: Filter = MAIL) -> Pulled:
    async with world.engine(exports=True) as rig:
        done = Pulled(rig, via=Via.EXPORTS)
        await done.run(wanted=wanted)
        assert await done.pull.lost(done.survey) == 0
    return done


async def test_a_pull_by_exports_sends_no_request_for_a_content(tmp_path: Path) -> None:
    async with world(tmp_path) as calls:
        done = await pulled(calls)
        count = done.survey.missing
        assert count > 20
        assert done.notes == []
        progress = done.pull.progress
        assert (progress.files, progress.exported, progress.fetched) == (count, count, 0)
        assert [len(calls.sent(each)) for each in (CONTENT, ASK, LIST, ARCHIVE)] == [0, 1, 1, 1]
        assert len(calls.heavy()) <= 6
        mark = calls.mark()
        async with calls.engine(exports=True) as rig:
            again = Pulled(rig, via=Via.EXPORTS)
            survey = await again.plan()
            assert (survey.missing, str(survey.way)) == (0, "")
            await check_contents(rig, done.survey)
        assert calls.sent(CONTENT, ASK, ARCHIVE, since=mark) == []


async def test_the_progress_counts_exports_that_are_not_asked_for_yet(tmp_path: Path) -> None:
    async with planned(tmp_path, via=Via.EXPORTS) as (calls, made):
        progress = made.pull.progress
        assert (progress.expected, progress.waits_for) == (made.survey.missing, 1)
        assert calls.sent(ASK) == []
        await made.pull.run(made.survey)
        assert (made.pull.progress.expected, made.pull.progress.waits_for) == (0, 0)


async def check_contents(rig: CallRig, survey: Survey) -> None:
    """Reads everything that a survey found missing, and compares it with the simulator's."""
    truth = truth_of(rig)
    keys = [step.key for kind in FETCHES for step in survey.todo.steps(kind)]
    assert len(keys) == survey.missing
    for key in keys:
        assert isinstance(key, AttachmentKey)
        assert sha256(await read(rig, key)).hexdigest() == truth[key]


def truth_of(rig: CallRig) -> dict[ContentKey | None, str]:
    """The SHA-256 of all attachments of the simulated account."""
    account_id = rig.engine.account.id
    return {
        AttachmentKey(account_id, row.extension_id, row.message_id, row.attachment_id): row.sha256
        for row in rig.world.backend.account.truth()
    }


async def read(rig: CallRig, key: AttachmentKey) -> bytes:
    library = rig.engine.library
    content = await library.look(Wanted(key, ""))
    try:
        assert content.size_bytes is not None
        parts = []
        for start in range(0, content.size_bytes, CHUNK_BYTES):
            await library.reach(content, start, CHUNK_BYTES)
            parts.append(content.read(start, CHUNK_BYTES))
        return b"".join(parts)
    finally:
        library.release(content)


@asynccontextmanager
async def planned(
    directory: Path, *, via: Via = Via.AUTO, paths: Any = EVERYTHING, wanted: Filter = MAIL, **config: Any
) -> AsyncIterator[tuple[CallWorld, Pulled]]:
    """A world and a pull that was planned."""
    async with world(directory, **config) as calls, calls.engine(exports=True) as rig:
        made = Pulled(rig, via=via)
        await made.plan(paths, wanted)
        yield calls, made


async def test_few_attachments_come_one_by_one(tmp_path: Path) -> None:
    async with planned(tmp_path) as (calls, made):
        way = made.survey.way
        assert way.via is Via.ATTACHMENTS
        assert way.left_s < (way.other_s or 0) or way.reason
        assert str(way).startswith(f"via attachments: {way.count} attachments one by one, about ")
        await made.pull.run(made.survey)
        assert len(calls.sent(CONTENT)) == way.count
        assert calls.sent(ASK) == []


async def test_a_plan_sends_nothing_that_changes_anything(tmp_path: Path) -> None:
    async with planned(tmp_path, via=Via.EXPORTS) as (calls, made):
        way = made.survey.way
        assert way.by_exports == way.count == made.survey.missing
        assert str(way).startswith("via exports: 1 archive of ")
        assert str(way).endswith("; assumed: 10 MB a second, 5 min for a report")
        assert [period.query.name for period in way.periods] == ["2026-08-01 to 2026-11-20"]
        assert made.pull.left_s() == way.left_s
        assert calls.heavy() == calls.sent(CONTENT) == []


async def test_a_standard_user_reads_why_there_are_no_exports(tmp_path: Path) -> None:
    async with planned(tmp_path, via=Via.EXPORTS, standard_user=True) as (calls, made):
        way = made.survey.way
        assert str(way).endswith("; there are no exports, because the login is no administrator")
        await made.pull.run(made.survey)
        assert len(calls.sent(CONTENT)) == way.count == made.survey.missing > 0
        assert made.notes == []
        assert calls.heavy() == []


async def test_an_administrator_who_may_not_export_reads_why(tmp_path: Path) -> None:
    async with planned(tmp_path, via=Via.EXPORTS, missing_permissions={"Users"}) as (calls, made):
        way = made.survey.way
        assert way.via is Via.EXPORTS, "only a refusal tells"
        await made.pull.run(made.survey)
        (said,) = made.notes
        assert "the user may not export messages" in said
        assert said.endswith("; its attachments come one by one")
        assert len(calls.sent(CONTENT)) == way.count == made.survey.missing > 0
        assert [entry.operation for entry in calls.heavy()] == [ASK]


async def test_a_login_without_the_scope_has_nothing_to_export(tmp_path: Path) -> None:
    async with planned(tmp_path, via=Via.EXPORTS, missing_scopes={"ReadMessages"}) as (calls, made):
        assert made.survey.missing == 0
        assert made.survey.failures
        assert all("[ReadMessages]" in str(failure.error) for failure in made.survey.failures)
        assert str(made.survey.way) == ""
        assert calls.heavy() == []


async def test_a_pull_of_recordings_says_that_no_export_has_them(tmp_path: Path) -> None:
    wanted = Filter(types=frozenset({"recording"}))
    async with planned(tmp_path, via=Via.EXPORTS, wanted=wanted) as (calls, made):
        assert made.notes == ["exports hold messages only, so --via exports changes nothing here"]
        assert calls.sent(ASK) == []


async def test_an_export_of_a_period_that_is_empty_by_now_says_so(tmp_path: Path) -> None:
    async with planned(tmp_path, via=Via.EXPORTS) as (calls, made):
        account = calls.backend.account
        for extension in account.extensions:
            for message_id in account.message_ids(extension.id):
                message = account.message(extension.id, message_id)
                assert message is not None
                account.remove(message)
        await made.pull.run(made.survey)
        said = "export 2026-08-01 to 2026-11-20 holds no attachments; those of its period come one by one"
        assert made.notes == [said]
        assert len(calls.sent(CONTENT)) == made.survey.missing == len(made.pull.progress.failures)


async def test_a_choosy_pull_asks_for_no_export(tmp_path: Path) -> None:
    inbound = Filter(types=MAIL.types, direction="Inbound")
    async with planned(tmp_path, wanted=inbound) as (_calls, made):
        assert made.survey.way.reason == "an export would bring much that is not wanted"


@pytest.mark.parametrize(
    ("states", "note"),
    [
        (["Accepted", "Failed"], "failed"),
        (["Accepted", "Pending", "InProgress", "AttemptFailed", "InProgress", "Failed"], "failed"),
        (["Accepted", "Cancelled"], "was cancelled"),
        (["Accepted"], "is still Accepted after 1 h"),
        (["Accepted", "AttemptFailed"], "is still AttemptFailed after 1 h"),
    ],
)
async def test_a_report_that_fails_costs_time_only(tmp_path: Path, states: list[str], note: str) -> None:
    async with world(tmp_path) as calls:
        calls.backend.reports.plan(states=states)
        done = await pulled(calls)
        (said,) = done.notes
        assert said.startswith(f"export 2026-08-01 to 2026-11-20 {note}")
        assert said.endswith("; its attachments come one by one")
        progress = done.pull.progress
        assert (progress.fetched, progress.exported, progress.expected) == (done.survey.missing, 0, 0)
        assert len(calls.sent(CONTENT)) == done.survey.missing
        assert progress.failures == []


async def test_a_report_that_is_tried_again_is_waited_for(tmp_path: Path) -> None:
    async with world(tmp_path) as calls:
        calls.backend.reports.plan("AttemptFailed", takes_s=900.0)
        done = await pulled(calls)
        assert done.notes == []
        assert calls.sent(CONTENT) == []


@pytest.mark.parametrize(
    ("quirk", "note"),
    [
        (Quirk.PROSE_PATHS, ""),
        (Quirk.BARE_RECORDS, ""),
        (Quirk.STREAMED, ""),
        (Quirk.MISSING_MEMBERS, ""),
        (Quirk.UNKNOWN_MEMBERS, "belong to no known message"),
        (Quirk.LEADS_OUT, "belong to no known message"),
        (Quirk.WRONG_CRC, "are damaged"),
        (Quirk.TRUNCATED, "come one by one"),
        (Quirk.NOT_ZIP, "come one by one"),
        (Quirk.NO_ARCHIVES, "has no archives"),
    ],
)
async def test_an_odd_archive_is_noted_and_the_rest_is_fetched(
    tmp_path: Path, quirk: Quirk, note: str
) -> None:
    async with world(tmp_path, export_quirks={quirk}) as calls:
        done = await pulled(calls, FILES)
        assert any(note in said for said in done.notes) if note else not done.notes, done.notes
        progress = done.pull.progress
        assert progress.failures == []
        assert progress.exported + progress.fetched == done.survey.missing
        assert len(calls.sent(CONTENT)) == progress.fetched
        async with calls.engine(exports=True) as rig:
            await check_contents(rig, done.survey)


async def test_an_expired_export_is_asked_for_again(tmp_path: Path) -> None:
    async with world(tmp_path, export_kept_s=3600.0) as calls:
        async with calls.engine(exports=True) as rig:
            made = Pulled(rig, via=Via.EXPORTS)
            await made.plan()
            query = made.survey.way.periods[0].query
            await rig.engine.exports.request(query)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(rig.engine.exports.run)
                await trio.sleep(300)
                nursery.cancel_scope.cancel()
        await trio.sleep(7200)
        done = await pulled(calls)
        assert [note.partition(" has")[2] for note in done.notes] == [" expired; rcfs asks for it again"]
        assert len(calls.sent(ASK)) == 2
        assert calls.sent(CONTENT) == []


async def test_a_pull_that_was_killed_uses_the_export_that_it_asked_for(tmp_path: Path) -> None:
    async with world(tmp_path, archive_bytes=400_000, export_s=300.0) as calls:
        for kill_s in (10.0, 200.0, 330.0):
            async with calls.engine(exports=True) as rig:
                made = Pulled(rig, via=Via.EXPORTS)
                with trio.move_on_after(kill_s):
                    await made.run()
        done = await pulled(calls)
        assert len(calls.sent(ASK)) == 1
        archives = [entry.path for entry in calls.sent(ARCHIVE) if not entry.range]
        assert len(archives) == len(set(archives)), "no archive was read twice from its beginning"
        assert calls.sent(CONTENT) == []
        async with calls.engine(exports=True) as rig:
            await check_contents(rig, done.survey)


def copied_bytes(made: Pulled, rig: CallRig, target: Path) -> int:
    """The size of all attachments of a pull in its copy; each is there, byte for byte."""
    truth = truth_of(rig)
    steps = [step for kind in FETCHES for step in made.survey.todo.steps(kind)]
    copied = {step.key: target.joinpath(*step.parts).read_bytes() for step in steps}
    assert len(copied) == made.survey.missing
    assert {key: sha256(data).hexdigest() for key, data in copied.items()} == {
        key: truth[key] for key in copied
    }
    return sum(map(len, copied.values()))


async def test_a_copy_by_exports_is_complete_although_the_cache_is_small(tmp_path: Path) -> None:
    target, cache_bytes = tmp_path / "copy", 3 << 20
    async with (
        world(tmp_path, AccountSpec(messages=200, months=3)) as calls,
        calls.engine(exports=True, cache_bytes=cache_bytes) as rig,
    ):
        with Copy.open(target, rig.engine.account.id) as copy:
            made = Pulled(rig, via=Via.EXPORTS, copy=copy)
            await made.run()
        progress = made.pull.progress
        assert (progress.failures, progress.fetched) == ([], 0)
        assert progress.exported == made.survey.way.count == made.survey.missing
        assert calls.sent(CONTENT) == []
        assert copied_bytes(made, rig, target) > 2 * cache_bytes


async def test_a_copy_is_complete_although_the_cache_has_no_room_for_exports(
    tmp_path: Path,
) -> None:
    target = tmp_path / "copy"
    async with (
        world(tmp_path, AccountSpec(messages=60, months=1)) as calls,
        calls.engine(exports=True, cache_bytes=1 << 20, may_warn=True) as rig,
    ):
        with Copy.open(target, rig.engine.account.id) as copy:
            made = Pulled(rig, via=Via.EXPORTS, copy=copy)
            await made.run()
        assert made.pull.progress.failures == []
        assert any("the cache takes no more now" in note for note in made.notes)
        assert any(calls.sent(CONTENT)), "the rest comes one by one"
        assert copied_bytes(made, rig, target) > 0


async def test_recordings_come_by_requests_meanwhile(tmp_path: Path) -> None:
    async with world(tmp_path, calls=20, export_s=600.0) as calls, calls.engine(exports=True) as rig:
        made = Pulled(rig, via=Via.EXPORTS)
        await made.run(wanted=Filter())
        recordings = calls.sent("readCallRecordingContent")
        assert recordings
        assert recordings[0].time_s < calls.sent(ARCHIVE)[0].time_s - 300, "they do not wait for the report"
        assert calls.sent(CONTENT) == []


async def test_the_time_left_is_honest(tmp_path: Path) -> None:
    async with world(tmp_path, export_s=300.0) as calls, calls.engine(exports=True) as rig:
        made = Pulled(rig, via=Via.EXPORTS)
        await made.plan()
        samples: list[tuple[float, float]] = []

        async def watch() -> None:
            while True:
                samples.append((trio.current_time(), made.pull.left_s()))
                await trio.sleep(30)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            await made.pull.run(made.survey)
            nursery.cancel_scope.cancel()
        end_s = trio.current_time()
        assert len(samples) > 8
        assert all(abs(at_s + left_s - end_s) < 330 for at_s, left_s in samples)
        assert made.pull.left_s() == 0
