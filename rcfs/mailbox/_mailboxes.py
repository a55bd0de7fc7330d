"""The mailboxes of an account, by extension; `Collections` loads them and keeps them current.

Concurrency: all methods run in the trio thread.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

import trio

from rcfs.errors import PlatformError, RcfsError, StoreError
from rcfs.mailbox._adoption import adoption_plan
from rcfs.mailbox._catalogue import MailboxCatalogue
from rcfs.mailbox._changes import MailboxChanged, MailboxUsed
from rcfs.mailbox._collections import Collections, Progress, State
from rcfs.mailbox._context import Context
from rcfs.mailbox._intake import Change, Intake
from rcfs.mailbox._mailbox_kind import MailboxKind
from rcfs.mailbox._records import parse_messages
from rcfs.model import (
    CONVERSATIONS_VIEW,
    MAILBOX,
    TRASH_VIEW,
    AttachmentKey,
    ContentKey,
    Extension,
    Message,
    Priority,
    Record,
    collection_of,
    owner_of,
)
from rcfs.store import MailboxState
from rcfs.transport import RequestOptions


class Mailboxes:
    """All mailboxes of an account."""

    def __init__(self, context: Context, collections: Collections) -> None:
        """Adds the mailbox as a kind to `collections`."""
        self._context = context
        self._intake = Intake(context.index, context.shelving, context.wall_clock, context.overlay)
        self._kind = MailboxKind(context, self._intake)
        self._collections = collections
        collections.add(MAILBOX, self._kind)

    async def reshelve(self) -> None:
        """Shelves all messages as this version does; call it before anything is shown. Never raises."""
        try:
            # Not `in_thread`: a large index takes minutes, and others need the few threads of the index.
            await trio.to_thread.run_sync(self._intake.reshelve)
        except StoreError as exc:
            self._context.recorder.fault("index", str(exc))
        except Exception as exc:  # noqa: BLE001 - the mount still shows what the index has
            self._context.recorder.crash("index", exc)

    async def complete_index(self) -> None:
        """Writes what a new index does not take over from a damaged one: owners and the text for searches."""
        put_owner = self._context.index.writer.put_owner
        try:
            for extension in self._kind.extensions.values():
                if extension.number:
                    await self._context.in_thread(
                        put_owner, self._kind.account_id, extension.id, extension.number
                    )
        except StoreError as exc:
            self._context.recorder.fault("index", str(exc))
        await self.reshelve()
        for mailbox in self._collections.loaded(MAILBOX):
            self._tell_searches(owner_of(mailbox))

    def catalogue(self, extension_id: int) -> MailboxCatalogue | None:
        """The mailbox of an extension; None if it was never loaded. Sends no request."""
        context, state = self._context, self._stored(extension_id)
        if state is None or not state.loaded:
            return None
        return MailboxCatalogue(
            context.index.reader,
            context.sizes,
            state.number,
            self._kind.account_id,
            extension_id,
            context.shelving.hidden_views,
        )

    def is_absent(self, extension_id: int) -> bool:
        """Whether rcfs knows that the extension has no mailbox; sends no request."""
        return self._state(extension_id) is State.ABSENT

    async def exists(self, extension_id: int) -> bool:
        """Whether the extension has a mailbox, which is loaded now if it never was, in a person's class.

        Raises:
            As `open`.
        """
        if self.catalogue(extension_id) is None:
            await self.refresh(extension_id)
        return not self.is_absent(extension_id)

    async def open(self, extension_id: int) -> MailboxCatalogue:
        """The mailbox of an extension, which is loaded now if it never was, in a person's class.

        Raises:
            ForbiddenError: The login may not read it, now or within the last minute.
            PlatformError: The server failed or could not be reached.
        """
        self._context.changes.tell(MailboxUsed(extension_id))
        catalogue = self.catalogue(extension_id)
        if catalogue is None:
            await self.refresh(extension_id)
            catalogue = self.catalogue(extension_id)
        if catalogue is None:
            raise PlatformError(f"the index has lost the mailbox of extension {extension_id}; open it again")
        return catalogue

    def visit(self, extension_id: int) -> None:
        """Syncs a mailbox that a person looks into, unless its last sync is recent.

        Returns at once; listeners hear `MailboxChanged` of whatever the sync changes.
        """
        if not self.is_absent(extension_id):
            self._context.changes.tell(MailboxUsed(extension_id))
            self._collections.visit(collection_of(MAILBOX, extension_id))

    def follow(self, mailbox: str) -> None:
        """Visits a mailbox, by the id of the collection, for a reader who waits for news.

        Does nothing where the platform sends hints.
        """
        if not self._collections.is_hinted(mailbox):
            self.visit(owner_of(mailbox))

    def needs_load(self, extension_id: int) -> bool:
        """Whether a mailbox may exist, was never loaded, and is not being loaded."""
        return self._state(extension_id) in (State.UNKNOWN, State.REFUSED)

    def loads(self) -> list[tuple[int, Progress]]:
        """(extension id, progress) of the loads under way."""
        return [(owner_of(each), progress) for each, progress in self._collections.loads(MAILBOX)]

    async def refresh(self, extension_id: int, priority: Priority = Priority.PERSON) -> None:
        """Loads or syncs a mailbox now, as `Collections.refresh` does."""
        await self._collections.refresh(collection_of(MAILBOX, extension_id), priority)

    # Changes that people want

    def known(
        self, extension_id: int, message_ids: Iterable[int]
    ) -> tuple[dict[int, Message], dict[int, Message]]:
        """Messages that are in the index, by id: as it shows them, and as the platform has them.

        For a worker thread.

        Raises:
            StoreError: The index fails.
        """
        state = self._stored(extension_id)
        return ({}, {}) if state is None else self._intake.known(state.number, message_ids)

    def in_conversations(self, extension_id: int, conversation_ids: Sequence[str]) -> dict[str, list[int]]:
        """The messages that the index shows in conversations, by the id of the conversation.

        For a worker thread.

        Raises:
            StoreError: The index fails.
        """
        reader, state = self._context.index.reader, self._stored(extension_id)
        return {} if state is None else reader.ids_in(state.number, CONVERSATIONS_VIEW, conversation_ids)

    def trashed(self, extension_id: int) -> list[Message]:
        """The messages that the index shows in the trash; for a worker thread.

        Raises:
            StoreError: The index fails.
        """
        reader, state = self._context.index.reader, self._stored(extension_id)
        raws = [] if state is None else reader.records_between(state.number, TRASH_VIEW)
        return list(parse_messages(raws))

    async def show(
        self, extension_id: int, message_ids: Sequence[int], change: Change = lambda _shown, _told: ()
    ) -> None:
        """Shows messages as people want them, see `Overlay`, after `change`, which runs in a worker thread.

        No record arrives between what `change` gets to know and what the index shows afterwards.

        Raises:
            StoreError: The index fails.
            Exception: As `change`.
        """
        state = self._stored(extension_id)
        if state is None:
            await self._context.in_thread(change, {}, {})
            return
        changed = await self._context.in_thread(self._intake.show, state.number, message_ids, change)
        self._kind.tell(extension_id, changed)

    async def read(
        self, extension_id: int, message_ids: Sequence[int], options: RequestOptions
    ) -> dict[int, Record | None]:
        """The present records of at most 50 messages, by id; None for a message that is gone.

        Raises:
            PlatformError: The server refused, failed or could not be reached.
        """
        return await self._kind.read(extension_id, message_ids, options)

    async def take(self, extension_id: int, found: Mapping[int, Record | None]) -> None:
        """Writes records that have just come into the index, by id; None for messages that are gone.

        Raises:
            StoreError: The index fails.
        """
        await self._kind.take(extension_id, found)

    def sync_age_s(self, extension_id: int) -> float:
        """Seconds since the last sync of a mailbox; infinite if it was never loaded."""
        state = self._stored(extension_id)
        if state is None or not state.loaded:
            return math.inf
        return self._context.sync_age_s(state.synced_s)

    def notice(self, extension_id: int) -> None:
        """Tells the listeners if another process has changed a mailbox in the index."""
        self._kind.tell_other_changes(extension_id)

    # Records out of exports

    async def prepare_records(self, extension_id: int, priority: Priority) -> float | None:
        """Asks for the sync token of a mailbox that was never loaded, so that it can use records.

        If an export that is asked for afterwards holds its whole past, its load reads one page of its list
        only. The token takes the place of the one that a load asks for. It serves for days, and is not asked
        for twice.

        Returns:
            When the token was asked for, by this machine's clock, in seconds since 1970 UTC; None for a
            mailbox that is loaded, does not exist, or that the login may not read.

        Raises:
            PlatformError: The server failed or could not be reached.
            StoreError: The index fails.
        """
        if self.needs_load(extension_id):
            options = RequestOptions(priority, label=f"mailbox of extension {extension_id}")
            await self._kind.prepare(extension_id, options)
            self._collections.recall([collection_of(MAILBOX, extension_id)])
        plan = adoption_plan(self._context, self._kind.account_id, extension_id)
        return None if plan is None else plan.own_s

    def begin_records(self, extension_id: int, asked_s: float) -> tuple[int, int] | None:
        """Numbers for `take_records`; None if the mailbox was not prepared before, or was loaded since.

        Syncs keep a loaded mailbox current. For a worker thread.

        Args:
            extension_id: Extension of the mailbox.
            asked_s: When the export was asked for, by this machine's clock, in seconds since 1970 UTC.

        Raises:
            StoreError: The index fails.
        """
        plan = adoption_plan(self._context, self._kind.account_id, extension_id)
        return None if plan is None or plan.own_s > asked_s else (plan.mailbox, plan.listing)

    def take_records(self, numbers: tuple[int, int], records: Iterable[Record]) -> None:
        """Writes records out of an export into the index, in one transaction; for a worker thread.

        The mailbox is not shown before it is loaded, which removes what no longer exists.

        Raises:
            StoreError: The index fails, and has none of the records.
        """
        mailbox, listing = numbers
        self._intake.take(mailbox, records, listing)

    async def learn_text(self, key: ContentKey, data: bytes) -> None:
        """Lets searches find a message by `data`, if that is its transcript. Never raises."""
        if not isinstance(key, AttachmentKey):
            return
        context = self._context
        try:
            state = context.index.reader.mailbox(key.account_id, key.extension_id)
            if state is not None and await context.in_thread(self._intake.take_text, state.number, key, data):
                self._tell_searches(key.extension_id)
        except RcfsError as exc:
            context.recorder.fault("transcript", str(exc), key=str(key))
        except Exception as exc:  # noqa: BLE001 - a fault in one message must not end the mount
            context.recorder.crash("transcript", exc)

    def keep_current(self, account_id: str, extensions: Iterable[Extension]) -> None:
        """Keeps the mailboxes of these extensions current once they are loaded, and no others."""
        before = self._kind.extensions
        self._kind.account_id = account_id
        self._kind.extensions = now = {extension.id: extension for extension in extensions}
        # An extension whose type has changed may have a mailbox now.
        changed = (each for each in before.keys() & now.keys() if before[each].type != now[each].type)
        self._collections.recall(collection_of(MAILBOX, each) for each in changed)
        self._collections.keep(MAILBOX, (collection_of(MAILBOX, each) for each in now))

    def forget(self) -> None:
        """Looks again which mailboxes are loaded, because another index took the place of a damaged one."""
        self._kind.forget()
        self._collections.recall()

    def _stored(self, extension_id: int) -> MailboxState | None:
        """The mailbox in the index; None if it was never loaded or prepared."""
        return self._context.index.reader.mailbox(self._kind.account_id, extension_id)

    def _state(self, extension_id: int) -> State:
        return self._collections.state(collection_of(MAILBOX, extension_id))

    def _tell_searches(self, extension_id: int) -> None:
        """Tells that searches may find something else in a mailbox, which itself shows nothing new."""
        self._context.changes.tell(MailboxChanged(extension_id, set()))
