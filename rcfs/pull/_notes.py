"""The notes of a manifest about pulls, in the scratch database of the program that reads them."""

import sqlite3
from collections import deque

from rcfs.pull._facts import Had, HadRow, PullNote

NOTES_SCHEMA = """
CREATE TABLE had (
    owner INTEGER NOT NULL, kind TEXT NOT NULL, month TEXT NOT NULL,
    messages INTEGER NOT NULL, contents INTEGER NOT NULL, gone INTEGER NOT NULL,
    PRIMARY KEY (owner, kind, month)
) WITHOUT ROWID"""
"""The table of the numbers that pulls found at the platform."""
_PULLS = 20
"""Pulls to keep: those of a month of daily ones would make nobody wiser."""


class Notes:
    """The numbers that pulls found at the platform, and the latest pulls; for one thread at a time."""

    def __init__(self, database: sqlite3.Connection) -> None:
        """Begins without notes, in a database that has the tables of `NOTES_SCHEMA`."""
        self._database = database
        self.owners: dict[int, tuple[str, float]] = {}
        """(directory, time of the last look at the platform) of the owners of which a pull told, by id."""
        self.pulls: deque[PullNote] = deque(maxlen=_PULLS)
        """The latest pulls, the last one at the end."""

    def rows(self, owner: int) -> tuple[HadRow, ...]:
        """The findings of pulls at the platform for `owner`, by kind and month."""
        rows = self._database.execute(
            "SELECT kind, month, messages, contents, gone FROM had WHERE owner = ? ORDER BY kind, month",
            (owner,),
        )
        return tuple(HadRow(*row) for row in rows)

    def merge(self, had: Had) -> None:
        """Notes the greatest numbers: a message that the platform purges later stays in the copy."""
        self.owners[had.owner] = had.name, had.at_s
        self._database.executemany(
            "INSERT INTO had VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET"
            " messages = max(messages, ?4), contents = max(contents, ?5), gone = ?6",
            ((had.owner, row.kind, row.month, row.messages, row.contents, row.gone) for row in had.rows),
        )

    def add_pull(self, note: PullNote) -> None:
        """Notes a pull, in place of the note before if that has the same beginning."""
        if self.pulls and self.pulls[-1].at_s == note.at_s:
            self.pulls.pop()
        self.pulls.append(note)
