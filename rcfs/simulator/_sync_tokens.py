"""Tokens that a client hands back unchanged: signed, so that only this simulator's own are accepted."""

import base64
import binascii
import hashlib
import hmac
import json
from typing import Any


def seal(key: bytes, claims: Any) -> str:
    """A token for `claims`, a JSON value, signed with `key`."""
    text = json.dumps(claims).encode()
    return base64.urlsafe_b64encode(hmac.digest(key, text, "sha256") + text).decode()


def unseal(key: bytes, token: str) -> Any:
    """The claims of a token that `seal` made with `key`.

    Raises:
        ValueError: The token was not made with `key`.
    """
    try:
        sealed = base64.urlsafe_b64decode(token)
    except (binascii.Error, ValueError):
        raise ValueError("not base64") from None
    size = hashlib.sha256().digest_size
    if not hmac.compare_digest(sealed[:size], hmac.digest(key, sealed[size:], "sha256")):
        raise ValueError("not signed by this simulator")
    return json.loads(sealed[size:])
