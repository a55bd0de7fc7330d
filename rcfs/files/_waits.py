"""Waits on behalf of askers: bounded and counted, and ended early when the asker is about to end."""

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
"""Most waits at the same time. Each occupies one of the 500 handlers of a mount; the others stay free for
cached reads and metadata."""
MAX_READ_WAITERS = 8
"""Most reads that wait at the same time, unless `Waits.max_readers` is set: twelve blocked buffered reads
(`max_background` of the kernel) hang every other buffered read of the mount; measured 2026-11."""
BRIEF_S = 2.0
"""Longest wait under a lock of a directory. The kernel holds that lock for a mount, and no signal reaches the
processes that wait for the lock. Most mailboxes load within this time."""
_LOOK_EVERY_S = 0.1
"""Time between two checks for askers that are about to end: an open then ended 0.11 s after the signal
(measured 2026-11). A check takes about 35 µs, so 400 waits take a seventh of the event loop."""
_LOOKS_AT_ONCE = 20
"""Checks between two checkpoints, so that they hold the event loop for about 0.7 ms at a time."""


@attrs.define(eq=False)
class _Wait:
    asker: Asker | None
    scope: trio.CancelScope
    reason: WaitError | None = None


class Waits:
    """Every wait for a mailbox or a content goes through here; all methods run in the trio thread."""

    def __init__(self) -> None:
        self.max_readers = MAX_READ_WAITERS
        """Most reads that wait at the same time."""
        self._waits: set[_Wait] = set()
        self._somebody = trio.Event()
        self._ended: WaitError | None = None
        """The reason why no wait may begin now; None if waits may begin."""
        self._readers = 0
        self._waited_out: dict[Hashable, float] = {}
        """By key of a brief wait that was in vain, the time until which nobody waits for that key again."""

    @property
    def waiting(self) -> int:
        """Number of waits now."""
        return len(self._waits)

    def askers(self) -> list[Asker]:
        """The asker of each wait that has one."""
        return [wait.asker for wait in self._waits if wait.asker is not None]

    def refuse(self, is_refused: Callable[[Asker], bool], reason: WaitError) -> None:
        """Ends the waits of some askers now."""
        for wait in self._waits:
            if wait.reason is None and wait.asker is not None and is_refused(wait.asker):
                wait.reason = reason
                wait.scope.cancel()

    def require_seat(self) -> None:
        """Returns if the caller may wait for long; for operations of `until` with `seated` False.

        Raises:
            BudgetError: Too many processes wait already.
            SuspendError: The machine is about to be suspended.
        """
        if self._ended is not None:
            raise self._ended.with_traceback(None)
        if len(self._waits) > MAX_WAITERS:
            raise BudgetError(f"{MAX_WAITERS} processes wait already; try again later")

    async def until(
        self,
        asker: Asker | None,
        operation: Callable[[], Awaitable[T]],
        *,
        within_s: float,
        read: bool = False,
        seated: bool = True,
    ) -> T:
        """The result of `operation`, which is cancelled when the wait ends early.

        Args:
            asker: The wait ends when the asker is about to end; None for a wait without one.
            operation: Starts the operation.
            within_s: Longest wait in seconds.
            read: Whether a buffered read waits, of which only few may wait at the same time.
            seated: Whether the wait counts from the beginning. An operation that often needs no wait passes
                False, and calls `require_seat` before it waits.

        Raises:
            BudgetError: Too many processes wait already.
            DeadlineError: `within_s` passed.
            CallerGoneError: The asker is about to end, or is gone.
            SuspendError: The machine is about to be suspended.
            ClosingError: The mount is being taken down.
        """
        if self._ended is not None and (seated or isinstance(self._ended, ClosingError)):
            raise self._ended.with_traceback(None)
        if read and self._readers >= self.max_readers:
            raise BudgetError(f"{self.max_readers} reads wait already; try again later")
        if seated and not read and len(self._waits) >= MAX_WAITERS:
            raise BudgetError(f"{MAX_WAITERS} processes wait already; try again later")
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
        raise DeadlineError(f"no result within {within_s:.0f} s; try again later")

    async def briefly(self, asker: Asker | None, key: Hashable, operation: Callable[[], Awaitable[T]]) -> T:
        """As `until`, for a caller that holds a lock of a directory: two seconds at most.

        The kernel serves the callers that wait for the lock one after the other. The last one must not wait
        for the sum of all, so for two seconds after a wait for `key` was in vain, nobody waits for it.
        `operation` still begins, and may return a result that is at hand.

        Raises:
            DeadlineError: The operation takes longer.
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
        """Ends the waits of askers that are about to end, until it is cancelled."""
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
        self._end(ClosingError("the mount is ending"))

    def pause(self) -> None:
        """Ends all waits, now and until `resume`, because the machine is about to be suspended."""
        if self._ended is None:
            self._end(SuspendError("the machine is about to be suspended; try again afterwards"))

    def resume(self) -> None:
        """Allows waits again after `pause`, but not after `close`."""
        if isinstance(self._ended, SuspendError):
            self._ended = None

    def _end(self, reason: WaitError) -> None:
        self._ended = reason
        for wait in self._waits:
            wait.reason = reason
            wait.scope.cancel()
