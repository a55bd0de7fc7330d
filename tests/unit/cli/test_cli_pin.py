"""`rcfs pin`, `rcfs unpin`, and what `rcfs cache` tells of pins."""

import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from rcfs.cli import _attachments
from rcfs.cli._attachments import Found
from rcfs.cli._treepaths import TreePath
from rcfs.config import Settings
from rcfs.host import Registry
from rcfs.model import AttachmentKey
from rcfs.store import ContentCache, ContentInfo

KEY, OTHER = AttachmentKey("1", 2, 3, 4), AttachmentKey("1", 2, 3, 5)


@pytest.fixture
def mount(tmp_path: Path, state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A mount of this process, whose walk finds two attachments, one of them twice."""
    path = tmp_path / "rc"
    (path / "101 Jane").mkdir(parents=True)
    Registry(state_dir).add(path, "https://platform.ringcentral.com")
    rows = [(f"{path}/101 Jane/a", KEY), (f"{path}/101 Jane/link/a", KEY), (f"{path}/101 Jane/b", OTHER)]
    lines = "".join(json.dumps([row, str(key)]) + "\n" for row, key in rows).encode()

    def walk(command: list[str], _within_s: float) -> Any:
        missing = command[-1].endswith("nothing")
        return subprocess.CompletedProcess(command, 3 if missing else 0, b"" if missing else lines, b"")

    monkeypatch.setattr(_attachments, "run_limited", walk)
    return path


@pytest.fixture
def cached(home: Path) -> None:
    """KEY is in the cache."""
    cache = ContentCache.open(home / ".cache" / "rcfs", warn=pytest.fail)
    cache.put_chunk(KEY, 0, b"x" * 1000)
    cache.put_info(KEY, ContentInfo(1000))
    cache.close()


@pytest.mark.usefixtures("cached")
def test_pins_come_and_go(run: Callable[..., Result], mount: Path) -> None:
    result = run("pin", str(mount / "101 Jane"))
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("Pinned 2 contents, 2 of them new; 1 are in the cache.\nThe other 1 stay")
    again = json.loads(run("pin", "--json", str(mount)).stdout)
    assert again == {"contents": 2, "new": 0, "cached": 1}
    assert run("pin", "--list").stdout == (
        f"{KEY} (no path in the local index)  cached: yes\n{OTHER} (no path in the local index)  cached: no\n"
    )
    row = {"path": None, "key": str(KEY), "cached": "yes"}
    assert json.loads(run("pin", "--list", "--json").stdout)[0] == row

    assert "Pinned:     2 contents, 1 of them cached (" in run("cache", "info").stdout
    run("cache", "clear", "--yes")
    info = json.loads(run("cache", "info", "--json").stdout)
    assert (info["pinned_contents"], info["pinned_cached"]) == (2, 1)
    assert info["pinned_bytes"] >= 1000
    run("cache", "clear", "--yes", "--all")
    assert json.loads(run("cache", "info", "--json").stdout)["pinned_cached"] == 0

    assert run("unpin", str(mount / "101 Jane")).stdout == "Unpinned 2 contents.\n"
    assert json.loads(run("unpin", "--all", "--json").stdout) == {"removed": 0}


@pytest.mark.usefixtures("cached", "credentials")
def test_pins_are_listed_by_their_paths(
    run: Callable[..., Result], mount: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def in_account(settings: Settings, places: Sequence[TreePath]) -> list[Found]:
        assert settings.offline, "to look costs no request"
        assert [place.parts for place in places] == [()]
        return [Found("101 Jane/b", KEY)]

    run("pin", str(mount / "101 Jane"))
    monkeypatch.setattr(_attachments, "_in_account", in_account)
    assert run("pin", "--list").stdout == (
        f"101 Jane/b  cached: yes\n{OTHER} (no path in the local index)  cached: no\n"
    )
    rows = json.loads(run("pin", "--list", "--json").stdout)
    assert [(row["path"], row["key"]) for row in rows] == [("101 Jane/b", str(KEY)), (None, str(OTHER))]


@pytest.mark.parametrize("arguments", [["pin"], ["unpin"], ["pin", "--list", "x"], ["unpin", "--all", "x"]])
def test_wrong_usage(run: Callable[..., Result], arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


def test_a_path_that_is_not_there(run: Callable[..., Result], mount: Path) -> None:
    result = run("pin", str(mount / "nothing"))
    assert (result.exit_code, result.stderr) == (2, f"rcfs: {mount}/nothing does not exist; check the path\n")


def test_a_mount_that_hangs(run: Callable[..., Result], mount: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_attachments, "run_limited", lambda *_arguments: None)
    result = run("pin", str(mount))
    assert (result.exit_code, result.stderr) == (
        4,
        f"rcfs: the mount at {mount} does not answer; `rcfs status` shows its state\n",
    )


def test_a_path_of_the_tree_needs_credentials(run: Callable[..., Result]) -> None:
    result = run("pin", "101 Jane")
    assert result.exit_code == 2
    assert "RC_APP_CLIENT_ID" in result.stderr
