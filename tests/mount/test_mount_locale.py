"""A locale that cannot write the names: tree, commands and copies are as in any other."""

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mount.conftest import COMMAND_S, Mounted, mounts

pytestmark = pytest.mark.mount
# ASCII fails for each letter with an accent, as ISO-8859-1 does for an emoji.
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.fixture(scope="module")
def mount(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mounted]:
    """A mount of which every process runs in ASCII, in a place that ASCII cannot write."""
    with mounts(tmp_path_factory.mktemp("locale")) as make:
        mounted = make("--messages=100", "--limit=medium=100000", "--limit=light=100000", mount=False)
        mounted.environment |= ASCII
        mounted.path = mounted.path.parent / "Post-für-😀"
        mounted.path.mkdir()
        code = "import sys; print(sys.getfilesystemencoding())"
        spoken = subprocess.run(
            [sys.executable, "-c", code], env=mounted.environment, capture_output=True, check=True
        )
        assert spoken.stdout == b"ascii\n", "or this tests nothing"
        mounted.mount()
        yield mounted


def test_names_are_utf_8(mount: Mounted, tmp_path: Path) -> None:
    odd = next(path.name for path in mount.path.iterdir() if path.name.startswith("102 "))
    assert "Zoë" in odd
    search = mount.path / "Search" / "Zoë 😀"
    search.mkdir()
    assert [path.name for path in search.parent.iterdir()] == [search.name]
    search.rename(search.with_name("naïve"))
    search.with_name("naïve").rmdir()
    with pytest.raises(OSError, match="No data available"):
        os.getxattr(mount.path, b"user.\xff")
    assert (mount.path / ".rcfs" / "errors").read_text() == "none\n"

    state = f"--state-dir={mount.state}"
    assert f" at {mount.path}\n" in mount.rcfs("status", state).stdout
    assert mount.rcfs("refresh", state).stdout.startswith(f"{mount.path}: ")
    assert odd in mount.rcfs("why", *mount.engine_options, str(mount.path / odd)).stdout
    copy = tmp_path / "Kopie ä"
    mount.rcfs("pull", *mount.engine_options, "--to", str(copy), f"{odd}/SMS")
    assert (copy / odd).is_dir()


def test_a_command_that_runs_in_another_locale_means_the_same_path(
    mount: Mounted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(mount.environment, "LC_ALL", "C.UTF-8")
    assert f" at {mount.path}\n" in mount.rcfs("status", f"--state-dir={mount.state}").stdout


def test_an_argument_need_not_be_utf_8(mount: Mounted) -> None:
    state = f"--state-dir={mount.state}"
    for arguments, code, said in (
        (("search", f"{state}2", os.fsdecode(b"caf\xe9 \xff")), 2, "no mailbox is in the local index yet"),
        (("umount", state, os.fsdecode(b"/tmp/\xff")), 4, "/tmp/\ufffd is not mounted"),
        (("mount", *mount.options, os.fsdecode(b"/tmp/\xff")), 4, "/tmp/\ufffd does not exist"),
        (("pull", *mount.engine_options, os.fsdecode(b"a\xff")), 2, "a\ufffd"),
        ((os.fsdecode(b"\xff"),), 2, "No such command"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "rcfs", *arguments],
            env=mount.environment,
            capture_output=True,
            check=False,
            timeout=COMMAND_S,
        )
        assert (done.returncode, said in done.stderr.decode()) == (code, True), done.stderr


def test_a_terminal_gets_what_it_can_show(mount: Mounted) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "wb", buffering=0) as terminal:
        command = [sys.executable, "-m", "rcfs", "umount", os.fsdecode("/ü ".encode() + b"\xff")]
        done = subprocess.run(command, env=mount.environment, stderr=terminal, check=False, timeout=COMMAND_S)
        shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert done.returncode == 4
    assert "/ü \ufffd is not mounted" in shown
