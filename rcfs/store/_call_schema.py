"""The tables of calls and recordings in the index of mailboxes.

A call has one row in `calls`, and one in `call_places` for each log that has it: that of the company, and
those of the extensions whose call it was. A log is a month of one owner (`call_months`), with exact sums.
`call_places` repeats the start of the call, because a log is read in that order. A recording has one row,
and one in `recording_links` for each folder of its owner's mailbox that holds a link to it.

The full-text index `call_words` keeps no texts: they can be read from the rows of `calls`, where `worded`
says whether it has their words.
"""

import sqlite3

from rcfs.store._checked_table import CheckedTable
from rcfs.store._checksum import DamagedRowError

CALL_WORDS = """CREATE VIRTUAL TABLE call_words USING fts5 (
    people, tokenize = 'unicode61 remove_diacritics 2', content = '', columnsize = 0
)"""
"""The full-text index: names, numbers and dates of the calls. It needs no sizes, since nothing is ranked."""

CALLS_MIGRATION = f"""
CREATE TABLE call_months (
    log INTEGER PRIMARY KEY,
    account_id TEXT NOT NULL, owner INTEGER NOT NULL, month TEXT NOT NULL,
    loaded INTEGER NOT NULL DEFAULT 0, listing INTEGER NOT NULL DEFAULT 0,
    synced_s REAL NOT NULL DEFAULT 0, revision INTEGER NOT NULL DEFAULT 0,
    calls INTEGER NOT NULL DEFAULT 0, recordings INTEGER NOT NULL DEFAULT 0,
    csv_bytes INTEGER NOT NULL DEFAULT 0, json_bytes INTEGER NOT NULL DEFAULT 0, modified_s REAL, crc,
    UNIQUE (account_id, owner, month)
);
CREATE TABLE calls (
    call INTEGER PRIMARY KEY,
    account_id TEXT NOT NULL, id TEXT NOT NULL, started_s REAL, modified_s REAL,
    csv_bytes INTEGER NOT NULL, json_bytes INTEGER NOT NULL,
    message_extension INTEGER, message_id INTEGER, texts BLOB NOT NULL,
    worded INTEGER NOT NULL DEFAULT 0, crc, texts_crc
);
CREATE INDEX calls_identified ON calls (id);
CREATE INDEX calls_labelled ON calls (message_extension) WHERE message_extension IS NOT NULL;
CREATE TABLE call_places (
    log INTEGER NOT NULL, started_s REAL NOT NULL, call INTEGER NOT NULL, listing INTEGER NOT NULL,
    PRIMARY KEY (log, started_s, call)
) WITHOUT ROWID;
CREATE INDEX call_places_of ON call_places (call);
CREATE TABLE recordings (
    recording INTEGER PRIMARY KEY,
    log INTEGER NOT NULL, call INTEGER NOT NULL, place INTEGER NOT NULL, id TEXT NOT NULL,
    name TEXT NOT NULL, named INTEGER NOT NULL, started_s REAL, duration_s INTEGER, uri TEXT NOT NULL,
    gone INTEGER NOT NULL DEFAULT 0, crc
);
CREATE INDEX recordings_listed ON recordings (log);
CREATE INDEX recordings_named ON recordings (log, named);
CREATE INDEX recordings_of ON recordings (call);
CREATE INDEX recordings_identified ON recordings (id);
CREATE TABLE recording_links (
    folder INTEGER NOT NULL, recording INTEGER NOT NULL, PRIMARY KEY (folder, recording)
) WITHOUT ROWID;
CREATE INDEX recording_links_of ON recording_links (recording);
{CALL_WORDS};
"""


def _table(name: str, columns: str, *, real: str = "", number: str = "", crc: str = "crc") -> CheckedTable:
    return CheckedTable(
        name, tuple(columns.split()), frozenset(real.split()), number, crc=crc, covers_name=False
    )


CALL_MONTHS = _table(
    "call_months",
    "account_id owner month loaded listing synced_s revision"
    " calls recordings csv_bytes json_bytes modified_s",
    real="synced_s modified_s",
    number="log",
)
CALLS = _table(
    "calls",
    "account_id id started_s modified_s csv_bytes json_bytes message_extension message_id",
    real="started_s modified_s",
    number="call",
)
TEXTS = _table("calls", "texts", crc="texts_crc")
"""The texts of the calls (see `rcfs.store._call_texts`), which listings do not read."""
RECORDINGS = _table(
    "recordings",
    "log call place id name named started_s duration_s uri gone",
    real="started_s",
    number="recording",
)
"""`place` is the number of the recording within its call; `named` is a checksum of the name, which makes a
small index of names."""
CHECKED_CALLS = (CALL_MONTHS, CALLS, TEXTS, RECORDINGS)
"""All tables of calls with checksums. The others have all that matters in two indices."""

_LOST_PLACES = (
    "SELECT 1 FROM call_places p LEFT JOIN calls c USING (call) LEFT JOIN call_months l USING (log)"
    " WHERE c.call IS NULL OR l.log IS NULL OR p.started_s IS NOT ifnull(c.started_s, 0.0)"
)
_LOST_CALLS = "SELECT 1 FROM calls c WHERE NOT EXISTS (SELECT 1 FROM call_places p WHERE p.call = c.call)"
_LOST_RECORDINGS = (
    "SELECT 1 FROM recordings r LEFT JOIN calls c USING (call) LEFT JOIN call_months l ON l.log = r.log"
    " WHERE c.call IS NULL OR l.log IS NULL"
)
_LOST_LINKS = (
    "SELECT 1 FROM recording_links k LEFT JOIN recordings r USING (recording)"
    " LEFT JOIN folders f USING (folder) WHERE r.recording IS NULL OR f.folder IS NULL"
)
SUMS = """
WITH sums (log, calls, csv_bytes, json_bytes) AS (
    SELECT log, count(*), sum(csv_bytes), sum(json_bytes)
    FROM call_places JOIN calls USING (call) GROUP BY log
), counts (log, recordings) AS (
    SELECT log, count(*) FROM recordings GROUP BY log
)
SELECT log, ifnull(s.calls, 0) AS calls, ifnull(c.recordings, 0) AS recordings,
    ifnull(s.csv_bytes, 0) AS csv_bytes, ifnull(s.json_bytes, 0) AS json_bytes
FROM call_months LEFT JOIN sums s USING (log) LEFT JOIN counts c USING (log)
"""
"""The sums of all logs, as the other tables have them."""
_WRONG_SUMS = (
    f"SELECT 1 FROM ({SUMS}) AS s JOIN call_months m USING (log)"  # noqa: S608 - our own words
    " WHERE (m.calls, m.recordings, m.csv_bytes, m.json_bytes)"
    " IS NOT (s.calls, s.recordings, s.csv_bytes, s.json_bytes)"
)
_CONTRADICTIONS = (
    ("a log shows a call that is missing, or the log is missing", _LOST_PLACES),
    ("a call is in no log", _LOST_CALLS),
    ("a recording has no call, or no log", _LOST_RECORDINGS),
    ("a folder shows a recording that is missing, or the folder is missing", _LOST_LINKS),
    ("the sums of a log are wrong", _WRONG_SUMS),
)
"""Each contradiction, and the query that finds it."""


def find_call_damage(connection: sqlite3.Connection) -> None:
    """Compare the tables of calls with each other; takes no lock.

    Raises:
        sqlite3.Error: They contradict each other, or cannot be read.
    """
    for meaning, query in _CONTRADICTIONS:
        if connection.execute(f"{query} LIMIT 1").fetchone() is not None:
            raise DamagedRowError(meaning)
