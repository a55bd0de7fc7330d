"""Processes that are killed between two of their system calls, in virtual time."""

import os
import shutil
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from tests.fakes.rig import run_inline
from tests.fakes.traced import changes

CALLS_APART = 1 if "RCFS_SOAK" in os.environ else 7
"""System calls between two at which a process is killed."""


def run_alone(main: Callable[..., Awaitable[None]], *arguments: Any) -> None:
    """Runs `main` in virtual time, without a thread."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trio.to_thread, "run_sync", run_inline)
        trio.run(main, *arguments, clock=MockClock(autojump_threshold=0))


@attrs.frozen
class Death:
    """A process that has just been killed."""

    number: int
    """Number of the system call after which it was killed."""
    words: tuple[str, ...]
    """The words that it has written into its log."""
    _state: Path

    def leave(self, directory: Path) -> Path:
        """A copy of its state directory, at `directory`."""
        return shutil.copytree(self._state, directory)


def deaths(work: Callable[[], object], state: Path, log: Path, *names: str) -> Iterator[Death]:
    """Kills the process that does `work` at each `CALLS_APART` th system call that changes certain files.

    They are those in the directory `state` whose path begins with one of `names`. `work` writes words into
    `log`; the first such call after each of them counts, too. The process runs on between the deaths, which
    only look at what it would leave; see `changes`.
    """
    log.touch()
    words: tuple[str, ...] = ()
    relevant = (each for each in changes(work, state) if each.path.startswith(names))
    for number, _change in enumerate(relevant):
        before, words = words, tuple(log.read_text().split())
        if number % CALLS_APART == 0 or words != before:
            yield Death(number, words, state)
