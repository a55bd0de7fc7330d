from contextlib import suppress
from random import Random

import pytest
import structlog
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from rcfs.errors import ServerError, UnreachableError
from rcfs.model import LONGEST_S, Plan, Priority, RateHeaders, UsageGroup
from rcfs.quota import CLOCK_DRIFT, FREEZE_MARGIN_S, LINGER_S, Ledger, MemoryHome
from rcfs.transport import AbandonedError, Gate, Recorder, RequestOptions, RequestSlot, backoff_s
from rcfs.transport._gate import Waiter

GROUP = UsageGroup("medium")
OTHER = UsageGroup("light")
WINDOW_S = 10 * (1 - CLOCK_DRIFT)
"""So that a slot is held for 10 s."""

PERSON, BULK = Priority.PERSON, Priority.BULK


@pytest.fixture
def recorder() -> Recorder:
    """Counts the requests of the gate."""
    return Recorder(structlog.testing.CapturingLogger())


@pytest.fixture
async def gate(nursery: trio.Nursery, recorder: Recorder) -> Gate:
    """A gate that admits two requests of each group in ten seconds."""
    gate = Gate(Ledger(MemoryHome({GROUP: Plan(2, WINDOW_S), OTHER: Plan(2, WINDOW_S)})), recorder)
    nursery.start_soon(gate.run)
    return gate


async def hold(
    gate: Gate, options: RequestOptions | None = None, *, group: UsageGroup = GROUP
) -> RequestSlot:
    """A slot that the test must end; for a person without `options`."""
    return await gate.slot("read", group, options or RequestOptions(PERSON)).__aenter__()


async def leave(slot: RequestSlot) -> None:
    """Ends the slot's block without a report about the request."""
    await slot.__aexit__(None, None, None)


def used(gate: Gate) -> int:
    return next(state.used for state in gate.states() if state.group == GROUP)


def waiting(gate: Gate) -> dict[Priority, int]:
    return {state.priority: state.waiting for state in gate.queue()}


@pytest.fixture
async def other_gate(nursery: trio.Nursery, recorder: Recorder) -> Gate:
    """A second gate with a budget of its own, of which nothing is left for nine seconds."""
    other = Gate(Ledger(MemoryHome({GROUP: Plan(1, 9 * (1 - CLOCK_DRIFT))})), recorder)
    nursery.start_soon(other.run)
    (await hold(other)).answered(200, None, None)
    return other


async def exhaust(gate: Gate) -> None:
    for _ in range(2):
        (await hold(gate)).answered(200, None, None)


async def test_without_a_free_slot_a_request_waits_for_the_window(
    autojump_clock: MockClock, gate: Gate
) -> None:
    await exhaust(gate)
    slot = await hold(gate)
    assert trio.current_time() == pytest.approx(10.0)
    slot.answered(200, None, None)
    assert used(gate) == 1


async def test_the_slot_of_a_request_that_was_never_sent_goes_to_the_next(
    autojump_clock: MockClock, gate: Gate
) -> None:
    first = await hold(gate)
    await hold(gate)
    got: list[float] = []

    async def take() -> None:
        await hold(gate)
        got.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take)
        await trio.sleep(3)
        first.unsent()
    assert got == [3.0]
    assert used(gate) == 2


@pytest.mark.parametrize(("failing", "held_s"), [(True, LINGER_S + 10), (False, 10)])
async def test_an_answered_and_a_lost_request_count_for_a_window(
    autojump_clock: MockClock, gate: Gate, failing: bool, held_s: float
) -> None:
    slot = await hold(gate)
    await trio.sleep(4)
    await leave(slot) if failing else slot.answered(200, None, None)
    await trio.sleep(held_s - 0.1)
    assert used(gate) == 1
    await trio.sleep(0.2)
    assert used(gate) == 0


async def test_a_refusal_freezes_its_group_and_no_other(autojump_clock: MockClock, gate: Gate) -> None:
    (await hold(gate)).answered(429, RateHeaders(GROUP), 30.0)
    (await hold(gate, group=OTHER)).answered(200, None, None)
    assert trio.current_time() == 0.0
    await hold(gate)
    assert trio.current_time() == pytest.approx(30.0 + FREEZE_MARGIN_S)


async def test_a_new_limit_is_used_at_once(autojump_clock: MockClock, gate: Gate) -> None:
    await hold(gate)
    slot = await hold(gate)
    got: list[RequestSlot] = []

    async def take() -> None:
        got.append(await hold(gate))

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(take)
        await wait_all_tasks_blocked()
        assert got == []
        slot.answered(200, RateHeaders(GROUP, limit=5), None)
        await wait_all_tasks_blocked()
        assert len(got) == 3
    assert trio.current_time() == 0.0


async def test_a_request_that_is_cancelled_while_it_waits_leaves_no_trace(
    autojump_clock: MockClock, gate: Gate
) -> None:
    await exhaust(gate)
    options = RequestOptions(PERSON)
    with trio.move_on_after(1) as scope:
        await hold(gate, options)
    assert scope.cancelled_caught
    assert gate.queue() == ()
    assert used(gate) == 2
    assert not options.abandon()
    await trio.sleep(10)
    assert used(gate) == 0


async def test_a_request_that_is_cancelled_as_it_is_admitted_gives_the_slot_back(
    autojump_clock: MockClock, gate: Gate
) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        await hold(gate)
    assert scope.cancelled_caught
    assert used(gate) == 0
    await exhaust(gate)
    assert trio.current_time() == 0.0


async def test_a_request_that_is_cancelled_makes_room_for_the_next(
    autojump_clock: MockClock, gate: Gate
) -> None:
    """When the head of the queue leaves, the next request is considered."""
    await exhaust(gate)
    order: list[str] = []

    async def take(name: str, within_s: float) -> None:
        with trio.move_on_after(within_s):
            await hold(gate)
            order.append(name)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take, "first", 5)
        await wait_all_tasks_blocked()
        nursery.start_soon(take, "second", 50)
    assert order == ["second"]
    assert trio.current_time() == pytest.approx(10.0)


async def test_an_abandoned_request_leaves_the_queue_with_an_error(
    autojump_clock: MockClock, gate: Gate
) -> None:
    await exhaust(gate)
    options = RequestOptions(BULK)
    async with trio.open_nursery() as nursery:
        errors: list[AbandonedError] = []

        async def take() -> None:
            try:
                await hold(gate, options)
            except AbandonedError as exc:
                errors.append(exc)

        nursery.start_soon(take)
        await wait_all_tasks_blocked()
        assert waiting(gate) == {BULK: 1}
        assert options.abandon()
        assert not options.abandon()
        assert gate.queue() == ()
    assert len(errors) == 1
    assert trio.current_time() == 0.0
    assert used(gate) == 2


async def test_a_request_that_does_not_wait_cannot_be_abandoned(
    autojump_clock: MockClock, gate: Gate
) -> None:
    options = RequestOptions(PERSON)
    assert not options.abandon()
    slot = await hold(gate, options)
    assert not options.abandon()
    slot.answered(200, None, None)
    assert used(gate) == 1


async def test_a_request_that_was_just_admitted_is_not_abandoned(
    autojump_clock: MockClock, gate: Gate
) -> None:
    first = await hold(gate)
    await hold(gate)
    options = RequestOptions(PERSON)
    got: list[RequestSlot] = []

    async def take() -> None:
        got.append(await hold(gate, options))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take)
        await wait_all_tasks_blocked()
        first.unsent()
        assert not options.abandon()
    assert len(got) == 1
    assert used(gate) == 2


async def test_a_raised_request_overtakes_the_others(autojump_clock: MockClock, gate: Gate) -> None:
    await exhaust(gate)
    demands = [RequestOptions(BULK) for _ in range(3)]
    order: list[int] = []

    async def take(number: int) -> None:
        slot = await hold(gate, demands[number])
        order.append(number)
        await trio.sleep(1)
        slot.answered(200, None, None)

    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(take, number)
            await wait_all_tasks_blocked()
        demands[2].raise_to(PERSON)
        demands[2].raise_to(BULK)
        assert demands[2].priority is PERSON
        assert waiting(gate) == {PERSON: 1, BULK: 2}
    assert order == [2, 0, 1]


async def test_options_that_are_raised_between_two_requests_keep_their_class(
    autojump_clock: MockClock, gate: Gate
) -> None:
    await exhaust(gate)
    options = RequestOptions(BULK)
    options.raise_to(PERSON)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hold, gate, options)
        await wait_all_tasks_blocked()
        assert waiting(gate) == {PERSON: 1}


async def test_many_requests_that_come_and_go_leak_nothing(autojump_clock: MockClock, gate: Gate) -> None:
    dice = Random(7)
    taken: list[float] = []

    async def visit() -> None:
        options = RequestOptions(dice.choice([PERSON, BULK]))
        await trio.sleep(dice.uniform(0, 60))
        with trio.move_on_after(dice.uniform(0, 60)):
            async with gate.slot("read", GROUP, options) as slot:
                taken.append(trio.current_time())
                try:
                    await trio.sleep(dice.uniform(0, 2))
                finally:
                    match dice.randrange(3):
                        case 0:
                            slot.unsent()
                        case 1:
                            slot.answered(200, None, None)

    async with trio.open_nursery() as nursery:
        for _ in range(200):
            nursery.start_soon(visit)
    assert len(taken) > 5
    assert gate.queue() == ()
    await trio.sleep(LINGER_S + 11)
    assert used(gate) == 0
    begun_s = trio.current_time()
    await exhaust(gate)
    assert trio.current_time() == begun_s


async def test_unreasonable_numbers_of_the_server_are_logged_once_an_hour(
    autojump_clock: MockClock, nursery: trio.Nursery, recorder: Recorder
) -> None:
    gate = Gate(Ledger(MemoryHome({GROUP: Plan(50, WINDOW_S)})), recorder)
    nursery.start_soon(gate.run)
    headers = RateHeaders(GROUP, limit=10**18, window_s=31_536_000.0)
    for _ in range(3):
        (await hold(gate)).answered(200, headers, None)
    slot = await hold(gate)
    slot.answered(429, headers, 31_536_000.0)
    lines = [fault.detail for fault in recorder.faults]
    assert len(lines) == 3
    assert all("31536000" in line or "1000000000000000000" in line for line in lines)
    await trio.sleep(LONGEST_S)
    (await hold(gate)).answered(429, headers, 3601.0)
    assert len(recorder.faults) == 6
    (await hold(gate)).answered(429, RateHeaders(GROUP, limit=40, window_s=60.0), 60.0)
    assert len(recorder.faults) == 6


async def test_a_block_that_reports_nothing_counts_as_sent(
    autojump_clock: MockClock, gate: Gate, recorder: Recorder
) -> None:
    async with gate.slot("read", GROUP, RequestOptions(PERSON)):
        pass
    with pytest.raises(ServerError):
        async with gate.slot("read", GROUP, RequestOptions(PERSON)):
            raise ServerError("the answer makes no sense")
    assert used(gate) == 2
    assert recorder.requests().sent == 2
    await trio.sleep(LINGER_S + 10.1)
    assert used(gate) == 0


async def test_a_block_that_could_not_connect_or_reports_unsent_has_sent_nothing(
    autojump_clock: MockClock, gate: Gate, recorder: Recorder
) -> None:
    with pytest.raises(UnreachableError):
        async with gate.slot("read", GROUP, RequestOptions(PERSON)):
            raise UnreachableError("cannot connect")
    async with gate.slot("read", GROUP, RequestOptions(PERSON)) as slot:
        slot.unsent()
    slot = await hold(gate)
    slot.unsent()
    await slot.__aexit__(ValueError, ValueError("on second thoughts"), None)
    assert used(gate) == 0
    assert recorder.requests().sent == 0


async def test_an_error_after_the_answer_does_not_count_the_request_again(
    autojump_clock: MockClock, gate: Gate, recorder: Recorder
) -> None:
    slot = await hold(gate)
    slot.answered(200, RateHeaders(OTHER), None)
    await slot.__aexit__(UnreachableError, UnreachableError("where the answer led to"), None)
    assert recorder.requests().by_outcome == {OTHER: {"ok": 1}}


async def test_a_cancelled_request_counts_for_a_window(autojump_clock: MockClock, gate: Gate) -> None:
    with trio.move_on_after(1):
        async with gate.slot("read", GROUP, RequestOptions(PERSON)):
            await trio.sleep_forever()
    assert used(gate) == 1
    await trio.sleep(LINGER_S + 9.9)
    assert used(gate) == 1
    await trio.sleep(0.2)
    assert used(gate) == 0


def test_a_repetition_waits_for_an_hour_at_most() -> None:
    assert backoff_s(1, ServerError("busy", retry_after_s=31_536_000.0)) == LONGEST_S
    assert backoff_s(1, ServerError("busy", retry_after_s=90.0)) == 90.0


async def test_a_request_in_two_gates_gets_the_first_slot_of_either(
    autojump_clock: MockClock, gate: Gate, other_gate: Gate
) -> None:
    await exhaust(gate)
    waiter = Waiter(GROUP, RequestOptions(PERSON))
    for each in (gate, other_gate):
        waiter.enter(each)
    assert set(waiter.gates) == {gate, other_gate}
    await waiter.wait()
    assert waiter.gate is other_gate
    assert trio.current_time() == pytest.approx(9.0)
    assert waiter.gates == set()
    assert gate.queue() == other_gate.queue() == ()
    waiter.enter(gate)
    await trio.sleep(5)
    assert used(gate) == 0, "it waits no more, and has no second slot"


async def test_one_slot_is_taken_though_both_gates_are_free(autojump_clock: MockClock, gate: Gate) -> None:
    other = Gate(Ledger(MemoryHome({GROUP: Plan(2, WINDOW_S)})), gate.recorder)
    waiter = Waiter(GROUP, RequestOptions(PERSON))
    for each in (gate, other):
        waiter.enter(each)
    await waiter.wait()
    assert [used(gate), used(other)] == [1, 0]


async def test_the_class_of_a_request_is_raised_in_all_gates(
    autojump_clock: MockClock, gate: Gate, other_gate: Gate
) -> None:
    await exhaust(gate)
    options = RequestOptions(BULK)
    waiter = Waiter(GROUP, options)
    async with trio.open_nursery() as nursery:
        for each in (gate, other_gate):
            waiter.enter(each)
        nursery.start_soon(waiter.wait)
        await wait_all_tasks_blocked()
        options.raise_to(PERSON)
        assert waiting(gate) == waiting(other_gate) == {PERSON: 1}


async def test_a_request_that_is_withdrawn_or_cancelled_leaves_all_gates(
    autojump_clock: MockClock, gate: Gate, other_gate: Gate
) -> None:
    await exhaust(gate)
    for is_withdrawn in (True, False):
        options = RequestOptions(PERSON)
        waiter = Waiter(GROUP, options)
        for each in (gate, other_gate):
            waiter.enter(each)
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:

                async def wait(waiter: Waiter = waiter) -> None:
                    with suppress(AbandonedError):
                        await waiter.wait()

                nursery.start_soon(wait)
                await wait_all_tasks_blocked()
                if is_withdrawn:
                    options.abandon()
                else:
                    scope.cancel()
        assert gate.queue() == other_gate.queue() == ()
        assert not options.abandon()


async def test_a_slot_that_a_cancelled_task_does_not_take_is_free_again(
    autojump_clock: MockClock, gate: Gate
) -> None:
    waiter = Waiter(GROUP, RequestOptions(PERSON))
    waiter.enter(gate)
    assert used(gate) == 1
    with trio.CancelScope() as scope:
        scope.cancel()
        await waiter.wait()
    assert used(gate) == 0
