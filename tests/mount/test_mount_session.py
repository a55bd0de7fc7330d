"""Mounts of one login share one session, and a refused login is reported and tried again."""

import os
import signal
from pathlib import Path

import pytest

from tests.mount.conftest import Mounting, eventually, run

pytestmark = pytest.mark.mount


def test_mounts_of_one_login_share_a_session_whatever_ends_them(mounting: Mounting, tmp_path: Path) -> None:
    mount = mounting("--messages=20", "--limit=medium=1000", "--limit=light=1000")
    killed = mount.pid
    others = [tmp_path / name for name in ("second", "third")]
    for other in others:
        other.mkdir()
        mount.rcfs("mount", *mount.options, str(other))
    try:
        os.kill(killed, signal.SIGKILL)
        (kept,) = (mount.state / "sessions").glob("*.json")
        assert kept.stat().st_mode & 0o777 == 0o600
        token = kept.read_text().partition('"access": "')[2].partition('"')[0]
        assert token
        path = next(others[0].glob("101 */Voicemail/*/*/*.wav"))
        assert path.read_bytes()
        logs = "".join(log.read_text() for log in mount.state.rglob("*.log*"))
        assert token not in logs
    finally:
        for other in others:
            mount.rcfs("umount", f"--state-dir={mount.state}", str(other), check=False)
        run(["fusermount3", "-u", "-z", str(mount.path)], check=False)
    sent = [entry["operation"] for entry in mount.server.journal()]
    assert sent.count("getToken") == 1
    assert sent.count("revokeToken") == 1
    assert not kept.exists()


def test_a_refused_login_is_a_line_of_the_status(mounting: Mounting) -> None:
    mount = mounting("--messages=100", "--limit=medium=1000")
    path = next(mount.path.glob("101 */Voicemail/*/*/*.wav"))
    mount.server.fault("expired_token", operation="readMessageContent", count=1)
    mount.server.fault("status", status=401, operation="getToken", count=None)
    try:
        with pytest.raises(PermissionError):
            path.read_bytes()
        eventually(lambda: "refused" in mount.rcfs("status", f"--state-dir={mount.state}").stdout)
        (line,) = [
            line
            for line in mount.rcfs("status", f"--state-dir={mount.state}").stdout.splitlines()
            if line.split()[0] == "login"
        ]
        assert "rcfs login" in line
    finally:
        mount.server.clear_faults()


def test_logging_out_ends_the_session_that_a_killed_mount_left(mounting: Mounting) -> None:
    mount = mounting("--messages=20")
    (kept,) = (mount.state / "sessions").glob("*.json")
    # Nor does a crash leave its tokens in a core dump.
    process = Path("/proc", str(mount.pid))
    (limit,) = [line for line in (process / "limits").read_text().splitlines() if "core file" in line]
    assert limit.split()[4] == "0"
    assert int((process / "coredump_filter").read_text(), 16) == 0
    os.kill(mount.pid, signal.SIGKILL)
    run(["fusermount3", "-u", "-z", str(mount.path)], check=False)
    mount.environment["RCFS_STATE_DIR"] = str(mount.state)
    done = mount.rcfs("logout", "--keep")
    assert done.stderr == ""
    assert not kept.exists()
    assert [entry["operation"] for entry in mount.server.journal()].count("revokeToken") == 1
