"""Collections in virtual time, with months of the call log as the kind."""

import math
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast

import pytest
import structlog
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from rcfs.errors import ForbiddenError, RcfsError, StoreError
from rcfs.mailbox._collections import Collections, Progress, State
from rcfs.mailbox._freshness import SyncPolicy
from rcfs.model import PRIOR_PLANS, Priority
from rcfs.transport import Recorder, RequestOptions

COMPANY, OWN = "calls/company/2026-11", "calls/101/2026-11"
TAKES_S = 2.0
BUSY_S, IDLE_S = 300.0, 3600.0


class Calls:
    """Months of calls that load in two seconds; each load and sync is listed in `sent`."""

    def __init__(self) -> None:
        self.stored: dict[str, tuple[State, float]] = {}
        self.sent: list[tuple[str, float]] = []
        self.classes: list[Priority] = []
        self.told: list[str] = []
        self.becomes = State.LOADED
        self.error: Exception | None = None
        self.index_fails = False

    def label(self, collection_id: str) -> str:
        return f"call log {collection_id}"

    def recall(self, collection_id: str) -> tuple[State, float]:
        if self.index_fails:
            raise StoreError("no index")
        return self.stored.get(collection_id, (State.UNKNOWN, math.inf))

    def policy(self, collection_id: str) -> SyncPolicy:
        return SyncPolicy(BUSY_S, IDLE_S)

    async def update(self, collection_id: str, progress: Progress, options: RequestOptions) -> State:
        self.sent.append((collection_id, trio.current_time()))
        progress.begin(trio.current_time())
        await trio.sleep(TAKES_S)
        self.classes.append(options.priority)
        if self.error is not None:
            raise self.error
        return self.becomes

    def absence(self, collection_id: str) -> str:
        return "nobody has it"

    def on_changed(self, collection_id: str) -> None:
        self.told.append(collection_id)


@pytest.fixture
def kind() -> Calls:
    """The only kind."""
    return Calls()


@pytest.fixture
def recorder() -> Recorder:
    """Keeps what went wrong."""
    return Recorder(structlog.testing.CapturingLogger())


@pytest.fixture
async def collections(kind: Calls, recorder: Recorder, nursery: trio.Nursery) -> Collections:
    """Collections with a network that is always there."""
    network = SimpleNamespace(is_down=False, wait_up=trio.lowlevel.checkpoint)
    collections = Collections(cast("Any", network), recorder, nursery, PRIOR_PLANS.__getitem__)
    collections.add("calls", kind)
    return collections


async def test_simultaneous_callers_share_one_load(
    collections: Collections, kind: Calls, autojump_clock: MockClock
) -> None:
    assert collections.state(COMPANY) is State.UNKNOWN
    async with trio.open_nursery() as nursery:
        nursery.start_soon(collections.refresh, COMPANY, Priority.BULK)
        await wait_all_tasks_blocked()
        for _ in range(9):
            nursery.start_soon(collections.refresh, COMPANY)
        nursery.start_soon(collections.refresh, OWN)
        await wait_all_tasks_blocked()
        assert collections.state(COMPANY) is State.LOADING
        assert {each for each, progress in collections.loads("calls") if progress.is_load} == {COMPANY, OWN}
    assert kind.sent == [(COMPANY, 0.0), (OWN, 0.0)], "one each, at the same time"
    assert kind.classes == [Priority.PERSON, Priority.PERSON], "as urgent as the most urgent"
    assert (collections.state(COMPANY), collections.loads("calls")) == (State.LOADED, [])
    assert sorted(kind.told) == sorted([COMPANY, OWN])
    await collections.refresh(COMPANY)
    assert len(kind.told) == 2, "it is told once"


async def test_a_caller_that_gives_up_does_not_stop_the_load(
    collections: Collections, kind: Calls, autojump_clock: MockClock
) -> None:
    with trio.move_on_after(TAKES_S / 2):
        await collections.refresh(COMPANY)
    await trio.sleep(TAKES_S)
    assert (collections.state(COMPANY), len(kind.sent)) == (State.LOADED, 1)


async def test_a_refusal_is_remembered_for_a_minute(
    collections: Collections, kind: Calls, autojump_clock: MockClock
) -> None:
    kind.error = ForbiddenError("not yours", code="CMN-408")
    for _ in range(3):
        with pytest.raises(ForbiddenError, match="not yours"):
            await collections.refresh(COMPANY)
    assert (len(kind.sent), collections.state(COMPANY)) == (1, State.REFUSED)
    kind.error = None
    await collections.refresh(OWN)  # Nobody else's.
    await trio.sleep(60.0)
    assert collections.state(COMPANY) is State.UNKNOWN
    await collections.refresh(COMPANY)
    assert collections.state(COMPANY) is State.LOADED


async def test_an_error_affects_only_its_collection(
    collections: Collections, kind: Calls, recorder: Recorder, autojump_clock: MockClock
) -> None:
    kind.error = ValueError("a fault of ours")
    with pytest.raises(RcfsError, match=f"error while rcfs loaded the call log {COMPANY}"):
        await collections.refresh(COMPANY)
    kind.error, kind.index_fails = None, True
    assert collections.state(OWN) is State.UNKNOWN
    assert [fault.event for fault in recorder.faults] == ["calls", "calls"]
    await collections.refresh(COMPANY)
    assert collections.state(COMPANY) is State.LOADED


async def test_the_policy_of_a_kind_sets_the_intervals(
    collections: Collections, kind: Calls, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    kind.stored = {COMPANY: (State.LOADED, 0.0), OWN: (State.LOADED, 0.0)}
    collections.keep("calls", [COMPANY])
    nursery.start_soon(collections.run)
    for _ in range(60):  # Somebody looks every ten seconds.
        collections.visit(COMPANY)
        await trio.sleep(10.0)
    assert kind.sent == [(COMPANY, 300.0)]
    await trio.sleep(86_400.0)
    begun_s = [at_s for _each, at_s in kind.sent]
    assert all(one + BUSY_S <= other for one, other in pairwise(begun_s))
    assert begun_s[-1] - begun_s[-2] == IDLE_S
    assert {each for each, _at_s in kind.sent} == {COMPANY}, "the other is not kept current"
    sent = len(kind.sent)
    collections.listen(frozenset([COMPANY]))
    collections.hint(COMPANY)
    await trio.sleep(1.0)
    assert len(kind.sent) == sent + 1, "a hint syncs at once"


async def test_a_loaded_collection_that_is_refused_is_a_fault_and_an_unknown_one_is_none(
    collections: Collections,
    kind: Calls,
    recorder: Recorder,
    nursery: trio.Nursery,
    autojump_clock: MockClock,
) -> None:
    kind.error = ForbiddenError("no longer yours", code="CMN-408")
    with pytest.raises(ForbiddenError):
        await collections.refresh(OWN, Priority.CRAWLER)
    assert [fault.event for fault in recorder.faults] == []
    kind.stored = {COMPANY: (State.LOADED, IDLE_S)}
    collections.keep("calls", [COMPANY])
    nursery.start_soon(collections.run)
    await trio.sleep(TAKES_S * 2)
    assert kind.classes[1:] == [Priority.CRAWLER]
    assert [fault.event for fault in recorder.faults] == ["calls"]


async def test_a_visit_has_the_class_of_its_program(
    collections: Collections, kind: Calls, autojump_clock: MockClock
) -> None:
    kind.stored = {COMPANY: (State.LOADED, IDLE_S), OWN: (State.LOADED, IDLE_S)}
    collections.visit(COMPANY, Priority.BULK)
    collections.visit(OWN)
    await trio.sleep(TAKES_S * 2)
    assert sorted(kind.classes) == [Priority.METADATA, Priority.BULK]


async def test_an_absent_collection_is_never_asked_for_again(
    collections: Collections, kind: Calls, autojump_clock: MockClock
) -> None:
    kind.becomes = State.ABSENT
    await collections.refresh(COMPANY)
    assert (collections.state(COMPANY), kind.told) == (State.ABSENT, [COMPANY])
    collections.visit(COMPANY)
    await collections.refresh(COMPANY)
    kind.stored = {OWN: (State.ABSENT, math.inf)}
    await collections.refresh(OWN)
    assert len(kind.sent) == 1


async def test_a_forgotten_collection_is_loaded_again(
    collections: Collections, kind: Calls, autojump_clock: MockClock
) -> None:
    kind.stored = {COMPANY: (State.LOADED, 0.0), OWN: (State.LOADED, 0.0)}
    collections.keep("calls", [COMPANY, OWN])
    assert collections.loaded("calls") == {COMPANY, OWN}
    del kind.stored[COMPANY]
    collections.recall()
    assert collections.loaded("calls") == {OWN}
    await collections.refresh(COMPANY)
    assert collections.loaded("calls") == {COMPANY, OWN}
    assert kind.told == [COMPANY]


async def test_refreshing_all_syncs_the_others_when_one_fails(
    collections: Collections, kind: Calls, autojump_clock: MockClock
) -> None:
    kind.stored = {COMPANY: (State.LOADED, 0.0), OWN: (State.LOADED, 0.0)}
    collections.keep("calls", [COMPANY, OWN])
    assert await collections.refresh_all() == 2
    kind.error = ForbiddenError("not yours", code="CMN-408")
    with pytest.raises(ForbiddenError):
        await collections.refresh_all()
    assert sorted(each for each, _at_s in kind.sent) == sorted([COMPANY, OWN] * 2)
    assert collections.loaded("calls") == {COMPANY, OWN}, "what is known stays"
