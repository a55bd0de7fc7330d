"""A login with a browser, from the consent page to a mount, and a login that ended and is healed."""

import json
import socket
import sys
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from tests.mount.conftest import Mounting

pytestmark = pytest.mark.mount

BROWSER = """
import sys, urllib.request
page = urllib.request.urlopen(sys.argv[1])
assert b"Let this app in?" in page.read()
urllib.request.urlopen(page.url, data=b"decision=allow")
"""


def test_a_login_that_ended_is_healed_without_a_remount(mounting: Mounting, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    uri = f"http://127.0.0.1:{port}/callback"
    mount = mounting(
        "--messages=60", "--limit=medium=1000", "--limit=auth=100", f"--redirect-uri={uri}", mount=False
    )
    (tmp_path / "browser.py").write_text(BROWSER)
    environment = mount.environment
    app = environment.pop("RC_APP_CLIENT_ID")
    del environment["RC_APP_CLIENT_SECRET"], environment["RC_USER_JWT"]
    environment |= {
        "RCFS_STATE_DIR": str(mount.state),
        "RCFS_ACCOUNT": "work",
        "BROWSER": f"{sys.executable} {tmp_path / 'browser.py'} %s",
    }
    server = environment["RC_SERVER_URL"]
    app_options = (f"--client-id={app}", f"--redirect-port={port}", f"--server-url={server}")
    login = ("login", "--file", *app_options)
    assert "Logged in." in mount.rcfs(*login).stdout
    mount.mount()
    first, second = sorted(mount.path.glob("101 */Voicemail/*/*/*.wav"))[:2]
    assert first.read_bytes()

    (grant,) = (mount.state / "sessions").glob("*.grant")
    ended = {"token": json.loads(grant.read_text())["refresh"], "client_id": app}
    with urlopen(f"{server}/restapi/oauth/revoke", urlencode(ended).encode()):
        pass
    with pytest.raises(PermissionError):
        second.read_bytes()
    assert first.read_bytes(), "cached files work"
    status = mount.rcfs("status").stdout
    assert "the login with the browser has ended" in status
    assert "only you can log in again: rcfs login --account work\n" in status
    mount.rcfs(*login)
    assert second.read_bytes()
    assert "refused" not in mount.rcfs("status").stdout.partition("process")[0]
    mount.umount()
    assert grant.exists(), "the next mount needs no login"
    mount.rcfs("logout", "--keep")
    assert not grant.exists()
    refreshes = [entry for entry in mount.server.journal() if entry["operation"] == "getToken"]
    assert [entry["status"] for entry in refreshes] == [200, 200, 400, 200, 200]
