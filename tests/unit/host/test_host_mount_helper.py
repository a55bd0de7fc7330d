"""The program that mount(8) runs, with programs that only tell how they were called."""

import os
import subprocess
from pathlib import Path

import pytest

from rcfs.host import _system_files

SHOW = '#!/bin/sh\nprintf "%s|" "${0##*/}" "$@"\n'


@pytest.fixture
def helper(tmp_path: Path) -> Path:
    for name in ("rcfs", "setpriv"):
        (tmp_path / name).write_text(SHOW)
        (tmp_path / name).chmod(0o755)
    text = _system_files._HELPER.read_text()
    assert "\nPATH=/" in text
    path = tmp_path / "mount.fuse.rcfs"
    path.write_text(text.replace("\nPATH=/", f"\nPATH={tmp_path}:/"))
    return path


def called(helper: Path, *arguments: str) -> list[str]:
    done = subprocess.run(["sh", str(helper), *arguments], capture_output=True, text=True, check=True)
    return done.stdout.split("|")[:-1]


def test_arguments_stay(helper: Path) -> None:
    arguments = ["rcfs", "/mnt/my account", "-s", "-o", "rw,umask=022,account=a b"]
    assert called(helper, *arguments) == ["rcfs", *arguments]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
@pytest.mark.parametrize(
    ("words", "left"),
    [
        ("rw,setuid=nobody,umask=022", "rw,umask=022"),
        ("setuid=nobody,rw", "rw"),
        ("rw,setuid=nobody", "rw"),
        ("setuid=nobody", "rw"),
    ],
)
def test_root_mounts_for_a_user(helper: Path, words: str, left: str) -> None:
    name, *options, first, source, mountpoint, flag, rest = called(helper, "x", "/mnt/rc", "-o", words)
    assert [name, first, source, mountpoint, flag, rest] == ["setpriv", "rcfs", "x", "/mnt/rc", "-o", left]
    assert options[0] == "--reuid=nobody"
    assert {"--init-groups", "--reset-env"} < set(options)
