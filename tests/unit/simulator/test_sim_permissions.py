"""Scopes of the app, permissions of the user, and the operations that report them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import httpx
import pytest

from rcfs.simulator import AccountSpec, Simulator, SimulatorConfig
from rcfs.simulator._app import OPERATIONS
from rcfs.simulator.login._permissions import ADMIN_PERMISSIONS, FEATURES, PERMISSIONS, REQUIREMENTS, SCOPES
from tests.fakes.simulated import in_process, logged_in

MINE = "/restapi/v1.0/account/~/extension/~"
BASE = SimulatorConfig(AccountSpec(messages=0))


@asynccontextmanager
async def running(**settings: Any) -> AsyncIterator[tuple[Simulator, httpx.AsyncClient]]:
    config = attrs.evolve(BASE, **settings)
    async with in_process(config) as (simulator, endpoints), logged_in(endpoints) as http:
        yield simulator, http


async def test_a_missing_scope_is_cmn_401_where_it_is_needed() -> None:
    async with running(missing_scopes=["ReadMessages"]) as (simulator, http):
        answer = await http.get(f"{MINE}/message-store")
        error = answer.json()
        assert (answer.status_code, error["errorCode"]) == (403, "CMN-401")
        assert error["permissionName"] == error["errors"][0]["permissionName"] == "ReadMessages"
        assert "[ReadMessages]" in error["message"]
        assert answer.headers["x-rate-limit-remaining"] == "49", "it was counted"
        assert (await http.get(MINE)).status_code == 200
        form = {"grant_type": "refresh_token", "refresh_token": simulator.auth._sessions[0].refresh_token}
        client = (simulator.auth.credentials.client_id, simulator.auth.credentials.client_secret)
        login = (await http.post("/restapi/oauth/token", data=form, auth=client)).json()
        assert login["scope"].split() == sorted(SCOPES - {"ReadMessages"})


async def test_a_missing_permission_is_cmn_408_where_it_is_needed() -> None:
    async with running(missing_permissions=["ReadMessages"]) as (_, http):
        answer = await http.get(f"{MINE}/message-sync?syncType=FSync")
        assert (answer.status_code, answer.json()["errorCode"]) == (403, "CMN-408")
        assert answer.json()["message"] == (
            "In order to call this API endpoint, user needs to have [ReadMessages] permission for"
            " requested resource."
        )
        assert (await http.get("/restapi/v1.0/account/~/extension")).status_code == 200
        check = (await http.get(f"{MINE}/authz-profile/check?permissionId=ReadMessages")).json()
        assert check["successful"] is False
        (feature,) = (await http.get(f"{MINE}/features?featureId=ReadMessages")).json()["records"]
        assert (feature["available"], feature["reason"]["permission"]) == (False, "ReadMessages")
        available = (await http.get(f"{MINE}/features?availableOnly=true")).json()["records"]
        assert {record["id"] for record in available} == FEATURES.keys() - {"ReadMessages"}


@pytest.mark.parametrize("standard_user", [False, True])
async def test_profile_check_and_features_agree(standard_user: bool) -> None:
    async with running(standard_user=standard_user) as (_, http):
        profile = (await http.get(f"{MINE}/authz-profile")).json()["permissions"]
        held = {entry["permission"]["id"] for entry in profile}
        assert held == PERMISSIONS - (ADMIN_PERMISSIONS if standard_user else frozenset())
        scopes = {scope for entry in profile for scope in entry["scopes"]}
        assert scopes == {"Self" if standard_user else "AllExtensions"}
        for name in ("ReadMessages", "Users", "Nonsense"):
            check = (await http.get(f"{MINE}/authz-profile/check?permissionId={name}")).json()
            assert check["successful"] == (name in held)
        features = (await http.get(f"{MINE}/features")).json()["records"]
        assert {f["id"]: f["available"] for f in features} == {f: p in held for f, p in FEATURES.items()}


async def test_the_profile_for_another_extension() -> None:
    async with running(standard_user=True) as (simulator, http):
        admin = simulator.account.extensions[0]
        profile = await http.get(f"{MINE}/authz-profile?targetExtensionId={admin.id}")
        assert profile.json()["permissions"] == []
        assert (await http.get(f"{MINE}/authz-profile?targetExtensionId=1")).status_code == 400
    async with running() as (simulator, http):
        refused = next(e for e in simulator.account.extensions if e.mailbox_refused)
        profile = await http.get(f"{MINE}/authz-profile?targetExtensionId={refused.id}")
        held = {entry["permission"]["id"] for entry in profile.json()["permissions"]}
        assert ("ReadMessages" in held, "Users" in held) == (False, True)


async def test_wrong_feature_filters() -> None:
    async with running() as (_, http):
        for query in ("featureId=Nonsense", "availableOnly=perhaps"):
            assert (await http.get(f"{MINE}/features?{query}")).status_code == 400


@pytest.mark.parametrize(
    "config",
    [
        attrs.evolve(BASE, missing_scopes=["Nonsense"]),
        attrs.evolve(BASE, missing_permissions=["Nonsense"]),
    ],
)
def test_unknown_names_are_refused(config: SimulatorConfig) -> None:
    with pytest.raises(ValueError, match="Nonsense is not one of"):
        Simulator(config)


def test_every_requirement_is_that_of_an_operation() -> None:
    logins = {operation.id for operation in OPERATIONS if not operation.needs_login}
    assert not logins & REQUIREMENTS.keys(), "without a login there is nobody to have permissions"


async def test_identical_requests_at_once_are_refused_on_demand() -> None:
    async with running(refuse_duplicates=True) as (simulator, http):
        path = f"{MINE}/message-store"
        entry = simulator.journal.open(
            time_s=0.0, origin="platform", method="GET", path=path, query="", range_="",
            login=http.headers["Authorization"],
        )  # fmt: skip
        refused = await http.get(path)
        assert (refused.status_code, refused.json()["errorCode"]) == (429, "CMN-304")
        assert "x-rate-limit-group" not in refused.headers
        assert simulator.journal.entries()[-1].remaining is None, "it was not counted"
        simulator.journal.close(entry)
        assert (await http.get(path)).headers["x-rate-limit-remaining"] == "49"
