"""A SIGKILL after any system call: what the next process finds, and what a process that lives on finds."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import rcfs.store._cache_opening as opening_module
from rcfs.store import ContentCache
from tests.fakes.integrity import (
    LONG,
    disk_usage,
    key,
    put,
    small_chunks,
    value_files,
    whole,
)
from tests.fakes.traced import changes

LIMIT = 1 << 20
"""Database, log and their growth need about 0.6 MiB of it; about twelve contents of 34 KiB fit."""
PUT = range(40)


@pytest.fixture(autouse=True)
def _small_chunks() -> Iterator[None]:
    with small_chunks():
        yield


def open_cache(directory: Path, warn: Callable[[str], None] = pytest.fail) -> ContentCache:
    return ContentCache.open(directory, size_limit_bytes=LIMIT, free_floor_bytes=0, warn=warn)


class Story:
    """A process that uses a cache in every way, and says in a pipe what it has been promised."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._reading, False)
        self._text = ""

    def play(self) -> None:
        cache = open_cache(self.directory)
        for number in PUT:
            if put(cache, number):
                self._say(f"{number} ")
            if number % 5 == 0:
                whole(cache, [number - 1, number])
            if number % 7 == 3:
                put(cache, number - 1)
            if number % 11 == 10:
                self._say(f"-{number - 2} ")
                cache.drop(key(number - 2))
            if number == 25:
                self._say("x ")
                cache.clear()
        cache.close()

    def _say(self, text: str) -> None:
        os.write(self._writing, text.encode())

    def promised(self) -> set[int]:
        """Contents that must be there: the last ones that were kept, unless they were given up."""
        with suppress(BlockingIOError):
            self._text += os.read(self._reading, 4096).decode()
        recent: list[int] = []
        # A word without the space behind it was not said to its end.
        for word in self._text.split(" ")[:-1]:
            if word == "x":
                recent = []
            elif word.startswith("-"):
                recent = [number for number in recent if number != int(word[1:])]
            else:
                recent.append(int(word))
        return set(recent[-3:])

    def moments(self, copy: Path, every: int) -> Iterator[set[int]]:
        """Checks the promises each time that `copy` is the directory after another change."""
        for number, _change in enumerate(changes(self.play, self.directory)):
            if number % every == 0 or LONG:
                shutil.rmtree(copy, ignore_errors=True)
                shutil.copytree(self.directory, copy)
                yield self.promised()

    def close(self) -> None:
        os.close(self._reading)
        os.close(self._writing)


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Story]:
    (tmp_path / "story").mkdir()
    story = Story(tmp_path / "story")
    yield story
    story.close()


def test_the_next_process_finds_what_was_promised_and_no_leftover(story: Story, tmp_path: Path) -> None:
    copy, moments = tmp_path / "copy", 0
    for promised in story.moments(copy, every=37):
        assert disk_usage(copy) <= LIMIT
        cache = open_cache(copy)
        said = {number for number in PUT if cache.contains(key(number)) == "yes"}
        assert whole(cache, PUT) == said
        assert promised <= said
        rows = {entry.filename for number in PUT for entry in cache._table.present.entries(str(key(number)))}
        assert value_files(copy) == rows
        assert put(cache, 1000)
        assert whole(cache, [1000])
        assert disk_usage(copy) <= LIMIT
        cache.close()
        moments += 1
    assert moments > 30


def test_a_process_that_goes_on_keeps_the_cap(
    story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy, moments = tmp_path / "copy", 0
    # It had opened the cache before the other one was killed.
    monkeypatch.setattr(opening_module, "_reconcile", lambda _table: 0)
    for promised in story.moments(copy, every=151):
        cache = open_cache(copy)
        assert promised <= whole(cache, PUT)
        for number in range(1000, 1016):
            assert put(cache, number)
            assert disk_usage(copy) <= LIMIT
        assert whole(cache, range(1000, 1016)) > set(range(1012, 1016))
        cache.close()
        moments += 1
    assert moments > 8
