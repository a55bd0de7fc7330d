"""Authorization codes: the login of a user in a browser, with PKCE (RFC 6749, 4.1, and RFC 7636).

A request for authorization is checked at every step: at the platform's authorize endpoint, when the consent
page is shown, and when the user agrees. So no state is needed before a code is issued.
"""

import base64
import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

import attrs

from rcfs.simulator._wire import OAuthError

CODE_LIFETIME_S = 60.0
"""Lifetime of a code, in seconds ("about 60 s" in the documentation)."""

MAX_CODES = 100
"""Most codes that are kept; a further one replaces the oldest."""

PARAMETERS = (
    "response_type",
    "client_id",
    "redirect_uri",
    "state",
    "scope",
    "prompt",
    "code_challenge",
    "code_challenge_method",
)
"""Parameters of a request for authorization; the consent page passes them on. The other documented parameters
only affect the look of the page (display, ui_locales, brand_id, login_hint) or belong to OpenID Connect
(nonce)."""

PROMPTS = frozenset({"login", "sso", "consent", "none"})
"""Values of ``prompt``. All except ``none`` lead to the consent page."""

_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
"""A SHA-256 in base64url without padding (RFC 7636, 4.2)."""

_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")
"""A code verifier (RFC 7636, 4.1)."""


@attrs.frozen
class AuthorizationRequest:
    """A valid request for authorization."""

    client: str
    """Client id of the app."""
    redirect_uri: str
    """The URI that the browser is redirected to with the answer."""
    names_redirect_uri: bool
    """Whether the client has named that URI; otherwise it is the only registered one."""
    state: str | None
    """A value that the client wants back; None if it sent none."""
    challenge: str
    """S256 code challenge; empty if the client will authenticate itself by its secret."""
    scopes: frozenset[str] = frozenset()
    """The scopes that the app asks for: those that it names, or else all that it has."""
    is_silent: bool = False
    """Whether no page may be shown, so that only a browser with a login gets a code."""

    def answer_uri(self, **answer: str) -> str:
        """The redirect URI with `answer` and the state."""
        state = {} if self.state is None else {"state": self.state}
        separator = "&" if "?" in self.redirect_uri else "?"
        return f"{self.redirect_uri}{separator}{urlencode({**answer, **state})}"


@attrs.frozen
class _Issued:
    """The request that a code was issued for."""

    request: AuthorizationRequest
    expires_at: float


class Codes:
    """The authorization codes of one simulator.

    Args:
        client_id: Id of the app.
        redirect_uris: The app's registered redirect URIs, at least one.
        scopes: The app's scopes.
    """

    def __init__(
        self, client_id: str, redirect_uris: Sequence[str], scopes: frozenset[str] = frozenset()
    ) -> None:
        self._client_id = client_id
        self._redirect_uris = redirect_uris
        self._scopes = scopes
        self.browser = secrets.token_urlsafe(16)
        """Value of the cookie of a browser with a login; there is only one user."""
        self._issued: dict[str, _Issued] = {}

    def check(self, asked: Mapping[str, str]) -> AuthorizationRequest:
        """The request for authorization with these parameters.

        Raises:
            OAuthError: It is refused. Nothing is trusted before the client and the URI have been checked.
        """
        if asked.get("client_id") != self._client_id:
            raise OAuthError("invalid_client", "OAU-153", "Invalid client")
        redirect_uri = asked.get("redirect_uri", "")
        names_redirect_uri = bool(redirect_uri)
        if not names_redirect_uri and len(self._redirect_uris) == 1:
            (redirect_uri,) = self._redirect_uris
        if redirect_uri not in self._redirect_uris:
            raise OAuthError("invalid_request", "OAU-109", "Redirect URIs do not match")
        if asked.get("response_type") != "code":
            raise OAuthError("unsupported_response_type", "OAU-111", "Unsupported response type")
        challenge, method = asked.get("code_challenge", ""), asked.get("code_challenge_method", "")
        if (challenge or method) and not (method == "S256" and _CHALLENGE.fullmatch(challenge)):
            raise OAuthError("invalid_request", "OAU-101", "The code challenge is not one of method S256")
        prompts = frozenset(asked.get("prompt", "").split())
        if not prompts <= PROMPTS or ("none" in prompts and len(prompts) > 1):
            raise OAuthError("invalid_request", "OAU-101", "Parameter [prompt] is invalid")
        scopes = frozenset(asked.get("scope", "").split()) or self._scopes
        if not scopes <= self._scopes:
            # U: the platform's code for this is unknown.
            raise OAuthError("invalid_scope", "OAU-101", "The app has not got all of these scopes")
        return AuthorizationRequest(
            client=self._client_id,
            redirect_uri=redirect_uri,
            names_redirect_uri=names_redirect_uri,
            state=asked.get("state"),
            challenge=challenge,
            scopes=scopes,
            is_silent="none" in prompts,
        )

    def issue(self, request: AuthorizationRequest, now: float) -> str:
        """A code for `request`, to which the user has agreed."""
        code = secrets.token_urlsafe(32)
        self._issued[code] = _Issued(request, now + CODE_LIFETIME_S)
        while len(self._issued) > MAX_CODES:
            del self._issued[next(iter(self._issued))]
        return code

    def redeem(
        self, client: str, form: Mapping[str, str], now: float, *, proven: bool
    ) -> AuthorizationRequest:
        """The request for which the code in a token request's `form` was issued; the code is used up.

        Args:
            client: Client id of the request.
            form: Its body.
            now: The present.
            proven: Whether the client has authenticated itself by its secret.

        Raises:
            OAuthError: The code is unknown, used, expired or another client's; the redirect URI differs; the
                code verifier is wrong or missing; or there is neither a verifier nor a secret.
        """
        issued = self._issued.pop(form.get("code", ""), None)
        if issued is None or now >= issued.expires_at or issued.request.client != client:
            raise OAuthError("invalid_grant", "OAU-210", "Authorization code is invalid or expired")
        request = issued.request
        named = form.get("redirect_uri", "")
        if named != request.redirect_uri and (named or request.names_redirect_uri):
            raise OAuthError("invalid_grant", "OAU-109", "Redirect URIs do not match")
        verifier = form.get("code_verifier", "")
        if request.challenge or verifier:
            good = _VERIFIER.fullmatch(verifier) is not None and secrets.compare_digest(
                s256(verifier).encode(), request.challenge.encode()
            )
        else:
            good = proven
        if not good:
            raise OAuthError("invalid_grant", "OAU-210", "The code verifier does not fit the code challenge")
        return request


def s256(verifier: str) -> str:
    """The code challenge of `verifier` (RFC 7636, 4.2)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
