"""The choice between the two ways of attachments: one by one, or in the archives of exports.

Both are costed with the forecast of the real quota. Nothing is sent for that. Recordings and greetings are in
no export, and always come one by one.
"""

import enum
import math
from collections.abc import Sequence
from typing import Final

import attrs

from rcfs.engine import Engine
from rcfs.exports import MOST_AT_ONCE
from rcfs.model import (
    HEAVY,
    MEDIUM,
    Export,
    ExportArchive,
    ExportKind,
    ExportState,
    Priority,
    UsageGroup,
    format_duration,
    format_size,
)
from rcfs.pull._days import Days
from rcfs.pull._periods import Known, Period, Scope, choose_periods
from rcfs.transport import Budget

ASSUMED_REPORT_S: Final = 300.0
"""Duration of a report on an account that has seen none: the documentation speaks of several minutes."""
ASSUMED_BYTES_S: Final = 10e6
"""Bytes a second that the line brings until a transfer has shown otherwise: 80 Mbit/s."""
ARCHIVE_BYTES: Final = 1e9
"""Size of an archive that is full (documentation of message store exports: 1 GB)."""
_POLL_S: Final = 20.0
"""Seconds between two looks at a report, about."""
WORTH: Final = 2.0
"""Exports must be this many times faster: they are work for the platform, and their forecast is rougher."""


class Via(enum.Enum):
    """The ways of attachments; the value is the option's."""

    AUTO = "auto"
    """The faster one."""
    ATTACHMENTS = "attachments"
    """One request for each attachment."""
    EXPORTS = "exports"
    """Message store reports, and requests for what they do not bring."""


@attrs.frozen
class Way:
    """A choice, and its reasons."""

    via: Via
    """`Via.ATTACHMENTS` or `Via.EXPORTS`."""
    count: int
    """Missing attachments."""
    periods: tuple[Period, ...] = ()
    """The exports to use; empty for attachments."""
    left_s: float = 0.0
    """Seconds until the last attachment comes this way."""
    other_s: float | None = None
    """Seconds that the other way takes; None if there is no other."""
    reason: str = ""
    """Why there is no other way, or none that is worth it, as part of a sentence; empty for time."""
    report_s: float = ASSUMED_REPORT_S
    """Seconds that a report takes."""
    is_assumed: bool = True
    """Whether no earlier report told that."""

    @property
    def by_exports(self) -> int:
        """Missing attachments that the periods can hold."""
        return sum(period.missing for period in self.periods)

    @property
    def archives(self) -> int:
        """Archives that hold them, about."""
        return sum(archives_of(period) for period in self.periods)

    @property
    def total_bytes(self) -> float:
        """Size of those archives, about."""
        return sum(period.total_bytes for period in self.periods)

    def __str__(self) -> str:
        """The choice in one line; empty if no attachment is missing."""
        if not self.count:
            return ""
        attachments = f"{self.count:,} attachments" if self.count > 1 else "1 attachment"
        if self.via is Via.ATTACHMENTS:
            line = f"via attachments: {attachments} one by one, about {format_duration(self.left_s)}"
            if self.reason:
                return f"{line}; {self.reason}"
            return line if self.other_s is None else f"{line}; exports take {format_duration(self.other_s)}"
        archives = f"{self.archives} archives" if self.archives > 1 else "1 archive"
        rest = self.count - self.by_exports
        alone = f" and {rest:,} attachments one by one" if rest else ""
        report = f", {format_duration(self.report_s)} for a report" if self.is_assumed else ""
        instead = "" if self.other_s is None else f", instead of {format_duration(self.other_s)}"
        return (
            f"via exports: {archives} of {format_size(round(self.total_bytes))}{alone},"
            f" about {format_duration(self.left_s)}{instead} for {attachments} one by one;"
            f" assumed: {ASSUMED_BYTES_S / 1e6:.0f} MB a second{report}"
        )


class Costs:
    """The forecasts of both ways."""

    def __init__(self, engine: Engine) -> None:
        """Asks the quota of `engine`, and how long its exports took."""
        self._contents = engine.budget
        self._exporter = engine.lane.budget
        self._exports = engine.exports
        usual_s = self._exports.usual_s(ExportKind.MESSAGES)
        self.is_assumed = usual_s is None
        """Whether no export has told how long it takes."""
        self.report_s = ASSUMED_REPORT_S if usual_s is None else usual_s
        """Seconds that a report takes."""

    def attachments_s(self, count: int, size_bytes: float) -> float:
        """Seconds for `count` attachments of that size together, one by one."""
        return max(_answered_s(self._contents, MEDIUM, count), size_bytes / ASSUMED_BYTES_S)

    def exports_s(self, periods: Sequence[Period]) -> float:
        """Seconds until the archives of `periods` have come."""
        if not periods:
            return 0.0
        waits_s = sorted(self._wait_s(period) for period in periods)
        new = sum(period.known is None for period in periods)
        rounds_s = max(waits_s[-1], math.ceil(new / MOST_AT_ONCE) * self.report_s)
        requests = sum(self.requests(period) for period in periods)
        line_s = sum(period.total_bytes for period in periods) / ASSUMED_BYTES_S
        # The first archives come while later reports are still made.
        return max(rounds_s, waits_s[0] + max(_answered_s(self._exporter, HEAVY, requests), line_s))

    def is_worth(self, period: Period) -> bool:
        """Whether a period brings its attachments in half the time that they take one by one.

        Waiting counts once for all periods, so not here.
        """
        alone_s = period.missing * self._contents.interval_s(MEDIUM)
        heavy_s = self.requests(period) * self._exporter.interval_s(HEAVY)
        return max(heavy_s, period.total_bytes / ASSUMED_BYTES_S) * WORTH < alone_s

    def requests(self, period: Period) -> int:
        """Requests of the group `HEAVY` that a period takes: to ask, to look, to list, and the archives."""
        known = period.known
        if known is not None and known.export.state is ExportState.COMPLETED:
            return archives_of(period)
        return archives_of(period) + 2 + math.ceil(self.report_s / _POLL_S)

    def report_left_s(self, export: Export) -> float:
        """Seconds until an export is complete; the duration of a whole report if that is unknown."""
        left_s = self._exports.left_s(export)
        return self.report_s if left_s is None else left_s

    def _wait_s(self, period: Period) -> float:
        return self.report_s if period.known is None else self.report_left_s(period.known.export)


def _answered_s(budget: Budget, group: UsageGroup, count: int) -> float:
    return budget.answered_s(group, Priority.BULK, count) if count else 0.0


def archives_of(period: Period) -> int:
    """Archives with attachments of a period that are left: as listed, or else an estimate."""
    listed = None if period.known is None else period.known.archives
    return max(1, math.ceil(period.total_bytes / ARCHIVE_BYTES)) if listed is None else listed


async def known_exports(engine: Engine) -> list[Known]:
    """The exports of messages that were asked for; of the complete ones, what is left to take apart.

    Raises:
        StoreError: The index fails.
    """
    found = []
    for export in engine.exports.all():
        if export.query.kind is not ExportKind.MESSAGES:
            continue
        if export.state is not ExportState.COMPLETED:
            found.append(Known(export))
            continue
        left = []
        for archive in contents_of(export):
            report = await engine.fast_lane.reported(archive)
            if not report.is_whole:
                left.append(max(0, (archive.size_bytes or 0) - report.done_bytes))
        found.append(Known(export, len(left), sum(left)))
    return found


def contents_of(export: Export) -> tuple[ExportArchive, ...]:
    """The archives of an export that hold attachments; the first one of a report holds the records."""
    return tuple(archive for archive in export.archives if archive.number > 0)


def choose_way(
    engine: Engine, days: Days, count: int, *, via: Via, scope: Scope | None, exports: Sequence[Known]
) -> Way:
    """The way of `count` missing attachments; asks the quota, and sends nothing.

    Args:
        engine: The engine.
        days: The attachments by day; those without a time are missing there.
        count: Number of all missing attachments.
        via: The user's wish.
        scope: The bounds for periods; None if reports would hold much else than the pull wants.
        exports: The exports that were asked for before.
    """
    costs = Costs(engine)
    mean_bytes = days.mean_bytes
    alone_s = costs.attachments_s(count, count * mean_bytes)
    by_attachments = Way(Via.ATTACHMENTS, count, left_s=alone_s)
    if not count or via is Via.ATTACHMENTS:
        return by_attachments
    refusal = engine.exports.refusal(ExportKind.MESSAGES)
    if refusal:
        return attrs.evolve(by_attachments, reason=f"there are no exports, because {refusal}")
    if scope is None:
        return attrs.evolve(by_attachments, reason="an export would bring much that is not wanted")
    periods = choose_periods(days, scope, exports)
    if via is Via.AUTO:
        periods = tuple(period for period in periods if costs.is_worth(period))
    if not periods:
        return attrs.evolve(by_attachments, reason="an export would bring much that is here already")
    rest = count - sum(period.missing for period in periods)
    exports_s = max(costs.exports_s(periods), costs.attachments_s(rest, rest * mean_bytes))
    if via is Via.AUTO and exports_s * WORTH > alone_s:
        return attrs.evolve(by_attachments, other_s=exports_s)
    return Way(
        Via.EXPORTS,
        count,
        periods,
        exports_s,
        alone_s,
        report_s=costs.report_s,
        is_assumed=costs.is_assumed and any(period.known is None for period in periods),
    )
