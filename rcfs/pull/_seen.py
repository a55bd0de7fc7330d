"""The paths that a walk has given already, in a scratch database."""

from collections.abc import Sequence
from hashlib import blake2b

from rcfs.pull._scratch import encoded, open_scratch

_SCHEMA = "CREATE TABLE seen (path BLOB PRIMARY KEY) WITHOUT ROWID"
_DIGEST_BYTES = 16
"""Long enough that no two of a million paths have the same digest."""


class Seen:
    """A set of paths; for one thread at a time."""

    def __init__(self) -> None:
        """Begins empty."""
        self._database = open_scratch(_SCHEMA)

    def add(self, parts: Sequence[str]) -> bool:
        """Adds the path `parts`; returns whether it is new."""
        digest = blake2b(encoded("/".join(parts)), digest_size=_DIGEST_BYTES)
        added = self._database.execute("INSERT OR IGNORE INTO seen VALUES (?)", (digest.digest(),))
        return added.rowcount == 1
