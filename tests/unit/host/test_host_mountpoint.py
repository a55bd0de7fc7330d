import errno
import os
import sys
from pathlib import Path

import attrs
import pytest

from rcfs.config import Settings
from rcfs.errors import MountError
from rcfs.host import (
    Mount,
    MountKind,
    MountRecord,
    Probe,
    Registry,
    _mountpoint,
    check_apart,
    inspect_mountpoint,
    is_automount,
    mount_at,
    mount_below,
    prepare_mountpoint,
    probe_path,
    read_mounts,
)

MOUNTINFO = rb"""22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
40 27 0:50 / /home/j/ring\040central\134x ro,nosuid,nodev - fuse.rcfs rcfs ro,user_id=1000
41 27 0:51 / /mnt/caf\303\251 rw shared:5 master:2 - fuse.sshfs host: rw
42 41 0:52 / /mnt/bad\377 rw - fuseblk /dev/sdb rw
43 27 0:53 / /proc rw - tmpfs tmpfs rw
44 27 0:54 / /mnt/auto rw - autofs systemd-1 rw,fd=40,pgrp=1,timeout=0
"""


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "state")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(credentials=None, cache_dir=tmp_path / "cache", state_dir=tmp_path / "state")


@pytest.fixture
def mountpoint(tmp_path: Path) -> Path:
    path = tmp_path / "rc"
    path.mkdir()
    return path


class FakeMount:
    """A mount at a path, as the kernel's list and a probe show it; `unmount` takes it down."""

    def __init__(self, path: Path, fstype: str, answer: Probe | None) -> None:
        self.path = path
        self.fstype = fstype
        self.answer = answer
        self.mounted = True
        self.unmounted: list[bool] = []
        self.refusal = ""

    def read_mounts(self) -> tuple[Mount, ...]:
        rest = (Mount(Path("/"), "ext4"),)
        return (*rest, Mount(self.path, self.fstype)) if self.mounted else rest

    def probe_path(self, path: Path) -> Probe | None:
        return self.answer if self.mounted else Probe(path, 0, is_directory=True, is_empty=True)

    def unmount(self, path: Path, *, lazily: bool) -> str:
        assert path == self.path
        self.unmounted.append(lazily)
        self.mounted = bool(self.refusal)
        return self.refusal


@pytest.fixture
def fake(mountpoint: Path, monkeypatch: pytest.MonkeyPatch) -> FakeMount:
    """A mount of rcfs whose process was killed."""
    made = FakeMount(mountpoint, "fuse.rcfs", failed(mountpoint, errno.ENOTCONN))
    for name in ("read_mounts", "probe_path", "unmount"):
        monkeypatch.setattr(_mountpoint, name, getattr(made, name))
    return made


def failed(path: Path, code: int) -> Probe:
    return Probe(path, code, is_directory=False, is_empty=False)


def test_the_kernels_list(tmp_path: Path) -> None:
    source = tmp_path / "mountinfo"
    source.write_bytes(MOUNTINFO)
    mounts = read_mounts(source)
    assert [mount.owner for mount in mounts] == [None, None, 1000, None, None, None, None]
    assert [mount.automounter for mount in mounts] == [None, None, None, None, None, None, 1]
    assert [mount.fstype for mount in mounts] == [
        "proc",
        "ext4",
        "fuse.rcfs",
        "fuse.sshfs",
        "fuseblk",
        "tmpfs",
        "autofs",
    ]
    assert [mount.is_fuse for mount in mounts] == [False, False, True, True, True, False, False]
    assert mount_at(Path("/home/j/ring central\\x"), mounts) == mounts[2]
    assert mount_at(Path("/mnt/café"), mounts) == mounts[3]
    assert os.fsencode(mounts[4].path) == b"/mnt/bad\xff"
    assert mount_at(Path("/proc"), mounts) == mounts[5], "the uppermost counts"
    assert mount_at(Path("/proc/1"), mounts) is None
    assert mount_below(Path("/mnt/café/a/b"), mounts) == mounts[3]
    assert mount_below(Path("/mnt"), mounts) == mounts[1]


def test_the_list_of_this_machine_has_a_root() -> None:
    assert mount_at(Path("/"), read_mounts()) is not None


def test_an_empty_directory_is_free(registry: Registry, mountpoint: Path) -> None:
    state = inspect_mountpoint(mountpoint, registry)
    assert (state.path, state.kind, state.advice) == (mountpoint, MountKind.FREE, "")


def test_symbolic_links_are_followed(registry: Registry, mountpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(mountpoint)
    assert inspect_mountpoint(tmp_path / "link", registry).path == mountpoint
    assert inspect_mountpoint(tmp_path / "x" / ".." / "rc", registry).path == mountpoint


def test_a_relative_path(registry: Registry, mountpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(mountpoint.parent)
    assert inspect_mountpoint(Path("rc"), registry).path == mountpoint


def test_an_automounter_mounts_by_itself(
    registry: Registry, mountpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = (Mount(mountpoint, "autofs", automounter=1), Mount(mountpoint, "fuse.rcfs"))
    monkeypatch.setattr(_mountpoint, "read_mounts", lambda: mounts)
    state = inspect_mountpoint(mountpoint, registry)
    assert state.kind is MountKind.MOUNTED
    assert "its automounter does that" in state.advice


def test_what_is_no_mount_point(registry: Registry, tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / ".hidden").touch()
    (tmp_path / "loop").symlink_to("loop")
    for name, error in (
        ("a b", f"{tmp_path}/a b does not exist; create it: mkdir -p '{tmp_path}/a b'"),
        ("file", f"{tmp_path}/file is not a directory; choose an empty directory"),
        (
            "full",
            f"{tmp_path}/full is not empty; a mount would hide what it holds; choose an empty directory",
        ),
        ("loop", f"{tmp_path}/loop: Too many levels of symbolic links; choose another mount point"),
        ("file/below", f"{tmp_path}/file/below: Not a directory; choose another mount point"),
    ):
        with pytest.raises(MountError) as caught:
            prepare_mountpoint(tmp_path / name, settings, registry, pytest.fail)
        assert str(caught.value) == error
    assert not (tmp_path / "a b").exists(), "a mount point is never created silently"


def test_a_path_that_hangs(
    registry: Registry, settings: Settings, mountpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging = [sys.executable, "-I", "-S", "-c", "import signal; signal.pause()"]
    monkeypatch.setattr(_mountpoint, "script_command", lambda *_arguments: hanging)
    monkeypatch.setattr(_mountpoint, "_PROBE_WITHIN_S", 0.2)
    assert probe_path(mountpoint) is None
    with pytest.raises(MountError, match="does not answer, perhaps because it is on a network"):
        prepare_mountpoint(mountpoint, settings, registry, pytest.fail)


@pytest.mark.parametrize("code", [errno.ENOTCONN, errno.ECONNABORTED])
def test_a_mount_that_a_crash_left_is_replaced(
    registry: Registry, settings: Settings, mountpoint: Path, fake: FakeMount, code: int
) -> None:
    fake.answer = failed(mountpoint, code)
    told: list[str] = []
    assert prepare_mountpoint(mountpoint, settings, registry, told.append) == mountpoint
    assert fake.unmounted == [True]
    assert told == [f"{mountpoint} is a mount of rcfs whose process is gone; rcfs replaces it"]


@pytest.mark.parametrize("answers", [True, False])
def test_a_mount_whose_owner_is_dead_is_replaced(
    registry: Registry,
    settings: Settings,
    mountpoint: Path,
    fake: FakeMount,
    monkeypatch: pytest.MonkeyPatch,
    answers: bool,
) -> None:
    """Its type tells nothing (--fs-subtype), and it may hang rather than fail: the registry knows it."""
    dead = MountRecord(os.getpid(), 1, mountpoint, "https://platform.ringcentral.com", "2026-11-01T00:00:00Z")
    monkeypatch.setattr(Registry, "records", lambda self: (dead,))
    fake.fstype = "fuse.davfs"
    fake.answer = Probe(mountpoint, 0, is_directory=True, is_empty=False) if answers else None
    assert prepare_mountpoint(mountpoint, settings, registry, lambda line: None) == mountpoint
    assert fake.unmounted == [True]


def test_a_stale_mount_that_cannot_be_detached(
    registry: Registry, settings: Settings, mountpoint: Path, fake: FakeMount
) -> None:
    fake.refusal = "fusermount3: not permitted"
    with pytest.raises(MountError, match=rf"\(fusermount3: not permitted\); try sudo umount -l {mountpoint}"):
        prepare_mountpoint(mountpoint, settings, registry, pytest.fail)


def test_a_stale_mount_of_another_program_is_left_alone(
    registry: Registry, settings: Settings, mountpoint: Path, fake: FakeMount
) -> None:
    fake.fstype = "fuse.sshfs"
    with pytest.raises(MountError) as caught:
        prepare_mountpoint(mountpoint, settings, registry, pytest.fail)
    assert str(caught.value) == (
        f"{mountpoint} is a fuse.sshfs mount that does not answer; detach it: fusermount3 -u -z {mountpoint}"
    )
    assert fake.unmounted == []


def test_a_mount_that_hangs_is_left_alone(
    registry: Registry, settings: Settings, mountpoint: Path, fake: FakeMount
) -> None:
    fake.answer = None
    record = registry.add(mountpoint, "https://platform.ringcentral.com")
    assert record.is_alive
    with pytest.raises(MountError, match=r"is a fuse\.rcfs mount that does not answer; detach it: "):
        prepare_mountpoint(mountpoint, settings, registry, pytest.fail)
    assert fake.unmounted == []


@pytest.mark.parametrize(
    ("fstype", "is_empty", "command"),
    [
        ("fuse.rcfs", True, "rcfs umount"),
        ("fuse.sshfs", True, "umount"),
        ("autofs", True, "umount"),
        ("ext4", False, "umount"),
    ],
)
def test_a_mount_that_works_is_busy(
    registry: Registry,
    settings: Settings,
    mountpoint: Path,
    fake: FakeMount,
    fstype: str,
    is_empty: bool,
    command: str,
) -> None:
    fake.fstype = fstype
    fake.answer = Probe(mountpoint, 0, is_directory=True, is_empty=is_empty)
    with pytest.raises(MountError) as caught:
        prepare_mountpoint(mountpoint, settings, registry, pytest.fail)
    assert str(caught.value) == (
        f"{mountpoint} is already mounted ({fstype}); unmount it first: {command} {mountpoint}"
    )
    assert fake.unmounted == []


def test_an_empty_volume_can_be_mounted_on(
    registry: Registry, settings: Settings, mountpoint: Path, fake: FakeMount
) -> None:
    """In a container the mount point is a volume, so that the mount is seen outside."""
    fake.fstype = "ext4"
    fake.answer = Probe(mountpoint, 0, is_directory=True, is_empty=True)
    assert prepare_mountpoint(mountpoint, settings, registry, pytest.fail) == mountpoint


def test_the_owner_of_a_busy_mount_is_named(registry: Registry, mountpoint: Path, fake: FakeMount) -> None:
    fake.answer = Probe(mountpoint, 0, is_directory=True, is_empty=False)
    registry.add(mountpoint, "https://platform.ringcentral.com")
    state = inspect_mountpoint(mountpoint, registry)
    assert f"already mounted by process {os.getpid()} (fuse.rcfs)" in state.detail
    assert state.owner == os.getpid()


@pytest.mark.parametrize(
    ("mounted", "cache", "state", "error"),
    [
        ("a", "a/cache", "s", "the cache directory {0}/a/cache is in {0}/a;"),
        ("a", "a", "s", "{0}/a is in the cache directory {0}/a;"),
        ("a/rc", "a", "s", "{0}/a/rc is in the cache directory {0}/a;"),
        ("a", "c", "a/s/t", "the state directory {0}/a/s/t is in {0}/a;"),
        ("s/rc", "c", "s", "{0}/s/rc is in the state directory {0}/s;"),
        ("a", "link/cache", "s", "the cache directory {0}/a/cache is in {0}/a;"),
    ],
)
def test_a_mount_point_that_overlaps(
    tmp_path: Path, settings: Settings, mounted: str, cache: str, state: str, error: str
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to("a")
    changed = attrs.evolve(settings, cache_dir=tmp_path / cache, state_dir=tmp_path / state)
    with pytest.raises(MountError) as caught:
        check_apart(tmp_path / mounted, changed)
    assert error.format(tmp_path) in str(caught.value)


def test_a_mount_point_beside_is_apart(tmp_path: Path, settings: Settings) -> None:
    check_apart(tmp_path / "cache-of-mine", settings)


def test_a_mount_for_the_automounter_is_not_touched(
    registry: Registry, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look at it would wait for the mount that this process is to make."""
    path = Path("/nowhere/auto")
    mounts = [Mount(path, "autofs", automounter=os.getpgrp())]
    monkeypatch.setattr(_mountpoint, "read_mounts", lambda: mounts)
    monkeypatch.setattr(_mountpoint, "probe_path", lambda _path: pytest.fail("it was touched"))
    assert is_automount(path)
    assert prepare_mountpoint(path, settings, registry, pytest.fail) == path
    mounts[:] = [Mount(path, "autofs", automounter=os.getpgrp() + 1)]
    assert not is_automount(path)
    mounts.append(Mount(path, "fuse.rcfs"))
    assert not is_automount(path)
