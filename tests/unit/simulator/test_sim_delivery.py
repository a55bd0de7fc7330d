"""Delivery of what clients sent: states, failures, and scheduled faxes."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from rcfs.model import Plan, UsageGroup
from rcfs.simulator import AccountSpec, Simulator, SimulatorConfig
from rcfs.simulator.account._failing import FAILING_FAX, FAILING_SMS
from rcfs.simulator.account._message_sent import FAX_PAGE_S, SMS_ARRIVES_S, SMS_GOES_OUT_S
from tests.fakes.simulated import in_process, logged_in

MINE = "/restapi/v1.0/account/~/extension/~"
STORE = f"{MINE}/message-store"
PDF = b"/Type /Page\n" * 2
CONFIG = SimulatorConfig(
    AccountSpec(messages=0), plans={UsageGroup(g): Plan(limit=1000) for g in ("light", "medium", "heavy")}
)


@asynccontextmanager
async def running() -> AsyncIterator[tuple[Simulator, httpx.AsyncClient]]:
    async with in_process(CONFIG) as (simulator, endpoints), logged_in(endpoints) as http:
        yield simulator, http


async def later(http: httpx.AsyncClient, message: dict[str, Any], seconds: float) -> dict[str, Any]:
    """The record of a message some time later."""
    await http.post("/simulator/clock", json={"advance_s": seconds})
    found: dict[str, Any] = (await http.get(f"{STORE}/{message['id']}")).raise_for_status().json()
    return found


async def test_a_text_is_sent_and_then_delivered_or_not() -> None:
    async with running() as (simulator, http):
        own = simulator.account.extensions[0].phone_number

        async def send(*numbers: str) -> dict[str, Any]:
            to = [{"phoneNumber": number} for number in numbers]
            body = {"from": {"phoneNumber": own}, "to": to, "text": "Hi"}
            sent: dict[str, Any] = (await http.post(f"{MINE}/sms", json=body)).raise_for_status().json()
            assert sent["messageStatus"] == "Queued"
            return sent

        failing = {(await send(number))["id"]: error for number, error in FAILING_SMS.items()}
        some = (await send("+14155550100", "+12025551413"))["id"]
        out = await later(http, await send("+12025553411"), SMS_GOES_OUT_S)
        assert (out["messageStatus"], "deliveryErrorCode" in out) == (
            "Sent",
            False,
        )
        await http.post("/simulator/clock", json={"advance_s": SMS_ARRIVES_S})
        for record in (await http.get(STORE)).json()["records"]:
            error = failing.get(record["id"], "SMS-RC-413" if record["id"] == some else "SMS-CAR-411")
            status = "DeliveryFailed" if error.startswith("SMS-CAR") else "SendingFailed"
            assert (record["messageStatus"], record["deliveryErrorCode"]) == (status, error)
        assert FAILING_SMS["+12025551413"] == "SMS-RC-413"


async def test_a_fax_fails_for_some_of_its_recipients() -> None:
    async with running() as (_, http):
        numbers = [*FAILING_FAX, "+14155550100"]
        files = [
            ("attachment", ("a.txt", b"line\n" * 31, "text/plain")),
            ("attachment", ("a.png", b"1", "image/png")),
        ]
        fax = (await http.post(f"{MINE}/fax", data={"to": numbers}, files=files)).raise_for_status().json()
        assert fax["faxPageCount"] == 3
        done = await later(http, fax, 3 * FAX_PAGE_S)
        *failed, fine = done["to"]
        assert done["messageStatus"] == "SendingFailed"
        assert {party["phoneNumber"]: party["faxErrorCode"] for party in failed} == FAILING_FAX
        assert {party["messageStatus"] for party in failed} == {"SendingFailed"}
        assert (fine["messageStatus"], "faxErrorCode" in fine) == ("Sent", False)
        long = {"attachment": ("a.pdf", b"/Type /Page\n" * 201, "application/pdf")}
        fax = (await http.post(f"{MINE}/fax", data={"to": "+14155550100"}, files=long)).json()
        done = await later(http, fax, 200 * FAX_PAGE_S)
        assert done["to"][0]["faxErrorCode"] == "TooManyPages"


async def test_a_scheduled_fax_waits_and_its_deletion_cancels_it() -> None:
    async with running() as (_, http):
        pdf = {"attachment": ("scan.pdf", PDF, "application/pdf")}
        now = (await http.get("/simulator/clock")).json()["time"]
        hour = datetime.fromisoformat(now) + timedelta(hours=1)
        form = {"to": "+14155550100", "sendTime": hour.isoformat()}
        kept, cancelled = [
            (await http.post(f"{MINE}/fax", data={**form, "coverPageText": cover}, files=pdf)).json()
            for cover in ("keep", "cancel")
        ]
        await http.delete(f"{STORE}/{cancelled['id']}")
        assert (await later(http, kept, 3500))["messageStatus"] == "Queued"
        assert (await later(http, kept, 100 + 2 * FAX_PAGE_S))["messageStatus"] == "Sent"
        await http.patch(f"{STORE}/{cancelled['id']}", json={"availability": "Alive"})
        assert (await later(http, cancelled, 3600))["messageStatus"] == "Queued", "too late to bring it back"
        sends = (await http.get("/simulator/sends")).json()
        assert [(s["id"], s["out_s"] is None) for s in sends] == [
            (str(kept["id"]), False),
            (str(cancelled["id"]), True),
        ]
        assert sends[0]["files"] == [hashlib.sha256(PDF).hexdigest()]
        assert sends[0]["out_s"] == pytest.approx(hour.timestamp())
