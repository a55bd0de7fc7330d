"""The directories of calls and recordings of an extension, or of the company.

    Calls/                  2026-11.csv and 2026-11.jsonl for each month, newest first
    Recordings/             a directory for each month, newest first
    Recordings/2026-11/     a file for each recording

To list `Calls` or `Recordings` loads nothing. A month is loaded when something in it is used.
"""

from collections.abc import Iterator
from typing import ClassVar

import attrs

from rcfs.model import (
    CALLS,
    LOG_ENDINGS,
    RECORDINGS_VIEW,
    Call,
    Leg,
    RecordingKey,
    RecordingRow,
    Wanted,
    collection_of,
    is_month,
)
from rcfs.tree._call_catalogue import CallCatalogue
from rcfs.tree._call_lines import header_line
from rcfs.tree._facts import address_of, named_facts
from rcfs.tree._media import estimated_recording
from rcfs.tree._nodes import ContentFile, Directory, Entry, Link, Node, TextFile
from rcfs.tree._pieces import pieces_of
from rcfs.tree._times import UNDATED, Times, times_of

_FIRST_MONTH = "2000-01"
"""The first month with a call log that can be looked up: the platform is no older than its company, which was
founded in 1999."""

_MONTHS = 12 * 10_000
"""Months that have a name: those of the years from 0 to 9999."""

_UNKNOWN_BYTES = 1 << 20
"""Size of a call log that is not loaded: 6,000 calls as CSV, more than most extensions have in a month. Too
large a size looks odd until the file is opened, too small a size truncates it."""


@attrs.define(eq=False, kw_only=True)
class MonthsDirectory(Directory):
    """A directory with entries for each month."""

    _calls: CallCatalogue
    _owner: int

    def times(self) -> Times:
        """The time of the newest call that is known."""
        months = (self._calls.month(self._owner, month) for month in self._months())
        newest_s = next((m.modified_s for m in months if m is not None and m.modified_s is not None), None)
        return times_of(newest_s, None, self._calls.fallback_s)

    def page(self, after: int, limit: int) -> list[Entry]:
        found: list[Entry] = []
        for month in self._months():
            found += (entry for entry in self._entries_of(month) if entry.cursor > after)
            if len(found) >= limit:
                break
        return found[:limit]

    def _months(self) -> list[str]:
        """The months to show, newest first, and the calls without a time at the end."""
        months = {month for month in self._calls.months_to_show(self._owner) if _is_name(month)}
        return sorted(months, key=_rank)

    def _entries_of(self, month: str) -> Iterator[Entry]:
        raise NotImplementedError


@attrs.define(eq=False, kw_only=True)
class CallsDirectory(MonthsDirectory):
    """``Calls``: the call logs."""

    def find(self, name: str) -> Node | None:
        month, dot, ending = name.rpartition(".")
        kind = _LOGS.get(dot + ending)
        return self._log(month, kind) if kind is not None and self._exists(month) else None

    def volatile_names(self) -> list[str]:
        return [month + ending for month in self._months() for ending in _LOGS]

    def _exists(self, month: str) -> bool:
        """Whether `month` is listed, or is an older one, which can be looked up and is loaded then."""
        months = self._months()
        newest = next((each for each in months if each != UNDATED), "")
        return month in months or (is_month(month) and _FIRST_MONTH <= month <= newest)

    def _entries_of(self, month: str) -> Iterator[Entry]:
        for place, (ending, kind) in enumerate(_LOGS.items()):
            yield Entry(_rank(month) * len(_LOGS) + place, month + ending, self._log(month, kind))

    def _log(self, month: str, kind: "type[CallLogFile]") -> Node:
        known = self._calls.month(self._owner, month)
        is_exact = _is_known(self._calls, self._owner, month)
        return kind(
            times=times_of(None if known is None else known.modified_s, None, self._calls.fallback_s),
            size_bytes=kind.known_bytes(self._calls, self._owner, month) if is_exact else _UNKNOWN_BYTES,
            size_is_exact=is_exact,
            calls=self._calls,
            owner=self._owner,
            month=month,
        )


@attrs.define(eq=False, kw_only=True)
class RecordingsDirectory(MonthsDirectory):
    """``Recordings``: a directory for each month."""

    def find(self, name: str) -> Node | None:
        return self._month(name) if name in self._months() else None

    def _entries_of(self, month: str) -> Iterator[Entry]:
        yield Entry(_rank(month), month, self._month(month))

    def _month(self, month: str) -> Node:
        return RecordingMonthDirectory(calls=self._calls, owner=self._owner, month=month)


@attrs.define(eq=False, kw_only=True)
class RecordingMonthDirectory(Directory):
    """``Recordings/2026-11``: the recordings of a month."""

    _calls: CallCatalogue
    _owner: int
    _month: str

    @property
    def collection_id(self) -> str | None:
        return _collection(self._owner, self._month)

    @property
    def is_known(self) -> bool:
        return _is_known(self._calls, self._owner, self._month)

    def times(self) -> Times:
        known = self._calls.month(self._owner, self._month)
        return times_of(None if known is None else known.modified_s, None, self._calls.fallback_s)

    def find(self, name: str) -> Node | None:
        _require(self)
        row = self._calls.recording(self._owner, self._month, name)
        return None if row is None else recording_file(self._calls, row)

    def page(self, after: int, limit: int) -> list[Entry]:
        _require(self)
        rows = self._calls.recordings(self._owner, self._month, after, limit)
        return [Entry(row.number, row.name, recording_file(self._calls, row)) for row in rows]


@attrs.define(eq=False, kw_only=True)
class CallLogFile(TextFile):
    """The calls of a month, oldest first."""

    is_quick: ClassVar[bool] = False
    grows: ClassVar[bool] = True
    _calls: CallCatalogue
    _owner: int
    _month: str

    @property
    def collection_id(self) -> str | None:
        return _collection(self._owner, self._month)

    @property
    def is_known(self) -> bool:
        return _is_known(self._calls, self._owner, self._month)

    def content(self) -> bytes:
        return b"".join(self.pieces())

    def pieces(self) -> Iterator[bytes]:
        _require(self)
        return pieces_of(line.encode() for line in self._lines())

    def records(self) -> Iterator[str]:
        """The records of its calls as JSON texts, oldest first; for a worker thread.

        Raises:
            RuntimeError: The collection has not been loaded (`is_known` is False).
        """
        _require(self)
        return self._calls.records(self._owner, self._month)

    @property
    def month(self) -> str:
        """Its month, such as ``2026-11``."""
        return self._month

    @staticmethod
    def known_bytes(calls: CallCatalogue, owner: int, month: str) -> int:
        """The exact size of the file for a month that is loaded, in bytes."""
        raise NotImplementedError

    def _lines(self) -> Iterator[str]:
        raise NotImplementedError


@attrs.define(eq=False, kw_only=True)
class CallTable(CallLogFile):
    """``2026-11.csv``: a line for each call."""

    @staticmethod
    def known_bytes(calls: CallCatalogue, owner: int, month: str) -> int:
        known = calls.month(owner, month)
        return len(header_line()) + (0 if known is None else known.csv_bytes)

    def _lines(self) -> Iterator[str]:
        yield header_line()
        yield from self._calls.lines(self._owner, self._month)


@attrs.define(eq=False, kw_only=True)
class CallRecords(CallLogFile):
    """``2026-11.jsonl``: the record of each call, whole, on a line of its own."""

    @staticmethod
    def known_bytes(calls: CallCatalogue, owner: int, month: str) -> int:
        known = calls.month(owner, month)
        return 0 if known is None else known.json_bytes

    def _lines(self) -> Iterator[str]:
        return (f"{record}\n" for record in self._calls.records(self._owner, self._month))


_LOGS: dict[str, type[CallLogFile]] = dict(zip(LOG_ENDINGS, (CallTable, CallRecords), strict=True))
"""The files of a month in `CallsDirectory`, by the ends of their names."""


@attrs.define(eq=False, kw_only=True)
class RecordingFile(ContentFile):
    """The recording of a call or of one leg."""

    key: RecordingKey
    """Key of the content."""
    row: RecordingRow
    """The recording, as the index has it."""
    _calls: CallCatalogue

    @property
    def place(self) -> tuple[object, ...]:
        return self.row.owner, RECORDINGS_VIEW

    def wanted(self) -> Wanted:
        return Wanted(
            self.key,
            self.row.uri,
            size_known=self.size_is_exact,
            purged=self.purged,
            owner=self.row.owner,
        )

    def xattrs(self) -> dict[str, str]:
        """Its ids and key, and the direction, parties and duration of its leg, as messages have them."""
        call, leg = self._read()
        return named_facts(
            recording_id=self.row.id,
            call_id=call and call.id,
            session_id=call and call.session_id,
            direction=leg.direction,
            **{"from": address_of(leg.sender)},
            to=address_of(leg.receiver),
            duration=self.row.duration_s,
            type=leg.recording and leg.recording.kind,
            key=self.key,
        )

    def leg(self) -> Leg:
        """The leg that was recorded, read now; an empty one if its call is gone."""
        return self._read()[1]

    def _read(self) -> tuple[Call | None, Leg]:
        call = self._calls.call(self.row.call)
        legs = () if call is None else call.recorded_legs
        leg = next((leg for leg in legs if leg.recording and leg.recording.id == self.row.id), Leg())
        return call, leg

    def _stored_bytes(self) -> int | None:
        return self._calls.learned_bytes(self.key)


def recording_file(calls: CallCatalogue, row: RecordingRow) -> RecordingFile:
    """The file of a recording."""
    return RecordingFile(
        times=times_of(row.started_s, None, calls.fallback_s),
        key=RecordingKey(calls.account_id, row.id),
        purged=row.gone,
        estimate_bytes=estimated_recording(row.duration_s, row.uri),
        row=row,
        calls=calls,
    )


def recording_link(calls: CallCatalogue, row: RecordingRow) -> Link:
    """A link to a recording from a folder of the mailbox of its owner."""
    target = "/".join(("..", "..", RECORDINGS_VIEW, row.month, row.name))
    return Link(times=times_of(row.started_s, None, calls.fallback_s), target=target)


def _is_name(month: str) -> bool:
    return month == UNDATED or is_month(month)


def _rank(month: str) -> int:
    """The place of a month in a listing that has the newest first, from 1; it never changes."""
    if month == UNDATED:
        return _MONTHS + 1
    year, _, number = month.partition("-")
    return _MONTHS - (12 * int(year) + int(number) - 1)


def _collection(owner: int, month: str) -> str | None:
    """The collection of a month; None for the calls without a time, which no listing brings."""
    return None if month == UNDATED else collection_of(CALLS, owner, month)


def _is_known(calls: CallCatalogue, owner: int, month: str) -> bool:
    return month == UNDATED or calls.is_loaded(owner, month)


def _require(node: Node) -> None:
    if not node.is_known:
        raise RuntimeError(f"{node.collection_id} has not been loaded")
