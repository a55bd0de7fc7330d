"""What is due happens at its moment, even if nobody asks: subscribers are to hear of it.

Nothing is polled: this sleeps until the next moment of the account's time at which something is planned,
and is woken when time is moved, when it begins to pass faster, and when something else is planned.
"""

import trio

from rcfs.simulator._clock import AccountClock
from rcfs.simulator._message_store import MessageStore


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
        with trio.move_on_after(float("inf") if due_s is None else clock.real_s_until(due_s)):
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
