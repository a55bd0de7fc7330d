import os
from pathlib import Path

import pytest

from rcfs.errors import FuseUnavailableError
from rcfs.host import FuseSystem, unmount


@pytest.fixture
def system(tmp_path: Path) -> FuseSystem:
    (tmp_path / "fuse").touch()
    return FuseSystem(tmp_path / "fuse", tmp_path / "fuse.conf", tmp_path / "timeout", fusermount="cat")


def test_all_is_there(system: FuseSystem) -> None:
    system.check()


def test_no_device(system: FuseSystem) -> None:
    system.device.unlink()
    with pytest.raises(
        FuseUnavailableError, match=r"fuse is missing; load the kernel module \(modprobe fuse\)"
    ):
        system.check()


def test_a_device_that_is_not_permitted(system: FuseSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(FuseUnavailableError, match=r"cannot be opened \(Operation not permitted\); let "):
        system.check()


def test_no_fusermount(system: FuseSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(FuseUnavailableError, match=r"cat is missing; install the package fuse3"):
        system.check()


@pytest.mark.parametrize(
    ("conf", "allowed"),
    [(None, False), ("#user_allow_other\n", False), ("mount_max = 9\nuser_allow_other \n", True)],
)
def test_allow_other(
    system: FuseSystem, monkeypatch: pytest.MonkeyPatch, conf: str | None, allowed: bool
) -> None:
    if conf is not None:
        system.conf.write_text(conf)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert system.allows_others() is allowed
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert system.allows_others() is True


@pytest.mark.parametrize(("text", "timeout_s"), [(None, 0), ("0\n", 0), ("120\n", 120), ("odd", 0)])
def test_the_kernels_timeout(system: FuseSystem, text: str | None, timeout_s: int) -> None:
    if text is not None:
        system.timeout_file.write_text(text)
    assert system.request_timeout_s() == timeout_s


def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **scripts: str) -> Path:
    """Puts shell scripts in the place of system commands; each call is a line of the file returned."""
    calls = tmp_path / "calls"
    for name, script in scripts.items():
        path = tmp_path / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >> {calls}\n{script}\n')
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return calls


@pytest.mark.parametrize(("lazily", "options"), [(False, "-u --"), (True, "-u -z --")])
def test_unmounting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lazily: bool, options: str) -> None:
    calls = commands(tmp_path, monkeypatch, fusermount3="exit 0", umount="exit 0")
    assert unmount(Path("/mnt/rc"), lazily=lazily) == ""
    assert calls.read_text() == f"fusermount3 {options} /mnt/rc\n"


def test_root_has_another_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = commands(tmp_path, monkeypatch, fusermount3="echo no >&2; exit 1", umount="exit 0")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert unmount(Path("/mnt/rc"), lazily=True) == ""
    assert calls.read_text() == "fusermount3 -u -z -- /mnt/rc\numount -l -- /mnt/rc\n"


def test_others_have_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = commands(tmp_path, monkeypatch, fusermount3="echo device busy >&2; exit 1", umount="exit 0")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert unmount(Path("/mnt/rc"), lazily=False) == "device busy"
    assert calls.read_text() == "fusermount3 -u -- /mnt/rc\n"


def test_no_fusermount3(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert unmount(Path("/mnt/rc"), lazily=False) == "fusermount3 is missing"
