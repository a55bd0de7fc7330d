"""Whose requests count together: a name for it that tells nobody who that is."""

import base64
import hashlib
import json


def login_digest(server_url: str, client_id: str, jwt: str) -> str:
    """A digest of server, app and user: the index, the ledger and the sessions know a login by it.

    It is equal for all JWTs of one user, because the platform counts by app and user. The user is the
    claim ``sub`` (RFC 7519, 4.1.2); of a JWT without one it is that very JWT.
    """
    text = json.dumps([server_url, client_id, _subject(jwt) or jwt])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _subject(jwt: str) -> str:
    """The ``sub`` of a JWT, whose signature is not checked; empty when there is none."""
    try:
        payload = jwt.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError, RecursionError):
        return ""
    subject = claims.get("sub") if isinstance(claims, dict) else None
    return subject if isinstance(subject, str) else ""
