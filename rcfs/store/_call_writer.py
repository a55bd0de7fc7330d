"""Changes to the calls in the index: each method is one transaction, in a worker thread."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

from rcfs.errors import StoreError
from rcfs.model import FolderNames, NameFolder, Place, ShelvedCall
from rcfs.store._call_changes import ChangedCalls
from rcfs.store._call_merge import CallMerge, Listing
from rcfs.store._index_database import IndexDatabase


class CallWriter:
    """Changes to the calls and recordings of one state directory.

    Raises (all methods):
        IndexDamagedError: The database is damaged.
        StoreError: It fails for another reason.
    """

    def __init__(self, database: IndexDatabase) -> None:
        self._database = database

    def begin(self, account_id: str, owner: int, month: str) -> int:
        """Begin to list a whole month of an owner's call log; the number of the listing."""
        with self._merging(account_id) as merge:
            log = merge.logs.at(owner, month)
            log.listing += 1
            merge.logs.write_later(log)
            merge.finish()
            return Listing(log.number, log.listing).number

    def put(
        self,
        account_id: str,
        calls: Sequence[ShelvedCall],
        name: NameFolder,
        *,
        removed: Collection[str] = (),
        listing: int | None = None,
        again: bool = False,
    ) -> ChangedCalls:
        """Put new and changed calls into the index, and remove those with the ids `removed`.

        A call comes into the log of the company and into those of its extensions, whichever listing brings
        it; that makes no log loaded. Of two records of one call, the one modified last counts. A recording
        that is gone stays so. If a recording has links, the mailbox of its owner comes into the index, not
        loaded. Each mailbox with changed folders counts as changed once (`MailboxState.revision`).

        Args:
            account_id: Decimal account id.
            calls: In any order, all with a month.
            name: Names the folders of contacts.
            removed: Ids of calls that no longer exist, even if they are among `calls`.
            listing: From `begin` when this is a part of a whole listing; None for a change.
            again: Whether to put calls again that are in the index unchanged, because names have changed, or
                the rules of shelving.

        Raises:
            StoreError: The index fails, or was replaced after the listing had begun.
        """
        with self._merging(account_id, name, listing) as merge:
            # Removed calls go first: another record with the same recording may take the place of one.
            merge.remove(removed)
            for call in calls:
                if call.id not in removed:
                    merge.put(call, again=again)
            return merge.finish()

    def finish(
        self, account_id: str, owner: int, month: str, listing: int, at_s: float, name: NameFolder
    ) -> ChangedCalls:
        """Mark a month of an owner as loaded, complete as of `at_s`.

        The calls that neither the listing nor a later change has brought leave the owner's log. They stay in
        logs of other owners whose own listing brought them. The listing of the company removes them from the
        logs of all extensions that were not listed themselves. `name` names the folders of contacts.

        Raises:
            StoreError: The index fails, or was replaced after the listing had begun.
        """
        with self._merging(account_id, name, listing) as merge:
            log, begun = merge.logs.at(owner, month), Listing.of(listing)
            if begun.log != log.number:
                raise StoreError("the number is that of a listing of another log")
            merge.remove_unseen(log, begun.count)
            log.loaded, log.synced_s = 1, at_s
            merge.logs.write_later(log)
            return merge.finish()

    def synced(self, account_id: str, owner: int, month: str, at_s: float) -> None:
        """Mark a month of an owner as complete as of `at_s`, if the index has it."""
        with self._merging(account_id) as merge:
            log = merge.logs.known(owner, month)
            if log is not None:
                log.synced_s = at_s
                merge.logs.write_later(log)
            merge.finish()

    def mark_gone(self, account_id: str, recording_id: str) -> ChangedCalls:
        """Note that the platform no longer has a recording; its file stays."""
        with self._merging(account_id) as merge:
            merge.recordings.mark_gone(recording_id)
            return merge.finish()

    @contextmanager
    def _merging(
        self, account_id: str, name: NameFolder | None = None, listing: int | None = None
    ) -> Iterator[CallMerge]:
        begun = None if listing is None else Listing.of(listing)
        with self._database.transaction() as connection:
            yield CallMerge(connection, account_id, name or _unchanged_names, begun)


def _unchanged_names(_place: Place, _parties: Mapping[str, str], _owners: frozenset[str]) -> FolderNames:
    raise AssertionError("no folder gets a name here")
