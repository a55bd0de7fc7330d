"""Sets of byte positions: the bytes of a content that have arrived, or are coming."""

from bisect import bisect_right
from operator import itemgetter

import attrs


@attrs.frozen
class RangeSet:
    """A set of byte positions, kept as ranges; immutable, so that a caller can plan on a snapshot.

    All ranges are half-open, ``[start, stop)``, and positions are at least 0.
    """

    spans: tuple[tuple[int, int], ...] = ()
    """The ranges in ascending order; none is empty, and no two overlap or touch."""

    @property
    def total(self) -> int:
        """Number of positions in the set."""
        return sum(stop - start for start, stop in self.spans)

    @property
    def end(self) -> int:
        """One past the last position; 0 when the set is empty."""
        return self.spans[-1][1] if self.spans else 0

    def plus(self, start: int, stop: int) -> "RangeSet":
        """This set with ``[start, stop)`` added; an empty range adds nothing."""
        if start >= stop:
            return self
        low = self._after(start)
        if low and self.spans[low - 1][1] >= start:
            low -= 1
        high = self._after(stop)
        if low < high:
            start = min(start, self.spans[low][0])
            stop = max(stop, self.spans[high - 1][1])
        return RangeSet((*self.spans[:low], (start, stop), *self.spans[high:]))

    def minus(self, start: int, stop: int) -> "RangeSet":
        """This set without ``[start, stop)``; an empty range takes nothing away."""
        if start >= stop:
            return self
        kept = ((first, min(last, start)) for first, last in self.spans if first < start)
        rest = ((max(first, stop), last) for first, last in self.spans if last > stop)
        return RangeSet((*kept, *rest))

    def has(self, start: int, stop: int) -> bool:
        """Whether all of ``[start, stop)`` is in the set; True for an empty range."""
        return self.gap(start, stop) is None

    def run_end(self, position: int) -> int:
        """The first position at or after `position` that is not in the set."""
        index = self._after(position)
        return max(position, self.spans[index - 1][1]) if index else position

    def run_before(self, position: int) -> int:
        """The stop of the last range that ends at or before `position`; 0 without any."""
        index = self._after(position)
        while index and self.spans[index - 1][1] > position:
            index -= 1
        return self.spans[index - 1][1] if index else 0

    def gap(self, start: int, stop: int) -> tuple[int, int] | None:
        """The first range of missing positions within ``[start, stop)``; None if all are in the set."""
        first = self.run_end(start)
        if first >= stop:
            return None
        index = self._after(first)
        return first, min(stop, self.spans[index][0]) if index < len(self.spans) else stop

    def _after(self, position: int) -> int:
        """The number of ranges that start at or before `position`."""
        return bisect_right(self.spans, position, key=itemgetter(0))
