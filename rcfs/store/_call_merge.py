"""How calls come into the index and how they leave it, within one transaction.

A call is in the log of the company and in those of its extensions. Each of these places has the number of
the last listing of that log which brought the call: 0 before the first. A listing that does not bring a call
removes it from its log. Other logs keep the call if one of their own listings brought it; the company's log
also speaks for extensions that never were listed.
"""

import sqlite3
from collections.abc import Collection, Iterable

import attrs

from rcfs.errors import StoreError
from rcfs.model import COMPANY, NameFolder, ShelvedCall
from rcfs.store._call_changes import ChangedCalls, ChangedLog, KnownCall
from rcfs.store._call_logs import ChangedLogs
from rcfs.store._call_recordings import ChangedRecordings
from rcfs.store._call_schema import CALLS, TEXTS
from rcfs.store._call_texts import CallTexts, unpacked
from rcfs.store._checked_table import Row, verified
from rcfs.store._index_changes import later
from rcfs.store._index_values import finite

MOST_OWNERS = 1000
"""Extensions of one call that get it into their logs; a real call has a few."""
_COLUMNS = f"{CALLS.row_columns}, {TEXTS.row_columns}"
_PLACES = ", ".join("?" * (len(CALLS.columns) + len(TEXTS.columns) + 2))
_KNOWN = f"SELECT {CALLS.listed()}, {TEXTS.row_columns}, worded FROM calls"  # noqa: S608 - our own words
_LOG_BITS = 32


@attrs.frozen
class Listing:
    """A listing of one log."""

    log: int
    """Number of the log."""
    count: int
    """Its number among the listings of that log, from 1 on."""

    @classmethod
    def of(cls, number: int) -> "Listing":
        """The listing with this number."""
        return cls(number & ((1 << _LOG_BITS) - 1), number >> _LOG_BITS)

    @property
    def number(self) -> int:
        """One number for both."""
        return self.count << _LOG_BITS | self.log


class CallMerge:
    """Changes to the calls of one account, for one transaction that ends after `finish`."""

    def __init__(
        self, connection: sqlite3.Connection, account_id: str, name: NameFolder, listing: Listing | None
    ) -> None:
        """Begins with nothing changed.

        Args:
            connection: Within a transaction.
            account_id: Decimal account id.
            name: Names the folders of contacts.
            listing: The listing that the calls come from; None for changes.

        Raises:
            StoreError: The index was replaced after the listing had begun.
        """
        self._connection = connection
        self._account_id = account_id
        self._listing = listing
        self._new_places: list[tuple[int, float, int, int]] = []
        """Rows of `call_places` that are to be written."""
        self._other_lines: set[tuple[int, str]] = set()
        self.logs = ChangedLogs(connection, account_id)
        """The logs of the account."""
        self.recordings = ChangedRecordings(connection, account_id, self.logs, name)
        """The recordings of the account."""
        if listing is not None and not self._has_begun(listing):
            raise StoreError("the listing is not in the index, because rcfs has replaced a damaged one")

    def put(self, call: ShelvedCall, *, again: bool = False) -> None:
        """Put `call` into the index, unless the index has it already, unchanged or from a newer record.

        With `again`, an unchanged one is put again. Otherwise it is only marked as brought by the listing. A
        call whose texts are too large is left out.
        """
        texts = CallTexts.of(call)
        known = self._known(call.id)
        if known is None:
            self._insert(call, texts)
            return
        places = self._places_of(known.number)
        if call.modified_s is not None and call.modified_s < (known.modified_s or 0.0):
            self._mark(known, places)
            return
        before = unpacked(known.texts)
        wanted = self._logs_of(call)
        if not again and before.raw == texts.raw and places.keys() == {log.number for log in wanted}:
            self._mark(known, places)
            return
        self._replace(known, before, places, call, texts, wanted)

    def remove(self, ids: Iterable[str]) -> None:
        """Remove the calls with these ids, where the index has them."""
        for call_id in ids:
            known = self._known(call_id)
            if known is not None:
                self._remove(known, self._places_of(known.number))

    def remove_unseen(self, log: ChangedLog, count: int) -> None:
        """Remove from `log` the calls that its listing with the number `count` did not bring."""
        self._write_places()
        rows = self._connection.execute(
            "SELECT call FROM call_places WHERE log = ? AND listing < ?", (log.number, count)
        ).fetchall()
        for (number,) in rows:
            known = self._numbered(number)
            places = self._places_of(number)
            kept = {
                each
                for each, listing in places.items()
                if each != log.number and (listing > 0 or self.logs.numbered(each).loaded)
            }
            if not kept:
                self._remove(known, places)
            elif log.owner == COMPANY:
                self._leave(known, places.keys() - kept)
            else:
                self._leave(known, [log.number])

    def finish(self) -> ChangedCalls:
        """The logs, recordings and folders that changed, after the last writes."""
        self._write_places()
        folders = self.recordings.finish()
        self.logs.write()
        return ChangedCalls(frozenset(self._other_lines), frozenset(self.recordings.changed), folders)

    # One call

    def _insert(self, call: ShelvedCall, texts: CallTexts) -> None:
        row = self._row(call, texts)
        if row is None:
            return
        number = self._connection.execute(
            f"INSERT INTO calls ({_COLUMNS}, worded) VALUES ({_PLACES}, 1)",  # noqa: S608
            row,
        ).lastrowid
        assert number is not None  # noqa: S101 - a row was inserted
        self._index_words(number, texts)
        started_s = finite(call.started_s)
        for log in self._logs_of(call):
            self._enter(log, call, texts)
            self._new_places.append((log.number, started_s or 0.0, number, self._listing_of(log)))
        self.recordings.put(number, call.recordings, is_new=True)

    def _replace(
        self,
        known: KnownCall,
        before: CallTexts,
        places: dict[int, int],
        call: ShelvedCall,
        texts: CallTexts,
        wanted: Collection[ChangedLog],
    ) -> None:
        row = self._row(call, texts)
        if row is None:
            return
        at_s = finite(call.started_s) or 0.0
        is_shown_otherwise = (at_s, texts.raw, texts.line) != (known.at_s, before.raw, before.line)
        self._leave(known, places.keys() - {log.number for log in wanted})
        for log in wanted:
            if log.number not in places:
                self._enter(log, call, texts)
            elif is_shown_otherwise:
                log.add(known.csv_bytes, known.json_bytes, -1)
                self._enter(log, call, texts)
        self._connection.execute("DELETE FROM call_places WHERE call = ?", (known.number,))
        self._new_places += [
            (log.number, at_s, known.number, max(places.get(log.number, 0), self._listing_of(log)))
            for log in wanted
        ]
        self._connection.execute(
            f"UPDATE calls SET ({_COLUMNS}) = ({_PLACES}), worded = 1 WHERE call = ?",  # noqa: S608
            (*row, known.number),
        )
        if not known.worded or before.people != texts.people:
            self._forget_words(known, before)
            self._index_words(known.number, texts)
        self.recordings.put(known.number, call.recordings)

    def _remove(self, known: KnownCall, places: Collection[int]) -> None:
        self._leave(known, places)
        self.recordings.remove(known.number)
        self._forget_words(known, unpacked(known.texts))
        self._connection.execute("DELETE FROM calls WHERE call = ?", (known.number,))

    def _row(self, call: ShelvedCall, texts: CallTexts) -> Row | None:
        """The values of `_COLUMNS`; None if the texts are too large."""
        packed = texts.packed()
        if packed is None:
            return None
        fields = (self._account_id, call.id, finite(call.started_s), finite(call.modified_s))
        message = (None, None) if call.message is None else call.message
        return (*CALLS.row(*fields, texts.csv_bytes, texts.json_bytes, *message), *TEXTS.row(packed))

    def _known(self, call_id: str) -> KnownCall | None:
        """The call with this id; None if it is not in the index.

        Raises:
            DamagedRowError: The row is damaged, which a new checksum would hide.
        """
        return self._read("id = ? AND account_id = ?", call_id, self._account_id)

    def _numbered(self, number: int) -> KnownCall:
        known = self._read("call = ?", number)
        assert known is not None  # noqa: S101 - it was found a moment ago, in this transaction
        return known

    def _read(self, condition: str, *parameters: object) -> KnownCall | None:
        rows = verified(self._connection.execute(f"{_KNOWN} WHERE {condition}", parameters), CALLS, TEXTS)
        for row in rows:
            number, _account_id, _id, started_s, modified_s, csv_bytes, json_bytes, *_message, _crc = row[:10]
            texts, _texts_crc, worded = row[10:]
            return KnownCall(number, started_s, modified_s, csv_bytes, json_bytes, texts, bool(worded))
        return None

    # Words

    def _index_words(self, number: int, texts: CallTexts) -> None:
        self._connection.execute(
            "INSERT INTO call_words (rowid, people) VALUES (?, ?)", (number, texts.people)
        )

    def _forget_words(self, known: KnownCall, texts: CallTexts) -> None:
        if known.worded:
            self._connection.execute(
                "INSERT INTO call_words (call_words, rowid, people) VALUES ('delete', ?, ?)",
                (known.number, texts.people),
            )

    # Logs

    def _logs_of(self, call: ShelvedCall) -> list[ChangedLog]:
        owners = dict.fromkeys((COMPANY, *call.extension_ids[:MOST_OWNERS]))
        return [self.logs.at(owner, call.month) for owner in owners]

    def _enter(self, log: ChangedLog, call: ShelvedCall, texts: CallTexts) -> None:
        log.add(texts.csv_bytes, texts.json_bytes)
        log.modified_s = later(log.modified_s, later(finite(call.modified_s), finite(call.started_s)))
        self._change(log)

    def _leave(self, known: KnownCall, logs: Iterable[int]) -> None:
        for number in logs:
            log = self.logs.numbered(number)
            log.add(known.csv_bytes, known.json_bytes, -1)
            self._change(log)
            self._connection.execute(
                "DELETE FROM call_places WHERE log = ? AND started_s = ? AND call = ?",
                (number, known.at_s, known.number),
            )

    def _change(self, log: ChangedLog) -> None:
        self.logs.change(log)
        self._other_lines.add((log.owner, log.month))

    def _places_of(self, number: int) -> dict[int, int]:
        """The logs that have a call, and the last listing of each that brought it."""
        self._write_places()
        rows = self._connection.execute(
            "SELECT p.log, t.listing FROM call_places p INDEXED BY call_places_of"
            " JOIN call_places t USING (log, started_s, call) WHERE p.call = ?",
            (number,),
        )
        return dict(rows.fetchall())

    def _mark(self, known: KnownCall, places: dict[int, int]) -> None:
        """Mark a call as brought by the listing, and as known to listings that are under way."""
        for number, listing in places.items():
            brought = self._listing_of(self.logs.numbered(number))
            if brought > listing:
                self._connection.execute(
                    "UPDATE call_places SET listing = ? WHERE log = ? AND started_s = ? AND call = ?",
                    (brought, number, known.at_s, known.number),
                )

    def _listing_of(self, log: ChangedLog) -> int:
        """The listing that brings calls into `log`: for a change, the last listing begun."""
        if self._listing is not None and self._listing.log == log.number:
            return self._listing.count
        return log.listing

    def _has_begun(self, listing: Listing) -> bool:
        return self.logs.is_own(listing.log) and self.logs.numbered(listing.log).listing >= listing.count

    def _write_places(self) -> None:
        # In the order of the table, so that its pages are filled one after the other.
        self._connection.executemany("INSERT INTO call_places VALUES (?, ?, ?, ?)", sorted(self._new_places))
        self._new_places.clear()
