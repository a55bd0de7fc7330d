"""Mistakes of users and faults of the disk: each gives one clear line, and nothing is lost."""

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mount.conftest import COMMAND_S, Mounted, Mounting, right_clock, run

pytestmark = pytest.mark.mount


@pytest.fixture
def unmounted(mounting: Mounting) -> Mounted:
    """A simulator, and a mount point where nothing is mounted yet."""
    return mounting("--messages=50", mount=False)


def refused(mount: Mounted, *arguments: str, code: int, **environment: str) -> str:
    """The line with which ``rcfs`` refuses `arguments`."""
    mount.environment.update(environment)
    done = mount.rcfs(*arguments, check=False)
    assert done.returncode == code, done.stderr
    lines = done.stderr.strip().splitlines()
    assert lines[-1].startswith(("rcfs: ", "Error: ")), done.stderr
    assert "Traceback" not in done.stderr
    return lines[-1]


def mount_arguments(mount: Mounted) -> tuple[str, ...]:
    """The arguments that would mount."""
    return ("mount", *mount.options, str(mount.path))


def test_a_wrong_secret(unmounted: Mounted) -> None:
    line = refused(unmounted, *mount_arguments(unmounted), code=3, RC_APP_CLIENT_SECRET="wrong-secret")
    assert "wrong-secret" not in line
    summary = unmounted.server.summary()
    assert summary["requests"] == 1, "a refused login is not repeated"


def test_an_unreachable_server(unmounted: Mounted) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    line = refused(unmounted, *mount_arguments(unmounted), "--wait-online=1", code=7, RC_SERVER_URL=url)
    assert f"127.0.0.1:{port}" in line


def test_plain_http_elsewhere(unmounted: Mounted) -> None:
    line = refused(unmounted, *mount_arguments(unmounted), code=2, RC_SERVER_URL="http://example.com")
    assert "https" in line


def test_a_mount_point_that_is_missing_or_not_empty_or_busy(unmounted: Mounted) -> None:
    mount = unmounted
    assert "mkdir" in refused(mount, "mount", *mount.options, str(mount.path / "no"), code=4)
    (mount.path / "file").write_text("mine")
    assert "empty" in refused(mount, *mount_arguments(mount), code=4)
    assert (mount.path / "file").read_text() == "mine"
    (mount.path / "file").unlink()
    mount.mount()
    assert "mounted" in refused(mount, *mount_arguments(mount), code=4)
    assert mount.is_mounted


def test_a_mount_point_inside_the_cache_folder(unmounted: Mounted) -> None:
    inside = unmounted.cache / "mnt"
    inside.mkdir(parents=True)
    assert "cache" in refused(unmounted, "mount", *unmounted.options, str(inside), code=4)


def test_a_cache_folder_that_is_a_file(unmounted: Mounted) -> None:
    unmounted.cache.write_text("mine")
    assert str(unmounted.cache) in refused(unmounted, *mount_arguments(unmounted), code=6)
    assert unmounted.cache.read_text() == "mine"


def test_a_config_file_with_a_typo(unmounted: Mounted, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[cache]\nsise = "1GiB"\n')
    config.chmod(0o600)
    line = refused(unmounted, *mount_arguments(unmounted), code=2, RCFS_CONFIG=str(config))
    assert "line 2" in line
    assert "sise" in line
    assert "'size'" in line


def test_a_wrong_option(unmounted: Mounted) -> None:
    refused(unmounted, "mount", "--chache-size=1", str(unmounted.path), code=2)
    refused(unmounted, "mount", *unmounted.options, "--cache-size=lots", str(unmounted.path), code=2)


def test_nothing_is_mounted_for_changes_that_cannot_be_kept(unmounted: Mounted) -> None:
    outbox = unmounted.state / "outbox.sqlite"
    outbox.mkdir(parents=True)
    line = refused(unmounted, "mount", *unmounted.options, "--read-write", str(unmounted.path), code=6)
    assert str(outbox) in line
    outbox.rmdir()


def test_umount_of_a_directory_that_is_not_a_mount(unmounted: Mounted) -> None:
    refused(unmounted, "umount", str(unmounted.path), code=4)


def test_a_damaged_cache_database_is_rebuilt_and_keeps_its_contents(mounting: Mounting) -> None:
    mount = mounting("--messages=100", "--limit=medium=1000")
    files = sorted(mount.path.glob("101 */Voicemail/*/*/voicemail *.*"))[:5]
    contents = [path.read_bytes() for path in files]
    mount.umount()
    (mount.cache / "cache.db").write_bytes(b"not a database, but long enough to look like a file" * 100)
    for journal in mount.cache.glob("cache.db-*"):
        journal.unlink()
    mount.server.reset_journal()
    mount.mount()
    assert [path.read_bytes() for path in files] == contents
    assert mount.server.summary()["content_requests"] == 0
    assert (mount.path / ".rcfs" / "errors").read_text().count("and made a new one from") == 1


def test_a_damaged_chunk_is_fetched_again(mounting: Mounting) -> None:
    mount = mounting("--messages=100", "--limit=medium=1000")
    path = next(mount.path.glob("101 */Voicemail/*/*/voicemail *.*"))
    content = path.read_bytes()
    mount.umount()
    for chunk in mount.cache.rglob("*.val"):
        data = bytearray(chunk.read_bytes())
        data[-1] ^= 1
        chunk.write_bytes(data)
    mount.mount()
    assert path.read_bytes() == content
    assert mount.server.summary()["content_requests"] == 2


def test_private_files_are_private(mounting: Mounting) -> None:
    mount = mounting("--messages=50", "--limit=medium=1000")
    next(mount.path.glob("101 */Voicemail/*/*/voicemail *.*")).read_bytes()
    for place in (mount.cache, mount.state):
        for path in [place, *place.rglob("*")]:
            assert path.stat().st_mode & 0o077 == 0, path


def test_no_secret_is_logged(mounting: Mounting) -> None:
    mount = mounting("--messages=50", "--limit=medium=1000", options=("--log-level=debug",))
    next(mount.path.glob("101 */Voicemail/*/*/voicemail *.*")).read_bytes()
    mount.tool("ls", "-R", check=False)
    mount.umount()
    logged = "".join(path.read_text() for path in (mount.state / "log").iterdir())
    assert "readMessageContent" in logged
    for secret in (mount.server.client_secret, mount.server.jwt, "access_token", "Bearer "):
        assert secret not in logged


def test_doctor_and_status_and_cache_commands(mounting: Mounting) -> None:
    mount = mounting("--messages=50", "--limit=medium=1000", right_clock())
    places = [f"--cache-dir={mount.cache}", f"--state-dir={mount.state}"]
    findings = json.loads(mount.rcfs("doctor", "--json", *places, check=False).stdout)
    assert {"login", "clock"} <= {finding["name"] for finding in findings if finding["state"] == "ok"}
    (status,) = json.loads(mount.rcfs("status", "--json", f"--state-dir={mount.state}").stdout)
    assert status["requests"]["refused"] == 0
    next(mount.path.glob("101 */Voicemail/*/*/voicemail *.*")).read_bytes()
    info = json.loads(mount.rcfs("cache", "info", "--json", f"--cache-dir={mount.cache}").stdout)
    assert info["contents"] == 1
    mount.rcfs("cache", "clear", "--yes", f"--cache-dir={mount.cache}")
    info = json.loads(mount.rcfs("cache", "info", "--json", f"--cache-dir={mount.cache}").stdout)
    assert info["contents"] == 0


def test_the_demo_mounts_shows_and_ends(tmp_path: Path, mounting: Mounting) -> None:
    mount = mounting("--messages=10", mount=False)
    place = tmp_path / "demo"
    shown = mount.rcfs("demo", "--messages=200", str(place)).stdout
    try:
        tries = shown.partition("Try:\n")[2].strip().splitlines()
        assert len(tries) == 3
        for line in tries[:2]:
            assert run(["sh", "-c", line.strip()]).stdout
    finally:
        mount.rcfs("umount", str(place))


def test_foreground_ends_cleanly_on_a_signal(unmounted: Mounted) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "rcfs", "mount", "-f", *unmounted.options, str(unmounted.path)],
        env=unmounted.environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "Ctrl-C" in line:
            break
    assert unmounted.is_mounted
    process.send_signal(signal.SIGINT)
    rest = process.stderr.read()
    assert process.wait(COMMAND_S) == 0, rest
    process.stderr.close()
    assert not unmounted.is_mounted
