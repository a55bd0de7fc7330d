"""The login of a user in a browser: authorize, consent, code, token."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import attrs
import httpx
import pytest

from rcfs.model import Plan, UsageGroup
from rcfs.simulator import AccountSpec, Endpoints, Simulator, SimulatorConfig
from rcfs.simulator._wire import OAuthError
from rcfs.simulator.login._codes import CODE_LIFETIME_S, MAX_CODES, Codes, s256
from rcfs.simulator.login._permissions import SCOPES
from tests.fakes.simulated import in_process

REDIRECT_URI = "http://127.0.0.1:9/back?x=1"
# The example of RFC 7636, appendix B.
VERIFIER, CHALLENGE = (
    "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
)
PKCE = {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}
ASKED = {"response_type": "code", "client_id": "app", "redirect_uri": REDIRECT_URI, "state": "s t&+", **PKCE}


@asynccontextmanager
async def browser(**settings: Any) -> AsyncIterator[tuple[Simulator, Endpoints, httpx.AsyncClient]]:
    settings = {"plans": {UsageGroup("auth"): Plan(100)}, "redirect_uris": [REDIRECT_URI], **settings}
    config = attrs.evolve(SimulatorConfig(AccountSpec(messages=0)), **settings)
    async with (
        in_process(config) as (simulator, endpoints),
        httpx.AsyncClient(base_url=endpoints.platform_url, verify=False) as http,
    ):
        yield simulator, endpoints, http


async def consent(
    http: httpx.AsyncClient, endpoints: Endpoints, *, decision: str = "allow", **changes: str
) -> Mapping[str, list[str]]:
    """The parameters of the redirect URI after the user has decided."""
    asked = {**ASKED, "client_id": endpoints.client_id, **changes}
    page = await http.get("/restapi/oauth/authorize", params=asked)
    assert page.status_code == 302
    question = await http.get(page.headers["location"])
    assert '<form method="post">' in question.text
    done = await http.post(page.headers["location"], data={"decision": decision})
    assert done.status_code == 303
    location = done.headers["location"]
    assert location.startswith(REDIRECT_URI)
    return parse_qs(urlsplit(location).query)


def code_form(endpoints: Endpoints, code: str) -> dict[str, str]:
    return {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": REDIRECT_URI,
        "client_id": endpoints.client_id,
        "code_verifier": VERIFIER,
    }


async def token(http: httpx.AsyncClient, form: Mapping[str, str], **options: Any) -> httpx.Response:
    return await http.post("/restapi/oauth/token", data=form, **options)


async def test_a_user_authorizes_an_app_without_a_secret() -> None:
    async with browser() as (simulator, endpoints, http):
        told = await consent(http, endpoints)
        assert (told["state"], told["x"]) == (["s t&+"], ["1"])
        form = code_form(endpoints, told["code"][0])
        login = (await token(http, form)).raise_for_status().json()
        assert login["owner_id"] == str(simulator.account.extensions[0].id)
        bearer = {"Authorization": f"Bearer {login['access_token']}"}
        assert (await http.get("/restapi/v1.0/account/~", headers=bearer)).status_code == 200
        again = await token(http, form)
        assert (again.status_code, again.json()["error"]) == (400, "invalid_grant"), "a code is good once"
        refresh = {
            "grant_type": "refresh_token",
            "refresh_token": login["refresh_token"],
            "client_id": endpoints.client_id,
        }
        renewed = (await token(http, refresh)).raise_for_status().json()
        revoked = await http.post(
            "/restapi/oauth/revoke",
            data={"token": renewed["access_token"], "client_id": endpoints.client_id},
        )
        assert revoked.status_code == 200
        bearer = {"Authorization": f"Bearer {renewed['access_token']}"}
        assert (await http.get("/restapi/v1.0/account/~", headers=bearer)).status_code == 401
        assert {e.group for e in simulator.journal.entries() if e.operation} == {"auth", "light"}
        assert not [e for e in simulator.journal.entries() if "consent" in e.path], "no part of the API"


async def test_the_consent_page_names_app_and_user_and_escapes_text() -> None:
    async with browser(redirect_uris=["http://x/<b>"]) as (simulator, endpoints, http):
        asked = {**ASKED, "client_id": endpoints.client_id, "redirect_uri": "http://x/<b>"}
        page = (await http.get("/oauth/consent", params=asked)).text
        assert endpoints.client_id in page
        assert simulator.account.extensions[0].name in page
        assert "http://x/&lt;b&gt;" in page
        assert "<b>" not in page
        wrong = await http.get("/oauth/consent", params={**asked, "client_id": "x"})
        assert (wrong.status_code, "<form" in wrong.text) == (400, False)
        assert (await http.put("/oauth/consent", params=asked)).status_code == 405


async def test_a_user_refuses_consent() -> None:
    async with browser() as (_, endpoints, http):
        told = await consent(http, endpoints, decision="deny")
        assert (told["error"], told["state"]) == (["access_denied"], ["s t&+"])
        assert "code" not in told


async def test_authorize_by_post_is_the_same() -> None:
    async with browser() as (_, endpoints, http):
        asked = {**ASKED, "client_id": endpoints.client_id}
        by_get = await http.get("/restapi/oauth/authorize", params=asked)
        by_post = await http.post("/restapi/oauth/authorize", data=asked)
        assert by_post.status_code == 302
        assert by_post.headers["location"] == by_get.headers["location"]


async def test_a_login_has_the_scopes_that_the_app_has_asked_for() -> None:
    async with browser() as (_, endpoints, http):
        asked = {**ASKED, "client_id": endpoints.client_id, "scope": "ReadAccounts ReadMessages"}
        page = (await http.get("/oauth/consent", params=asked)).text
        assert "ReadAccounts ReadMessages" in page
        assert "EditMessages" not in page
        told = await consent(http, endpoints, scope="ReadMessages ReadAccounts")
        login = (await token(http, code_form(endpoints, told["code"][0]))).raise_for_status().json()
        assert login["scope"] == "ReadAccounts ReadMessages"
        bearer = {"Authorization": f"Bearer {login['access_token']}"}
        mine = "/restapi/v1.0/account/~/extension/~"
        assert (await http.get(f"{mine}/message-store", headers=bearer)).status_code == 200
        refused = await http.get(f"{mine}/call-log", headers=bearer)
        assert (refused.status_code, refused.json()["errorCode"]) == (403, "CMN-401")
        refresh = {
            "grant_type": "refresh_token",
            "refresh_token": login["refresh_token"],
            "client_id": endpoints.client_id,
        }
        renewed = (await token(http, refresh)).raise_for_status().json()
        assert renewed["scope"] == login["scope"], "a refresh does not widen it"
        told = await consent(http, endpoints)
        everything = (await token(http, code_form(endpoints, told["code"][0]))).json()["scope"]
        assert set(everything.split()) == SCOPES, "who names none gets all that the app has"


@pytest.mark.parametrize("prompt", ["", "login sso", "consent", "login consent sso"])
async def test_the_consent_page_is_shown(prompt: str) -> None:
    async with browser() as (_, endpoints, http):
        assert (await consent(http, endpoints, prompt=prompt))["code"]


async def test_without_a_prompt_only_a_browser_with_a_login_gets_on() -> None:
    async with browser() as (_, endpoints, http):
        silent = {**ASKED, "client_id": endpoints.client_id, "prompt": "none"}

        async def answer() -> dict[str, list[str]]:
            page = await http.get("/restapi/oauth/authorize", params=silent)
            assert page.status_code == 302
            assert page.headers["location"].startswith(REDIRECT_URI), "nobody is asked"
            return parse_qs(urlsplit(page.headers["location"]).query)

        refused = await answer()
        assert (refused["error"], refused["state"]) == (["login_required"], ["s t&+"])
        await consent(http, endpoints, decision="deny")
        assert "error" in await answer()
        await consent(http, endpoints)
        granted = await answer()
        assert granted["state"] == ["s t&+"]
        assert (await token(http, code_form(endpoints, granted["code"][0]))).status_code == 200
        http.cookies.clear()
        assert "error" in await answer(), "another browser"
        http.cookies.set("rcfs_simulator_login", "guessed")
        assert "error" in await answer()


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"scope": "ReadMessages Nonsense"}, "invalid_scope"),
        ({"prompt": "none consent"}, "invalid_request"),
        ({"prompt": "Login"}, "invalid_request"),
        ({"client_id": "other"}, "invalid_client"),
        ({"redirect_uri": REDIRECT_URI + "/"}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": ""}, "invalid_request"),
        ({"code_challenge": CHALLENGE + "="}, "invalid_request"),
    ],
)
async def test_invalid_requests_are_refused_without_a_redirect(changes: dict[str, str], error: str) -> None:
    async with browser() as (_, endpoints, http):
        asked = {**ASKED, "client_id": endpoints.client_id, **changes}
        answer = await http.get("/restapi/oauth/authorize", params=asked)
        assert (answer.status_code, answer.json()["error"]) == (400, error)


@pytest.mark.parametrize(
    "changes",
    [
        {"code_verifier": VERIFIER[::-1]},
        {"code_verifier": ""},
        {"redirect_uri": "http://127.0.0.1:9/back"},
        {"redirect_uri": ""},
        {"code": "guessed"},
    ],
)
async def test_a_wrong_token_request_is_refused_and_uses_up_the_code(changes: dict[str, str]) -> None:
    async with browser() as (_, endpoints, http):
        code = (await consent(http, endpoints))["code"][0]
        form = code_form(endpoints, code)
        wrong = await token(http, {**form, **changes})
        assert (wrong.status_code, wrong.json()["error"]) == (400, "invalid_grant")
        right = await token(http, form)
        assert right.status_code == (200 if "code" in changes else 400), "whoever guesses wrong has one try"


async def test_without_pkce_a_code_requires_the_secret() -> None:
    async with browser() as (_, endpoints, http):
        no_pkce = {"code_challenge": "", "code_challenge_method": ""}
        form = {"grant_type": "authorization_code", "redirect_uri": REDIRECT_URI}
        basic = (endpoints.client_id, endpoints.client_secret)
        told = await consent(http, endpoints, **no_pkce)
        unproven = await token(http, {**form, "code": told["code"][0], "client_id": endpoints.client_id})
        assert unproven.status_code == 400
        told = await consent(http, endpoints, **no_pkce)
        login = await token(http, {**form, "code": told["code"][0]}, auth=basic)
        assert login.status_code == 200
        refresh = {"grant_type": "refresh_token", "refresh_token": login.json()["refresh_token"]}
        stolen = await token(http, {**refresh, "client_id": endpoints.client_id})
        assert stolen.status_code == 400, "a login that was made with the secret is renewed with it"


async def test_a_jwt_requires_the_secret() -> None:
    async with browser() as (_, endpoints, http):
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
            "assertion": endpoints.jwt,
            "client_id": endpoints.client_id,
        }
        refused = await token(http, form)
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_client")


def test_a_code_lives_for_a_minute() -> None:
    codes = Codes("app", [REDIRECT_URI])
    request = codes.check(ASKED)
    form = {"redirect_uri": REDIRECT_URI, "code_verifier": VERIFIER}
    late, in_time = codes.issue(request, 0.0), codes.issue(request, 1.0)
    with pytest.raises(OAuthError):
        codes.redeem("app", {**form, "code": late}, CODE_LIFETIME_S, proven=False)
    codes.redeem("app", {**form, "code": in_time}, CODE_LIFETIME_S, proven=False)
    other = codes.issue(request, 0.0)
    with pytest.raises(OAuthError):
        codes.redeem("another", {**form, "code": other}, 1.0, proven=False)


def test_a_single_registered_uri_need_not_be_named() -> None:
    unnamed = {**ASKED, "redirect_uri": ""}
    codes = Codes("app", [REDIRECT_URI])
    assert codes.check(unnamed).redirect_uri == REDIRECT_URI
    code = codes.issue(codes.check(unnamed), 0.0)
    codes.redeem("app", {"code": code, "code_verifier": VERIFIER}, 1.0, proven=False)
    with pytest.raises(OAuthError):
        Codes("app", [REDIRECT_URI, "http://other"]).check(unnamed)


def test_the_number_of_codes_is_bounded() -> None:
    codes = Codes("app", [REDIRECT_URI])
    request = codes.check(ASKED)
    issued = [codes.issue(request, 0.0) for _ in range(MAX_CODES + 1)]
    form = {"redirect_uri": REDIRECT_URI, "code_verifier": VERIFIER}
    with pytest.raises(OAuthError):
        codes.redeem("app", {**form, "code": issued[0]}, 1.0, proven=False)
    codes.redeem("app", {**form, "code": issued[1]}, 1.0, proven=False)


def test_challenge_is_that_of_the_standard() -> None:
    assert s256(VERIFIER) == CHALLENGE
