"""The searches of an account, as the tree asks about them, and as people make and remove them."""

from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

import trio

from rcfs.errors import StoreError
from rcfs.mailbox._account import Account
from rcfs.mailbox._context import Context
from rcfs.model import FoundRow, SearchRow
from rcfs.store import Scope

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_MOST_THREADS = 2
"""Searches that are made, removed or renamed at the same time."""


class Searches:
    """Answers from the index; no request is ever sent.

    Raises (all methods):
        StoreError: The index fails.
    """

    def __init__(self, context: Context, account: Account) -> None:
        """Searches what `account` has in the index, views that are hidden included."""
        self._context = context
        self._index = context.index.search
        self._account = account
        # Of their own: those that wait for the index to be unlocked leave the others free.
        self._threads = trio.CapacityLimiter(_MOST_THREADS)
        self._changed_s: float | None = None
        self._noting = False

    @property
    def changed_s(self) -> float:
        """When a mailbox was last seen to change, in seconds since 1970-01-01 UTC; 0.0 for never.

        It is kept in the index, so that it is the same after a remount.
        """
        if self._changed_s is None:
            note = self._context.index.reader.noted(self._topic)
            self._changed_s = 0.0 if note is None else note.noted_s
        return self._changed_s

    @property
    def _topic(self) -> str:
        return f"searches {self._account.id}"

    @property
    def _scope(self) -> Scope:
        extension_ids = tuple(extension.id for extension in self._account.extensions)
        return Scope(self._account.id, extension_ids, hidden_views=self._context.shelving.hidden_views)

    def note_change(self) -> None:
        """A mailbox has changed, so that any search may find something else."""
        self._changed_s = self._context.wall_clock()
        if not self._noting:
            self._noting = True
            self._context.nursery.start_soon(self._note)

    # In the event loop; a change that nobody waits for any more is made all the same

    def kept(self, after: int, limit: int) -> list[SearchRow]:
        """At most `limit` searches, by their numbers, those after the number `after`."""
        return self._index.kept(self._account.id, after, limit)

    def kept_as(self, name: str) -> SearchRow | None:
        """The search that is called `name`."""
        return self._index.kept_as(self._account.id, name)

    async def keep(self, name: str) -> bool:
        """Keeps the search for `name`; False when there is one."""
        return await self._writing(self._index.keep, self._account.id, name, self._context.wall_clock())

    async def drop(self, name: str) -> bool:
        """Keeps a search no longer; False when there is none of that name."""
        return await self._writing(self._index.drop, self._account.id, name)

    async def rename(self, name: str, new_name: str) -> bool:
        """Makes a search one for `new_name`; False when there is none, or another of that name."""
        return await self._writing(self._index.rename, self._account.id, name, new_name)

    async def _note(self) -> None:
        """Keeps the time of the last change; of many changes in a row only a few are written."""
        noted_s = None
        try:
            while noted_s != self._changed_s:
                noted_s = self.changed_s
                await self._writing(self._context.index.writer.note, self._topic, "", noted_s)
        except StoreError as exc:
            self._context.recorder.fault("searches", str(exc))
        finally:
            self._noting = False

    async def _writing(self, work: Callable[[*Ts], T], *arguments: *Ts) -> T:
        return await trio.to_thread.run_sync(work, *arguments, limiter=self._threads, abandon_on_cancel=True)

    # In worker threads

    def matches(self, query: str, after: int, limit: int) -> list[FoundRow]:
        """At most `limit` messages that `query` finds, by their numbers, those after the number `after`."""
        return self._index.matches(query, self._scope, after, limit)

    def matches_with_id(self, query: str, message_id: int) -> list[FoundRow]:
        """The messages with that id that `query` finds."""
        return self._index.matches_with_id(query, self._scope, message_id)
