"""A mount that may open few files, as with ``ulimit -n 100``."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.mount.conftest import Mounted, mounts, run

pytestmark = pytest.mark.mount

LIMIT = 100
"""The least that rcfs accepts."""


@pytest.fixture(scope="module")
def mount(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mounted]:
    """A mount with that limit, of which everything is cached."""
    with mounts(tmp_path_factory.mktemp("few")) as make:
        mount = make(
            "--messages=240", *(f"--limit={group}=100000" for group in ("auth", "light", "medium", "heavy"))
        )
        for path in mount.attachments().values():
            path.read_bytes()
        mount.umount()
        command = [sys.executable, "-m", "rcfs", "mount", *mount.options, str(mount.path)]
        run(["prlimit", f"--nofile={LIMIT}:{LIMIT}", *command], env=mount.environment)
        yield mount


def open_files(mount: Mounted) -> int:
    return len(list(Path(f"/proc/{mount.pid}/fd").iterdir()))


def test_cached_contents_need_no_request_however_many_are_open(mount: Mounted) -> None:
    paths = list(mount.attachments().values())
    assert len(paths) > LIMIT
    mount.server.reset_journal()
    with ThreadPoolExecutor(8) as pool:
        first = list(pool.map(Path.read_bytes, paths))
    with ExitStack() as stack:
        files = [stack.enter_context(path.open("rb")) for path in paths]
        assert [file.read() for file in files] == first
        assert open_files(mount) < LIMIT
    assert mount.server.journal(operation="readMessageContent") == []


def test_a_limit_that_is_too_low_is_told_before_anything_is_fetched_again(mount: Mounted) -> None:
    mount.server.reset_journal()
    few = ["prlimit", "--nofile=64:64", sys.executable, "-m", "rcfs"]
    copies = mount.path.parent / "copies"
    for command in (
        ["mount", *mount.options, str(copies)],
        ["pull", *mount.engine_options, f"--to={copies}"],
    ):
        copies.mkdir(exist_ok=True)
        done = run([*few, *command], env=mount.environment, check=False)
        assert done.returncode == 2
        assert done.stderr.count("may open only 64 files, but rcfs needs") == 1
    assert mount.server.journal(operation="readMessageContent") == []
    # It needs no more than a database.
    assert run([*few, "search", f"--state-dir={mount.state}", "the"], env=mount.environment).stdout
