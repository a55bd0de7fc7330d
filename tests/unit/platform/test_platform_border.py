"""Errors of libraries become errors of rcfs; and cookies are ignored."""

import httpx
import pytest

from rcfs.errors import PlatformError
from rcfs.platform import AllowedHosts, Client, read_account

SERVER = "https://platform.ringcentral.com"
SENSELESS = [
    "https://://[",
    "https://xn--a/",
    "https://[::1/",
    "//\x00",
    "https://" + "a" * 70_000,
    "https://a:99999/",
]


def client_of(*answers: httpx.Response | Exception) -> tuple[Client, list[httpx.Request]]:
    seen: list[httpx.Request] = []
    left = list(answers)

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        following = left.pop(0)
        if isinstance(following, Exception):
            raise following
        return following

    return Client(AllowedHosts(SERVER), user_agent="test", transport=httpx.MockTransport(answer)), seen


@pytest.mark.parametrize("target", SENSELESS, ids=lambda target: target[:20])
async def test_an_invalid_redirect_is_an_error_of_rcfs(target: str) -> None:
    client, _seen = client_of(httpx.Response(302, headers={"Location": target}))
    try:
        async with client.send(read_account(), "token") as answer:
            assert answer.location == "" or not client.hosts.may_follow(answer.location)
    except PlatformError:
        pass
    with pytest.raises(PlatformError):
        async with client._answer("GET", target):
            pass
    with pytest.raises(PlatformError):
        async with client.open_socket(target.replace("https", "wss")):
            pass
    await client.aclose()


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x"),
        UnicodeError("x"),
        KeyError("x"),
        RecursionError("x"),
        ExceptionGroup("x", [OSError(5)]),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_any_error_of_a_library_becomes_an_error_of_rcfs(error: Exception) -> None:
    client, _seen = client_of(error)
    with pytest.raises(PlatformError, match=r"platform\.ringcentral\.com"):
        async with client.send(read_account(), "token"):
            pass
    await client.aclose()


async def test_no_cookie_is_stored_or_sent() -> None:
    odd = [
        ("Set-Cookie", "a=b; Max-Age=99999999999999999999"),
        ("Set-Cookie", "\x01=; expires=\xff; Path"),
        ("Set-Cookie", "s=1"),
    ]
    headers = httpx.Headers([(name.encode(), value.encode("latin-1")) for name, value in odd])
    client, seen = client_of(httpx.Response(200, headers=headers), httpx.Response(200))
    for _request in range(2):
        async with client.send(read_account(), "token") as answer:
            assert answer.status == 200
    assert [request.headers.get("Cookie") for request in seen] == [None, None]
    await client.aclose()
