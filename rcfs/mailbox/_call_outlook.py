"""Numbers about the calls in the index, and the recordings that the platform deletes next."""

from collections.abc import Mapping

import attrs

from rcfs.mailbox._call_access import CallAccess
from rcfs.mailbox._context import Context
from rcfs.model import (
    COMPANY,
    DAY_S,
    CallMonth,
    RecordingKey,
    RecordingRow,
    Retention,
    iso_time,
    month_span_s,
    months_between,
)
from rcfs.status import RecordingExpiryStatus

_LEAST_DAYS = 1.0
"""Least time from which a number a day is calculated: the calls of a morning say little."""
_NEWEST = 2
"""Loaded months from which it is calculated: the newest, and the one before if the newest has just begun."""
_PAGE = 1000
"""Recordings that are read in one question."""
_FEW = 20_000
"""Recordings in these months that are read for each status: a few tenths of a second."""
_AGAIN_S = 3600.0
"""Time after which more are read again."""


@attrs.frozen
class CallCounts:
    """The calls and recordings in the index."""

    by_owner: Mapping[int, tuple[int, int]]
    """(calls, recordings) by owner; the calls of the company are all calls."""
    recordings_a_day: float | None
    """New recordings a day, by the newest loaded months; None if too little is loaded."""


@attrs.frozen
class _Found:
    at_s: float
    keys: tuple[RecordingKey, ...]
    starts_s: tuple[float | None, ...]
    first: RecordingRow | None


class CallOutlook:
    """Numbers about the calls of one account; each method is for one thread at a time."""

    def __init__(self, context: Context, access: CallAccess) -> None:
        self._calls = context.index.reader.calls
        self._cache = context.cache
        self._now_s = context.now_s
        self._access = access
        self._found: _Found | None = None

    def counts(self) -> CallCounts:
        """The calls and recordings in the index.

        Raises:
            StoreError: The index fails.
        """
        months = self._calls.all_months(self._access.account_id)
        by_owner: dict[int, tuple[int, int]] = {}
        for (owner, _month), state in months.items():
            calls, recordings = by_owner.get(owner, (0, 0))
            by_owner[owner] = calls + state.calls, recordings + state.recordings
        return CallCounts(by_owner, self._recordings_a_day(months))

    def expiring(self, retention: Retention, within_s: float) -> RecordingExpiryStatus | None:
        """The recordings that the platform deletes within `within_s`; None without any.

        Raises:
            StoreError: The index fails.
        """
        now_s = self._now_s()
        found = self._expiring(retention.span_of_recordings_s(now_s, within_s), now_s)
        first = found.first
        end = None if first is None else retention.end_of_recording(first.started_s, now_s)
        if first is None or first.started_s is None or end is None:
            return None
        uncached = {key for key in found.keys if self._cache.contains(key) != "yes"}
        starts_s = [s for key, s in zip(found.keys, found.starts_s, strict=True) if key in uncached and s]
        oldest_s = min(starts_s, default=None)
        loss = None if oldest_s is None else retention.end_of_recording(oldest_s, now_s)
        return RecordingExpiryStatus(
            recordings=len(found.keys),
            uncached=sum(key in uncached for key in found.keys),
            first_started=iso_time(first.started_s),
            first_goes=iso_time(end.at_s),
            first_goes_in_s=max(0.0, end.at_s - now_s),
            certain=end.certain,
            oldest_uncached=None if oldest_s is None else iso_time(oldest_s),
            loss_in_s=None if loss is None else max(0.0, loss.at_s - now_s),
        )

    def _expiring(self, span_s: tuple[float, float], now_s: float) -> _Found:
        account_id = self._access.account_id
        months = frozenset(months_between(*span_s))
        logs = [
            (owner, month, state.recordings)
            for (owner, month), state in self._calls.all_months(account_id).items()
            if month in months and state.recordings
        ]
        known = self._found
        is_much = sum(count for _owner, _month, count in logs) > _FEW
        if is_much and known is not None and 0 <= now_s - known.at_s < _AGAIN_S:
            return known
        rows = [row for owner, month, _count in logs for row in self._between(owner, month, span_s)]
        first = min(rows, key=lambda row: row.started_s or 0.0, default=None)
        keys = tuple(RecordingKey(account_id, row.id) for row in rows)
        self._found = _Found(now_s, keys, tuple(row.started_s for row in rows), first)
        return self._found

    def _between(self, owner: int, month: str, span_s: tuple[float, float]) -> list[RecordingRow]:
        found, after = [], 0
        while page := self._calls.recordings(self._access.account_id, owner, month, after, _PAGE):
            after = page[-1].number
            found += [
                row
                for row in page
                if not row.gone and row.started_s is not None and span_s[0] <= row.started_s <= span_s[1]
            ]
        return found

    def _recordings_a_day(self, logs: Mapping[tuple[int, str], CallMonth]) -> float | None:
        owners = None if self._access.company_refusal else {COMPANY}
        synced_s: dict[str, float] = {}
        for (owner, month), state in logs.items():
            if state.loaded and (owners is None or owner in owners):
                synced_s[month] = max(state.synced_s, synced_s.get(month, 0.0))
        months = sorted(synced_s, reverse=True)[:_NEWEST]
        # The platform keeps the newest 100,000 recordings: a large account has none of most of the month.
        oldest_s = self._calls.oldest_recording_s(self._access.account_id, months) or 0.0
        days = 0.0
        for month in months:
            begin_s, end_s = month_span_s(month)
            days += max(0.0, min(end_s, synced_s[month]) - max(begin_s, oldest_s)) / DAY_S
        if days < _LEAST_DAYS:
            return None
        return sum(state.recordings for (_owner, month), state in logs.items() if month in months) / days
