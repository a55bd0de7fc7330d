"""`rcfs pull` of recordings, call logs, greetings and prompts, in virtual time."""

from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from rcfs.model import (
    COMPANY,
    HEAVY,
    MEDIUM,
    CompanyGreetingKey,
    ContentKey,
    Filter,
    GreetingKey,
    Plan,
    PromptKey,
    RecordingKey,
    RecordingRow,
    StandardGreetingKey,
)
from rcfs.pull import Copy, Kind, Pull, Survey, Walk
from rcfs.simulator import AccountSpec
from rcfs.simulator._journal import Entry
from rcfs.simulator.admin._truth import MEDIA_KINDS, media_truth
from rcfs.tree import ContentFile, extension_names
from tests.fakes.call_rig import NOW, CallRig, CallWorld, open_calls

CONTENT = "readCallRecordingContent"
RECORDINGS = Filter(types=frozenset({"recording"}))
DAY_S = 86_400.0


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[CallWorld]:
    async with open_calls(tmp_path, spec=AccountSpec(messages=60, months=1), calls=160) as world:
        yield world


async def pulled(
    rig: CallRig, target: Path | None, wanted: Filter, *paths: tuple[str, ...]
) -> tuple[Pull, Survey]:
    """A pull that is done; nothing failed."""
    if target is None:
        return await _pulled(Pull(rig.engine, wall_clock=lambda: rig.world.now_s), wanted, paths)
    with Copy.open(target, rig.engine.account.id) as copy:
        return await _pulled(Pull(rig.engine, copy, wall_clock=lambda: rig.world.now_s), wanted, paths)


async def _pulled(pull: Pull, wanted: Filter, paths: tuple[tuple[str, ...], ...]) -> tuple[Pull, Survey]:
    survey, unknown = await pull.survey(paths or ((),), wanted)
    assert unknown == []
    await pull.run(survey)
    assert pull.progress.failures == []
    return pull, survey


async def test_recordings_of_some_days_load_neither_mailboxes_nor_older_months(
    world: CallWorld, tmp_path: Path
) -> None:
    async with world.engine() as rig:
        begun = world.mark()
        since_s = world.now_s - 4 * DAY_S
        _pull, survey = await pulled(
            rig, tmp_path / "copy", Filter(types=frozenset({"recording"}), since_s=since_s)
        )
        entries = world.platform.simulator.journal.entries(since=begun)
        light = {entry.operation for entry in entries if entry.group != "heavy"}
        assert light <= {"readMessageStoreConfiguration"}, "neither mailboxes nor attachments"
        heavy = [entry.operation for entry in world.heavy(begun)]
        assert [each for each in heavy if each != CONTENT] == ["readCompanyCallLog"]
        assert survey.missing == len([entry for entry in entries if entry.operation == CONTENT]) > 0
        copied = list((tmp_path / "copy").rglob("*.mp3"))
        assert len(copied) == survey.missing
        assert {path.name for path in copied} == {
            row.name for row in rows_of(rig) if (row.started_s or 0) >= since_s and not row.gone
        }


def truths(world: CallWorld, *kinds: str) -> dict[str, str]:
    """The SHA-256 of every content of these kinds, by its path on the platform."""
    backend = world.platform.backend
    rows = media_truth(
        backend.account, backend.calls, backend.greetings, backend.prompts, world.now_s, kinds or MEDIA_KINDS
    )
    closed = f"/extension/{backend.account.extensions[3].id}/"  # to which the login has no access
    return {row.path: row.sha256 for row in rows if closed not in row.path}


async def test_a_copy_has_recordings_greetings_and_prompts_byte_for_byte(
    world: CallWorld, tmp_path: Path
) -> None:
    target = tmp_path / "copy"
    media = Filter(types=frozenset({"recording", "greeting", "calls"}))
    async with world.engine() as rig:
        paths = (("Company",), (directory_of(rig, 1),))
        expected = truths(world)
        begun = world.mark()
        pull, survey = await pulled(rig, target, media, *paths)
        contents = [entry.path for entry in contents_of(world, begun)]
        assert len(contents) == len(set(contents)) == pull.progress.fetched == survey.missing > 40
        copied = [sha256(path.read_bytes()).hexdigest() for path in files_of(target) if is_media(path)]
        assert sorted(copied) == sorted(expected[path] for path in contents)
        kinds = ("/recording/", "/extension/", "/ivr-prompts/", "/greeting/")
        assert all(any(kind in path for path in contents) for kind in kinds)
        assert [path for path in files_of(target) if path.suffix == ".jsonl"]
        links = [path for path in target.rglob("*") if path.is_symlink()]
        assert links, "presets"
        assert all(path.exists() for path in links)
        again = world.mark()
        _pull, survey = await pulled(rig, target, media, *paths)
        assert (survey.missing, survey.local) == (0, 0)
        assert len(survey.unchanged) == 2
        assert len(world.heavy(again)) <= 1, "a sync"
    async with world.engine() as rig:
        again = world.mark()
        world.call(world.extensions[1], duration_s=70)
        await trio.sleep(120)
        _pull, survey = await pulled(rig, target, media, *paths)
        assert survey.missing == 1
        assert [entry.operation for entry in world.heavy(again)].count(CONTENT) == 1
        assert list(target.rglob("*from +12125557464 Bob Ray 1m10s*.mp3"))


def directory_of(rig: CallRig, number: int) -> str:
    """Name in the root of a user's directory."""
    extensions = rig.engine.account.extensions
    return extension_names(extensions)[extensions[number].id]


def files_of(target: Path) -> list[Path]:
    return [path for path in target.rglob("*") if path.is_file() and not path.is_symlink()]


def is_media(path: Path) -> bool:
    return path.suffix not in (".csv", ".jsonl", ".json") and path.name != "SHA256SUMS"


def contents_of(world: CallWorld, since: int) -> list[Entry]:
    """The requests for contents."""
    entries = world.platform.simulator.journal.entries(since=since)
    return [entry for entry in entries if "content" in entry.operation.lower()]


async def test_a_pull_into_the_cache_is_complete_and_costs_nothing_again(world: CallWorld) -> None:
    async with world.engine() as rig:
        _pull, survey = await pulled(rig, None, Filter(), (directory_of(rig, 1),))
        assert survey.missing_in.keys() == {"heavy", "medium"}
        begun = world.mark()
        pull, survey = await pulled(rig, None, Filter(), (directory_of(rig, 1),))
        assert (survey.missing, pull.progress.fetched) == (0, 0)
        assert contents_of(world, begun) == []
        # A recording that leaves the cache is noticed, although its mailbox is complete.
        row = rig.recordings(world.extensions[1])[0]
        rig.engine.cache.drop(RecordingKey(rig.engine.account.id, row.id))
        _pull, survey = await pulled(rig, None, Filter(), (directory_of(rig, 1),))
        assert survey.missing == 1


async def test_attachments_do_not_wait_behind_recordings(world: CallWorld) -> None:
    """Each group has a budget of its own, and both are used from the beginning."""
    async with world.engine() as rig:
        begun = world.mark()
        began_s = trio.current_time()
        _pull, survey = await pulled(rig, None, Filter(), (directory_of(rig, 1),))
        took_s = trio.current_time() - began_s
        heavy, medium = survey.missing_in[HEAVY], survey.missing_in[MEDIUM]
        assert min(heavy, medium) > 5
        assert took_s <= 1.05 * max(heavy * 6.0, medium * 1.5) + 60
        contents = contents_of(world, begun)
        first = [entry.group for entry in contents[:20]]
        assert {"heavy", "medium"} == set(first)


async def test_what_the_platform_drops_first_is_fetched_first(world: CallWorld) -> None:
    async with world.engine() as rig:
        begun = world.mark()
        pull = Pull(rig.engine, wall_clock=lambda: world.now_s)
        survey, _unknown = await pull.survey(((),), RECORDINGS)
        assert 5.5 * survey.missing < pull.left_s() < 6.5 * survey.missing, "ten a minute"
        times_s = {row.id: row.started_s or 0.0 for row in rows_of(rig)}
        with trio.move_on_after(120):
            await pull.run(survey)
        ids = [entry.path.split("/")[-2] for entry in world.heavy(begun) if entry.operation == CONTENT]
        assert len(ids) >= 12
        # Sixteen wait at a time, in any order.
        assert set(ids) <= set(sorted(times_s, key=times_s.__getitem__)[: len(ids) + 16])


async def test_recordings_that_come_too_late_are_counted(world: CallWorld) -> None:
    async with world.engine() as rig:
        survey, _unknown = await Pull(rig.engine, wall_clock=lambda: world.now_s).survey(((),), RECORDINGS)
        assert survey.late == 0
        oldest_s = min(row.started_s or 0.0 for row in rows_of(rig))
        late = Pull(rig.engine, wall_clock=lambda: oldest_s + 90 * DAY_S - 3.0)
        survey, _unknown = await late.survey(((),), RECORDINGS)
        assert survey.late >= 1


async def test_a_recording_that_gets_another_name_is_renamed_in_the_copy(
    world: CallWorld, tmp_path: Path
) -> None:
    paths = ("*", "Recordings", NOW)
    async with world.engine() as rig:
        for _pull in range(2):
            # The second one gets the token with which the platform tells changes of old calls.
            await pulled(rig, tmp_path / "copy", RECORDINGS, paths)
            await trio.sleep(400)
        files = {path.name: path.read_bytes() for path in (tmp_path / "copy").rglob("*.mp3")}
        before = {row.id: row.name for row in rows_of(rig, NOW)}
        renamed = next(row for row in rows_of(rig, NOW) if row.owner == world.extensions[0])
        call = rig.engine.account.calls.catalogue.call(renamed.call)
        assert call is not None
        party = {"phoneNumber": "+15550100123", "name": "Zoe Renamed"}
        fields = {"from": party, "to": party}
        world.backend.calls.rewrite(call.id, fields, fields, world.now_s)
        begun = world.mark()
        await pulled(rig, tmp_path / "copy", RECORDINGS, paths)
        now = {row.id: row.name for row in rows_of(rig, NOW)}
        assert "Zoe Renamed" in now[renamed.id] != before[renamed.id]
        assert world.sent(CONTENT, since=begun) == []
        after = {path.name: path.read_bytes() for path in (tmp_path / "copy").rglob("*.mp3")}
        assert after.keys() == set(now.values())
        assert {now[number]: files[name] for number, name in before.items()} == after


async def test_links_in_by_contact_lead_to_recordings(world: CallWorld) -> None:
    async with world.engine() as rig:
        survey, unknown = await Pull(rig.engine, wall_clock=lambda: world.now_s).survey(
            [("*", "By-Contact", "*")], RECORDINGS
        )
        assert unknown == []
        closed = rig.engine.account.extensions[3].id  # It has no views that the login may read.
        rows = [row for row in rows_of(rig) if row.owner not in (COMPANY, closed)]
        assert fetched_by(survey) == {row.id for row in rows} != set()
        assert len(world.heavy()) == len(MONTHS), "the call logs are loaded for them"
        assert survey.missing_in.keys() == {HEAVY}, "and no attachment of a message is fetched"
        owner = rig.engine.account.extensions[0].id
        name = next(name for each, name in names_of(rig).items() if each == owner)
        survey, unknown = await Pull(rig.engine, wall_clock=lambda: world.now_s).survey(
            [(name, "By-Contact", "nobody at all")], RECORDINGS
        )
        assert (survey.missing, unknown) == (0, [(name, "By-Contact", "nobody at all")])


async def test_what_why_and_pin_find_is_found_without_a_content_request(world: CallWorld) -> None:
    async with world.engine() as rig:
        everything = [("*", "Recordings", NOW), ("*", "Greetings"), ("Company", "IVR Prompts")]
        root, failures = await Pull(rig.engine).tree(everything)
        assert failures == ()
        walk = Walk(root, everything, Filter())
        keys = {item.node.key for item in walk if isinstance(item.node, ContentFile)}
        assert walk.unknown == []
        assert {key.recording_id for key in keys if isinstance(key, RecordingKey)} == {
            row.id for row in rows_of(rig, NOW)
        }
        kinds = {type(key) for key in keys}
        assert kinds == {RecordingKey, GreetingKey, CompanyGreetingKey, StandardGreetingKey, PromptKey}
        assert world.sent(*{key.operation for key in keys}) == []
        assert len(world.sent("readCompanyCallLog")) == 1
        await trio.to_thread.run_sync(rig.engine.cache.pin, keys)
        assert rig.engine.cache.pins() == keys == {ContentKey.parse(str(key)) for key in keys}


def names_of(rig: CallRig) -> dict[int, str]:
    """The names of the extensions in the tree, by id."""
    return {each.id: directory_of(rig, place) for place, each in enumerate(rig.engine.account.extensions)}


async def test_a_login_that_can_never_keep_up_is_told(tmp_path: Path) -> None:
    plans = {HEAVY: Plan(limit=5, window_s=3600.0)}
    config: dict[str, Any] = {"plans": plans, "calls_per_day": 150, "call_days": 4}
    async with open_calls(tmp_path, **config) as world, world.engine() as rig:
        pull = Pull(rig.engine, wall_clock=lambda: world.now_s)
        survey, _unknown = await pull.survey((("*", "Recordings", NOW),), Filter())
        found = survey.keeping_up
        assert found is not None
        assert found.new_a_day == pytest.approx(150, rel=0.05)
        assert (found.fetched_a_day, found.beside_persons_a_day) == (120, 96)
        assert found.behind_a_day == found.new_a_day - 120
        assert found.is_hard


async def test_the_recordings_that_a_filter_takes(world: CallWorld) -> None:
    types = frozenset({"recording"})
    november_s = 1_793_491_200.0
    filters = (
        Filter(types=types),
        Filter(types=types, min_duration_s=120.0),
        Filter(types=types, direction="Inbound"),
        Filter(types=types, direction="Outbound", min_duration_s=60.0),
        Filter(types=types, since_s=november_s, until_s=november_s + 10 * DAY_S),
        Filter(types=types, until_s=november_s),
        Filter(types=types, party="+12125557464"),
    )
    world.call(world.extensions[1], number="+12125557464")
    await trio.sleep(120)
    async with world.engine() as rig:
        for wanted in filters:
            survey, _unknown = await Pull(rig.engine, wall_clock=lambda: world.now_s).survey(((),), wanted)
            calls = [call for month in MONTHS for call in rig.calls(COMPANY, month).values()]
            legs = [leg for call in calls for leg in call.recorded_legs]
            expected = {leg.recording.id for leg in legs if leg.recording and wanted.fits_recording(leg)}
            assert fetched_by(survey) == expected != set()
        assert len(world.heavy()) == len(MONTHS) + len(filters) - 1 - 2, "a sync for each that has no end"


async def test_the_paths_that_name_recordings_and_call_logs(world: CallWorld, tmp_path: Path) -> None:
    async with world.engine() as rig:
        name = rig.engine.account.extensions[0].name
        pull = Pull(rig.engine, wall_clock=lambda: world.now_s)
        survey, unknown = await pull.survey([("*", "Recordings", "2026-11")], Filter())
        assert unknown == []
        assert [entry.operation for entry in world.heavy()] == ["readCompanyCallLog"]
        assert fetched_by(survey) == {row.id for row in rows_of(rig, "2026-11")}
        with Copy.open(tmp_path / "copy", rig.engine.account.id) as copy:
            pull = Pull(rig.engine, copy, wall_clock=lambda: world.now_s)
            survey, unknown = await pull.survey([(f"* {name}", "Calls", "2026-1*.csv")], Filter())
            assert unknown == []
            await pull.run(survey)
            _survey, unknown = await pull.survey([(f"* {name}", "Recordings", "nothing")], Filter())
            assert unknown == [(f"* {name}", "Recordings", "nothing")]
        copied = [path.name for path in files_of(tmp_path / "copy") if path.suffix == ".csv"]
        assert sorted(copied) == ["2026-10.csv", "2026-11.csv"]


async def test_a_call_log_comes_if_it_has_a_call_that_fits(world: CallWorld, tmp_path: Path) -> None:
    async with world.engine() as rig:
        wanted = Filter(types=frozenset({"calls"}), min_duration_s=1e6)
        with Copy.open(tmp_path / "copy", rig.engine.account.id) as copy:
            survey, _unknown = await Pull(rig.engine, copy).survey(((),), wanted)
            assert survey.files == 0
            wanted = attrs.evolve(wanted, min_duration_s=1.0)
            survey, _unknown = await Pull(rig.engine, copy).survey(((),), wanted)
            assert survey.local > 2


MONTHS = ("2026-08", "2026-09", "2026-10", "2026-11")


def rows_of(rig: CallRig, *months: str) -> list[RecordingRow]:
    """The recordings that the tree shows in some months, or in all."""
    owners = (COMPANY, *(each.id for each in rig.engine.account.extensions))
    recordings = rig.engine.account.calls.catalogue.recordings
    return [
        row for each in owners for month in months or MONTHS for row in recordings(each, month, 0, 10_000)
    ]


def fetched_by(survey: Survey) -> set[str]:
    """The recordings that a pull would fetch."""
    keys = (step.key for step in survey.todo.steps(Kind.FETCH_HEAVY))
    return {key.recording_id for key in keys if isinstance(key, RecordingKey)}
