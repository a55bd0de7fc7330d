"""The index of mailboxes: every message that is known, and in which folders it is shown.

It is what lets a mount come up without the network and list a million messages without holding them in
memory. All messages can be had again from the platform: a damaged index is moved aside and begun anew, with
what is whole in it (see `rcfs.store._index_rescue`). (What cannot be had again has databases of its own: the
learned sizes, which cost a request each, and the archive of purged messages.)
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
"""Threads that bring something into the index: one of them writes, the others wait for it."""


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
        """What can be asked."""
        self.writer = IndexWriter(database)
        """What can be changed."""
        self.archive = archive
        """The records of purged messages that are kept."""
        self.search = SearchIndex(database)
        """Full-text search, and the searches that are kept."""

    @cached_property
    def threads(self) -> "trio.CapacityLimiter":
        """For worker threads that use the index: those that wait for a lock leave the others free."""
        import trio  # noqa: PLC0415 - `rcfs search` does without trio

        return trio.CapacityLimiter(_MOST_THREADS)

    @classmethod
    def open(cls, path: Path, warn: Callable[[str], None]) -> "MailboxIndex":
        """The index in the database `path`, see `IndexDatabase`, with the archive that lies beside it."""
        return cls(IndexDatabase(path, warn), PurgedArchive(StateFiles(path.parent).archive, warn))

    def listen(self, on_damage: Callable[[], None]) -> None:
        """Call `on_damage` when damage is met, in whatever thread that is; somebody should then `renew`."""
        self._database.on_damage = on_damage

    def renew(self) -> bool:
        """Begin anew, if damage was met; see `IndexDatabase.renew`. For worker threads."""
        return self._database.renew()

    @property
    def is_small(self) -> bool:
        """Whether `find_damage` takes so little time that it can be waited for."""
        return self._database.is_small

    def find_damage(self) -> None:
        """Look for damage in all of the index; for worker threads, and a second for 10,000 messages."""
        self._database.find_damage()

    def settle(self) -> None:
        """Give back what the event loop may have used while the index was begun anew; for the event loop."""
        self._database.settle()

    def close(self) -> None:
        """Close the database; nothing may be called afterwards."""
        self._database.close()

    @property
    def keeps_purged(self) -> bool:
        """Whether what the platform purges is to be kept, as it was last said to any process.

        It stays with the archive, so that a command that does not say so forgets nothing that another keeps.
        """
        if self._keeps_purged is None:
            self._keeps_purged = self.archive.wanted()
        return self._keeps_purged

    def keep_purged(self, *, keep: bool) -> None:
        """Say whether what the platform purges is to be kept from now on; what is kept stays in any case."""
        self._keeps_purged = keep
        self.archive.want(keep=keep)

    def forget_account(self, account_id: str) -> None:
        """Erase all that is known of an account, purged messages that were kept included; for worker threads.

        Other processes that have a mailbox of it open find it gone.
        """
        self.writer.forget_account(account_id)
        self.archive.forget_account(account_id)
