"""Which paths a walk has come by: no matter how many, little memory."""

from collections.abc import Sequence
from hashlib import blake2b

from rcfs.pull._scratch import open_scratch

_SCHEMA = "CREATE TABLE seen (path BLOB PRIMARY KEY) WITHOUT ROWID"
_DIGEST_BYTES = 16
"""So that of a million paths no two have the same."""


class Seen:
    """A set of paths; for one thread at a time."""

    def __init__(self) -> None:
        """Begins empty."""
        self._database = open_scratch(_SCHEMA)

    def add(self, parts: Sequence[str]) -> bool:
        """Adds the path `parts`; whether it was not there."""
        digest = blake2b("/".join(parts).encode("utf-8", "surrogateescape"), digest_size=_DIGEST_BYTES)
        added = self._database.execute("INSERT OR IGNORE INTO seen VALUES (?)", (digest.digest(),))
        return added.rowcount == 1
