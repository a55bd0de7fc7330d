"""The rows of mailboxes, for the transactions that change them."""

import secrets
import sqlite3

from rcfs.store._checked_table import select
from rcfs.store._index_schema import MAILBOXES

MOST_NUMBERS = (1 << 31) - 1
"""Numbers of mailboxes and of logs are random, since a number of a replaced index must not be another one's
in the new one. They take four bytes in the database."""


def random_number() -> int:
    """A number for a new row. With 200 mailboxes, two get the same number once in 100,000 indices."""
    return secrets.randbelow(MOST_NUMBERS) + 1


def check_mailbox(connection: sqlite3.Connection, condition: str, *parameters: object) -> int | None:
    """The last listing of a mailbox that is about to be changed; None if it is not in the index.

    Raises:
        DamagedRowError: Its row is not as it was written, which a new checksum would hide.
    """
    rows = select(connection, MAILBOXES, f"WHERE {condition}", *parameters)
    return int(rows[0][4]) if rows else None


def update_checksum(connection: sqlite3.Connection, mailbox: int) -> None:
    """Give the row of a mailbox that was changed its checksum."""
    connection.execute(f"{MAILBOXES.update_checksum} WHERE mailbox = ?", (mailbox,))


def mailbox_of(connection: sqlite3.Connection, account_id: str, extension_id: int) -> int:
    """The number of a mailbox, which is created, not loaded, when it is missing.

    Raises:
        DamagedRowError: Its row is not as it was written.
    """
    rows = select(
        connection, MAILBOXES, "WHERE account_id = ? AND extension_id = ?", account_id, extension_id
    )
    if rows:
        return int(rows[0][0])
    number = random_number()
    connection.execute(
        "INSERT INTO mailboxes (mailbox, account_id, extension_id) VALUES (?, ?, ?)",
        (number, account_id, extension_id),
    )
    update_checksum(connection, number)
    return number


def count_change(connection: sqlite3.Connection, mailbox: int) -> None:
    """Count up the revision of a mailbox whose tree has changed; its row was checked before."""
    connection.execute("UPDATE mailboxes SET edition = edition + 1 WHERE mailbox = ?", (mailbox,))
    update_checksum(connection, mailbox)
