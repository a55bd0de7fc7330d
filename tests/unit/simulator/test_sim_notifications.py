"""WebSockets of the simulator: tokens, frames, subscriptions, events, recovery."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import httpx
import pytest

from rcfs.model import Plan, UsageGroup
from rcfs.simulator import AccountSpec, Simulator, SimulatorConfig
from rcfs.simulator._notifications import (
    RECOVERY_FRAMES,
    RECOVERY_S,
    TOKEN_LIFETIME_S,
    Notifications,
)
from rcfs.simulator._params import iso_time
from rcfs.simulator._wire import ApiError
from rcfs.simulator.account._events import EventFilter, MadeUpEvent
from rcfs.simulator.account._plan import DAY_S
from rcfs.simulator.login._auth import Session
from tests.fakes.simulated import in_process, logged_in
from tests.fakes.websocket import Socket, connected

SUBSCRIPTIONS = "/restapi/v1.0/subscription"
MY_STORE = "/restapi/v1.0/account/~/extension/~/message-store"
WANTED = {"eventFilters": [MY_STORE], "deliveryMode": {"transportType": "WebSocket"}}
CHANGES = [{"type": "SMS", "newCount": 1, "updatedCount": 0, "newMessageIds": [5]}]


@asynccontextmanager
async def running(**settings: Any) -> AsyncIterator[tuple[Simulator, httpx.AsyncClient]]:
    config = attrs.evolve(SimulatorConfig(AccountSpec(messages=0)), **settings)
    async with in_process(config) as (simulator, endpoints), logged_in(endpoints) as http:
        yield simulator, http


async def socket_uri(http: httpx.AsyncClient) -> str:
    token = (await http.post("/restapi/oauth/wstoken")).raise_for_status().json()
    return f"{token['uri']}?access_token={token['ws_access_token']}"


@asynccontextmanager
async def opened(http: httpx.AsyncClient) -> AsyncIterator[tuple[Socket, dict[str, Any]]]:
    """A WebSocket, and the ``wsc`` of its first frame."""
    async with connected(await socket_uri(http)) as socket:
        meta, details = await socket.hear()
        assert (meta["type"], meta["status"]) == ("ConnectionDetails", 200)
        assert meta["headers"]["RCRequestId"]
        assert details["recoveryTimeout"] == 180
        assert "recoveryState" not in details
        yield socket, meta["wsc"]


async def notify(http: httpx.AsyncClient, extension_id: int) -> None:
    body = {"extension_id": extension_id, "changes": CHANGES}
    assert (await http.post("/simulator/notify", json=body)).status_code == 204


async def test_a_subscriber_hears_of_changes() -> None:
    async with running() as (simulator, http), opened(http) as (socket, mark):
        me, other = simulator.account.extensions[:2]
        # The documentation's example has a slash at the end.
        meta, subscription = await socket.ask("POST", SUBSCRIPTIONS + "/", WANTED)
        assert (meta["status"], meta["wsc"]["sequence"]) == (200, mark["sequence"] + 1)
        store = f"/restapi/v1.0/account/{simulator.account.account_id}/extension/{me.id}/message-store"
        assert subscription["eventFilters"] == [store]
        await notify(http, other.id)
        await notify(http, me.id)
        meta, event = await socket.hear()
        assert (meta["type"], meta["messageId"]) == ("ServerNotification", event["uuid"])
        assert (event["event"], event["subscriptionId"]) == (store, subscription["id"])
        assert event["body"].items() >= {"extensionId": str(me.id), "changes": CHANGES}.items()


async def test_a_change_of_the_store_is_delivered() -> None:
    async with running(spec=AccountSpec(messages=50)) as (simulator, http), opened(http) as (socket, _):
        await socket.ask("POST", SUBSCRIPTIONS, WANTED)
        me = simulator.account.extensions[0].id
        message = simulator.account.message(me, simulator.account.message_ids(me)[-1])
        assert message is not None
        wanted = "Unread" if message.read_status == "Read" else "Read"
        changed = await http.put(f"{MY_STORE}/{message.id}", json={"readStatus": wanted})
        assert changed.status_code == 200
        _, event = await socket.hear()
        assert event["body"]["changes"] == [{"type": message.type, "newCount": 0, "updatedCount": 1}]


async def arrive(http: httpx.AsyncClient, simulator: Simulator, kind: str) -> int:
    body = {"extension_id": simulator.account.extensions[0].id, "type": kind}
    message_id: int = (await http.post("/simulator/arrive", json=body)).raise_for_status().json()["id"]
    return message_id


async def test_each_filter_delivers_its_own_events() -> None:
    mine = MY_STORE.removesuffix("message-store")
    outbound, instant = "message-store?type=Fax&direction=Outbound", "message-store/instant?type=SMS"
    filters = [mine + path for path in (instant, "voicemail", "fax?direction=Inbound", outbound)]
    async with running() as (simulator, http), opened(http) as (socket, _):
        me = simulator.account.extensions[0]
        _, made = await socket.ask("POST", SUBSCRIPTIONS, {**WANTED, "eventFilters": filters})
        ids = simulator.account.account_id, me.id
        resolved = [path.replace("~", str(ids[0]), 1).replace("~", str(ids[1]), 1) for path in filters]
        assert made["eventFilters"] == resolved
        heard = {}
        for kind in ("Pager", "SMS", "VoiceMail", "Fax"):
            message_id = await arrive(http, simulator, kind)
            await http.put(f"{MY_STORE}/{message_id}", json={"readStatus": "Read"})
            if kind != "Pager":
                _, event = await socket.hear()
                heard[event["event"]] = event["body"]
                assert str(event["body"]["id"]) == str(message_id)
        assert list(heard) == resolved[:3], "no Pager, nothing that was only read, nothing twice"
        sms, voicemail, fax = heard.values()
        assert (sms["type"], sms["direction"], sms["ownerId"]) == ("SMS", "Inbound", str(me.id))
        assert sms["subject"]
        assert sms["conversationId"] == sms["conversation"]["id"]
        assert (voicemail["type"], type(voicemail["id"])) == ("Voicemail", int)
        assert (fax["type"], type(fax["id"])) == ("Fax", str)
        files = {"attachment": ("a.txt", b"Hello", "text/plain")}
        sent = await http.post(mine + "fax", data={"to": "+14155550100"}, files=files)
        _, event = await socket.hear()
        assert event["event"] == resolved[3]
        new = {"type": "Fax", "newCount": 1, "updatedCount": 0, "newMessageIds": [sent.json()["id"]]}
        assert event["body"]["changes"] == [new]


async def test_every_event_of_a_day_is_delivered_when_it_happens() -> None:
    plans = {UsageGroup("light"): Plan(1000)}
    async with running(plans=plans) as (simulator, http), opened(http) as (socket, _):
        account = simulator.account
        stores = [
            MY_STORE.replace("extension/~", f"extension/{extension.id}")
            for extension in account.extensions
            if not extension.mailbox_refused
        ]
        await socket.ask("POST", SUBSCRIPTIONS, {**WANTED, "eventFilters": stores})
        coming = (await http.post("/simulator/day", json={"speed": 1e7})).json()["messages"]
        told: list[tuple[str, int]] = []
        while len(told) < coming:
            _, event = await socket.hear()
            assert event["timestamp"] == event["body"]["lastUpdated"]
            for change in event["body"]["changes"]:
                told += [(event["timestamp"], message_id) for message_id in change.get("newMessageIds", [])]
        assert told == sorted(told), "in the order of time, whatever the mailbox"
        stored = {
            message_id: iso_time(message.created_s or 0)
            for extension in account.extensions
            for message_id in account.message_ids(extension.id)
            if (message := account.message(extension.id, message_id))
        }
        assert {message_id: at for at, message_id in told} == stored
        assert not [e for e in simulator.journal.entries() if e.group == "light"], "nobody has asked"


async def test_moving_the_clock_delivers_due_events_at_once() -> None:
    async with running() as (simulator, http), opened(http) as (socket, _):
        await socket.ask("POST", SUBSCRIPTIONS, WANTED)
        message_id = await arrive(http, simulator, "Fax")
        await http.delete(f"{MY_STORE}/{message_id}")
        for _ in range(2):
            await socket.hear()
        message = simulator.account.message(simulator.account.extensions[0].id, message_id)
        assert message is not None
        deleted_s = message.last_modified
        await http.post("/simulator/clock", json={"advance_s": 30 * DAY_S})
        _, event = await socket.hear()
        assert event["timestamp"] == iso_time(deleted_s + 5 * DAY_S), "then it was purged"
        assert (await http.get(f"{MY_STORE}/{message_id}")).status_code == 404, "erased without a word"


@pytest.mark.parametrize("how", ["revoked", "oldest"])
async def test_a_socket_ends_with_its_login(how: str) -> None:
    plans = {UsageGroup("auth"): Plan(1000)}
    config = SimulatorConfig(AccountSpec(messages=0), plans)
    async with (
        in_process(config) as (_, endpoints),
        logged_in(endpoints) as http,
        opened(http) as (socket, mark),
    ):
        unused = await socket_uri(http)
        token = http.headers["Authorization"].removeprefix("Bearer ")
        if how == "revoked":
            basic = (endpoints.client_id, endpoints.client_secret)
            await http.post("/restapi/oauth/revoke", data={"token": token}, auth=basic)
        else:
            for _ in range(5):
                async with logged_in(endpoints):
                    pass
        meta, error = await socket.hear()
        assert (meta["type"], meta["status"], error["errorCode"]) == ("Error", 401, "OAU-213")
        assert await socket.hear() is None
        assert socket.close_code == 1008
        async with connected(unused) as late:
            assert (await late.hear())[0]["status"] == 401
        async with (
            logged_in(endpoints) as again,
            connected(f"{await socket_uri(again)}&wsc={mark['token']}") as other,
        ):
            assert (await other.hear())[1]["recoveryState"] == "Failed"


async def test_a_refreshed_login_keeps_its_socket() -> None:
    async with running() as (simulator, http), opened(http) as (socket, _):
        await socket.ask("POST", SUBSCRIPTIONS, WANTED)
        (session,) = simulator.auth._sessions
        form = {"grant_type": "refresh_token", "refresh_token": session.refresh_token}
        app = simulator.auth.credentials.client_id, simulator.auth.credentials.client_secret
        login = await http.post("/restapi/oauth/token", data=form, auth=app)
        assert login.status_code == 200
        await notify(http, simulator.account.extensions[0].id)
        assert (await socket.hear())[0]["type"] == "ServerNotification"


async def test_requests_over_a_socket_are_counted_and_recorded() -> None:
    async with (
        running(plans={UsageGroup("medium"): Plan(1)}) as (simulator, http),
        opened(http) as (socket, _),
    ):
        first, _ = await socket.ask("POST", SUBSCRIPTIONS, WANTED)
        assert first["headers"]["X-Rate-Limit-Group"] == "medium"
        second, error = await socket.ask("POST", SUBSCRIPTIONS, WANTED)
        assert (second["status"], error["errorCode"]) == (429, "CMN-301")
        assert second["headers"]["Retry-After"] == "60"
        entries = simulator.journal.entries(operation="createSubscription")
        assert [(e.status, e.remaining, e.done) for e in entries] == [(200, 0, True), (429, 0, True)]


async def test_subscriptions_over_http() -> None:
    async with running() as (simulator, http):
        refused = await http.post(SUBSCRIPTIONS, json=WANTED)
        assert refused.status_code == 400, "there is no WebSocket to tell"
        async with opened(http) as (socket, _):
            made = (await http.post(SUBSCRIPTIONS, json=WANTED)).raise_for_status().json()
            one = f"{SUBSCRIPTIONS}/{made['id']}"
            assert made["uri"] == str(http.base_url).rstrip("/") + one
            assert (await http.get(SUBSCRIPTIONS)).json()["records"][0]["id"] == made["id"]
            assert (await http.get(one)).json()["creationTime"] == made["creationTime"]
            renewed = (await http.post(f"{one}/renew")).raise_for_status().json()
            assert renewed["expirationTime"] > made["expirationTime"]
            other = simulator.account.extensions[1]
            theirs = MY_STORE.replace("extension/~", f"extension/{other.id}")
            updated = (await http.put(one, json={"eventFilters": [theirs]})).raise_for_status().json()
            assert updated["eventFilters"][0].endswith(f"/extension/{other.id}/message-store")
            await notify(http, simulator.account.extensions[0].id)
            await notify(http, other.id)
            assert (await socket.hear())[1]["body"]["extensionId"] == str(other.id)
            again = (await http.post(SUBSCRIPTIONS, json=WANTED)).json()
            assert (await http.get(one)).status_code == 404, "a further one replaces it"
            assert (await http.delete(f"{SUBSCRIPTIONS}/{again['id']}")).status_code == 204
            assert (await http.get(SUBSCRIPTIONS)).json()["records"] == []


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "CMN-100"),
        ({}, 400, "CMN-101"),
        ({**WANTED, "deliveryMode": {"transportType": "WebHook", "address": "x"}}, 400, "SUB-521"),
        ({**WANTED, "eventFilters": []}, 400, "CMN-101"),
        ({**WANTED, "eventFilters": [MY_STORE, MY_STORE + "/instant"]}, 400, "CMN-101"),
        ({**WANTED, "eventFilters": [MY_STORE + "?type=Letter"]}, 400, "CMN-101"),
        ({**WANTED, "eventFilters": [MY_STORE + "?readStatus=Read"]}, 400, "CMN-101"),
        ({**WANTED, "eventFilters": [MY_STORE.replace("account/~", "account/1")]}, 400, "CMN-101"),
        ({**WANTED, "eventFilters": ["/restapi/v1.0/account/~/message-store"]}, 400, "CMN-101"),
        ({**WANTED, "eventFilters": ["/restapi/v1.0/account/~/extension/~/presence"]}, 400, "CMN-101"),
        ({**WANTED, "eventFilters": [MY_STORE.replace("extension/~", "extension/1")]}, 400, "CMN-101"),
    ],
)
async def test_subscriptions_that_are_refused(body: Any, status: int, code: str) -> None:
    async with running() as (_, http):
        content = {"content": body} if isinstance(body, bytes) else {"json": body}
        answer = await http.post(SUBSCRIPTIONS, **content)
        assert (answer.status_code, answer.json()["errorCode"]) == (status, code)


async def test_subscriptions_to_forbidden_mailboxes_are_refused() -> None:
    async with running(standard_user=True) as (simulator, http), opened(http) as (socket, _):
        theirs = MY_STORE.replace("extension/~", f"extension/{simulator.account.extensions[0].id}")
        meta, error = await socket.ask("POST", SUBSCRIPTIONS, {**WANTED, "eventFilters": [theirs]})
        assert (meta["status"], error["errorCode"]) == (403, "CMN-419")
    async with running(missing_scopes=["ReadMessages"]) as (_, http), opened(http) as (socket, _):
        meta, error = await socket.ask("POST", SUBSCRIPTIONS, WANTED)
        assert (meta["status"], error["errorCode"]) == (403, "CMN-401")


async def test_a_token_opens_one_socket() -> None:
    async with running() as (_, http):
        uri = await socket_uri(http)
        async with connected(uri) as socket:
            assert (await socket.hear())[0]["type"] == "ConnectionDetails"
        async with connected(uri) as socket:
            meta, error = await socket.hear()
            assert (meta["type"], meta["status"], error["errorCode"]) == ("Error", 401, "OAU-213")
            assert await socket.hear() is None
            assert socket.close_code == 1008
        with pytest.raises(ConnectionRefusedError):
            async with connected(uri.replace("/ws?", "/elsewhere?")):
                pass


async def test_a_client_that_reconnects_gets_the_missed_events() -> None:
    async with running(plans={UsageGroup("medium"): Plan(1000)}) as (simulator, http):
        me = simulator.account.extensions[0].id
        async with opened(http) as (socket, mark):
            await socket.ask("POST", SUBSCRIPTIONS, WANTED)
        # Over HTTP a subscription needs an open WebSocket. A refusal shows that the server noticed the end of
        # it.
        while (await http.post(SUBSCRIPTIONS, json=WANTED)).status_code != 400:
            pass
        await notify(http, me)
        async with connected(f"{await socket_uri(http)}&wsc={mark['token']}") as socket:
            assert (await socket.hear())[1]["recoveryState"] == "Successful"
            assert (await socket.hear())[0]["type"] == "ServerNotification"
            await notify(http, me)
            assert (await socket.hear())[0]["type"] == "ServerNotification"
        async with connected(f"{await socket_uri(http)}&wsc=unknown") as socket:
            assert (await socket.hear())[1]["recoveryState"] == "Failed"


async def test_heartbeats_pings_and_nonsense() -> None:
    async with running() as (_, http), opened(http) as (socket, _):
        await socket.say({"type": "Heartbeat", "messageId": "7"})
        (beat,) = await socket.hear()
        assert (beat["type"], beat["messageId"]) == ("Heartbeat", "7")
        await socket.ping()
        for text in ("", "{}", "[]", "[1]", '[{"type": "?"}]'):
            await socket.say_text(text)
            assert (await socket.hear())[0]["type"] == "Error"
        meta, error = await socket.ask("GET", "/restapi/v1.0/account/~")
        assert (meta["status"], error["errorCode"]) == (404, "CMN-404"), "only subscriptions"


async def test_a_silent_client_is_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rcfs.simulator._socket.IDLE_TIMEOUT_S", 0.05)
    async with running() as (_, http), opened(http) as (socket, _):
        assert (await socket.hear())[1]["errorCode"] == "WSG-902"
        assert await socket.hear() is None


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'{"extension_id": "1", "changes": []}', b'{"extension_id": 1}']
)
async def test_malformed_notifications_are_refused(body: bytes) -> None:
    async with running() as (_, http):
        assert (await http.post("/simulator/notify", content=body)).status_code == 400


LOGIN = Session("s", 7, "app", is_public=False, scopes=frozenset(), access_token="a", expires_at=9e9,
                refresh_token="r", refresh_expires_at=9e9)  # fmt: skip


def test_a_socket_token_expires() -> None:
    hub = Notifications()
    late, soon = hub.issue_token(LOGIN, 0.0), hub.issue_token(LOGIN, 1.0)
    with pytest.raises(ApiError, match="OAU-213"):
        hub.open(late, "", TOKEN_LIFETIME_S)
    assert hub.open(soon, "", TOKEN_LIFETIME_S)[1] == ""


async def test_a_lost_channel_keeps_the_newest_events_for_a_while() -> None:
    hub = Notifications()
    channel, _ = hub.open(hub.issue_token(LOGIN, 0.0), "", 0.0)
    hub.subscribe(channel, [EventFilter(7)], 0.0)
    hub.close(channel, 100.0)
    for number in range(RECOVERY_FRAMES + 1):
        hub.notify(MadeUpEvent(7, [{"newCount": number}], 0.0), 1, 0.0)
    now = 100.0 + RECOVERY_S - 1
    recovered, state = hub.open(hub.issue_token(LOGIN, now), channel.token, now)
    assert (recovered, state) == (channel, "Successful")
    assert (await channel.wait_event())[1]["body"]["changes"] == [{"newCount": 1}], "the oldest is lost"
    hub.close(channel, now)
    later = now + RECOVERY_S
    assert hub.open(hub.issue_token(LOGIN, later), channel.token, later)[1] == "Failed"
    assert hub.subscribed(LOGIN, later) == []


def test_only_the_same_login_recovers_a_channel() -> None:
    hub = Notifications()
    channel, _ = hub.open(hub.issue_token(LOGIN, 0.0), "", 0.0)
    assert hub.open(hub.issue_token(LOGIN, 0.0), channel.token, 0.0)[1] == "Failed", "it is in use"
    hub.close(channel, 0.0)
    stranger = attrs.evolve(LOGIN, user=8)
    assert hub.open(hub.issue_token(stranger, 0.0), channel.token, 0.0)[1] == "Failed"


async def test_subscribers_hear_of_a_call_of_an_extension_or_of_the_account() -> None:
    company = "/restapi/v1.0/account/~/telephony/sessions"
    mine = MY_STORE.replace("message-store", "telephony/sessions")
    async with running(calls=0) as (simulator, http), opened(http) as (socket, _):
        me, other = simulator.account.extensions[0], simulator.account.extensions[2]
        filters = [f"{company}?statusCode=Disconnected&withRecordings=true", f"{mine}?direction=Inbound"]
        _, made = await socket.ask("POST", SUBSCRIPTIONS, {**WANTED, "eventFilters": filters})
        base = f"/restapi/v1.0/account/{simulator.account.account_id}"
        company_path, my_path = made["eventFilters"]
        assert company_path == f"{base}/telephony/sessions?statusCode=Disconnected&withRecordings=true"
        assert my_path == f"{base}/extension/{me.id}/telephony/sessions?direction=Inbound"
        call = (await http.post("/simulator/call", json={"extension_id": me.id})).json()
        heard = [(await socket.hear())[1] for _ in range(5)]
        own = [event["body"] for event in heard if event["event"] == my_path]
        assert [body["parties"][0]["status"]["code"] for body in own] == [
            "Setup",
            "Proceeding",
            "Answered",
            "Disconnected",
        ]
        assert [body["sequence"] for body in own] == [1, 2, 3, 4]
        assert {body["extensionId"] for body in own} == {str(me.id)}
        (whole,) = [event["body"] for event in heard if event["event"] == company_path]
        assert whole["telephonySessionId"] == call["telephony_session_id"]
        assert whole["sessionId"] == call["session_id"]
        (party,) = whole["parties"]
        assert (party["extensionId"], party["direction"]) == (str(me.id), "Inbound")
        assert party["recordings"] == [{"id": str(call["recording_ids"][0]), "active": False}]
        assert party["from"]["phoneNumber"] == "+12125557464"
        # The filter of the account wants recorded calls only; that of the extension only its own.
        quiet = {"extension_id": other.id, "recording_after_s": None}
        await http.post("/simulator/call", json=quiet)
        loud = (await http.post("/simulator/call", json={"extension_id": other.id})).json()
        _, event = await socket.hear()
        assert (event["event"], event["body"]["sessionId"]) == (company_path, loud["session_id"])


@pytest.mark.parametrize(
    ("settings", "path", "code"),
    [
        ({"missing_scopes": ["CallControl"]}, "extension/~/telephony/sessions", "CMN-401"),
        ({"missing_scopes": ["CallControl"]}, "telephony/sessions", "CMN-401"),
        ({"standard_user": True}, "telephony/sessions", "CMN-408"),
        ({}, "telephony/sessions?sipData=true", "CMN-101"),
        ({}, "telephony/sessions?statusCode=Ringing", "CMN-101"),
        ({}, "message-store", "CMN-101"),
    ],
)
async def test_events_about_calls_need_the_right_to_control_calls(
    settings: dict[str, Any], path: str, code: str
) -> None:
    async with running(**settings) as (_, http), opened(http):
        wanted = {**WANTED, "eventFilters": [f"/restapi/v1.0/account/~/{path}"]}
        answer = await http.post(SUBSCRIPTIONS, json=wanted)
        assert answer.status_code == (400 if code == "CMN-101" else 403)
        assert answer.json()["errorCode"] == code
