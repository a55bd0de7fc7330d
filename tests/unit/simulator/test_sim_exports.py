"""Exports of the simulator: message store reports and team messaging, their states, archives and layout."""

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Iterator
from functools import partial
from typing import Any

import httpx
import pytest

from rcfs.simulator._archives import Archive, PackedFile, Packing, SizedFile, cut_archives
from rcfs.simulator._params import iso_time
from rcfs.simulator._tasks import REPORT_COURSES, TaskBook, TaskPlan
from rcfs.simulator.account._plan import DAY_S
from rcfs.simulator.account._team import chats_of, posts_of
from tests.fakes.sim_exports import LONG_AGO, REPORTS, TEAM, Now, config_of, fetch, running_with
from tests.fakes.simulated import in_process, logged_in

AGAIN = "InProgress AttemptFailed InProgress"
CONFIG = config_of(60)
running = partial(running_with, CONFIG)


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["errors"][0]["errorCode"]


async def create(http: httpx.AsyncClient, path: str, **body: Any) -> dict[str, Any]:
    answer = await http.post(path, json=body)
    assert answer.status_code == 202
    task: dict[str, Any] = answer.json()
    return task


async def archives_of(http: httpx.AsyncClient, task: dict[str, Any]) -> list[zipfile.ZipFile]:
    """The archives of a finished report; checks the listed size of each."""
    found = []
    for record in (await fetch(http, task["uri"] + "/archive"))["records"]:
        content = (await http.get(record["uri"])).raise_for_status()
        assert content.headers["content-type"] == "application/zip"
        assert len(content.content) == record["size"]
        found.append(zipfile.ZipFile(io.BytesIO(content.content)))
    return found


def contents_of(archives: list[zipfile.ZipFile]) -> dict[str, bytes]:
    return {name: archive.read(name) for archive in archives for name in archive.namelist()}


async def test_a_task_goes_through_its_states_as_time_passes(now: Now) -> None:
    async with running() as (simulator, http):
        task = await create(http, REPORTS, **LONG_AGO, messageTypes=["Fax", "SMS"])
        me, account_id = simulator.account.extensions[0].id, simulator.account.account_id
        assert re.fullmatch(rf"{account_id}-{me}-[0-9a-f]{{32}}", task["id"])
        assert task["messageTypes"] == ["Fax", "SMS"]
        state, seen = task, [task["status"]]
        for _ in range(20):
            now.later(5)
            state = await fetch(http, task["uri"])
            assert ("finishTime" in state) == (state["status"] == "Completed")
            if state["status"] != seen[-1]:
                seen.append(state["status"])
            if state["status"] != "Completed":
                assert refusal(await http.get(task["uri"] + "/archive")) == (404, "CMN-102")
        assert seen == ["Accepted", "Pending", "InProgress", "Completed"]
        assert state["finishTime"] == iso_time(CONFIG.spec.end_s + 100)


async def test_archives_hold_every_record_and_content_in_the_documented_layout(now: Now) -> None:
    async with running() as (simulator, http):
        task = await create(http, REPORTS, **LONG_AGO)
        now.later(100)
        records, *rest = await archives_of(http, task)
        base = f"account/{simulator.account.account_id}/extension"
        listed = {}
        for name in records.namelist():
            match = re.fullmatch(rf"{base}/(\d+)/message-store\.json", name)
            assert match is not None
            listed[int(match[1])] = json.loads(records.read(name))["records"]
        for extension in simulator.account.extensions:
            if extension.mailbox_refused:
                assert extension.id not in listed
                continue
            url = f"/restapi/v1.0/account/~/extension/{extension.id}/message-store"
            query = "?dateFrom=2020-01-01T00:00:00Z&availability=Alive&availability=Deleted&perPage=1000"
            assert listed.get(extension.id, []) == (await fetch(http, url + query))["records"]
        shown = {
            (row.extension_id, row.message_id, row.attachment_id): row.sha256
            for row in simulator.account.truth()
        }
        packed = {}
        for name, content in contents_of(rest).items():
            match = re.fullmatch(rf"{base}/(\d+)/message-store/(\d+)/content/(\d+)\.[a-z0-9]+", name)
            assert match is not None
            key = (int(match[1]), int(match[2]), int(match[3]))
            packed[key] = hashlib.sha256(content).hexdigest()
        assert packed == shown


async def test_contents_are_cut_into_archives_of_the_configured_size(now: Now) -> None:
    most = 400_000
    async with running(archive_bytes=most) as (_, http):
        task = await create(http, REPORTS, **LONG_AGO)
        now.later(100)
        _, *rest = await archives_of(http, task)
        assert len(rest) > 2
        sizes = [record["size"] for record in (await fetch(http, task["uri"] + "/archive"))["records"][1:]]
        assert all(
            size <= most or len(archive.namelist()) == 1 for size, archive in zip(sizes, rest, strict=True)
        )
        names = [name for archive in rest for name in archive.namelist()]
        assert len(names) == len(set(names))


async def test_an_archive_is_served_in_ranges_on_both_origins(now: Now) -> None:
    async with in_process(CONFIG) as (_, endpoints), logged_in(endpoints) as http:
        task = await create(http, REPORTS, **LONG_AGO)
        now.later(100)
        uri = (await fetch(http, task["uri"] + "/archive"))["records"][0]["uri"]
        assert uri == f"{task['uri']}/archive/0"
        whole = (await http.get(uri)).content
        part = await http.get(uri, headers={"Range": "bytes=100-299"})
        assert (part.status_code, part.content) == (206, whole[100:300])
        on_media = await http.get(uri.replace(endpoints.platform_url, endpoints.media_url))
        assert on_media.content == whole
        assert refusal(await http.get(f"{task['uri']}/archive/99")) == (404, "CMN-102")


async def test_a_report_keeps_what_was_true_when_it_was_asked_for(now: Now) -> None:
    async with running() as (simulator, http):
        account, me = simulator.account, simulator.account.extensions[0].id
        task = await create(http, REPORTS, **LONG_AGO)
        message = account.message(me, account.message_ids(me)[0])
        assert message is not None
        was, message.availability = message.availability, "Purged"
        now.later(100)
        records, *rest = await archives_of(http, task)
        name = f"account/{account.account_id}/extension/{me}/message-store.json"
        (record,) = [r for r in json.loads(records.read(name))["records"] if r["id"] == message.id]
        assert record["availability"] == was
        assert any(f"/{message.id}/content/" in name for name in contents_of(rest))


async def test_a_transcript_that_comes_after_a_report_is_not_in_it() -> None:
    async with running() as (simulator, http):
        me = simulator.account.extensions[0].id
        found = set()
        for _ in range(8):  # some voicemails are not transcribed at all
            body = {"extension_id": me, "type": "VoiceMail"}
            found.add((await http.post("/simulator/arrive", json=body)).json()["id"])
        task = await create(http, REPORTS)
        await http.post("/simulator/clock", json={"advance_s": 100.0})
        later = [await fetch(http, f"/restapi/v1.0/account/~/extension/~/message-store/{i}") for i in found]
        assert any(len(record["attachments"]) == 2 for record in later)
        records, *contents = await archives_of(http, task)
        kept = [r for text in contents_of([records]).values() for r in json.loads(text)["records"]]
        mine = [record for record in kept if record["id"] in found]
        assert [len(record["attachments"]) for record in mine] == [1] * 8
        assert sum(f"/{i}/content/" in name for name in contents_of(contents) for i in found) == 8


async def test_a_report_includes_due_changes_of_mailboxes_that_nobody_has_read() -> None:
    async with running() as (_, http):
        await http.post("/simulator/clock", json={"advance_s": 6 * DAY_S})
        task = await create(http, REPORTS, **LONG_AGO)
        await http.post("/simulator/clock", json={"advance_s": 100.0})
        records, *_ = await archives_of(http, task)
        kept = [r for text in contents_of([records]).values() for r in json.loads(text)["records"]]
        assert {record["availability"] for record in kept} == {"Alive"}, "the trash is purged by now"


async def test_dates_and_types_choose_what_a_report_holds(now: Now) -> None:
    async with running() as (_, http):
        default = await create(http, REPORTS)
        assert default["dateTo"] == iso_time(now.s)
        assert default["dateFrom"] == iso_time(now.s - DAY_S)
        faxes = await create(http, REPORTS, **LONG_AGO, messageTypes=["Fax"])
        now.later(100)
        records, *rest = await archives_of(http, faxes)
        kept = [r for text in contents_of([records]).values() for r in json.loads(text)["records"]]
        assert {record["type"] for record in kept} == {"Fax"}
        assert all(name.endswith((".pdf", ".tif")) for name in contents_of(rest))


@pytest.mark.parametrize(
    ("body", "parameter"),
    [
        ({"dateFrom": "yesterday"}, "dateFrom"),
        ({"dateFrom": 5}, "dateFrom"),
        ({"messageTypes": ["Letter"]}, "messageTypes"),
        ({"dateFrom": "2026-01-02T00:00:00Z", "dateTo": "2026-01-01T00:00:00Z"}, "dateFrom"),
        ([], "body"),
    ],
)
async def test_bad_requests_for_reports(body: Any, parameter: str) -> None:
    async with running() as (_, http):
        answer = await http.post(REPORTS, json=body)
        assert refusal(answer) == (400, "CMN-101")
        assert answer.json()["parameterName"] == parameter


@pytest.mark.parametrize(
    ("kind", "path", "outcome", "states"),
    [
        ("report", REPORTS, "AttemptFailed", f"Accepted Pending {AGAIN} Completed"),
        ("report", REPORTS, "Failed", "Accepted Pending InProgress Failed"),
        ("report", REPORTS, "Cancelled", "Accepted Pending InProgress Cancelled"),
        ("team", TEAM, "AttemptFailed", f"Accepted {AGAIN} Completed"),
        ("team", TEAM, "Failed", "Accepted InProgress Failed"),
        ("team", TEAM, "Cancelled", "Accepted InProgress Cancelled"),
        ("team", TEAM, "Expired", "Accepted InProgress Expired"),
    ],
)
async def test_a_task_has_the_planned_outcome(
    kind: str, path: str, outcome: str, states: str, now: Now
) -> None:
    async with running() as (_, http):
        await http.post("/simulator/exports", json={"kind": kind, "outcome": outcome})
        task, other = await create(http, path), await create(http, path)
        state, seen = task, [task["status"]]
        for _ in range(20):
            assert refusal(await http.post(path, json={})) == (400, "CMN-111"), "none is at its end"
            now.later(5)
            state = await fetch(http, f"{path}/{task['id']}")
            if state["status"] != seen[-1]:
                seen.append(state["status"])
        assert seen == states.split()
        assert (await fetch(http, f"{path}/{other['id']}"))["status"] == "Completed", "the next one only"
        archives = "archive" if path == REPORTS else "datasets/1"
        answer = await http.get(f"{path}/{task['id']}/{archives}")
        assert answer.status_code == (200 if seen[-1] == "Completed" else 404)
        assert state.get("finishTime", state.get("lastModifiedTime")) == iso_time(CONFIG.spec.end_s + 100)
        await create(http, path)


@pytest.mark.parametrize(
    "wish",
    [
        {"kind": "report", "outcome": "Expired"},
        {"kind": "report", "outcome": 7},
        {"kind": "call", "outcome": "Failed"},
        {"kind": ["report"]},
        {"kind": "team", "takes_s": 0},
        {"kind": "team", "takes_s": True},
        {"kind": "team", "kept_s": "long"},
        {"kind": "team", "archives_kept_s": -1},
        {"kind": "team", "states": ["Pending"]},
        {"kind": "team", "states": "Failed"},
        {"kind": "team", "quirks": ["odd"]},
        {"kind": "team", "mood": "bad"},
        [],
    ],
)
async def test_wrong_plans_are_refused(wish: Any) -> None:
    async with running() as (_, http):
        answer = await http.post("/simulator/exports", json=wish)
        assert (answer.status_code, list(answer.json())) == (400, ["error"])


@pytest.mark.parametrize("path", [REPORTS, TEAM])
async def test_no_more_than_two_tasks_at_once(path: str, now: Now) -> None:
    async with running() as (_, http):
        await create(http, path)
        now.later(50)
        await create(http, path)
        assert refusal(await http.post(path, json={})) == (400, "CMN-111")
        now.later(50)
        await create(http, path)


async def test_exports_are_for_admins(now: Now) -> None:
    async with running(standard_user=True) as (_, http):
        for path in (REPORTS, TEAM):
            assert refusal(await http.post(path, json={})) == (403, "CMN-408")
            assert refusal(await http.get(f"{path}/1")) == (403, "CMN-408")
        assert refusal(await http.get(TEAM)) == (403, "CMN-408")
        assert refusal(await http.get(f"{REPORTS}/1/archive/0")) == (403, "CMN-408")


async def test_unknown_tasks() -> None:
    async with running() as (_, http):
        for path in (f"{REPORTS}/1", f"{REPORTS}/1/archive", f"{REPORTS}/1/archive/0"):
            assert refusal(await http.get(path)) == (404, "CMN-102")
        for path in (f"{TEAM}/1", f"{TEAM}/1/datasets/1"):
            assert refusal(await http.get(path)) == (404, "CMN-102")


async def test_a_team_export_holds_the_posts_of_its_time_in_the_documented_files(now: Now) -> None:
    async with running() as (simulator, http):
        begin = iso_time(now.s - 150 * DAY_S)
        task = await create(http, TEAM, timeFrom=begin)
        assert task["specific"] == {"timeFrom": begin, "timeTo": iso_time(now.s)}
        assert "datasets" not in await fetch(http, task["uri"])
        now.later(100)
        state = await fetch(http, task["uri"])
        (dataset,) = state["datasets"]
        content = (await http.get(dataset["uri"])).raise_for_status().content
        assert len(content) == dataset["size"]
        files = contents_of([zipfile.ZipFile(io.BytesIO(content))])
        folders = ("chats", "members", "guests", "posts", "events", "tasks", "notes", "files")
        assert set(files) == {"request_info.json", *(f"{folder}/{folder}_1.json" for folder in folders)}
        assert json.loads(files["request_info.json"]) == task["specific"]
        posts = json.loads(files["posts/posts_1.json"])["records"]
        every = [post for chat in chats_of(simulator.account) for post in posts_of(simulator.account, chat)]
        wanted = {post["id"] for post in every if begin <= post["creationTime"]}
        assert {post["id"] for post in posts} == wanted
        assert 0 < len(wanted) < len(every) == len({post["id"] for post in every})
        members = {member["id"] for member in json.loads(files["members/members_1.json"])["records"]}
        assert {post["creatorId"] for post in posts} <= members


@pytest.mark.parametrize("kind", ["Everyone", "Direct"])
async def test_a_team_export_of_chats_and_people(now: Now, kind: str) -> None:
    async with running() as (simulator, http):
        account = simulator.account
        chat = next(each for each in chats_of(account) if each.type == kind)
        person = chat.members[-1]
        task = await create(
            http,
            TEAM,
            timeFrom=iso_time(now.s - 180 * DAY_S),
            chatIds=[str(chat.id)],
            contacts=[{"email": person.email}],
        )
        now.later(100)
        (dataset,) = (await fetch(http, task["uri"]))["datasets"]
        content = (await http.get(dataset["uri"])).content
        files = contents_of([zipfile.ZipFile(io.BytesIO(content))])
        posts = json.loads(files["posts/posts_1.json"])["records"]
        assert {post["groupId"] for post in posts} == {str(chat.id)}
        authors = {str(person.id)} if kind == "Everyone" else {str(each.id) for each in chat.members}
        assert {post["creatorId"] for post in posts} == authors
        (shown,) = json.loads(files["chats/chats_1.json"])["records"]
        assert shown["id"] == str(chat.id)


async def test_the_list_of_team_exports_and_their_end(now: Now) -> None:
    async with running() as (_, http):
        first = await create(http, TEAM)
        now.later(100)
        second = await create(http, TEAM)
        listed = await fetch(http, TEAM)
        assert [task["id"] for task in listed["tasks"]] == [second["id"], first["id"]]
        assert listed["paging"]["perPage"] == 30
        done = (await fetch(http, f"{TEAM}?status=Completed"))["tasks"]
        assert [task["id"] for task in done] == [first["id"]]
        (dataset,) = (await fetch(http, first["uri"]))["datasets"]
        now.later(7 * DAY_S)
        assert (await fetch(http, first["uri"]))["status"] == "Expired"
        assert refusal(await http.get(dataset["uri"])) == (404, "CMN-102")


@pytest.mark.parametrize(
    ("body", "parameter"),
    [
        ({"timeFrom": "2025-01-01T00:00:00Z"}, "timeFrom"),
        ({"chatIds": [str(number) for number in range(11)]}, "chatIds"),
        ({"contacts": [{"id": "1"}] * 31}, "contacts"),
        ({"contacts": [{}]}, "contacts"),
        ({"contacts": "1"}, "contacts"),
    ],
)
async def test_bad_requests_for_team_exports(body: dict[str, Any], parameter: str) -> None:
    async with running() as (_, http):
        answer = await http.post(TEAM, json=body)
        assert refusal(answer) == (400, "CMN-101")
        assert answer.json()["parameterName"] == parameter


def test_archives_are_filled_to_the_last_byte() -> None:
    files = [SizedFile.of(f"f{number}", 1e9, bytes(100)) for number in range(4)]
    whole = Archive(files[:2])
    exact = list(cut_archives(files, whole.size_bytes))
    tighter = list(cut_archives(files, whole.size_bytes - 1))
    try:
        assert [archive.size_bytes for archive in exact] == [whole.size_bytes] * 2
        assert len(tighter) == 4
        assert whole.read(0, 4) == b"PK\x03\x04"
        assert whole.read(whole.size_bytes - 1, whole.size_bytes + 9) == b"\0"
    finally:
        for archive in (whole, *exact, *tighter):
            archive.close()
    assert list(cut_archives([], 100)) == []


def test_a_file_of_unknown_size_is_written_piece_by_piece() -> None:
    taken = []

    def pieces() -> Iterator[bytes]:
        for number in range(3):
            taken.append(number)
            yield bytes([number]) * 5

    archive = Archive([PackedFile("a", 1e9, pieces())], Packing.DEFLATED)
    try:
        packed = zipfile.ZipFile(io.BytesIO(archive.read(0, archive.size_bytes)))
        assert packed.read("a") == b"\0\0\0\0\0\1\1\1\1\1\2\2\2\2\2"
        assert taken == [0, 1, 2]
    finally:
        archive.close()


def test_a_failed_archive_leaves_no_file_behind() -> None:
    made = []

    def make(_quirks: object) -> Iterator[Archive]:
        made.append(Archive([]))
        yield made[0]
        raise OSError("no space")

    book = TaskBook(TaskPlan(REPORT_COURSES["Completed"], takes_s=1.0), REPORT_COURSES)
    task = book.create("x", 1, 0.0, {}, make)
    with pytest.raises(OSError, match="no space"):
        task.archives()
    with pytest.raises(ValueError, match="closed"):
        made[0].read(0, 1)
    book.close()
