"""The logs of calls in one transaction: their sums, read once and written once."""

import sqlite3

import attrs

from rcfs.store._call_changes import ChangedLog
from rcfs.store._call_schema import CALL_MONTHS
from rcfs.store._checked_table import Row, select
from rcfs.store._checksum import DamagedRowError
from rcfs.store._index_mailboxes import random_number

_INSERT = (
    f"INSERT INTO call_months (log, {CALL_MONTHS.row_columns})"  # noqa: S608 - our own words
    f" VALUES ({', '.join('?' * (len(CALL_MONTHS.columns) + 2))})"
)
_UPDATE = (
    f"UPDATE call_months SET ({CALL_MONTHS.row_columns})"  # noqa: S608
    f" = ({', '.join('?' * (len(CALL_MONTHS.columns) + 1))}) WHERE log = ?"
)


class ChangedLogs:
    """The logs of one account, for one transaction that ends with `write`."""

    def __init__(self, connection: sqlite3.Connection, account_id: str) -> None:
        """Uses `connection` within its transaction."""
        self._connection = connection
        self._account_id = account_id
        self._by_number: dict[int, ChangedLog] = {}
        self._by_month: dict[tuple[int, str], ChangedLog] = {}
        self._unwritten: set[int] = set()
        self._changed: set[int] = set()

    def known(self, owner: int, month: str) -> ChangedLog | None:
        """The log of a month of an owner; None if it is not in the index.

        Raises (all methods):
            DamagedRowError: The row of the log is not as it was written.
        """
        log = self._by_month.get((owner, month))
        if log is None:
            log = self._read("account_id = ? AND owner = ? AND month = ?", self._account_id, owner, month)
        return log

    def at(self, owner: int, month: str) -> ChangedLog:
        """The log of a month of an owner, which is created when it is missing."""
        log = self.known(owner, month)
        if log is None:
            log = ChangedLog(self._free_number(), self._account_id, owner, month)
            self._connection.execute(_INSERT, (log.number, *_row(log)))
            self._keep(log)
        return log

    def numbered(self, number: int) -> ChangedLog:
        """The log with this number, of the same account.

        Raises:
            DamagedRowError: It is missing.
        """
        log = self._by_number.get(number) or self._read("log = ?", number)
        if log is None:
            raise DamagedRowError("a log of calls is missing")
        return log

    def is_own(self, number: int) -> bool:
        """Whether the account has a log with this number."""
        log = self._by_number.get(number) or self._read("log = ?", number)
        return log is not None and log.account_id == self._account_id

    def write_later(self, log: ChangedLog) -> None:
        """Note that a field of `log` was changed that nobody is shown."""
        self._unwritten.add(log.number)

    def change(self, log: ChangedLog) -> None:
        """Note that `log` shows something else than before: its revision is counted up."""
        self._unwritten.add(log.number)
        if log.number not in self._changed:
            self._changed.add(log.number)
            log.revision += 1

    def write(self) -> None:
        """Write all changes."""
        rows = [(*_row(self._by_number[number]), number) for number in sorted(self._unwritten)]
        self._connection.executemany(_UPDATE, rows)
        self._unwritten.clear()

    def _read(self, condition: str, *parameters: object) -> ChangedLog | None:
        rows = select(self._connection, CALL_MONTHS, f"WHERE {condition}", *parameters)
        if not rows:
            return None
        *fields, _crc = rows[0]
        return self._keep(ChangedLog(*fields))

    def _keep(self, log: ChangedLog) -> ChangedLog:
        self._by_number[log.number] = log
        if log.account_id == self._account_id:
            self._by_month[log.owner, log.month] = log
        return log

    def _free_number(self) -> int:
        """A number that no log has; with 12,000 logs two would soon get the same one."""
        while True:
            number = random_number()
            if (
                self._connection.execute("SELECT 1 FROM call_months WHERE log = ?", (number,)).fetchone()
                is None
            ):
                return number


def _row(log: ChangedLog) -> Row:
    _number, *values = attrs.astuple(log)
    return CALL_MONTHS.row(*values)
