"""After every sync a mailbox equals the platform's, whatever happened.

It runs on the simulator, in virtual time: messages come and go, faults occur, and processes die.

``RCFS_SOAK_S=600`` sets the seconds of the long run; by default it is short.
"""

import os
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from random import Random

import pytest
import trio
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from trio.testing import MockClock

from tests.fakes.offices import run_worlds
from tests.fakes.scratch import scratch_directory
from tests.fakes.world import KINDS, Death, World, open_world

Step = Callable[[World], Awaitable[object] | None]

SOAK_S = float(os.environ.get("RCFS_SOAK_S", "1"))
DAY_S = 86_400.0

CHANGES: dict[str, Callable[[World, int, int], None]] = {
    "arrives": lambda world, at, number: world.arrive(
        world.extensions[at], KINDS[number % 4], ("Inbound", "Outbound")[number % 8 == 0]
    ),
    "is read": lambda world, at, number: world.mark(world.extensions[at], number, "Read"),
    "is unread": lambda world, at, number: world.mark(world.extensions[at], number, "Unread"),
    "is deleted": lambda world, at, number: world.delete(world.extensions[at], number),
    "is purged": lambda world, at, number: world.delete(world.extensions[at], number, purge=True),
    "is purged from the trash": lambda world, at, number: world.empty_trash(world.extensions[at], number),
    "is restored": lambda world, at, number: world.restore(world.extensions[at], number),
}
FAULTS: dict[str, dict[str, object]] = {
    "status": {"status": 503},
    "status ": {"status": 500, "operation": "syncMessages", "count": 4},
    "status  ": {"status": 502, "operation": "readMessage", "count": 4},
    "reset": {},
    "reset_body": {},
    "truncate": {},
    "stall": {"for_s": 3.0},
    "slow": {"delay_s": 20.0},
    "html": {},
    "empty": {},
    "malformed_json": {},
    "rate_limited": {"retry_after_s": 30},
    "rate_limited ": {"headers": False},
    "expired_token": {},
    "refuse": {"count": 3},
}
DELAYS_S = (0.0, 0.04, 0.06, 0.14, 0.16, 0.25, 0.45)
"""Around the times when a request is halfway, or its answer is."""
MOST_STEPS = 1500
"""More steps than the load of a mailbox takes."""
STATEMENTS = (40, 400)
"""About the number of SQL statements of a small sync, and of a load."""


def change(what: str, at: int, number: int, world: World) -> None:
    CHANGES[what](world, at, number)


def change_later(what: str, at: int, number: int, delay_s: float, world: World) -> None:
    async def wait_and_change() -> None:
        await trio.sleep(delay_s)
        CHANGES[what](world, at, number)

    world.nursery.start_soon(wait_and_change)


async def sync(which: int, at: int, world: World) -> None:
    if world.processes:
        await world.sync(world.processes[which % len(world.processes)], world.extensions[at])


async def sync_both(which: int, at: int, world: World) -> None:
    """Sync two mailboxes at the same time, in two processes or in one."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sync, which, at, world)
        nursery.start_soon(sync, which + 1, at if len(world.processes) > 1 else 1 - at, world)


def look(which: int, world: World) -> None:
    """Look into a mailbox, which may sync it as a side effect."""
    if world.processes:
        process = world.processes[which % len(world.processes)]
        process.engine.account.mailboxes.visit(world.extensions[0].id)


async def read(which: int, at: int, number: int, world: World) -> None:
    if world.processes:
        process = world.processes[which % len(world.processes)]
        await world.read(process, world.extensions[at], number)


async def start(world: World) -> None:
    if len(world.processes) < 2:
        await world.start()


def kill(which: int, steps: int, world: World) -> None:
    if world.processes:
        trio.lowlevel.add_instrument(Death(steps, world.processes[which % len(world.processes)]))


async def sync_and_kill(which: int, at: int, statements: int, world: World) -> None:
    """Kill a process while it syncs a mailbox, or soon afterwards."""
    if world.processes:
        process = world.processes[which % len(world.processes)]
        process.die_at(statements)
        await world.sync(process, world.extensions[at])


async def end(which: int, world: World) -> None:
    if world.processes:
        await world.processes[which % len(world.processes)].end()


def fault(kind: str, world: World) -> None:
    world.platform.fault(kind.strip(), **FAULTS[kind])


def mend(world: World) -> None:
    world.platform.simulator.faults.clear()


async def pass_time(seconds: float, world: World) -> None:
    await trio.sleep(seconds)


def pass_days(days: float, world: World) -> None:
    world.backend.account_clock.advance(days * DAY_S)


def set_clock(skew_s: float, world: World) -> None:
    world.skew_s = skew_s


def refuse_tokens(world: World) -> None:
    world.refuse_tokens()


def drop_caches(which: int, world: World) -> None:
    if world.processes:
        world.processes[which % len(world.processes)].kernel.drop_caches()


def rename(at: int, name: str, world: World) -> None:
    world.rename(world.extensions[at], name)


async def ask_anew(which: int, world: World) -> None:
    """Refresh the list of extensions in a process."""
    if world.processes:
        await world.refresh_account(world.processes[which % len(world.processes)])


async def play(directory: Path, steps: list[Step], page_messages: int) -> World:
    """Run `steps` in a new world, then let everything settle."""
    async with open_world(directory, page_messages=page_messages) as world:
        await start(world)
        for step in steps:
            doing = step(world)
            if doing is not None:
                await doing
        mend(world)
        world.calm_down()
        await trio.sleep(200)  # longer than any penalty or pause
        await start(world)
        for process in world.processes:
            assert await world.refresh_account(process)
            for extension in world.extensions:
                assert await world.sync(process, extension)
    return world


def run(steps: list[Step], page_messages: int) -> World:
    with scratch_directory() as directory:
        return trio.run(play, directory, steps, page_messages, clock=MockClock(autojump_threshold=0))


class SyncMachine(RuleBasedStateMachine):
    """All events, in any order; they are played at the end, because an event loop cannot outlast a rule."""

    @initialize(page_messages=st.sampled_from([3, 7, 1000]))
    def begin(self, page_messages: int) -> None:
        self.page_messages = page_messages
        self.steps: list[Step] = []

    @rule(what=st.sampled_from(sorted(CHANGES)), at=st.integers(0, 1), number=st.integers(0, 40))
    def change(self, what: str, at: int, number: int) -> None:
        self.steps.append(partial(change, what, at, number))

    @rule(
        what=st.sampled_from(sorted(CHANGES)),
        at=st.integers(0, 1),
        number=st.integers(0, 40),
        delay_s=st.sampled_from(DELAYS_S),
    )
    def change_later(self, what: str, at: int, number: int, delay_s: float) -> None:
        self.steps.append(partial(change_later, what, at, number, delay_s))

    @rule(which=st.integers(0, 1), at=st.integers(0, 1))
    def sync(self, which: int, at: int) -> None:
        self.steps.append(partial(sync, which, at))

    @rule(which=st.integers(0, 1), at=st.integers(0, 1))
    def sync_both(self, which: int, at: int) -> None:
        self.steps.append(partial(sync_both, which, at))

    @rule(which=st.integers(0, 1))
    def look(self, which: int) -> None:
        self.steps.append(partial(look, which))

    @rule(which=st.integers(0, 1), at=st.integers(0, 1), number=st.integers(0, 40))
    def read(self, which: int, at: int, number: int) -> None:
        self.steps.append(partial(read, which, at, number))

    @rule()
    def start(self) -> None:
        self.steps.append(start)

    @rule(which=st.integers(0, 1), steps=st.integers(1, MOST_STEPS))
    def kill(self, which: int, steps: int) -> None:
        self.steps.append(partial(kill, which, steps))

    @rule(
        which=st.integers(0, 1),
        at=st.integers(0, 1),
        statements=st.sampled_from(STATEMENTS).flatmap(partial(st.integers, 0)),
    )
    def sync_and_kill(self, which: int, at: int, statements: int) -> None:
        self.steps.append(partial(sync_and_kill, which, at, statements))

    @rule(which=st.integers(0, 1))
    def end(self, which: int) -> None:
        self.steps.append(partial(end, which))

    @rule(kind=st.sampled_from(sorted(FAULTS)))
    def fault(self, kind: str) -> None:
        self.steps.append(partial(fault, kind))

    @rule()
    def mend(self) -> None:
        self.steps.append(mend)

    @rule(seconds=st.sampled_from([0.05, 1.0, 6.0, 46.0, 61.0, 1000.0]))
    def pass_time(self, seconds: float) -> None:
        self.steps.append(partial(pass_time, seconds))

    @rule(days=st.sampled_from([0.2, 2.0, 5.5, 11.0]))
    def pass_days(self, days: float) -> None:
        self.steps.append(partial(pass_days, days))

    @rule(skew_s=st.sampled_from([0.0, 1.5, -1.5, 1e4, -1e4, -1e9]))
    def set_clock(self, skew_s: float) -> None:
        self.steps.append(partial(set_clock, skew_s))

    @rule()
    def refuse_tokens(self) -> None:
        self.steps.append(refuse_tokens)

    @rule(which=st.integers(0, 1))
    def drop_caches(self, which: int) -> None:
        self.steps.append(partial(drop_caches, which))

    @rule(at=st.integers(0, 1), name=st.sampled_from(["Jane Jones", "Zoë", "a/b"]))
    def rename(self, at: int, name: str) -> None:
        self.steps.append(partial(rename, at, name))

    @rule(which=st.integers(0, 1))
    def ask_anew(self, which: int) -> None:
        self.steps.append(partial(ask_anew, which))

    def teardown(self) -> None:
        if hasattr(self, "steps"):
            run(self.steps, self.page_messages)


TestSyncs = SyncMachine.TestCase
TestSyncs.settings = settings(max_examples=9, stateful_step_count=30, deadline=None)


def any_step(dice: Random) -> Step:
    which, at, number = dice.randrange(2), dice.randrange(2), dice.randrange(40)
    match dice.randrange(44):
        case 0:
            return start
        case 1:
            return partial(kill, which, dice.randint(1, MOST_STEPS))
        case 2 | 3:
            return partial(fault, dice.choice(sorted(FAULTS)))
        case 4:
            return mend
        case 5 | 6:
            return partial(pass_time, dice.choice([0.05, 1.0, 6.0, 46.0, 61.0, 1000.0]))
        case 7:
            return partial(pass_days, dice.choice([0.2, 2.0, 5.5, 11.0]))
        case 8:
            return partial(set_clock, dice.choice([0.0, 1.5, -1.5, 1e4, -1e9]))
        case 9:
            return refuse_tokens
        case 10:
            return partial(drop_caches, which)
        case 11:
            return partial(rename, at, dice.choice(["Jane Jones", "Zoë", "a/b"]))
        case 12:
            return partial(ask_anew, which)
        case 13:
            return partial(look, which)
        case 14:
            return partial(read, which, at, number)
        case 15 | 16 | 17:
            return partial(sync_both, which, at)
        case 18 | 19 | 20 | 21 | 22 | 23 | 24:
            return partial(sync, which, at)
        case 25 | 26 | 27 | 28:
            return partial(change_later, dice.choice(sorted(CHANGES)), at, number, dice.choice(DELAYS_S))
        case 29 | 30:
            return partial(sync_and_kill, which, at, dice.randint(0, dice.choice(STATEMENTS)))
        case 31:
            return partial(end, which)
        case 32:
            return start
        case _:
            return partial(change, dice.choice(sorted(CHANGES)), at, number)


@pytest.mark.timeout(SOAK_S + 300)  # a world that hangs shows where
def test_a_long_run() -> None:
    """Worlds of a hundred steps, one after the other."""
    counts: Counter[str] = Counter()

    def run_one(dice: Random) -> None:
        steps = [any_step(dice) for _ in range(100)]
        world = run(steps, dice.choice([3, 7, 1000]))
        counts.update({"mailboxes compared": world.compared, "paths in them": world.shown})

    run_worlds(run_one, SOAK_S)
    print(dict(counts))  # noqa: T201
