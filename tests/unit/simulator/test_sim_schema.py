"""The simulator's answers against the official description of the API."""

import json
import re
from typing import Any

import httpx
import jsonschema
import pytest

from rcfs.model import Plan, UsageGroup
from rcfs.simulator import AccountSpec, SimulatorConfig
from rcfs.simulator._app import OPERATIONS
from rcfs.simulator.login._permissions import FEATURES, REQUIREMENTS
from tests.fakes.description import description, needs_description
from tests.fakes.simulated import in_process, logged_in
from tests.fakes.websocket import connected

pytestmark = needs_description

COMPANY = "/restapi/v1.0/account/~"
MINE = "/restapi/v1.0/account/~/extension/~"


PLENTY = {UsageGroup(group): Plan(limit=1000) for group in ("light", "medium", "heavy")}

UNDESCRIBED = {
    # A URI in the answer, and in the documentation.
    "dataExportDataset": "readDataExportTaskNew",
    # In the documentation only.
    "messageStoreReportArchiveContent": "readMessageStoreReportArchive",
    # A URI in the answer, outside /restapi.
    "presetContent": "readStandardGreeting",
    # In the official SDKs, which are made from a fuller description.
    "listIVRPrompts": "",
    "readIVRPrompt": "",
    "readIVRPromptContent": "",
    "createIVRPrompt": "",
    "deleteIVRPrompt": "",
}
"""Operations that the description lacks, each with the operation that leads to it; empty if the
description lacks that, too."""


DEVIATIONS = {
    # The guide to the export of team messages names these states, the schema does not.
    ("DataExportTask", "status", "AttemptFailed"),
    ("DataExportTask", "status", "Cancelled"),
}
"""(schema, field, value) that the simulator sends, only on demand, although the schema forbids it."""


def errors_in(value: Any, schema: str) -> list[jsonschema.ValidationError]:
    """Errors where `value` does not match the named schema of the description."""
    root = {"$ref": f"#/components/schemas/{schema}", "components": description()["components"]}
    validator = jsonschema.Draft202012Validator(root, format_checker=jsonschema.FormatChecker())
    return list(validator.iter_errors(value))


def check(value: Any, schema: str) -> None:
    """Fail unless `value` matches the named schema of the description."""
    errors = [f"{'/'.join(map(str, e.absolute_path))}: {e.message}" for e in errors_in(value, schema)]
    assert errors == []


def test_operations_have_the_documented_path_method_and_group() -> None:
    documented = {
        operation["operationId"]: (method.upper(), path, operation["x-throttling-group"].lower())
        for path, methods in description()["paths"].items()
        for method, operation in methods.items()
        if isinstance(operation, dict) and "operationId" in operation
    }
    for operation in OPERATIONS:
        if operation.id in UNDESCRIBED:
            assert operation.id not in documented
            continue
        path = re.sub(r"_(\w)(?=[^/]*})", lambda match: match[1].upper(), operation.path)
        path += "{messageId}" if path.endswith("message-store/") else ""  # the empty id
        assert documented[operation.id] == (operation.method, path, operation.group)


async def test_answers_match_their_schemas() -> None:
    # Too few messages for the account to contain hostile records, which violate the schemas on purpose.
    config = SimulatorConfig(AccountSpec(messages=190))
    async with in_process(config) as (simulator, endpoints), logged_in(endpoints) as http:
        everything = {
            "dateFrom": "2020-01-01T00:00:00Z",
            "perPage": "1000",
            "availability": ["Alive", "Deleted"],
        }

        async def fetch(path: str, **query: Any) -> Any:
            return (await http.get(path, params=query)).raise_for_status().json()

        check(await fetch("/restapi/v1.0/account/~"), "GetAccountInfoResponse")
        check(await fetch("/restapi/v1.0/account/~/extension", perPage="4"), "GetExtensionListResponse")
        check(await fetch("/restapi/v1.0/account/~/extension", page="9"), "GetExtensionListResponse")
        for extension in simulator.account.extensions:
            mailbox = f"/restapi/v1.0/account/~/extension/{extension.id}"
            check(await fetch(mailbox), "GetExtensionInfoResponse")
            if not extension.mailbox_refused:
                check(await fetch(f"{mailbox}/message-store", **everything), "GetMessageList")
        sync = await fetch(f"{MINE}/message-sync", syncType="FSync", **everything)
        check(sync, "GetMessageSyncResponse")
        newest = simulator.account.message(simulator.account.extensions[0].id, sync["records"][0]["id"])
        assert newest is not None
        newest.availability, newest.last_modified = "Deleted", config.spec.end_s + 1000
        changes = await fetch(
            f"{MINE}/message-sync", syncType="ISync", syncToken=sync["syncInfo"]["syncToken"]
        )
        assert changes["records"]
        check(changes, "GetMessageSyncResponse")
        # The schema for a single message requires vmSideRecipients, which only some voicemails can have.
        check(await fetch(f"{MINE}/message-store/{newest.id}"), "GetMessageInfoResponse")
        check(
            await fetch(f"{MINE}/authz-profile/check", permissionId="ReadMessages"),
            "AuthProfileCheckResource",
        )


async def test_calls_and_recordings_match_their_schemas() -> None:
    config = SimulatorConfig(AccountSpec(messages=190), PLENTY)
    async with in_process(config) as (_, endpoints), logged_in(endpoints) as http:

        async def fetch(path: str, **query: Any) -> Any:
            return (await http.get(path, params=query)).raise_for_status().json()

        for log in (f"{COMPANY}/call-log", f"{MINE}/call-log"):
            for view in ("Simple", "Detailed"):
                whole = await fetch(log, dateFrom="2020-01-01T00:00:00Z", perPage="max", view=view)
                check(whole, "CallLogResponse")
                check(await fetch(f"{log}/{whole['records'][0]['id']}", view=view), "CallLogRecord")
                sync = await fetch(f"{log}-sync", recordCount="250", view=view)
                check(sync, "CallLogSyncResponse")
                token = sync["syncInfo"]["syncToken"]
                changes = await fetch(f"{log}-sync", syncType="ISync", syncToken=token, recordCount="9")
                assert len(changes["records"]) == 9
                check(changes, "CallLogSyncResponse")
                recorded = next(record for record in whole["records"] if "recording" in record)
                check(await fetch(recorded["recording"]["uri"]), "GetCallRecordingResponse")
            check(await fetch(log, page="99"), "CallLogResponse")
        assert (await http.delete(f"{MINE}/call-log")).status_code == 204
        deleted = await fetch(f"{MINE}/call-log", dateFrom="2020-01-01T00:00:00Z", showDeleted="true")
        assert deleted["records"][0]["deleted"] is True
        check(deleted, "CallLogResponse")
        check((await http.get(f"{COMPANY}/call-log/1")).json(), "ApiErrorResponseModel")
        check((await http.get(f"{COMPANY}/recording/1")).json(), "ApiErrorResponseModel")


@pytest.mark.parametrize("settings", [{"calls": 20}, {"calls_per_day": 20, "call_days": 2}])
async def test_calls_that_happen_now_match_their_schemas(settings: dict[str, Any]) -> None:
    config = SimulatorConfig(AccountSpec(messages=0), PLENTY, **settings)
    async with in_process(config) as (simulator, endpoints), logged_in(endpoints) as http:
        ids = [extension.id for extension in simulator.account.extensions[:3]]
        wish = {"legs": [{"extension_id": one} for one in ids], "log_after_s": 0, "recording_after_s": 0}
        made = (await http.post("/simulator/call", json=wish)).raise_for_status().json()
        kept = {"dateFrom": "2020-01-01T00:00:00Z", "view": "Detailed"}
        whole = (await http.get(f"{COMPANY}/call-log", params=kept)).json()
        assert made["id"] in {record["id"] for record in whole["records"]}
        check(whole, "CallLogResponse")
        for recording_id in made["recording_ids"]:
            told = (await http.get(f"{COMPANY}/recording/{recording_id}")).json()
            check(told, "GetCallRecordingResponse")


async def test_rules_and_greetings_match_their_schemas() -> None:
    config = SimulatorConfig(AccountSpec(messages=0), PLENTY)
    async with in_process(config) as (_, endpoints), logged_in(endpoints) as http:

        async def fetch(path: str, **query: Any) -> Any:
            return (await http.get(path, params=query)).raise_for_status().json()

        company = await fetch(f"{COMPANY}/answering-rule")
        check(company, "CompanyAnsweringRuleList")
        check(await fetch(company["records"][0]["uri"]), "CompanyAnsweringRuleInfo")
        check(await fetch(f"{MINE}/answering-rule", view="Simple"), "UserAnsweringRuleList")
        rules = await fetch(f"{MINE}/answering-rule", view="Detailed")
        check(rules, "UserAnsweringRuleList")
        check(await fetch(rules["records"][0]["uri"]), "CallHandlingRuleInfo")
        custom = next(g["custom"] for g in rules["records"][0]["greetings"] if "custom" in g)
        check(await fetch(custom["uri"]), "CustomUserGreetingInfo")
        form = {"type": "Company", "answeringRuleId": company["records"][0]["id"]}
        sound = {"binary": ("a.mp3", b"ID3", "audio/mpeg")}
        made = (await http.post(f"{COMPANY}/greeting", data=form, files=sound)).raise_for_status()
        check(made.json(), "CustomCompanyGreetingInfo")
        presets = await fetch("/restapi/v1.0/dictionary/greeting")
        check(presets, "DictionaryGreetingList")
        check(await fetch(presets["records"][0]["uri"]), "DictionaryGreetingInfo")


async def test_exports_match_their_schemas() -> None:
    config = SimulatorConfig(AccountSpec(messages=20), PLENTY, export_s=0.001)
    async with in_process(config) as (_, endpoints), logged_in(endpoints) as http:

        async def finished(task: Any) -> Any:
            while (state := (await http.get(task["uri"])).json())["status"] != "Completed":
                pass
            return state

        report = (await http.post(f"{COMPANY}/message-store-report", json={"messageTypes": ["Fax"]})).json()
        check(report, "MessageStoreReport")
        check(await finished(report), "MessageStoreReport")
        archives = (await http.get(f"{report['uri']}/archive")).json()
        assert archives["records"]
        check(archives, "MessageStoreReportArchive")
        body = {"contacts": [{"id": "1"}], "chatIds": ["2"]}
        export = (await http.post("/team-messaging/v1/data-export", json=body)).json()
        check(export, "DataExportTask")
        check(await finished(export), "DataExportTask")
        check((await http.get("/team-messaging/v1/data-export")).json(), "DataExportTaskList")


@pytest.mark.parametrize("outcome", ["AttemptFailed", "Cancelled"])
async def test_known_deviations_from_the_description_are_the_only_ones(outcome: str) -> None:
    config = SimulatorConfig(AccountSpec(messages=20), PLENTY, export_s=1.0)
    async with in_process(config) as (_, endpoints), logged_in(endpoints) as http:
        await http.post("/simulator/exports", json={"kind": "team", "outcome": outcome})
        body = {"contacts": [{"id": "1"}]}
        task = (await http.post("/team-messaging/v1/data-export", json=body)).json()
        while task["status"] != outcome:
            check(task, "DataExportTask")
            task = (await http.get(task["uri"])).json()
        (error,) = errors_in(task, "DataExportTask")
        assert ("DataExportTask", *error.absolute_path, error.instance) in DEVIATIONS


async def test_tokens_and_errors_match_their_schemas() -> None:
    config = SimulatorConfig(AccountSpec(messages=0))
    async with (
        in_process(config) as (_, endpoints),
        httpx.AsyncClient(base_url=endpoints.platform_url, verify=False) as http,
    ):
        basic = (endpoints.client_id, endpoints.client_secret)
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
            "assertion": endpoints.jwt,
        }
        token = (await http.post("/restapi/oauth/token", data=form, auth=basic)).json()
        check(token, "TokenInfo")
        refused = await http.post("/restapi/oauth/token", data={**form, "assertion": ""}, auth=basic)
        answer_400 = description()["components"]["responses"]["OauthInvalidRequest"]["content"][
            "application/json"
        ]
        codes = answer_400["schema"]["allOf"][0]["properties"]["error"]["enum"]
        assert refused.json()["error"] in codes
        check(refused.json(), "ParameterizedErrorResponseModel")
        check((await http.get(MINE)).json(), "ApiErrorResponseModel")
        http.headers["Authorization"] = f"Bearer {token['access_token']}"
        check((await http.get(f"{MINE}/message-store?page=0")).json(), "ParameterizedErrorResponseModel")
        check((await http.get(f"{MINE}/message-store/1")).json(), "ApiErrorResponseModel")


def test_requirements_and_features_are_the_documented_ones() -> None:
    operations = {
        operation["operationId"]: operation
        for methods in description()["paths"].values()
        for operation in methods.values()
        if isinstance(operation, dict) and "operationId" in operation
    }
    played = {operation.id for operation in OPERATIONS}
    assert REQUIREMENTS.keys() <= played
    for name in played - {name for name, leader in UNDESCRIBED.items() if not leader}:
        documented = operations[UNDESCRIBED.get(name, name)]
        needs = documented.get("x-app-permission", ""), documented.get("x-user-permission", "")
        assert REQUIREMENTS.get(name, ("", "")) == needs, name
    features = {
        (operation["x-feature"], operation["x-user-permission"])
        for operation in operations.values()
        if "x-feature" in operation
    }
    assert FEATURES.items() <= features


async def test_permissions_subscriptions_and_socket_tokens_match_their_schemas() -> None:
    config = SimulatorConfig(AccountSpec(messages=0), missing_permissions=frozenset({"ReadMessages"}))
    async with in_process(config) as (_, endpoints), logged_in(endpoints) as http:
        check((await http.get(f"{MINE}/authz-profile")).json(), "AuthProfileResource")
        features = (await http.get(f"{MINE}/features")).json()
        assert {record["available"] for record in features["records"]} == {True, False}
        check(features, "FeatureList")
        check((await http.get(f"{MINE}/message-store")).json(), "ApiErrorResponseModel")
    config = SimulatorConfig(AccountSpec(messages=0))
    async with in_process(config) as (simulator, endpoints), logged_in(endpoints) as http:
        token = (await http.post("/restapi/oauth/wstoken")).json()
        check(token, "WsTokenResponse")
        subscriptions = "/restapi/v1.0/subscription"
        async with connected(f"{token['uri']}?access_token={token['ws_access_token']}") as socket:
            await socket.hear()
            body = {
                "eventFilters": [f"{MINE}/message-store"],
                "deliveryMode": {"transportType": "WebSocket"},
            }
            made = (await http.post(subscriptions, json=body)).json()
            one = f"{subscriptions}/{made['id']}"
            for answer in (
                made,
                (await http.get(one)).json(),
                (await http.put(one, json={"eventFilters": body["eventFilters"]})).json(),
                (await http.post(f"{one}/renew")).json(),
            ):
                check(answer, "SubscriptionInfo")
            check((await http.get(subscriptions)).json(), "SubscriptionListResource")
            events = {
                "message-store": "MessageEvent",
                "message-store/instant?type=SMS": "InstantMessageEvent",
                "voicemail": "VoicemailMessageEvent",
            }
            body["eventFilters"] = [f"{MINE}/{name}" for name in events]
            await socket.ask("POST", subscriptions, body)
            heard = []
            for kind in ("SMS", "VoiceMail"):
                wish = {"extension_id": simulator.account.extensions[0].id, "type": kind}
                await http.post("/simulator/arrive", json=wish)
                for _ in range(2):
                    _, event = await socket.hear()
                    name = event["event"].partition("/extension/")[2].partition("/")[2]
                    check(event, events[name])
                    heard.append(name)
            assert set(heard) == events.keys()
        check((await http.get(f"{subscriptions}/1")).json(), "ApiErrorResponseModel")
        check((await http.post(subscriptions, json={})).json(), "ParameterizedErrorResponseModel")
        refused = await http.get("/restapi/oauth/authorize")
        check(refused.json(), "ParameterizedErrorResponseModel")


async def test_changed_and_sent_messages_match_their_schemas() -> None:
    config = SimulatorConfig(AccountSpec(messages=190))
    vendor = "application/vnd.ringcentral.multipart+json"
    async with in_process(config) as (simulator, endpoints), logged_in(endpoints) as http:
        store = f"{MINE}/message-store"
        listed = (await http.get(store, params={"dateFrom": "2020-01-01T00:00:00Z"})).json()["records"]
        first, second = [record["id"] for record in listed[:2]]
        both = f"{store}/{first},{second}"

        async def send(method: str, path: str, **options: Any) -> Any:
            return (await http.request(method, path, **options)).raise_for_status().json()

        for method in ("PUT", "PATCH"):
            changed = await send(method, f"{store}/{first}", json={"readStatus": "Unread"})
            check(changed, "GetMessageInfoResponse")
            entries = [{"body": {"readStatus": "Read"}}] * 2
            headers = {"Content-Type": vendor, "Accept": vendor}
            check(await send(method, both, json=entries, headers=headers), "GetMessageMultiResponse")
        check(await send("GET", both, headers={"Accept": vendor}), "GetMessageMultiResponse")
        refused = await http.put(f"{store}/{first}", json={"readStatus": "Seen"})
        check(refused.json(), "ParameterizedErrorResponseModel")
        refused = await http.get(f"{store}/{','.join(map(str, range(51)))}")
        check(refused.json(), "ParameterizedErrorResponseModel")
        me, colleague = simulator.account.extensions[:2]
        parties = {"from": {"phoneNumber": me.phone_number}, "to": [{"phoneNumber": "+14155550100"}]}
        check(await send("POST", f"{MINE}/sms", json={**parties, "text": "Hi"}), "GetSMSMessageInfoResponse")
        files = [
            ("json", ("request.json", json.dumps(parties), "application/json")),
            ("attachment", ("a.gif", b"GIF89a", "image/gif")),
        ]
        check(await send("POST", f"{MINE}/mms", files=files), "GetSMSMessageInfoResponse")
        check(await send("POST", f"{MINE}/fax", files=files), "FaxResponse")
        page = {"to": [{"extensionNumber": colleague.number}], "text": "Hi"}
        check(await send("GET", f"{MINE}/phone-number"), "GetExtensionPhoneNumbersResponse")
        check(await send("POST", f"{MINE}/company-pager", json=page), "GetInternalTextMessageInfoResponse")
        check((await http.get(store)).json(), "GetMessageList")
        for method, body in (("GET", None), ("PUT", {"retentionPeriod": 30})):
            url = "/restapi/v1.0/account/~/message-store-configuration"
            check(await send(method, url, json=body), "MessageStoreConfiguration")


def test_the_check_itself_can_fail() -> None:
    record_without_id: dict[str, Any] = {"records": [{"id": "x"}], "paging": {}, "navigation": {}}
    wrongs: list[dict[str, Any]] = [{"records": []}, record_without_id]
    for wrong in wrongs:
        with pytest.raises(AssertionError):
            check(wrong, "GetMessageList")
