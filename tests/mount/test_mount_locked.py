"""Databases that another process holds locked: whoever looks at the mount does not notice."""

import errno
import os
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

import pytest

from tests.mount.conftest import COMMAND_S, Mounted, mounts

pytestmark = pytest.mark.mount

LIVE = ("status", "status.json", "quota", "queue", "errors", "log")
SLOW_S = 0.05
"""A look that takes longer has waited for a lock, or for a turn on a machine with other work."""
TRIES = 10
"""A look is delayed by a lock if it is slow each time: the lock lasts as long as all looks."""
MAKERS = 20
TOGETHER_S = 35.0
"""Longest time that all makers wait for one lock of the kernel: one wait of two seconds, and not one for
each, which would be 40."""
DATABASES = ("mailboxes", "ledger", "sizes", "history", "archive", "cache")


@pytest.fixture(scope="module")
def mount(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mounted]:
    """A mount of which everything is known and cached; what was purged is kept."""
    with mounts(tmp_path_factory.mktemp("locked")) as make:
        mount = make(
            "--messages=60",
            "--calls-per-day=1",
            "--call-days=1",
            *(f"--limit={group}=100000" for group in ("auth", "light", "medium", "heavy")),
            options=("--keep-purged",),
        )
        for path in everything(mount):
            if path.is_file() and not path.is_symlink():
                path.read_bytes()
        yield mount


def everything(mount: Mounted) -> list[Path]:
    return [
        Path(folder, name)
        for folder, directories, files in os.walk(mount.path)
        if ".rcfs" not in Path(folder).parts
        for name in (*directories, *files)
    ]


def database(mount: Mounted, name: str) -> Path:
    found = {path.stem: path for path in (*mount.state.rglob("*.sqlite"), *mount.cache.rglob("cache.db"))}
    return found[name]


def looks(mount: Mounted) -> list[Callable[[], object]]:
    """All that a person may look at, as questions."""
    paths = everything(mount)
    files = [path for path in paths if path.is_file() and not path.is_symlink()]
    texts = [path for path in files if path.name == "conversation.txt"]
    assert texts
    found: list[Callable[[], object]] = [lambda: os.statvfs(mount.path)]
    found += [(mount.path / ".rcfs" / name).read_bytes for name in LIVE * 5]
    found += [path.read_bytes for path in (*texts, *files)]
    found += [path.lstat for path in paths]
    found += [partial(os.listdir, path) for path in paths if path.is_dir()]
    found += [partial(os.getxattr, path, "user.rcfs.cached") for path in files[:100] if path.suffix]
    return found


def is_slow(look: Callable[[], object]) -> bool:
    started_s = time.monotonic()
    try:
        look()
    except OSError as exc:
        # The file has no such attribute, or the login may not read the mailbox.
        assert exc.errno in (errno.ENODATA, errno.EACCES)  # noqa: PT017
    return time.monotonic() - started_s > SLOW_S


@pytest.mark.parametrize("name", DATABASES)
def test_a_lock_of_another_process_delays_no_reader(mount: Mounted, name: str) -> None:
    questions = looks(mount)
    with closing(sqlite3.connect(database(mount, name), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        delayed = sum(all(is_slow(question) for _try in range(TRIES)) for question in questions)
        other.execute("ROLLBACK")
    assert delayed <= len(questions) * 0.01


def test_a_mount_begins_while_everything_is_locked(mount: Mounted) -> None:
    mount.umount()
    with ExitStack() as stack:
        for name in DATABASES:
            other = stack.enter_context(closing(sqlite3.connect(database(mount, name), isolation_level=None)))
            other.execute("BEGIN IMMEDIATE")
        mount.mount()
        assert "adds none" not in (mount.path / ".rcfs" / "errors").read_text()
        assert "cannot be kept" not in (mount.path / ".rcfs" / "errors").read_text()


def test_many_callers_that_make_searches_wait_together_and_not_in_turn(mount: Mounted) -> None:
    # The kernel lets one at a time change a directory; no signal reaches those who wait for their turn.
    with closing(sqlite3.connect(database(mount, "mailboxes"), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        started_s = time.monotonic()
        makers = [subprocess.Popen(["mkdir", mount.path / "Search" / f"roof {n}"]) for n in range(MAKERS)]
        for maker in makers:
            maker.wait(COMMAND_S)
        took_s = time.monotonic() - started_s
        other.execute("ROLLBACK")
    assert took_s < TOGETHER_S
