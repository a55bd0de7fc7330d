"""What every file is called that rcfs keeps: in the state directory, and in that of the cache.

Processes of several versions may share these directories. So a name never comes to mean something else.
"""

import hashlib
import os
from pathlib import Path

import attrs


@attrs.frozen
class StateFiles:
    """What lies in a state directory."""

    directory: Path
    """The state directory."""

    @property
    def mailboxes(self) -> Path:
        """The index: mailboxes, what each login may see, searches that are kept (SQLite)."""
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
        """Where version 0.1 keeps the learned sizes; see `rcfs.store.SizeIndex.open`."""
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
    def sessions(self) -> Path:
        """The directory of the sessions that processes of one login share."""
        return self.directory / "sessions"

    @property
    def mounts(self) -> Path:
        """The directory of the records of mounts that are up, one of each process."""
        return self.directory / "mounts"

    @property
    def logs(self) -> Path:
        """The directory of all logs."""
        return self.directory / "log"

    @property
    def early_errors(self) -> Path:
        """Takes the stderr of a mount in the background: what is said before there is a log, or past it."""
        return self.logs / "stderr.log"

    @property
    def crash(self) -> Path:
        """The trace of the latest unexpected error."""
        return self.logs / "crash.log"

    @property
    def pull_log(self) -> Path:
        """The log of pulls that no mount does."""
        return self.logs / "pull.log"

    def mount_log(self, mountpoint: Path) -> Path:
        """The log of the mount at `mountpoint`: its name, and a digest of its path, as names repeat."""
        digest = hashlib.blake2b(os.fsencode(mountpoint), digest_size=4).hexdigest()
        name = os.fsencode(mountpoint.name or "root")[:200].decode(errors="replace")
        return self.logs / f"{name}-{digest}.log"


@attrs.frozen
class CacheFiles:
    """What lies in a cache directory."""

    directory: Path
    """The cache directory."""

    @property
    def database(self) -> Path:
        """Which value file holds what (SQLite); the name is diskcache's."""
        return self.directory / "cache.db"

    @property
    def chunks(self) -> Path:
        """The directory of the value files."""
        return self.directory / "chunks"

    @property
    def pins(self) -> Path:
        """Which contents are kept whatever the cap says."""
        return self.directory / "pins"

    @property
    def claims(self) -> Path:
        """Which contents are being fetched at the moment."""
        return self.directory / "claims"
