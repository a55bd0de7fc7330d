"""Telling a person's reads from those of a program that walks through files."""

from collections.abc import Hashable
from typing import Final

import attrs

from rcfs.model import Priority

PERSON_OPENS: Final = 4
"""Cold opens in a window that a person may make: as many as the reserve of the usual limit of 40, so that
all of them find a slot even while others copy."""

READER_WINDOW_S: Final = 60.0
"""Length of that window in seconds: the usual one of the rate limits, which it protects."""

_MAX_READERS: Final = 1024
"""Readers remembered at once, in less than 0.5 MB; the one idle longest is forgotten first. More than open
files within a minute, unless each file gets a process of its own, whose record is not used again."""


@attrs.define(eq=False)
class _Reader:
    """What is remembered of a reader."""

    opens_s: list[float]
    """Times of the last opens that counted as a person's, at most `PERSON_OPENS`."""
    last_s: float
    """Time of the last cold open."""
    bulk: bool = False
    """Whether it has made too many."""


class ReaderClassifier:
    """Decides how urgent a cold open is, one whose content is not in the cache, by who opens."""

    def __init__(self) -> None:
        self._readers: dict[Hashable, _Reader] = {}  # the one idle longest first

    def classify(self, reader: Hashable, now: float) -> Priority:
        """PERSON for the first few cold opens of `reader` within a window, BULK for further ones.

        A reader that has become bulk stays so until it has made no cold open for a whole window.

        Args:
            reader: Whoever opens; equal for opens that belong together.
            now: Seconds, from any origin; never goes back.
        """
        record = self._readers.pop(reader, None)
        if record is None or record.last_s + READER_WINDOW_S <= now:
            record = _Reader([], now)
        self._readers[reader] = record
        if len(self._readers) > _MAX_READERS:
            del self._readers[next(iter(self._readers))]

        record.last_s = now
        record.opens_s = [open_s for open_s in record.opens_s if open_s + READER_WINDOW_S > now]
        if record.bulk or len(record.opens_s) == PERSON_OPENS:
            record.bulk = True
            return Priority.BULK
        record.opens_s.append(now)
        return Priority.PERSON

    def is_bulk(self, reader: Hashable, now: float) -> bool:
        """Whether `reader` has become bulk, and its next cold open would not be a person's again."""
        record = self._readers.get(reader)
        return record is not None and record.bulk and record.last_s + READER_WINDOW_S > now
