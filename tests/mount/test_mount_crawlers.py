"""Crawlers that a user names, as real processes."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.mount.conftest import COMMAND_S, Mounting

pytestmark = pytest.mark.mount

INDEXER = "my-indexer-of-everything"
"""Longer than what the kernel keeps of it."""


@pytest.fixture
def indexer(tmp_path: Path) -> str:
    """`cat` under the name of a crawler."""
    return shutil.copy(shutil.which("cat") or "cat", str(tmp_path / INDEXER))


def read(program: str, path: Path) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run([program, str(path)], capture_output=True, check=False, timeout=COMMAND_S)


@pytest.mark.parametrize("policy", ["refuse", "lowest"])
def test_a_crawler_by_name(mounting: Mounting, indexer: str, policy: str) -> None:
    options = (f"--crawler={INDEXER}", f"--crawler-policy={policy}")
    mount = mounting("--messages=60", options=options)
    cold, other = sorted(mount.path.glob("101 */Voicemail/*/*/voicemail.*"))[:2]
    answer = read(indexer, cold)
    requests = mount.server.summary()["content_requests"]
    if policy == "lowest":
        assert (answer.returncode, requests) == (0, 1)
    else:
        assert (answer.returncode, requests) == (1, 0)
        assert b"busy" in answer.stderr
    expected = read("cat", cold).stdout
    assert expected
    assert read(indexer, cold).stdout == expected, "what is cached it always gets"
    assert mount.server.summary()["content_requests"] == 1
    assert read("cat", other).returncode == 0
