"""Works through the parts of an account together with pulls on other machines.

Which machine has which part stands in a list on a server. While the server is away, a pull finishes the parts
that it has; then it waits for the server.

Concurrency: all methods run in the trio thread; the server is asked in worker threads, by one task at a time.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol

import trio

from rcfs.errors import LedgerRefusedError, SharedLedgerError
from rcfs.transport import run_together

if TYPE_CHECKING:
    from rcfs.store import Standing

_LANES = 12
"""Parts in work at the same time: as most parts have several contents, these fill the window of the quota."""
_RENEW_EVERY_S = 10.0
"""Time between two renewals of the leases, which end after a minute."""
_ASK_EVERY_S = 1.0
"""Time between two looks at the list while other machines have all that is left."""
_RELEASE_WITHIN_S = 1.0
"""Longest time for giving parts back at the end; else their leases end by themselves."""
_PAGE = 200
"""Parts in one question to the server: more than all machines hold together."""


class PartList(Protocol):
    """The list that the machines share; see `rcfs.store.SharedParts`."""

    def exchange(
        self,
        *,
        done: Sequence[str] = (),
        freed: Sequence[str] = (),
        held: Sequence[str] = (),
        choice: Sequence[str] = (),
        most: int = 0,
    ) -> "Standing":
        """Tells the server what this client has done, gives back and holds, and takes parts."""
        ...


class Joint:
    """The part of one machine in a pull of several."""

    def __init__(
        self,
        shared: PartList,
        *,
        work: Callable[[str], Awaitable[bool]],
        on_done_elsewhere: Callable[[str], None],
        on_note: Callable[[str], None],
    ) -> None:
        """Prepares it.

        Args:
            shared: The list.
            work: Does a part, and tells whether that succeeded. It may be cancelled.
            on_done_elsewhere: Called with each part that another machine has done.
            on_note: Called with what the user should know of the server.
        """
        self._shared = shared
        self._work = work
        self._on_done_elsewhere = on_done_elsewhere
        self._on_note = on_note
        self._asking = trio.Lock()
        self._left: dict[str, None] = {}
        """Parts that no machine was known to have done at the last question, the most urgent first."""
        self._held: dict[str, trio.CancelScope] = {}
        self._done: list[str] = []
        """All parts that this machine has done, for a server that forgets them."""
        self._untold: list[str] = []
        self._freed: set[str] = set()
        """Failed parts, which another machine may try."""
        self._born = ""
        self._is_away = False
        self.total_done = 0
        """Number of parts that all machines have done."""

    @property
    def left(self) -> int:
        """Number of parts that are not done yet."""
        return len(self._left) + len(self._held)

    async def run(self, parts: Sequence[str]) -> None:
        """Works until each of `parts` is done by some machine, or has failed here.

        Raises:
            LedgerRefusedError: The server refuses the login.
            ConfigError: The list is for a pull of something else.
        """
        self._left = dict.fromkeys(parts)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._renew)
                await run_together([self._work_through] * _LANES)
                nursery.cancel_scope.cancel()
        finally:
            self._freed.update(self._held)
            self._held.clear()
            with trio.move_on_after(_RELEASE_WITHIN_S, shield=True):
                await self._asked()

    async def _work_through(self) -> None:
        while (part := await self._next()) is not None:
            with self._held[part] as scope:
                succeeded = await self._work(part)
            self._held.pop(part, None)
            if scope.cancelled_caught:
                self._left[part] = None  # Another machine has it.
            elif succeeded:
                self._done.append(part)
                self._untold.append(part)
            else:
                self._freed.add(part)

    async def _next(self) -> str | None:
        """Takes a part from the list; waits while other machines have the rest; None when none is left."""
        while self._left or self._untold:
            async with self._asking:
                for first in range(0, max(1, len(self._left)), _PAGE):
                    choice = list(self._left)[first : first + _PAGE]
                    taken = await self._exchange(choice)
                    if taken:
                        return taken
            if self._left or self._untold:
                await trio.sleep(_ASK_EVERY_S)
        return None

    async def _renew(self) -> None:
        while True:
            await trio.sleep(_RENEW_EVERY_S)
            await self._asked()

    async def _asked(self) -> None:
        async with self._asking:
            await self._exchange(())

    async def _exchange(self, choice: Sequence[str]) -> str | None:
        """One exchange; returns the part that was taken."""
        untold, freed = tuple(self._untold), tuple(self._freed)
        ask = partial(
            self._shared.exchange,
            done=untold,
            freed=freed,
            held=tuple(self._held),
            choice=choice,
            most=int(bool(choice)),
        )
        try:
            standing = await trio.to_thread.run_sync(ask)
        except LedgerRefusedError:
            raise
        except SharedLedgerError as exc:
            if not self._is_away:
                has = len(self._held)
                self._on_note(f"{exc}: this pull finishes the {has} parts that it has, and then waits")
            self._is_away = True
            return None
        if self._is_away:
            self._on_note("the list of the parts can be reached again")
        self._is_away = False
        self._untold = self._untold[len(untold) :]
        self._freed.difference_update(freed)
        if self._born and standing.born != self._born:
            self._untold = list(self._done)  # The server has forgotten them.
        self._born, self.total_done = standing.born, standing.total_done
        for part in standing.lost:
            if part in self._held:
                self._held[part].cancel()
        for part in standing.done:
            if self._left.pop(part, "") is None:
                self._on_done_elsewhere(part)
        for part in standing.taken:
            del self._left[part]
            self._held[part] = trio.CancelScope()
            return part
        return None
