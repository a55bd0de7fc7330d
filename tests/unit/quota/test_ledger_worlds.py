"""Random worlds in which several machines share a ledger on a server: nothing that happens causes a 429.

``RCFS_LONG=1`` runs thousands of them, ``RCFS_WORLDS=FROM-TO`` those with these seeds.
"""

import os
from functools import partial
from random import Random

import pytest

from rcfs.model import Priority
from rcfs.quota import ABSENT_S
from tests.fakes.fleet import Request
from tests.fakes.ledger_world import GROUP, Loss, World
from tests.fakes.police import Fate, Trip

LASTS_S = ABSENT_S
LONGEST_WAY_S = 4.9
"""Longest way of a request in seconds, below the time for which the kernel may send it for a dead process."""
LONG = os.environ.get("RCFS_LONG") == "1"
FIRST, LAST = map(int, os.environ.get("RCFS_WORLDS", "0-3000" if LONG else "0-4").split("-"))


class Trouble:
    """All events of one world."""

    def __init__(self, seed: int) -> None:
        self.dice = dice = Random(seed)
        self.world = World(seed, machines=dice.choice([2, 3, 3, 4]), limit=dice.choice([3, 6, 12]))
        self.fleet = self.world.fleet
        self.fleet.travel = self._travel
        self.loss = dice.choice([*Loss, None])
        """The loss of each restart of the server; None for another one each time."""
        self.pace_s = dice.choice([5.0, 20.0, 60.0])
        for host in range(len(self.world.machines)):
            # A machine that has never used the ledger cannot know what a server has lost.
            self.fleet.at(dice.choice([0.0, 0.0, 1.0]), partial(self._start, host))
        self.fleet.at(dice.uniform(2.0, 60.0), self._next)

    def _travel(self, _request: Request) -> Trip:
        dice = self.dice
        fate = dice.choice([Fate.LOST, Fate.LATE, Fate.UNSENT, *[Fate.BARE] * 5, *[Fate.ANSWERED] * 20])
        # The sender may be killed when it has just begun.
        up_s = dice.choice([0.01, 0.01, 0.1, LONGEST_WAY_S])
        down_s = dice.choice([0.01, 0.01, 0.1, 1.0, 60.0])
        return Trip(up_s, dice.uniform(0.0, LONGEST_WAY_S - up_s) if fate is Fate.LATE else down_s, fate)

    def _start(self, host: int) -> None:
        self.world.start(host, self.dice.choice([0, 3, 40]))

    def _next(self) -> None:
        """One trouble, and the time of the next one."""
        dice, fleet = self.dice, self.fleet
        fleet.at(fleet.now + dice.expovariate(1 / self.pace_s), self._next)
        troubles = [self._server, self._burst, self._burst, self._cut, self._slow, self._kill, self._more]
        dice.choice(troubles)()

    def _server(self) -> None:
        dice, fleet, server = self.dice, self.fleet, self.world.server
        if not server.alive:
            return
        server.alive = False
        loss = self.loss or dice.choice([*Loss])
        away_s = dice.choice([0.001, 0.5, 5.0, 60.0, 300.0])
        fleet.at(fleet.now + dice.uniform(0.0, away_s), lambda: server.restart(loss, dice))

    def _burst(self) -> None:
        """One process sends all that it may at the moment when the server goes, another when it is back."""
        dice, fleet = self.dice, self.fleet
        living = [process for process in fleet.processes if process.alive]
        if len(living) < 2 or not self.world.server.alive:
            return
        one, other = dice.sample(living, 2)
        many = self.world.plans[GROUP].limit
        fleet.submit(one, GROUP, Priority.METADATA, many)
        fleet.at(fleet.now + dice.choice([0.0, 0.01, 0.03]), self._server)
        at_s = fleet.now + dice.uniform(0.0, 1.0)
        fleet.at(at_s, lambda: fleet.submit(other, GROUP, Priority.METADATA, many), other)
        if dice.random() < 0.3:
            fleet.at(fleet.now + dice.uniform(0.0, 0.05), self._kill)

    def _cut(self) -> None:
        dice, fleet, cut = self.dice, self.fleet, self.world.cut
        host = dice.randrange(len(self.world.machines))
        if host in cut:
            return
        cut.add(host)
        fleet.at(fleet.now + dice.uniform(0.0, dice.choice([2.0, 40.0, 400.0])), lambda: cut.remove(host))

    def _slow(self) -> None:
        self.world.slow = self.dice.choice([0.05, 0.5])

        def end() -> None:
            self.world.slow = 0.0

        self.fleet.at(self.fleet.now + self.dice.uniform(0.0, 20.0), end)

    def _kill(self) -> None:
        dice, fleet = self.dice, self.fleet
        host = dice.randrange(len(self.world.machines))
        living = [process for process in self.world.machines[host].processes if process.alive]
        if not living:
            return
        process = dice.choice(living)
        match dice.choice(["kill", "kill", "end", "stop"]):
            case "kill":
                self.world.kill(process)
            case "end":
                self.world.end(process)
            case _:
                fleet.stop(process)
                fleet.at(fleet.now + dice.uniform(0.0, 60.0), lambda: fleet.resume(process), process)
                return
        pause_s = dice.choice([0.0, 0.5, 10.0, 100.0])
        fleet.at(fleet.now + dice.uniform(0.0, pause_s), lambda: self._start(host))

    def _more(self) -> None:
        if living := [process for process in self.fleet.processes if process.alive]:
            self.fleet.submit(self.dice.choice(living), GROUP, Priority.BULK, self.dice.choice([1, 20]))


@pytest.mark.parametrize("seed", range(FIRST, LAST))
def test_nothing_that_happens_causes_a_429(seed: int) -> None:
    trouble = Trouble(seed)
    trouble.world.run(LASTS_S)
    assert trouble.fleet.requests or trouble.world.lines, "nothing happened"
    assert trouble.world.police.violations == []
