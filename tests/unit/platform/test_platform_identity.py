"""The digest that names a login: equal for logins that share a budget, and no secret in it."""

import base64
import json

import pytest

from rcfs.platform import Credentials

SERVER = "https://platform.ringcentral.com"


def jwt(claims: object, signature: str = "signature") -> str:
    def segment(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{segment({'alg': 'RS256'})}.{segment(claims)}.{signature}"


def identity(token: str, client_id: str = "app", server: str = SERVER) -> str:
    return Credentials(client_id, "s3cret", token).identity(server)


def test_all_jwts_of_one_user_have_one_digest() -> None:
    assert identity(jwt({"sub": "1234", "jti": "a"})) == identity(jwt({"sub": "1234", "jti": "b"}, "other"))


def test_another_user_app_or_server_has_another_digest() -> None:
    token = jwt({"sub": "1234"})
    names = {
        identity(token),
        identity(jwt({"sub": "1235"})),
        identity(token, client_id="app 2"),
        identity(token, server="http://127.0.0.1:8080"),
    }
    assert len(names) == 4


@pytest.mark.parametrize(
    "token",
    [
        "",
        "no dots",
        "a.b.c",
        "a.%%%.c",
        jwt({}),
        jwt([]),
        jwt({"sub": ""}),
        jwt({"sub": 7}),
        jwt("x"),
        "ä.ö.ü",
    ],
)
def test_a_jwt_without_a_user_has_a_digest_of_its_own(token: str) -> None:
    assert identity(token) == identity(token)
    assert identity(token) != identity(token + "x")


def test_the_digest_reveals_nothing() -> None:
    name = identity(jwt({"sub": "1234"}))
    assert len(name) == 32
    assert set(name) <= set("0123456789abcdef")
