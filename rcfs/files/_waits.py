"""Waiting on behalf of somebody: bounded, counted, and ended early when who asks is about to end."""

from collections.abc import Awaitable, Callable, Hashable
from typing import TypeVar

import attrs
import trio

from rcfs.errors import (
    BudgetError,
    CallerGoneError,
    ClosingError,
    DeadlineError,
    SuspendError,
    WaitError,
)
from rcfs.files._readers import Asker

T = TypeVar("T")

MAX_WAITERS = 400
"""How many may wait at the same time. In a mount each keeps a handler busy, of which there are 500; the
others stay free for cached reads and metadata."""
MAX_READ_WAITERS = 8
"""Reads that may wait at the same time: twelve blocked buffered reads (the kernel's `max_background`) hang
every other buffered read of the mount; measured 2026-11."""
BRIEF_S = 2.0
"""Longest wait of who keeps others from the same directory meanwhile, as a mount does by a lock of the kernel
where no signal reaches them. Most mailboxes load within it."""
_LOOK_EVERY_S = 0.1
"""How often it is looked at who is about to end: a waiting open then ended 0.11 s after the signal, measured
2026-11. One look at a process takes about 35 µs, so 400 waiters take a seventh of the event loop."""
_LOOKS_AT_ONCE = 20
"""Looks between two checkpoints, so that 400 waiters never hold the event loop for more than about 0.5 ms."""


@attrs.define(eq=False)
class _Wait:
    asker: Asker | None
    scope: trio.CancelScope
    reason: WaitError | None = None


class Waits:
    """Every wait for a mailbox or a content goes through here; all methods run in the trio thread."""

    def __init__(self) -> None:
        self._waits: set[_Wait] = set()
        self._somebody = trio.Event()
        self._ended: WaitError | None = None
        """Why nothing may be waited for now; None while it may."""
        self._readers = 0
        self._waited_out: dict[Hashable, float] = {}
        """Until when nobody waits again for what a brief wait has not brought."""

    @property
    def waiting(self) -> int:
        """How many wait now."""
        return len(self._waits)

    def require_seat(self) -> None:
        """Returns if the caller, which is within `until` with `seated` False, may wait for long.

        Raises:
            BudgetError: Too many wait already.
            SuspendError: The machine is about to be suspended.
        """
        if self._ended is not None:
            raise self._ended.with_traceback(None)
        if len(self._waits) > MAX_WAITERS:
            raise BudgetError(f"{MAX_WAITERS} processes wait already")

    async def until(
        self,
        asker: Asker | None,
        operation: Callable[[], Awaitable[T]],
        *,
        within_s: float,
        read: bool = False,
        seated: bool = True,
    ) -> T:
        """What `operation` returns, waited for on behalf of `asker` for at most `within_s` seconds.

        `operation` is cancelled when the wait ends early; None as `asker` never ends it. `read` marks the
        wait of a buffered read, of which only few may be under way. `seated` False lets it begin however many
        wait already, because it may not need to wait; it calls `require_seat` when it does.

        Raises:
            BudgetError: Too many wait already.
            DeadlineError: `within_s` passed.
            CallerGoneError: The asker is about to end, or is gone.
            SuspendError: The machine is about to be suspended.
            ClosingError: The mount is being taken down.
        """
        if self._ended is not None and (seated or isinstance(self._ended, ClosingError)):
            raise self._ended.with_traceback(None)
        if read and self._readers >= MAX_READ_WAITERS:
            raise BudgetError(f"{MAX_READ_WAITERS} reads wait already")
        if seated and not read and len(self._waits) >= MAX_WAITERS:
            raise BudgetError(f"{MAX_WAITERS} processes wait already")
        wait = _Wait(asker, trio.CancelScope(deadline=trio.current_time() + within_s))
        self._waits.add(wait)
        self._readers += read
        self._somebody.set()
        try:
            with wait.scope:
                return await operation()
        finally:
            self._waits.discard(wait)
            self._readers -= read
        if wait.reason is not None:
            raise wait.reason.with_traceback(None)
        raise DeadlineError(f"not there within {within_s:.0f} s")

    async def briefly(self, asker: Asker | None, key: Hashable, operation: Callable[[], Awaitable[T]]) -> T:
        """As `until`, for who keeps others waiting by it meanwhile: for two seconds at most.

        Those others are served one after the other. So that the last one does not
        wait for the sum of all, nobody waits for `key` in the two seconds after a wait for it was in vain;
        `operation` is begun all the same, and may return what is at hand.

        Raises:
            DeadlineError: It takes longer.
            WaitError: As `until`.
        """
        now = trio.current_time()
        self._waited_out = {each: until_s for each, until_s in self._waited_out.items() if until_s > now}
        try:
            return await self.until(asker, operation, within_s=0.0 if key in self._waited_out else BRIEF_S)
        except DeadlineError:
            self._waited_out.setdefault(key, trio.current_time() + BRIEF_S)
            raise

    async def run(self) -> None:
        """Watches those who wait, for as long as somebody may."""
        while True:
            await self._somebody.wait()
            self._somebody = trio.Event()
            while self._waits:
                await trio.sleep(_LOOK_EVERY_S)
                for number, wait in enumerate(tuple(self._waits), start=1):
                    if wait.reason is None and wait.asker is not None and wait.asker.is_ending():
                        wait.reason = CallerGoneError(f"{wait.asker} is about to end")
                        wait.scope.cancel()
                    if number % _LOOKS_AT_ONCE == 0:
                        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        """Ends all waits, now and from now on."""
        self._end(ClosingError("the mount is being taken down"))

    def pause(self) -> None:
        """Ends all waits, now and until `resume`, because the machine is about to be suspended."""
        if self._ended is None:
            self._end(SuspendError("the machine is about to be suspended"))

    def resume(self) -> None:
        """Lets them wait again after `pause`; nothing ends `close`."""
        if isinstance(self._ended, SuspendError):
            self._ended = None

    def _end(self, reason: WaitError) -> None:
        self._ended = reason
        for wait in self._waits:
            wait.reason = reason
            wait.scope.cancel()
