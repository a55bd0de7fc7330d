"""Applies planned changes of the account when they are due, so that subscribers hear of them.

It does not poll. It sleeps until the next planned change in the account's time, and wakes up when the clock
is moved or sped up, and when another change is planned.
"""

import trio

from rcfs.simulator._clock import AccountClock
from rcfs.simulator.account._message_store import MessageStore

SHORTEST_S = 1e-6
"""Shortest sleep, in real seconds: the resolution of a float for seconds since 1970. Rounding may end a sleep
just before its moment, and the next sleep must be long enough for time to pass."""


async def let_time_pass(store: MessageStore, clock: AccountClock) -> None:
    """Apply the changes in `store` that are due by `clock`, until cancelled."""
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
    """An event that can be set and waited for repeatedly."""

    def __init__(self) -> None:
        self._rung = trio.Event()

    def ring(self) -> None:
        """Wake all tasks in `wait`."""
        self._rung.set()

    def rearm(self) -> None:
        """Make `wait` wait for the next `ring`."""
        self._rung = trio.Event()

    async def wait(self) -> None:
        """Return once `ring` was called after the last `rearm`."""
        await self._rung.wait()
