"""The attachments of a pull by the day of their messages, from which it chooses periods of exports. Pure."""

from collections.abc import Iterable, Iterator, Mapping

import attrs

from rcfs.model import DAY_S

TYPICAL_BYTES = 300_000
"""Size of an attachment whose record tells none, in place of the tree's estimates, which are upper bounds: a
voicemail of half a minute, a fax of a few pages or a photo of an MMS has about that."""


@attrs.define
class DaySums:
    """The attachments of the messages of one day, in UTC."""

    seen: int = 0
    """All that the pull has looked at."""
    missing: int = 0
    """Those of them that are neither cached nor in the copy."""
    sized: int = 0
    """Missing ones whose size is known."""
    sized_bytes: int = 0
    """The sum of those sizes."""

    def __add__(self, other: "DaySums") -> "DaySums":
        return DaySums(*(a + b for a, b in zip(attrs.astuple(self), attrs.astuple(other), strict=True)))


class Days:
    """The sums of all days, by number of the day since 1970; a few thousand at most."""

    def __init__(self) -> None:
        """Begins without attachments."""
        self._days: dict[int, DaySums] = {}
        self.types: set[str] = set()
        """Types of the messages with missing attachments."""

    def note(self, created_s: float, message_type: str, size_bytes: int | None, *, is_missing: bool) -> None:
        """Adds an attachment of a message of that time and type; its size is None if it is not known."""
        day = self._days.setdefault(int(created_s // DAY_S), DaySums())
        day.seen += 1
        if is_missing:
            self.types.add(message_type)
            day.missing += 1
            if size_bytes is not None:
                day.sized += 1
                day.sized_bytes += size_bytes

    @property
    def mean_bytes(self) -> float:
        """Mean size of the missing attachments with a known size; else `TYPICAL_BYTES`."""
        total = total_of(self._days.values())
        return total.sized_bytes / total.sized if total.sized else TYPICAL_BYTES

    def between(self, from_s: float, to_s: float) -> Iterator[tuple[int, DaySums]]:
        """The days that begin in ``[from_s, to_s)``, in order."""
        for day in sorted(self._days):
            if from_s <= day * DAY_S < to_s:
                yield day, self._days[day]

    def all(self) -> Mapping[int, DaySums]:
        """All days with attachments."""
        return self._days


def total_of(days: Iterable[DaySums]) -> DaySums:
    """The sum of `days`."""
    return sum(days, DaySums())
