"""Logins: client authentication, access tokens, and refresh tokens for single use (codes: see `_codes`).

Tokens are random in every run. The credentials follow from the seed (see `_config`), so that a demo can be
repeated. Times are `now` in seconds of any origin.
"""

import base64
import binascii
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from rcfs.simulator._config import Credentials
from rcfs.simulator._wire import ApiError, OAuthError
from rcfs.simulator.login._codes import Codes
from rcfs.simulator.login._logins import Login

JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
"""Grant type of a login with a JWT (RFC 7523, 2.1)."""

REFRESH_LIFETIME_S = 604_799
"""Lifetime of a refresh token in seconds: the example of the schema TokenInfo."""

MAX_SESSIONS = 5
"""Sessions per user and app; a further login ends the oldest (documented as "about 5")."""


@attrs.define(eq=False)
class Session:
    """One login, from its first token to its revocation."""

    id: str
    """OAuth session id."""
    user: int
    """Extension id of the user."""
    client: str
    """Client id of the app."""
    is_public: bool
    """Whether the client has no secret but used PKCE; only such a login can be refreshed without a secret."""
    scopes: frozenset[str]
    """The app's scopes in this login."""
    access_token: str
    """The only valid access token; a refresh replaces it."""
    expires_at: float
    """When that token expires."""
    refresh_token: str
    """The only valid refresh token."""
    refresh_expires_at: float
    """When that token expires."""
    login: Login | None = None
    """The login that it belongs to, if that is a further one."""


class Auth:
    """All logins of one simulator.

    Args:
        credentials: The credentials to accept.
        owner: Extension id that the JWT belongs to.
        token_lifetime_s: Lifetime of an access token, in seconds.
        scopes: The app's scopes; a login has them all, unless it asks for fewer.
        redirect_uris: The app's registered redirect URIs, at least one.
        more: Further logins.
    """

    def __init__(
        self,
        credentials: Credentials,
        *,
        owner: int,
        token_lifetime_s: float,
        scopes: frozenset[str],
        redirect_uris: Sequence[str],
        more: Sequence[Login] = (),
    ) -> None:
        self.credentials = credentials
        self.codes = Codes(credentials.client_id, redirect_uris, scopes)
        self.owner = owner
        self._token_lifetime_s = token_lifetime_s
        self._scopes = scopes
        self._more = tuple(more)
        self._refused: set[Credentials] = set()
        self._sessions: list[Session] = []
        self._listeners: list[Callable[[Session], None]] = []

    @property
    def more(self) -> tuple[Credentials, ...]:
        """The credentials of the further logins."""
        return tuple(login.credentials for login in self._more)

    def listen(self, listener: Callable[[Session], None]) -> None:
        """Call `listener` with each login that ends, by revocation or because the user has too many."""
        self._listeners.append(listener)

    def check_client(self, authorization: str, claimed: str = "") -> bool:
        """Whether an ``Authorization: Basic`` header authenticates the client; False without a header.

        Args:
            authorization: The header; empty if absent.
            claimed: Client id in the body, with which an app without a secret identifies itself.

        Raises:
            OAuthError: The header is malformed or wrong, or it is absent and `claimed` is wrong.
        """
        apps = [self.credentials, *(login.credentials for login in self._more)]
        if not authorization and any(claimed == app.client_id for app in apps):
            return False
        client, secret = split_basic(authorization)
        if not any(
            secrets.compare_digest(client.encode(), app.client_id.encode())
            and secrets.compare_digest(secret.encode(), app.client_secret.encode())
            for app in apps
        ):
            raise OAuthError("invalid_client", "OAU-153", "Invalid client")
        return True

    def refuse(self, credentials: Credentials) -> None:
        """Refuse the JWT of `credentials` from now on, and end its sessions, as an administrator may."""
        self._refused.add(credentials)
        self._end([each for each in self._sessions if self._credentials_of(each) == credentials])

    def accept(self, credentials: Credentials) -> None:
        """Take back `refuse`."""
        self._refused.discard(credentials)

    def grant(
        self, client: str, form: Mapping[str, str], now: float, *, proven: bool = True
    ) -> dict[str, Any]:
        """The token answer (schema TokenInfo) for the form body of a token request.

        Args:
            client: Client id of the request.
            form: Its body.
            now: The present.
            proven: Whether the client has authenticated itself by its secret.

        Raises:
            OAuthError: The grant type is not supported; the assertion, refresh token or authorization code is
                invalid; or the client must authenticate itself by its secret and has not.
        """
        match form.get("grant_type"):
            case grant_type if grant_type == JWT_GRANT:
                if not proven:
                    raise OAuthError("invalid_client", "OAU-153", "Invalid client")
                login = self._login_of(client, form.get("assertion", ""))
                scopes = self._scopes if login is None else login.permissions.scopes
                session = self._log_in(client, scopes, now, is_public=False, login=login)
            case "authorization_code":
                asked = self.codes.redeem(client, form, now, proven=proven)
                session = self._log_in(client, asked.scopes, now, is_public=not proven)
            case "refresh_token":
                session = self._refresh(client, form.get("refresh_token", ""), now, proven=proven)
            case _:
                raise OAuthError("unsupported_grant_type", "OAU-250", "Unsupported grant type")
        return {
            "access_token": session.access_token,
            "token_type": "bearer",
            "expires_in": int(self._token_lifetime_s),
            "refresh_token": session.refresh_token,
            "refresh_token_expires_in": REFRESH_LIFETIME_S,
            "scope": " ".join(sorted(session.scopes)),
            "owner_id": str(session.user),
            "endpoint_id": session.id,
            "session_id": session.id,
        }

    def session(self, token: str, now: float) -> Session:
        """The login to which the access token `token` belongs.

        Raises:
            ApiError: 401, the token is unknown, replaced, revoked or expired.
        """
        for session in self._sessions:
            if secrets.compare_digest(session.access_token.encode(), token.encode()):
                if now >= session.expires_at:
                    break
                return session
        raise ApiError(401, "OAU-213", "Token not found")

    def revoke(self, token: str) -> None:
        """End the login of an access or refresh `token`; an unknown token is no error (RFC 7009, 2.2)."""
        self._end([s for s in self._sessions if token in (s.access_token, s.refresh_token)])

    def expire(self, session: Session) -> None:
        """Expire the access token of `session`; its refresh token stays valid."""
        session.expires_at = float("-inf")

    def expire_all(self) -> None:
        """Expire all access tokens."""
        for session in self._sessions:
            self.expire(session)

    def _login_of(self, client: str, assertion: str) -> Login | None:
        """The further login of a JWT; None for the first login.

        Raises:
            OAuthError: The JWT is unknown, or refused.
        """
        logins = [(self.credentials, None), *((login.credentials, login) for login in self._more)]
        for known, login in logins:
            if known.client_id == client and secrets.compare_digest(assertion.encode(), known.jwt.encode()):
                if known in self._refused:
                    break
                return login
        raise OAuthError("invalid_grant", "OAU-140", "Invalid assertion")

    def _credentials_of(self, session: Session) -> Credentials:
        return self.credentials if session.login is None else session.login.credentials

    def _log_in(
        self,
        client: str,
        scopes: frozenset[str],
        now: float,
        *,
        is_public: bool,
        login: Login | None = None,
    ) -> Session:
        session = Session(
            id=_token(16),
            user=self.owner if login is None else login.user,
            client=client,
            is_public=is_public,
            scopes=scopes,
            access_token=_token(),
            expires_at=now + self._token_lifetime_s,
            refresh_token=_token(),
            refresh_expires_at=now + REFRESH_LIFETIME_S,
            login=login,
        )
        self._sessions.append(session)
        own = [each for each in self._sessions if (each.user, each.client) == (session.user, client)]
        self._end(own[:-MAX_SESSIONS])
        return session

    def _end(self, ended: Sequence[Session]) -> None:
        """End the logins `ended`."""
        self._sessions = [session for session in self._sessions if session not in ended]
        for session in ended:
            for listener in self._listeners:
                listener(session)

    def _refresh(self, client: str, token: str, now: float, *, proven: bool) -> Session:
        for session in self._sessions:
            if (
                session.refresh_token == token
                and session.client == client
                and (proven or session.is_public)
                and now < session.refresh_expires_at
            ):
                session.access_token, session.refresh_token = _token(), _token()
                session.expires_at = now + self._token_lifetime_s
                session.refresh_expires_at = now + REFRESH_LIFETIME_S
                return session
        raise OAuthError("invalid_grant", "OAU-213", "Token not found")


def bearer_token(authorization: str) -> str:
    """The token of an ``Authorization: Bearer`` header; the scheme is case-insensitive (RFC 9110, 11.1).

    Raises:
        ApiError: 401, the header is empty or has another scheme.
    """
    if not authorization:
        raise ApiError(401, "CMN-405", "Login to extension required")
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer":
        raise ApiError(401, "OAU-151", "Authorization method not supported")
    return token.strip()


def split_basic(authorization: str) -> tuple[str, str]:
    """Id and secret of an ``Authorization: Basic`` header (RFC 7617); both empty when it is not one."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        client, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return client, secret


def _token(entropy_bytes: int = 32) -> str:
    """A new random token, with the platform's alphabet."""
    return secrets.token_urlsafe(entropy_bytes)
