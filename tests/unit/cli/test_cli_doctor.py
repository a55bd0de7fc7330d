import json
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from click.testing import Result

from rcfs.cli import _doctor
from rcfs.cli._doctor import directory_finding, examine
from rcfs.cli._findings import Finding, State, problem_of
from rcfs.config import Settings
from rcfs.errors import AuthError, ForbiddenError, RcfsError
from rcfs.host import FuseSystem, Mount, MountKind, MountState

SECRET = "s3cr3t-of-the-app"


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FuseSystem:
    """A machine on which all is well."""
    (tmp_path / "fuse").touch()
    (tmp_path / "fuse.conf").write_text("user_allow_other\n")
    made = FuseSystem(tmp_path / "fuse", tmp_path / "fuse.conf", tmp_path / "timeout", fusermount="cat")
    monkeypatch.setattr(_doctor, "FuseSystem", lambda: made)
    monkeypatch.setattr(_doctor, "read_mounts", lambda: (Mount(Path("/"), "ext4"),))
    monkeypatch.setattr("rcfs.host.logs.log_to_terminal", lambda level: None)
    return made


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> list[Finding | Exception]:
    """The findings about the server; a test may replace them."""
    answer: list[Finding | Exception] = [Finding("login", State.OK, "logged in")]

    def probe_server(settings: Settings) -> list[Finding]:
        assert settings.require_credentials().client_secret == SECRET
        (one,) = answer
        if isinstance(one, Exception):
            raise one
        return [one]

    module = types.ModuleType("rcfs.cli._probe")
    module.probe_server = probe_server  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "rcfs.cli._probe", module)
    return answer


def found(system: FuseSystem, name: str, mountpoint: Path | None = None, **options: Any) -> Finding:
    return next(one for one in examine(options, mountpoint, system) if one.name == name)


@pytest.mark.usefixtures("credentials", "system", "server")
def test_all_is_well(run: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "rc").mkdir()
    result = run("doctor", str(tmp_path / "rc"))
    assert result.exit_code == 0
    assert {line.split()[0] for line in result.stdout.splitlines()} <= {"ok", "note", "→"}
    findings = json.loads(run("doctor", "--json", str(tmp_path / "rc")).stdout)
    assert [finding["name"] for finding in findings] == [
        "FUSE",
        "configuration",
        "allow_other",
        "kernel timeout",
        "cache directory",
        "state directory",
        "mount point",
        "credentials",
        "login",
    ]
    assert {finding["state"] for finding in findings} <= {"ok", "note"}
    assert set(findings[0]) == {"name", "state", "detail", "advice"}
    assert SECRET not in result.output


@pytest.mark.usefixtures("credentials", "server")
def test_a_problem_is_said_with_what_to_do(run: Callable[..., Result], system: FuseSystem) -> None:
    system.device.unlink()
    result = run("doctor")
    assert result.exit_code == 1
    first, second, *_ = result.stdout.splitlines()
    assert first == f"problem FUSE             {system.device} is missing"
    assert second.lstrip().startswith("→ load the kernel module (modprobe fuse)")
    assert "ok      login" in result.stdout, "the other checks go on"


def test_a_wrong_config_file(system: FuseSystem, home: Path) -> None:
    path = home / ".config" / "rcfs" / "config.toml"
    path.parent.mkdir()
    path.write_text("[cache]\nsise = 1\n")
    findings = list(examine({}, None, system))
    assert findings[-1] == Finding(
        "configuration",
        State.PROBLEM,
        f"{path} line 2: unknown key 'cache.sise' (did you mean 'size'?)",
        "correct it, then run `rcfs doctor` again",
    )


def test_a_config_file_that_others_may_read(system: FuseSystem, home: Path) -> None:
    path = home / ".config" / "rcfs" / "config.toml"
    path.parent.mkdir()
    path.write_text("[credentials]\njwt = 'x'\n")
    path.chmod(0o644)
    notes = [one for one in examine({}, None, system) if one.state is State.NOTE]
    assert f"run: chmod 600 {path}" in notes[0].detail


def test_missing_credentials(system: FuseSystem) -> None:
    finding = list(examine({}, None, system))[-1]
    assert (finding.name, finding.state) == ("credentials", State.PROBLEM)
    assert finding.detail == "missing credentials: client id, client secret, JWT"
    assert finding.advice.startswith("run `rcfs login`, or set RC_APP_CLIENT_ID")


@pytest.mark.usefixtures("credentials")
def test_a_server_that_refuses(system: FuseSystem, server: list[Finding | Exception]) -> None:
    server[:] = [ExceptionGroup("nursery", [AuthError("no such login")])]
    assert list(examine({}, None, system))[-1] == Finding(
        "server", State.PROBLEM, "no such login", facts="AuthError"
    )
    server[:] = [RcfsError("odd")]
    assert list(examine({}, None, system))[-1].detail == "odd"
    server[:] = [ZeroDivisionError("a bug")]
    with pytest.raises(ZeroDivisionError):
        list(examine({}, None, system))


def test_allow_other(system: FuseSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert found(system, "allow_other").state is State.OK
    system.conf.unlink()
    assert found(system, "allow_other").state is State.OK, "it is not wanted"
    wanted = found(system, "allow_other", allow_other=True)
    assert wanted.state is State.PROBLEM
    assert f"user_allow_other to {system.conf}" in wanted.advice


@pytest.mark.parametrize(
    ("timeout_s", "state"),
    [(0, State.OK), (60, State.PROBLEM), (300, State.PROBLEM), (301, State.OK)],
)
def test_the_kernels_timeout(system: FuseSystem, timeout_s: int, state: State) -> None:
    system.timeout_file.write_text(f"{timeout_s}\n")
    assert found(system, "kernel timeout").state is state


def test_the_advice_on_the_kernels_timeout_helps(system: FuseSystem) -> None:
    system.timeout_file.write_text("60\n")
    assert "--max-wait 30" in found(system, "kernel timeout").advice
    assert found(system, "kernel timeout", max_wait=30.0).state is State.OK


def test_a_mount_point(system: FuseSystem, tmp_path: Path) -> None:
    finding = found(system, "mount point", tmp_path / "absent")
    assert (finding.state, finding.advice) == (State.PROBLEM, f"create it: mkdir -p {tmp_path}/absent")
    (tmp_path / "rc").mkdir()
    assert found(system, "mount point", tmp_path / "rc").state is State.OK
    inside = found(system, "mount point", tmp_path / "rc", cache_dir=tmp_path / "rc" / "cache")
    assert inside.state is State.PROBLEM
    assert "the cache directory" in inside.detail


def test_a_mount_of_rcfs_that_works_needs_no_advice(
    system: FuseSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mounted_by(owner: int | None) -> Finding:
        state = MountState(tmp_path, MountKind.MOUNTED, f"{tmp_path} is mounted", "unmount it first", owner)
        monkeypatch.setattr(_doctor, "inspect_mountpoint", lambda *_: state)
        return found(system, "mount point", tmp_path)

    mine, other = mounted_by(4711), mounted_by(None)
    assert (mine.state, mine.advice) == (State.OK, "")
    assert (other.state, other.advice) == (State.NOTE, "unmount it first")


def test_a_directory_that_is_still_to_be_made(tmp_path: Path, system: FuseSystem) -> None:
    wanted = tmp_path / "a" / "b"
    finding = directory_finding("cache directory", wanted, 1)
    assert finding.state is State.OK
    assert finding.detail.startswith(f"{wanted} on ext4, ")
    assert not wanted.parent.exists(), "the doctor changes nothing"


def test_unsuitable_directories(tmp_path: Path, system: FuseSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "open").mkdir(mode=0o755)
    (tmp_path / "private").mkdir(mode=0o700)

    def finding(name: str, wanted_bytes: int = 1) -> Finding:
        return directory_finding("cache directory", tmp_path / name, wanted_bytes)

    assert finding("file/below").detail == f"{tmp_path}/file is not a directory"
    assert finding("open").advice == f"run: chmod 700 {tmp_path}/open"
    assert finding("private").state is State.OK
    full = finding("private", 1 << 60)
    assert (full.state, "may need up to" in full.advice) == (State.NOTE, True)
    for fstype, state in (("nfs4", State.PROBLEM), ("fuse.sshfs", State.PROBLEM), ("tmpfs", State.NOTE)):
        monkeypatch.setattr(_doctor, "read_mounts", lambda fstype=fstype: (Mount(tmp_path, fstype),))
        assert finding("private").state is state
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert finding("private").detail == f"you may not write to {tmp_path}/private"


def test_a_finding_takes_only_known_states() -> None:
    assert attrs.evolve(Finding("x", State.OK, "y"), state="problem").state is State.PROBLEM
    with pytest.raises(ValueError, match="fine"):
        Finding("x", "fine", "y")


@pytest.mark.usefixtures("system")
def test_a_report_has_nothing_private(
    run: Callable[..., Result],
    server: list[Finding | Exception],
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    private = ("jane.doe", "+12125557464", "acme", "eyJ-token", SECRET, "1514114377004", str(home))
    monkeypatch.setenv("RC_SERVER_URL", "https://rc.acme.example")
    monkeypatch.setenv("RC_APP_CLIENT_ID", "acme-app")
    monkeypatch.setenv("RC_APP_CLIENT_SECRET", SECRET)
    monkeypatch.setenv("RC_USER_JWT", "eyJ-token")
    for name in ("cache", "state"):
        monkeypatch.setenv(f"RCFS_{name.upper()}_DIR", str(home / "jane.doe" / name))
    text = f"{' '.join(private)} is refused"
    found = (
        Finding("pool jane.doe", State.PROBLEM, text, text),
        Finding("login", State.OK, text, text),
        problem_of("account", ForbiddenError(text, code="CMN-401", request_id="of acme")),
    )
    lines: list[str] = []
    for one in found:
        server[:] = [one]
        result = run("doctor", "--report", str(home / "jane.doe" / "rc"))
        assert result.exit_code == 1, "there is no mount point"
        assert not [word for word in private if word in result.output], result.output
        lines += result.output.splitlines()
    assert lines[0].split()[0] == "rcfs"
    assert any(line.startswith("OpenSSL ") for line in lines)
    assert {"pool              problem", "login             ok"} < set(lines)
    assert "account           problem ForbiddenError CMN-401" in lines
    assert any(line.startswith("cache directory   ok on ext4, ") for line in lines)
    server[:] = [RcfsError(text)]
    result = run("doctor", "--report")
    assert not [word for word in private if word in result.output]
    assert "server            problem RcfsError" in result.output.splitlines()
