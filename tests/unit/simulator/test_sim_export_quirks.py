"""Exports of the simulator that run otherwise: slow, hanging and expiring tasks, and archives with quirks."""

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Iterator
from functools import partial
from typing import Any

import httpx
import pytest

from rcfs.simulator import Quirk
from rcfs.simulator._backend import Backend
from tests.fakes.sim_exports import LONG_AGO, REPORTS, TEAM, Now, config_of, fetch, running_with

running = partial(running_with, config_of(40))


async def create(http: httpx.AsyncClient, path: str, **body: Any) -> dict[str, Any]:
    task: dict[str, Any] = (await http.post(path, json=body)).raise_for_status().json()
    return task


async def plan(http: httpx.AsyncClient, kind: str = "report", **wish: Any) -> None:
    (await http.post("/simulator/exports", json={"kind": kind, **wish})).raise_for_status()


async def report_of(http: httpx.AsyncClient, now: Now, *quirks: str) -> tuple[zipfile.ZipFile, bytes]:
    """The archive of records of a report with `quirks`, and the bytes of that of contents."""
    await plan(http, quirks=quirks)
    task = await create(http, REPORTS, **LONG_AGO)
    now.later(100)
    records, contents = (await fetch(http, task["uri"] + "/archive"))["records"]
    first = (await http.get(records["uri"])).content
    return zipfile.ZipFile(io.BytesIO(first)), (await http.get(contents["uri"])).content


def members(archive: bytes) -> Iterator[tuple[str, bytes]]:
    opened = zipfile.ZipFile(io.BytesIO(archive))
    for entry in opened.infolist():
        yield entry.filename, opened.read(entry)


async def honest(http: httpx.AsyncClient, now: Now) -> list[tuple[str, bytes]]:
    _records, contents = await report_of(http, now)
    return list(members(contents))


async def test_a_task_takes_as_long_and_passes_through_the_states_that_were_planned(now: Now) -> None:
    async with running() as (_, http):
        states = ["Accepted", "AttemptFailed", "InProgress", "Failed"]
        await plan(http, takes_s=3000, states=states)
        task = await create(http, REPORTS)
        now.later(500)
        seen = []
        for _ in range(4):
            seen.append((await fetch(http, task["uri"]))["status"])
            now.later(1000)
        assert seen == states


async def test_a_task_that_hangs_never_ends(now: Now) -> None:
    async with running() as (_, http):
        await plan(http, states=["Accepted", "Pending"])
        task = await create(http, REPORTS)
        now.later(1e7)
        assert (await fetch(http, task["uri"]))["status"] == "Pending"


async def test_an_expired_report_is_gone_and_its_archives_go_before(now: Now) -> None:
    async with running(export_kept_s=1000.0, archives_kept_s=500.0) as (_, http):
        task = await create(http, REPORTS, **LONG_AGO)
        now.later(100)
        uri = (await fetch(http, task["uri"] + "/archive"))["records"][0]["uri"]
        now.later(500)
        assert (await fetch(http, task["uri"]))["status"] == "Completed"
        assert (await http.get(task["uri"] + "/archive")).status_code == 404
        assert (await http.get(uri)).status_code == 404
        now.later(500)
        assert (await http.get(task["uri"])).status_code == 404


async def test_the_journal_notes_a_third_task_and_polls_in_a_hurry(
    now: Now, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running() as (simulator, http):
        begun_s = now.s
        monkeypatch.setattr(Backend, "clock", property(lambda _self: lambda: now.s - begun_s), raising=False)
        for path in (REPORTS, TEAM):
            task = await create(http, path)
            await create(http, path)
            assert (await http.post(path, json={})).status_code == 400
            url = f"{path}/{task['id']}"
            for wait_s in (0, 10, 9.9, 10, 71, 0, 0):
                now.later(wait_s)
                await fetch(http, url)
            now.later(100)
        noted = [entry.violation for entry in simulator.journal.entries() if entry.violation]
        assert noted == ["more than 2 tasks", "polled after 9.9 s"] * 2
        assert (await fetch(http, "/simulator/journal/summary"))["violations"] == 4


async def test_the_documentations_prose_and_bare_records(now: Now) -> None:
    async with running() as (_, http):
        usual = await honest(http, now)
        records, contents = await report_of(http, now, "prose_paths", "bare_records")
        assert all(isinstance(json.loads(records.read(name)), list) for name in records.namelist())

        def in_prose(name: str) -> str:
            head, message_id, content, last = name.rsplit("/", 3)
            return f"{head}/{content}/{message_id}/{last}"

        assert list(members(contents)) == [(in_prose(name), data) for name, data in usual]


@pytest.mark.parametrize(("quirk", "flag"), [("deflated", 0), ("streamed", 0x08)])
async def test_compressed_contents(quirk: str, flag: int, now: Now) -> None:
    async with running() as (_, http):
        usual = await honest(http, now)
        _records, contents = await report_of(http, now, quirk)
        entries = zipfile.ZipFile(io.BytesIO(contents)).infolist()
        assert {(entry.compress_type, entry.flag_bits & 0x08) for entry in entries} == {(8, flag)}
        assert list(members(contents)) == usual
        if flag:
            assert contents[14:26] == bytes(12), "CRC and sizes come behind the file"


@pytest.mark.parametrize("quirk", ["deflated", "streamed"])
async def test_compressed_archives_stay_below_their_limit(quirk: str, now: Now) -> None:
    most = 400_000
    async with running(archive_bytes=most, export_quirks={quirk}) as (_, http):
        task = await create(http, REPORTS, **LONG_AGO)
        now.later(100)
        _records, *contents = (await fetch(http, task["uri"] + "/archive"))["records"]
        assert len(contents) > 1
        for listed in contents:
            data = (await http.get(listed["uri"])).content
            assert listed["size"] == len(data)
            assert len(data) <= most or len(list(members(data))) == 1


async def test_bad_records_stand_beside_good_ones(now: Now) -> None:
    async with running() as (_, http):
        records, contents = await report_of(http, now, "bad_records")
        broken, *rest = records.namelist()
        with pytest.raises(json.JSONDecodeError):
            json.loads(records.read(broken))
        for name in rest:
            listed = json.loads(records.read(name))["records"]
            assert [type(each).__name__ for each in listed[:3]] == ["NoneType", "int", "str"]
            assert isinstance(listed[-1]["attachments"], list)
        assert list(members(contents)) == await honest(http, now)


async def test_members_are_missing_unknown_or_lead_out(now: Now) -> None:
    async with running() as (_, http):
        usual = await honest(http, now)
        _records, contents = await report_of(http, now, "missing_members", "unknown_members", "leads_out")
        found = list(members(contents))
        assert [each for each in found if each in usual] == [
            each for place, each in enumerate(usual) if place % 3 != 2
        ]
        added = [name for name, _data in found if name not in dict(usual)]
        assert len(added) == 8
        assert [name for name in added if ".." in name or name.startswith("/")] == added[4:]


async def test_members_are_doubled_changed_renamed_and_encrypted(now: Now) -> None:
    async with running() as (_, http):
        usual = await honest(http, now)
        quirks = ("wrong_crc", "duplicates", "different_bytes", "other_encoding", "encrypted")
        _records, contents = await report_of(http, now, *quirks)
        opened = zipfile.ZipFile(io.BytesIO(contents))
        entries = opened.infolist()
        with pytest.raises(zipfile.BadZipFile, match="Bad CRC-32"):
            opened.read(entries[0])
        assert entries[1].filename == entries[2].filename == usual[1][0]
        assert opened.read(entries[1]) == usual[1][1]
        assert opened.read(entries[2]) == b"?" * len(usual[1][1])
        changed = opened.read(entries[3])
        assert (changed[0] ^ 0xFF, changed[1:]) == (usual[2][1][0], usual[2][1][1:])
        assert contents.count(usual[3][0][:-1].encode() + b"\xfc") == 2
        assert entries[4].flag_bits & 0x800 == 0
        assert opened.read(entries[4]) == usual[3][1]
        assert entries[5].flag_bits & 1
        assert [opened.read(entry) for entry in entries[6:]] == [data for _name, data in usual[5:]]


async def test_bombs(now: Now) -> None:
    async with running() as (_, http):
        usual = await honest(http, now)
        _records, contents = await report_of(http, now, "bomb", "hidden_bomb")
        assert len(contents) < 600_000 + sum(len(data) for _name, data in usual)
        opened = zipfile.ZipFile(io.BytesIO(contents))
        entries = opened.infolist()
        crc = size = 0
        with opened.open(entries[0]) as bomb:
            while piece := bomb.read(1 << 24):
                crc, size = zlib.crc32(piece, crc), size + len(piece)
        assert (size, crc) == (1 << 28, entries[0].CRC)
        hidden = entries[6]
        assert (hidden.filename, hidden.file_size) == (usual[5][0], len(usual[5][1]))
        assert crc == hidden.CRC


async def test_a_streamed_archive_can_have_wrong_members_too(now: Now) -> None:
    async with running() as (_, http):
        usual = await honest(http, now)
        _records, contents = await report_of(http, now, "streamed", "wrong_crc")
        entry = zipfile.ZipFile(io.BytesIO(contents)).infolist()[0]
        assert zlib.crc32(usual[0][1]) ^ 1 == entry.CRC
        behind = 30 + len(entry.filename) + entry.compress_size
        assert contents[behind + 4 : behind + 8] == entry.CRC.to_bytes(4, "little")


async def test_whole_archives_are_wrong(now: Now) -> None:
    async with running() as (_, http):
        _records, usual = await report_of(http, now)
        _records, cut = await report_of(http, now, "truncated")
        assert cut == usual[: len(usual) // 2]
        _records, page = await report_of(http, now, "not_zip")
        assert page.startswith(b"<!doctype html>")
        await plan(http, quirks=["wrong_size"])
        task = await create(http, REPORTS, **LONG_AGO)
        now.later(100)
        listed = (await fetch(http, task["uri"] + "/archive"))["records"][1]
        assert listed["size"] == len((await http.get(listed["uri"])).content) + 1000
        for path, where in ((REPORTS, "/archive"), (TEAM, "")):
            await plan(http, "report" if where else "team", quirks=["no_archives"])
            task = await create(http, path)
            now.later(100)
            listed = await fetch(http, f"{path}/{task['id']}{where}")
            assert listed["records" if where else "datasets"] == []


async def test_datasets_have_quirks_too(now: Now) -> None:
    async with running(export_quirks={"streamed", Quirk.UNKNOWN_MEMBERS}) as (_, http):
        task = await create(http, TEAM)
        now.later(100)
        (dataset,) = (await fetch(http, task["uri"]))["datasets"]
        names = [name for name, _data in members((await http.get(dataset["uri"])).content)]
        assert names[0] == "read me.txt"
        assert "request_info.json" in names


async def test_exports_are_listed_with_the_checksums_of_their_archives(now: Now) -> None:
    async with running() as (_, http):
        task = await create(http, REPORTS, **LONG_AGO)
        now.later(100)
        await create(http, TEAM)
        report, team = await fetch(http, "/simulator/exports")
        assert (report["id"], report["status"], report["archives"]) == (task["id"], "Completed", [])
        assert (team["kind"], team["status"]) == ("team", "Accepted")
        records = (await fetch(http, task["uri"] + "/archive"))["records"]
        report, _team = await fetch(http, "/simulator/exports")
        sums = [hashlib.sha256((await http.get(record["uri"])).content).hexdigest() for record in records]
        assert [each["sha256"] for each in report["archives"]] == sums
        assert report["wanted"]["dateFrom"] == "2020-01-01T00:00:00.000Z"
        quirks = await fetch(http, "/simulator/exports/quirks")
        assert [each["quirk"] for each in quirks] == [quirk.value for quirk in Quirk]
