"""The mailboxes: each loaded whole when it is first looked into, and kept current from then on.

Concurrency: all methods run in the trio thread; per mailbox there is one load or sync at a time, whoever asks
meanwhile waits for it. A load or sync runs on its own, so a waiter who gives up leaves it alone.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial

import attrs
import trio

from rcfs.errors import (
    ForbiddenError,
    NotFoundError,
    OfflineError,
    PlatformError,
    RcfsError,
    StoreError,
    UnreachableError,
)
from rcfs.mailbox._catalogue import MailboxCatalogue
from rcfs.mailbox._changes import Change, MailboxChanged, MailboxLoaded, MailboxUsed
from rcfs.mailbox._freshness import Freshness
from rcfs.mailbox._intake import Intake, Shelving
from rcfs.mailbox._remembered import NONE, Remembered
from rcfs.mailbox._update import Progress, Target, Updater
from rcfs.model import DAY_S, AttachmentKey, ContentKey, Extension, Priority
from rcfs.platform import (
    Client,
)
from rcfs.store import ChangedPaths, ContentCache, MailboxIndex, SizeIndex
from rcfs.transport import Demand, Listeners, Network, Recorder, Requester

_REFUSAL_S = 60.0
"""How long a mailbox that was refused (CMN-419) stays refused without asking again: a person who was
given the permission meanwhile waits a minute, a program that tries all mailboxes again costs nothing."""

_NO_MAILBOX = "CMN-403"
"""``errorCode`` (with HTTP 403) of "The feature is not available for this extension type". Source: the lists
of error codes in the API's documentation."""
_NONE_AGAIN_S = 30 * DAY_S
"""How long rcfs believes that an extension has no mailbox, as long as its type stays the same: the platform
may give mailboxes to more types one day."""


@attrs.define(eq=False)
class _Job:
    """A load or sync under way."""

    demand: Demand
    progress: Progress
    done: trio.Event = attrs.field(factory=trio.Event)
    failure: RcfsError | None = None


@attrs.define(eq=False)
class _Box:
    """What is known of one mailbox beside its index."""

    freshness: Freshness
    loaded: bool
    """Whether it was once loaded whole: only then it is kept current."""
    revision: int | None
    """Edition of the mailbox up to which all changes were told; None when everything must be told."""
    is_none: bool | None = None
    """Whether the extension has no mailbox; None when the index was not asked yet."""
    job: _Job | None = None
    refusal: RcfsError | None = None
    refused_until_s: float = 0.0


class Mailboxes:
    """All mailboxes of an account."""

    def __init__(
        self,
        requester: Requester,
        client: Client,
        network: Network,
        index: MailboxIndex,
        sizes: SizeIndex,
        shelving: Shelving,
        cache: ContentCache,
        changes: Listeners[Change],
        recorder: Recorder,
        nursery: trio.Nursery,
        wall_clock: Callable[[], float],
    ) -> None:
        """Makes mailboxes whose loads and syncs run in `nursery`.

        `wall_clock` gives seconds since 1970 UTC.
        """
        self._wall_clock = wall_clock
        self._network = network
        self._index = index
        self._sizes = sizes
        self._shelving = shelving
        self._intake = Intake(index, shelving, wall_clock)
        self.updater = Updater(requester, client, index, self._intake, cache, recorder)
        """Brings mailboxes into the index."""
        self._remembered = Remembered(index, wall_clock)
        self._changes = changes
        self._recorder = recorder
        self._nursery = nursery
        self._boxes: dict[int, _Box] = {}
        self._kept: Mapping[int, Extension] = {}
        self._rescheduled = trio.Event()
        self._loaded_changed = trio.Event()
        self.account_id = ""
        """Decimal account id; set before anything is asked."""

    async def reshelve(self) -> None:
        """Brings up to date what another version of the program has decided; for before anything is shown."""
        try:
            await trio.to_thread.run_sync(self._intake.reshelve)
        except StoreError as exc:
            self._recorder.fault("index", str(exc))
        except Exception as exc:  # noqa: BLE001 - what is known is shown all the same
            self._recorder.crash("index", exc)

    async def write_anew(self) -> None:
        """Makes from the records of a new index what it does not have from the damaged one before it.

        That is what searches look through, and who owns a mailbox.
        """
        try:
            for extension in self._kept.values():
                if extension.number:
                    await trio.to_thread.run_sync(
                        self._index.writer.put_owner,
                        self.account_id,
                        extension.id,
                        extension.number,
                        limiter=self._index.threads,
                    )
        except StoreError as exc:
            self._recorder.fault("index", str(exc))
        await self.reshelve()
        for extension_id in self.loaded:
            self._changes.tell(MailboxChanged(extension_id, set()))  # Searches may find something else.

    def catalogue(self, extension_id: int) -> MailboxCatalogue | None:
        """The mailbox of an extension, if it was ever loaded; costs nothing."""
        state = self._index.reader.mailbox(self.account_id, extension_id)
        if state is None or not state.loaded:
            return None
        return MailboxCatalogue(
            self._index.reader,
            self._sizes,
            state.number,
            self.account_id,
            extension_id,
            self._shelving.hidden_views,
        )

    def is_none(self, extension_id: int) -> bool:
        """Whether the extension is known to have no mailbox; costs nothing."""
        box = self._box(extension_id)
        if box.is_none is None:
            box.is_none = self._is_remembered_as_none(extension_id)
        return box.is_none

    def _is_remembered_as_none(self, extension_id: int) -> bool:
        known = self._kept.get(extension_id)
        note = self._remembered.recall(NONE, self.account_id, extension_id)
        if known is None or note is None or note.text != known.type:
            return False
        return 0 <= self._wall_clock() - note.noted_s < _NONE_AGAIN_S

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
            self._changes.tell(MailboxUsed(extension_id))
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
        if self.is_none(extension_id):
            return
        self._changes.tell(MailboxUsed(extension_id))
        box, now = self._box(extension_id), trio.current_time()
        before_s = box.freshness.due_s(now)
        box.freshness.looked_at(now)
        due_s = box.freshness.due_s(now)
        if box.job is None and due_s <= now and not self._network.is_down:
            self._start(extension_id, box, Priority.METADATA)
        elif due_s < before_s:
            self._rescheduled.set()

    def follow(self, extension_id: int) -> None:
        """As `visit`, by somebody who waits for what comes; nothing where the platform hints at that."""
        if not self._box(extension_id).freshness.hints_come:
            self.visit(extension_id)

    def hint(self, extension_id: int) -> None:
        """The platform says that something happened in a mailbox; nothing happens to one never loaded."""
        box = self._box(extension_id)
        if box.loaded:
            box.freshness.hinted()
            self._rescheduled.set()

    def listen(self, extension_ids: frozenset[int]) -> None:
        """From now on the platform hints at what happens in these mailboxes, and in no others."""
        for extension_id, box in self._boxes.items():
            box.freshness.hints_come = extension_id in extension_ids
        self._rescheduled.set()

    @property
    def loaded(self) -> frozenset[int]:
        """The extensions whose mailboxes were loaded and are kept current."""
        return frozenset(number for number in self._kept if self._box(number).loaded)

    def is_settled(self, extension_id: int) -> bool:
        """Whether a mailbox was loaded, is being loaded, or does not exist."""
        box = self._box(extension_id)
        return box.loaded or box.job is not None or self.is_none(extension_id)

    def loads(self) -> list[tuple[int, Progress]]:
        """(extension, progress) of the mailboxes that are being loaded."""
        return [
            (extension_id, box.job.progress)
            for extension_id, box in self._boxes.items()
            if box.job is not None and (box.job.progress.is_load or not box.loaded)
        ]

    async def wait_loaded(self, known: frozenset[int]) -> frozenset[int]:
        """Returns `loaded` as soon as that is something other than `known`, and not nothing."""
        while (loaded := self.loaded) in (known, frozenset()):
            await self._loaded_changed.wait()
        return loaded

    async def refresh(self, extension_id: int, priority: Priority = Priority.PERSON) -> None:
        """Loads or syncs a mailbox now; joins a load or sync that is under way.

        For an extension that is known to have no mailbox it does nothing.

        Raises:
            ForbiddenError: The login may not read it, now or within the last minute.
            PlatformError: The server failed or could not be reached.
        """
        if self.is_none(extension_id):
            return
        box = self._box(extension_id)
        if box.refusal is not None and trio.current_time() < box.refused_until_s:
            raise box.refusal.with_traceback(None)
        job = box.job or self._start(extension_id, box, priority)
        job.demand.raise_to(priority)
        await job.done.wait()
        if job.failure is not None:
            raise job.failure.with_traceback(None)

    async def learn_text(self, key: ContentKey, data: bytes) -> None:
        """Lets searches find a message by a text of it that was fetched; nobody waits for that."""
        if not isinstance(key, AttachmentKey):
            return
        try:
            state = self._index.reader.mailbox(key.account_id, key.extension_id)
            if state is not None and await trio.to_thread.run_sync(
                self._intake.take_text, state.number, key, data, limiter=self._index.threads
            ):
                # The mailbox shows nothing else than before, but searches may.
                self._changes.tell(MailboxChanged(key.extension_id, set()))
        except RcfsError as exc:
            self._recorder.fault("transcript", str(exc), key=str(key))
        except Exception as exc:  # noqa: BLE001 - one message's trouble must not end the mount
            self._recorder.crash("transcript", exc)

    async def refresh_all(self) -> int:
        """Syncs all mailboxes that were loaded; how many.

        Raises:
            PlatformError: One of them could not be synced; the others were.
        """
        loaded = self.loaded
        failures: list[RcfsError] = []

        async def refresh(extension_id: int) -> None:
            try:
                # Not as a person's, because there may be hundreds, and somebody may look into one of them.
                await self.refresh(extension_id, Priority.METADATA)
            except RcfsError as exc:
                failures.append(exc)

        async with trio.open_nursery() as nursery:
            for extension_id in loaded:
                nursery.start_soon(refresh, extension_id)
        if failures:
            raise failures[0]
        return len(loaded)

    async def run(self) -> None:
        """Keeps the mailboxes that were loaded current; runs for as long as the account is used."""
        while True:
            await self._network.wait_up()
            self._rescheduled = trio.Event()
            now = trio.current_time()
            waiting = {
                extension_id: box
                for extension_id, box in self._boxes.items()
                if box.loaded and box.job is None and extension_id in self._kept
            }
            due = {extension_id: box.freshness.due_s(now) for extension_id, box in waiting.items()}
            for extension_id, at_s in due.items():
                if at_s <= now:
                    # Paced like read-ahead, because there may be hundreds: a person's visit goes first.
                    self._start(extension_id, waiting[extension_id], Priority.READAHEAD)
            with trio.move_on_at(min((at_s for at_s in due.values() if at_s > now), default=math.inf)):
                await self._rescheduled.wait()

    def keep_current(self, extensions: Iterable[Extension]) -> None:
        """From now on the mailboxes of these extensions, and no others, are synced from time to time."""
        before, self._kept = self._kept, {extension.id: extension for extension in extensions}
        for extension_id, extension in self._kept.items():
            box = self._box(extension_id)
            if extension_id in before and before[extension_id].type != extension.type:
                box.is_none = None  # What has another type may have a mailbox.
        self._rescheduled.set()
        self._tell_loaded()

    def forget(self) -> None:
        """The index has been begun anew: only what was taken over from the one before it is loaded."""
        for extension_id, box in self._boxes.items():
            box.revision = box.is_none = None
            try:
                box.loaded = self.catalogue(extension_id) is not None
            except StoreError:
                box.loaded = False

    def _tell_loaded(self) -> None:
        self._loaded_changed.set()
        self._loaded_changed = trio.Event()

    def _box(self, extension_id: int) -> _Box:
        box = self._boxes.get(extension_id)
        if box is None:
            try:
                state = self._index.reader.mailbox(self.account_id, extension_id)
            except StoreError as exc:
                self._recorder.fault("mailbox", str(exc), extension=extension_id)
                state = None
            loaded = state is not None and state.loaded
            ago_s = self._wall_clock() - state.synced_s if state is not None and loaded else math.inf
            # A clock that was set back must not make a mailbox look fresh.
            ago_s = ago_s if ago_s >= 0 else math.inf
            revision = 0 if state is None else state.revision
            box = self._boxes[extension_id] = _Box(Freshness(trio.current_time(), ago_s), loaded, revision)
        return box

    def _start(self, extension_id: int, box: _Box, priority: Priority) -> _Job:
        box.freshness.began(trio.current_time())
        demand = Demand(priority, label=f"mailbox of extension {extension_id}")
        box.job = _Job(demand, Progress(trio.current_time()))
        self._nursery.start_soon(self._run_job, extension_id, box, box.job)
        return box.job

    async def _run_job(self, extension_id: int, box: _Box, job: _Job) -> None:
        box.refusal = None
        job.failure = PlatformError("the mount is ending")
        try:
            known = self._kept.get(extension_id)
            number = "" if known is None else known.number
            tell = partial(self._tell, extension_id)
            target = Target(self.account_id, extension_id, number, tell, job.progress)
            await self.updater.update(target, job.demand)
            self._tell_what_others_did(extension_id)
            job.failure = None
            if not box.loaded:
                box.loaded = True
                self._tell_loaded()
                self._changes.tell(MailboxLoaded(extension_id))
        except RcfsError as exc:
            if isinstance(exc, ForbiddenError) and exc.code == _NO_MAILBOX and not box.loaded:
                job.failure = None
                await self._note_none(extension_id, box)
                return
            job.failure = exc
            if isinstance(exc, UnreachableError):
                box.freshness.hinted()  # so that it is synced as soon as that is possible
            elif isinstance(exc, ForbiddenError) and job.demand.priority is Priority.CRAWLER:
                # Nobody has asked for it, and nothing is wrong: to most logins most mailboxes are closed.
                self._recorder.note("mailbox refused", extension=extension_id, code=exc.code)
            elif not isinstance(exc, OfflineError):
                self._recorder.failure("mailbox", exc, extension=extension_id)
            if isinstance(exc, (ForbiddenError, NotFoundError)):
                box.refusal, box.refused_until_s = exc, trio.current_time() + _REFUSAL_S
        except Exception as exc:  # noqa: BLE001 - one mailbox's trouble must not end the mount
            self._recorder.crash("mailbox", exc)
            job.failure = PlatformError(f"the mailbox of extension {extension_id} cannot be shown")
        finally:
            box.job = None
            job.done.set()
            self._rescheduled.set()

    async def _note_none(self, extension_id: int, box: _Box) -> None:
        """An extension turned out to have no mailbox."""
        box.is_none = True
        self._recorder.note("no mailbox", extension=extension_id)
        known = self._kept.get(extension_id)
        if known is not None:
            await self._remembered.keep(NONE, self.account_id, extension_id, known.type)
        self._changes.tell(MailboxLoaded(extension_id))

    def _tell(self, extension_id: int, touched: ChangedPaths) -> None:
        if touched:
            box = self._box(extension_id)
            box.revision = None if box.revision is None else box.revision + 1
            self._changes.tell(MailboxChanged(extension_id, touched))

    def _tell_what_others_did(self, extension_id: int) -> None:
        """Tells of all of a mailbox, if it was changed by another process, or lost and loaded again."""
        box, state = self._box(extension_id), self._index.reader.mailbox(self.account_id, extension_id)
        if state is not None and state.revision != box.revision:
            box.revision = state.revision
            self._changes.tell(MailboxChanged(extension_id, {()}))
