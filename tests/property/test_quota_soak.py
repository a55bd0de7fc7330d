"""Several processes on one ledger, against the police, with all that can go wrong: every request is judged.

``RCFS_SOAK=1000000`` sets the number of requests of the long run; by default it is short.
"""

import os
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from random import Random

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from rcfs.model import Plan, Priority, UsageGroup
from rcfs.quota import CLOCK_DRIFT
from tests.fakes.fleet import Fleet, Process, Request
from tests.fakes.ledgers import HOMES
from tests.fakes.police import Fate, Police, Trip, Verdict
from tests.fakes.scratch import scratch_directory

GROUPS = (UsageGroup("medium"), UsageGroup("heavy"))
WINDOW_S = 60.0
LONGEST_WAY_S = 4.9
"""Longest trip in seconds: below the time that the kernel may send for a request that was given up, far below
any freeze."""
RATES = (1 - CLOCK_DRIFT * 0.999, 1.0, 1 + CLOCK_DRIFT)
"""Seconds on the police's clock per second on ours."""
SOAK = int(os.environ.get("RCFS_SOAK", "5000"))


@attrs.define(eq=False)
class Trial:
    """A fleet whose every request is judged: did we cause the 429 ourselves?"""

    home: str
    directory: Path
    limits: dict[UsageGroup, int]
    dice: Random
    fixed: bool
    retry_after: bool
    rate: float
    trouble: float = 0.0
    """Fraction of the requests that fail in some way."""
    judged: int = 0
    refused: int = 0
    foreign_s: dict[UsageGroup, float] = attrs.field(factory=dict)
    """When another user last used a bucket, on the police's clock."""
    recent: dict[UsageGroup, list[tuple[float, int]]] = attrs.field(factory=dict)
    """Times of recent requests, and the limit that was believed at each."""
    fleet: Fleet = attrs.field(init=False)
    police: Police = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        plans = {group: Plan(limit, WINDOW_S) for group, limit in self.limits.items()}
        self.police = Police(plans, fixed=self.fixed, retry_after=self.retry_after)
        self.fleet = Fleet(
            HOMES[self.home](plans, self.directory),
            self.police,
            travel=self.travel,
            late=lambda: self.dice.choice([0.0, 0.001, 0.3]),
            rate=self.rate,
            judged=self.judge,
        )
        self.recent = {group: [] for group in self.limits}

    @property
    def living(self) -> list[Process]:
        return [process for process in self.fleet.processes if process.alive]

    def travel(self, _request: Request) -> Trip:
        longest_s = self.dice.choice([0.0, 0.05, 0.5, LONGEST_WAY_S])
        up_s, down_s = self.dice.uniform(0, longest_s), self.dice.choice([0.0, longest_s])
        troubled = self.dice.random() < self.trouble
        fate = self.dice.choice([*Fate]) if troubled else Fate.ANSWERED
        if fate is Fate.LATE:
            # Its whole way is as short as that of others: its process may be killed when it has just begun.
            down_s = self.dice.uniform(0, LONGEST_WAY_S - up_s)
        return Trip(up_s, down_s, fate)

    def use_foreign(self, group: UsageGroup) -> None:
        self.foreign_s[group] = self.fleet.server_s
        self.police.arrive_foreign(group, self.fleet.server_s)

    def judge(self, request: Request, verdict: Verdict) -> None:
        """Check the promise, and forget data that no longer matters."""
        self.judged += 1
        group, sent_s = request.ticket.group, request.slot.taken_s
        recent = self.recent[group]
        recent.append((sent_s, request.believed_limit))
        while recent[0][0] < self.fleet.now - WINDOW_S - 4 * LONGEST_WAY_S:
            recent.pop(0)
        self.fleet.requests.clear()
        self.police.violations.clear()
        if verdict.admitted:
            return
        self.refused += 1
        if verdict.penalty_from_s is not None:
            for heard_s, other in self.fleet.heard:
                same = other.headers.group == group and other.at_s >= verdict.penalty_from_s
                assert not same or heard_s >= sent_s, f"sent at {sent_s}, in a penalty known since {heard_s}"
            return
        limit = verdict.headers.limit
        assert limit is not None
        foreign = self.foreign_s.get(group, -2 * WINDOW_S) >= verdict.at_s - WINDOW_S
        lowered = max(believed for _sent_s, believed in recent) > limit
        assert foreign or lowered, f"a 429 of our own making at {self.fleet.now}"

    def finish(self) -> None:
        """Let everything end: no request of a living process may be lost."""
        for process in self.living:
            self.fleet.resume(process)
        self.fleet.run(float("inf"))
        for process in self.living:
            process.ledger.states(self.fleet.now)  # Reading the quota detects dead processes.
        later_s = self.fleet.now + 3 * WINDOW_S
        for process in self.living:
            assert process.ended == process.submitted
            assert [state.used for state in process.ledger.states(later_s)] == [0] * len(self.limits)


class QuotaMachine(RuleBasedStateMachine):
    """All events, in any order."""

    trial: Trial
    home = "memory"

    @initialize(
        limits=st.tuples(st.integers(1, 8), st.integers(1, 45)),
        seed=st.integers(0, 2**32),
        fixed=st.booleans(),
        retry_after=st.booleans(),
        rate=st.sampled_from(RATES),
    )
    def begin(
        self, limits: tuple[int, int], seed: int, rate: float, *, fixed: bool, retry_after: bool
    ) -> None:
        self.resources = ExitStack()
        self.trial = Trial(
            self.home,
            self.resources.enter_context(scratch_directory()),
            dict(zip(GROUPS, limits, strict=True)),
            Random(seed),
            fixed,
            retry_after,
            rate,
        )
        self.trial.fleet.start()

    @precondition(lambda self: len(self.trial.living) < 4)
    @rule()
    def start(self) -> None:
        self.trial.fleet.start()

    def process(self, number: int) -> Process:
        return self.trial.living[number % len(self.trial.living)]

    @rule(
        number=st.integers(0, 3),
        group=st.sampled_from(GROUPS),
        priority=st.sampled_from(Priority),
        count=st.sampled_from([1, 1, 3, 100]),
    )
    def submit(self, number: int, group: UsageGroup, priority: Priority, count: int) -> None:
        self.trial.fleet.submit(self.process(number), group, priority, count)

    @rule(number=st.integers(0, 3))
    def kill_and_restart(self, number: int) -> None:
        self.trial.fleet.kill(self.process(number))
        self.trial.fleet.start()

    @rule(number=st.integers(0, 3))
    def stop(self, number: int) -> None:
        self.trial.fleet.stop(self.process(number))

    @rule(number=st.integers(0, 3))
    def resume(self, number: int) -> None:
        self.trial.fleet.resume(self.process(number))

    @rule(group=st.sampled_from(GROUPS), limit=st.integers(1, 45))
    def change_limit(self, group: UsageGroup, limit: int) -> None:
        self.trial.police.set_limit(group, limit)

    @rule(group=st.sampled_from(GROUPS), count=st.integers(1, 5))
    def somebody_else(self, group: UsageGroup, count: int) -> None:
        for _ in range(count):
            self.trial.use_foreign(group)

    @rule(trouble=st.sampled_from([0.0, 0.05, 0.5]))
    def network(self, trouble: float) -> None:
        self.trial.trouble = trouble

    @rule(seconds=st.sampled_from([0.1, 1.0, 7.0, 30.0, 59.9, 60.0, 60.07, 61.0, 150.0]))
    def wait(self, seconds: float) -> None:
        self.trial.fleet.run(self.trial.fleet.now + seconds)

    def teardown(self) -> None:
        if hasattr(self, "trial"):
            self.trial.finish()
            self.trial.fleet.close()
            self.resources.close()


class SharedFileMachine(QuotaMachine):
    """The same with a file as home."""

    home = "sqlite"


class SharedServerMachine(QuotaMachine):
    """The same with a server as home."""

    home = "server"


TestInMemory = QuotaMachine.TestCase
TestInMemory.settings = settings(max_examples=20, stateful_step_count=40, deadline=None)
TestInAFile = SharedFileMachine.TestCase
TestInAFile.settings = settings(max_examples=8, stateful_step_count=25, deadline=None)

TestOnAServer = SharedServerMachine.TestCase
TestOnAServer.settings = settings(max_examples=4, stateful_step_count=25, deadline=None)


@pytest.mark.timeout(24 * 3600)  # as long as it is asked to be
@pytest.mark.parametrize(("home", "part"), [("memory", 0.96), ("sqlite", 0.02), ("server", 0.02)])
def test_a_long_run(home: str, part: float, tmp_path: Path) -> None:
    """Weeks in worlds of at most five hundred requests, each with random rules."""
    wanted = int(SOAK * part)
    sent = refused = seed = 0
    while sent < wanted:
        seed += 1
        directory = tmp_path / str(seed)
        directory.mkdir()
        trial = one_world(home, directory, seed, min(500, wanted - sent))
        sent, refused = sent + trial.judged, refused + trial.refused
    print(f"{sent:,} requests in {seed} worlds, {refused:,} of them refused, none by our own doing")  # noqa: T201


def one_world(home: str, directory: Path, seed: int, wanted: int) -> Trial:
    dice = Random(seed)
    limits = {GROUPS[0]: dice.choice([2, 40, 100, 100]), GROUPS[1]: dice.choice([10, 50])}
    trial = Trial(
        home, directory, limits, dice, dice.random() < 0.5, dice.random() < 0.5, dice.choice(RATES), 0.05
    )
    fleet = trial.fleet
    hostile = seed % 2 == 0  # other worlds have no foreign users and no changes of limits
    for _ in range(dice.choice([1, 2, 4])):
        fleet.start()
    while trial.judged < wanted:
        process, group = dice.choice(trial.living), dice.choice(GROUPS)
        match dice.randrange(40):
            case 0:
                fleet.kill(process)
                fleet.start()
            case 1:
                fleet.stop(process)
                fleet.at(fleet.now + dice.uniform(0, 100), partial(fleet.resume, process), process)
            case 2 if hostile:
                trial.police.set_limit(group, dice.choice([1, 4, 10, 40, 60]))
            case 3 if hostile:
                trial.use_foreign(group)
            case 4 | 5 | 6 | 7:
                fleet.submit(process, group, Priority.PERSON, dice.choice([1, 1, 4]))
            case _:
                if process.submitted - process.ended < 100:
                    fleet.submit(process, group, dice.choice([*Priority]), dice.choice([1, 40]))
        fleet.run(fleet.now + dice.choice([0.01, 1.0, 10.0]))
    trial.finish()
    fleet.close()
    assert hostile or trial.refused == 0
    return trial
