"""Login and logout: the token endpoint, the login in a browser, and tokens for a WebSocket."""

from http.cookies import SimpleCookie
from urllib.parse import urlencode

from rcfs.simulator._backend import AUTH, Call, Operation
from rcfs.simulator._notifications import SOCKET_PATH, TOKEN_LIFETIME_S
from rcfs.simulator._params import form_fields
from rcfs.simulator._wire import Answer, json_answer
from rcfs.simulator.api._consent import BROWSER_COOKIE
from rcfs.simulator.login._codes import PARAMETERS

CONSENT_PATH = "/oauth/consent"
"""Path of the consent page, which is not part of the API; the platform's login form is elsewhere, too."""

_NOT_STORED = {"Cache-Control": "no-store", "Pragma": "no-cache"}
"""Headers of every answer that contains a token (RFC 6749, 5.1)."""


def authorize(call: Call) -> Answer:
    """Redirect to the consent page, with the parameters of the query or the body.

    A silent request redirects to the app at once: with a code if this browser's session has a login, else
    with the error of OpenID Connect Core 1.0, 3.1.2.6.
    """
    asked = form_fields(call.body) if call.operation.method == "POST" else call.query.fields()
    codes = call.backend.auth.codes
    request = codes.check(asked)
    if request.is_silent:
        cookie = SimpleCookie(call.headers.get("cookie", "")).get(BROWSER_COOKIE)
        if cookie is None or cookie.value != codes.browser:
            return Answer(302, {"Location": request.answer_uri(error="login_required")})
        return Answer(302, {"Location": request.answer_uri(code=codes.issue(request, call.backend.clock()))})
    passed_on = urlencode({name: asked[name] for name in PARAMETERS if name in asked})
    return Answer(302, {"Location": f"{call.backend.endpoints.platform_url}{CONSENT_PATH}?{passed_on}"})


def get_token(call: Call) -> Answer:
    """A new access token for a JWT, an authorization code or a refresh token."""
    token = call.backend.auth.grant(
        call.client,
        form_fields(call.body),
        call.backend.clock(),
        proven=bool(call.headers.get("authorization")),
    )
    return json_answer(token, headers=_NOT_STORED)


def revoke_token(call: Call) -> Answer:
    """End the login of a token in the body or the query."""
    call.backend.auth.revoke(form_fields(call.body).get("token") or call.query.text("token"))
    return Answer(200)


def get_socket_token(call: Call) -> Answer:
    """A token that opens one WebSocket within a short time."""
    token = call.backend.notifications.issue_token(call.login(), call.backend.clock())
    uri = "ws" + call.backend.endpoints.platform_url.removeprefix("http") + SOCKET_PATH
    return json_answer(
        {"ws_access_token": token, "uri": uri, "expires_in": int(TOKEN_LIFETIME_S)}, headers=_NOT_STORED
    )


OPERATIONS = (
    Operation("authorize", "GET", "/restapi/oauth/authorize", AUTH, authorize, needs_login=False),
    Operation("authorize2", "POST", "/restapi/oauth/authorize", AUTH, authorize, needs_login=False),
    Operation(
        "getToken",
        "POST",
        "/restapi/oauth/token",
        AUTH,
        get_token,
        needs_login=False,
        needs_client=True,
    ),
    Operation(
        "revokeToken",
        "POST",
        "/restapi/oauth/revoke",
        AUTH,
        revoke_token,
        needs_login=False,
        needs_client=True,
    ),
    Operation("authWsToken", "POST", "/restapi/oauth/wstoken", AUTH, get_socket_token),
)
"""Operations of this module."""
