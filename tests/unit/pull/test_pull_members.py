"""Copies that several pulls write at the same time."""

import os
import subprocess
from pathlib import Path

import pytest

from rcfs.errors import StoreError
from rcfs.pull import Copy, _members
from rcfs.pull._disk import Disk
from rcfs.tree import COPY_MANIFEST

ACCOUNT = "400123"
ONE, TWO, THREE = ("101 Jane", "1"), ("101 Jane", "2"), ("101 Jane", "3")


def written(target: Path, *parts: tuple[str, ...], shared: bool = True) -> None:
    with Copy.open(target, ACCOUNT, shared=shared) as copy:
        for each in parts:
            copy.write(each, 1.5e9, each[-1].encode())


def names(target: Path) -> set[str]:
    """The files beside the manifest and the directory of the extension."""
    return {path.name for path in target.iterdir()} - {COPY_MANIFEST, "101 Jane"}


def check(target: Path, *parts: tuple[str, ...]) -> None:
    """The manifest has these files and no others, each with its right digest."""
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", COPY_MANIFEST], cwd=target, check=True)
    with Copy.look(target, ACCOUNT) as copy:
        assert copy.noted_in(("101 Jane",)) == [each[-1] for each in parts]
    assert names(target) == set()


def test_the_last_member_puts_the_manifests_together(tmp_path: Path) -> None:
    with Copy.open(tmp_path, ACCOUNT, shared=True) as copy:
        copy.write(TWO, 1.5e9, b"2")
        written(tmp_path, ONE, THREE)
        assert not (tmp_path / COPY_MANIFEST).exists()
        with Copy.look(tmp_path, ACCOUNT) as looking:
            assert looking.noted_in(("101 Jane",)) == ["1", "2", "3"], "one that starts knows what is there"
    check(tmp_path, ONE, TWO, THREE)


@pytest.mark.parametrize("shared", [False, True])
def test_nothing_of_a_killed_member_is_lost(tmp_path: Path, *, shared: bool) -> None:
    pid = os.fork()
    if not pid:
        with Copy.open(tmp_path, ACCOUNT, shared=True) as copy:
            copy.write(ONE, 1.5e9, b"1")
            copy.begin(TWO)
            os._exit(0)
    os.waitpid(pid, 0)
    assert len(names(tmp_path)) == 2, "the lock, and the lines of the member"
    written(tmp_path, THREE, shared=shared)
    check(tmp_path, ONE, THREE)


def test_a_pull_with_the_copy_to_itself_and_members_exclude_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_members, "_MERGED_WITHIN_S", 0.0)
    for mine, other in ((True, False), (False, True), (False, False)):
        refused = pytest.raises(StoreError, match="another pull is writing")
        with Copy.open(tmp_path, ACCOUNT, shared=mine), refused:
            written(tmp_path, ONE, shared=other)
    assert names(tmp_path) == set()


def test_members_of_a_disk_without_locks_leave_the_manifests_for_a_pull_that_is_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unable(_fd: int, _operation: int) -> None:
        raise OSError(38, "Function not implemented")

    with monkeypatch.context() as patches:
        patches.setattr("fcntl.flock", unable)
        written(tmp_path, ONE)
        assert not (tmp_path / COPY_MANIFEST).exists()
    written(tmp_path, TWO, shared=False)
    check(tmp_path, ONE, TWO)


def test_two_members_that_write_one_file_do_not_mix_it(tmp_path: Path) -> None:
    with Copy.open(tmp_path, ACCOUNT, shared=True) as copy:
        writer = copy.begin(ONE)
        copy.append(writer, b"half")
        written(tmp_path, ONE)
        assert tmp_path.joinpath(*ONE).read_bytes() == b"1"
        copy.append(writer, b" and half")
        copy.finish(ONE, writer, 1.5e9)
        writer.close()
    assert tmp_path.joinpath(*ONE).read_bytes() == b"half and half"


@pytest.mark.parametrize("shared", [False, True])
def test_what_another_pull_added_before_this_one_had_its_lock_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, shared: bool
) -> None:
    lock = Disk.lock

    def lock_late(disk: Disk, fd: int, *, shared: bool = False) -> bool:
        monkeypatch.undo()
        written(tmp_path, ONE, shared=False)
        return lock(disk, fd, shared=shared)

    monkeypatch.setattr(Disk, "lock", lock_late)
    written(tmp_path, TWO, shared=shared)
    check(tmp_path, ONE, TWO)
