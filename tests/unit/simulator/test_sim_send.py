"""Sending: a sent message appears in the sender's message store, and internal ones at the recipients'."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from rcfs.model import Plan, UsageGroup
from rcfs.simulator import AccountSpec, Simulator, SimulatorConfig
from rcfs.simulator._multipart import mixed, parse
from tests.fakes.simulated import in_process, logged_in
from tests.fakes.websocket import connected

MINE = "/restapi/v1.0/account/~/extension/~"
STORE = f"{MINE}/message-store"
EVER = {"dateFrom": "2020-01-01T00:00:00Z", "perPage": "1000"}
PLANS = {UsageGroup(group): Plan(limit=1000) for group in ("light", "medium", "heavy")}
PDF = b"%PDF-1.4\n1 0 obj <</Type /Pages>>\n2 0 obj <</Type /Page>>\n3 0 obj <</Type/Page>>\n%%EOF"
GIF = b"GIF89a" + bytes(range(200))


@asynccontextmanager
async def running() -> AsyncIterator[tuple[Simulator, httpx.AsyncClient]]:
    config = SimulatorConfig(AccountSpec(messages=190), plans=PLANS)
    async with in_process(config) as (simulator, endpoints), logged_in(endpoints) as http:
        yield simulator, http


def sms(simulator: Simulator, text: str = "Hello", number: str = "+14155550100") -> dict[str, Any]:
    me = simulator.account.extensions[0]
    return {"from": {"phoneNumber": me.phone_number}, "to": [{"phoneNumber": number}], "text": text}


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["errorCode"]


async def later(http: httpx.AsyncClient, message: dict[str, Any], seconds: float = 60) -> dict[str, Any]:
    """The record of a message some time later."""
    await http.post("/simulator/clock", json={"advance_s": seconds})
    found: dict[str, Any] = (await http.get(f"{STORE}/{message['id']}")).raise_for_status().json()
    return found


async def test_sms_is_queued_then_delivered_and_listed() -> None:
    async with running() as (simulator, http):
        answer = await http.post(f"{MINE}/sms", json=sms(simulator, "Grüße 🌞"))
        queued = answer.raise_for_status().json()
        assert (queued["type"], queued["direction"], queued["messageStatus"]) == ("SMS", "Outbound", "Queued")
        assert queued["subject"] == "Grüße 🌞"
        delivered = await later(http, queued)
        assert delivered["messageStatus"] == "Delivered"
        assert delivered["smsDeliveryTime"] == delivered["lastModifiedTime"] > queued["lastModifiedTime"]
        assert (await http.get(delivered["attachments"][0]["uri"])).text == "Grüße 🌞"
        listed = (await http.get(STORE)).json()["records"]
        assert listed[0] == delivered, "the newest, within the last 24 hours"


async def test_a_text_to_a_known_contact_joins_the_conversation() -> None:
    async with running() as (simulator, http):
        listed = (await http.get(STORE, params={**EVER, "phoneNumber": "+12125557464"})).json()["records"]
        known = next(r for r in listed if "conversation" in r)
        sent = (await http.post(f"{MINE}/sms", json=sms(simulator, number="+12125557464"))).json()
        stranger = (await http.post(f"{MINE}/sms", json=sms(simulator))).json()
        group = sms(simulator)
        group["to"].append({"phoneNumber": "+12125557464"})
        both = (await http.post(f"{MINE}/sms", json=group)).json()
        assert sent["conversation"]["id"] == known["conversation"]["id"]
        assert sent["to"][0]["name"] == "Bob Ray"
        assert len({r["conversation"]["id"] for r in (sent, stranger, both)}) == 3


async def test_mms_keeps_its_files() -> None:
    async with running() as (simulator, http):
        fields = sms(simulator, "Look")
        answer = await http.post(
            f"{MINE}/mms",
            files=[
                ("json", ("request.json", json_bytes(fields), "application/json")),
                ("attachment", ("cat one.gif", GIF, "image/gif")),
                ("attachment", ("b.gif", GIF * 2, "image/gif")),
            ],
        )
        message = answer.raise_for_status().json()
        text, *files = message["attachments"]
        assert (text["type"], message["subject"]) == ("Text", "Look")
        assert [(a["type"], a["fileName"], a["size"]) for a in files] == [
            ("MmsAttachment", "cat one.gif", len(GIF)),
            ("MmsAttachment", "b.gif", 2 * len(GIF)),
        ]
        answer = await http.get(files[1]["uri"], headers={"Range": "bytes=0-5"})
        assert (answer.status_code, answer.content) == (206, b"GIF89a")
        rows = (await http.get("/simulator/truth")).text
        assert str(message["id"]) in rows
        assert code(await http.post(f"{MINE}/mms", json=fields)) == (400, "CMN-101"), "without a file"
        many = [("attachment", (f"{n}.gif", GIF, "image/gif")) for n in range(11)]
        large = [("attachment", ("l.gif", bytes(1_500_001), "image/gif"))]
        for attachments in (many, large):
            parts = [("json", ("request.json", json_bytes(fields), "application/json")), *attachments]
            assert code(await http.post(f"{MINE}/mms", files=parts)) == (400, "CMN-101")


async def test_a_text_to_colleagues_comes_into_their_mailboxes() -> None:
    async with running() as (simulator, http):
        jane, zoe, alex = simulator.account.extensions[:3]
        unused = next(e for e in simulator.account.extensions if e.status != "Enabled")
        theirs = MINE.replace("extension/~", f"extension/{zoe.id}")
        before = (await http.get(f"{theirs}/message-sync", params={"syncType": "FSync"})).json()
        fields = sms(simulator, "Look", zoe.phone_number)
        fields["to"] += [{"phoneNumber": n} for n in (alex.phone_number, unused.phone_number, "+14155550100")]
        parts = [
            ("json", ("request.json", json_bytes(fields), "application/json")),
            ("attachment", ("cat.gif", GIF, "image/gif")),
        ]
        token = (await http.post("/restapi/oauth/wstoken")).json()
        async with connected(f"{token['uri']}?access_token={token['ws_access_token']}") as socket:
            await socket.hear()
            wanted = {
                "eventFilters": [f"{theirs}/message-store/instant?type=SMS"],
                "deliveryMode": {"transportType": "WebSocket"},
            }
            await socket.ask("POST", "/restapi/v1.0/subscription", wanted)
            sent = (await http.post(f"{MINE}/sms", files=parts)).raise_for_status().json()
            at_once = await http.get(f"{theirs}/message-store")
            assert at_once.json()["records"] == [], "it has not gone out yet"
            await http.post("/simulator/clock", json={"advance_s": 3})
            _, event = await socket.hear()
        isync = {"syncType": "ISync", "syncToken": before["syncInfo"]["syncToken"]}
        (got,) = (await http.get(f"{theirs}/message-sync", params=isync)).json()["records"]
        assert str(got["id"]) == event["body"]["id"] != str(sent["id"])
        state = got["direction"], got["readStatus"], got["messageStatus"]
        assert state == ("Inbound", "Unread", "Received")
        assert got["from"] == {"phoneNumber": jane.phone_number, "name": jane.name}
        assert got["to"][0] == {"phoneNumber": zoe.phone_number, "name": zoe.name, "target": True}
        numbers = [party["phoneNumber"] for party in got["to"][1:]]
        assert numbers == [alex.phone_number, unused.phone_number, "+14155550100"]
        assert got["subject"] == "Look"
        assert got["creationTime"] > sent["creationTime"]
        text, file = got["attachments"]
        assert text["id"] == got["id"]
        assert (await http.get(file["uri"])).content == GIF
        for colleague, subjects in ((alex, ["Look"]), (unused, [])):
            listed = await http.get(STORE.replace("extension/~", f"extension/{colleague.id}"))
            assert [record["subject"] for record in listed.json()["records"]] == subjects


async def test_a_text_to_the_own_number_comes_back() -> None:
    async with running() as (simulator, http):
        jane = simulator.account.extensions[0]
        sent = (await http.post(f"{MINE}/sms", json=sms(simulator, "Note", jane.phone_number))).json()
        await later(http, sent)
        records = (await http.get(STORE)).json()["records"]
        assert [record["direction"] for record in records] == ["Inbound", "Outbound"]
        assert {record["subject"] for record in records} == {"Note"}


async def test_pager_reaches_all_mailboxes_and_can_be_replied_to() -> None:
    async with running() as (simulator, http):
        jane, zoe, alex = simulator.account.extensions[:3]
        to = [{"extensionNumber": zoe.number}, {"extensionId": str(alex.id)}]
        body = {"from": {"extensionNumber": jane.number}, "to": to, "text": "Lunch?"}
        sent = (await http.post(f"{MINE}/company-pager", json=body)).raise_for_status().json()
        assert (sent["direction"], sent["messageStatus"]) == ("Outbound", "Sent")
        received = []
        for person in (zoe, alex):
            url = f"/restapi/v1.0/account/~/extension/{person.id}/message-store"
            newest = (await http.get(url)).json()["records"][0]
            assert (newest["direction"], newest["readStatus"]) == ("Inbound", "Unread")
            assert (newest["subject"], newest["from"]["name"]) == ("Lunch?", "Jane Smith")
            assert (await http.get(newest["attachments"][0]["uri"])).text == "Lunch?"
            received.append(newest)
        assert len({r["id"] for r in (sent, *received)}) == 3
        reply = {"replyOn": sent["id"], "text": "Yes"}
        answer = (await http.post(f"{MINE}/company-pager", json=reply)).raise_for_status().json()
        assert {party["extensionId"] for party in answer["to"]} == {str(zoe.id), str(alex.id)}
        assert (await http.get(STORE)).json()["records"][0]["subject"] == "Yes"


async def test_fax_shows_its_pages_and_can_be_sent_again() -> None:
    async with running() as (_, http):
        answer = await http.post(
            f"{MINE}/fax",
            data={"to": "+14155550100", "faxResolution": "Low", "coverIndex": "0", "coverPageText": "Hi"},
            files={"attachment": ("scan.pdf", PDF, "application/pdf")},
        )
        fax = answer.raise_for_status().json()
        assert (fax["type"], fax["faxPageCount"], fax["faxResolution"]) == ("Fax", 2, "Low")
        assert (fax["coverIndex"], fax["coverPageText"]) == (0, "Hi")
        assert [a["type"] for a in fax["attachments"]] == ["RenderedDocument", "SourceDocument"]
        for attachment in fax["attachments"]:
            assert (await http.get(attachment["uri"])).content == PDF
        assert fax["to"][0]["messageStatus"] == "Queued"
        assert (await later(http, fax))["messageStatus"] == "Queued", "a page takes a minute"
        done = await later(http, fax)
        assert (done["messageStatus"], done["to"][0]["messageStatus"]) == ("Sent", "Sent")
        again = await http.post(f"{MINE}/fax", json={"originalMessageId": str(fax["id"])})
        assert again.json()["to"][0]["phoneNumber"] == "+14155550100"
        assert (await http.get(again.json()["attachments"][0]["uri"])).content == PDF
        to = [{"phoneNumber": "+12125557464", "name": "Bob"}]
        forward = await http.post(f"{MINE}/fax", json={"originalMessageId": str(fax["id"]), "to": to})
        assert forward.json()["to"][0]["name"] == "Bob"


async def test_a_text_is_faxed_as_a_letter() -> None:
    async with running() as (_, http):
        file = {"attachment": ("note.txt", b"Meet at noon\n", "text/plain")}
        fax = (await http.post(f"{MINE}/fax", data={"to": "+14155550100"}, files=file)).json()
        rendered, source = [(await http.get(a["uri"])).content for a in fax["attachments"]]
        assert rendered.startswith(b"%PDF")
        assert b"Meet at noon" in rendered
        assert source == b"Meet at noon\n"


@pytest.mark.parametrize(
    ("path", "change", "expected"),
    [
        ("sms", {"from": {"phoneNumber": "+19995550100"}}, (400, "MSG-304")),
        ("sms", {"from": {"phoneNumber": "+16505550100"}}, (400, "MSG-304")),
        ("sms", {"from": {}}, (400, "CMN-101")),
        ("sms", {"to": [{"phoneNumber": "102"}]}, (400, "MSG-246")),
        ("sms", {"to": []}, (400, "CMN-101")),
        ("sms", {"to": [{"phoneNumber": "Bob"}]}, (400, "CMN-101")),
        ("sms", {"text": ""}, (400, "CMN-101")),
        ("sms", {"text": "🌞" * 501}, (400, "CMN-101")),
        ("company-pager", {"to": [{"extensionNumber": "999"}]}, (400, "CMN-101")),
        ("company-pager", {"to": []}, (400, "CMN-101")),
        ("company-pager", {"replyOn": 6424569004, "to": []}, (404, "CMN-102")),
        ("company-pager", {"from": {"extensionNumber": "102"}}, (400, "CMN-101")),
        ("fax", {"to": [{"phoneNumber": "+14155550100"}]}, (400, "CMN-101")),
        ("fax", {"originalMessageId": "6424569004"}, (400, "CMN-101")),
        ("fax", {"originalMessageId": "5"}, (404, "CMN-102")),
    ],
)
async def test_invalid_messages_are_refused(
    path: str, change: dict[str, Any], expected: tuple[int, str]
) -> None:
    async with running() as (simulator, http):
        before = len((await http.get(STORE, params=EVER)).json()["records"])
        body = sms(simulator) if path == "sms" else {"text": "Hello"} if path == "company-pager" else {}
        assert code(await http.post(f"{MINE}/{path}", json={**body, **change})) == expected
        assert code(await http.post(f"{MINE}/{path}", content=b"no JSON")) == (400, "CMN-101")
        assert len((await http.get(STORE, params=EVER)).json()["records"]) == before


@pytest.mark.parametrize(
    "wrong",
    [
        {"faxResolution": "Fine"},
        {"coverIndex": "14"},
        {"coverPageText": "x" * 1025},
        {"sendTime": "tomorrow"},
        {"isoCode": "USA"},
    ],
)
async def test_invalid_fax_options_are_refused(wrong: dict[str, str]) -> None:
    async with running() as (_, http):
        file = {"attachment": ("scan.pdf", PDF, "application/pdf")}
        answer = await http.post(f"{MINE}/fax", data={"to": "+14155550100", **wrong}, files=file)
        assert code(answer) == (400, "CMN-101")


@pytest.mark.parametrize(
    ("path", "file", "fine"),
    [
        ("mms", ("a.mp4", b"1", "video/mp4"), True),
        ("mms", ("a.pdf", b"1", "application/pdf"), False),
        ("fax", ("a.docx", b"1", "application/octet-stream"), True),
        (
            "fax",
            ("a.x", b"1", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
            True,
        ),
        ("fax", ("a.zip", b"1", "application/zip"), False),
        ("fax", ("50%.pdf", PDF, "application/pdf"), False),
        ("fax", ("", PDF, "application/pdf"), True),
    ],
)
async def test_only_some_types_and_names_of_files_are_sent(
    path: str, file: tuple[str, bytes, str], fine: bool
) -> None:
    async with running() as (simulator, http):
        fields = sms(simulator) if path == "mms" else {"to": [{"phoneNumber": "14155550100"}]}
        parts = [("json", ("request.json", json_bytes(fields), "application/json")), ("attachment", file)]
        answer = await http.post(f"{MINE}/{path}", files=parts)
        if fine:
            assert answer.raise_for_status().json()["to"][0]["phoneNumber"] == "+14155550100"
        else:
            assert code(answer) == (400, "CMN-101")


async def test_own_numbers_say_what_they_send() -> None:
    async with running() as (simulator, http):
        listed = (await http.get(f"{MINE}/phone-number")).raise_for_status()
        assert listed.headers["x-rate-limit-group"] == "light"
        numbers = {record["phoneNumber"]: record for record in listed.json()["records"]}
        text_only = sms(simulator) | {"from": {"phoneNumber": "+18885558300"}}
        assert [number["features"] for number in numbers.values()] == [
            ["CallerId", "SmsSender", "MmsSender"],
            ["CallerId", "SmsSender"],
            ["CallerId"],
        ]
        sent = (await http.post(f"{MINE}/sms", json=text_only)).raise_for_status().json()
        assert sent["from"]["phoneNumber"] == "+18885558300"
        parts = [
            ("json", ("request.json", json_bytes(text_only), "application/json")),
            ("attachment", ("cat.gif", GIF, "image/gif")),
        ]
        assert code(await http.post(f"{MINE}/sms", files=parts)) == (400, "MSG-242")
        direct = await http.get(f"{MINE}/phone-number", params={"usageType": "MainCompanyNumber"})
        assert [record["phoneNumber"] for record in direct.json()["records"]] == ["+16505550100"]


@pytest.mark.parametrize("path", ["sms", "mms", "company-pager", "fax"])
async def test_nobody_sends_for_others(path: str) -> None:
    async with running() as (simulator, http):
        zoe = simulator.account.extensions[1]
        fields = {"from": {"phoneNumber": zoe.phone_number}, "to": [{"phoneNumber": "+14155550100"}]}
        theirs = MINE.replace("extension/~", f"extension/{zoe.id}")
        assert code(await http.post(f"{theirs}/{path}", json=fields | {"text": "Hi"})) == (403, "CMN-408")
        assert simulator.journal.violations() == []


def test_multipart_bodies_come_out_as_they_went_in() -> None:
    content_type, body = mixed([b'{"a": 1}', b"", "é".encode()])
    pieces = parse(content_type, body)
    assert pieces is not None
    assert [piece.data for piece in pieces] == [b'{"a": 1}', b"", "é".encode()]
    assert parse("application/json", b"{}") is None
    assert parse("multipart/mixed; boundary=x", b"no boundary here") is None


BOUNDED = "multipart/form-data; boundary=x"


def test_parts_may_be_encoded_or_bare_or_contain_a_delimiter_like_line() -> None:
    body = (
        b"a preamble\r\n--x  \r\nContent-Type: Image/PNG; a=b\r\nContent-Transfer-Encoding: Base64\r\n"
        b'Content-Disposition: form-data; name="file"; filename="\xc3\xa4.png"\r\n\r\niVBO\r\nRw==\r\n'
        b"--x\r\n\r\nno header --x\n--x\r\n--x--\r\nan epilogue"
    )
    pieces = parse(BOUNDED, body)
    assert pieces is not None
    encoded, bare = pieces
    assert (encoded.content_type, encoded.data, encoded.name) == ("image/png", b"\x89PNG", "file")
    assert (bare.content_type, bare.data, bare.file_name) == ("text/plain", b"no header --x\n--x", "")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (BOUNDED, b""),
        (BOUNDED, b"--x\r\n\r\nthe end is missing\r\n"),
        ("multipart/form-data", b"--x\r\n\r\n\r\n--x--\r\n"),
        ("application/json", b"{}"),
    ],
)
def test_bodies_without_parts(content_type: str, body: bytes) -> None:
    assert parse(content_type, body) is None


def json_bytes(value: Any) -> bytes:
    return httpx.Request("POST", "http://x", json=value).content
