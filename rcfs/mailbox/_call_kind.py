"""The month of a call log as a kind of collection: one for each owner and month.

A sync brings the changes of all loaded months of its owner, so only the newest of them is kept current.
"""

import math
from collections import defaultdict
from collections.abc import Callable

from rcfs.errors import ForbiddenError, StoreError
from rcfs.mailbox._call_access import CallAccess
from rcfs.mailbox._call_intake import Log
from rcfs.mailbox._call_update import CallTarget, CallUpdater
from rcfs.mailbox._changes import CallsChanged
from rcfs.mailbox._collections import Progress, State
from rcfs.mailbox._context import Context
from rcfs.mailbox._freshness import SyncPolicy
from rcfs.model import CALLS_VIEW, COMPANY, HEAVY, RECORDINGS_VIEW, CallContext, log_paths, owner_of, part_of
from rcfs.store import ChangedCalls, ChangedPaths
from rcfs.transport import RequestOptions

_POLICY = SyncPolicy(poll_s=300.0, idle_poll_s=3600.0, burst=0, group=HEAVY)
"""A sync of a call log is a Heavy request, of which a login may send ten a minute. So rcfs sends at most one
in five minutes while somebody looks, and one in an hour otherwise. Where the company's log is refused, each
extension has a log: with the default limit 1,000 logs that nobody looks at are synced every 7 hours."""
_MOST_FOLDERS = 10_000
"""Folders that are told one by one after a load: a large company's month has a hundred thousand."""


class CallKind:
    """Loads and syncs call logs, and tells the account's listeners what has changed in them."""

    def __init__(
        self,
        context: Context,
        access: CallAccess,
        updater: CallUpdater,
        names: Callable[[], CallContext],
        on_loaded: Callable[[int, str], None],
        on_refused: Callable[[], None],
    ) -> None:
        """A kind without collections.

        Args:
            context: The parts of the engine.
            access: Knows which logs the login may read.
            updater: Loads and syncs them.
            names: Gives the names that lines of calls contain at present.
            on_loaded: Called with owner and month when a log is LOADED.
            on_refused: Called when the platform has refused a log.
        """
        self._context = context
        self._access = access
        self._updater = updater
        self._names = names
        self._on_loaded = on_loaded
        self._on_refused = on_refused
        self._revisions: dict[tuple[int, str], int] = {}
        """By owner and month: the revision that listeners know, of each log that a person has seen."""

    def label(self, collection_id: str) -> str:
        owner = owner_of(collection_id)
        who = "the company" if owner == COMPANY else f"extension {owner}"
        return f"call log {part_of(collection_id)} of {who}"

    def policy(self, collection_id: str) -> SyncPolicy:  # noqa: ARG002 - the same for all
        return _POLICY

    def recall(self, collection_id: str) -> tuple[State, float]:
        owner = owner_of(collection_id)
        state = self._context.index.reader.calls.month(self._access.account_id, owner, part_of(collection_id))
        if state is not None and state.loaded:
            return State.LOADED, self._context.sync_age_s(state.synced_s)
        return (State.ABSENT if self._access.absence(owner) else State.UNKNOWN), math.inf

    async def update(self, collection_id: str, progress: Progress, options: RequestOptions) -> State:
        log = Log(self._access.account_id, owner_of(collection_id), part_of(collection_id))
        # A token first: it names the scopes of the app, and with its answer rcfs knows the server's clock.
        await self._context.lane.session.token(options)
        if self._access.missing:
            return self._refused(collection_id, ForbiddenError(self._access.missing))
        was_loaded = self.recall(collection_id)[0] is State.LOADED
        loaded, refusal = _Loaded(), None
        tell = self.tell if was_loaded else loaded.take
        try:
            await self._updater.update(CallTarget(log, self._names, tell, progress), options)
            self.tell(ChangedCalls(folders=loaded.folders))
        except ForbiddenError as exc:
            refusal = exc
        if refusal is not None:
            if not await self._access.take_refusal(log.owner, refusal):
                raise refusal
            return self._refused(collection_id, refusal)
        self.tell_other_changes()
        return State.LOADED

    def on_changed(self, collection_id: str) -> None:
        if self.recall(collection_id)[0] is State.LOADED:
            self._on_loaded(owner_of(collection_id), part_of(collection_id))

    def seen(self, owner: int, month: str) -> None:
        """Notes that a person has seen a log, so that its changes by other processes are told, too."""
        if (owner, month) not in self._revisions:
            self._revisions[owner, month] = self._revision(owner, month)

    def forget(self) -> None:
        """Makes the next sync report all logs that somebody has seen, since the index was replaced."""
        self._revisions = dict.fromkeys(self._revisions, -1)

    def tell(self, changed: ChangedCalls) -> None:
        """Tells the account's listeners of changes by this process."""
        paths: dict[int, ChangedPaths] = defaultdict(set)
        for owner, month in changed.logs:
            paths[owner] |= {(CALLS_VIEW,), *log_paths(month)}
        for owner, month, name in changed.recordings:
            paths[owner] |= {(RECORDINGS_VIEW,), (RECORDINGS_VIEW, month), (RECORDINGS_VIEW, month, name)}
        for owner, path in changed.folders:
            paths[owner].add(path)
        for log in changed.logs | {(owner, month) for owner, month, _name in changed.recordings}:
            if log in self._revisions:
                self._revisions[log] = self._revision(*log)
        for owner, touched in paths.items():
            self._context.changes.tell(CallsChanged(owner, touched))

    def tell_other_changes(self) -> None:
        """Tells of logs that another process has changed."""
        for (owner, month), revision in self._revisions.items():
            present = self._revision(owner, month)
            if present != revision:
                self._revisions[owner, month] = present
                touched = {(CALLS_VIEW,), *log_paths(month), (RECORDINGS_VIEW,), (RECORDINGS_VIEW, month)}
                self._context.changes.tell(CallsChanged(owner, touched))

    def _refused(self, collection_id: str, error: ForbiddenError) -> State:
        """The state of a log that the platform has refused for a while.

        Raises:
            ForbiddenError: It was loaded before, and is shown as it was then.
        """
        reason = self._access.absence(owner_of(collection_id))
        self._context.recorder.note("no calls", collection=collection_id, reason=reason)
        self._on_refused()
        if self.recall(collection_id)[0] is State.LOADED:
            raise error
        return State.ABSENT

    def _revision(self, owner: int, month: str) -> int:
        try:
            state = self._context.index.reader.calls.month(self._access.account_id, owner, month)
        except StoreError:
            return -1  # Then the next sync tells that all has changed.
        return 0 if state is None else state.revision


class _Loaded:
    """The changes of a load. Nobody sees the month before its end, but its links in folders of mailboxes."""

    def __init__(self) -> None:
        self.folders: frozenset[tuple[int, tuple[str, ...]]] = frozenset()
        """The folders; only their views if there are very many."""

    def take(self, changed: ChangedCalls) -> None:
        """Adds the folders that a page has changed."""
        self.folders |= changed.folders
        if len(self.folders) > _MOST_FOLDERS:
            self.folders = frozenset((extension_id, path[:1]) for extension_id, path in self.folders)
