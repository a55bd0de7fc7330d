"""The programs that look into mounts: each runs by its file, without a module of rcfs."""

import errno
import json
import os
import subprocess
from pathlib import Path

import pytest

from rcfs.host import script_command


def answer(name: str, path: Path) -> tuple[int, bytes]:
    done = subprocess.run(script_command(name, str(path)), capture_output=True, timeout=60, check=False)
    assert not done.stderr
    return done.returncode, done.stdout


def test_a_walk_outside_of_a_mount_shows_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert answer("walk", tmp_path) == (0, b"")
    assert answer("walk", tmp_path / "f?le") == (0, b"")
    assert answer("walk", tmp_path / "nothing*") == (3, b"")


def test_a_walk_shows_what_has_a_key(tmp_path: Path) -> None:
    file = tmp_path / "it's [1] é"
    file.touch()
    try:
        os.setxattr(file, "user.rcfs.key", b"101/1/2")
    except OSError:
        pytest.skip("this file system has no extended attributes of users")
    for path in (tmp_path, file, tmp_path / "it*"):
        code, text = answer("walk", path)
        assert (code, json.loads(text)) == (0, [str(file), "101/1/2"])


def test_asking_outside_of_a_mount(tmp_path: Path) -> None:
    for path, codes in ((tmp_path, {errno.ENODATA, errno.EOPNOTSUPP}), (tmp_path / "x", {errno.ENOENT})):
        code, text = answer("ask", path)
        told = json.loads(text)
        assert (code, told["said"]) == (0, "")
        assert told["errno"] in codes
