"""A mount that ends though nobody asked: its directory fails, and never looks like one without files."""

import errno
import http.server
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from tests.mount.conftest import Mounted, Mounting, eventually, run

pytestmark = pytest.mark.mount

BREAKS = """
import sys
from pathlib import Path
import trio
from rcfs.fuse import _mount

serve = _mount._serve

async def broken(*arguments):
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, *arguments)
        while not Path({trigger!r}).exists():
            await trio.sleep(0.02)
        raise RuntimeError("nobody expected this")

_mount._serve = broken
from rcfs.cli import main
main()
"""


def mount_that_breaks(mounting: Mounting, tmp_path: Path) -> tuple[Mounted, Path]:
    """A mount, and the file that ends it by an error once it exists."""
    mount = mounting("--messages=20", mount=False)
    trigger, program = tmp_path / "now", tmp_path / "breaks.py"
    program.write_text(BREAKS.format(trigger=str(trigger)))
    run([sys.executable, str(program), "mount", *mount.options, str(mount.path)], env=mount.environment)
    assert list(mount.path.iterdir())
    return mount, trigger


def test_an_unexpected_error_leaves_a_mount_that_fails_and_is_replaced(
    mounting: Mounting, tmp_path: Path
) -> None:
    mount, trigger = mount_that_breaks(mounting, tmp_path)
    ended = os.pidfd_open(mount.pid)
    trigger.touch()
    eventually(lambda: not _runs(ended))
    os.close(ended)
    with pytest.raises(OSError, match="not connected") as caught:
        list(mount.path.iterdir())
    assert caught.value.errno == errno.ENOTCONN
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "kept").touch()
    mirrored = run(["rsync", "-a", "--delete", f"{mount.path}/", f"{copy}/"], check=False)
    assert mirrored.returncode != 0
    assert (copy / "kept").exists(), "a mirror loses nothing"
    logs = "".join(path.read_text() for path in mount.state.rglob("*.log"))
    assert "nobody expected this" in logs
    mount.mount()
    assert list(mount.path.iterdir())


def _runs(pidfd: int) -> bool:
    try:
        signal.pidfd_send_signal(pidfd, 0)
    except ProcessLookupError:
        return False
    return True


class Hostile(http.server.BaseHTTPRequestHandler):
    """A server that logs people in, and answers all else as `answers` says, by the end of the path."""

    answers: ClassVar[dict[str, tuple[int, dict[str, str], bytes]]] = {}

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        status, headers, body = next(
            (answer for end, answer in self.answers.items() if path.endswith(end)), (404, {}, b"")
        )
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Set-Cookie", "a=b; Max-Age=99999999999999999999")
        self.send_header("Set-Cookie", "\x01=; expires=x; Path")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.answers["/oauth/token"] = (200, {}, b'{"access_token":"a","expires_in":3600}')
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, *_arguments: object) -> None:
        """Says nothing."""


@pytest.fixture
def hostile() -> Iterator[str]:
    """The address of such a server."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hostile)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_answers_without_a_sense_end_no_mount(mounting: Mounting, hostile: str) -> None:
    def document(text: str) -> tuple[int, dict[str, str], bytes]:
        return 200, {"Content-Type": "application/json"}, text.encode()

    deep = '{"id":9,"deep":' + "[" * 980 + "]" * 980 + "}"
    odd = '{"id":8,"type":"SMS","conversation":{"id":"\\udfff"},"conversationId":' + "9" * 5000 + "}"
    Hostile.answers.update(
        {
            "/message-sync": document('{"records":[],"syncInfo":{"syncToken":"\\ud800"}}'),
            "/message-store": document(
                '{"records":[{"id":7,"type":"SMS","subject":"x"},' + odd + f",{deep}]}}"
            ),
            "/extension/~": document('{"id":9223372036854775808,"permissions":{"admin":{"enabled":true}}}'),
            "/extension": document(
                '{"records":[{"id":1,"name":"\\ud800"},{"id":9223372036854775808},' + deep + "]}"
            ),
            "/account/~": document('{"id":1,"name":"half \\ud83d"}'),
        }
    )
    # Three mounts log in and out, which is more than the five requests a minute that are assumed.
    mount = mounting("--messages=0", options=("--limit=auth=100",), mount=False)
    mount.environment["RC_SERVER_URL"] = hostile
    mount.mount()
    messages = list(mount.path.glob("*/SMS/*/*"))
    assert len(messages) == 4, "in both mailboxes also the message with odd ids"
    assert all((message / "message.json").read_bytes() for message in messages)
    mount.umount()
    for target in ("https://://[", "https://xn--a/"):
        Hostile.answers["/account/~"] = (302, {"Location": target}, b"")
        mount.mount()
        eventually(lambda: " account " in (mount.path / ".rcfs" / "errors").read_text())
        assert len(list(mount.path.glob("*/SMS/*/*"))) == 4
        mount.umount()
