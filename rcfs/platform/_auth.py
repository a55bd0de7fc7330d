"""Logging in: credentials, the requests for tokens, and their answers.

Source: "JWT credentials", "Authorization code flow with PKCE", "Refreshing an access token" and "Revoking" of
the API documentation; RFC 6749, RFC 7523, RFC 7636, RFC 7009.
"""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from typing import Any, TypeGuard

import attrs

from rcfs.errors import AuthError, GrantError, ServerError
from rcfs.model import AUTH, login_digest
from rcfs.platform._answer import Answer
from rcfs.platform._document import decoded_object
from rcfs.platform._errors import refusal
from rcfs.platform._requests import Request, form_body

TOKEN_PATH = "/restapi/oauth/token"  # noqa: S105 - a path, not a secret
REVOKE_PATH = "/restapi/oauth/revoke"

_AHEAD_S = 300.0
"""How long before its end a token is renewed, in seconds. Five minutes let the longest request (60 s to its
headers) and a penalty of the auth group pass before the token ends."""
_AHEAD_SHARE = 0.2
"""Renewal before the end of a short-lived token, as a share of its lifetime; the shorter of both counts."""
_LIFETIME_S = 3600.0
"""Lifetime of an access token if the answer has none: the documented one."""
_REFRESH_LIFETIME_S = 7 * 86_400.0
"""Lifetime of a refresh token if the answer has none: the documented one."""
_LONGEST_LIFETIME_S = 30 * 86_400.0
"""Longest lifetime of a token that rcfs believes: four times the longest documented one, a refresh
token's."""
_MOST_BYTES = 1 << 20
"""Largest answer of the token endpoint that rcfs reads: a token of RingCentral has about 1 kB."""
_BEARER = re.compile(r"[!-~]+")
"""A token that may stand in a header; httpx fails on any other in an error that quotes it."""


@attrs.frozen
class Credentials:
    """The credentials of a login: an app and a user's JWT, or a user who has logged in with a browser."""

    client_id: str
    """Client id of the app."""
    client_secret: str = attrs.field(repr=False)
    """Client secret of the app; empty for a public app, which proves itself by PKCE."""
    jwt: str = attrs.field(repr=False)
    """JWT credential of the user; empty after a login with a browser."""
    user: str = ""
    """Id of the user who has logged in with a browser; the session then lives in refresh tokens."""
    command: str = attrs.field(default="rcfs login", eq=False)
    """The command with which a person saves other credentials in place of these."""

    def identity(self, server_url: str) -> str:
        """The digest that names this login at `server_url`; see `rcfs.model.login_digest`."""
        return login_digest(server_url, self.client_id, self.jwt, self.user)

    @property
    def basic(self) -> tuple[str, str] | None:
        """Id and secret for the requests of the login; None for an app without a secret."""
        return (self.client_id, self.client_secret) if self.client_secret else None

    def digest(self) -> str:
        """A digest that is equal for equal credentials and reveals nothing of them."""
        secrets = (self.client_id, self.client_secret, self.jwt, self.user)
        return hashlib.blake2b(json.dumps(secrets).encode(), digest_size=16).hexdigest()


@attrs.frozen
class Token:
    """An access token, and the times of its renewal and end; times on the caller's clock."""

    access: str = attrs.field(repr=False)
    """The bearer token."""
    renew_at_s: float
    """When to fetch a new one."""
    ends_at_s: float
    """When it expires."""
    refresh: str = attrs.field(default="", repr=False)
    """Refresh token, for one use; empty if the app gets none."""
    refresh_until_s: float = 0.0
    """When the refresh token expires."""
    scopes: tuple[str, ...] = ()
    """Scopes that the server granted."""
    user: str = ""
    """Id of the user, if the server told it."""


def get_token(credentials: Credentials) -> Request:
    """The request that logs in with the user's JWT."""
    grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
    return _form("getToken", TOKEN_PATH, {"grant_type": grant, "assertion": credentials.jwt})


def refresh_token(refresh: str, credentials: Credentials) -> Request:
    """The request for a new pair of tokens, for `refresh`; the old access token ends at once."""
    fields = {"grant_type": "refresh_token", "refresh_token": refresh, **_claim(credentials)}
    return _form("getToken", TOKEN_PATH, fields)


def redeem_code(code: str, verifier: str, redirect_uri: str, credentials: Credentials) -> Request:
    """The request for the first tokens of a login with a browser, for the `code` that the browser brought."""
    fields = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect_uri,
        "code_verifier": verifier,
        **_claim(credentials),
    }
    return _form("getToken", TOKEN_PATH, fields)


def revoke_token(token: str, credentials: Credentials) -> Request:
    """The request that ends the session of `token`, an access token or a refresh token."""
    return _form("revokeToken", REVOKE_PATH, {"token": token, **_claim(credentials)})


def _claim(credentials: Credentials) -> Mapping[str, str]:
    """The field with which an app without a secret names itself."""
    return {} if credentials.client_secret else {"client_id": credentials.client_id}


def _form(operation: str, path: str, fields: Mapping[str, str]) -> Request:
    return Request(operation, AUTH, path, method="POST", body=form_body(fields))


async def token_from(answer: Answer, now: float) -> Token:
    """The token in an answer of the token endpoint, whose headers arrived at `now`.

    Its lifetime began a little before `now`, which the margin of the renewal covers.

    Raises:
        GrantError: The JWT, the code or the refresh token was refused (400).
        AuthError: The app was refused (401).
        PlatformError: Any other refusal, by its status.
        ServerError: The answer holds no valid token.
    """
    body = await answer.body(_MOST_BYTES)
    if answer.status != 200:
        request_id, wait_s = answer.request_id, answer.retry_after_s
        error = refusal(answer.status, body, operation="login", request_id=request_id, retry_after_s=wait_s)
        if answer.status == 400:
            raise GrantError(str(error), code=error.code, request_id=request_id)
        if answer.status == 401:
            raise AuthError(str(error), code=error.code, request_id=request_id)
        raise error
    try:
        document = decoded_object(body, "login")
        access = document["access_token"]
        lifetime_s = _lifetime_s(document.get("expires_in"), _LIFETIME_S)
        refresh = document.get("refresh_token") or ""
        refresh_lifetime_s = (
            _lifetime_s(document.get("refresh_token_expires_in"), _REFRESH_LIFETIME_S) if refresh else 0.0
        )
        scopes = tuple(str(document.get("scope") or "").split())
        user = str(document.get("owner_id") or "")
    except (ServerError, ValueError, TypeError, KeyError, OverflowError):
        # Without its cause: that may quote the token.
        raise ServerError("login: the answer holds no valid token; check the server's URL") from None
    if not is_bearer(access) or not isinstance(refresh, str):
        raise ServerError("login: the answer holds no valid token; check the server's URL")
    return Token(
        access=access,
        renew_at_s=now + lifetime_s - min(_AHEAD_S, _AHEAD_SHARE * lifetime_s),
        ends_at_s=now + lifetime_s,
        refresh=refresh,
        refresh_until_s=now + refresh_lifetime_s,
        scopes=scopes,
        user=user,
    )


def is_bearer(value: object) -> TypeGuard[str]:
    """Whether `value` may stand in a header as an access token."""
    return isinstance(value, str) and _BEARER.fullmatch(value) is not None


def _lifetime_s(value: Any, default_s: float) -> float:
    """`value` as a lifetime in seconds; `default_s` for None.

    Raises:
        ValueError, TypeError, OverflowError: `value` is not a finite number of at least 1.
    """
    lifetime_s = default_s if value is None else float(value)
    if not 1 <= lifetime_s < math.inf:
        raise ValueError("a lifetime must be finite, and a second at least")
    return min(lifetime_s, _LONGEST_LIFETIME_S)
