"""Records out of an archive on their way into the index of mailboxes. All for one worker thread at a time."""

from typing import Final

from rcfs.errors import ServerError
from rcfs.exports._json_records import RecordCutter
from rcfs.exports._report import FillReport
from rcfs.mailbox import Mailboxes
from rcfs.model import Record
from rcfs.platform import decoded

_AT_ONCE: Final = 500
"""Records of one transaction, a tenth of a second of work: another process that writes waits no longer."""
_BATCH_BYTES: Final = 2 << 20
"""Bytes of records that wait for the next transaction at most."""
_OPERATION: Final = "messageStoreReportArchiveContent"
"""The name of the request in errors."""


class RecordsSink:
    """Takes the list of records of one mailbox, as it arrives."""

    def __init__(self, mailboxes: Mailboxes, numbers: tuple[int, int], name: str, report: FillReport) -> None:
        """Writes into the mailbox with `numbers`, see `Mailboxes.begin_records`."""
        self._mailboxes = mailboxes
        self._numbers = numbers
        self._name = name
        self._report = report
        self._cutter = RecordCutter()
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0

    def write(self, data: memoryview) -> None:
        for record in self._cutter.feed(bytes(data)):
            self._waiting.append(record)
            self._waiting_bytes += len(record)
            if len(self._waiting) >= _AT_ONCE or self._waiting_bytes >= _BATCH_BYTES:
                self._flush()

    def end(self, problem: str) -> None:
        self._flush()
        if problem:
            self._report.note("damaged", self._name, problem)
        elif not self._cutter.is_whole:
            self._report.note("damaged", self._name, "it is no list of records")
        elif self._cutter.too_long:
            reason = f"records above 1 MiB, which were left out: {self._cutter.too_long}"
            self._report.note("damaged", self._name, reason)

    def abort(self) -> None:
        self._flush()

    def _flush(self) -> None:
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        records = self._decoded(waiting)
        if records:
            self._mailboxes.take_records(self._numbers, records)
            self._report.records += len(records)

    def _decoded(self, records: list[bytes]) -> list[Record]:
        """The records that are JSON objects."""
        try:
            found = decoded(b"[" + b",".join(records) + b"]", _OPERATION)
        except ServerError:
            if len(records) == 1:
                return []
            # One of them is not JSON, so each is decoded alone.
            return [found for each in records for found in self._decoded([each])]
        return [each for each in found if isinstance(each, dict)]
