import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rcfs.cli._main import _MODULES
from rcfs.cli._manpages import _escaped, _filled, write_pages


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("man")
    write_pages(path)
    return path


def test_every_command_has_a_page(directory: Path) -> None:
    names = {path.name for path in directory.iterdir()}
    assert names >= {"rcfs.1", "rcfs-service-install.1", *(f"rcfs-{name}.1" for name in _MODULES)}
    page = (directory / "rcfs-mount.1").read_text()
    assert "\\fB\\-\\-keep\\-purged / \\-\\-no\\-keep\\-purged\\fP" in page
    assert "  rcfs mount \\-o allow_other,uid=jane /mnt/rc\n" in page, "examples stay as they are"
    assert ".SH ENVIRONMENT\n" in page
    front = (directory / "rcfs.1").read_text()
    assert ".TP\n\\fB9\\fP\nThe answer to a message is lost" in front


def test_text_has_no_meaning_for_man() -> None:
    assert _escaped("a\\b -c `x-y` .d ü") == r"a\eb \-c \fBx\-y\fP .d \[u00FC]"
    assert _escaped("a … b") == "a ... b", "terminals without UTF-8 would show nothing"
    assert list(_filled(".a " * 40))[1].startswith(r"\&.a")


@pytest.mark.skipif(shutil.which("mandoc") is None, reason="mandoc is not installed")
def test_mandoc_finds_nothing(directory: Path) -> None:
    done = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning", *directory.iterdir()],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.skipif(shutil.which("man") is None, reason="man is not installed")
def test_man_shows_a_page(directory: Path) -> None:
    done = subprocess.run(
        ["man", "--warnings", "-l", directory / "rcfs-pull.1"],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/bin:/bin", "MANWIDTH": "100", "LC_ALL": "C.UTF-8", "MANPAGER": "cat"},
    )
    assert "rcfs pull [OPTIONS] [PATH]..." in done.stdout
    assert done.stderr == ""


def test_the_wheel_has_the_pages_and_completions(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-c",
        "import setuptools; setuptools.setup()",
        "-q",
        "install_data",
        f"--install-dir={tmp_path}",
    ]
    subprocess.run(command, cwd=Path(__file__).parents[3], check=True, capture_output=True)
    share = tmp_path / "share"
    assert (share / "man" / "man1" / "rcfs-service-install.1").is_file()
    assert (share / "zsh" / "site-functions" / "_rcfs").read_text().startswith("#compdef rcfs\n")
    assert (share / "bash-completion" / "completions" / "rcfs").is_file()
    assert (share / "fish" / "vendor_completions.d" / "rcfs.fish").is_file()
