import json
import os
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest
from click.testing import Result

from rcfs.cli import _status
from rcfs.host import Mount, Registry, _registry

SERVER = "https://platform.ringcentral.com"


@pytest.fixture
def mounted(tmp_path: Path, state_dir: Path) -> Path:
    """A directory that looks like a mount of this process."""
    (tmp_path / "rc" / ".rcfs").mkdir(parents=True)
    Registry(state_dir).add(tmp_path / "rc", SERVER)
    return tmp_path / "rc"


@pytest.fixture(autouse=True)
def rendering(monkeypatch: pytest.MonkeyPatch) -> None:
    def render_status(document: Mapping[str, Any]) -> str:
        return f"rendered {document['mountpoint']}\n"

    fake = types.SimpleNamespace(render_status=render_status, status_from_json=dict)
    monkeypatch.setitem(__import__("sys").modules, "rcfs.status", fake)


def test_no_mounts(run: Callable[..., Result]) -> None:
    result = run("status")
    assert (result.exit_code, result.output) == (0, "No mount of rcfs is up.\n")
    result = run("status", "--json")
    assert (result.exit_code, result.output) == (0, "[]\n")


def test_a_mount_that_answers(run: Callable[..., Result], mounted: Path) -> None:
    document = {"mountpoint": str(mounted), "quota": []}
    (mounted / ".rcfs" / "status.json").write_text(json.dumps(document))
    result = run("status")
    assert (result.exit_code, result.output) == (0, f"rendered {mounted}\n")
    assert json.loads(run("status", "--json").stdout) == [document]


@pytest.mark.parametrize("text", [None, "", "no json", "[]"])
def test_a_mount_that_answers_nonsense(run: Callable[..., Result], mounted: Path, text: str | None) -> None:
    if text is not None:
        (mounted / ".rcfs" / "status.json").write_text(text)
    result = run("status")
    assert result.exit_code == 4
    assert result.output.startswith(f"{mounted} does not answer (process {os.getpid()}, since ")


def test_a_mount_that_hangs(
    run: Callable[..., Result], mounted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(mounted / ".rcfs" / "status.json")
    monkeypatch.setattr(_status, "_ANSWER_WITHIN_S", 0.2)
    result = run("status", "--json")
    assert result.exit_code == 4
    (document,) = json.loads(result.stdout)
    assert (document["mountpoint"], document["error"]) == (str(mounted), "does not answer")


def test_a_mount_whose_process_is_gone(
    run: Callable[..., Result], mounted: Path, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (record,) = Registry(state_dir).records()
    (state_dir / "mounts" / f"{os.getpid()}.json").unlink()
    gone = attrs.evolve(record, pid=2**22 + 1)  # above the largest pid of Linux
    text = json.dumps(attrs.asdict(gone), default=str)
    (state_dir / "mounts" / f"{gone.pid}.json").write_text(text)
    monkeypatch.setattr(_registry, "read_mounts", lambda: (Mount(mounted, "fuse.rcfs", 0),))
    for _again in range(2):  # Looking does not make it unknown.
        result = run("status")
        assert result.exit_code == 4
        assert result.output == (
            f"{mounted} is still mounted, but its process {gone.pid} (since {gone.started}) is gone;"
            f" unmount it: rcfs umount {mounted}\n"
        )
    (document,) = json.loads(run("status", "--json").stdout)
    assert (document["mountpoint"], document["error"]) == (str(mounted), "its process is gone")

    Registry(state_dir).add(mounted, SERVER)  # mounted again, in its place
    assert Registry(state_dir).stale() == ()
    assert len(Registry(state_dir).records()) == 1
    Registry(state_dir).remove(record)
    (state_dir / "mounts" / f"{gone.pid}.json").write_text(text)
    monkeypatch.setattr(_registry, "read_mounts", lambda: ())
    assert run("status").output == "No mount of rcfs is up.\n"
    assert Registry(state_dir).records() == ()


def test_watching_shows_it_again_until_ctrl_c(
    run: Callable[..., Result], mounted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = {"mountpoint": str(mounted)}
    (mounted / ".rcfs" / "status.json").write_text(json.dumps(document))
    pauses: list[float] = []

    def sleep(pause_s: float) -> None:
        pauses.append(pause_s)
        if len(pauses) % 2 == 0:
            raise KeyboardInterrupt

    fake = types.SimpleNamespace(sleep=sleep, strftime=lambda *_: "--- now", gmtime=lambda: None)
    monkeypatch.setattr(_status, "time", fake)
    result = run("status", "--watch")
    assert (result.exit_code, result.stdout) == (130, f"--- now\nrendered {mounted}\n" * 2)
    assert result.stderr == "rcfs: interrupted\n"
    result = run("status", "--watch", "7", "--json")
    assert [json.loads(line) for line in result.stdout.splitlines()] == [[document]] * 2
    assert pauses == [2.0, 2.0, 7.0, 7.0]
    assert run("status", "--watch", "0").exit_code == 2
