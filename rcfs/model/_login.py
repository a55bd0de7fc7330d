"""The digest of a login, by which rcfs tells logins apart without storing who they are."""

import base64
import hashlib
import json


def login_digest(server_url: str, client_id: str, jwt: str, user: str = "") -> str:
    """The digest of server, app and user that names a login in the index, the ledger and the sessions.

    It is equal for all JWTs of one user, because the platform counts requests by app and user. The user is
    the claim ``sub`` (RFC 7519, 4.1.2); a JWT without it stands for itself. Without a JWT, `user` is the
    user's id, as the token endpoint told it.
    """
    text = json.dumps([server_url, client_id, (_subject(jwt) or jwt) if jwt else user])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _subject(jwt: str) -> str:
    """The ``sub`` of a JWT, whose signature is not checked; empty if it has none."""
    try:
        payload = jwt.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError, RecursionError):
        return ""
    subject = claims.get("sub") if isinstance(claims, dict) else None
    return subject if isinstance(subject, str) else ""
