"""Watching a mount: its metrics are its status, and a reader can be refused."""

import errno
import json
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.mount.conftest import COMMAND_S, Mounted, Mounting, eventually

pytestmark = pytest.mark.mount

READER = """
import sys
for line in sys.stdin:
    try:
        with open(line.rstrip("\\n"), "rb") as file:
            print(len(file.read()), flush=True)
    except OSError as error:
        print(-error.errno, flush=True)
"""
"""Reads the files whose paths it is told; prints the size of each, or the number of the error."""


def test_metrics_are_the_status_and_a_reader_can_be_refused(mounting: Mounting, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    file = tmp_path / "rcfs.prom"
    mounted = mounting("--messages=30", options=(f"--metrics=127.0.0.1:{port}", f"--metrics-textfile={file}"))
    contents = sorted(mounted.contents().values())[:2]
    _refuse_and_release(mounted, contents)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=COMMAND_S) as answer:
        text = answer.read().decode()
    status = json.loads((mounted.path / ".rcfs" / "status.json").read_text())
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0.0) + sample.value
    assert found["rcfs_requests_total"] == status["requests"]["sent"]
    assert found["rcfs_content_requests_total"] == status["requests"]["content"]
    assert found["rcfs_quota_used"] == sum(row["used"] for row in status["quota"])
    assert found["rcfs_cache_contents"] == status["cache"]["contents"]
    assert found["rcfs_messages"] == status["mailboxes"]["messages"]
    assert found["rcfs_read_bytes_total"] == status["traffic"]["read_bytes"] > 0
    assert found["rcfs_received_bytes_total"] == status["traffic"]["received_bytes"] > 0
    eventually(file.exists)
    mounted.umount()
    assert not file.exists()


def _refuse_and_release(mounted: Mounted, contents: list[Path]) -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", READER], stdin=pipe, stdout=pipe, text=True) as reader:

        def read(path: Path) -> int:
            assert reader.stdin is not None
            assert reader.stdout is not None
            print(path, file=reader.stdin, flush=True)
            return int(reader.stdout.readline())

        def control(action: str, pid: int = reader.pid) -> str:
            return (mounted.path / ".rcfs" / action / str(pid)).read_text()

        assert read(contents[0]) > 0
        assert "gets EBUSY until it is released" in control("refuse")
        assert [read(path) for path in contents] == [-errno.EBUSY] * 2
        assert contents[0].read_bytes(), "others may read"
        assert f"({reader.pid}) is refused" in (mounted.path / ".rcfs" / "status").read_text()
        assert "may read again" in control("release")
        assert min(map(read, contents)) > 0
        with pytest.raises(FileNotFoundError):
            control("refuse", 1)
        reader.stdin.close() if reader.stdin else None
