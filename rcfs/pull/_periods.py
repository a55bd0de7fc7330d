"""The periods of message store reports that bring what a pull misses, so that little is fetched twice. Pure.

A report holds the attachments of all mailboxes, cached or not. So a month becomes part of a period if a share
of its attachments is missing, and months that follow each other make one period. An export that was asked for
before is used again.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

import attrs

from rcfs.model import DAY_S, Export, ExportKind, ExportQuery, ExportState, month_of, month_span_s
from rcfs.pull._days import Days, DaySums, total_of

LEAST_SHARE = 0.5
"""Share of the attachments of a month that must be missing: then at most as much is fetched twice as once."""
MOST_PERIOD_BYTES = 20 << 30
"""Size of the archives of one period, at most: twenty of the largest, which arrive in minutes to hours. The
platform does not tell how long it keeps archives, and a period that fails is to cost little."""

_MOST_NEEDLESS = 10
"""How many times as large as what is missing the rest of a present export may be: sizes are often unknown,
and another export takes minutes."""
_LITTLE_BYTES = 1e9
"""Rest of a present export that is always used: one archive."""
_USELESS = frozenset({ExportState.FAILED, ExportState.CANCELLED, ExportState.EXPIRED})


@attrs.frozen
class Known:
    """An export that was asked for before, and what of its archives was not taken apart yet."""

    export: Export
    """The export."""
    archives: int | None = None
    """Archives that are left; None if they are not listed yet."""
    size_bytes: int = 0
    """Their size, without the parts that are done."""


@attrs.frozen
class Period:
    """One export of a plan."""

    query: ExportQuery
    """The period and the types of messages."""
    missing: int
    """Number of missing attachments that it can bring, at least 1."""
    total_bytes: float
    """Size of its archives: as listed, or else an estimate."""
    until_s: float
    """End of the creation times that it can hold, seconds since 1970 UTC; not after `query.to_s`."""
    known: Known | None = None
    """The export, if it was asked for before."""

    def holds(self, created_s: float) -> bool:
        """Whether it can hold a message of that time."""
        return self.query.from_s <= created_s < self.until_s


@attrs.frozen
class Scope:
    """The bounds within which periods are chosen."""

    from_s: float
    """Earliest creation time that is wanted, seconds since 1970 UTC."""
    to_s: float
    """End of the creation times, not later than the present."""
    types: tuple[str, ...] = ()
    """Types of messages to which reports are restricted; empty for all."""
    factor: float = 1.0
    """Attachments in the mailboxes of the account for each one that the pull looked at, at least 1."""
    is_eager: bool = False
    """Whether to choose every month with a missing attachment."""


def choose_periods(days: Days, scope: Scope, exports: Iterable[Known]) -> tuple[Period, ...]:
    """The periods, those of present exports first, and else in the order of time; none of them overlap.

    Args:
        days: The attachments that the pull looked at.
        scope: The bounds.
        exports: The exports of the account.
    """
    chosen: list[Period] = []
    left = {day: sums for day, sums in days.all().items() if scope.from_s < (day + 1) * DAY_S}
    usable = [_reused(known, days) for known in exports if _is_usable(known, days)]
    for period in sorted(usable, key=lambda each: -each.missing):
        covered = {day for day in left if period.holds(day * DAY_S)}
        missing = total_of(left[day] for day in covered).missing
        most_bytes = max(_LITTLE_BYTES, _MOST_NEEDLESS * missing * days.mean_bytes)
        if missing and (period.known is None or period.known.size_bytes <= most_bytes):
            chosen.append(attrs.evolve(period, missing=missing))
            left = {day: sums for day, sums in left.items() if day not in covered}
    for months in _runs(left, scope):
        for part in _split(months, left, days.mean_bytes * scope.factor):
            new = _new(part, left, scope, days.mean_bytes)
            if new is not None:
                chosen.append(new)
    return tuple(chosen)


def _is_usable(known: Known, days: Days) -> bool:
    """Whether an export can bring missing attachments."""
    query = known.export.query
    if query.kind is not ExportKind.MESSAGES or known.export.state in _USELESS or known.archives == 0:
        return False
    return not query.types or days.types <= set(query.types)


def _reused(known: Known, days: Days) -> Period:
    export = known.export
    query = export.query
    # It holds what there was when it was asked for; one that waits will hold what there is then.
    until_s = query.to_s if export.state is ExportState.WAITING else min(query.to_s, export.asked_s)
    sums = total_of(sums for _day, sums in days.between(query.from_s, until_s))
    size_bytes = sums.seen * days.mean_bytes if known.archives is None else known.size_bytes
    return Period(query, sums.missing, size_bytes, until_s, known)


def _runs(left: Mapping[int, DaySums], scope: Scope) -> Iterator[Sequence[str]]:
    """The months to fetch, in order, those that follow each other together.

    A month without attachments between two of them interrupts nothing.
    """
    by_month: dict[str, DaySums] = {}
    for day in sorted(left):
        month = month_of(day * DAY_S)
        by_month[month] = by_month.get(month, DaySums()) + left[day]

    def is_wanted(month: str) -> bool:
        sums = by_month[month]
        if not sums.missing:
            return False
        return scope.is_eager or sums.missing >= LEAST_SHARE * sums.seen * scope.factor

    for wanted, months in groupby(by_month, is_wanted):
        if wanted:
            yield list(months)


def _split(months: Sequence[str], left: Mapping[int, DaySums], each_bytes: float) -> Iterator[Sequence[str]]:
    """`months` in parts of at most `MOST_PERIOD_BYTES`, or one month; each attachment has `each_bytes`."""
    part: list[str] = []
    size_bytes = 0.0
    for month in months:
        from_s, to_s = month_span_s(month)
        more = total_of(s for day, s in left.items() if from_s <= day * DAY_S < to_s).seen * each_bytes
        if part and size_bytes + more > MOST_PERIOD_BYTES:
            yield part
            part, size_bytes = [], 0.0
        part.append(month)
        size_bytes += more
    yield part


def _new(
    months: Sequence[str], left: Mapping[int, DaySums], scope: Scope, mean_bytes: float
) -> Period | None:
    """The period of `months`, without days at its ends on which nothing is missing; None if none remain."""
    from_s = max(month_span_s(months[0])[0], scope.from_s // DAY_S * DAY_S)
    to_s = min(month_span_s(months[-1])[1], -(-scope.to_s // DAY_S) * DAY_S)
    within = [day for day in sorted(left) if from_s <= day * DAY_S < to_s]
    lacking = [day for day in within if left[day].missing]
    if not lacking:
        return None
    if within[0] != lacking[0]:
        from_s = lacking[0] * DAY_S
    if within[-1] != lacking[-1]:
        to_s = (lacking[-1] + 1) * DAY_S
    sums = total_of(left[day] for day in within if from_s <= day * DAY_S < to_s)
    query = ExportQuery(ExportKind.MESSAGES, from_s, to_s, scope.types)
    total_bytes = sums.seen * scope.factor * mean_bytes
    return Period(query, sums.missing, total_bytes, min(to_s, scope.to_s))
