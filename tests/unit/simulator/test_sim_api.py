"""The simulator's endpoints: accounts, extensions, message lists, synchronisation, refusals."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import attrs
import httpx
import pytest
import trio

from rcfs.model import Plan, UsageGroup
from rcfs.simulator import AccountSpec, Simulator, SimulatorConfig
from rcfs.simulator._params import iso_time
from tests.fakes.simulated import in_process, logged_in

MINE = "/restapi/v1.0/account/~/extension/~"
LONG_AGO = {"dateFrom": "2020-01-01T00:00:00Z"}
SPEC = AccountSpec(messages=120)


@asynccontextmanager
async def running(**settings: Any) -> AsyncIterator[tuple[Simulator, httpx.AsyncClient]]:
    config = attrs.evolve(SimulatorConfig(SPEC), **settings)
    async with in_process(config) as (simulator, endpoints), logged_in(endpoints) as http:
        yield simulator, http


def code(answer: httpx.Response) -> tuple[int, str]:
    """Status and error code; checks that the JSON contains both forms of the code, as real answers do."""
    body = answer.json()
    assert answer.headers["RCRequestId"]
    assert body["errors"][0]["errorCode"] == body["errorCode"]
    return answer.status_code, body["errorCode"]


async def all_pages(http: httpx.AsyncClient, url: str) -> list[dict[str, Any]]:
    pages = []
    while url:
        pages.append((await http.get(url)).raise_for_status().json())
        url = pages[-1]["navigation"].get("nextPage", {}).get("uri", "")
    return pages


async def test_account_and_extensions() -> None:
    async with running() as (simulator, http):
        account = (await http.get("/restapi/v1.0/account/~")).json()
        assert str(account["id"]) == str(simulator.account.account_id)
        url = f"/restapi/v1.0/account/{account['id']}/extension?perPage=4"
        pages = await all_pages(http, url)
        listed = [record["id"] for page in pages for record in page["records"]]
        assert listed == [extension.id for extension in simulator.account.extensions]
        assert [len(page["records"]) for page in pages] == [4, 2]
        departments = (await http.get("/restapi/v1.0/account/~/extension?type=Department")).json()["records"]
        assert [record["type"] for record in departments] == ["Department"]
        unassigned = (await http.get("/restapi/v1.0/account/~/extension?status=Unassigned")).json()["records"]
        assert [record["status"] for record in unassigned] == ["Unassigned"]
        addresses = {"email": [simulator.account.extensions[i].email for i in (0, 2)]}
        known = (await http.get("/restapi/v1.0/account/~/extension", params=addresses)).json()["records"]
        assert [record["contact"]["email"] for record in known] == addresses["email"]
        mine = (await http.get(MINE)).json()
        assert mine["id"] == simulator.account.extensions[0].id


async def test_list_walks_through_all_pages_with_absolute_uris_that_keep_the_query() -> None:
    async with running() as (simulator, http):
        extension = simulator.account.extensions[0]
        query_text = "perPage=7&availability=Alive&availability=Deleted&dateFrom=2020-01-01T00:00:00%2B00:00"
        url = f"{MINE}/message-store?{query_text}"
        pages = await all_pages(http, url)
        listed = [record["id"] for page in pages for record in page["records"]]
        assert listed == list(simulator.account.message_ids(extension.id))
        last = pages[-1]
        query = parse_qs(urlsplit(last["uri"]).query)
        assert last["uri"].startswith(str(http.base_url))
        assert query["availability"] == ["Alive", "Deleted"]
        assert query["dateFrom"] == ["2020-01-01T00:00:00+00:00"]
        assert query["perPage"] == ["7"]
        assert "dateTo" in query, "new arrivals must not shift the pages"
        assert last["paging"]["totalElements"] == len(listed)
        assert last["paging"]["pageEnd"] == len(listed) - 1
        assert "previousPage" in last["navigation"]


async def test_date_from_defaults_to_24_hours_before_date_to() -> None:
    async with running() as (simulator, http):
        account, extension = simulator.account, simulator.account.extensions[0]
        oldest = account.message(extension.id, account.message_ids(extension.id)[-1])
        assert oldest is not None
        assert oldest.created_s is not None
        until = {"dateTo": iso_time(account.spec.end_s)}
        oldest.created_s = account.spec.end_s - 86_399
        oldest.availability = "Alive"
        ids = {r["id"] for r in (await http.get(f"{MINE}/message-store", params=until)).json()["records"]}
        assert oldest.id in ids
        oldest.created_s = account.spec.end_s - 86_401
        ids = {r["id"] for r in (await http.get(f"{MINE}/message-store", params=until)).json()["records"]}
        assert oldest.id not in ids
        whole = (await http.get(f"{MINE}/message-store", params=LONG_AGO)).json()["records"]
        assert len(whole) > len(ids)


@pytest.mark.parametrize(
    ("name", "value", "field"),
    [
        ("messageType", "Fax", "type"),
        ("messageType", "VoiceMail", "type"),
        ("direction", "Outbound", "direction"),
        ("readStatus", "Unread", "readStatus"),
        ("availability", "Deleted", "availability"),
    ],
)
async def test_filters_show_only_what_they_name(name: str, value: str, field: str) -> None:
    async with running() as (_, http):
        everything = {**LONG_AGO, "availability": ["Alive", "Deleted"]}
        every = (await http.get(f"{MINE}/message-store", params=everything)).json()["records"]
        shown = (await http.get(f"{MINE}/message-store", params={**LONG_AGO, name: value})).json()["records"]
        allowed = (value,) if name == "availability" else ("Alive",)
        wanted = [r["id"] for r in every if r.get(field) == value and r["availability"] in allowed]
        assert wanted
        assert [record["id"] for record in shown] == wanted


async def test_phone_number_and_conversation_filters_and_a_raw_plus() -> None:
    async with running() as (_, http):
        every = (await http.get(f"{MINE}/message-store", params=LONG_AGO)).json()["records"]
        sms = next(r for r in every if r["type"] == "SMS" and r["direction"] == "Inbound")
        number, conversation = sms["from"]["phoneNumber"], sms["conversation"]["id"]
        assert number.startswith("+")
        url = f"{MINE}/message-store?dateFrom=2020-01-01T00:00:00Z"
        by_number = (await http.get(f"{url}&phoneNumber={number}")).json()["records"]
        by_conversation = (await http.get(f"{url}&conversationId={conversation}")).json()["records"]
        assert sms["id"] in {record["id"] for record in by_number}
        assert sms["id"] in {record["id"] for record in by_conversation}
        assert {record["conversation"]["id"] for record in by_conversation} == {conversation}
        assert len(by_number) < len(every)


async def test_per_page_is_clamped_silently_and_defaults_to_100() -> None:
    async with running(spec=attrs.evolve(SPEC, messages=400)) as (_, http):
        many = (await http.get(f"{MINE}/message-store", params={**LONG_AGO, "perPage": "5000"})).json()
        default = (await http.get(f"{MINE}/message-store", params=LONG_AGO)).json()
        assert (many["paging"]["perPage"], default["paging"]["perPage"]) == (1000, 100)
        assert len(default["records"]) == 100
        beyond = (await http.get(f"{MINE}/message-store", params={**LONG_AGO, "page": "99"})).json()
        assert beyond["records"] == []
        assert "page" not in beyond["paging"]


@pytest.mark.parametrize(
    "query",
    [
        "page=0",
        "perPage=x",
        "perPage=-1",
        "dateFrom=yesterday",
        "dateFrom=2026-01-01T00:00:00",
        "availability=Gone",
        "messageType=Letter",
        "distinctConversations=maybe",
        "ownerExtensionType=Ghost",
    ],
)
async def test_bad_parameters_are_named(query: str) -> None:
    async with running() as (_, http):
        answer = await http.get(f"{MINE}/message-store?{query}")
        assert code(answer) == (400, "CMN-101")
        assert answer.json()["errors"][0]["parameterName"] == query.partition("=")[0]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/restapi/v1.0/account/1", (404, "CMN-102")),
        ("/restapi/v1.0/account/~/extension/1", (404, "CMN-102")),
        (f"{MINE}/message-store/1", (404, "CMN-102")),
        (f"{MINE}/message-store/1/content/1", (404, "CMN-102")),
        (f"{MINE}/message-store/x", (400, "CMN-101")),
        ("/restapi/v1.0/nothing", (404, "CMN-404")),
    ],
)
async def test_unknown_ids_and_paths(path: str, expected: tuple[int, str]) -> None:
    async with running() as (_, http):
        assert code(await http.get(path)) == expected


async def test_ivr_menus_have_no_mailbox() -> None:
    async with running(spec=AccountSpec(messages=60, menus=2)) as (simulator, http):
        menus = [extension for extension in simulator.account.extensions if extension.type == "IvrMenu"]
        assert len(menus) == 2
        for menu in menus:
            url = f"/restapi/v1.0/account/~/extension/{menu.id}"
            assert (await http.get(url)).json()["type"] == "IvrMenu"
            for path in ("message-store", "message-sync?syncType=FSync", "message-store/1/content/1"):
                assert code(await http.get(f"{url}/{path}")) == (403, "CMN-403")


async def test_mailboxes_are_refused_to_a_standard_user_and_some_to_everybody() -> None:
    async with running(standard_user=True) as (simulator, http):
        login = next(e for e in simulator.account.extensions if e.type == "User" and not e.is_admin)
        assert (await http.get(MINE)).json()["id"] == login.id
        assert (await http.get(f"{MINE}/message-store")).status_code == 200
        for extension in simulator.account.extensions:
            other = f"/restapi/v1.0/account/~/extension/{extension.id}"
            if extension.id != login.id:
                assert code(await http.get(f"{other}/message-store")) == (403, "CMN-419")
                assert code(await http.get(f"{other}/message-sync")) == (403, "CMN-419")
                assert code(await http.get(f"{other}/message-store/1/content/1")) == (403, "CMN-419")
            assert (await http.get(other)).status_code == 200, "extensions themselves are no secret"
    async with running() as (simulator, http):
        refused = {e.id for e in simulator.account.extensions if e.mailbox_refused}
        assert refused
        for extension in simulator.account.extensions:
            url = f"/restapi/v1.0/account/~/extension/{extension.id}/message-store"
            assert (await http.get(url)).status_code == (403 if extension.id in refused else 200)
            check = await http.get(
                f"{MINE}/authz-profile/check",
                params={"permissionId": "ReadMessages", "targetExtensionId": str(extension.id)},
            )
            assert check.json()["successful"] == (extension.id not in refused)


async def test_incremental_sync_returns_changes_and_tombstones() -> None:
    async with running() as (simulator, http):
        account, extension = simulator.account, simulator.account.extensions[0]
        full = (await http.get(f"{MINE}/message-sync", params={"syncType": "FSync", **LONG_AGO})).json()
        alive = [record["id"] for record in full["records"]]
        assert full["syncInfo"]["syncType"] == "FSync"
        assert not full["syncInfo"]["olderRecordsExist"]

        async def changes(token: str) -> dict[str, Any]:
            query = {"syncType": "ISync", "syncToken": token}
            body: dict[str, Any] = (await http.get(f"{MINE}/message-sync", params=query)).json()
            return body

        first = account.spec.end_s + 1000  # later than the time in the token
        read, deleted = (account.message(extension.id, message_id) for message_id in alive[:2])
        assert read is not None
        assert deleted is not None
        read.read_status, read.last_modified = "Read", first
        deleted.availability, deleted.last_modified = "Deleted", first
        delta = await changes(full["syncInfo"]["syncToken"])
        by_id = {record["id"]: record for record in delta["records"]}
        assert set(by_id) == {read.id, deleted.id}
        assert by_id[read.id]["readStatus"] == "Read"
        assert by_id[deleted.id] == {"id": deleted.id, "availability": "Deleted"}
        assert delta["syncInfo"]["syncToken"] != full["syncInfo"]["syncToken"]


async def test_sync_overlaps_by_five_seconds() -> None:
    async with running() as (simulator, http):
        account, extension = simulator.account, simulator.account.extensions[0]
        message = account.message(extension.id, account.message_ids(extension.id)[0])
        assert message is not None
        info = (await http.get(f"{MINE}/message-sync", params=LONG_AGO)).json()["syncInfo"]
        token, synced_s = info["syncToken"], datetime.fromisoformat(info["syncTime"]).timestamp()
        for age_s, known in [(4.9, True), (5.1, False)]:
            message.last_modified = synced_s - age_s
            query = {"syncType": "ISync", "syncToken": token}
            records = (await http.get(f"{MINE}/message-sync", params=query)).json()["records"]
            assert (message.id in {r["id"] for r in records}) == known


async def test_record_count_limits_a_full_sync() -> None:
    async with running() as (_, http):
        query = {"syncType": "FSync", "recordCount": "3", **LONG_AGO}
        body = (await http.get(f"{MINE}/message-sync", params=query)).json()
        assert len(body["records"]) == 3
        assert body["syncInfo"]["olderRecordsExist"]


async def test_bad_sync_tokens() -> None:
    async with running() as (simulator, http):
        other = simulator.account.extensions[1].id
        token = (await http.get(f"{MINE}/message-sync")).json()["syncInfo"]["syncToken"]
        elsewhere = f"/restapi/v1.0/account/~/extension/{other}/message-sync"
        isync = {"syncType": "ISync"}
        assert code(await http.get(f"{MINE}/message-sync", params=isync)) == (400, "CMN-101")
        for url, bad in [
            (f"{MINE}/message-sync", "x"),
            (f"{MINE}/message-sync", token[:-8]),
            (elsewhere, token),
        ]:
            assert code(await http.get(url, params={**isync, "syncToken": bad})) == (400, "MSG-333")
    async with running() as (_, http):
        answer = await http.get(f"{MINE}/message-sync", params={"syncType": "ISync", "syncToken": token})
        assert code(answer) == (400, "MSG-333"), "the token is of an earlier run"


async def test_head_and_other_methods_are_refused() -> None:
    async with running() as (simulator, http):
        assert (await http.head(MINE)).status_code == 405
        assert code(await http.post(f"{MINE}/message-store/1")) == (405, "CMN-120")
        assert simulator.journal.summary([]).heads == 1


async def test_rate_headers_and_429() -> None:
    async with running() as (simulator, http):
        first = await http.get(MINE)
        assert {
            name: first.headers[f"x-rate-limit-{name}"] for name in ("group", "limit", "remaining", "window")
        } == {
            "group": "light",
            "limit": "50",
            "remaining": "49",
            "window": "60",
        }
        answers = [await http.get(MINE) for _ in range(51)]
        assert [answer.status_code for answer in answers] == [200] * 49 + [429] * 2
        assert code(answers[-1]) == (429, "CMN-301")
        assert answers[-1].headers["retry-after"] == "60"
        assert answers[-1].headers["x-rate-limit-remaining"] == "0"
        assert (await http.get("/restapi/v1.0/account/~/extension")).status_code == 200, "another group"
        summary = simulator.journal.summary([])
        assert (summary.limited, summary.in_penalty) == (2, 1)


async def test_latency_is_half_before_a_request_counts_and_half_after() -> None:
    async with running(latency_s=0.2) as (simulator, http):
        start = trio.current_time()
        before = simulator.journal.entries()[-1].time_s
        await http.get(MINE)
        assert trio.current_time() - start >= 0.2
        # Half of the login's round trip and half of this one's lie between the two arrivals.
        assert simulator.journal.entries()[-1].time_s - before >= 0.2


async def test_fixed_windows_are_an_option() -> None:
    async with running(fixed_window=True, plans={UsageGroup("light"): Plan(2, 0.5, 0)}) as (simulator, http):
        for _ in range(2):
            await http.get(MINE)
        started = simulator.journal.entries(operation="readExtension")[0].time_s
        while (await http.get(MINE)).status_code == 429:
            pass
        admitted = simulator.journal.entries(operation="readExtension")[-1]
        assert admitted.time_s - started >= 0.5
        assert admitted.remaining == 1, "the second arrival has gone with the first"
