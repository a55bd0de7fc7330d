"""A mount of another user: who gets in, what is refused and how, and copies that their owner can change."""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mount.conftest import COMMAND_S, Mounted, mounts, run

pytestmark = pytest.mark.mount
NOBODY = pwd.getpwnam("nobody")


@pytest.fixture(scope="module")
def unmounted() -> Iterator[Mounted]:
    """An account that is mounted while a test needs it."""
    if os.geteuid():
        pytest.skip("only root can be another user")
    # The directories of tests are for root alone; rsync looks for a path from the top.
    with tempfile.TemporaryDirectory(dir="/tmp") as home, mounts(Path(home)) as make:
        Path(home).chmod(0o755)
        yield make("--messages=100", "--limit=medium=100000", "--limit=light=100000", mount=False)


@pytest.fixture
def mount(unmounted: Mounted) -> Mounted:
    """A mount made by root that belongs to nobody, and that nobody else but root may enter."""
    made = unmounted
    if not made.is_mounted:
        words = f"allow_other,uid=nobody,gid={NOBODY.pw_gid},umask=077"
        made.rcfs("mount", *made.options, "-o", words, str(made.path))
    return made


@pytest.fixture
def free(unmounted: Mounted) -> Iterator[Mounted]:
    """The same account, not mounted; not mounted afterwards either."""
    if unmounted.is_mounted:
        unmounted.umount()
    yield unmounted
    if unmounted.is_mounted:
        unmounted.umount()


@pytest.fixture
def desk() -> Iterator[Path]:
    """A directory of nobody's."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        os.chown(name, NOBODY.pw_uid, NOBODY.pw_gid)
        yield Path(name)


def as_user(
    uid: int, cwd: Path, *command: str | Path, check: bool = True
) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        command,
        cwd=cwd,
        user=uid,
        group=uid,
        extra_groups=[],
        env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
        errors="replace",
        timeout=COMMAND_S,
    )
    assert not check or done.returncode == 0, done.stderr
    return done


def test_the_owner_gets_in_and_others_do_not(mount: Mounted) -> None:
    status = (mount.path / "Search").stat()
    assert (status.st_mode & 0o777, status.st_uid, status.st_gid) == (0o700, NOBODY.pw_uid, NOBODY.pw_gid)
    assert "Search" in as_user(NOBODY.pw_uid, mount.path, "ls").stdout
    refused = as_user(4711, mount.path.parent, "ls", mount.path.name, check=False)
    assert "Permission denied" in refused.stderr


def test_changes_of_other_files_fail_with_erofs(mount: Mounted, desk: Path) -> None:
    record = next(mount.path.glob("101 */SMS/*/*/message.json")).relative_to(mount.path)
    extension = record.parts[0]
    for command in (
        ("mkdir", "new"),
        ("mkdir", "Search/.Trash-65534"),
        ("rmdir", f"{extension}/Trash"),
        ("rm", "-f", record),
        ("mv", record, "x"),
        ("mv", "--exchange", record, f"{extension}/extension.json"),
        ("ln", record, "x"),
        ("ln", "-s", "x", "Search/x"),
        ("mkfifo", "x"),
        ("touch", "x"),
        ("touch", record),
        ("chmod", "a+r", record),
        ("chown", str(NOBODY.pw_uid), record),
        ("truncate", "-s0", record),
        ("dd", "of=x", "count=0"),
        ("dd", f"of={record}", "count=0", "conv=notrunc"),
        ("cp", "/etc/hostname", "Search"),
    ):
        done = as_user(NOBODY.pw_uid, mount.path, *command, check=False)
        if "unrecognized option '--exchange'" in done.stderr:
            continue  # coreutils before 9.5
        assert "Read-only file system" in done.stderr, (command, done.stderr)
    # A first walk loads the calls, whose recordings are then in By-Contact as well.
    as_user(NOBODY.pw_uid, mount.path, "find", extension)
    # rsync -X and cp -a make a file with the mode of its original first, and write into it then.
    as_user(NOBODY.pw_uid, mount.path, "rsync", "-aX", f"{extension}/", desk / "copy")
    as_user(NOBODY.pw_uid, mount.path, "cp", "-a", f"{extension}/SMS", desk / "second")
    wanted = sum(len(files) for _folder, _directories, files in os.walk(mount.path / extension))
    assert sum(len(files) for _folder, _directories, files in os.walk(desk / "copy")) == wanted
    as_user(NOBODY.pw_uid, desk, "cp", "-a", desk / "second" / ".", desk / "copy" / "SMS")
    assert (desk / "copy" / record.relative_to(extension)).stat().st_mode & 0o777 == 0o600
    as_user(NOBODY.pw_uid, desk, "rm", "-r", "copy", "second")


def test_others_are_let_in_by_allow_other_alone(free: Mounted) -> None:
    mount = free
    mount.rcfs("mount", *mount.options, "--allow-other", str(mount.path))
    record = next(mount.path.glob("101 */extension.json"))
    assert record.stat().st_mode & 0o777 == 0o644
    assert as_user(4711, mount.path, "cat", record.relative_to(mount.path)).stdout == record.read_text()
    assert as_user(4711, mount.path, "mkdir", "Search/x", check=False).returncode == 1


@pytest.mark.skipif(shutil.which("mount.fuse3") is None, reason="Debian's mount.fuse3 is not installed")
def test_mount_8_and_fstab(free: Mounted) -> None:
    mount = free
    # mount(8) gives its own PATH to what it starts.
    program = Path("/usr/local/bin") / f"rcfs-test-{os.getpid()}"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m rcfs "$@"\n')
    program.chmod(0o755)
    places = f"cache_dir={mount.cache},state_dir={mount.state}"
    try:
        words = f"rw,noatime,nofail,{places},ro,umask=022,subtype=rcfs"
        run(
            ["mount", "-t", f"fuse.{program.name}", "rcfs", str(mount.path), "-o", words],
            env=mount.environment,
        )
        assert mount.is_mounted
        assert os.statvfs(mount.path).f_flag & os.ST_RDONLY
        assert (mount.path / "Search").stat().st_mode & 0o777 == 0o755
        with pytest.raises(OSError, match="Read-only"):
            (mount.path / "Search" / "x").mkdir()
        mount.umount()
        wrong = run(
            ["mount", "-t", f"fuse.{program.name}", "rcfs", str(mount.path), "-o", "umsk=022"],
            env=mount.environment,
            check=False,
        )
        assert "unknown mount option 'umsk' (did you mean 'umask'?)" in wrong.stderr
    finally:
        program.unlink()
