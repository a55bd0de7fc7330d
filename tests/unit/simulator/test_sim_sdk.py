"""The official Python SDK, unmodified, against the simulator: if it works, the simulator is close enough."""

from collections.abc import Iterator
from typing import Any

import pytest
from ringcentral import SDK
from ringcentral.http.api_exception import ApiException

from tests.fakes.simulated import Simulated, start

MAILBOX = "/account/~/extension/~"
STORE = f"{MAILBOX}/message-store"
EVER = {"dateFrom": "2020-01-01T00:00:00+00:00", "perPage": 100}
VENDOR = "application/vnd.ringcentral.multipart+json"


@pytest.fixture(scope="module")
def simulated() -> Iterator[Simulated]:
    with start("--messages=190", "--limit=light=1000", "--limit=medium=1000") as running:
        yield running


@pytest.fixture
def sdk(simulated: Simulated) -> Iterator[SDK]:
    """The SDK with a login; afterwards the budget of logins is restored for the next test."""
    simulated.plans(auth={"limit": 1000})
    sdk = SDK(simulated.client_id, simulated.client_secret, simulated.platform_url)
    sdk.platform().login(jwt=simulated.jwt)
    yield sdk
    if sdk.platform().auth().access_token():
        sdk.platform().logout()


def listed(sdk: SDK, **query: Any) -> list[dict[str, Any]]:
    """The messages of all pages of the mailbox."""
    records: list[dict[str, Any]] = []
    url, parameters = STORE, {**EVER, **query}
    while url:
        page = sdk.platform().get(url, parameters).json_dict()
        records += page["records"]
        url, parameters = page["navigation"].get("nextPage", {}).get("uri", ""), {}
    return records


def test_it_logs_in_refreshes_and_logs_out(simulated: Simulated, sdk: SDK) -> None:
    platform = sdk.platform()
    assert platform.logged_in()
    first = platform.auth().access_token()
    platform.refresh()
    assert platform.auth().access_token() != first
    assert platform.get("/account/~").json().mainNumber.startswith("+1")
    platform.logout()
    with pytest.raises(ApiException):
        SDK(simulated.client_id, "wrong", simulated.platform_url).platform().login(jwt=simulated.jwt)


def test_it_lists_with_filters_and_pages(sdk: SDK) -> None:
    everything = listed(sdk)
    assert listed(sdk, perPage=7) == everything
    assert listed(sdk, messageType=["Fax", "VoiceMail"]) == [
        record for record in everything if record["type"] in ("Fax", "VoiceMail")
    ]
    number = next(r["from"]["phoneNumber"] for r in everything if r["type"] == "SMS")
    assert number.startswith("+")
    assert listed(sdk, phoneNumber=number), "the SDK sends the plus sign as it is"


def test_it_reads_in_bulk(sdk: SDK) -> None:
    first, second, *_ = listed(sdk)
    parts = sdk.platform().get(f"{STORE}/{first['id']},7,{second['id']}").multipart()
    assert [part.ok() for part in parts] == [True, False, True]
    assert [parts[0].json_dict(), parts[2].json_dict()] == [first, second]
    assert "CMN-102" in parts[1].error()
    answer = sdk.platform().get(f"{STORE}/{first['id']},7", headers={"Accept": VENDOR})
    assert [entry["status"] for entry in answer.response().json()] == [200, 404]


def test_it_downloads_contents_byte_by_byte(simulated: Simulated, sdk: SDK) -> None:
    truth = {(row["message_id"], row["attachment_id"]): row for row in simulated.truth()}
    files = {a["type"]: (r, a) for r in listed(sdk) for a in r["attachments"]}
    assert {"AudioRecording", "RenderedDocument", "MmsAttachment", "Text"} <= set(files)
    for message, attachment in files.values():
        body = sdk.platform().get(attachment["uri"]).body()
        assert len(body) == truth[message["id"], attachment["id"]]["size_bytes"]


def test_it_updates_sends_and_deletes(sdk: SDK) -> None:
    platform = sdk.platform()
    inbound = [record for record in listed(sdk) if record["direction"] == "Inbound"][:3]
    url = f"{STORE}/{inbound[0]['id']}"
    assert platform.put(url, {"readStatus": "Unread"}).json().readStatus == "Unread"
    assert platform.patch(url, {"readStatus": "Read"}).json().readStatus == "Read"
    sender = inbound[0]["to"][0]["phoneNumber"]
    text = {"from": {"phoneNumber": sender}, "to": [{"phoneNumber": "+14155550100"}], "text": "Hello"}
    message = platform.post(f"{MAILBOX}/sms", text).json_dict()
    builder = sdk.create_multipart_builder().set_body({k: v for k, v in text.items() if k != "text"})
    builder.add(("a.vcf", "some text", "text/vcard"))
    picture = platform.send_request(builder.request(f"{MAILBOX}/mms")).json_dict()
    assert platform.get(picture["attachments"][0]["uri"]).text() == "some text"
    assert [r["id"] for r in listed(sdk)[:2]] == [picture["id"], message["id"]]
    assert platform.delete(url).response().status_code == 204
    ids = f"{message['id']},{picture['id']}"
    assert platform.delete(f"{STORE}/{ids}", query_params={"purge": "true"}).response().status_code == 204
    states = [
        part.json().availability for part in platform.get(f"{STORE}/{ids},{inbound[0]['id']}").multipart()
    ]
    assert states == ["Purged", "Purged", "Deleted"]
    assert platform.patch(url, {"availability": "Alive"}).json().availability == "Alive"


def test_it_synchronises(sdk: SDK) -> None:
    full = sdk.platform().get(f"{MAILBOX}/message-sync", {"syncType": "FSync", **EVER}).json_dict()
    token = full["syncInfo"]["syncToken"]
    query = {"syncType": "ISync", "syncToken": token}
    sdk.platform().put(f"{STORE}/{full['records'][0]['id']}", {"readStatus": "Unread"})
    changes = sdk.platform().get(f"{MAILBOX}/message-sync", query).json_dict()
    assert full["records"][0]["id"] in [record["id"] for record in changes["records"]]
