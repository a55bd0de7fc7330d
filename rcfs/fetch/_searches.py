"""The searches of an account, as the tree asks about them, and as people make and remove them."""

import time
from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

import trio

from rcfs.fetch._account import Account
from rcfs.model import FoundRow, SearchRow
from rcfs.store import Scope, SearchIndex

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_MOST_THREADS = 2
"""Searches that are made, removed or renamed at the same time."""


class Searches:
    """Answers from the index; no request is ever sent.

    Raises (all methods):
        StoreError: The index fails.
    """

    def __init__(self, index: SearchIndex, account: Account, hidden_views: frozenset[str]) -> None:
        """Searches what `account` has in `index`, as if there were no `hidden_views`."""
        self._index = index
        self._account = account
        self._hidden = hidden_views
        # Of their own: those that wait for the index to be unlocked leave the others free.
        self._threads = trio.CapacityLimiter(_MOST_THREADS)
        self._newest_s: float | None = None

    @property
    def changed_s(self) -> float:
        """The newest time of a message in the mailboxes that are known, in seconds since 1970-01-01 UTC.

        0.0 for none. It follows from what is known, so that it is the same after a remount.
        """
        if self._newest_s is None:
            catalogues = (self._account.mailboxes.catalogue(each.id) for each in self._account.extensions)
            times = (time_s for each in catalogues if each is not None for time_s in each.times(None))
            self._newest_s = max((time_s for time_s in times if time_s is not None), default=0.0)
        return self._newest_s

    @property
    def _scope(self) -> Scope:
        extension_ids = tuple(extension.id for extension in self._account.extensions)
        return Scope(self._account.id, extension_ids, hidden_views=self._hidden)

    def note_change(self) -> None:
        """A mailbox has changed, so that any search may find something else."""
        self._newest_s = None

    # In the event loop; a change that nobody waits for any more is made all the same

    def kept(self, after: int, limit: int) -> list[SearchRow]:
        """At most `limit` searches, by their numbers, those after the number `after`."""
        return self._index.kept(self._account.id, after, limit)

    def kept_as(self, name: str) -> SearchRow | None:
        """The search that is called `name`."""
        return self._index.kept_as(self._account.id, name)

    async def keep(self, name: str) -> bool:
        """Keeps the search for `name`; False when there is one."""
        return await self._writing(self._index.keep, self._account.id, name, time.time())

    async def drop(self, name: str) -> bool:
        """Keeps a search no longer; False when there is none of that name."""
        return await self._writing(self._index.drop, self._account.id, name)

    async def rename(self, name: str, new_name: str) -> bool:
        """Makes a search one for `new_name`; False when there is none, or another of that name."""
        return await self._writing(self._index.rename, self._account.id, name, new_name)

    async def _writing(self, work: Callable[[*Ts], T], *arguments: *Ts) -> T:
        return await trio.to_thread.run_sync(work, *arguments, limiter=self._threads, abandon_on_cancel=True)

    # In worker threads

    def matches(self, query: str, after: int, limit: int) -> list[FoundRow]:
        """At most `limit` messages that `query` finds, by their numbers, those after the number `after`."""
        return self._index.matches(query, self._scope, after, limit)

    def matches_with_id(self, query: str, message_id: int) -> list[FoundRow]:
        """The messages with that id that `query` finds."""
        return self._index.matches_with_id(query, self._scope, message_id)
