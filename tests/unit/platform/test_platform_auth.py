import json
import traceback
from urllib.parse import parse_qs

import httpx
import pytest

from rcfs.errors import (
    AuthError,
    ForbiddenError,
    PlatformError,
    RateLimitedError,
    ServerError,
    TransportError,
)
from rcfs.model import AttachmentKey, ByteRange
from rcfs.platform import (
    AllowedHosts,
    Answer,
    Body,
    Client,
    Credentials,
    Request,
    Token,
    get_token,
    read_content,
    refresh_token,
    revoke_token,
    token_from,
)

SECRET = "s3cret"


def answer(document: object, status: int = 200) -> Answer:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    request = httpx.Request("POST", "https://platform.ringcentral.com/restapi/oauth/token")
    return Answer(httpx.Response(status, content=body, request=request))


async def test_a_token_is_renewed_five_minutes_ahead_or_a_fifth_of_a_short_life() -> None:
    long = await token_from(answer({"access_token": "a", "expires_in": 3600}), 1000.0)
    assert (long.renew_at_s, long.ends_at_s) == (4300.0, 4600.0)
    short = await token_from(answer({"access_token": "a", "expires_in": "100"}), 1000.0)
    assert (short.renew_at_s, short.ends_at_s) == (1080.0, 1100.0)


async def test_missing_fields_of_a_token_have_defaults() -> None:
    token = await token_from(answer({"access_token": "a", "expires_in": None, "scope": None}), 0.0)
    assert token == Token("a", 3300.0, 3600.0)
    refreshable = await token_from(answer({"access_token": "a", "refresh_token": "b"}), 0.0)
    assert (refreshable.refresh, refreshable.refresh_until_s) == ("b", 604800.0)


async def test_a_complete_token_is_read_completely() -> None:
    document = {
        "access_token": "a",
        "expires_in": 7199,
        "refresh_token": "b",
        "refresh_token_expires_in": 60,
        "scope": "ReadAccounts  ReadMessages",
    }
    token = await token_from(answer(document), 1.0)
    assert token == Token("a", 6900.0, 7200.0, "b", 61.0, ("ReadAccounts", "ReadMessages"))


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<html>",
        b"[" * 60_000,
        [],
        None,
        {},
        {"access_token": None},
        {"access_token": ""},
        {"access_token": 7},
        {"access_token": SECRET + "\r\nX: y"},
        {"access_token": SECRET + " x"},
        {"access_token": SECRET + "é"},
        {"access_token": SECRET, "expires_in": 0},
        {"access_token": SECRET, "expires_in": -1},
        {"access_token": SECRET, "expires_in": "soon"},
        {"access_token": SECRET, "expires_in": []},
        {"access_token": SECRET, "refresh_token": [SECRET]},
        {"access_token": SECRET, "refresh_token": SECRET, "refresh_token_expires_in": "x"},
    ],
)
async def test_an_invalid_token_is_an_error_that_does_not_quote_it(document: object) -> None:
    with pytest.raises(ServerError, match="the answer holds no valid token") as caught:
        await token_from(answer(document), 0.0)
    assert SECRET not in "".join(traceback.format_exception_only(caught.value))
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("lifetime", [float("nan"), float("inf"), 10**400, 2**64])
async def test_a_lifetime_that_is_no_number_is_the_documented_one(lifetime: float) -> None:
    token = await token_from(answer({"access_token": "a", "expires_in": lifetime}), 0.0)
    assert token.ends_at_s == 3600.0


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, AuthError), (401, AuthError), (403, ForbiddenError), (429, RateLimitedError), (500, ServerError)],
)
async def test_a_refused_login_and_a_failed_one_are_different_errors(
    status: int, kind: type[PlatformError]
) -> None:
    with pytest.raises(kind) as caught:
        await token_from(answer({"error": "OAU-251", "error_description": "no"}, status), 0.0)
    assert caught.value.code == "OAU-251"


def test_secrets_are_in_no_repr() -> None:
    credentials = Credentials("app", SECRET, SECRET)
    token = Token(SECRET, 1.0, 2.0, SECRET, 3.0)
    assert SECRET not in f"{credentials!r} {credentials} {token!r} {token}"
    assert "app" in repr(credentials)


def test_the_requests_have_the_documented_forms() -> None:
    assert fields_of(get_token(Credentials("app", "x", "j"))) == {
        "grant_type": ["urn:ietf:params:oauth:grant-type:jwt-bearer"],
        "assertion": ["j"],
    }
    assert fields_of(refresh_token("r", Credentials("app", "x", "j"))) == {
        "grant_type": ["refresh_token"],
        "refresh_token": ["r"],
    }
    assert fields_of(revoke_token("a", Credentials("app", "x", "j"))) == {"token": ["a"]}


def fields_of(request: Request) -> dict[str, list[str]]:
    assert (request.method, request.repeatable) == ("POST", False)
    assert isinstance(request.body, Body)
    assert request.body.media_type == "application/x-www-form-urlencoded"
    return parse_qs(request.body.content.decode())


async def _headers_of(url: str, byte_range: ByteRange | None = None) -> httpx.Headers:
    requests: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(200)

    hosts = AllowedHosts("https://platform.ringcentral.com")
    client = Client(hosts, user_agent="rcfs/test", transport=httpx.MockTransport(handle))
    key = AttachmentKey("1", 2, 3, 4)
    async with client.send(read_content(key, url, byte_range), SECRET) as given:
        assert given.status == 200
    await client.aclose()
    return requests[0].headers


async def test_only_trusted_hosts_get_the_token() -> None:
    trusted = await _headers_of("https://media.ringcentral.com:443/x", ByteRange(7))
    assert trusted["Authorization"] == f"Bearer {SECRET}"
    assert trusted["Range"] == "bytes=7-"
    assert trusted["Accept-Encoding"] == "identity"
    foreign = await _headers_of("https://media.ringcentral.com.evil.example/x")
    assert SECRET not in str(foreign.raw)
    assert "Range" not in foreign


@pytest.mark.parametrize("url", ["http://media.ringcentral.com/x", "https://a:b@media.ringcentral.com/x"])
async def test_a_url_that_may_not_be_followed_is_an_error_that_a_retry_cannot_change(url: str) -> None:
    with pytest.raises(PlatformError, match="does not follow") as caught:
        await _headers_of(url)
    assert not caught.value.retryable


async def test_a_url_that_httpx_cannot_parse_is_an_error_that_a_retry_cannot_change() -> None:
    with pytest.raises(PlatformError, match="invalid URL") as caught:
        await _headers_of("https://media.ringcentral.com/\x7f")
    assert not caught.value.retryable


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ConnectError("refused"),
        httpx.ReadError(""),
        httpx.RemoteProtocolError("closed"),
        httpx.ReadTimeout(""),
        httpx.ProxyError("x"),
        httpx.UnsupportedProtocol("x"),
    ],
)
async def test_every_failure_of_the_connection_is_a_transport_error(failure: httpx.RequestError) -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        raise failure

    hosts = AllowedHosts("https://platform.ringcentral.com")
    client = Client(hosts, user_agent="rcfs/test", transport=httpx.MockTransport(handle))
    with pytest.raises(TransportError, match=r"platform\.ringcentral\.com") as caught:
        async with client.send(
            Request("x", read_content(AttachmentKey("1", 2, 3, 4), "", None).group, "/x"), SECRET
        ):
            pass
    assert SECRET not in str(caught.value)
    await client.aclose()


@pytest.mark.parametrize("seconds", [10**18, 1e300, "1e300"])
async def test_no_lifetime_is_longer_than_a_month(seconds: object) -> None:
    document = {
        "access_token": "a",
        "expires_in": seconds,
        "refresh_token": "r",
        "refresh_token_expires_in": seconds,
    }
    token = await token_from(answer(document), 5.0)
    assert token.ends_at_s == token.refresh_until_s == 5.0 + 30 * 86_400.0
