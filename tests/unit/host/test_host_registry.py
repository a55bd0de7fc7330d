import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rcfs.errors import StoreError
from rcfs.host import Registry
from rcfs.procfs import start_time

SERVER = "https://platform.ringcentral.com"


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "state")


def plant(directory: Path, **changed: object) -> Path:
    fields: dict[str, object] = {
        "pid": os.getpid(),
        "pid_start_time": start_time(os.getpid()),
        "mountpoint": "/mnt/rc",
        "server": SERVER,
        "started": "2026-11-01T00:00:00Z",
        **changed,
    }
    path = directory / "state" / "mounts" / f"{fields['pid']}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(fields))
    return path


def test_a_record_lives_as_long_as_its_process(registry: Registry, tmp_path: Path) -> None:
    record = registry.add(
        Path("/mnt/my mounts/ü"), SERVER, cache_dir=Path("/c/rcfs"), state_dir=tmp_path / "state"
    )
    assert (record.pid, record.mountpoint) == (os.getpid(), Path("/mnt/my mounts/ü"))
    assert registry.live() == (record,)
    file = tmp_path / "state" / "mounts" / f"{os.getpid()}.json"
    assert set(json.loads(file.read_text())) == {
        *("pid", "pid_start_time", "mountpoint", "server", "started", "cache_dir", "state_dir", "login"),
        "simulated",
        "read_write",
    }
    registry.remove(record)
    registry.remove(record)
    assert registry.live() == ()
    assert list(file.parent.iterdir()) == []


def test_records_are_private_under_any_umask(registry: Registry, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        registry.add(Path("/mnt/rc"), SERVER)
    finally:
        os.umask(before)
    for path in (tmp_path / "state", tmp_path / "state" / "mounts"):
        assert path.stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "state" / "mounts" / f"{os.getpid()}.json").stat().st_mode & 0o777 == 0o600


def test_a_dead_process_is_dropped_by_readers(registry: Registry, tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    file = plant(tmp_path, pid=child.pid, pid_start_time=1)
    assert [record.pid for record in registry.records()] == [child.pid]
    assert registry.live() == ()
    assert not file.exists()


def test_a_pid_that_is_used_again_is_another_process(registry: Registry, tmp_path: Path) -> None:
    file = plant(tmp_path, pid_start_time=1)
    (record,) = registry.records()
    assert not record.is_alive
    assert registry.live() == ()
    assert not file.exists()


@pytest.mark.parametrize("text", ["", "no json", "[]", "{}", '{"pid": null}'])
def test_a_file_that_is_no_record_is_passed_over(registry: Registry, tmp_path: Path, text: str) -> None:
    file = plant(tmp_path)
    file.write_text(text)
    assert registry.live() == ()
    assert file.exists()


def test_a_record_counts_only_under_its_own_name(registry: Registry, tmp_path: Path) -> None:
    plant(tmp_path).rename(tmp_path / "state" / "mounts" / "1.json")
    assert registry.records() == ()


def test_oldest_first(registry: Registry, tmp_path: Path) -> None:
    plant(tmp_path, pid=1, started="2026-11-03T00:00:00Z")
    plant(tmp_path, pid=2, started="2026-11-01T00:00:00Z")
    assert [record.pid for record in registry.records()] == [2, 1]


def test_a_state_directory_that_cannot_be_made() -> None:
    with pytest.raises(StoreError, match="cannot be created: Not a directory"):
        Registry(Path("/dev/null/state")).add(Path("/mnt/rc"), SERVER)
