"""`rcfs pull --to` into a copy whose attachments have the names of an earlier version."""

from pathlib import Path

import pytest
import trio

from rcfs.model import Filter
from rcfs.pull import Copy, Pull
from rcfs.tree import COPY_MANIFEST
from tests.fakes.manifests import parse
from tests.fakes.rig import noise
from tests.fakes.scripted import ACCOUNT_ID, ScriptedPlatform
from tests.scenario.conftest import OpenRig
from tests.scenario.test_scenario_pull import EVERYTHING, FETCH, add_voicemails, pull_everything

OLD = "voicemail.wav"


async def pulled(new_rig: OpenRig, path: Path) -> tuple[Pull, list[str]]:
    """A pull of everything to `path`, and what it has to note."""
    await trio.sleep(61)  # Each engine has a ledger of its own, and logins are five a minute.
    async with new_rig() as rig:
        with Copy.open(path, ACCOUNT_ID) as copy:
            pull = Pull(rig.engine, copy)
            await pull_everything(pull)
            return pull, copy.notes


def name_as_before(path: Path) -> dict[Path, Path]:
    """Gives the copy the names that an earlier version gave; the new paths by the old ones."""
    manifest = path / COPY_MANIFEST
    text = manifest.read_text()
    new_by_old = {}
    for new in sorted(path.rglob("*.wav")):
        old = new.with_name(OLD)
        new_by_old[old] = new
        text = text.replace(f"  {new.relative_to(path)}\n", f"  {old.relative_to(path)}\n")
        new.rename(old)
    manifest.write_text(text)
    return new_by_old


def digests(path: Path) -> dict[str, str]:
    parsed = parse((path / COPY_MANIFEST).read_text())
    assert parsed is not None
    return parsed[1]


@pytest.fixture
async def old_copy(platform: ScriptedPlatform, new_rig: OpenRig, tmp_path: Path) -> Path:
    """A copy of ten voicemails with names of an earlier version; none of them is cached."""
    path = tmp_path / "copy"
    add_voicemails(platform, 10)
    await pulled(new_rig, path)
    name_as_before(path)
    async with new_rig() as rig:
        rig.engine.cache.clear()
    return path


async def test_files_get_their_new_names_without_a_request(
    platform: ScriptedPlatform, new_rig: OpenRig, old_copy: Path
) -> None:
    times = {file.stat().st_mtime_ns for file in old_copy.rglob(OLD)}
    asked = len(platform.sent(FETCH))
    async with new_rig() as rig:
        with Copy.look(old_copy, ACCOUNT_ID) as copy:
            plan, _unknown = await Pull(rig.engine, copy).survey(EVERYTHING, Filter())
    assert plan.missing == 0, "a dry run knows it, and changes nothing"
    assert len(list(old_copy.rglob(OLD))) == 10
    pull, notes = await pulled(new_rig, old_copy)
    assert notes == ["rcfs gave 10 files of the copy the name that the tree has now"]
    assert pull.progress.failures == []
    assert list(old_copy.rglob(OLD)) == []
    files = list(old_copy.rglob("*.wav"))
    assert sorted(file.read_bytes() for file in files) == sorted(
        noise(300, number) for number in range(1, 11)
    )
    assert {file.stat().st_mtime_ns for file in files} == times
    assert {path for path in digests(old_copy) if path.endswith(".wav")} == {
        str(file.relative_to(old_copy)) for file in files
    }
    assert (await pulled(new_rig, old_copy))[1] == []
    assert len(platform.sent(FETCH)) == asked


async def test_a_damaged_file_is_fetched_again(
    platform: ScriptedPlatform, new_rig: OpenRig, old_copy: Path
) -> None:
    asked = len(platform.sent(FETCH))
    damaged = sorted(old_copy.rglob(OLD))[0]
    damaged.write_bytes(b"x" * 300)
    _pull, notes = await pulled(new_rig, old_copy)
    assert notes[0].startswith("rcfs gave 9 files ")
    assert len(platform.sent(FETCH)) == asked + 1
    assert damaged.read_bytes() == b"x" * 300, "what rcfs has not written is not removed"


async def test_a_killed_run_is_resumed(platform: ScriptedPlatform, new_rig: OpenRig, old_copy: Path) -> None:
    asked = len(platform.sent(FETCH))
    old = sorted(old_copy.rglob(OLD))
    _pull, _notes = await pulled(new_rig, old_copy)
    # As if it had been killed after the renames, before the manifest was written.
    text = (old_copy / COPY_MANIFEST).read_text()
    for path in old:
        (new,) = path.parent.glob("*.wav")
        text = text.replace(f"  {new.relative_to(old_copy)}\n", f"  {path.relative_to(old_copy)}\n")
    (old_copy / COPY_MANIFEST).write_text(text)
    await pulled(new_rig, old_copy)
    assert not any(path.endswith(OLD) for path in digests(old_copy))
    assert len(platform.sent(FETCH)) == asked
