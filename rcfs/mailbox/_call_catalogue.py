"""The calls and recordings of an account, for the tree."""

import json
from collections.abc import Callable, Iterator
from functools import lru_cache

from rcfs.mailbox._call_access import CallAccess
from rcfs.model import DAY_S, Call, CallMonth, ContentKey, RecordingRow, call_from, months_between
from rcfs.store import MailboxIndex, SizeIndex

_SHOWN_S = 90 * DAY_S
"""The months of this time are shown even if they were never loaded, because the platform keeps recordings for
90 days. Source: documentation of recordings."""
_AT_HAND = 8
"""Parsed calls that are kept: reading the attributes of one recording asks for its call several times."""


class CallCatalogue:
    """The calls of an account. `lines` and `records` are for a worker thread, all else for the event loop.

    An owner is the internal id of an extension, or `COMPANY`. A month is a text such as ``2026-11``.

    Raises (all methods):
        StoreError: The index fails.
    """

    def __init__(
        self,
        index: MailboxIndex,
        sizes: SizeIndex,
        now_s: Callable[[], float],
        access: CallAccess,
    ) -> None:
        """The calls in `index`; `access` knows what the login may see, `now_s` gives the platform's time."""
        self._calls = index.reader.calls
        self._sizes = sizes
        self._now_s = now_s
        self._access = access
        # Keyed by the record's text, which is read each time: a changed record is parsed again.
        self._parsed = lru_cache(_AT_HAND)(_parse)
        self.fallback_s = 0.0
        """Time of what has none, in seconds since 1970-01-01 UTC."""

    @property
    def account_id(self) -> str:
        """Decimal account id."""
        return self._access.account_id

    @property
    def has_calls(self) -> bool:
        """Whether the login may read a call log; False if the app lacks the scope, True if unknown."""
        return not self._access.missing

    @property
    def has_company(self) -> bool:
        """Whether the login may see something of the company; True if unknown."""
        return self._access.may_see_company

    def is_loaded(self, owner: int, month: str) -> bool:
        """Whether the call log of a month is loaded, by the listing of its owner or of the company."""
        return self._access.is_loaded(owner, month)

    def months_to_show(self, owner: int) -> list[str]:
        """The months of the last 90 days, and those of which the index has calls, newest first."""
        recent = self.recent_months(self._now_s())
        return sorted({*recent, *self._calls.months(self.account_id, owner)}, reverse=True)

    @staticmethod
    def recent_months(at_s: float) -> list[str]:
        """The months that are shown at a time even if they have no call."""
        return months_between(at_s - _SHOWN_S, at_s)

    def month(self, owner: int, month: str) -> CallMonth | None:
        """The sums of a month; None if the index has no row for it."""
        return self._calls.month(self.account_id, owner, month)

    def recordings(self, owner: int, month: str, after: int, limit: int) -> list[RecordingRow]:
        """At most `limit` recordings of a month with numbers above `after`, in the order of their numbers."""
        return self._calls.recordings(self.account_id, owner, month, after, limit)

    def recording(self, owner: int, month: str, name: str) -> RecordingRow | None:
        """The recording whose file has that name; None if the month has no such recording."""
        return self._calls.recording(self.account_id, owner, month, name)

    def recording_by_id(self, recording_id: str) -> RecordingRow | None:
        """The recording with that id; None if the index does not have it."""
        return self._calls.recording_by_id(self.account_id, recording_id)

    def links(self, folder: int, after: int, limit: int) -> list[RecordingRow]:
        """At most `limit` recordings that a folder of a mailbox links to; `after` as in `recordings`."""
        return self._calls.links(folder, after, limit)

    def link(self, folder: int, name: str) -> RecordingRow | None:
        """The recording of that name that a folder of a mailbox links to; None without one."""
        return self._calls.link(folder, name)

    def call(self, number: int) -> Call | None:
        """The call with that number in the index (`RecordingRow.call`); None when it is gone."""
        raw = self._calls.raw(number)
        return None if raw is None else self._parsed(raw)

    def lines(self, owner: int, month: str) -> Iterator[str]:
        """The line of each call of a month in the CSV file, oldest first."""
        return iter(self._calls.lines(self.account_id, owner, month))

    def records(self, owner: int, month: str) -> Iterator[str]:
        """The record of each call of a month as JSON text, oldest first."""
        return iter(self._calls.records(self.account_id, owner, month))

    def learned_bytes(self, key: ContentKey) -> int | None:
        """The exact size of a content in bytes; None when it was never fetched."""
        return self._sizes.size(key)


def _parse(raw: str) -> Call | None:
    return call_from(json.loads(raw), raw)
