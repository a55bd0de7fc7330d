"""`rcfs refresh` without a mount; what it does with one is tested there."""

import errno
import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from click.testing import Result

from rcfs.cli import _refresh
from rcfs.host import Registry

SERVER = "https://platform.ringcentral.com"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths whose mounts were asked; all of them answer."""
    paths: list[str] = []

    def run_limited(command: Sequence[str], _timeout_s: float) -> "subprocess.CompletedProcess[bytes]":
        paths.append(command[-1])
        return subprocess.CompletedProcess(
            command, 0, json.dumps({"said": "2 mailboxes", "errno": 0}).encode()
        )

    monkeypatch.setattr(_refresh, "run_limited", run_limited)
    return paths


def test_every_mount_is_asked(
    run: Callable[..., Result], asked: list[str], state_dir: Path, tmp_path: Path
) -> None:
    Registry(state_dir).add(tmp_path / "rc", SERVER)
    result = run("refresh")
    assert (result.exit_code, result.output) == (0, f"{tmp_path / 'rc'}: refreshed 2 mailboxes\n")
    assert asked == [str(tmp_path / "rc")]


def test_one_path_needs_no_record(
    run: Callable[..., Result], asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("refresh", "rc/101 Jane")
    assert (result.exit_code, result.output) == (0, "rc/101 Jane: refreshed 2 mailboxes\n")
    assert asked == [str(tmp_path / "rc/101 Jane")]


def test_no_mount_is_up(run: Callable[..., Result], asked: list[str]) -> None:
    result = run("refresh")
    assert (result.exit_code, result.stderr) == (4, "rcfs: no mount of rcfs is up; first run `rcfs mount`\n")
    assert asked == []


def test_a_path_that_is_in_no_mount(run: Callable[..., Result], tmp_path: Path) -> None:
    result = run("refresh", str(tmp_path))
    assert result.exit_code == 4
    assert f"{tmp_path} is not in a mount of rcfs" in result.stderr


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        (errno.ENETUNREACH, 7, "cannot be refreshed: Network is unreachable"),
        (errno.EACCES, 7, "cannot be refreshed: Permission denied"),
        (
            errno.EPROTONOSUPPORT,
            4,
            "is in a mount of another version of rcfs; unmount it, and mount it again",
        ),
        (errno.ENODATA, 2, "is not in a mailbox; name a mailbox, or the mount point for all of them"),
        (errno.ENOTCONN, 4, "is not in a mount of rcfs (Transport endpoint is not connected)"),
    ],
)
def test_what_a_mount_answers(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, number: int, code: int, said: str
) -> None:
    answer = json.dumps({"said": "", "errno": number}).encode()
    monkeypatch.setattr(_refresh, "run_limited", lambda *_: subprocess.CompletedProcess([], 0, answer))
    result = run("refresh", "/rc")
    assert (result.exit_code, result.stdout, result.stderr) == (code, "", f"rcfs: /rc {said}\n")


def test_a_mount_that_does_not_answer(run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_refresh, "run_limited", lambda *_: None)
    result = run("refresh", "/rc")
    assert (result.exit_code, result.stderr) == (
        4,
        "rcfs: the mount at /rc does not answer; `rcfs status` shows its state\n",
    )


def test_a_path_that_is_not_there(run: Callable[..., Result], tmp_path: Path) -> None:
    result = run("refresh", str(tmp_path / "nosuch"))
    assert (result.exit_code, result.stderr) == (
        2,
        f"rcfs: {tmp_path}/nosuch does not exist; check the path\n",
    )
