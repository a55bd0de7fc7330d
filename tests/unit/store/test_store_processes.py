"""Several processes that use one cache in every way, one of them killed again and again."""

import os
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from rcfs.store import ContentCache
from tests.fakes.integrity import LONG, disk_usage, key, put, small_chunks, value_files, whole

LIMIT = 2 << 20
NUMBERS = range(60)
RUN_S = 120.0 if LONG else 3.0


@pytest.fixture(autouse=True)
def _small_chunks() -> Iterator[None]:
    with small_chunks():
        yield


def open_cache(directory: Path) -> ContentCache:
    return ContentCache.open(directory, size_limit_bytes=LIMIT, free_floor_bytes=0, warn=fail)


def fail(line: str) -> None:
    # On a machine that is busy enough the lock may not be had in time.
    assert "locked by another process" in line, line


def hammer(directory: Path, seed: int) -> None:
    """Uses the cache forever; raises if it gets a wrong byte."""
    random = Random(seed)
    cache = open_cache(directory)
    while True:
        number = random.choice(NUMBERS)
        action = random.random()
        if action < 0.5:
            put(cache, number)
        elif action < 0.9:
            whole(cache, [number])
        elif action < 0.97:
            cache.drop(key(number))
        elif action < 0.98:
            cache.clear()
        else:
            cache.close()
            cache = open_cache(directory)


def forked(work: Callable[[], object]) -> int:
    """The id of a child that runs `work`, and ends with 1 when that raises."""
    with warnings.catch_warnings():
        # The idle threads of other tests are not missed in the child.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        try:
            work()
        except Exception:  # noqa: BLE001 - the child must end here
            traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    return pid


def start(directory: Path, seed: int) -> int:
    """The id of a child that hammers on the cache."""
    return forked(lambda: hammer(directory, seed))


def killed(pid: int) -> bool:
    """Whether the child had not ended by itself before it was killed now."""
    os.kill(pid, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def test_processes_and_kills_leave_every_byte_right_and_the_cap_kept(tmp_path: Path) -> None:
    random, directory = Random(5), tmp_path / "cache"
    cache = open_cache(directory)
    children = [start(directory, seed) for seed in range(3)]
    kills, most = 0, 0
    try:
        end = time.monotonic() + RUN_S
        while kills < 5 or most <= LIMIT // 2 or time.monotonic() < end:  # the cap was worth looking at
            usage = disk_usage(directory)
            assert usage <= LIMIT
            most = max(most, usage)
            if random.random() < 0.1:
                number = random.choice(NUMBERS)
                put(cache, number)
                whole(cache, [number])
            if random.random() < 0.05:
                assert killed(children.pop(0)), "it had found something wrong; see stderr"
                kills += 1
                children.append(start(directory, 100 + kills))
    finally:
        sound = [killed(child) for child in children]
    assert all(sound), "one had found something wrong; see stderr"
    whole(cache, NUMBERS)
    cache.close()
    cache = open_cache(directory)
    assert whole(cache, NUMBERS) == {number for number in NUMBERS if cache.contains(key(number)) == "yes"}
    rows = {entry.filename for number in NUMBERS for entry in cache._table.present.entries(str(key(number)))}
    assert value_files(directory) == rows
    assert put(cache, 0)
    assert disk_usage(directory) <= LIMIT
    cache.close()
