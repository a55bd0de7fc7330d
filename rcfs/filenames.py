"""The names of all files in the state directory and in the cache directory.

Processes of several versions may share these directories, so the meaning of a name never changes.
"""

import hashlib
import os
from pathlib import Path

import attrs


@attrs.frozen
class StateFiles:
    """The files in a state directory."""

    directory: Path
    """The state directory."""

    @property
    def mailboxes(self) -> Path:
        """The index: mailboxes, the extensions that each login may see, saved searches (SQLite)."""
        return self.directory / "mailboxes.sqlite"

    @property
    def archive(self) -> Path:
        """The records of purged messages that are kept (SQLite)."""
        return self.directory / "archive.sqlite"

    @property
    def sizes(self) -> Path:
        """The learned sizes (SQLite)."""
        return self.directory / "sizes.sqlite"

    @property
    def former_sizes(self) -> Path:
        """The learned sizes of version 0.1; see `rcfs.store.SizeIndex.open`."""
        return self.directory / "index.sqlite"

    @property
    def history(self) -> Path:
        """The record of fetches (SQLite)."""
        return self.directory / "history.sqlite"

    @property
    def ledger(self) -> Path:
        """The quota ledger (SQLite)."""
        return self.directory / "ledger.sqlite"

    @property
    def ledger_peers(self) -> Path:
        """How many clients shared each ledger on a server, as last seen from here."""
        return self.directory / "ledger-peers.json"

    @property
    def exports(self) -> Path:
        """The exports that were asked for, with their task ids (SQLite)."""
        return self.directory / "exports.sqlite"

    def exports_lock(self, account_id: str) -> Path:
        """The file that the process locks which asks and polls for the exports of an account."""
        return self._account_lock("exports", account_id)

    @property
    def outbox(self) -> Path:
        """Changes and messages that wait to be sent, or whose answer is not known (SQLite)."""
        return self.directory / "outbox.sqlite"

    @property
    def all_outgoing(self) -> Path:
        """The directory with the files of messages to send, a directory for each account."""
        return self.directory / "outbox"

    def outgoing(self, account_id: str) -> Path:
        """The directory with the files of an account's messages to send, a directory for each message."""
        return self.all_outgoing / account_id

    def outbox_lock(self, account_id: str, kind: str) -> Path:
        """The file that the process locks which sends one kind of intents of an account."""
        return self._account_lock(f"outbox-{kind}", account_id)

    @property
    def shared_erasures(self) -> Path:
        """The objects of the shared store that wait to be erased: a text file."""
        return self.directory / "shared-erasures"

    @property
    def sessions(self) -> Path:
        """The directory of sessions, each shared by the processes of one login."""
        return self.directory / "sessions"

    @property
    def mounts(self) -> Path:
        """The directory with one record for each running mount."""
        return self.directory / "mounts"

    @property
    def logs(self) -> Path:
        """The directory of all logs."""
        return self.directory / "log"

    @property
    def early_errors(self) -> Path:
        """The stderr of mounts in the background: messages before the log is open, and of libraries."""
        return self.logs / "stderr.log"

    @property
    def crash(self) -> Path:
        """The trace of the latest unexpected error."""
        return self.logs / "crash.log"

    @property
    def pull_log(self) -> Path:
        """The log of pulls that run without a mount."""
        return self.logs / "pull.log"

    @property
    def export_log(self) -> Path:
        """The log of `rcfs export` without a mount."""
        return self.logs / "export.log"

    @property
    def change_log(self) -> Path:
        """The log of commands that change messages or send, without a mount."""
        return self.logs / "change.log"

    def mount_log(self, mountpoint: Path) -> Path:
        """The log of the mount at `mountpoint`, named after it with a digest of its path, as names repeat."""
        digest = hashlib.blake2b(os.fsencode(mountpoint), digest_size=4).hexdigest()
        name = os.fsencode(mountpoint.name or "root")[:200].decode(errors="replace")
        return self.logs / f"{name}-{digest}.log"

    def _account_lock(self, name: str, account_id: str) -> Path:
        digest = hashlib.blake2b(account_id.encode(), digest_size=8).hexdigest()
        return self.directory / f"{name}-{digest}.lock"


@attrs.frozen
class CacheFiles:
    """The files in a cache directory."""

    directory: Path
    """The cache directory."""

    @property
    def database(self) -> Path:
        """The database of the value files (SQLite); the name is diskcache's."""
        return self.directory / "cache.db"

    @property
    def chunks(self) -> Path:
        """The directory of the value files."""
        return self.directory / "chunks"

    @property
    def pins(self) -> Path:
        """The contents that are kept even when the cache is full."""
        return self.directory / "pins"

    @property
    def claims(self) -> Path:
        """The contents that processes are fetching now."""
        return self.directory / "claims"
