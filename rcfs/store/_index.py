"""The index of mailboxes: every message that rcfs knows, and the folders that show it.

With it a mount starts without the network, and lists a million messages without holding them in memory. rcfs
can fetch all messages again, so a damaged index is moved aside and replaced by a new one with its good rows
(see `rcfs.store._index_rescue`). Data that rcfs could not fetch again, or only at one request each, has
databases of its own: the archive of purged messages, and the learned sizes.
"""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from rcfs.filenames import StateFiles
from rcfs.store._archive import PurgedArchive
from rcfs.store._index_database import IndexDatabase
from rcfs.store._index_reader import IndexReader
from rcfs.store._index_writer import IndexWriter
from rcfs.store._search import SearchIndex

if TYPE_CHECKING:
    import trio

_MOST_THREADS = 4
"""Threads that change the index: one of them writes, the others wait for it."""


class MailboxIndex:
    """The index of one state directory; several processes may share it.

    Raises (all methods):
        IndexDamagedError: The database is damaged.
        StoreError: It fails for another reason.
    """

    def __init__(self, database: IndexDatabase, archive: PurgedArchive) -> None:
        self._database = database
        self._keeps_purged: bool | None = None
        self.reader = IndexReader(database)
        """Questions."""
        self.writer = IndexWriter(database)
        """Changes."""
        self.archive = archive
        """The records of purged messages that are kept."""
        self.search = SearchIndex(database)
        """Full-text search."""

    @cached_property
    def threads(self) -> "trio.CapacityLimiter":
        """Limits the threads that change the index: those that wait for its lock leave all others free."""
        import trio  # noqa: PLC0415 - `rcfs search` does without trio

        return trio.CapacityLimiter(_MOST_THREADS)

    @classmethod
    def open(cls, path: Path, warn: Callable[[str], None]) -> "MailboxIndex":
        """The index in the database `path`, see `IndexDatabase`, with the archive that lies beside it."""
        return cls(IndexDatabase(path, warn), PurgedArchive(StateFiles(path.parent).archive, warn))

    def listen(self, on_damage: Callable[[], None]) -> None:
        """Call `on_damage`, in any thread, when damage is found; its owner should then `renew` the index."""
        self._database.on_damage = on_damage

    def renew(self) -> bool:
        """Replace the index, if damage was found; see `IndexDatabase.renew`. For worker threads."""
        return self._database.renew()

    @property
    def is_small(self) -> bool:
        """Whether `find_damage` takes so little time that the start of a mount can wait for it."""
        return self._database.is_small

    def find_damage(self) -> None:
        """Check every page and row of the index; for worker threads, and a second for 10,000 messages."""
        self._database.find_damage()

    def close_retired(self) -> None:
        """Close the connections that the event loop used before `renew`; for the event loop."""
        self._database.close_retired()

    def close(self) -> None:
        """Close the database; nothing may be called afterwards."""
        self._database.close()

    @property
    def keeps_purged(self) -> bool:
        """Whether to keep messages that the platform purges, as a user last chose in any process.

        The choice lies in the archive, so that it also holds for a command without the option.
        """
        if self._keeps_purged is None:
            self._keeps_purged = self.archive.keeps_purged()
        return self._keeps_purged

    def keep_purged(self, *, keep: bool) -> None:
        """Choose whether to keep messages that the platform purges from now on; those already kept stay."""
        self._keeps_purged = keep
        self.archive.keep_purged(keep=keep)

    def forget_account(self, account_id: str) -> None:
        """Erase all rows of an account, purged messages that were kept included; for worker threads.

        Other processes that have a mailbox of it open find it gone.
        """
        self.writer.forget_account(account_id)
        self.archive.forget_account(account_id)
