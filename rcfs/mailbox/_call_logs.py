"""The call logs of an account: loaded on demand, kept current, and shown.

Concurrency: all methods run in the trio thread.
"""

from collections.abc import Iterable, Mapping
from functools import partial

from rcfs.errors import ForbiddenError, PlatformError, StoreError
from rcfs.mailbox._call_access import CallAccess
from rcfs.mailbox._call_catalogue import CallCatalogue
from rcfs.mailbox._call_intake import CallIntake
from rcfs.mailbox._call_kind import CallKind
from rcfs.mailbox._call_labels import CallLabels
from rcfs.mailbox._call_outlook import CallOutlook
from rcfs.mailbox._call_update import CallUpdater
from rcfs.mailbox._changes import CallsLoaded, ExtensionsChanged
from rcfs.mailbox._collections import Collections, Progress, State
from rcfs.mailbox._context import Context
from rcfs.mailbox._rights import Rights
from rcfs.model import (
    CALLS,
    Extension,
    Priority,
    RecordingKey,
    RecordingRow,
    collection_of,
    owner_of,
    part_of,
)

_LATE_S = 3600.0
"""Time from the end of a call within which its recording may still appear: usually it takes a minute."""
_LONGEST_S = 86_400
"""Longest call whose end a recording may follow: a day. A record may claim any duration."""


class CallLogs:
    """All call logs of an account, and their kind of collection."""

    def __init__(self, context: Context, collections: Collections, rights: Rights) -> None:
        """Adds the kind to `collections`."""
        self._context = context
        self._collections = collections
        self._extensions: Mapping[int, Extension] = {}
        self._newest: dict[int, str] = {}
        """By owner of a log: its newest loaded month."""
        self.access = CallAccess(context, rights)
        """Which call logs the login may read."""
        self.catalogue = CallCatalogue(context.index, context.sizes, context.now_s, self.access)
        """The calls and recordings, for the tree."""
        self.outlook = CallOutlook(context, self.access)
        """Numbers about them, for a worker thread."""
        self._kind: CallKind | None = None
        self._labels: CallLabels | None = None
        shelving = context.shelving.calls
        if shelving is not None:
            intake = CallIntake(context.index, shelving, context.shelving.name_folder)
            self._kind = CallKind(
                context,
                self.access,
                CallUpdater(context, intake),
                lambda: labels.names,
                self._loaded,
                self._refused,
            )
            self._labels = labels = CallLabels(context, shelving, intake, self._kind.tell)
            collections.add(CALLS, self._kind)

    def keep_current(
        self, account_id: str, extensions: Iterable[Extension], own_id: int | None, since_s: float
    ) -> None:
        """Shows and keeps current the calls of these extensions.

        Args:
            account_id: Decimal account id.
            extensions: Those that the login may see.
            own_id: Id of the login's own; None if unknown.
            since_s: Time of what has none, in seconds since 1970-01-01 UTC.
        """
        if self._kind is None or self._labels is None:
            return
        self._extensions = {extension.id: extension for extension in extensions}
        self.access.account_id = account_id
        self.catalogue.fallback_s = since_s
        self.access.see(self._extensions, own_id)
        self._labels.show(account_id, self._extensions.values(), is_complete=self.access.may_see_company)
        self._context.nursery.start_soon(self._find_newest)

    @property
    def is_shown(self) -> bool:
        """Whether this program shows calls at all."""
        return self._kind is not None

    async def open(self, owner: int, month: str, priority: Priority = Priority.PERSON) -> None:
        """Loads the log that has the calls of an owner in a month, if it never was.

        Raises:
            ForbiddenError: The login may not read it.
            PlatformError: The server failed or could not be reached.
        """
        tried = None
        # A second attempt if it turns out that the login may not read the company's log.
        while not self.access.is_loaded(owner, month) and (
            (collection_id := self.access.collection(owner, month)) != tried
        ):
            tried = collection_id
            await self._open(collection_id, priority)
        if not self.access.is_loaded(owner, month):
            reason = self.access.absence(owner)
            raise (
                ForbiddenError(f"no call log: {reason}")
                if reason
                else PlatformError("the call log cannot be shown")
            )
        if self._kind is not None:
            self._kind.seen(owner, month)

    async def _open(self, collection_id: str, priority: Priority) -> None:
        if self._collections.state(collection_id) in (State.UNKNOWN, State.ABSENT):
            self._collections.recall([collection_id])  # The day of a refusal may be over.
        if self._collections.state(collection_id) is not State.ABSENT:
            await self._collections.refresh(collection_id, priority)

    def visit(self, owner: int, month: str) -> None:
        """Syncs the log that has the calls of an owner, unless its last sync is recent; returns at once.

        Listeners hear `CallsChanged` of whatever the sync changes.
        """
        if self._kind is None:
            return
        self._kind.seen(owner, month)
        collection_id = self.access.collection(owner, month)
        state = self._collections.state(collection_id)
        if state in (State.UNKNOWN, State.ABSENT):
            self._collections.recall([collection_id])
            state = self._collections.state(collection_id)
        if state is State.LOADED:
            self._note_loaded(owner_of(collection_id), month)
        self._collections.visit(self._kept_for(collection_id))

    async def settle(self, owner: int, month: str) -> None:
        """Returns when no sync of the log that has the calls of an owner is under way."""
        if self._kind is not None:
            await self._collections.settle(self._kept_for(self.access.collection(owner, month)))

    async def refresh(self, owner: int, month: str) -> None:
        """Syncs the log that has the calls of an owner now, or loads the month if it never was.

        Raises:
            As `open`.
        """
        if not self.access.is_loaded(owner, month):
            await self.open(owner, month)
            return
        collection_id = self.access.collection(owner, month)
        await self._collections.refresh(self._kept_for(collection_id))

    async def mark_gone(self, key: RecordingKey) -> None:
        """Remembers that the platform no longer has a recording, so that nothing asks for it again.

        Does nothing for a recording of the last hour, which may only be late.
        """
        row = None if self._kind is None else self.catalogue.recording_by_id(key.recording_id)
        if self._kind is None or row is None:
            return
        if self._may_be_late(row):
            return
        try:
            changed = await self._context.in_thread(
                self._context.index.writer.calls.mark_gone, key.account_id, key.recording_id
            )
        except StoreError as exc:
            self._context.recorder.fault("recording", str(exc), key=str(key))
        else:
            self._kind.tell(changed)

    def _may_be_late(self, row: RecordingRow) -> bool:
        ended_s = (row.started_s or 0.0) + min(row.duration_s or 0, _LONGEST_S)
        # A record may claim any time; one that ends long after the present is no reason to ask without end.
        return -_LONGEST_S < self._context.now_s() - ended_s < _LATE_S

    def forget(self) -> None:
        """Looks again which months are loaded, because another index took the place of a damaged one."""
        if self._kind is not None and self._labels is not None:
            self._newest.clear()
            self._kind.forget()
            self._context.nursery.start_soon(self._find_newest)
            self._context.nursery.start_soon(self._labels.complete_index)

    def loads(self) -> list[tuple[str, Progress]]:
        """(collection id, progress) of the loads under way."""
        return self._collections.loads(CALLS)

    # Which months are kept current

    def _kept_for(self, collection_id: str) -> str:
        """The collection that is synced for `collection_id`: the newest loaded month of the same log."""
        if self._collections.state(collection_id) is not State.LOADED:
            return collection_id
        owner = owner_of(collection_id)
        return collection_of(CALLS, owner, self._newest.get(owner, part_of(collection_id)))

    def _loaded(self, owner: int, month: str) -> None:
        self._note_loaded(owner, month)
        self._context.changes.tell(CallsLoaded(owner, month))

    def _note_loaded(self, owner: int, month: str) -> None:
        if month > self._newest.get(owner, ""):
            self._newest[owner] = month
            self._keep()

    def _refused(self) -> None:
        """Keeps other logs current, since the login may no longer read the company's, or any."""
        self._keep()
        self._context.nursery.start_soon(self._find_newest)
        self._context.changes.tell(ExtensionsChanged())

    def _scopes(self) -> tuple[int, ...]:
        if self.access.missing:
            return ()
        return tuple(dict.fromkeys(map(self.access.scope, self._extensions)))

    def _keep(self) -> None:
        kept = ((owner, self._newest.get(owner)) for owner in self._scopes())
        self._collections.keep(CALLS, [collection_of(CALLS, owner, month) for owner, month in kept if month])

    async def _find_newest(self) -> None:
        """Finds the newest loaded month of each log in the index."""
        try:
            found = await self._context.in_thread(self._read_newest, self._scopes())
        except StoreError as exc:
            self._context.recorder.fault("calls", str(exc))
            return
        except Exception as exc:  # noqa: BLE001 - months are also noted when somebody looks at them
            self._context.recorder.crash("calls", exc)
            return
        for owner, month in found.items():
            self._newest[owner] = max(month, self._newest.get(owner, ""))
        self._keep()

    def _read_newest(self, owners: Iterable[int]) -> dict[int, str]:
        months_of = partial(self._context.index.reader.calls.months, self.access.account_id)
        loaded = {
            owner: [month for month, state in months_of(owner).items() if state.loaded] for owner in owners
        }
        return {owner: months[0] for owner, months in loaded.items() if months}
