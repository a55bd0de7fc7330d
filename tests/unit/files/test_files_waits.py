"""Bounded, counted and interrupted waits."""

import math

import pytest
import trio
from trio.testing import MockClock

from rcfs.errors import BudgetError, CallerGoneError, ClosingError, DeadlineError
from rcfs.files._waits import MAX_READ_WAITERS, MAX_WAITERS, Waits
from tests.fakes.askers import Somebody

ASKER = Somebody()


async def test_a_result_passes_through() -> None:
    waits = Waits()

    async def answer() -> int:
        assert waits.waiting == 1
        await trio.lowlevel.checkpoint()
        return 42

    assert await waits.until(ASKER, answer, within_s=1) == 42
    assert waits.waiting == 0


async def test_an_error_passes_through_and_leaves_no_wait() -> None:
    waits = Waits()

    async def fail() -> None:
        await trio.lowlevel.checkpoint()
        raise LookupError

    with pytest.raises(LookupError):
        await waits.until(ASKER, fail, within_s=1)
    assert waits.waiting == 0


async def test_a_wait_ends_exactly_at_its_deadline(autojump_clock: MockClock) -> None:
    waits = Waits()
    began = trio.current_time()
    with pytest.raises(DeadlineError, match="within 7 s"):
        await waits.until(ASKER, trio.sleep_forever, within_s=7)
    assert trio.current_time() - began == 7


async def test_a_wait_ends_soon_after_a_signal(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    waits = Waits()
    nursery.start_soon(waits.run)
    ending_at = trio.current_time() + 5
    mortal = Somebody(is_ending=lambda: trio.current_time() >= ending_at)

    async def other() -> None:
        with pytest.raises(DeadlineError):
            await waits.until(ASKER, trio.sleep_forever, within_s=30)

    nursery.start_soon(other)
    with pytest.raises(CallerGoneError):
        await waits.until(mortal, trio.sleep_forever, within_s=30)
    assert ending_at <= trio.current_time() <= ending_at + 0.2
    assert waits.waiting == 1, "the other one goes on"
    await trio.sleep(30)


async def test_the_watch_sleeps_while_nobody_waits(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    waits = Waits()
    nursery.start_soon(waits.run)
    await trio.testing.wait_all_tasks_blocked()
    assert trio.lowlevel.current_statistics().seconds_to_next_deadline == math.inf


async def test_one_waiter_too_many_is_refused_at_once(nursery: trio.Nursery) -> None:
    waits = Waits()

    async def wait() -> None:
        with pytest.raises(ClosingError):
            await waits.until(ASKER, trio.sleep_forever, within_s=1000)

    for _ in range(MAX_WAITERS):
        nursery.start_soon(wait)
    await trio.testing.wait_all_tasks_blocked()
    assert waits.waiting == MAX_WAITERS
    with pytest.raises(BudgetError):
        await waits.until(ASKER, trio.sleep_forever, within_s=1000)
    waits.close()


async def test_an_operation_without_a_wait_needs_no_seat(nursery: trio.Nursery) -> None:
    waits = Waits()

    async def wait() -> None:
        with pytest.raises(ClosingError):
            await waits.until(ASKER, trio.sleep_forever, within_s=1000)

    async def cached() -> str:
        await trio.lowlevel.checkpoint()
        return "cached"

    async def cold() -> None:
        await trio.lowlevel.checkpoint()
        waits.require_seat()
        await trio.sleep_forever()

    for _ in range(MAX_WAITERS - 1):
        nursery.start_soon(wait)
    await trio.testing.wait_all_tasks_blocked()
    with trio.move_on_after(0) as scope:
        await waits.until(ASKER, cold, within_s=1000, seated=False)
    assert scope.cancelled_caught, "it had a seat"
    nursery.start_soon(wait)
    await trio.testing.wait_all_tasks_blocked()
    assert await waits.until(ASKER, cached, within_s=1, seated=False) == "cached"
    assert await waits.until(ASKER, cached, within_s=1, read=True) == "cached", "reads have their own"
    with pytest.raises(BudgetError):
        await waits.until(ASKER, cold, within_s=1000, seated=False)
    waits.close()


async def test_few_reads_may_wait(nursery: trio.Nursery) -> None:
    waits = Waits()

    async def wait() -> None:
        with pytest.raises(ClosingError):
            await waits.until(ASKER, trio.sleep_forever, within_s=1000, read=True)

    for _ in range(MAX_READ_WAITERS):
        nursery.start_soon(wait)
    await trio.testing.wait_all_tasks_blocked()
    with pytest.raises(BudgetError):
        await waits.until(ASKER, trio.sleep_forever, within_s=1000, read=True)

    async def answer() -> str:
        await trio.lowlevel.checkpoint()
        return "an open is not a read"

    assert await waits.until(ASKER, answer, within_s=1)
    waits.close()


async def test_after_closing_nothing_is_waited_for() -> None:
    waits = Waits()
    waits.close()
    with pytest.raises(ClosingError):
        await waits.until(ASKER, trio.sleep_forever, within_s=1)
