"""The searches that people keep: listing, making, renaming and removing them, and their matches."""

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
"""Searches that may be made, removed or renamed at the same time."""


class Searches:
    """The searches of an account; they only read the index, and never send a request.

    Raises (all methods):
        StoreError: The index fails.
    """

    def __init__(self, context: Context, account: Account) -> None:
        """Searches the mailboxes of `account`, hidden views excluded."""
        self._context = context
        self._index = context.index
        self._account = account
        # With their own limiter: a wait for a lock of the index must not hold up other threads.
        self._threads = trio.CapacityLimiter(_MOST_THREADS)
        self._changed_s: float | None = None
        self._noting = False

    @property
    def changed_s(self) -> float:
        """When rcfs last saw a mailbox change, in seconds since 1970-01-01 UTC; 0.0 for never.

        The index keeps it, so it is the same after a remount.
        """
        if self._changed_s is None:
            note = self._index.reader.noted(self._topic)
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
        """Notes that a mailbox has changed, so any search may find something else."""
        self._changed_s = self._context.wall_clock()
        if not self._noting:
            self._noting = True
            self._context.nursery.start_soon(self._note)

    # For the event loop; a change is made even if its caller is cancelled

    def kept(self, after: int, limit: int) -> list[SearchRow]:
        """At most `limit` searches in the order of their numbers, after the number `after`."""
        return self._index.reader.searches(self._account.id, after, limit)

    def kept_as(self, name: str) -> SearchRow | None:
        """The search with the name `name`; None when there is no such search."""
        return self._index.reader.search(self._account.id, name)

    async def keep(self, name: str) -> bool:
        """Adds a search for `name`; False when it exists already."""
        made_s = self._context.wall_clock()
        return await self._writing(self._index.writer.save_search, self._account.id, name, made_s)

    async def drop(self, name: str) -> bool:
        """Removes a search; False when it does not exist."""
        return await self._writing(self._index.writer.remove_search, self._account.id, name)

    async def rename(self, name: str, new_name: str) -> bool:
        """Renames a search, which changes its query; False when it does not exist, or `new_name` does."""
        return await self._writing(self._index.writer.rename_search, self._account.id, name, new_name)

    async def _note(self) -> None:
        """Writes the time of the last change into the index; many changes in a row cause few writes."""
        noted_s = None
        try:
            while noted_s != self._changed_s:
                noted_s = self.changed_s
                await self._writing(self._index.writer.note, self._topic, "", noted_s)
        except StoreError as exc:
            self._context.recorder.fault("searches", str(exc))
        finally:
            self._noting = False

    async def _writing(self, work: Callable[[*Ts], T], *arguments: *Ts) -> T:
        return await trio.to_thread.run_sync(work, *arguments, limiter=self._threads, abandon_on_cancel=True)

    # For worker threads

    def matches(self, query: str, after: int, limit: int) -> list[FoundRow]:
        """At most `limit` matches of `query` in the order of their numbers, after the number `after`."""
        return self._index.search.matches(query, self._scope, after, limit)

    def matches_with_id(self, query: str, message_id: int) -> list[FoundRow]:
        """The matches of `query` that have that message id."""
        return self._index.search.matches_with_id(query, self._scope, message_id)

    def calls_with_id(self, query: str, call_or_recording: str) -> list[FoundRow]:
        """The matches of `query` that are the recording with that id, or belong to the call with that id."""
        return self._index.search.calls_with_id(query, self._scope, call_or_recording)
