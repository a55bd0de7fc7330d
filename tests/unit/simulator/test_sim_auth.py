"""Logins at the simulator."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import httpx
import pytest

from rcfs.simulator import AccountSpec, Credentials, Endpoints, Simulator, SimulatorConfig
from rcfs.simulator._wire import ApiError, OAuthError
from rcfs.simulator.login._auth import MAX_SESSIONS, Auth, split_basic
from tests.fakes.simulated import in_process

JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
CREDENTIALS = Credentials("id", "secret", "jwt")
LOGIN = {"grant_type": JWT_GRANT, "assertion": "jwt"}


def make_auth(lifetime_s: float = 100) -> Auth:
    return Auth(
        CREDENTIALS,
        owner=7,
        token_lifetime_s=lifetime_s,
        scopes=frozenset("AB"),
        redirect_uris=["http://127.0.0.1:1/"],
    )


def refresh(token: dict[str, Any]) -> dict[str, str]:
    return {"grant_type": "refresh_token", "refresh_token": token["refresh_token"]}


def test_access_token_is_good_until_its_lifetime_has_passed() -> None:
    auth = make_auth()
    token = auth.grant("id", LOGIN, now=0.0)
    assert (token["token_type"], token["expires_in"], token["owner_id"]) == ("bearer", 100, "7")
    assert auth.session(token["access_token"], 99.9).user == 7
    with pytest.raises(ApiError, match="OAU-213"):
        auth.session(token["access_token"], 100.0)


def test_refresh_token_works_once_and_kills_the_old_access_token() -> None:
    auth = make_auth()
    old = auth.grant("id", LOGIN, now=0.0)
    new = auth.grant("id", refresh(old), now=50.0)
    assert auth.session(new["access_token"], 149.0).access_token == new["access_token"]
    with pytest.raises(ApiError, match="OAU-213"):
        auth.session(old["access_token"], 51.0)
    with pytest.raises(OAuthError, match="OAU-213"):
        auth.grant("id", refresh(old), now=52.0)
    auth.expire_all()
    assert auth.grant("id", refresh(new), now=500.0), "an expired access token does not end the session"


def test_sixth_login_ends_the_first() -> None:
    auth = make_auth()
    tokens = [auth.grant("id", LOGIN, now=0.0)["access_token"] for _ in range(MAX_SESSIONS + 1)]
    with pytest.raises(ApiError):
        auth.session(tokens[0], 1.0)
    assert [auth.session(token, 1.0).access_token for token in tokens[1:]] == tokens[1:]


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
def test_revoke_ends_the_whole_session(kind: str) -> None:
    auth = make_auth()
    token, other = auth.grant("id", LOGIN, now=0.0), auth.grant("id", LOGIN, now=0.0)
    auth.revoke(token[kind])
    auth.revoke("unknown")
    with pytest.raises(ApiError):
        auth.session(token["access_token"], 1.0)
    with pytest.raises(OAuthError):
        auth.grant("id", refresh(token), now=1.0)
    assert auth.session(other["access_token"], 1.0).id == other["session_id"]


def test_refresh_token_belongs_to_its_client() -> None:
    auth = make_auth()
    token = auth.grant("id", LOGIN, now=0.0)
    with pytest.raises(OAuthError):
        auth.grant("another", refresh(token), now=1.0)


@pytest.mark.parametrize("header", ["", "Basic", "Basic !!", "Basic /w==", "Bearer aWQ6c2VjcmV0"])
def test_a_malformed_basic_header_names_no_client(header: str) -> None:
    assert split_basic(header) == ("", "")


def test_credentials_come_from_the_seed() -> None:
    assert Credentials.from_seed(1) == Credentials.from_seed(1) != Credentials.from_seed(2)
    assert Credentials.from_seed(1).client_secret not in repr(Credentials.from_seed(1))


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::"])
def test_only_loopback_addresses_are_accepted(host: str) -> None:
    with pytest.raises(ValueError, match="loopback"):
        SimulatorConfig(AccountSpec(), host=host)


@asynccontextmanager
async def client() -> AsyncIterator[tuple[Simulator, Endpoints, httpx.AsyncClient]]:
    async with (
        in_process(SimulatorConfig(AccountSpec(messages=0))) as (simulator, endpoints),
        httpx.AsyncClient(base_url=endpoints.platform_url, verify=False) as http,
    ):
        yield simulator, endpoints, http


async def test_token_endpoint_over_http() -> None:
    async with client() as (simulator, endpoints, http):
        basic = (endpoints.client_id, endpoints.client_secret)
        form = {"grant_type": JWT_GRANT, "assertion": endpoints.jwt}
        good = await http.post("/restapi/oauth/token", data=form, auth=basic)
        token = good.json()["access_token"]
        assert good.headers["x-rate-limit-group"] == "auth"
        for scheme in ("Bearer", "bearer", "BEARER"):
            answer = await http.get("/restapi/v1.0/account/~", headers={"Authorization": f"{scheme} {token}"})
            assert answer.status_code == 200
        bad_form = {**form, "assertion": "no"}
        for data, auth, error in [
            (form, (endpoints.client_id, "wrong"), "invalid_client"),
            (bad_form, basic, "invalid_grant"),
            ({"grant_type": "password"}, basic, "unsupported_grant_type"),
        ]:
            refused = await http.post("/restapi/oauth/token", data=data, auth=auth)
            assert (refused.status_code, refused.json()["error"]) == (400, error)
        limited = [await http.post("/restapi/oauth/token", data=form, auth=basic) for _ in range(2)]
        assert [answer.status_code for answer in limited] == [200, 429], "the budget of 5 counts failures"
        text = str([attrs.asdict(entry) for entry in simulator.journal.entries()])
        assert token not in text
        assert endpoints.jwt not in text


async def test_revoke_over_http() -> None:
    async with client() as (simulator, endpoints, http):
        basic = (endpoints.client_id, endpoints.client_secret)
        form = {"grant_type": JWT_GRANT, "assertion": endpoints.jwt}
        tokens = [
            (await http.post("/restapi/oauth/token", data=form, auth=basic)).json()["access_token"]
            for _ in range(2)
        ]
        assert (
            await http.post("/restapi/oauth/revoke", data={"token": tokens[0]}, auth=basic)
        ).status_code == 200
        await http.post(f"/restapi/oauth/revoke?token={tokens[1]}", auth=basic)
        for token in tokens:
            gone = await http.get("/restapi/v1.0/account/~", headers={"Authorization": f"Bearer {token}"})
            assert (gone.status_code, gone.json()["errorCode"]) == (401, "OAU-213")
            assert gone.headers["www-authenticate"].startswith("Bearer")
            assert "x-rate-limit-group" not in gone.headers, "nobody's budget"
        assert simulator.journal.entries(operation="revokeToken")[1].query == "token=***"


@pytest.mark.parametrize(
    ("header", "code"), [(None, "CMN-405"), ("Digest x", "OAU-151"), ("Bearer x", "OAU-213")]
)
async def test_requests_without_a_good_token(header: str | None, code: str) -> None:
    async with client() as (_, _endpoints, http):
        headers = {} if header is None else {"Authorization": header}
        answer = await http.get("/restapi/v1.0/account/~", headers=headers)
        assert (answer.status_code, answer.json()["errorCode"]) == (401, code)
