import json
import logging
import os
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest

from rcfs.errors import StoreError
from rcfs.filenames import StateFiles
from rcfs.host import logs
from rcfs.host.logs import EventLog, log_to_file, log_to_terminal

SECRET = "s3cr3t-of-the-app"


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    """Gives logging back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    for handler in root.handlers:
        if handler not in handlers:
            handler.close()
    root.handlers = handlers
    root.setLevel(level)
    for name in ("httpx", "httpcore", "hpack", "asyncio"):
        logging.getLogger(name).setLevel(logging.NOTSET)


def crash() -> None:
    token = SECRET
    raise ZeroDivisionError(len(token))


def log_a_crash() -> None:
    try:
        crash()
    except ZeroDivisionError as exc:
        EventLog().error("broken", exc_info=exc)


def test_a_file_holds_one_json_object_per_event(tmp_path: Path) -> None:
    path = tmp_path / "log" / "rc.log"
    before = os.umask(0)
    try:
        log_to_file(path, "info")
    finally:
        os.umask(before)
    EventLog().info("mounted", mountpoint="/mnt/ü", size_bytes=7)
    EventLog().debug("not logged")
    logging.getLogger("trio").warning("from a %s", "library")
    logging.getLogger("httpx").info("HTTP Request: GET https://host/?access_token=%s", SECRET)
    log_a_crash()
    mounted, library, broken = [json.loads(line) for line in path.read_text().splitlines()]
    assert {**mounted, "timestamp": ""} == {
        "event": "mounted",
        "level": "info",
        "mountpoint": "/mnt/ü",
        "size_bytes": 7,
        "timestamp": "",
    }
    assert mounted["timestamp"].endswith("Z")
    assert (library["event"], library["level"]) == ("from a library", "warning")
    assert "in crash" in broken["exception"]
    assert SECRET not in path.read_text()
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_a_file_is_rotated_and_stays_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_ROTATE_BYTES", 1000)
    log_to_file(tmp_path / "rc.log", "info")
    for number in range(100):
        EventLog().info("event", number=number)
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["home", "rc.log", "rc.log.1", "rc.log.2", "rc.log.3"]
    for name in files[1:]:
        assert (tmp_path / name).stat().st_size <= 1000
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    assert json.loads((tmp_path / "rc.log").read_text().splitlines()[-1])["number"] == 99


def test_a_log_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be written: Is a directory"):
        log_to_file(tmp_path, "info")


def test_a_terminal_gets_readable_lines_without_locals(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    log_to_terminal("warning")
    EventLog().info("not logged")
    EventLog().warning("slow", seconds=3)
    log_a_crash()
    lines = stream.getvalue().splitlines()
    assert lines[0].endswith("[warning  ] slow seconds=3")
    assert "ZeroDivisionError: 17" in lines[-1]
    assert "\x1b" not in stream.getvalue()
    assert SECRET not in stream.getvalue()


def test_each_mount_point_has_a_log_of_its_own(tmp_path: Path) -> None:
    files = StateFiles(tmp_path)
    names = {files.mount_log(Path(path)).name for path in ("/a/rc", "/b/rc", "/", "/" + "ü" * 200)}
    assert len(names) == 4
    assert all(len(os.fsencode(name)) < 250 for name in names)
    assert files.mount_log(Path("/a/rc")).name.startswith("rc-")
