"""Audits of the cache and of copies, in virtual time: each lack is found, with few requests."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
import trio

from rcfs.audit import (
    Archive,
    ArchiveAudit,
    ArchiveSelection,
    Audit,
    Basis,
    Finding,
    OwnerReport,
    Summary,
    Trouble,
    pulled_scope,
)
from rcfs.errors import ConfigError
from rcfs.model import AttachmentKey, Filter, parse_time
from rcfs.pull import Copy, Pull
from tests.fakes.rig import EXTENSION_ID, add_voicemail, noise
from tests.fakes.scripted import ACCOUNT_ID, Reply, ScriptedPlatform
from tests.scenario.conftest import OpenRig

COUNT = 6
NAME = "101 Jane"
LISTS = ("listMessages", "syncMessages", "readMessage", "readMessageContent", "readCompanyCallLog")
EVERYTHING = ((),)


def add_of_month(platform: ScriptedPlatform, number: int, month: str = "2026-11") -> None:
    add_voicemail(platform, number, noise(300, number), time=f"{month}-03T10:00:{number:02}Z")


def add_text(platform: ScriptedPlatform, number: int) -> None:
    time = "2026-10-05T10:00:00Z"
    platform.change(
        id=number,
        type="SMS",
        subject=f"text {number}",
        direction="Inbound",
        availability="Alive",
        creationTime=time,
        lastModifiedTime=time,
        attachments=[{"id": number, "type": "Text", "contentType": "text/plain"}],
    )


@pytest.fixture(autouse=True)
def mailbox(platform: ScriptedPlatform) -> None:
    """Voicemails 1 to 6 of two months, and a text."""
    for number in range(1, COUNT + 1):
        add_of_month(platform, number, "2026-10" if number <= 2 else "2026-11")
    add_text(platform, 7)


def count_pages(platform: ScriptedPlatform, size: int = 1000, *, totals: bool = True) -> None:
    """Lets the platform list the mailbox in pages, newest first, and count it."""

    def page(request: httpx.Request) -> Reply:
        number = int(request.url.params.get("page", "1"))
        records = sorted(platform.messages, key=lambda each: each["creationTime"], reverse=True)
        there = records[(number - 1) * size : number * size]
        navigation: dict[str, Any] = {}
        if number * size < len(records):
            following = request.url.copy_set_param("page", str(number + 1))
            navigation = {"nextPage": {"uri": str(following)}}
        paging = {"totalElements": len(records)} if totals else {}
        return Reply.of_json({"records": there, "navigation": navigation, "paging": paging})

    platform.script("listMessages", *[page] * 20)


@attrs.define
class Outcome:
    """An audit, and the requests that it took."""

    summary: Summary
    findings: list[Finding]
    owners: list[OwnerReport]
    unknown: Sequence[tuple[str, ...]] = ()
    sent: list[str] = attrs.field(factory=list)

    @property
    def troubles(self) -> dict[Trouble, list[str]]:
        """Paths by kind of finding."""
        found: dict[Trouble, list[str]] = {}
        for finding in self.findings:
            found.setdefault(finding.trouble, []).append(finding.path)
        return found


Pulling = Callable[..., Any]


@pytest.fixture
def pulled(new_rig: OpenRig) -> Pulling:
    """Pulls into the cache, or into a copy."""

    async def pull(target: Path | None = None, wanted: Filter | None = None) -> None:
        async with new_rig() as rig:
            if target is None:
                pull = Pull(rig.engine)
                survey, _unknown = await pull.survey(EVERYTHING, wanted or Filter())
                await pull.run(survey)
                return
            with Copy.open(target, ACCOUNT_ID) as copy:
                pull = Pull(rig.engine, copy)
                survey, _unknown = await pull.survey(EVERYTHING, wanted or Filter())
                await pull.run(survey)

    return pull


@pytest.fixture
def audited(new_rig: OpenRig, platform: ScriptedPlatform) -> Pulling:
    """Audits the cache, or a copy, by a new process."""

    async def audit(
        archive: Path | None = None,
        paths: Sequence[tuple[str, ...]] = EVERYTHING,
        wanted: Filter | None = None,
        *,
        offline: bool = False,
        before: Callable[[Any], None] = lambda _rig: None,
    ) -> Outcome:
        await trio.sleep(3600)  # All that is synced by time is due.
        findings: list[Finding] = []
        owners: list[OwnerReport] = []
        sent = len(platform.seen)
        async with new_rig(keeps_current=False, offline=offline) as rig:
            before(rig)
            given: dict[str, Any] = {"on_finding": findings.append, "on_owner": owners.append}
            if archive is None:
                summary, unknown = await Audit(rig.engine, offline=offline, **given).run(
                    paths, wanted or Filter()
                )
            else:
                with Archive.open(archive) as opened:
                    audit = Audit(rig.engine, opened, offline=offline, **given)
                    summary, unknown = await audit.run(paths, wanted or Filter())
        asked = [seen.operation for seen in platform.seen[sent:] if seen.operation in LISTS]
        return Outcome(summary, findings, owners, unknown, asked)

    return audit


async def alone(
    path: Path, paths: Sequence[tuple[str, ...]] = EVERYTHING, wanted: Filter | None = None
) -> Outcome:
    """The audit of a copy by itself."""
    findings: list[Finding] = []
    owners: list[OwnerReport] = []
    with Archive.open(path) as archive:
        audit = ArchiveAudit(
            archive,
            ArchiveSelection(paths, wanted or Filter()),
            on_finding=findings.append,
            on_owner=owners.append,
        )
        return Outcome(await audit.run(), findings, owners)


def sound(copy: Path, number: int) -> Path:
    """The file of a voicemail in a copy."""
    return next(copy.glob(f"*/Voicemail/*/*[[]{number}]/*.wav"))


# The cache


@pytest.mark.parametrize("size", [1000, 3])
async def test_a_complete_cache_takes_one_request_for_each_mailbox(
    platform: ScriptedPlatform, pulled: Pulling, audited: Pulling, size: int
) -> None:
    await pulled()
    count_pages(platform, size)
    found = await audited()
    assert found.findings == []
    assert found.summary.is_complete
    assert found.sent == ["listMessages"]
    total = found.summary.total
    assert (total.messages, total.messages_here, total.contents, total.contents_here) == (7, 7, 6, 6)
    assert total.size_bytes == 300 * COUNT
    (owner,) = found.owners
    assert owner.basis is (Basis.LISTED if size > COUNT else Basis.COUNTED)
    assert (owner.platform_messages, owner.index_messages) == (7, 7)
    assert {place: row.messages for place, row in owner.rows.items()} == {
        ("Voicemail", "2026-10"): 2,
        ("Voicemail", "2026-11"): 4,
        ("SMS", "2026-10"): 1,
    }


async def test_a_platform_that_does_not_count_is_read_to_its_end(
    platform: ScriptedPlatform, pulled: Pulling, audited: Pulling
) -> None:
    await pulled()
    count_pages(platform, 3, totals=False)
    found = await audited()
    assert found.summary.is_complete
    assert found.sent == ["listMessages"] * 3
    assert found.owners[0].basis is Basis.LISTED


async def test_new_purged_and_evicted_messages_are_told_apart(
    platform: ScriptedPlatform, pulled: Pulling, audited: Pulling
) -> None:
    await pulled()
    add_of_month(platform, 9)
    platform.messages[:] = [each for each in platform.messages if each["id"] != 1]
    count_pages(platform, 3)
    key = AttachmentKey(ACCOUNT_ID, EXTENSION_ID, 4, 4)
    found = await audited(before=lambda rig: rig.cache.drop(key))
    ids = {
        trouble: sorted(path.rpartition(" ")[2] for path in paths)
        for trouble, paths in found.troubles.items()
    }
    assert ids == {Trouble.MISSING: ["[4]", "[9]"], Trouble.PURGED: ["[1]"]}
    assert not found.summary.is_complete
    assert found.sent == ["listMessages"] * 3
    assert found.owners[0].total().purged == 1


async def test_a_damaged_chunk_of_the_cache_is_found(
    pulled: Pulling, audited: Pulling, platform: ScriptedPlatform, tmp_path: Path
) -> None:
    await pulled()
    count_pages(platform)
    chunk = next(
        path
        for path in (tmp_path / "cache").rglob("*")
        if path.is_file() and noise(300, 5) in path.read_bytes()
    )
    data = bytearray(chunk.read_bytes())
    data[-1] ^= 1
    chunk.write_bytes(data)
    found = await audited()
    assert {trouble: len(paths) for trouble, paths in found.troubles.items()} == {Trouble.DAMAGED: 1}
    assert "[5]" in found.findings[0].path
    assert not found.summary.is_complete


async def test_a_mailbox_that_was_never_loaded_is_missing(
    platform: ScriptedPlatform, audited: Pulling
) -> None:
    count_pages(platform)
    found = await audited()
    assert NAME in found.troubles[Trouble.NOT_LOADED]
    assert len(found.troubles[Trouble.MISSING]) == 7
    assert not found.summary.is_complete
    assert found.sent == ["listMessages"]


async def test_a_late_transcript_that_the_index_lacks_is_missing(
    platform: ScriptedPlatform, pulled: Pulling, audited: Pulling
) -> None:
    await pulled()
    platform.messages[0]["attachments"].append(
        {"id": 99, "type": "AudioTranscription", "contentType": "text/plain"}
    )
    count_pages(platform)
    found = await audited()
    assert [len(paths) for paths in found.troubles.values()] == [1]
    assert found.findings[0].detail == "1 of 2 attachments"


async def test_a_closed_mailbox_is_refused_and_not_missing(
    platform: ScriptedPlatform, audited: Pulling
) -> None:
    platform.admin = True
    platform.extensions = [
        {"id": 101, "extensionNumber": "101", "name": "Jane"},
        {"id": 102, "extensionNumber": "102", "name": "Bob"},
    ]

    def answer(request: httpx.Request) -> Reply:
        if "/extension/102/" in str(request.url):
            return Reply.error(403, "CMN-419")
        return Reply.of_json({"records": platform.messages, "paging": {"totalElements": 7}})

    platform.script("listMessages", *[answer] * 20)
    found = await audited()
    assert found.troubles[Trouble.REFUSED] == ["102 Bob"]
    assert len(found.troubles[Trouble.MISSING]) == 7
    found = await audited(wanted=Filter(types=frozenset({"fax"})))
    assert found.troubles == {Trouble.REFUSED: ["102 Bob"]}, "the other one may be read, and has no fax"
    found = await audited(paths=[("*", "Calls")])
    assert (found.sent, found.troubles) == ([], {})


async def test_offline_the_index_stands_for_the_platform(
    platform: ScriptedPlatform, pulled: Pulling, audited: Pulling
) -> None:
    await pulled()
    found = await audited(offline=True)
    assert found.summary.is_complete
    assert found.sent == []
    assert found.owners[0].basis is Basis.INDEX
    assert "was not asked" in found.summary.limits[0]


async def test_paths_and_filters_select_as_those_of_a_pull(
    platform: ScriptedPlatform, pulled: Pulling, audited: Pulling
) -> None:
    await pulled()
    count_pages(platform)
    found = await audited(paths=[(NAME, "Voicemail", "2026-10"), ("1*", "Fax"), ("Nobody",)])
    assert found.unknown == [("1*", "Fax"), ("Nobody",)]
    assert found.summary.total.messages == 2
    since_s = parse_time("2026-11-03T10:00:05Z")
    found = await audited(wanted=Filter(types=frozenset({"voicemail"}), since_s=since_s))
    assert found.summary.total.messages == 2
    with pytest.raises(ConfigError, match="only links"):
        await audited(paths=[(NAME, "Unread")])


# Copies


async def test_a_complete_copy_is_proven_by_one_request_and_by_itself(
    platform: ScriptedPlatform, pulled: Pulling, audited: Pulling, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    await pulled(copy)
    count_pages(platform, 3)
    found = await audited(copy)
    assert found.findings == []
    assert found.summary.is_complete
    assert found.sent == ["listMessages"]
    itself = await alone(copy)
    assert itself.findings == []
    assert itself.summary.is_complete
    assert itself.owners[0].basis is Basis.MANIFEST
    for each in (found, itself):
        total = each.summary.total
        assert (total.messages_here, total.contents_here, total.size_bytes) == (7, 6, 300 * COUNT)
        (note,) = each.summary.pulls
        assert (note.outcome, note.login, note.is_everything) == ("done", NAME, True)


async def test_a_copy_is_proven_on_a_machine_without_its_index(
    platform: ScriptedPlatform, pulled: Pulling, audited: Pulling, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    await pulled(copy)
    for path in tmp_path.glob("*.sqlite*"):
        path.unlink()
    count_pages(platform)
    found = await audited(copy)
    assert found.findings == []
    assert found.summary.total.contents_here == COUNT
    assert found.sent == ["listMessages"]


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)


def replace_by_link(path: Path) -> None:
    outside = path.parents[5] / "outside.wav"
    path.rename(outside)
    path.symlink_to(outside)


HARM = [(flip, Trouble.DAMAGED), (Path.unlink, Trouble.MISSING), (replace_by_link, Trouble.UNREADABLE)]


@pytest.mark.parametrize(("harm", "trouble"), HARM)
async def test_each_harm_to_a_copy_is_found_with_and_without_the_platform(
    platform: ScriptedPlatform,
    pulled: Pulling,
    audited: Pulling,
    tmp_path: Path,
    harm: Callable[[Path], None],
    trouble: Trouble,
) -> None:
    copy = tmp_path / "copy"
    await pulled(copy)
    path = sound(copy, 4)
    harm(path)
    (copy / NAME / "foreign.txt").write_text("mine")
    count_pages(platform)
    for found in (await audited(copy), await alone(copy)):
        assert str(path.relative_to(copy)) in found.troubles[trouble]
        assert found.troubles[Trouble.EXTRA] == [f"{NAME}/foreign.txt"]
        assert found.troubles.keys() == {trouble, Trouble.EXTRA}
        assert not found.summary.is_complete
        (owner,) = found.owners
        row = owner.rows["Voicemail", "2026-11"]
        assert (row.contents, row.contents_here, row.missing) == (4, 3, 1)
        assert row.damaged == (trouble is not Trouble.MISSING)


async def test_a_copy_is_compared_with_news_and_with_what_was_purged(
    platform: ScriptedPlatform, pulled: Pulling, audited: Pulling, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    await pulled(copy)
    add_of_month(platform, 9)
    platform.messages[:] = [each for each in platform.messages if each["id"] != 1]
    count_pages(platform)
    found = await audited(copy)
    assert [path.rpartition(" ")[2] for path in found.troubles[Trouble.MISSING]] == ["[9]"]
    (purged,) = (each for each in found.findings if each.trouble is Trouble.PURGED)
    assert (purged.path, purged.count) == (NAME, 1)
    assert (await alone(copy)).summary.is_complete, "of what the pull found, nothing is missing"


async def test_a_copy_of_a_part_is_audited_for_what_the_last_pull_was_asked_for(
    platform: ScriptedPlatform, pulled: Pulling, audited: Pulling, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    november = Filter(types=frozenset({"voicemail"}), since_s=parse_time("2026-11-01T00:00:00Z"))
    await pulled(copy, Filter(types=frozenset({"sms"})))
    await pulled(copy, november)
    with Archive.open(copy) as archive:
        paths, wanted = pulled_scope(archive.notes.pulls)
    assert (paths, wanted) == (EVERYTHING, november)
    count_pages(platform)
    found = await audited(copy, paths, wanted)
    assert found.summary.is_complete
    assert (found.summary.total.messages, found.summary.is_as_pulled) == (4, True)
    assert ["--whole" in limit for limit in found.summary.limits] == [True, False]
    assert "Earlier pulls were asked for other things" in found.summary.limits[1]
    # Its other files are read, too.
    flip(next(copy.glob("*/SMS/*/*/message.json")))
    assert [each.trouble for each in (await audited(copy, paths, wanted)).findings] == [Trouble.DAMAGED]
    whole = await audited(copy)
    assert len(whole.troubles[Trouble.MISSING]) == 2
    await pulled(copy)
    with Archive.open(copy) as archive:
        assert pulled_scope(archive.notes.pulls) == (EVERYTHING, Filter())
    assert (await alone(copy)).summary.limits[1:] == ()


async def test_lines_that_a_manifest_has_lost_are_missing(pulled: Pulling, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    await pulled(copy)
    manifest = copy / "SHA256SUMS"
    lines = manifest.read_text().splitlines(keepends=True)
    manifest.write_text("".join(line for line in lines if not line.endswith(".wav\n")))
    found = await alone(copy)
    assert found.summary.total.missing == COUNT
    places = {f"{NAME}/Voicemail/2026-10", f"{NAME}/Voicemail/2026-11", "SHA256SUMS"}
    assert places == set(found.troubles[Trouble.MISSING])


async def test_an_interrupted_pull_proves_what_it_lacks(
    platform: ScriptedPlatform, new_rig: OpenRig, tmp_path: Path
) -> None:
    async with new_rig() as rig:
        with Copy.open(tmp_path / "copy", ACCOUNT_ID) as copy:
            pull = Pull(rig.engine, copy)
            survey, _unknown = await pull.survey(EVERYTHING, Filter())
            platform.latency_s = 60
            with trio.move_on_after(5):
                await pull.run(survey)
    found = await alone(tmp_path / "copy")
    assert found.summary.total.contents == COUNT
    assert found.summary.total.contents_here == 0
    assert Trouble.UNPROVEN in found.troubles


async def test_a_failure_is_named_with_its_reason(
    platform: ScriptedPlatform, pulled: Pulling, tmp_path: Path
) -> None:
    platform.script("readMessageContent", Reply.error(404))
    await pulled(tmp_path / "copy")
    found = await alone(tmp_path / "copy")
    assert found.summary.pulls[-1].outcome == "partial"
    assert found.summary.total.missing == 1
    assert any(".wav" in each.path and "the pull failed" in each.detail for each in found.findings)


async def test_an_old_manifest_is_valid_and_proves_only_what_it_can(
    platform: ScriptedPlatform, pulled: Pulling, audited: Pulling, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    await pulled(copy)
    manifest = copy / "SHA256SUMS"
    whole = manifest.read_text()
    old = [
        line for line in whole.splitlines(keepends=True) if not line.startswith(("# of", "# had", "# pull "))
    ]
    manifest.write_text("".join(old))
    itself = await alone(copy)
    assert itself.troubles == {Trouble.UNPROVEN: ["SHA256SUMS"]}
    assert itself.summary.files.sound == len(old) - 1 - whole.count("# complete")
    count_pages(platform)
    found = await audited(copy)
    assert found.findings == []
    assert (found.summary.total.messages_here, found.summary.total.contents_here) == (7, 6)
    flip(sound(copy, 4))
    assert Trouble.DAMAGED in (await audited(copy)).troubles
    # The next pull repairs the copy and adds the facts.
    sound(copy, 4).unlink()
    await pulled(copy)
    assert (await alone(copy)).summary.is_complete


async def test_a_copy_of_one_type_is_audited_by_itself_by_type_and_month(
    pulled: Pulling, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    await pulled(copy, Filter(types=frozenset({"voicemail"})))
    found = await alone(copy)
    assert found.summary.is_complete
    assert found.summary.total.messages_here == COUNT
    assert found.summary.limits[-1].startswith("The pulls were asked for a part of the account.")
    since_s = parse_time("2026-11-01T00:00:00Z")
    month = await alone(copy, wanted=Filter(since_s=since_s))
    assert "No pull that the manifest remembers" in month.summary.limits[-1]
    assert month.summary.total.contents_here == 4
    there = await alone(copy, [(NAME, "Voicemail", "2026-10")])
    assert there.summary.total.contents_here == 2
    with pytest.raises(ConfigError, match="leave out"):
        await alone(copy, wanted=Filter(party="Bob"))


async def test_a_hostile_manifest_reads_nothing_outside_and_stops_nothing(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    (copy / "d").mkdir(parents=True)
    (tmp_path / "secret").write_text("precious")
    (copy / "d" / "link").symlink_to(tmp_path / "secret")
    (copy / "up").symlink_to(tmp_path)
    digest = "0" * 64
    wild = [
        "../secret",
        "/etc/passwd",
        "d/link",
        "up/secret",
        "d//x",
        "./d",
        "d",
        "a/" * 300 + "x",
        "n" * 5000,
    ]
    notes = [
        "# had " + "[" * 100_000,
        "# had " + json.dumps({"owner": 1 << 80, "name": "x", "at_s": 1, "rows": []}),
        "# had " + json.dumps({"owner": 1, "name": "x", "at_s": 1, "rows": [["SMS", "2026-99", 1, 1, 1]]}),
        "# had " + json.dumps({"owner": 1, "name": "\x1b[2J", "at_s": 1e300, "rows": [["x", "y", -1, 0, 0]]}),
        "# pull " + json.dumps({"at_s": 1, "wanted": {"a": [1]}, "reasons": [["\x1b", "b"]]}),
        "# pull {}",
        "# of ../x 99999999999999999999999 1 SMS 2026-11",
        "# complete 0 99999999999999999999999999999999 0 x",
        "x" * 3_000_000,
    ]
    lines = [f"# rcfs pull, account {ACCOUNT_ID};", *notes, *(f"{digest}  {path}" for path in wild)]
    (copy / "SHA256SUMS").write_text("\n".join(lines) + "\n")
    found = await alone(copy)
    assert found.summary.files.sound == 0
    assert not found.summary.is_complete
    states = {finding.path: finding.trouble for finding in found.findings}
    assert states["../secret"] is states["/etc/passwd"] is states["d/link"] is Trouble.UNREADABLE
    assert states["up/secret"] is Trouble.UNREADABLE
    assert states["n" * 5000] is Trouble.MISSING
