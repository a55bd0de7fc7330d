"""What is due happens at its moment, even if nobody asks: subscribers are to hear of it.

Nothing is polled: this sleeps until the next moment of the account's time at which something is planned,
and is woken when time is moved, when it begins to pass faster, and when something else is planned.
"""

import trio

from rcfs.simulator._clock import AccountClock
from rcfs.simulator.account._message_store import MessageStore

SHORTEST_S = 1e-6
"""Shortest sleep, in real seconds: what a float can tell apart of seconds since 1970. Rounding may end a
sleep just before the moment that it was for, and the next must not be too short for time to pass."""


async def let_time_pass(store: MessageStore, clock: AccountClock) -> None:
    """Let happen in `store` what is due by `clock`, until this is cancelled."""
    bell = _Bell()
    clock.listen(bell.ring)
    store.listen_to_plans(bell.ring)
    while True:
        bell.rearm()
        for _ in store.settle_all(clock.now()):
            await trio.lowlevel.checkpoint()
        due_s = store.next_due_s()
        sleep_s = float("inf") if due_s is None else max(clock.real_s_until(due_s), SHORTEST_S)
        with trio.move_on_after(sleep_s):
            await bell.wait()


class _Bell:
    """An event that can happen again."""

    def __init__(self) -> None:
        self._rung = trio.Event()

    def ring(self) -> None:
        """Let `wait` return."""
        self._rung.set()

    def rearm(self) -> None:
        """Let `wait` wait for the next ring."""
        self._rung = trio.Event()

    async def wait(self) -> None:
        """Return when it has rung since `rearm`."""
        await self._rung.wait()
