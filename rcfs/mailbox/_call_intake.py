"""Writes the records of call logs into the index; for worker threads, several at a time.

A call belongs to the month in which it began. The index takes it if that month was loaded or is being loaded,
by the company's log or by that of one of its extensions; other calls come with their month. A call without a
time goes to the month whose list brought it.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Protocol

import attrs

from rcfs.model import COMPANY, Call, CallContext, Extension, NameFolder, Record, ShelvedCall, call_from
from rcfs.store import ChangedCalls, MailboxIndex

_AT_ONCE = 500
"""Calls that are shelved again in one transaction, as with messages."""


class ShelveCall(Protocol):
    """The line and the places of a call; `undated` is the month that shows a call without a time."""

    def __call__(self, call: Call, context: CallContext, *, undated: str) -> ShelvedCall: ...


@attrs.frozen
class CallShelving:
    """The rules for showing calls. The tree room defines them; the index stores their results."""

    shelve: ShelveCall
    """The line and the places of a call."""
    context_of: Callable[[Iterable[Extension], Callable[[int, int], str | None]], CallContext]
    """The context while the root shows these extensions; the function gives the path of a message."""


@attrs.frozen
class Log:
    """The call log that a list or sync is about."""

    account_id: str
    """Decimal account id."""
    owner: int
    """The extension, or `COMPANY`."""
    month: str
    """The month of the list; of a sync, the one for calls without a time."""

    @property
    def extension_id(self) -> int | None:
        """The extension; None for the company."""
        return None if self.owner == COMPANY else self.owner


class CallIntake:
    """Writes records of calls into an index, shelved by its rules."""

    def __init__(self, index: MailboxIndex, shelving: CallShelving, name_folder: NameFolder) -> None:
        self._index = index
        self._shelve = shelving.shelve
        self._name_folder = name_folder
        self.loading: set[tuple[int, str]] = set()
        """(owner, month) of the lists that this process is reading."""

    def take(
        self, log: Log, records: Iterable[Record], context: CallContext, listing: int | None = None
    ) -> ChangedCalls:
        """Writes the records of a page, or of a sync, whose records may be of calls that were deleted.

        Args:
            log: The log that was asked for.
            records: The records.
            context: The names that lines contain.
            listing: Number of the list that the page belongs to; None for a sync.

        Raises:
            StoreError: The index fails.
        """
        listed: dict[str, ShelvedCall] = {}
        others: dict[str, ShelvedCall] = {}
        removed: set[str] = set()
        for call in filter(None, map(call_from, records)):
            # The last record of a call counts.
            listed.pop(call.id, None)
            others.pop(call.id, None)
            removed.discard(call.id)
            if call.deleted:
                removed.add(call.id)
                continue
            shelved = self._shelve(call, context, undated=log.month)
            if listing is not None and shelved.month == log.month:
                listed[call.id] = shelved
            elif self._is_loaded(log, shelved):
                others[call.id] = shelved
        put, name = self._index.writer.calls.put, self._name_folder
        changed = ChangedCalls()
        if listed:
            changed |= put(log.account_id, list(listed.values()), name, listing=listing)
        if others or removed:
            changed |= put(log.account_id, list(others.values()), name, removed=removed)
        return changed

    def shelve_again(self, account_id: str, raws: Iterable[str], context: CallContext) -> ChangedCalls:
        """Writes known calls again, whose lines or places may be others now.

        Raises:
            StoreError: The index fails.
        """
        changed = ChangedCalls()
        for calls in _batches(self._shelved_again(raws, context)):
            changed |= self._index.writer.calls.put(account_id, calls, self._name_folder, again=True)
        return changed

    def _shelved_again(self, raws: Iterable[str], context: CallContext) -> Iterator[ShelvedCall]:
        for raw in raws:
            call = call_from(json.loads(raw))
            shelved = None if call is None else self._shelve(call, context, undated="")
            # Only the index knows the month of a call without a time; it stays as it is.
            if shelved is not None and shelved.month:
                yield shelved

    def _is_loaded(self, log: Log, call: ShelvedCall) -> bool:
        if (log.owner, call.month) in self.loading:
            return True
        owners = dict.fromkeys((log.owner, COMPANY, *call.extension_ids))
        months = (self._index.reader.calls.month(log.account_id, owner, call.month) for owner in owners)
        return any(month is not None and month.loaded for month in months)


def _batches(calls: Iterator[ShelvedCall]) -> Iterator[list[ShelvedCall]]:
    while batch := list(islice(calls, _AT_ONCE)):
        yield batch
