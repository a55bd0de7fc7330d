"""Authorization codes: the login of a person in a browser, with PKCE (RFC 6749, 4.1, and RFC 7636).

A request for authorization is checked wherever it comes by: at the platform's authorize endpoint, when the
consent page is shown, and when it is clicked. So nothing is kept before there is a code.
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
"""How long a code is good, in seconds ("about 60 s" in the documentation)."""

MAX_CODES = 100
"""Codes that are remembered at most; a further one makes the oldest forgotten."""

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
"""What counts of a request for authorization; the consent page passes it on. What else is documented only
changes looks (display, ui_locales, brand_id, login_hint) or belongs to OpenID Connect (nonce)."""

PROMPTS = frozenset({"login", "sso", "consent", "none"})
"""Values of ``prompt``. All but ``none`` lead to the one page that there is, which asks for consent."""

_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
"""A SHA-256 in base64url without padding (RFC 7636, 4.2)."""

_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")
"""RFC 7636, 4.1."""


@attrs.frozen
class AuthorizationRequest:
    """A request for authorization that is in order."""

    client: str
    """Client id of the app."""
    redirect_uri: str
    """Where the browser is sent with the answer."""
    names_redirect_uri: bool
    """The client has named that URI; otherwise it is the only one that is registered."""
    state: str | None
    """What the client wants to get back; None for nothing."""
    challenge: str
    """S256 code challenge; empty where the client is going to prove itself by its secret."""
    scopes: frozenset[str] = frozenset()
    """What the app wants to be allowed: the scopes that it names, or all that it has."""
    is_silent: bool = False
    """Nobody must be asked: it is granted only to a browser in which somebody has logged in already."""

    def answer_uri(self, **answer: str) -> str:
        """The redirect URI with `answer` and the state."""
        state = {} if self.state is None else {"state": self.state}
        separator = "&" if "?" in self.redirect_uri else "?"
        return f"{self.redirect_uri}{separator}{urlencode({**answer, **state})}"


@attrs.frozen
class _Issued:
    """What a code stands for."""

    request: AuthorizationRequest
    expires_at: float


class Codes:
    """The authorization codes of one simulator.

    Args:
        client_id: Id of the app.
        redirect_uris: What is registered with it, at least one.
        scopes: What the app may be allowed.
    """

    def __init__(
        self, client_id: str, redirect_uris: Sequence[str], scopes: frozenset[str] = frozenset()
    ) -> None:
        self._client_id = client_id
        self._redirect_uris = redirect_uris
        self._scopes = scopes
        self.browser = secrets.token_urlsafe(16)
        """What a browser in which somebody has logged in knows; there is but one person."""
        self._issued: dict[str, _Issued] = {}

    def check(self, asked: Mapping[str, str]) -> AuthorizationRequest:
        """The request for authorization with the parameters `asked`.

        Raises:
            OAuthError: It must not be granted: no parameter is trusted before client and URI are known.
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
            # U: the platform's code for it is not known.
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
        """A code for `request`, to which the person has agreed."""
        code = secrets.token_urlsafe(32)
        self._issued[code] = _Issued(request, now + CODE_LIFETIME_S)
        while len(self._issued) > MAX_CODES:
            del self._issued[next(iter(self._issued))]
        return code

    def redeem(
        self, client: str, form: Mapping[str, str], now: float, *, proven: bool
    ) -> AuthorizationRequest:
        """What the code of a token request's `form` was issued for; from now on it is not good any more.

        Args:
            client: Client id of the request.
            form: Its body.
            now: When it came.
            proven: The client has shown its secret.

        Raises:
            OAuthError: The code is unknown, taken, expired or another's; the redirect URI is another; the
                code verifier is wrong or missing; there is neither a verifier nor a secret.
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
