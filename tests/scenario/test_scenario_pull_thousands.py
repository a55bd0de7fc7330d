"""The pull of five thousand messages by exports: how few requests it takes, in virtual time."""

from pathlib import Path

from rcfs.model import Wanted
from rcfs.pull import FETCHES, Via
from rcfs.simulator import AccountSpec
from tests.fakes.call_rig import CallRig, CallWorld, open_calls
from tests.fakes.plain_mail import plain_bytes, plain_mail
from tests.scenario.test_scenario_pull_exports import CONTENT, MAIL, Pulled

MESSAGES, ATTACHMENTS, SIZE_BYTES = 5028, 1250, 100_000


async def test_five_thousand_messages_cost_ten_heavy_requests_and_none_for_a_content(tmp_path: Path) -> None:
    spec = AccountSpec(messages=MESSAGES, months=12, extensions=3)
    with plain_mail(SIZE_BYTES):
        # A report that takes 90 s is looked at five times.
        async with open_calls(tmp_path, spec=spec, calls=0, export_s=90.0) as calls:
            lists = await pull(calls)
            assert [len(each) for each in lists] == [3, 3, 3], "the mailboxes were never loaded"
            async with calls.engine(exports=True) as rig:
                rig.engine.cache.clear()
                for export in rig.engine.exports.all():
                    await rig.engine.exports.forget(export.id)
            lists = await pull(calls)
            assert [len(each) for each in lists] == [1, 1, 1], "they were loaded"


async def pull(calls: CallWorld) -> list[list[str]]:
    """Pulls everything and reads it; returns the requests for lists and syncs of each mailbox."""
    mark = calls.mark()
    async with calls.engine(exports=True) as rig:
        done = Pulled(rig, via=Via.EXPORTS)
        await done.pull.take_records(((),), MAIL)
        await done.run()
        assert done.notes == [], done.notes
        progress = done.pull.progress
        assert (progress.exported, progress.fetched, progress.failures) == (ATTACHMENTS, 0, [])
        await read_all(rig, done)
    assert len(calls.heavy(since=mark)) <= 10
    assert calls.sent(CONTENT, since=mark) == []
    entries = calls.sent("listMessages", "syncMessages", since=mark)
    assert {entry.status for entry in entries} == {200}
    found: dict[str, list[str]] = {}
    for entry in entries:
        found.setdefault(entry.path.split("/extension/")[1].split("/")[0], []).append(entry.operation)
    return [found[str(extension)] for extension in calls.extensions]


async def read_all(rig: CallRig, done: Pulled) -> None:
    """Reads every attachment byte for byte, without a request."""
    mark, library = rig.world.mark(), rig.engine.library
    for step in (step for kind in FETCHES for step in done.survey.todo.steps(kind)):
        assert step.key is not None
        content = await library.look(Wanted(step.key, ""))
        await library.reach(content, 0, SIZE_BYTES)
        assert content.read(0, SIZE_BYTES + 1) == plain_bytes(step.key.message_id, SIZE_BYTES)  # type: ignore[attr-defined]
        library.release(content)
    assert rig.world.mark() == mark
