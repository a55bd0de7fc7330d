"""Token endpoint: logins and their end."""

from urllib.parse import parse_qsl

from rcfs.simulator._backend import AUTH, Call, Operation
from rcfs.simulator._wire import Answer, json_answer


def get_token(call: Call) -> Answer:
    """A new access token for a JWT or a refresh token."""
    token = call.backend.auth.grant(call.client, _form(call), call.backend.clock())
    return json_answer(token, headers={"Cache-Control": "no-store", "Pragma": "no-cache"})


def revoke_token(call: Call) -> Answer:
    """The end of the login that a token in the body or the query belongs to."""
    call.backend.auth.revoke(_form(call).get("token") or call.query.text("token"))
    return Answer(200)


def _form(call: Call) -> dict[str, str]:
    """The form body; the first of equal names counts."""
    return dict(reversed(parse_qsl(call.body.decode(errors="replace"))))


OPERATIONS = (
    Operation("getToken", "POST", "/restapi/oauth/token", AUTH, get_token, needs_login=False),
    Operation("revokeToken", "POST", "/restapi/oauth/revoke", AUTH, revoke_token, needs_login=False),
)
"""Operations of this module."""
