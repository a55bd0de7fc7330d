"""Hundreds of loaded collections: their syncs leave the quota to people, loads and pulls.

The account is a third of one with a thousand mailboxes, and so are the limits.
"""

from collections.abc import AsyncIterator
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast

import attrs
import pytest
import structlog
import trio

from rcfs.mailbox._collections import Collections, Progress, State
from rcfs.mailbox._freshness import SyncPolicy
from rcfs.model import HEAVY, LIGHT, Plan, Priority
from rcfs.quota import Ledger, MemoryHome
from rcfs.transport import Gate, Recorder, RequestOptions

IDS = [f"mailbox/{number}" for number in range(334)]
PLANS = {LIGHT: Plan(16), HEAVY: Plan(3)}
HOUR_S = 3600.0
LATENCY_S = 0.1
MAILBOXES = SyncPolicy()
CALLS = SyncPolicy(300.0, HOUR_S, burst=0, group=HEAVY)
"""The logs of extensions, where the login may not read the company's."""


@attrs.define
class Kind:
    """Loaded collections whose sync is one request."""

    gate: Gate
    sync_policy: SyncPolicy = MAILBOXES
    age_s: float = 10 * HOUR_S
    """Time since the last sync of each at the start."""
    synced: list[tuple[str, float]] = attrs.field(factory=list)
    """(Collection, time of the answer) of each sync."""

    def label(self, collection_id: str) -> str:
        return collection_id

    def policy(self, _collection_id: str) -> SyncPolicy:
        return self.sync_policy

    def recall(self, _collection_id: str) -> tuple[State, float]:
        return State.LOADED, self.age_s

    async def update(self, collection_id: str, _progress: Progress, options: RequestOptions) -> State:
        await self.send(options)
        self.synced.append((collection_id, trio.current_time()))
        return State.LOADED

    def absence(self, _collection_id: str) -> str:
        raise NotImplementedError

    def on_changed(self, _collection_id: str) -> None:
        raise NotImplementedError

    async def send(self, options: RequestOptions) -> None:
        group = self.sync_policy.group
        async with self.gate.slot("", group, options) as slot:
            await trio.sleep(LATENCY_S)
            slot.answered(200, None, None)

    async def send_for(self, time_s: float, priority: Priority) -> int:
        """Sends one request after the other; returns how many were answered."""
        count = 0
        with trio.move_on_after(time_s):
            while True:
                await self.send(RequestOptions(priority))
                count += 1
        return count


@attrs.frozen
class Account:
    """The collections, which `start` keeps current."""

    collections: Collections
    kind: Kind
    nursery: trio.Nursery

    def start(self, policy: SyncPolicy = MAILBOXES, age_s: float = 10 * HOUR_S) -> None:
        self.kind.sync_policy, self.kind.age_s = policy, age_s
        self.collections.keep("mailbox", IDS)
        self.nursery.start_soon(self.collections.run)


@pytest.fixture
async def account() -> AsyncIterator[Account]:
    """An account that does nothing yet, with a network that is always there."""
    recorder = Recorder(structlog.testing.CapturingLogger())
    gate = Gate(Ledger(MemoryHome(PLANS)), recorder)
    network = SimpleNamespace(is_down=False, wait_up=trio.lowlevel.checkpoint)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(gate.run)
        collections = Collections(cast("Any", network), recorder, nursery, gate.plan)
        kind = Kind(gate)
        collections.add("mailbox", kind)
        yield Account(collections, kind, nursery)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("policy", "age_s"), [(MAILBOXES, 10 * HOUR_S), (CALLS, 0.0)])
async def test_loads_in_the_background_get_three_quarters_of_the_limit_and_pulls_all(
    account: Account, policy: SyncPolicy, age_s: float
) -> None:
    account.start(policy, age_s)
    await trio.sleep(policy.idle_poll_s)
    whole = HOUR_S / 60 * PLANS[policy.group].limit
    assert await account.kind.send_for(HOUR_S, Priority.CRAWLER) >= 0.7 * whole
    assert 0.2 * whole <= len([at_s for _id, at_s in account.kind.synced if at_s >= policy.idle_poll_s])
    assert await account.kind.send_for(HOUR_S / 4, Priority.BULK) >= 0.9 * whole / 4


async def test_each_mailbox_gets_its_turn_after_the_same_time(account: Account) -> None:
    account.start()
    await trio.sleep(3 * HOUR_S)
    times: dict[str, list[float]] = {each: [] for each in IDS}
    for collection_id, at_s in account.kind.synced:
        times[collection_id].append(at_s)
    round_s = len(IDS) / (PLANS[LIGHT].limit / 4) * 60
    assert max(found[0] for found in times.values()) < round_s
    gaps = [later - earlier for found in times.values() for earlier, later in pairwise(found)]
    assert max(gaps) < 1.2 * round_s


async def test_a_visit_is_synced_at_once_while_hundreds_wait(account: Account) -> None:
    account.start()
    await trio.sleep(1)
    synced, gate = account.kind.synced, account.kind.gate
    queued = [gate.options(each.ticket) for state in gate.queue() for each in state.expected]
    waiting = [options.label for options in queued if options]
    for _visit in range(10):
        # First those whose syncs wait for a slot; it must not be one that time alone has synced meanwhile.
        collection_id = next(each for each in [*waiting, *IDS] if each not in dict(synced))
        begun_s = trio.current_time()
        account.collections.visit(collection_id)
        await trio.sleep(0.5)
        assert collection_id in [each for each, at_s in synced if at_s > begun_s]
        await trio.sleep(100)
        found = [each for each, at_s in synced if each == collection_id and at_s > begun_s]
        assert len(found) == 2, "and again while the person may look"


async def test_hints_of_all_mailboxes_leave_room_for_loads_and_are_never_lost(account: Account) -> None:
    account.start(age_s=0.0)

    async def hint() -> None:
        while True:
            for collection_id in IDS:
                account.collections.hint(collection_id)
            await trio.sleep(60)

    account.nursery.start_soon(hint)
    assert await account.kind.send_for(HOUR_S, Priority.CRAWLER) >= 0.2 * 60 * PLANS[LIGHT].limit
    assert {each for each, _at_s in account.kind.synced} == set(IDS)


async def test_a_hint_is_followed_at_once_while_hundreds_are_in_doubt(account: Account) -> None:
    account.start(age_s=0.0)
    for collection_id in IDS:
        account.collections.doubt(collection_id)
    await trio.sleep(120)
    begun_s = trio.current_time()
    account.collections.hint(IDS[7])
    await trio.sleep(5)
    assert [at_s - begun_s < 5 for each, at_s in account.kind.synced if each == IDS[7]][-1]
    assert len(account.kind.synced) < 30
