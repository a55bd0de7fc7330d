"""The URLs that a platform may have; what users type and what rcfs connects to obey one rule."""

import pytest

from rcfs.model import server_origin


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://platform.ringcentral.com", "https://platform.ringcentral.com"),
        ("https://platform.ringcentral.com/", "https://platform.ringcentral.com"),
        ("HTTPS://Platform.RingCentral.com:443", "https://platform.ringcentral.com:443"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://127.9.9.9", "http://127.9.9.9"),
        ("http://localhost:1", "http://localhost:1"),
        ("http://[::1]:80/", "http://[::1]:80"),
    ],
)
def test_a_server_url(text: str, url: str) -> None:
    assert server_origin(text) == url


@pytest.mark.parametrize(
    "text",
    [
        "platform.ringcentral.com",
        "ftp://platform.ringcentral.com",
        "https://",
        "https://:443",
        "http://platform.ringcentral.com",
        "http://127.0.0.1.evil.example",
        "http://10.0.0.1",
        "http://127.1",
        "http://localhost.example",
        "http://[::2]",
        "http://[::ffff:10.0.0.1]",
        "https://host/restapi",
        "https://host?x=1",
        "https://host?",
        "https://host#top",
        "https://user@host",
        "https://user:hunter2@host",
        "https://@host",
        "https://evil.example\\@host",
        "https://host:99999",
        "https://host:abc",
        "https://ho st",
        "https://ho\nst",
        "https://hóst",
        "https://[::1",
    ],
)
def test_no_server_url(text: str) -> None:
    with pytest.raises(ValueError, match="URL") as caught:
        server_origin(text)
    assert "hunter2" not in str(caught.value)
