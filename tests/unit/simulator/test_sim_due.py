"""Planned changes happen exactly when they are due, without requests and without polling."""

from collections.abc import Iterator

import trio
import trio.testing

from rcfs.simulator import AccountSpec
from rcfs.simulator._clock import AccountClock
from rcfs.simulator._due import let_time_pass
from rcfs.simulator.account._account import SimAccount
from rcfs.simulator.account._message_store import MessageStore

START_S = 1_795_176_000.0


class Looked(MessageStore):
    """Counts the checks for due changes."""

    looks = 0

    def settle_all(self, now_s: float) -> Iterator[None]:
        self.looks += 1
        return super().settle_all(now_s)


async def test_it_sleeps_until_what_is_planned_and_wakes_when_that_changes(
    autojump_clock: trio.testing.MockClock,
) -> None:
    account = SimAccount(AccountSpec(messages=0))
    store, clock = Looked(account), AccountClock(START_S, trio.current_time)
    mine, other = (extension.id for extension in account.extensions[:2])
    begin_s = trio.current_time()
    happened: list[tuple[str, float, float]] = []

    def note(name: str) -> None:
        happened.append((name, round(trio.current_time() - begin_s, 3), round(clock.now() - START_S, 3)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(let_time_pass, store, clock)
        await trio.sleep(10_000)
        assert store.looks == 1, "nothing is planned"
        store.plan(mine, START_S + 10_500, lambda _due_s: note("late"))
        store.plan(other, START_S + 10_100, lambda _due_s: note("soon"))
        await trio.sleep(1000)
        assert happened == [("soon", 10_100, 10_100), ("late", 10_500, 10_500)]
        # The clock jumps over two days: due changes happen at once, in the order of time, in all mailboxes.
        store.plan(mine, START_S + 100_000, lambda _due_s: note("second"))
        store.plan(other, START_S + 50_000, lambda _due_s: note("first"))
        store.plan(other, START_S + 150_000, lambda _due_s: note("third"))
        await trio.sleep(1)
        clock.advance(200_000)
        await trio.sleep(1)
        assert happened[2:] == [(name, 11_001, 211_001) for name in ("first", "second", "third")]
        # A hundred times as fast for 5,000 seconds, then at normal speed.
        store.plan(mine, START_S + 221_002, lambda _due_s: note("last"))
        await trio.lowlevel.checkpoint()
        clock.hurry(100.0, 5000.0)
        await trio.sleep(20_000)
        assert happened[5:] == [("last", 16_052, 221_002)]
        assert store.looks < 20
        nursery.cancel_scope.cancel()
