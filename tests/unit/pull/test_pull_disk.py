"""Copies on disks that lack operations, and in directories with FIFOs, devices and links of others."""

import errno
import fcntl
import hashlib
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rcfs.errors import StoreError
from rcfs.pull import Copy
from rcfs.pull._disk import Lack
from rcfs.tree import COPY_MANIFEST

ACCOUNT = "400123"
PARTS = ("101 Jane", "Fax", "fax.pdf")


def refusing(error: int) -> Callable[..., Any]:
    def refuse(*_arguments: object, **_named: object) -> None:
        raise OSError(error, os.strerror(error))

    return refuse


@pytest.fixture(params=[errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
def poor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes every disk one without links, times, syncs, locks, and renames over an existing file."""
    rename, opened = os.rename, os.open

    def rename_to_free_names(source: str, name: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        try:
            os.stat(name, dir_fd=dst_dir_fd, follow_symlinks=False)
        except FileNotFoundError:
            rename(source, name, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
        else:
            raise OSError(errno.EEXIST, "exists")

    def open_for_all(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        fd = opened(path, flags, mode, dir_fd=dir_fd)
        if flags & os.O_CREAT:
            os.fchmod(fd, 0o755)
        return fd

    monkeypatch.setattr(os, "symlink", refusing(request.param))
    monkeypatch.setattr(os, "utime", refusing(request.param))
    monkeypatch.setattr(os, "fsync", refusing(request.param))
    monkeypatch.setattr(fcntl, "flock", refusing(request.param))
    monkeypatch.setattr(os, "rename", rename_to_free_names)
    monkeypatch.setattr(os, "open", open_for_all)


@pytest.mark.usefixtures("poor")
def test_the_user_is_told_once_what_the_disk_cannot_do(tmp_path: Path) -> None:
    for _run in range(2):
        with Copy.open(tmp_path, ACCOUNT) as copy:
            copy.write(PARTS, 5.0, b"bytes")
            for number in range(3):
                copy.link(("101 Jane", f"link {number}"), "Fax/fax.pdf")
            copy.date_directory(PARTS[:1], 5.0)
            assert set(copy.notes) == set(map(str, Lack))
            assert copy.is_sound(PARTS)
        assert sorted(path.name for path in tmp_path.rglob("*")) == [
            "101 Jane",
            "Fax",
            COPY_MANIFEST,
            "fax.pdf",
        ]
    digest = hashlib.sha256(b"bytes").hexdigest()
    assert f"{digest}  {'/'.join(PARTS)}\n" in (tmp_path / COPY_MANIFEST).read_text()


@pytest.mark.parametrize("name", ["fsync", "utime", "symlink"])
def test_an_error_of_the_disk_is_not_taken_for_a_missing_ability(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Copy.open(tmp_path, ACCOUNT) as copy:
        monkeypatch.setattr(os, name, refusing(errno.EIO))
        with pytest.raises(StoreError, match="cannot be written"):
            copy.link(("link",), "x") if name == "symlink" else copy.write(PARTS, 5.0, b"bytes")
        monkeypatch.undo()
        assert copy.notes == []


@pytest.mark.parametrize(
    "error", [errno.ENOTCONN, errno.ENXIO, errno.ENODEV, errno.ESTALE, errno.EHOSTDOWN, errno.ETIMEDOUT]
)
def test_a_disk_that_goes_away_ends_the_pull(
    error: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise each further file would cost a request and could not be written."""
    with Copy.open(tmp_path, ACCOUNT) as copy:
        copy.write(PARTS, 5.0, b"bytes")
        for call in ("mkdir", "open", "write", "rename"):
            with monkeypatch.context() as gone:
                gone.setattr(os, call, refusing(error))
                with pytest.raises(StoreError, match="cannot be written"):
                    copy.write(("101 Jane", "SMS", "text.txt"), 5.0, b"text")
    with Copy.open(tmp_path, ACCOUNT) as copy:
        assert copy.is_sound(PARTS), "the next run goes on from there"


def test_a_disk_that_is_gone_fails_at_close_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A FUSE disk whose process died also fails at close(2)."""
    close = os.close

    def close_and_refuse(fd: int) -> None:
        is_file = stat.S_ISREG(os.fstat(fd).st_mode)
        close(fd)
        if is_file:
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))

    def pull() -> None:
        with Copy.open(tmp_path, ACCOUNT) as copy:
            monkeypatch.setattr(os, "close", close_and_refuse)
            monkeypatch.setattr(os, "write", refusing(errno.ENOTCONN))
            copy.write(PARTS, 5.0, b"bytes")

    with pytest.raises(StoreError, match="cannot be written"):
        pull()


@pytest.mark.parametrize(("call", "error"), [("open", errno.ENAMETOOLONG), ("write", errno.EFBIG)])
def test_a_file_that_this_disk_cannot_hold_is_one_failure(
    call: str, error: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as eCryptfs, whose names have at most 143 bytes, and FAT32, whose files have at most 4 GB."""
    real = getattr(os, call)

    def refuse_some(what: str | int, data: bytes | int, *arguments: int, **named: int) -> int:
        refused = what == PARTS[0] if call == "open" else data == b"large"
        if refused:
            raise OSError(error, os.strerror(error))
        return int(real(what, data, *arguments, **named))

    with Copy.open(tmp_path, ACCOUNT) as copy:
        with monkeypatch.context() as poor:
            poor.setattr(os, call, refuse_some)
            with pytest.raises(OSError, match=os.strerror(error)):
                copy.write(PARTS, 5.0, b"large")
            copy.write(("102 Bob", "text.txt"), 5.0, b"text")
        assert copy.digest(PARTS) is None
        assert copy.is_sound(("102 Bob", "text.txt"))
    assert not list(tmp_path.rglob(".rcfs-*"))


def test_one_link_that_cannot_be_made_is_a_failure_where_others_can(tmp_path: Path) -> None:
    with Copy.open(tmp_path, ACCOUNT) as copy:
        with pytest.raises(OSError, match=r"No such file|Invalid"):
            copy.link(("link",), "")
        (tmp_path / "taken").mkdir()
        with pytest.raises(IsADirectoryError):
            copy.link(("taken",), "x")
        assert copy.notes == []
    assert sorted(path.name for path in tmp_path.iterdir()) == [COPY_MANIFEST, "taken"], (
        "no link is left half way"
    )


def plant(kind: str, path: Path, outside: Path) -> None:
    outside.write_bytes(b"bytes")
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            descriptor = os.open(path.parent, os.O_RDONLY)
            server.bind(f"/proc/self/fd/{descriptor}/{path.name}")
            os.close(descriptor)
    elif kind == "directory":
        path.mkdir()
    elif kind == "device":
        if os.geteuid():
            pytest.skip("only root makes devices")
        os.mknod(path, 0o600 | 0o020000, os.makedev(1, 5))  # /dev/zero, which never ends
    else:
        path.symlink_to(outside)


@pytest.mark.parametrize("kind", ["fifo", "socket", "directory", "device", "link"])
class TestPlanted:
    def test_as_the_manifest(self, kind: str, tmp_path: Path) -> None:
        plant(kind, tmp_path / "copy" / COPY_MANIFEST, tmp_path / "outside")
        with pytest.raises(StoreError, match="it is not a regular file"), Copy.look(tmp_path / "copy"):
            pass

    def test_as_a_file(self, kind: str, tmp_path: Path) -> None:
        target = tmp_path / "copy"
        with Copy.open(target, ACCOUNT) as copy:
            copy.write(PARTS, 5.0, b"bytes")
        path = target.joinpath(*PARTS)
        path.unlink()
        plant(kind, path, tmp_path / "outside")
        with Copy.open(target, ACCOUNT) as copy:
            assert copy.size_of(PARTS) is None
            assert not copy.is_sound(PARTS)
            if kind == "directory":
                with pytest.raises(IsADirectoryError):
                    copy.write(PARTS, 5.0, b"new")
                return
            copy.write(PARTS, 5.0, b"new")
            assert copy.is_sound(PARTS)
        assert (tmp_path / "outside").read_bytes() == b"bytes"

    def test_as_a_directory(self, kind: str, tmp_path: Path) -> None:
        if kind == "directory":
            return
        target, elsewhere = tmp_path / "copy", tmp_path / "elsewhere"
        elsewhere.mkdir()
        with Copy.open(target, ACCOUNT) as copy:
            plant(kind, target / PARTS[0], elsewhere / "outside")
            with pytest.raises(OSError, match=r"Not a directory|symbolic links"):
                copy.write(PARTS, 5.0, b"new")


def test_sweeping_removes_partial_files_and_nothing_else(tmp_path: Path) -> None:
    with Copy.open(tmp_path, ACCOUNT) as copy:
        copy.write(PARTS, 5.0, b"bytes")
        folder = tmp_path.joinpath(*PARTS[:-1])
        (folder / ".rcfs-0123456789abcdef.part").symlink_to("gone")
        (folder / ".rcfs-fedcba9876543210.part").write_bytes(b"half")
        (folder / ".rcfs-mine.part").write_bytes(b"somebody's")
        copy.sweep(PARTS[:-1])
        copy.sweep(("nowhere",))
    assert sorted(path.name for path in folder.iterdir()) == [".rcfs-mine.part", "fax.pdf"]
