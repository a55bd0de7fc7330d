import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from rcfs.cli import _service
from rcfs.errors import FuseUnavailableError
from rcfs.host import FuseSystem, SystemFiles, UserUnits, unit_name
from rcfs.host._unit_files import MARK

SYSTEMCTL = """#!/bin/sh
echo "$*" >>{log}
case "$*" in
    *"{fails}"*) echo "Job failed" >&2; exit 1 ;;
    *"show --property"*) cat {answer} ;;
esac
"""


class FakeSystemd:
    """A systemctl that notes its calls, and fails where they contain `fails`."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._directory = directory
        directory.mkdir()
        monkeypatch.setenv("PATH", str(directory), prepend=":")
        self.answer("ActiveState=active", "SubState=running", "StatusText=2 of 2 mailboxes loaded")
        self.fail("nothing")

    def fail(self, words: str) -> None:
        program = self._directory / "systemctl"
        program.write_text(
            SYSTEMCTL.format(log=self._directory / "log", answer=self._directory / "answer", fails=words)
        )
        program.chmod(0o755)

    def answer(self, *lines: str) -> None:
        usual = ("Description=x", "Result=success", "NRestarts=0")
        (self._directory / "answer").write_text("\n".join((*usual, *lines)))

    def calls(self) -> list[str]:
        log = self._directory / "log"
        calls = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return [call.removeprefix("--user --no-pager ") for call in calls]


@pytest.fixture
def units(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> UserUnits:
    """The units of a user on a machine with systemd; the login is saved."""
    (tmp_path / "booted").mkdir()
    made = UserUnits(booted=tmp_path / "booted")
    monkeypatch.setattr(_service, "UserUnits", lambda: made)
    monkeypatch.setattr(FuseSystem, "check", lambda self: None)
    config = home / ".config" / "rcfs" / "config.toml"
    config.parent.mkdir()
    config.write_text('[credentials]\nclient_id = "a"\nclient_secret = "b"\njwt = "c"\n')
    config.chmod(0o600)
    return made


@pytest.fixture
def systemd(units: UserUnits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSystemd:
    return FakeSystemd(tmp_path / "bin", monkeypatch)


@pytest.fixture
def mountpoint(tmp_path: Path) -> Path:
    path = tmp_path / "my 100% $rc"
    path.mkdir()
    return path


def verified(*paths: Path) -> None:
    """Checks units with systemd-analyze."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    done = subprocess.run(
        ["systemd-analyze", "--user", "--man=no", "verify", *paths],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": "/tmp", "HOME": "/tmp"},
    )
    named = [line for line in done.stderr.splitlines() if "rcfs-" in line]
    assert (done.returncode, named) == (0, [])


def test_a_mount_is_installed_shown_and_uninstalled(
    run: Callable[..., Result], units: UserUnits, systemd: FakeSystemd, mountpoint: Path
) -> None:
    result = run("service", "install", f"{mountpoint}/", "-o", "umask=027,keep_purged")
    assert result.exit_code == 0, result.output
    (unit,) = units.directory.iterdir()
    assert unit.name == f"{unit_name(mountpoint)}.service"
    assert systemd.calls() == [
        "show-environment",
        "daemon-reload",
        f"enable {unit.name}",
        f"restart {unit.name}",
    ]
    text = unit.read_text()
    place = str(mountpoint).replace("%", "%%")
    assert f"Description=RingCentral account at {place}\n" in text
    quoted = place.replace("$", "$$")
    for line in ("ExecStartPre=-+{} mount --keep", "ExecStart={} mount --foreground"):
        program = f"{sys.executable} -X utf8 -P -m rcfs"
        assert f'\n{line.format(program)} "{quoted}" -o umask=027,keep_purged\n' in text
    verified(unit)

    result = run("service", "status")
    assert (result.exit_code, result.output) == (0, f"{unit.name}: up, 2 of 2 mailboxes loaded\n")
    for lines, told in (
        (("StatusText=waiting for the network",), "activating (start), waiting for the network"),
        (("Result=timeout", "StatusText="), "activating (start), timeout"),
    ):
        systemd.answer("ActiveState=activating", "SubState=start", *lines)
        assert run("service", "status").output == f"{unit.name}: {told}\n"
    systemd.answer("ActiveState=activating", "SubState=auto-restart", "NRestarts=7")
    result = run("service", "status", str(mountpoint), "--json")
    assert result.exit_code == 1
    assert [(one["unit"], one["state"], one["restarts"]) for one in json.loads(result.output)] == [
        (unit.name, "activating", 7)
    ]
    systemd.calls()

    assert run("service", "uninstall", str(mountpoint)).exit_code == 0
    assert systemd.calls() == [f"disable --now {unit.name}", "daemon-reload", f"reset-failed {unit.name}"]
    assert not units.directory.parent.exists()
    assert run("service", "uninstall", str(mountpoint)).exit_code == 1
    assert run("service", "status", str(mountpoint)).exit_code == 1


def test_a_nightly_pull(
    run: Callable[..., Result], units: UserUnits, systemd: FakeSystemd, tmp_path: Path
) -> None:
    target = tmp_path / "backup"
    result = run("service", "install", "--pull", str(target), "--weekly", "--type", "recording")
    assert result.exit_code == 0, result.output
    job, timer = sorted(units.directory.iterdir())
    assert [job.suffix, timer.suffix] == [".service", ".timer"]
    assert systemd.calls()[-1] == f"restart {timer.name}"
    assert f" -m rcfs pull --to {target} --type recording\n" in job.read_text()
    assert "OnCalendar=Sun " in timer.read_text()
    verified(job, timer)
    systemd.answer("ActiveState=active", "NextElapseUSecRealtime=Mon", "ExecMainExitTimestamp=Sun")
    assert run("service", "status").output == f"{timer.name}: next Mon; last Sun: success\n"
    assert run("service", "uninstall", "--pull", str(target)).exit_code == 0
    assert not units.directory.exists()


def test_the_units_are_as_hard_as_they_can_be(
    run: Callable[..., Result], units: UserUnits, systemd: FakeSystemd, tmp_path: Path, mountpoint: Path
) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    run("service", "install", "--pull", str(tmp_path / "backup"))
    run("service", "install", str(mountpoint))
    for path in units.directory.glob("*.service"):
        done = subprocess.run(
            ["systemd-analyze", "security", "--offline=true", "--threshold=67", path],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-200:] + done.stderr


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "name a MOUNTPOINT"),
        (["{rc}", "--umsk=1"], "No such option '--umsk'"),
        (["{rc}", "--cache-dir", "here"], "here: a unit needs absolute paths"),
        (["{rc}", "--max-wait=-1"], "--max-wait"),
        (["{rc}", "--read-only", "--send"], "--read-only and --send contradict each other"),
        (["{rc}", "-o", "ro,read_write"], "--read-only and --read-write contradict each other"),
        (["{rc}/none"], "does not exist; create it"),
        (["--pull", "/b", "--", "--kind=fax"], "No such option '--kind'"),
        (["{rc}", "--pull"], "give --pull first; with --pull or --system there is no MOUNTPOINT"),
        (["--pull", "/b", "--type", "fax", "--daily"], "give --daily first"),
        (["--weekly", "{rc}"], "--weekly needs --pull DIR"),
        (["--system", "{rc}"], "--system installs files for all users"),
        (["--system", "--pull", "/b"], "--system installs files for all users"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_written(
    run: Callable[..., Result],
    units: UserUnits,
    systemd: FakeSystemd,
    mountpoint: Path,
    arguments: list[str],
    reason: str,
) -> None:
    result = run("service", "install", *(word.replace("{rc}", str(mountpoint)) for word in arguments))
    assert result.exit_code in (2, 4)
    assert reason in result.output
    assert "Usage: rcfs service install" in result.output or "Usage:" not in result.output
    assert not units.directory.exists()


@pytest.mark.usefixtures("credentials")
def test_credentials_of_the_shell_do_not_count(
    run: Callable[..., Result], home: Path, units: UserUnits, systemd: FakeSystemd, mountpoint: Path
) -> None:
    (home / ".config" / "rcfs" / "config.toml").unlink()
    result = run("service", "install", str(mountpoint))
    assert result.exit_code == 2
    assert "no credentials are saved" in result.output


def test_a_unit_of_somebody_else_stays(
    run: Callable[..., Result], units: UserUnits, systemd: FakeSystemd, mountpoint: Path
) -> None:
    units.directory.mkdir(parents=True)
    unit = units.directory / f"{unit_name(mountpoint)}.service"
    unit.write_text("[Service]\n")
    result = run("service", "install", str(mountpoint))
    assert (result.exit_code, unit.read_text()) == (6, "[Service]\n")
    assert run("service", "uninstall", str(mountpoint)).exit_code == 1
    assert unit.exists()


def test_a_machine_without_systemd(
    run: Callable[..., Result], units: UserUnits, systemd: FakeSystemd, mountpoint: Path
) -> None:
    systemd.fail("restart")
    result = run("service", "install", str(mountpoint))
    assert result.exit_code == 1
    assert "restart failed: Job failed; `journalctl --user -eu rcfs-" in result.output
    systemd.fail("show-environment")
    assert "log in as this user at" in run("service", "status").output
    units.booted.rmdir()
    result = run("service", "install", str(mountpoint))
    assert result.exit_code == 1
    assert "needs systemd, and this machine was not started by it" in result.output


def test_no_fuse(
    run: Callable[..., Result], units: UserUnits, systemd: FakeSystemd, mountpoint: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def check(_system: FuseSystem) -> None:
        raise FuseUnavailableError("fusermount3 is missing")

    monkeypatch.setattr(FuseSystem, "check", check)
    assert run("service", "install", str(mountpoint)).exit_code == 5


def test_the_files_of_the_system(
    run: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "venv" / "rcfs"
    program.parent.mkdir()
    program.touch()
    files = SystemFiles(tmp_path / "link", tmp_path / "mount.fuse.rcfs", program)
    monkeypatch.setattr(_service, "SystemFiles", lambda: files)
    program.chmod(0o777)
    for _twice in range(2):
        result = run("service", "install", "--system")
        assert result.exit_code == 0, result.output
        assert f"users other than root can change {program}" in result.output
        assert files.helper.stat().st_mode & 0o777 == 0o755
        assert files.link.readlink() == program
    assert run("service", "uninstall", "--system").exit_code == 0
    assert [path.name for path in tmp_path.iterdir() if path.name != "home"] == ["venv"]
    files.helper.write_text("#!/bin/sh\n")
    files.link.symlink_to("/bin/sh")
    assert run("service", "install", "--system").exit_code == 6
    assert run("service", "uninstall", "--system").exit_code == 1
    assert files.link.is_symlink()
    assert files.helper.exists()


@pytest.mark.parametrize(
    "path", ["/home/jane/rc", "/.hidden/.rc", "/a b/ü-%/x:y_z.0", "/-/@+~", "/home/j/\\x41"], ids=repr
)
def test_names_of_units(path: str) -> None:
    name = unit_name(Path(path))
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-\\:_.")
    if shutil.which("systemd-escape"):
        done = subprocess.run(["systemd-escape", "--path", path], capture_output=True, text=True, check=True)
        assert name == f"rcfs-mount-{done.stdout.strip()}"


def test_the_mark_is_a_comment() -> None:
    assert MARK.startswith("# ")
    assert "\n" not in MARK


def test_the_unit_of_the_system_is_correct_and_as_hard_as_it_can_be(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    template = Path(__file__).parents[3] / "contrib" / "systemd" / "rcfs@.service"
    (tmp_path / "rcfs").write_text("#!/bin/sh\n")
    (tmp_path / "rcfs").chmod(0o755)
    unit = tmp_path / "rcfs@daemon.service"
    unit.write_text(template.read_text().replace("ExecStart=rcfs", f"ExecStart={tmp_path}/rcfs"))
    for command in (("--man=no", "verify"), ("security", "--offline=true", "--threshold=21")):
        done = subprocess.run(
            ["systemd-analyze", *command, unit], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout[-200:] + done.stderr
        assert "rcfs@" not in done.stderr
