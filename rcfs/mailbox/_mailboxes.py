"""The mailboxes of an account, by their extensions; how they are loaded and synced is `Collections`' matter.

Concurrency: all methods run in the trio thread.
"""

from collections.abc import Iterable

import trio

from rcfs.errors import PlatformError, RcfsError, StoreError
from rcfs.mailbox._catalogue import MailboxCatalogue
from rcfs.mailbox._changes import MailboxChanged, MailboxUsed
from rcfs.mailbox._collections import Collections, Progress, State, kind_of
from rcfs.mailbox._context import Context
from rcfs.mailbox._intake import Intake
from rcfs.mailbox._mailbox_kind import MAILBOX, MailboxKind, collection_id, extension_of
from rcfs.model import AttachmentKey, ContentKey, Extension, Priority


class Mailboxes:
    """All mailboxes of an account."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._intake = Intake(context.index, context.shelving, context.wall_clock)
        self._kind = MailboxKind(context, self._intake)
        self.collections = Collections(
            {MAILBOX: self._kind}, context.network, context.recorder, context.nursery
        )
        """Loads them and keeps them current."""

    async def reshelve(self) -> None:
        """Brings up to date what another version of the program has decided; for before anything is shown."""
        try:
            await trio.to_thread.run_sync(self._intake.reshelve)
        except StoreError as exc:
            self._context.recorder.fault("index", str(exc))
        except Exception as exc:  # noqa: BLE001 - what is known is shown all the same
            self._context.recorder.crash("index", exc)

    async def write_anew(self) -> None:
        """Makes from the records of a new index what it does not have from the damaged one before it.

        That is what searches look through, and who owns a mailbox.
        """
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
        for extension_id in self.loaded:
            self._context.changes.tell(
                MailboxChanged(extension_id, set())
            )  # Searches may find something else.

    def catalogue(self, extension_id: int) -> MailboxCatalogue | None:
        """The mailbox of an extension, if it was ever loaded; costs nothing."""
        account_id, context = self._kind.account_id, self._context
        state = context.index.reader.mailbox(account_id, extension_id)
        if state is None or not state.loaded:
            return None
        return MailboxCatalogue(
            context.index.reader,
            context.sizes,
            state.number,
            account_id,
            extension_id,
            context.shelving.hidden_views,
        )

    def is_none(self, extension_id: int) -> bool:
        """Whether the extension is known to have no mailbox; costs nothing."""
        return self.collections.state(collection_id(extension_id)) is State.NONE

    async def exists(self, extension_id: int) -> bool:
        """Whether the extension has a mailbox, which is loaded now if it never was; for a person.

        Raises:
            As `open`.
        """
        if self.catalogue(extension_id) is None:
            await self.refresh(extension_id)
        return not self.is_none(extension_id)

    async def open(self, extension_id: int, priority: Priority = Priority.PERSON) -> MailboxCatalogue:
        """The mailbox of an extension, loaded now if it never was.

        Raises:
            ForbiddenError: The login may not read it, now or within the last minute.
            PlatformError: The server failed or could not be reached.
        """
        catalogue = self.catalogue(extension_id)
        if priority is Priority.PERSON:
            self._context.changes.tell(MailboxUsed(extension_id))
        if catalogue is None:
            await self.refresh(extension_id, priority)
            catalogue = self.catalogue(extension_id)
        if catalogue is None:
            raise PlatformError(f"the mailbox of extension {extension_id} cannot be shown")
        return catalogue

    def visit(self, extension_id: int) -> None:
        """A person looks into a mailbox that was loaded: it is synced, if what is known is not of just now.

        Nobody waits for that: what has changed is told as `MailboxChanged`.
        """
        if not self.is_none(extension_id):
            self._context.changes.tell(MailboxUsed(extension_id))
            self.collections.visit(collection_id(extension_id))

    def follow(self, extension_id: int) -> None:
        """As `visit`, by somebody who waits for what comes; nothing where the platform hints at that."""
        if not self.collections.is_hinted(collection_id(extension_id)):
            self.visit(extension_id)

    def hint(self, extension_id: int) -> None:
        """The platform says that something happened in a mailbox; nothing happens to one never loaded."""
        self.collections.hint(collection_id(extension_id))

    def listen(self, extension_ids: frozenset[int]) -> None:
        """From now on the platform hints at what happens in these mailboxes, and in no others."""
        self.collections.listen(frozenset(map(collection_id, extension_ids)))

    @property
    def loaded(self) -> frozenset[int]:
        """The extensions whose mailboxes were loaded and are kept current."""
        return frozenset(extension_of(each) for each in self.collections.known if kind_of(each) == MAILBOX)

    def is_settled(self, extension_id: int) -> bool:
        """Whether a mailbox was loaded, is being loaded, or does not exist."""
        state = self.collections.state(collection_id(extension_id))
        return state not in (State.UNKNOWN, State.REFUSED)

    def loads(self) -> list[tuple[int, Progress]]:
        """(extension, progress) of the mailboxes that are being loaded."""
        return [
            (extension_of(each), progress)
            for each, progress in self.collections.loads()
            if kind_of(each) == MAILBOX
        ]

    async def wait_loaded(self, known: frozenset[int]) -> frozenset[int]:
        """Returns `loaded` as soon as that is something other than `known`, and not nothing."""
        while (loaded := self.loaded) in (known, frozenset()):
            await self.collections.wait_settled()
        return loaded

    async def refresh(self, extension_id: int, priority: Priority = Priority.PERSON) -> None:
        """Loads or syncs a mailbox now; as `Collections.refresh`."""
        await self.collections.refresh(collection_id(extension_id), priority)

    async def learn_text(self, key: ContentKey, data: bytes) -> None:
        """Lets searches find a message by a text of it that was fetched; nobody waits for that."""
        if not isinstance(key, AttachmentKey):
            return
        context = self._context
        try:
            state = context.index.reader.mailbox(key.account_id, key.extension_id)
            if state is not None and await context.in_thread(self._intake.take_text, state.number, key, data):
                # The mailbox shows nothing else than before, but searches may.
                context.changes.tell(MailboxChanged(key.extension_id, set()))
        except RcfsError as exc:
            context.recorder.fault("transcript", str(exc), key=str(key))
        except Exception as exc:  # noqa: BLE001 - one message's trouble must not end the mount
            context.recorder.crash("transcript", exc)

    def keep_current(self, account_id: str, extensions: Iterable[Extension]) -> None:
        """From now on the mailboxes of these extensions, and no others, are synced from time to time."""
        before = self._kind.extensions
        self._kind.account_id = account_id
        self._kind.extensions = now = {extension.id: extension for extension in extensions}
        # What has another type may have a mailbox.
        changed = (each for each in before.keys() & now.keys() if before[each].type != now[each].type)
        self.collections.recall(map(collection_id, changed))
        self.collections.keep(map(collection_id, now))

    def forget(self) -> None:
        """The index has been begun anew: only what was taken over from the one before it is loaded."""
        self._kind.forget()
        self.collections.recall()
