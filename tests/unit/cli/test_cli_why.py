"""`rcfs why` tells of contents of every kind."""

import json
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from rcfs.cli import _attachments
from rcfs.host import Registry
from rcfs.model import RecordingKey
from rcfs.store import ContentCache, ContentInfo, FetchHistory, FetchRecord, Refusal

KEY = RecordingKey("1", "3421234004")


def test_a_recording(
    run: Callable[..., Result], home: Path, tmp_path: Path, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rc"
    (path / "101 Jane").mkdir(parents=True)
    Registry(state_dir).add(path, "https://platform.ringcentral.com")
    row = json.dumps([f"{path}/101 Jane/a.mp3", str(KEY)]).encode() + b"\n"

    def walk(command: list[str], _within_s: float) -> Any:
        return subprocess.CompletedProcess(command, 0, row, b"")

    monkeypatch.setattr(_attachments, "run_limited", walk)
    with closing(ContentCache.open(home / ".cache" / "rcfs", warn=pytest.fail)) as cache:
        cache.put_chunk(KEY, 0, b"x" * 1000, ContentInfo(1000))
    with closing(FetchHistory.open(state_dir / "history.sqlite", pytest.fail)) as history:
        history.add(FetchRecord(KEY, 1_764_000_000.0, "cp", "bulk", 1, 1000))
        history.refuse(Refusal(KEY, 1_764_000_060.0, "tumblerd"))
    assert run("why", str(path)).stdout.splitlines() == [
        "101 Jane/a.mp3",
        "  fetched 2025-11-24T16:00:00Z for cp (bulk), 1 request, 1.0 KiB",
        "  refused 2025-11-24T16:01:00Z to tumblerd",
        "  cached: yes",
    ]
    (document,) = json.loads(run("why", "--json", str(path)).stdout)
    assert document["key"] == "1/recording/3421234004"


def test_a_content_from_the_shared_store(
    run: Callable[..., Result], home: Path, tmp_path: Path, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rc"
    (path / "101 Jane").mkdir(parents=True)
    Registry(state_dir).add(path, "https://platform.ringcentral.com")
    row = json.dumps([f"{path}/101 Jane/a.mp3", str(KEY)]).encode() + b"\n"
    monkeypatch.setattr(
        _attachments, "run_limited", lambda command, _s: subprocess.CompletedProcess(command, 0, row, b"")
    )
    with closing(FetchHistory.open(state_dir / "history.sqlite", pytest.fail)) as history:
        history.add(FetchRecord(KEY, 1_764_000_000.0, "cp", "bulk", 0, 1000, "from the shared store"))
    assert "  fetched 2025-11-24T16:00:00Z for cp (bulk), 0 requests, 1.0 KiB, from the shared store\n" in (
        run("why", str(path)).stdout
    )
