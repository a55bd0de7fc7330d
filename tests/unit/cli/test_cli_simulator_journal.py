import json
import socket
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import httpx
import pytest
from click.testing import Result

from tests.fakes.simulated import Simulated, start


@pytest.fixture(scope="module")
def simulated() -> Iterator[Simulated]:
    """A simulator that has seen a login, a refusal and a fault."""
    with start("--messages=0", "--limit=light=1") as running:
        with httpx.Client(base_url=running.platform_url) as http:
            token = http.post(
                "/restapi/oauth/token",
                data={"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": running.jwt},
                auth=(running.client_id, running.client_secret),
            ).json()["access_token"]
            http.headers["Authorization"] = f"Bearer {token}"
            running.fault("status")
            for _ in range(3):
                http.get("/restapi/v1.0/account/~?a=b", headers={"Range": "bytes=0-1"})
        yield running


def test_for_people(run: Callable[..., Result], simulated: Simulated) -> None:
    result = run("simulator", "--journal", simulated.platform_url)
    assert result.exit_code == 0
    login, faulty, refused, early, summary = result.stdout.splitlines()
    assert "POST   /restapi/oauth/token" in login
    assert faulty.split()[2:] == [
        *("platform", "light", "0", "503"),
        *(faulty.split()[6], "GET", "/restapi/v1.0/account/~?a=b", "range=bytes=0-1", "fault=status"),
    ]
    assert (refused.split()[5], "in-penalty" in refused) == ("429", False)
    assert "in-penalty" in early
    assert summary == "4 requests, 0 for contents, 2 limited, 1 in penalty"


def test_for_programs(run: Callable[..., Result], simulated: Simulated) -> None:
    result = run("simulator", "--journal", simulated.platform_url, "--json")
    printed = json.loads(result.stdout)
    assert printed == {"summary": simulated.summary(), "entries": simulated.journal()}


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("127.0.0.1:1", "--journal: the URL must look like https://platform.ringcentral.com"),
        (
            "https://platform.ringcentral.com",
            "--journal: a simulator listens only on loopback, not on https://platform.ringcentral.com; write http://127.0.0.1:PORT",
        ),
    ],
)
def test_not_a_simulator_s_url(run: Callable[..., Result], url: str, error: str) -> None:
    result = run("simulator", "--journal", url)
    assert (result.exit_code, result.stderr) == (2, f"rcfs: {error}\n")


def test_nobody_there(run: Callable[..., Result]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    result = run("simulator", "--journal", f"http://127.0.0.1:{port}")
    assert result.exit_code == 7
    assert "no simulator answers at" in result.stderr


class _Stranger(BaseHTTPRequestHandler):
    """A server that is not a simulator."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>")

    def log_message(self, *_args: object) -> None:
        pass


def test_another_program_there(run: Callable[..., Result]) -> None:
    with HTTPServer(("127.0.0.1", 0), _Stranger) as server:
        thread = Thread(target=server.handle_request)
        thread.start()
        result = run("simulator", "--journal", f"http://127.0.0.1:{server.server_port}")
        thread.join()
    assert result.exit_code == 7
    assert "is not a simulator" in result.stderr
