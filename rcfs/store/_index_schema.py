"""The tables of the index of mailboxes, and how an older index becomes a present one.

A message has one row in `messages`, and one in `places` for every folder that shows it. A folder belongs to a
view of a mailbox and has a key that never changes; its name changes when a message tells whose a number is.
The tables of calls are in `rcfs.store._call_schema`.

Two columns have old names: `edition` of a mailbox is `MailboxState.revision`, and `generation` is the number
of a listing (see `IndexWriter.begin`): the last one of a mailbox, or the last one that brought a message.
"""

import sqlite3

from rcfs.store._call_schema import CALLS_MIGRATION, CHECKED_CALLS, find_call_damage
from rcfs.store._checked_table import CheckedTable, look_for_damaged_rows
from rcfs.store._checksum import DamagedRowError
from rcfs.store._database import Format

WORDS = """CREATE VIRTUAL TABLE words USING fts5 (
    said, people, files, tokenize = 'unicode61 remove_diacritics 2', prefix = '3'
)"""
"""The full-text index: the texts, people (names and numbers) and file names of every message."""

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
"""Topic of the note that says which rules of shelving the folders of all messages follow."""


def _table(name: str, columns: str, *, real: str = "", number: str = "", crc: str = "crc") -> CheckedTable:
    return CheckedTable(
        name, tuple(columns.split()), frozenset(real.split()), number, crc=crc, covers_name=False
    )


MAILBOXES = _table(
    "mailboxes",
    "account_id extension_id loaded generation sync_token synced_s edition",
    real="synced_s",
    number="mailbox",
)
MESSAGES = _table(
    "messages",
    "mailbox id name created_s modified_s home spoken_bytes",
    real="created_s modified_s",
    number="message",
)
RECORDS = _table("messages", "raw", crc="raw_crc")
"""The records of the messages, which listings do not read."""
FOLDERS = _table(
    "folders",
    "mailbox view key name folded created_s modified_s spoken_bytes",
    real="created_s modified_s",
    number="folder",
)
PARTIES = _table("parties", "folder identity name since_s", real="since_s")
OWNERS = _table("owners", "mailbox identity")
TRANSCRIPTS = _table("transcripts", "message text")
LOGINS = _table("logins", "login account_id account_name extensions")
NOTES = _table("notes", "topic text noted_s", real="noted_s")
SEARCHES = _table("searches", "account_id name made_s", real="made_s", number="search")
CHECKED = (
    *(MESSAGES, RECORDS, FOLDERS, PARTIES, MAILBOXES, LOGINS, NOTES, OWNERS, TRANSCRIPTS, SEARCHES),
    *CHECKED_CALLS,
)
"""All tables with checksums. `places` has none: both of its columns are in two indices, see `find_damage`."""

MIGRATIONS = (_FIRST, _SECOND, _THIRD, _FOURTH, CALLS_MIGRATION)
"""See `rcfs.store._database.migrate`."""
FORM = Format(int.from_bytes(b"rcfm"), len(MIGRATIONS))
"""The format of an index of mailboxes."""


def find_damage(connection: sqlite3.Connection) -> None:
    """Check every page and every row; takes no lock.

    SQLite compares each table with its indices and so finds rows that are missing somewhere, rows of `places`
    among them. The checksums tell about the columns that are in no index.

    Raises:
        sqlite3.Error: It is damaged, or cannot be read; see `rcfs.store._sqlite.is_damage`.
    """
    ((verdict,),) = connection.execute("PRAGMA integrity_check(1)")
    if verdict != "ok":
        raise DamagedRowError("its integrity check fails")
    look_for_damaged_rows(connection, CHECKED)
    lost = (
        "SELECT 1 FROM places p LEFT JOIN messages m USING (message) LEFT JOIN folders f USING (folder)"
        " WHERE m.message IS NULL OR f.folder IS NULL LIMIT 1"
    )
    if connection.execute(lost).fetchone() is not None:
        raise DamagedRowError("a folder shows a message that is missing, or the folder is missing")
    find_call_damage(connection)
