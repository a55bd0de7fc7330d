"""Random worlds in which several people use an account at once, and their processes die, in virtual time."""

import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Generic, TypeVar

import attrs
import pytest
import trio
from hypothesis import strategies as st
from trio.testing import MockClock

from tests.fakes import mortal
from tests.fakes.processes import People
from tests.fakes.rig import run_inline

P = TypeVar("P")
OfficeT = TypeVar("OfficeT", bound="Office[Any]")

WHICH = st.integers(0, 1)
"""Somebody, by any number."""


@attrs.define(eq=False)
class Office(Generic[P]):
    """The people, and what they expect."""

    people: People[P]

    async def settle(self) -> None:
        """Let everything come to its end, and check it."""
        self.people.calls.platform.simulator.faults.clear()
        for person in self.people.alive:
            person.kill()
        await trio.sleep(120)  # longer than any answer or request is late, and than any penalty
        await self.check()

    async def check(self) -> None:
        """Check, in a new process, that all is as it should be."""
        raise NotImplementedError


# Steps


async def kill(which: int, office: Office[Any]) -> None:
    """A process is killed."""
    person = office.people.some(which)
    if person is not None:
        person.kill()
    await trio.lowlevel.checkpoint()


async def start(office: Office[Any]) -> None:
    """Somebody starts a process; two are enough."""
    if len(office.people.alive) < 2:
        await office.people.start()


async def cut(which: int, office: Office[Any]) -> None:  # noqa: ASYNC124 - as all steps
    """The network goes or comes back."""
    person = office.people.some(which)
    if person is not None:
        person.line.is_cut = not person.line.is_cut


async def pass_time(seconds: float, office: Office[Any]) -> None:
    """Nobody does anything."""
    await trio.sleep(seconds)


STEPS: st.SearchStrategy[Callable[[Office[Any]], Awaitable[None]]] = st.one_of(
    st.builds(partial, st.just(kill), WHICH), st.just(start), st.builds(partial, st.just(cut), WHICH)
)
"""The steps of all offices."""


def run(
    open_office: Callable[[Path], AbstractAsyncContextManager[OfficeT]],
    steps: Sequence[Callable[[OfficeT], Awaitable[None]]],
) -> None:
    """Play `steps` in a new office in an empty directory, with one process at first, and check its end."""

    async def play(directory: Path) -> None:
        async with open_office(directory) as office:
            await office.people.start()
            for step in steps:
                await step(office)
            await office.settle()
            office.people.nursery.cancel_scope.cancel()

    with TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        patch.setattr(trio.to_thread, "run_sync", run_inline)
        mortal.install(patch)
        trio.run(play, Path(directory), clock=MockClock(autojump_threshold=0))


def run_worlds(run_one: Callable[[Random], None], lasts_s: float, first: int = 1) -> None:
    """Run one world after the other for `lasts_s` seconds; the first one has the seed `first`."""
    seed, ends_s = first, time.monotonic() + lasts_s
    while time.monotonic() < ends_s:
        try:
            run_one(Random(seed))
        except BaseException as exc:
            exc.add_note(f"in the world with the seed {seed}")
            raise
        seed += 1
    print(f"worlds {first:,} to {seed - 1:,}")  # noqa: T201
