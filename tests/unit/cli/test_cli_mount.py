import json
import os
import signal
import socket
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from rcfs.config import Settings
from rcfs.errors import AuthError, FuseUnavailableError
from rcfs.host import FuseSystem, Registry, ServiceManager

SECRET = "s3cr3t-of-the-app"
JWT = "eyJ-jwt-of-the-user"


class FakeServe:
    """Stands in for the assembly of a mount: ready at once, ended at once."""

    def __init__(self, state_dir: Path) -> None:
        self.registry = Registry(state_dir)
        self.calls: list[tuple[Settings, Path]] = []
        self.waiting: list[dict[str, Any]] = []
        self.while_up: list[Any] = []
        self.error: Exception | None = None

    def serve(
        self, settings: Settings, mountpoint: Path, *, on_ready: Callable[[], None], **waiting: Any
    ) -> None:
        self.calls.append((settings, mountpoint))
        self.waiting.append(waiting)
        if self.error is not None:
            raise self.error
        on_ready()
        self.while_up.append(self.registry.live())


@pytest.fixture
def fake(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> FakeServe:
    made = FakeServe(state_dir)
    module = types.ModuleType("rcfs.cli._mounting")
    module.serve = made.serve  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "rcfs.cli._mounting", module)
    monkeypatch.setattr(FuseSystem, "check", lambda self: None)
    monkeypatch.setattr("rcfs.host.logs.log_to_terminal", lambda level: None)
    monkeypatch.setattr("rcfs.host.logs.log_to_file", lambda path, level: None)
    return made


@pytest.fixture
def mountpoint(tmp_path: Path) -> Path:
    path = tmp_path / "rc"
    path.mkdir()
    return path


@pytest.mark.usefixtures("credentials")
def test_in_the_foreground(run: Callable[..., Result], fake: FakeServe, mountpoint: Path) -> None:
    result = run("mount", "-f", "--max-wait", "7", "--limit", "medium=9", str(mountpoint))
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == f"rcfs: mounted at {mountpoint}; Ctrl-C unmounts it\n"
    ((settings, path),) = fake.calls
    assert path == mountpoint
    assert (settings.max_wait_s, settings.require_credentials().client_secret) == (7.0, SECRET)
    ((record,),) = fake.while_up
    assert (record.pid, record.mountpoint) == (os.getpid(), mountpoint)
    assert record.server == "https://platform.ringcentral.com"
    assert fake.registry.records() == (), "taken out at the end"


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize(
    ("address", "warnings"),
    [("127.0.0.1:9817", 0), ("localhost:9817", 0), ("[::1]:9817", 0), ("0.0.0.0:9817", 1)],
)
def test_metrics_for_other_machines_are_warned_of(
    run: Callable[..., Result], fake: FakeServe, mountpoint: Path, address: str, warnings: int
) -> None:
    result = run("mount", "-f", "--metrics", address, str(mountpoint))
    assert result.exit_code == 0
    assert result.stderr.count("without a password") == warnings
    ((settings, _path),) = fake.calls
    assert settings.metrics is not None


@pytest.mark.usefixtures("credentials")
def test_metrics_without_their_package(
    run: Callable[..., Result], fake: FakeServe, mountpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    result = run("mount", "-f", "--metrics-textfile", "x.prom", str(mountpoint))
    assert (result.exit_code, fake.calls) == (2, [])
    assert " -m pip install 'prometheus-client>=" in result.stderr


@pytest.mark.usefixtures("credentials")
def test_in_the_background(
    run: Callable[..., Result], fake: FakeServe, mountpoint: Path, state_dir: Path, tmp_path: Path
) -> None:
    """The fork is real; what the child sees of itself it writes down."""

    def serve(settings: Settings, path: Path, *, on_ready: Callable[[], None], **_waiting: object) -> None:
        on_ready()
        (record,) = fake.registry.live()
        seen = [os.getpid(), record.pid, str(Path.cwd()), str(path), settings.cache_size_bytes]
        (tmp_path / "partial").write_text(json.dumps(seen))
        (tmp_path / "partial").rename(tmp_path / "seen")
        raise AuthError("after it was ready")

    sys.modules["rcfs.cli._mounting"].serve = serve  # type: ignore[attr-defined]
    result = run("mount", "--cache-size", "1GiB", str(mountpoint))
    assert result.exit_code == 0
    first, *others = result.stdout.splitlines()
    pid = int(first.removeprefix(f"Mounted at {mountpoint} (process ").removesuffix(")."))
    assert f"rcfs umount {mountpoint}" in others[-1]
    assert f"{state_dir}/log/rc-" in others[-2]
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3
    seen = json.loads((tmp_path / "seen").read_text())
    assert seen == [pid, pid, "/", str(mountpoint), 1 << 30], "it pins no file system"
    assert [record.pid for record in fake.registry.records()] == [pid], (
        "it stays after an error, as after kill -9"
    )


@pytest.mark.usefixtures("credentials")
def test_in_the_background_with_an_error(
    run: Callable[..., Result], fake: FakeServe, mountpoint: Path
) -> None:
    fake.error = AuthError("the login was refused")
    result = run("mount", str(mountpoint))
    assert (result.exit_code, result.stdout, result.stderr) == (3, "", "rcfs: the login was refused\n")
    assert fake.registry.records() == ()


@pytest.fixture
def started(fake: FakeServe) -> list[Any]:
    """The mounts that were served."""
    return fake.calls


@pytest.mark.usefixtures("fake")
def test_missing_credentials(run: Callable[..., Result], started: list[Any], mountpoint: Path) -> None:
    result = run("mount", str(mountpoint))
    assert result.exit_code == 2
    assert result.stderr.startswith(
        "rcfs: missing credentials: client id, client secret, JWT; run `rcfs login`"
    )
    assert "`rcfs demo` needs none" in result.stderr
    assert started == []


@pytest.mark.usefixtures("credentials", "fake")
def test_read_only_contradicts_what_changes_something(
    run: Callable[..., Result], started: list[Any], mountpoint: Path
) -> None:
    for options, variables in (
        (("--read-only", "--read-write"), {}),
        (("-o", "ro", "--send"), {}),
        (("--read-only", "--send"), {"RCFS_READ_WRITE": "1"}),
    ):
        result = run("mount", "-f", *options, str(mountpoint), env=variables)
        assert result.exit_code == 2
        assert "contradict each other; leave one out" in result.stderr
    result = run("mount", "-f", "--allow-purge", str(mountpoint))
    assert (result.exit_code, "no effect without --read-write" in result.stderr) == (2, True)
    assert started == []
    result = run(
        "mount", "-f", "--read-only", str(mountpoint), env={"RCFS_READ_WRITE": "1", "RCFS_SEND": "1"}
    )
    assert (result.exit_code, len(started)) == (0, 1)


@pytest.mark.usefixtures("credentials", "fake")
def test_a_missing_mount_point(run: Callable[..., Result], started: list[Any], tmp_path: Path) -> None:
    result = run("mount", str(tmp_path / "absent"))
    assert result.exit_code == 4
    assert f"create it: mkdir -p {tmp_path}/absent" in result.stderr
    assert not (tmp_path / "absent").exists()
    assert started == []


@pytest.mark.usefixtures("credentials")
def test_no_fuse(run: Callable[..., Result], mountpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(self: FuseSystem) -> None:
        raise FuseUnavailableError("/dev/fuse is missing; load it")

    monkeypatch.setattr(FuseSystem, "check", check)
    result = run("mount", str(mountpoint))
    assert (result.exit_code, result.stderr) == (5, "rcfs: /dev/fuse is missing; load it\n")


@pytest.mark.usefixtures("credentials", "fake")
def test_allow_other_that_is_forbidden(
    run: Callable[..., Result], mountpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FuseSystem, "allows_others", lambda self: False)
    result = run("mount", "-f", "--allow-other", str(mountpoint))
    assert result.exit_code == 2
    assert "add the line user_allow_other to /etc/fuse.conf" in result.stderr
    assert run("mount", "-f", str(mountpoint)).exit_code == 0


ENTRY = """
import sys, types
from rcfs.cli import _run, main
from rcfs.errors import AuthError

def serve(settings, mountpoint, *, on_ready, **_waiting):
    raise AuthError(f"{settings.require_credentials().client_id} refused at {mountpoint}")

sys.modules["rcfs.cli._mounting"] = types.SimpleNamespace(serve=serve)
_run.FuseSystem.check = lambda self: None
main()
"""


@pytest.mark.usefixtures("credentials")
def test_a_real_child_reports_a_real_error(tmp_path: Path, mountpoint: Path, state_dir: Path) -> None:
    """The whole way: arguments, environment, socket, line, exit code."""
    entry = tmp_path / "entry.py"
    entry.write_text(ENTRY)
    command = [sys.executable, str(entry), "mount", "--max-wait", "9", str(mountpoint)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[3])
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == f"rcfs: the-app refused at {mountpoint}\n"
    assert (state_dir / "log" / "stderr.log").read_text() == done.stderr


def test_an_interrupted_mount_exits_130(
    run: Callable[..., Result], fake: FakeServe, mountpoint: Path, credentials: None
) -> None:
    fake.serve = lambda *_, **__: os.kill(os.getpid(), signal.SIGINT)  # type: ignore[method-assign]
    sys.modules["rcfs.cli._mounting"].serve = fake.serve  # type: ignore[attr-defined]
    result = run("mount", "-f", str(mountpoint))
    assert (result.exit_code, result.stderr) == (130, "rcfs: interrupted\n")


@pytest.mark.usefixtures("credentials")
def test_a_service_manager_hears_that_the_mount_is_ready(
    run: Callable[..., Result], fake: FakeServe, mountpoint: Path, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(0)
        notify = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
        assert run("mount", "-f", str(mountpoint), env=notify).exit_code == 0
        assert manager.recv(100) == b"READY=1"
        waiting = fake.waiting[-1]
        assert waiting["manager"] == ServiceManager(notify["NOTIFY_SOCKET"])
        assert waiting["wait_online_s"] == 60.0, "nobody is there to start it again"
        waiting["on_wait"]("no route to rc.acme.example")
        assert manager.recv(100) == b"STATUS=waiting for the network"
        assert manager.recv(100) == b"EXTEND_TIMEOUT_USEC=60000000"
    assert run("mount", "-f", str(mountpoint)).exit_code == 0
    assert fake.waiting[-1]["manager"] is None
    assert fake.waiting[-1]["wait_online_s"] == 0.0


def test_a_kept_mount_is_let_go_before_anything_can_fail(
    run: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "set_inheritable", lambda _number, _inheritable: None)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(0)
        kept = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "mount"}
        notify = {"NOTIFY_SOCKET": str(tmp_path / "notify"), **kept}
        assert run("mount", "-f", str(tmp_path), env=notify).exit_code == 2, "no credentials"
        assert manager.recv(100) == b"FDSTOREREMOVE=1\nFDNAME=mount", "else the mount hangs"
