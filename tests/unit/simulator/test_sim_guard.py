"""Web pages of other sites, which reach the simulator through a browser on this machine."""

from collections.abc import AsyncIterator

import httpx
import pytest
import trio

from rcfs.simulator import AccountSpec, SimulatorConfig
from rcfs.simulator._notifications import SOCKET_PATH
from rcfs.simulator.api._oauth import CONSENT_PATH
from tests.fakes.simulated import in_process

FAULT = {"kind": "status", "operation": "readExtension"}
BESIDE = (
    ("POST", "/simulator/faults"),
    ("POST", "/simulator/expire-tokens"),
    ("POST", "/simulator/day"),
    ("DELETE", "/simulator/journal"),
    ("PUT", "/simulator/plans"),
    ("GET", "/simulator/journal"),
    ("GET", "/simulator/truth"),
    ("GET", "/"),
    ("GET", CONSENT_PATH),
    ("POST", CONSENT_PATH),
)
STRANGE = (
    {"Host": "evil.example"},
    {"Host": "evil.example:{port}"},
    {"Host": "127.0.0.1.evil.example:{port}"},
    {"Host": "localhost.evil.example"},
    {"Host": "evil@127.0.0.1:{port}"},
    {"Host": "127.0.0.1:{port}/"},
    {"Host": "0.0.0.0:{port}"},
    {"Host": ""},
    {"Origin": "http://evil.example"},
    {"Origin": "https://127.0.0.1:{port}"},
    {"Origin": "http://127.0.0.1:1"},
    {"Origin": "http://localhost:{port}"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"},
)


@pytest.fixture
async def urls() -> AsyncIterator[tuple[str, str]]:
    """The URLs of the platform and of the foreign host."""
    async with in_process(SimulatorConfig(AccountSpec(messages=0))) as (_simulator, endpoints):
        yield endpoints.platform_url, endpoints.foreign_url


def filled(headers: dict[str, str], url: str) -> dict[str, str]:
    port = url.rpartition(":")[2]
    return {name: value.format(port=port) for name, value in headers.items()}


async def test_no_page_of_another_site_reaches_admin_interface_pages_or_socket(urls: tuple[str, str]) -> None:
    async with httpx.AsyncClient(trust_env=False) as http:
        for url in urls:
            for headers in STRANGE:
                for method, path in BESIDE:
                    if url == urls[1] and not path.startswith("/simulator/"):
                        continue
                    answer = await http.request(method, url + path, headers=filled(headers, url), json=FAULT)
                    assert answer.status_code in (400, 403), (url, headers, method, path)
                    assert answer.status_code == 403 or headers.get("Host") == "", (
                        "the HTTP server refuses that"
                    )
        assert (await http.get(f"{urls[0]}/simulator/faults")).json() == []


async def test_own_pages_programs_and_links_pass(urls: tuple[str, str]) -> None:
    platform, foreign = urls
    port = platform.rpartition(":")[2]
    async with httpx.AsyncClient(trust_env=False) as http:
        for headers in (
            {},
            {"Origin": platform, "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"},
            {"Host": f"localhost:{port}", "Origin": f"http://localhost:{port}"},
            {"Host": f"[::1]:{port}"},
            {"Host": "localhost:9999", "Origin": "http://localhost:9999"},
        ):
            answer = await http.post(f"{platform}/simulator/faults", headers=headers, json=FAULT)
            assert answer.status_code == 200, headers
        assert (await http.delete(f"{foreign}/simulator/faults")).json() == []
        typed = {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}
        assert (await http.get(f"{platform}/simulator/quota", headers=typed)).status_code == 200
        link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
        assert (await http.get(platform, headers=link)).status_code == 200
        consent = await http.get(platform + CONSENT_PATH, headers=link)
        assert consent.status_code == 400, "it passes, and asks for a client"
        assert "frame-ancestors 'none'" in consent.headers["content-security-policy"]
        assert (await http.get(f"{platform}/simulator/quota", headers=link)).status_code == 403


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("", b" 101 "),
        ("Origin: {own}\r\n", b" 101 "),
        ("Origin: http://evil.example\r\n", b" 403 "),
        ("Sec-Fetch-Site: cross-site\r\n", b" 403 "),
    ],
)
async def test_a_websocket_of_another_sites_page_is_refused(
    urls: tuple[str, str], header: str, status: bytes
) -> None:
    host = urls[0].removeprefix("http://")
    for name, wanted in ((host, status), ("evil.example", b" 403 ")):
        async with await trio.open_tcp_stream("127.0.0.1", int(host.rpartition(":")[2])) as stream:
            await stream.send_all(
                f"GET {SOCKET_PATH} HTTP/1.1\r\nHost: {name}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
                f"{header.format(own=urls[0])}\r\n".encode()
            )
            with trio.fail_after(60):
                answer = await stream.receive_some(4096)
            assert wanted in answer.partition(b"\r\n")[0], (name, answer[:80])
