import pytest

from rcfs.platform import AllowedHosts

RINGCENTRAL = AllowedHosts("https://platform.ringcentral.com")
LOOPBACK = AllowedHosts("http://127.0.0.1:8080")


@pytest.mark.parametrize(
    "url",
    [
        "https://platform.ringcentral.com/restapi/v1.0/account/~",
        "https://PLATFORM.ringcentral.com/x",
        "https://media.ringcentral.com:443/x",
        "https://media.ringcentral.com/x?y=@evil.example",
        "https://media.ringcentral.biz/x",
        "https://ringcentral.com/x",
    ],
)
def test_ringcentrals_own_hosts_see_the_token(url: str) -> None:
    assert RINGCENTRAL.may_follow(url)
    assert RINGCENTRAL.may_see_token(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://ringcentral.com.evil.example/x",
        "https://evilringcentral.com/x",
        "https://platform.ringcentral.com.evil.example/x",
        "https://evil.example/platform.ringcentral.com",
        "https://evil.example/?u=https://platform.ringcentral.com",
        "https://evil.example#platform.ringcentral.com",
        "https://ringcentral.community/x",
        "https://s3.amazonaws.com/x",
        "https://platform.ringcentral.com\n.evil.example/x",
        "https://127.0.0.1/x",
    ],
)
def test_foreign_hosts_may_be_followed_without_the_token(url: str) -> None:
    assert RINGCENTRAL.may_follow(url)
    assert not RINGCENTRAL.may_see_token(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://platform.ringcentral.com/x",
        "http://127.0.0.1/x",
        "https://jane:pw@platform.ringcentral.com/x",
        "https://platform.ringcentral.com@evil.example/x",
        "https://platform.ringcentral.com:443@evil.example/x",
        "https://@platform.ringcentral.com/x",
        "https://evil.example\\@platform.ringcentral.com/x",
        "https://platform.ringcentral.com:99999/x",
        "https://platform.ringcentral.com:4 4/x",
        "https://[::1/x",
        "https:///x",
        "//platform.ringcentral.com/x",
        "/restapi/v1.0",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "",
    ],
)
def test_other_urls_are_not_followed_at_all(url: str) -> None:
    assert not RINGCENTRAL.may_follow(url)
    assert not RINGCENTRAL.may_see_token(url)


@pytest.mark.parametrize(
    ("url", "follow", "token"),
    [
        ("http://127.0.0.1:8080/x", True, True),
        ("http://127.0.0.1:9090/x", True, True),
        ("http://127.0.0.1/x", True, True),
        ("http://localhost:8080/x", True, False),
        ("http://127.0.0.2:8080/x", True, False),
        ("http://[::1]:8080/x", True, False),
        ("https://127.0.0.1:8080/x", True, False),
        ("https://platform.ringcentral.com/x", True, False),
        ("http://example.com/x", False, False),
    ],
)
def test_a_loopback_server_shares_its_address_on_any_port(url: str, follow: bool, token: bool) -> None:
    assert (LOOPBACK.may_follow(url), LOOPBACK.may_see_token(url)) == (follow, token)


def test_an_ipv6_loopback_server_is_one() -> None:
    hosts = AllowedHosts("http://[::1]:8080")
    assert hosts.may_see_token("http://[::1]:9090/x")
    assert not hosts.may_see_token("http://127.0.0.1:8080/x")


def test_another_server_trusts_only_itself_and_its_media_host() -> None:
    hosts = AllowedHosts("https://pbx.example.com:8443", "https://media.example.com")
    assert hosts.may_see_token("https://pbx.example.com:8443/x")
    assert hosts.may_see_token("https://media.example.com:443/x")
    assert not hosts.may_see_token("https://pbx.example.com/x")
    assert not hosts.may_see_token("https://media.example.com:444/x")
    assert not hosts.may_see_token("https://platform.ringcentral.com/x")


def test_a_media_url_is_checked_like_the_server_url() -> None:
    with pytest.raises(ValueError, match="https"):
        AllowedHosts("https://platform.ringcentral.com", "http://media.example.com")
