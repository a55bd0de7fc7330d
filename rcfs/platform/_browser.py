"""The login of a user in a browser, without sockets: the address to open, and the answer that comes back.

Source: "Authorization code flow with PKCE" of the API documentation; RFC 6749, 4.1; RFC 7636; RFC 8252, 7.3.
"""

import base64
import hashlib
import secrets
from collections.abc import Mapping
from urllib.parse import parse_qs, urlencode, urlsplit

import attrs

from rcfs.errors import AuthError
from rcfs.model import one_line

AUTHORIZE_PATH = "/restapi/oauth/authorize"
_ENTROPY_BYTES = 32
"""Entropy of the state and the code verifier, in bytes: that of a SHA-256 (RFC 7636, 7.1)."""
_LONGEST_WORDS = 300
"""Most characters of the server's own words that rcfs shows."""

_IN_WORDS: Mapping[str, str] = {
    "access_denied": "the access was refused in the browser; log in again to allow it",
    "unauthorized_client": "this app may not log in with a browser; allow it in the developer console, or log"
    " in with --jwt",
    "invalid_client": "RingCentral knows no app with this client id; check it in the developer console",
    "invalid_scope": "the app lacks scopes that it asks for; check them in the developer console",
    "invalid_request": "RingCentral refused the request; check the app's redirect URI in the developer"
    " console",
    "unsupported_response_type": "this app may not log in with a browser; allow it in the developer console",
    "login_required": "you are not logged in at RingCentral; run this again and log in there",
    "server_error": "RingCentral failed; run this again later",
    "temporarily_unavailable": "RingCentral is overloaded; run this again later",
}
"""The errors of RFC 6749, 4.1.2.1, and of OpenID Connect Core 1.0, 3.1.2.6, in words."""


class OtherLoginError(ValueError):
    """An answer that does not belong to this login."""


@attrs.frozen
class BrowserLogin:
    """One login with a browser."""

    client_id: str
    """Client id of the app."""
    redirect_uri: str
    """Where the browser brings the answer: a URI that is registered for the app, compared literally."""
    state: str = attrs.field(factory=lambda: secrets.token_urlsafe(_ENTROPY_BYTES), repr=False)
    """A random text that comes back in the answer."""
    verifier: str = attrs.field(factory=lambda: secrets.token_urlsafe(_ENTROPY_BYTES), repr=False)
    """The code verifier of PKCE, which only this process knows."""

    def url(self, server_url: str) -> str:
        """The address at which the user logs in and agrees; it holds nothing secret."""
        digest = hashlib.sha256(self.verifier.encode()).digest()
        asked = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "state": self.state,
            "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
            "code_challenge_method": "S256",
        }
        return f"{server_url}{AUTHORIZE_PATH}?{urlencode(asked)}"

    def code(self, answer_url: str) -> str:
        """The authorization code in the address to which the server has sent the browser.

        Raises:
            OtherLoginError: The address is another one, or its state is.
            AuthError: The user or the server refused the login.
        """
        try:
            given, own = urlsplit(answer_url.strip()), urlsplit(self.redirect_uri)
            fields = {name: values[0] for name, values in parse_qs(given.query).items()}
        except ValueError:
            raise OtherLoginError("this is not an address") from None
        if given[:3] != own[:3]:
            raise OtherLoginError(f"the address must begin with {self.redirect_uri}?")
        # Bytes that are no text come from a terminal as surrogates.
        state = fields.get("state", "").encode(errors="replace")
        if self.state.encode().startswith(state) and len(state) < len(self.state):
            raise OtherLoginError("the end of the address is missing; copy it whole, in one line")
        if not secrets.compare_digest(state, self.state.encode()):
            raise OtherLoginError("this answer belongs to another login; use the page that was opened last")
        error = fields.get("error", "")
        if error or not fields.get("code"):
            said = one_line(fields.get("error_description") or error or "no code came")[:_LONGEST_WORDS]
            raise AuthError(_IN_WORDS.get(error, f"RingCentral did not log you in: {said}"), code=error)
        return fields["code"]
