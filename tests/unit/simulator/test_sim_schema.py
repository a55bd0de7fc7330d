"""The simulator's answers against the official description of the API."""

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest

from rcfs.simulator import AccountSpec, SimulatorConfig
from rcfs.simulator._app import OPERATIONS
from tests.fakes.simulated import in_process, logged_in

DESCRIPTION = Path(
    os.environ.get("RCFS_OPENAPI", Path(__file__).parents[4] / "shared" / "rc-api" / "openapi.json")
)
pytestmark = pytest.mark.skipif(
    not DESCRIPTION.is_file(), reason="RCFS_OPENAPI names no copy of RingCentral's OpenAPI description"
)

MINE = "/restapi/v1.0/account/~/extension/~"


@cache
def description() -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(DESCRIPTION.read_text())
    return parsed


def check(value: Any, schema: str) -> None:
    """Fail unless `value` matches the named schema of the description."""
    root = {"$ref": f"#/components/schemas/{schema}", "components": description()["components"]}
    validator = jsonschema.Draft202012Validator(root, format_checker=jsonschema.FormatChecker())
    errors = [f"{'/'.join(map(str, e.absolute_path))}: {e.message}" for e in validator.iter_errors(value)]
    assert errors == []


def test_operations_have_the_documented_path_method_and_group() -> None:
    documented = {
        operation["operationId"]: (method.upper(), path, operation["x-throttling-group"].lower())
        for path, methods in description()["paths"].items()
        for method, operation in methods.items()
        if isinstance(operation, dict) and "operationId" in operation
    }
    for operation in OPERATIONS:
        path = operation.path
        for ours, theirs in [
            ("account", "accountId"),
            ("extension", "extensionId"),
            ("message", "messageId"),
        ]:
            path = path.replace(f"{{{ours}_id}}", f"{{{theirs}}}")
        path = path.replace("{attachment_id}", "{attachmentId}")
        assert documented[operation.id] == (operation.method, path, operation.group)


async def test_answers_match_their_schemas() -> None:
    # Fewer messages than an account with hostile records has: these break the schemas on purpose.
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
        # The schema for a single message demands vmSideRecipients, which only some voicemails can have.
        check(await fetch(f"{MINE}/message-store/{newest.id}"), "GetMessageInfoResponse")
        check(
            await fetch(f"{MINE}/authz-profile/check", permissionId="ReadMessages"),
            "AuthProfileCheckResource",
        )


async def test_tokens_and_errors_match_their_schemas() -> None:
    config = SimulatorConfig(AccountSpec(messages=0))
    async with (
        in_process(config) as (_, endpoints),
        httpx.AsyncClient(base_url=endpoints.platform_url) as http,
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


def test_the_check_itself_can_fail() -> None:
    record_without_id: dict[str, Any] = {"records": [{"id": "x"}], "paging": {}, "navigation": {}}
    wrongs: list[dict[str, Any]] = [{"records": []}, record_without_id]
    for wrong in wrongs:
        with pytest.raises(AssertionError):
            check(wrong, "GetMessageList")
