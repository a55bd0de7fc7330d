"""Claims between real processes."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rcfs.model import AttachmentKey, ContentKey
from rcfs.store import Claims

KEY = AttachmentKey("1", 2, 3, 4)
OTHER = AttachmentKey("1", 2, 3, 5)

HOLDER = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from pathlib import Path
from rcfs.model import AttachmentKey, ContentKey
from rcfs.store import Claims
claims = Claims.open(Path(sys.argv[2]))
for line in sys.stdin:
    action, key = line.split()
    print(getattr(claims, action)(ContentKey.parse(key)), flush=True)
"""


class Process:
    """Another process with claims of its own."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process

    def do(self, action: str, key: ContentKey) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(action, key, file=self.process.stdin, flush=True)
        return self.process.stdout.readline().strip()


@contextmanager
def holder(directory: Path) -> Iterator[Process]:
    command = [sys.executable, "-c", HOLDER, json.dumps(sys.path), str(directory)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Process(process)
        finally:
            process.kill()


@pytest.fixture
def claims(tmp_path: Path) -> Iterator[Claims]:
    opened = Claims.open(tmp_path)
    yield opened
    opened.close()


def test_one_process_at_a_time_has_a_claim(claims: Claims, tmp_path: Path) -> None:
    with holder(tmp_path) as other:
        assert other.do("take", KEY) == "True"
        assert not claims.take(KEY)
        assert claims.take(OTHER)
        assert other.do("take", OTHER) == "False"
        assert other.do("take", KEY) == "False", "one of its own tasks has it"
        other.do("give_back", KEY)
        assert claims.take(KEY)


def test_one_task_of_a_process_at_a_time_has_a_claim(claims: Claims) -> None:
    for what in (KEY, "some work"):
        assert claims.take(what)
        assert not claims.take(what)
        claims.give_back(what)
        assert claims.take(what)


def test_a_process_that_is_killed_has_no_claims(claims: Claims, tmp_path: Path) -> None:
    with holder(tmp_path) as other:
        assert other.do("take", KEY) == "True"
        other.process.kill()
        other.process.wait(60)
        assert claims.take(KEY)


def test_a_mark_changes_when_a_claim_is_given_back_and_only_then(claims: Claims, tmp_path: Path) -> None:
    with holder(tmp_path) as other:
        before = claims.mark(KEY)
        assert other.do("take", KEY) == "True"
        assert claims.mark(KEY) == before
        other.do("give_back", KEY)
        changed = claims.mark(KEY)
        assert changed != before
        assert claims.mark(KEY) == changed
    again = Claims.open(tmp_path)
    assert again.mark(KEY) == changed, "the next process sees it, too"
    again.close()


@pytest.mark.parametrize("umask", [0o000, 0o777])
def test_nobody_else_may_open_them_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        Claims.open(tmp_path).close()
    finally:
        os.umask(before)
    assert (tmp_path / "claims").stat().st_mode & 0o777 == 0o600


def test_where_there_can_be_no_file_everything_is_free(tmp_path: Path) -> None:
    (tmp_path / "claims").mkdir()
    for directory in (tmp_path / "missing", tmp_path):
        claims = Claims.open(directory)
        assert claims.mark(KEY) == b""
        assert claims.take(KEY)
        claims.give_back(KEY)
        claims.close()


def test_after_their_end_nothing_is_claimed(claims: Claims, tmp_path: Path) -> None:
    with holder(tmp_path) as other:
        assert claims.take(KEY)
        assert other.do("take", KEY) == "False"
        claims.close()
        assert other.do("take", KEY) == "True"
        assert claims.take(KEY), "a courtesy is no condition"
