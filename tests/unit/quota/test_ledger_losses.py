"""The rules of `rcfs.quota._outage`, one by one: worlds in which breaking a rule causes a 429."""

import pytest

from rcfs.model import Priority
from rcfs.quota import ABSENT_S, LINGER_S, LONGEST_REQUEST_S
from rcfs.store._server_home import LEASE_S
from tests.fakes.fleet import Process
from tests.fakes.ledger_world import GROUP, Loss, World
from tests.fakes.police import Trip

LIMIT = 12
COUNTS_S = LONGEST_REQUEST_S + 60.06 + LINGER_S + 1.0
"""How long a request may count after its slot was taken, and a margin: *R* and *W* of the rules."""
ALONE_S = LEASE_S + COUNTS_S


def a_world(machines: int) -> tuple[World, list[Process]]:
    world = World(1, machines, LIMIT)
    world.fleet.travel = lambda _: Trip(0.01, 0.01)
    processes = [world.start(host, 0) for host in range(machines)]
    world.run(1.0)
    return world, processes


def wants(world: World, process: Process, count: int = LIMIT) -> None:
    world.fleet.submit(process, GROUP, Priority.METADATA, count)


def sent(world: World, process: Process) -> int:
    return sum(request.process is process for request in world.fleet.requests)


def forget(world: World, loss: Loss, versions: int) -> None:
    """Restart the server, which has lost everything, or all but this number of its versions."""
    world.server.restart(Loss.NOTHING, world.dice)
    del world.server.history[0 if loss is Loss.ALL else versions :]
    if loss is Loss.ALL:
        world.server.leases_s.clear()


@pytest.mark.parametrize("loss", [Loss.ALL, Loss.LATEST])
def test_after_a_loss_nobody_sends_before_all_were_heard(loss: Loss) -> None:
    world, (one, other) = a_world(2)
    versions = len(world.server.history)
    wants(world, one)
    world.server.alive = False  # before the other hears of it
    world.cut.add(0)
    world.run(2.0)
    forget(world, loss, versions)
    wants(world, other)
    world.run(20.0)
    assert (sent(world, one), sent(world, other)) == (LIMIT, 0)
    world.cut.clear()
    world.run(200.0)
    assert sent(world, other) == LIMIT
    assert world.police.violations == []


def test_after_a_loss_one_that_does_not_come_back_is_awaited_as_long_as_its_requests_may_count() -> None:
    world, (one, other) = a_world(2)
    wants(world, one)
    world.server.alive = False
    world.cut.add(0)
    world.run(2.0)
    forget(world, Loss.ALL, 0)
    wants(world, other)
    world.run(2.0 + COUNTS_S - 1.0)
    assert sent(world, other) == 0
    assert list(other.ledger.awaited(world.fleet.now)) == [one.owner]
    assert 0 < other.ledger.silenced_until_s(world.fleet.now) - world.fleet.now < 10.0
    world.run(2.0 + COUNTS_S + 5.0)
    assert not other.ledger.awaited(world.fleet.now)
    assert sent(world, other) == LIMIT // 2, "the rest is the share of the one that may be cut off"
    world.run(ABSENT_S + LEASE_S + 100.0)
    assert sent(world, other) == LIMIT
    assert world.police.violations == []


def test_after_a_loss_the_one_that_has_seen_most_brings_the_book() -> None:
    world, (behind, ahead) = a_world(2)
    world.cut.add(0)
    world.run(LEASE_S + 5.0)
    dies = world.start(1, 0)
    world.run(LEASE_S + 6.0)
    wants(world, dies, LIMIT // 2)
    world.run(LEASE_S + 7.0)
    assert sent(world, dies) == LIMIT // 2
    world.kill(dies)
    ahead.ledger.states(world.fleet.now)
    world.server.alive = False
    world.run(LEASE_S + 9.0)
    world.cut = {1}
    forget(world, Loss.ALL, 0)
    world.run(LEASE_S + 12.0)
    world.cut.clear()
    world.run(LEASE_S + 14.0)
    wants(world, behind)
    wants(world, ahead)
    world.run(LEASE_S + 30.0)
    assert sent(world, behind) + sent(world, ahead) == LIMIT - LIMIT // 2
    world.run(300.0)
    assert sent(world, behind) == sent(world, ahead) == LIMIT
    assert world.police.violations == []


def test_a_machine_that_was_away_leaves_the_others_what_its_own_dead_process_had() -> None:
    world, (away, apart, dies) = a_world(3)
    world.end(away)
    world.run(10.0)  # The two others share the limit from now on.
    world.cut.add(1)
    world.run(12.0)
    world.kill(dies)
    forget(world, Loss.ALL, 0)
    new = [world.start(0, 0), world.start(2, 0)]
    world.fleet.done = lambda process, _ticket: wants(world, process, 1)
    for process in (apart, *new):
        wants(world, process, 2 * LIMIT)
    world.run(ABSENT_S)
    assert all(sent(world, process) for process in (apart, new[1]))
    assert world.police.violations == []


def test_a_new_process_sends_nothing_before_the_others_have_seen_it() -> None:
    world, (one,) = a_world(1)
    world.fleet.stop(one)
    new = world.start(0, 0)
    wants(world, new)
    world.run(LEASE_S - 1.0)
    assert sent(world, new) == 0
    world.run(LEASE_S + 8.0)
    assert sent(world, new) == LIMIT // 2, "the other is silent, and has a share"


def test_a_process_that_is_cut_off_uses_its_share_when_the_others_have_left_it_long_enough() -> None:
    world, (one, other) = a_world(2)
    world.fleet.done = lambda process, _ticket: wants(world, process, 1)
    slow, fast = Trip(LONGEST_REQUEST_S - 5.0, 0.01), Trip(0.01, 0.01)
    # Requests that the others take shortly before the end of the lease arrive as late as possible.
    world.fleet.travel = lambda request: slow if request.process is other and world.fleet.now < 31.0 else fast
    world.cut.add(0)
    world.run(29.0)
    wants(world, other)
    world.run(31.0)
    assert sent(world, other) == LIMIT
    wants(world, one)
    world.run(ALONE_S - 1.0)
    assert sent(world, one) == 0
    world.run(ALONE_S + 5.0)
    assert sent(world, one) == LIMIT // 2
    world.run(ABSENT_S)
    assert sent(world, one) > 2 * LIMIT
    assert sent(world, other) > 2 * LIMIT
    world.cut.clear()
    world.run(ABSENT_S + 300.0)
    assert world.police.violations == []


def test_what_a_silent_process_had_in_flight_counts_as_long_as_it_may() -> None:
    world, (one, other) = a_world(2)
    world.fleet.travel = lambda request: Trip(70.0 if request.process is one else 0.01, 0.01)
    wants(world, one)
    world.cut.add(0)
    wants(world, other)
    world.run(COUNTS_S - 5.0)
    assert sent(world, other) == 0
    world.run(COUNTS_S + 10.0)
    assert sent(world, other) == LIMIT // 2
    assert world.police.violations == []


def test_what_the_others_had_in_flight_when_a_process_was_cut_off_ends_for_it() -> None:
    world, (one, other) = a_world(2)
    world.fleet.travel = lambda request: Trip(0.01, 1000.0 if request.process is other else 0.01)
    wants(world, other)
    world.run(2.0)
    world.cut.add(0)
    wants(world, one)
    world.run(ALONE_S + 5.0)
    assert sent(world, one) == LIMIT // 2


def test_a_command_that_the_server_executes_late_is_no_promise() -> None:
    world, (one, _other) = a_world(2)
    world.slow = 1.0
    world.run(8.0)
    promised_s = one.ledger._replica.home.promised_s
    world.slow = 0.0
    world.cut.add(0)
    world.run(60.0)
    assert world.server.leases_s[one.owner] <= promised_s == one.ledger._replica.home.promised_s
