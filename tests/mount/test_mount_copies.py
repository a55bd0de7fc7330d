"""Backup programs find unchanged what has not changed, and enough room."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mount.conftest import Mounted, eventually, mounts

pytestmark = pytest.mark.mount
Identity = tuple[object, ...]


@pytest.fixture(scope="module")
def mount(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mounted]:
    with mounts(tmp_path_factory.mktemp("copies")) as make:
        yield make("--messages=40", "--limit=medium=100000", "--limit=light=100000")


def identities(top: Path) -> dict[str, Identity]:
    """By path, everything by which a backup program decides whether it already has a file."""
    found: dict[str, Identity] = {}
    for folder, directories, files in os.walk(top):
        for path in map(Path(folder).joinpath, (".", *directories, *files)):
            seen = path.lstat()
            names = os.listxattr(path, follow_symlinks=False)
            found[str(path.relative_to(top))] = (
                *(seen.st_ino, seen.st_mode, seen.st_nlink, seen.st_uid, seen.st_gid, seen.st_size),
                *(seen.st_mtime_ns, seen.st_ctime_ns, seen.st_blocks),
                *((name, os.getxattr(path, name, follow_symlinks=False)) for name in names),
                path.readlink() if stat.S_ISLNK(seen.st_mode) else None,
            )
    return found


def test_nothing_changes_over_a_remount(mount: Mounted) -> None:
    (mount.path / "Search" / "the").mkdir(exist_ok=True)
    for path in mount.attachments().values():
        path.read_bytes()  # so that no size is an estimate that a copy would put right
    before = identities(mount.path)
    control = (mount.path / ".rcfs").stat()
    assert "extension.json" in {Path(path).name for path in before}
    assert min(seen[6] for seen in before.values()) > 0  # type: ignore[type-var, operator]
    mount.remount()
    after = identities(mount.path)
    assert {path: (seen, after.get(path)) for path, seen in before.items() if after.get(path) != seen} == {}
    assert after.keys() == before.keys()
    again = (mount.path / ".rcfs").stat()
    assert (again.st_ino, again.st_mtime_ns) == (control.st_ino, control.st_mtime_ns)


def test_a_second_rsync_has_nothing_to_do(mount: Mounted, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    top = f"{next(mount.path.glob('101 *')).name}/"
    mount.tool("find", top)  # which loads the calls, whose recordings are then in By-Contact as well
    mount.tool("rsync", "-aHX", top, f"{copy}/")
    mount.remount()
    assert mount.tool("rsync", "-aHXi", "--delete", top, f"{copy}/").stdout == ""


def test_df_tells_the_size_of_the_tree_and_the_room_of_the_disk(mount: Mounted) -> None:
    size = sum(len(path.read_bytes()) for path in mount.contents().values())
    mount.remount()
    texts = 2000 * 4000  # more messages than there are, of more than they have

    def tells_the_size() -> bool:
        seen = os.statvfs(mount.path)
        return size < (seen.f_blocks - seen.f_bfree) * seen.f_frsize < size + texts

    eventually(tells_the_size)  # A busy machine may take longer for the first sum than `df` waits for it.
    seen, disk = os.statvfs(mount.path), os.statvfs(mount.cache)
    free = disk.f_bavail * disk.f_frsize
    assert seen.f_bavail * seen.f_frsize == pytest.approx(free, rel=0.2)
    assert seen.f_bfree == seen.f_bavail > 0
    assert (seen.f_files > seen.f_ffree) is True
    assert (seen.f_favail, seen.f_namemax) == (seen.f_ffree, 255)
