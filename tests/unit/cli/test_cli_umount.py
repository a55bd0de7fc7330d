import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
from click.testing import Result

from rcfs.cli import _mount
from rcfs.cli._mount import end_mount
from rcfs.errors import MountError
from rcfs.host import Mount, MountRecord, Registry
from rcfs.procfs import start_time

STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); signal.pause()"


@pytest.fixture
def mounts(monkeypatch: pytest.MonkeyPatch) -> list[Mount]:
    """The kernel's list of mounts; `unmount` takes one away."""
    listed = [Mount(Path("/"), "ext4")]
    monkeypatch.setattr(_mount, "read_mounts", lambda: tuple(listed))
    return listed


@pytest.fixture
def unmounted(mounts: list[Mount], monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, bool]]:
    calls: list[tuple[Path, bool]] = []

    def unmount(path: Path, *, lazily: bool) -> str:
        calls.append((path, lazily))
        mounts[:] = [mount for mount in mounts if mount.path != path]
        return ""

    monkeypatch.setattr(_mount, "unmount", unmount)
    return calls


def serving(code: str, mountpoint: Path) -> tuple["subprocess.Popen[bytes]", MountRecord]:
    """A process that pretends to serve a mount, once it has printed a line."""
    child = subprocess.Popen([sys.executable, "-I", "-S", "-c", code], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    started = start_time(child.pid)
    assert started is not None
    record = MountRecord(child.pid, started, mountpoint, "https://x", "2026-11-01T00:00:00Z")
    return child, record


def test_the_process_is_asked_and_waited_for(
    run: Callable[..., Result],
    state_dir: Path,
    tmp_path: Path,
    mounts: list[Mount],
    unmounted: list[tuple[Path, bool]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    child, record = serving("import signal; print(flush=True); signal.pause()", tmp_path)
    monkeypatch.setattr(Registry, "records", lambda self: (record,))
    result = run("umount", str(tmp_path))
    assert (result.exit_code, result.output) == (0, f"Unmounted {tmp_path}.\n")
    with child:
        assert child.wait() == -15
    assert unmounted == [], "its process has unmounted it"


def test_a_mount_that_its_process_left_behind(
    tmp_path: Path, mounts: list[Mount], unmounted: list[tuple[Path, bool]]
) -> None:
    child, record = serving("import signal; print(flush=True); signal.pause()", tmp_path)
    mounts.append(Mount(tmp_path, "fuse.rcfs"))
    end_mount(record, within_s=20)
    assert unmounted == [(tmp_path, True)]
    child.communicate()


@pytest.mark.parametrize("fstype", ["ext4", "autofs"])
def test_what_the_mount_was_on_stays(
    tmp_path: Path, mounts: list[Mount], unmounted: list[tuple[Path, bool]], fstype: str
) -> None:
    child, record = serving("import signal; print(flush=True); signal.pause()", tmp_path)
    mounts.append(Mount(tmp_path, fstype))
    end_mount(record, within_s=20)
    assert unmounted == []
    child.communicate()


def test_a_service_unmounts_at_the_same_time(
    tmp_path: Path, mounts: list[Mount], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unmount(_path: Path, *, lazily: bool) -> str:
        mounts.pop()
        return f"entry not found, lazily {lazily}"

    monkeypatch.setattr(_mount, "unmount", unmount)
    child, record = serving("import signal; print(flush=True); signal.pause()", tmp_path)
    mounts.append(Mount(tmp_path, "fuse.rcfs"))
    end_mount(record, within_s=20)
    child.communicate()


def test_a_process_that_does_not_end(tmp_path: Path, mounts: list[Mount]) -> None:
    child, record = serving(STUBBORN, tmp_path)
    with child:
        with pytest.raises(MountError, match=rf"process {child.pid} has not ended within 0 s; .*kill -9"):
            end_mount(record, within_s=0.1)
        child.kill()


def test_a_process_of_another_user(
    tmp_path: Path, mounts: list[Mount], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(process: int, number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(signal, "pidfd_send_signal", refuse)
    started = start_time(os.getpid())
    assert started is not None
    record = MountRecord(os.getpid(), started, tmp_path, "https://x", "2026-11-01T00:00:00Z")
    with pytest.raises(MountError, match="belongs to another user"):
        end_mount(record, within_s=20)


def test_a_pid_that_is_used_again_gets_no_signal(
    tmp_path: Path, mounts: list[Mount], monkeypatch: pytest.MonkeyPatch
) -> None:
    started = start_time(os.getpid())
    assert started is not None
    monkeypatch.setattr(signal, "pidfd_send_signal", lambda *_: pytest.fail("signalled a stranger"))
    record = MountRecord(os.getpid(), started, tmp_path, "https://x", "2026-11-01T00:00:00Z")
    end_mount(attrs.evolve(record, pid_start_time=started - 1), within_s=20)


def test_an_automounter_mounts_again(
    run: Callable[..., Result], tmp_path: Path, mounts: list[Mount], monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts += [Mount(tmp_path, "autofs", automounter=1), Mount(tmp_path, "fuse.rcfs")]
    monkeypatch.setattr(_mount, "unmount", lambda _path, *, lazily: str(mounts.pop())[:0])
    result = run("umount", str(tmp_path))
    assert result.output == f"Unmounted {tmp_path}; its automounter mounts it again at its next use.\n"


def test_a_mount_that_no_record_names(
    run: Callable[..., Result], tmp_path: Path, mounts: list[Mount], unmounted: list[tuple[Path, bool]]
) -> None:
    mounts.append(Mount(tmp_path, "fuse.rcfs"))
    assert run("umount", str(tmp_path)).exit_code == 0
    assert unmounted == [(tmp_path, False)]


def test_not_mounted(run: Callable[..., Result], tmp_path: Path, mounts: list[Mount]) -> None:
    result = run("umount", str(tmp_path / "absent"))
    assert result.exit_code == 4
    assert result.stderr == (
        f"rcfs: {tmp_path}/absent is not mounted; `rcfs status` lists the mounts of rcfs\n"
    )


def test_a_mount_of_another_program(run: Callable[..., Result], tmp_path: Path, mounts: list[Mount]) -> None:
    mounts.append(Mount(tmp_path, "fuse.sshfs"))
    result = run("umount", str(tmp_path))
    assert result.exit_code == 4
    assert "is a mount of type fuse.sshfs, not of rcfs" in result.stderr


def test_a_busy_mount(
    run: Callable[..., Result], tmp_path: Path, mounts: list[Mount], monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts.append(Mount(tmp_path, "fuse.rcfs"))
    monkeypatch.setattr(_mount, "unmount", lambda path, *, lazily: "device is busy")
    result = run("umount", str(tmp_path))
    assert result.exit_code == 4
    assert (
        f"cannot be unmounted (device is busy); end the programs that use it (fuser -vm {tmp_path})"
        in result.stderr
    )


def test_a_path_in_a_mount(run: Callable[..., Result], tmp_path: Path, mounts: list[Mount]) -> None:
    mounts.append(Mount(tmp_path, "fuse.rcfs"))
    result = run("umount", str(tmp_path / "101 Jane"))
    assert result.exit_code == 4
    assert f"is inside a mount of rcfs; to unmount that, run rcfs umount {tmp_path}" in result.stderr
