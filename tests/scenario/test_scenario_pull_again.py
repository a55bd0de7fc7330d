"""A second pull skips unchanged mailboxes, and brings back whatever is missing."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from rcfs.cli._pull_report import plan_line
from rcfs.model import AttachmentKey, Filter
from rcfs.pull import Copy, Pull, Survey
from rcfs.store import IndexReader
from rcfs.tree._mailbox import RecordFile
from tests.fakes.rig import EXTENSION_ID, add_voicemail, noise
from tests.fakes.scripted import ACCOUNT_ID, Reply, ScriptedPlatform
from tests.scenario.conftest import OpenRig

FETCH = "readMessageContent"
COUNT = 4
FILES = 2 * COUNT + 1
"""Files of a copy: a recording and a record for each message, and the record of the extension."""


@pytest.fixture(autouse=True)
def voicemails(platform: ScriptedPlatform) -> None:
    """Messages 1 to 4 with a voicemail each."""
    add_voicemails(platform, range(1, COUNT + 1))


def add_voicemails(platform: ScriptedPlatform, numbers: range, size_bytes: int = 300) -> None:
    for number in numbers:
        add_voicemail(platform, number, noise(size_bytes, number))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Number of questions for folders and messages to the index, by method."""
    counts: Counter[str] = Counter()

    def counted(name: str, ask: Callable[..., Any]) -> Callable[..., Any]:
        def count(*arguments: Any, **options: Any) -> Any:
            counts[name] += 1
            return ask(*arguments, **options)

        return count

    for name in ("folders", "folder", "messages", "links", "message", "record", "records", "home"):
        monkeypatch.setattr(IndexReader, name, counted(name, getattr(IndexReader, name)))
    return counts


async def pulled(
    new_rig: OpenRig,
    target: Path | None,
    *,
    surveyed: Callable[[], None] = lambda: None,
    wanted: Filter | None = None,
    verify: bool = False,
    cache_bytes: int = 1 << 30,
) -> tuple[Survey, Pull]:
    """Pulls everything to `target`, or into the cache if it is None; calls `surveyed` after the survey."""

    async def all_of_it(pull: Pull) -> tuple[Survey, Pull]:
        survey, unknown = await pull.survey([()], wanted or Filter())
        assert unknown == []
        surveyed()
        await pull.run(survey)
        return survey, pull

    await trio.sleep(60)  # A login may be sent five times a minute.
    async with new_rig(cache_bytes=cache_bytes) as rig:
        if target is None:
            return await all_of_it(Pull(rig.engine))
        with Copy.open(target, ACCOUNT_ID) as copy:
            return await all_of_it(Pull(rig.engine, copy, verify=verify))


def bytes_in(target: Path) -> dict[str, bytes]:
    """All files of a copy except the manifest."""
    files = (path for path in target.rglob("*") if path.is_file() and not path.is_symlink())
    return {str(path.relative_to(target)): path.read_bytes() for path in files if path.parent != target}


def complete_lines(target: Path) -> int:
    return (target / "SHA256SUMS").read_text().count("# complete ")


async def test_copying_an_unchanged_mailbox_again_reads_no_message(
    new_rig: OpenRig, platform: ScriptedPlatform, asked: Counter[str], tmp_path: Path
) -> None:
    await pulled(new_rig, tmp_path / "copy")
    assert asked["messages"] > 0
    assert asked["record"] > 0
    before = bytes_in(tmp_path / "copy")
    assert len(before) == FILES
    asked.clear()
    survey, pull = await pulled(new_rig, tmp_path / "copy")
    assert asked == {}
    assert plan_line(survey, 0.0) == f"{FILES} files, {FILES} of them here already; no request is needed"
    assert (pull.progress.files, pull.progress.fetched, survey.looked) == (FILES, 0, FILES)
    assert bytes_in(tmp_path / "copy") == before
    add_voicemails(platform, range(9, 10))
    survey, _pull = await pulled(new_rig, tmp_path / "copy")
    assert (survey.files, survey.present, survey.missing) == (FILES + 2, FILES, 1)
    assert len(bytes_in(tmp_path / "copy")) == FILES + 2


async def test_filling_a_complete_cache_again_reads_no_message(new_rig: OpenRig, asked: Counter[str]) -> None:
    await pulled(new_rig, None)
    await pulled(new_rig, None)  # The first one cannot know that all of it stays in the cache.
    asked.clear()
    survey, _pull = await pulled(new_rig, None)
    assert asked == {}
    assert plan_line(survey, 0.0) == f"{COUNT} files, {COUNT} of them here already; no request is needed"


async def test_an_evicted_content_is_fetched_again(new_rig: OpenRig, platform: ScriptedPlatform) -> None:
    for _ in range(3):
        await pulled(new_rig, None)
    assert len(platform.sent(FETCH)) == COUNT
    async with new_rig() as rig:
        rig.cache.drop(AttachmentKey(ACCOUNT_ID, EXTENSION_ID, 2, 2))
    survey, _pull = await pulled(new_rig, None)
    assert (survey.present, survey.missing) == (COUNT - 1, 1)
    assert len(platform.sent(FETCH)) == COUNT + 1


async def test_a_cache_that_is_too_small_is_never_complete(
    new_rig: OpenRig, platform: ScriptedPlatform
) -> None:
    add_voicemails(platform, range(11, 19), size_bytes=1 << 20)
    for _ in range(3):
        survey, pull = await pulled(new_rig, None, cache_bytes=300_000)
        assert survey.missing >= 1
        assert pull.progress.failures == []


def delete(path: Path) -> None:
    path.unlink()


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def replace_by_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/nowhere")


HARM = [delete, shorten, empty, replace_by_link]


@pytest.mark.parametrize(
    ("pattern", "harm"),
    [*(("*.wav", harm) for harm in HARM), ("message.json", delete), ("extension.json", shorten)],
)
async def test_a_file_that_was_harmed_by_hand_comes_back(
    new_rig: OpenRig, platform: ScriptedPlatform, tmp_path: Path, pattern: str, harm: Callable[[Path], None]
) -> None:
    await pulled(new_rig, tmp_path / "copy")
    await pulled(new_rig, tmp_path / "copy")
    before = bytes_in(tmp_path / "copy")
    harm(next(path for path in (tmp_path / "copy").rglob(pattern) if not path.is_symlink()))
    assert bytes_in(tmp_path / "copy") != before
    survey, pull = await pulled(new_rig, tmp_path / "copy")
    assert (survey.present, survey.local, pull.progress.failures) == (FILES - 1, 1, [])
    assert bytes_in(tmp_path / "copy") == before
    assert len(platform.sent(FETCH)) == COUNT


async def test_a_link_that_was_deleted_by_hand_comes_back(new_rig: OpenRig, tmp_path: Path) -> None:
    await pulled(new_rig, tmp_path / "copy")
    everything = sorted(map(str, (tmp_path / "copy").rglob("*")))
    link = next(path for path in (tmp_path / "copy").rglob("*") if path.is_symlink())
    link.unlink()
    await pulled(new_rig, tmp_path / "copy")
    assert sorted(map(str, (tmp_path / "copy").rglob("*"))) == everything


@pytest.mark.parametrize("harm", HARM)
async def test_a_file_that_is_harmed_during_a_pull_comes_back_with_the_next(
    new_rig: OpenRig, platform: ScriptedPlatform, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    await pulled(new_rig, tmp_path / "copy")
    add_voicemails(platform, range(9, 10))
    whole = bytes_in(tmp_path / "copy")
    sound = next((tmp_path / "copy").rglob("*.wav"))
    await pulled(new_rig, tmp_path / "copy", surveyed=lambda: harm(sound))
    assert not whole.items() <= bytes_in(tmp_path / "copy").items()
    survey, _pull = await pulled(new_rig, tmp_path / "copy")
    assert (survey.present, survey.local) == (FILES + 1, 1)
    assert whole.items() <= bytes_in(tmp_path / "copy").items()


async def test_a_file_without_a_line_in_the_manifest_is_checked(new_rig: OpenRig, tmp_path: Path) -> None:
    await pulled(new_rig, tmp_path / "copy")
    manifest = tmp_path / "copy" / "SHA256SUMS"
    lines = manifest.read_text().splitlines(keepends=True)
    manifest.write_text("".join(lines[:-1]))
    survey, _pull = await pulled(new_rig, tmp_path / "copy")
    assert (survey.present, survey.local) == (FILES - 1, 1)
    files = [line for line in manifest.read_text().splitlines(keepends=True) if line[0] != "#"]
    assert files == [line for line in lines if line[0] != "#"]


async def test_verify_and_another_filter_check_everything(new_rig: OpenRig, tmp_path: Path) -> None:
    await pulled(new_rig, tmp_path / "copy", wanted=Filter(types=frozenset({"fax"})))
    survey, _pull = await pulled(new_rig, tmp_path / "copy")
    assert survey.missing == COUNT
    sound = next((tmp_path / "copy").rglob("*.wav"))
    sound.write_bytes(bytes(300))  # Of the same size, so only reading it tells.
    survey, _pull = await pulled(new_rig, tmp_path / "copy", verify=True)
    assert (survey.present, survey.local) == (FILES - 1, 1)
    assert sound.read_bytes() != bytes(300)


async def test_an_interrupted_pull_is_not_complete(new_rig: OpenRig, tmp_path: Path) -> None:
    async with new_rig() as rig:
        with Copy.open(tmp_path / "copy", ACCOUNT_ID) as copy:
            pull = Pull(rig.engine, copy)
            survey, _unknown = await pull.survey([()], Filter())
            with trio.CancelScope() as scope:
                scope.cancel()
                await pull.run(survey)
            assert scope.cancelled_caught
    assert complete_lines(tmp_path / "copy") == 0
    await pulled(new_rig, tmp_path / "copy")
    assert complete_lines(tmp_path / "copy") == 1
    assert len(bytes_in(tmp_path / "copy")) == FILES


async def test_a_pull_in_which_something_failed_is_not_complete(
    new_rig: OpenRig, platform: ScriptedPlatform, tmp_path: Path
) -> None:
    platform.script(FETCH, Reply.error(404))
    survey, pull = await pulled(new_rig, tmp_path / "copy")
    assert (len(pull.progress.failures), survey.missing) == (1, COUNT)
    assert complete_lines(tmp_path / "copy") == 0
    survey, pull = await pulled(new_rig, tmp_path / "copy")
    assert (pull.progress.failures, survey.missing) == ([], 1)
    assert complete_lines(tmp_path / "copy") == 1
    assert len(bytes_in(tmp_path / "copy")) == FILES


async def test_a_mailbox_that_cannot_be_synced_is_not_complete(
    new_rig: OpenRig, platform: ScriptedPlatform, tmp_path: Path
) -> None:
    await pulled(new_rig, tmp_path / "copy")
    next((tmp_path / "copy").rglob("*.wav")).unlink()
    platform.script("syncMessages", *[Reply.error(500)] * 20)
    noted = complete_lines(tmp_path / "copy")
    survey, pull = await pulled(new_rig, tmp_path / "copy")
    assert (survey.local, len(pull.progress.failures)) == (1, 1)
    assert complete_lines(tmp_path / "copy") == noted
    assert len(bytes_in(tmp_path / "copy")) == FILES


async def test_the_text_of_a_message_that_is_purged_meanwhile_is_not_written_empty(
    new_rig: OpenRig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RecordFile, "content", lambda _self: b"")
    _survey, pull = await pulled(new_rig, tmp_path / "copy")
    assert [str(failure.error) for failure in pull.progress.failures] == ["the message is gone"] * COUNT
    assert list((tmp_path / "copy").rglob("message.json")) == []
    assert complete_lines(tmp_path / "copy") == 0
