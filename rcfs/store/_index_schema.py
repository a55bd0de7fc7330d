"""The tables of the index of mailboxes, and how an older index becomes a present one.

A message stands once in `messages`, and in `places` once for every folder that shows it. A folder belongs to
a view of a mailbox and has a key that never changes; its name may, when one learns who a number belongs to.
"""

import sqlite3

from rcfs.store._checksum import FUNCTION, DamagedRowError
from rcfs.store._database import Format

WORDS = """CREATE VIRTUAL TABLE words USING fts5 (
    said, people, files, tokenize = 'unicode61 remove_diacritics 2', prefix = '3'
)"""
"""What searches look through: the texts, names and numbers, and names of files of every message."""

_FIRST = f"""
CREATE TABLE logins (
    login TEXT PRIMARY KEY, account_id TEXT NOT NULL, account_name TEXT NOT NULL, extensions TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE mailboxes (
    mailbox INTEGER PRIMARY KEY,
    account_id TEXT NOT NULL, extension_id INTEGER NOT NULL,
    loaded INTEGER NOT NULL DEFAULT 0, generation INTEGER NOT NULL DEFAULT 0,
    sync_token TEXT NOT NULL DEFAULT '', synced_s REAL NOT NULL DEFAULT 0,
    edition INTEGER NOT NULL DEFAULT 0,
    UNIQUE (account_id, extension_id)
);
CREATE TABLE messages (
    message INTEGER PRIMARY KEY,
    mailbox INTEGER NOT NULL, id INTEGER NOT NULL,
    name TEXT NOT NULL, created_s REAL, modified_s REAL,
    home INTEGER NOT NULL, generation INTEGER NOT NULL, spoken_bytes INTEGER NOT NULL, raw TEXT NOT NULL,
    UNIQUE (mailbox, id)
);
CREATE INDEX messages_identified ON messages (id);
CREATE INDEX messages_dated ON messages (message, created_s, mailbox);
CREATE TABLE folders (
    folder INTEGER PRIMARY KEY,
    mailbox INTEGER NOT NULL, view TEXT NOT NULL, key TEXT NOT NULL,
    name TEXT NOT NULL, folded TEXT NOT NULL, created_s REAL, modified_s REAL,
    spoken_bytes INTEGER NOT NULL DEFAULT 0,
    UNIQUE (mailbox, view, key)
);
CREATE INDEX folders_listed ON folders (mailbox, view, folder);
CREATE INDEX folders_named ON folders (mailbox, view, name);
CREATE INDEX folders_created ON folders (mailbox, view, created_s);
CREATE INDEX folders_modified ON folders (mailbox, view, modified_s);
CREATE INDEX folders_folded ON folders (mailbox, view, folded);
CREATE TABLE places (folder INTEGER NOT NULL, message INTEGER NOT NULL, PRIMARY KEY (folder, message))
    WITHOUT ROWID;
CREATE INDEX places_of ON places (message);
CREATE TABLE parties (
    folder INTEGER NOT NULL, identity TEXT NOT NULL, name TEXT NOT NULL, since_s REAL NOT NULL,
    PRIMARY KEY (folder, identity)
) WITHOUT ROWID;
CREATE INDEX parties_named ON parties (identity);
CREATE TABLE owners (mailbox INTEGER NOT NULL, identity TEXT NOT NULL, PRIMARY KEY (mailbox, identity))
    WITHOUT ROWID;
CREATE TABLE transcripts (message INTEGER PRIMARY KEY, text TEXT NOT NULL);
{WORDS};
CREATE TABLE searches (
    search INTEGER PRIMARY KEY,
    account_id TEXT NOT NULL, name TEXT NOT NULL, made_s REAL NOT NULL,
    UNIQUE (account_id, name)
);
"""

_SECOND = """
CREATE TABLE notes (topic TEXT PRIMARY KEY, text TEXT NOT NULL, noted_s REAL NOT NULL) WITHOUT ROWID;
"""

# Short, and without a type: so the whole schema stays on the first page of the file.
_THIRD = """
ALTER TABLE messages ADD COLUMN crc;
ALTER TABLE messages ADD COLUMN raw_crc;
UPDATE messages SET raw_crc = row_checksum(raw),
    crc = row_checksum(mailbox, id, name, created_s, modified_s, home, spoken_bytes);
ALTER TABLE folders ADD COLUMN crc;
UPDATE folders SET
    crc = row_checksum(mailbox, view, key, name, folded, created_s, modified_s, spoken_bytes);
ALTER TABLE parties ADD COLUMN crc;
UPDATE parties SET crc = row_checksum(folder, identity, name, since_s);
ALTER TABLE mailboxes ADD COLUMN crc;
UPDATE mailboxes SET crc =
    row_checksum(account_id, extension_id, loaded, generation, sync_token, synced_s, edition);
ALTER TABLE logins ADD COLUMN crc;
UPDATE logins SET crc = row_checksum(login, account_id, account_name, extensions);
ALTER TABLE notes ADD COLUMN crc;
UPDATE notes SET crc = row_checksum(topic, text, noted_s);
"""

_FOURTH = """
ALTER TABLE owners ADD COLUMN crc;
UPDATE owners SET crc = row_checksum(mailbox, identity);
ALTER TABLE transcripts ADD COLUMN crc;
UPDATE transcripts SET crc = row_checksum(message, text);
ALTER TABLE searches ADD COLUMN crc;
UPDATE searches SET crc = row_checksum(account_id, name, made_s);
"""

RESHELVED = "shelving"
"""The topic of the note that says by which edition of the program everything is shown."""

CHECKED = {
    "messages": "mailbox, id, name, created_s, modified_s, home, spoken_bytes",
    "folders": "mailbox, view, key, name, folded, created_s, modified_s, spoken_bytes",
    "parties": "folder, identity, name, since_s",
    "mailboxes": "account_id, extension_id, loaded, generation, sync_token, synced_s, edition",
    "logins": "login, account_id, account_name, extensions",
    "notes": "topic, text, noted_s",
    "owners": "mailbox, identity",
    "transcripts": "message, text",
    "searches": "account_id, name, made_s",
}
"""The columns whose checksum the column ``crc`` of a table is. Beside them ``raw_crc`` of messages
is that of ``raw``, which listings do not read. Places have none: all of them is in two indices, see
`find_damage`."""


def checked(table: str, alias: str = "") -> str:
    """The columns of `table` that are checked, and their checksum: what a question is to ask for last.

    See `rcfs.store._index_database.IndexDatabase.sound`.
    """
    prefix = f"{alias}." if alias else ""
    return ", ".join(prefix + column for column in (*CHECKED[table].split(", "), "crc"))


def seal(table: str) -> str:
    """The beginning of a statement that makes the checksum of rows of `table` what it must be."""
    return f"UPDATE {table} SET crc = {FUNCTION}({CHECKED[table]})"  # noqa: S608 - our own words


MIGRATIONS = (_FIRST, _SECOND, _THIRD, _FOURTH)
"""See `rcfs.store._database.migrate`."""
FORM = Format(int.from_bytes(b"rcfm"), len(MIGRATIONS))
"""What tells an index from all other databases."""


def find_damage(connection: sqlite3.Connection) -> None:
    """Look at every page and every row; takes no lock.

    SQLite compares each table with its indices: that finds rows which are missing somewhere, places among
    them, whose two columns are in both. What is in no index, checksums tell.

    Raises:
        sqlite3.Error: It is damaged, or cannot be looked at; see `rcfs.store._sqlite.is_damage`.
    """
    ((verdict,),) = connection.execute("PRAGMA integrity_check(1)")
    if verdict != "ok":
        raise DamagedRowError("its pages contradict each other")
    sums = [(table, columns, "crc") for table, columns in CHECKED.items()]
    for table, columns, checksum in (*sums, ("messages", "raw", "raw_crc")):
        wrong = f"SELECT 1 FROM {table} WHERE {FUNCTION}({columns}) IS NOT {checksum} LIMIT 1"  # noqa: S608
        if connection.execute(wrong).fetchone() is not None:
            raise DamagedRowError(f"a row of {table} is not as it was written")
    lost = (
        "SELECT 1 FROM places p LEFT JOIN messages m USING (message) LEFT JOIN folders f USING (folder)"
        " WHERE m.message IS NULL OR f.folder IS NULL LIMIT 1"
    )
    if connection.execute(lost).fetchone() is not None:
        raise DamagedRowError("it shows what it does not have")
