"""The mailbox as a kind of collection: one per extension."""

import math
from collections.abc import Mapping, Sequence
from functools import partial

import trio

from rcfs.errors import ForbiddenError, NotFoundError
from rcfs.mailbox._changes import MailboxChanged, MailboxLoaded
from rcfs.mailbox._collections import Progress, State
from rcfs.mailbox._context import Context
from rcfs.mailbox._freshness import SyncPolicy
from rcfs.mailbox._intake import Intake
from rcfs.mailbox._mailbox_notes import read_note, write_note
from rcfs.mailbox._update import Target, Updater
from rcfs.model import DAY_S, Extension, Record, owner_of
from rcfs.platform import is_no_feature
from rcfs.store import ChangedPaths, MailboxState
from rcfs.transport import RequestOptions

_ABSENT_S = 30 * DAY_S
"""How long rcfs believes that an extension has no mailbox, while its type stays the same: the platform may
give mailboxes to more types one day."""


class MailboxKind:
    """Loads and syncs mailboxes, and tells the account's listeners what has changed in them."""

    def __init__(self, context: Context, intake: Intake) -> None:
        self._context = context
        self._updater = Updater(context, intake)
        self._revisions: dict[int, int | None] = {}
        """By extension: the last revision of its mailbox that listeners were told about; None when they must
        be told that all of it has changed."""
        self.account_id = ""
        """Decimal account id; must be set before any other use."""
        self.extensions: Mapping[int, Extension] = {}
        """The extensions of the account, by id."""

    def label(self, collection_id: str) -> str:
        return f"mailbox of extension {owner_of(collection_id)}"

    def policy(self, collection_id: str) -> SyncPolicy:  # noqa: ARG002 - the same for all mailboxes
        return SyncPolicy()

    def recall(self, collection_id: str) -> tuple[State, float]:
        extension_id = owner_of(collection_id)
        state = self._state(extension_id)
        self._revisions.setdefault(extension_id, 0 if state is None else state.revision)
        if state is not None and state.loaded:
            return State.LOADED, self._context.sync_age_s(state.synced_s)
        extension = self.extensions.get(extension_id)
        note = read_note(self._context, "none", self.account_id, extension_id)
        if extension is None or note is None or note.text != extension.type:
            return State.UNKNOWN, math.inf
        is_believed = self._context.age_s(note.noted_s) < _ABSENT_S
        return State.ABSENT if is_believed else State.UNKNOWN, math.inf

    def forget(self) -> None:
        """Makes the next sync of each mailbox report all of it as changed, since the index was replaced."""
        self._revisions = dict.fromkeys(self._revisions)

    async def update(self, collection_id: str, progress: Progress, options: RequestOptions) -> State:
        extension_id = owner_of(collection_id)
        try:
            await self._updater.update(self._target(extension_id, progress), options)
        except ForbiddenError as exc:
            if not self._tells_absence(extension_id, exc):
                raise
            await self._note_absence(extension_id)
            return State.ABSENT
        self.tell_other_changes(extension_id)
        return State.LOADED

    async def prepare(self, extension_id: int, options: RequestOptions) -> None:
        """See `Updater.prepare`; does nothing for a mailbox that the login may not read."""
        try:
            await self._updater.prepare(self._now(extension_id), options)
        except NotFoundError:
            pass
        except ForbiddenError as exc:
            if self._tells_absence(extension_id, exc):
                await self._note_absence(extension_id)

    def _tells_absence(self, extension_id: int, refusal: ForbiddenError) -> bool:
        """Whether a refusal tells that an extension has no mailbox."""
        state = self._state(extension_id)
        return is_no_feature(refusal) and not (state is not None and state.loaded)

    async def _note_absence(self, extension_id: int) -> None:
        self._context.recorder.note("no mailbox", extension=extension_id)
        extension = self.extensions.get(extension_id)
        if extension is not None:
            await write_note(self._context, "none", self.account_id, extension_id, extension.type)

    async def read(
        self, extension_id: int, ids: Sequence[int], options: RequestOptions
    ) -> dict[int, Record | None]:
        """See `Updater.read`."""
        return await self._updater.read(self._now(extension_id), ids, options)

    async def take(self, extension_id: int, found: Mapping[int, Record | None]) -> None:
        """Writes records that are newer than the last sync into the index; None for messages that are gone.

        Raises:
            StoreError: The index fails.
        """
        state = self._state(extension_id)
        if state is not None and found:
            await self._updater.take(self._now(extension_id), state.number, found)

    def _now(self, extension_id: int) -> Target:
        return self._target(extension_id, Progress(trio.current_time()))

    def _target(self, extension_id: int, progress: Progress) -> Target:
        return Target(
            self.account_id,
            extension_id,
            self.number_of(extension_id),
            partial(self.tell, extension_id),
            progress,
        )

    def number_of(self, extension_id: int) -> str:
        """Number of an extension; empty when unknown."""
        extension = self.extensions.get(extension_id)
        return "" if extension is None else extension.number

    def on_changed(self, collection_id: str) -> None:
        self._context.changes.tell(MailboxLoaded(owner_of(collection_id)))

    def _state(self, extension_id: int) -> MailboxState | None:
        return self._context.index.reader.mailbox(self.account_id, extension_id)

    def tell(self, extension_id: int, paths: ChangedPaths) -> None:
        """Tells the listeners that `paths` in a mailbox have changed in the index, by this process."""
        if paths:
            revision = self._revisions.get(extension_id, 0)
            self._revisions[extension_id] = None if revision is None else revision + 1
            self._context.changes.tell(MailboxChanged(extension_id, paths))

    def tell_other_changes(self, extension_id: int) -> None:
        """Tells that all of a mailbox has changed, if another process changed it or it was loaded again."""
        state = self._state(extension_id)
        if state is not None and state.revision != self._revisions.get(extension_id, 0):
            self._revisions[extension_id] = state.revision
            self._context.changes.tell(MailboxChanged(extension_id, {()}))
