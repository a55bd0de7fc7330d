"""The outcome of filling the cache from an archive, and the mark from which an interrupted fill continues."""

import json
from collections.abc import Callable
from typing import Final

import attrs

from rcfs.model import ContentKey, one_line
from rcfs.store import MailboxIndex

_MOST_EXAMPLES: Final = 20
"""Examples that a report keeps: a person looks at a few; the counts tell the rest."""
_MOST_LETTERS: Final = 200
"""Longest path in an example; a path of the documented layout has at most 160 characters."""
_COUNTS: Final = ("filled", "present", "unknown", "damaged", "differing", "refused", "size_bytes", "records")


@attrs.frozen
class Example:
    """A member that did not become a content, and why."""

    kind: str
    """``unknown``, ``damaged``, ``differing`` or ``refused``."""
    name: str
    """Its path in the archive, safe for a terminal, and cut."""
    reason: str
    """The reason, as a part of a sentence."""


@attrs.define
class FillReport:
    """How far a fill is, or its outcome; the counts include what was done before an interruption."""

    filled: int = 0
    """Members that became contents in the cache."""
    present: int = 0
    """Members whose content the cache had already, or that another process was fetching, or whose text the
    record has; and the records of mailboxes that need none."""
    unknown: int = 0
    """Members that fit no message and attachment that rcfs knows."""
    damaged: int = 0
    """Members with a wrong CRC or size, or a broken stream."""
    differing: int = 0
    """Members with other bytes than the cache has, or another size than is known; what is known was kept."""
    refused: int = 0
    """Members that rcfs does not read: encrypted, empty, too large, of another compression."""
    size_bytes: int = 0
    """Bytes of the contents that were filled."""
    records: int = 0
    """Records that went into the index."""
    requests: int = 0
    """Requests that this run sent, repetitions included."""
    resumed_bytes: int = 0
    """Where this run began in the archive; 0 for its beginning."""
    done_bytes: int = 0
    """Bytes of the archive that are done, which no later run asks for again."""
    of_bytes: int | None = None
    """Size of the archive; None while it is unknown."""
    is_whole: bool = False
    """Whether the whole archive is done; False as well if it could not be read to its end."""
    agrees: bool = True
    """Whether the archive's directory lists the members that came; True until its end has come."""
    problem: str = ""
    """Why the archive could not be read to its end, as a sentence without a full stop; empty if it could."""
    examples: list[Example] = attrs.field(factory=list)
    """Some of the members that did not become contents, in this run."""

    @property
    def is_empty(self) -> bool:
        """Whether the whole archive was read, and has neither contents nor records."""
        return self.is_whole and not any(getattr(self, name) for name in _COUNTS)

    def note(self, kind: str, name: str, reason: str) -> None:
        """Counts a member that did not become a content."""
        setattr(self, kind, getattr(self, kind) + 1)
        if len(self.examples) < _MOST_EXAMPLES:
            self.examples.append(Example(kind, one_line(name[:_MOST_LETTERS]), reason))


@attrs.frozen
class FillMark:
    """The place in an archive up to which everything is done."""

    archive_bytes: int | None = None
    """Size of the archive; None if it is unknown."""
    done_bytes: int = 0
    """End of the last member that is done."""
    tally_count: int = 0
    tally_total: int = 0
    """The tally of the members up to there."""
    is_whole: bool = False
    """Whether the archive was read to its end."""
    agrees: bool = True
    """As in `FillReport`."""
    last: str = ""
    """Path of the last content that was filled; empty for none."""
    counts: dict[str, int] = attrs.field(factory=dict)
    """The counts of the report."""

    @classmethod
    def read(cls, index: MailboxIndex, key: ContentKey) -> "FillMark":
        """The mark of an archive; that of its beginning without one that can be read.

        Raises:
            StoreError: The index fails.
        """
        note = index.reader.noted(_topic(key))
        try:
            mark = cls() if note is None else cls(**json.loads(note.text))
            return mark if all(isinstance(each, int) for each in mark.counts.values()) else cls()
        except (ValueError, TypeError, AttributeError):
            return cls()

    def write(self, index: MailboxIndex, key: ContentKey, wall_clock: Callable[[], float]) -> None:
        """Keeps the mark, in place of an earlier one; for worker threads.

        Raises:
            StoreError: The index fails.
        """
        index.writer.note(_topic(key), json.dumps(attrs.asdict(self)), wall_clock())

    def report(self) -> FillReport:
        """A report that begins with these counts."""
        report = FillReport(
            resumed_bytes=self.done_bytes,
            done_bytes=self.done_bytes,
            of_bytes=self.archive_bytes,
            is_whole=self.is_whole,
            agrees=self.agrees,
        )
        for name in _COUNTS:
            setattr(report, name, self.counts.get(name, 0))
        return report

    @staticmethod
    def counts_of(report: FillReport) -> dict[str, int]:
        """The counts of a report."""
        return {name: getattr(report, name) for name in _COUNTS}


def _topic(key: ContentKey) -> str:
    return f"fill {key}"
