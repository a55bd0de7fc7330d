"""Audits of recordings, call logs and greetings: by the index and by a copy, without a Heavy request."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rcfs.audit import Archive, Audit, Finding, Summary, Trouble
from rcfs.model import Filter
from rcfs.pull import Copy, Pull
from rcfs.simulator import AccountSpec
from rcfs.tree import extension_names
from tests.fakes.call_rig import NOW, CallRig, CallWorld, open_calls

CALLS = Filter(types=frozenset({"recording", "calls"}))
GREETINGS = Filter(types=frozenset({"greeting"}))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[CallWorld]:
    async with open_calls(tmp_path, spec=AccountSpec(messages=19, months=1)) as world:
        yield world


async def audited(
    rig: CallRig, target: Path | None, name: str, wanted: Filter = CALLS
) -> tuple[Summary, list[Finding]]:
    """An audit of one extension that sends no Heavy request."""
    findings: list[Finding] = []
    begun = rig.world.mark()
    if target is None:
        summary, _unknown = await Audit(rig.engine, on_finding=findings.append).run([(name,)], wanted)
    else:
        with Archive.open(target) as archive:
            audit = Audit(rig.engine, archive, on_finding=findings.append)
            summary, _unknown = await audit.run([(name,)], wanted)
    assert rig.world.heavy(begun) == []
    return summary, findings


async def test_recordings_and_logs_are_audited_as_the_index_knows_them(
    world: CallWorld, tmp_path: Path
) -> None:
    target = tmp_path / "copy"
    async with world.engine() as rig:
        extensions = rig.engine.account.extensions
        names = extension_names(extensions)
        name, other = names[extensions[1].id], names[extensions[2].id]
        with Copy.open(target, rig.engine.account.id) as copy:
            pull = Pull(rig.engine, copy, wall_clock=lambda: world.now_s)
            survey, _unknown = await pull.survey([(name,)], CALLS)
            await pull.run(survey)
        for place in (target, None):
            summary, findings = await audited(rig, place, name)
            assert findings == []
            recordings = summary.kinds["Recordings"]
            assert recordings.contents_here == recordings.contents > 0
            assert "its lists of calls count as Heavy" in summary.limits[-1]
        (log,) = target.glob(f"*/Calls/{NOW}.csv")
        recording = next(target.glob("*/Recordings/*/*.mp3"))
        # A month without a call has a file as well, which the pull made; here the manifest lost its line.
        empty = log.with_name("2026-08.csv")
        manifest = target / "SHA256SUMS"
        lines = [line for line in manifest.read_text().splitlines(keepends=True) if empty.name not in line]
        manifest.write_text("".join(lines))
        for path in (log, empty):
            path.unlink()
        recording.write_bytes(b"other")
        summary, findings = await audited(rig, target, name)
        assert {(each.trouble, each.path) for each in findings} >= {
            (Trouble.MISSING, str(log.relative_to(target))),
            (Trouble.MISSING, str(empty.relative_to(target))),
            (Trouble.DAMAGED, str(recording.relative_to(target))),
        }
        assert summary.kinds["Recordings"].damaged == 1
        assert not summary.is_complete
        # The company's log has everybody's calls, but the recordings of another were not fetched.
        summary, findings = await audited(rig, None, other)
        assert {each.trouble for each in findings} == {Trouble.MISSING}
        summary, findings = await audited(rig, None, name, GREETINGS)
        assert [(each.trouble, each.path) for each in findings] == [(Trouble.NOT_LOADED, f"{name}/Greetings")]
        assert not summary.is_complete
