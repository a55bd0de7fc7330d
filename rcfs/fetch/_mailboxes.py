"""The mailboxes: each loaded whole when it is first looked into, and kept current from then on.

How a mailbox comes into the index, and stays true:

    load    FSync for a token, of one record; then all pages of the list, up to the present moment. What the
            index had and the list has not, is gone.
    sync    ISync with the token: what is new or has changed, tombstones for what was deleted or purged.
            Records may come twice and out of order: the one modified last counts.
    again   A token that is refused is like none: load, and compare everything.

Concurrency: all methods run in the trio thread; per mailbox there is one load or sync at a time, whoever asks
meanwhile waits for it. A load or sync runs on its own, so a waiter who gives up leaves it alone. The index is
written in worker threads, page by page: no mailbox is ever in memory as a whole.
"""

import json
import math
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TypeVar, TypeVarTuple

import attrs
import trio

from rcfs.errors import (
    BadRequestError,
    ForbiddenError,
    NotFoundError,
    OfflineError,
    PlatformError,
    RcfsError,
    ServerError,
    StoreError,
    UnreachableError,
)
from rcfs.fetch._catalogue import MailboxCatalogue
from rcfs.fetch._freshness import Freshness
from rcfs.fetch._gate import Demand
from rcfs.fetch._intake import Intake, Record, Shelving, Taken, purged_record
from rcfs.fetch._lists import Lists
from rcfs.fetch._network import Network
from rcfs.fetch._recorder import Recorder
from rcfs.fetch._requester import Requester
from rcfs.model import ContentKey, Extension, Message, Priority
from rcfs.platform import (
    Client,
    is_invalid_token,
    list_messages,
    read_message,
    sync_answer,
    sync_messages,
)
from rcfs.store import MailboxIndex, MailboxState, SizeIndex, Touched

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_REFUSAL_S = 60.0
"""How long a mailbox that was refused (CMN-419) stays refused without asking again: a person who was
given the permission meanwhile waits a minute, a program that tries all mailboxes again costs nothing."""
_DATE_STEP_S = 1.0
"""The server's clock is known in whole seconds (RFC 9110, 5.6.7): what came within one is listed."""
_MOST_READ = 20
"""So many messages of which a sync told too little are read one by one; for more than that the whole list,
with a thousand messages to the request, is cheaper."""
_MOST_LISTINGS = 3
"""So often a list is read from its beginning because something was purged meanwhile."""
_TOLD_S = 4 * 86_400.0
"""So long a sync tells everything that happened since the last: the platform keeps the record of a purged
message for "about 5 more days", and that it then goes, too, is told by none."""
_AT_ONCE = 1000
"""Messages that are taken into the index or out of it in one transaction: as many as a page of a list has."""

Listener = Callable[[int, Touched], None]
"""Hears the id of an extension, and what in its tree means something else than before."""


@attrs.define(eq=False)
class _Job:
    """A load or sync under way."""

    demand: Demand
    done: trio.Event = attrs.field(factory=trio.Event)
    failure: RcfsError | None = None


@attrs.frozen
class _Listing:
    """A list that was read to its end."""

    mailbox: int
    """Number of the mailbox in the index."""
    generation: int
    """What marks the messages that the list brought."""
    token: str
    """Token of the syncs that tell what happened since."""
    at_s: float
    """When it was begun, by the server's clock."""
    shifted: bool
    """Whether a message may have slipped from one of its pages to another."""


@attrs.define(eq=False)
class _Box:
    """What is known of one mailbox beside its index."""

    freshness: Freshness
    loaded: bool
    """Whether it was once loaded whole: only then it is kept current."""
    edition: int | None
    """Edition of the mailbox up to which all changes were told; None when everything must be told."""
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
        preserve: Callable[[Iterable[ContentKey]], object],
        recorder: Recorder,
        nursery: trio.Nursery,
    ) -> None:
        """Makes mailboxes whose loads and syncs run in `nursery`.

        `preserve` gets the contents that can never be fetched again, and may have got before; in worker
        threads.
        """
        self._requester = requester
        self._client = client
        self._network = network
        self._lists = Lists(requester, client)
        self._index = index
        self._sizes = sizes
        self._shelving = shelving
        self._preserve = preserve
        self._intake = Intake(index, shelving)
        self._recorder = recorder
        self._nursery = nursery
        self._boxes: dict[int, _Box] = {}
        self._kept: Mapping[int, Extension] = {}
        self._rescheduled = trio.Event()
        self._loaded_changed = trio.Event()
        self.account_id = ""
        """Decimal account id; set before anything is asked."""
        self.on_change: Listener = lambda _extension_id, _touched: None
        """Hears of every change, in the trio thread; it must not wait."""

    def catalogue(self, extension_id: int) -> MailboxCatalogue | None:
        """The mailbox of an extension, if it was ever loaded; costs nothing."""
        state = self._index.mailbox(self.account_id, extension_id)
        if state is None or not state.loaded:
            return None
        return MailboxCatalogue(
            self._index,
            self._sizes,
            state.number,
            self.account_id,
            extension_id,
            self._shelving.hidden_views,
        )

    async def open(self, extension_id: int, priority: Priority = Priority.PERSON) -> MailboxCatalogue:
        """The mailbox of an extension, loaded now if it never was.

        Raises:
            ForbiddenError: The login may not read it, now or within the last minute.
            PlatformError: The server failed or could not be reached.
        """
        catalogue = self.catalogue(extension_id)
        if catalogue is None:
            await self.refresh(extension_id, priority)
            catalogue = self.catalogue(extension_id)
        if catalogue is None:
            raise PlatformError(f"the mailbox of extension {extension_id} cannot be shown")
        return catalogue

    def visit(self, extension_id: int) -> None:
        """A person looks into a mailbox that was loaded: it is synced, if what is known is not of just now.

        Nobody waits for that: what changed is told to `on_change`.
        """
        box, now = self._box(extension_id), trio.current_time()
        before_s = box.freshness.due_s(now)
        box.freshness.looked_at(now)
        due_s = box.freshness.due_s(now)
        if box.job is None and due_s <= now and not self._network.is_down:
            self._start(extension_id, box, Priority.METADATA)
        elif due_s < before_s:
            self._rescheduled.set()

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

    async def wait_loaded(self, known: frozenset[int]) -> frozenset[int]:
        """Returns `loaded` as soon as that is something other than `known`, and not nothing."""
        while (loaded := self.loaded) in (known, frozenset()):
            await self._loaded_changed.wait()
        return loaded

    async def refresh(self, extension_id: int, priority: Priority = Priority.PERSON) -> None:
        """Loads or syncs a mailbox now; joins a load or sync that is under way.

        Raises:
            ForbiddenError: The login may not read it, now or within the last minute.
            PlatformError: The server failed or could not be reached.
        """
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
        try:
            state = self._index.mailbox(key.account_id, key.extension_id)
            if state is not None and await self._in_thread(self._intake.take_text, state.number, key, data):
                # The mailbox shows nothing else than before, but searches may.
                self.on_change(key.extension_id, set())
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
        self._kept = {extension.id: extension for extension in extensions}
        for extension_id in self._kept:
            self._box(extension_id)
        self._rescheduled.set()
        self._tell_loaded()

    def forget(self) -> None:
        """The index has been begun anew: no mailbox is loaded any more."""
        for box in self._boxes.values():
            box.loaded, box.edition = False, None

    def _tell_loaded(self) -> None:
        self._loaded_changed.set()
        self._loaded_changed = trio.Event()

    def _box(self, extension_id: int) -> _Box:
        box = self._boxes.get(extension_id)
        if box is None:
            try:
                state = self._index.mailbox(self.account_id, extension_id)
            except StoreError as exc:
                self._recorder.fault("mailbox", str(exc), extension=extension_id)
                state = None
            loaded = state is not None and state.loaded
            ago_s = time.time() - state.synced_s if state is not None and loaded else math.inf
            # A clock that was set back must not make a mailbox look fresh.
            ago_s = ago_s if ago_s >= 0 else math.inf
            edition = 0 if state is None else state.edition
            box = self._boxes[extension_id] = _Box(Freshness(trio.current_time(), ago_s), loaded, edition)
        return box

    def _start(self, extension_id: int, box: _Box, priority: Priority) -> _Job:
        box.freshness.began(trio.current_time())
        box.job = _Job(Demand(priority, label=f"mailbox of extension {extension_id}"))
        self._nursery.start_soon(self._run_job, extension_id, box, box.job)
        return box.job

    async def _run_job(self, extension_id: int, box: _Box, job: _Job) -> None:
        box.refusal = None
        job.failure = PlatformError("the mount is ending")
        try:
            await self._bring_up_to_date(extension_id, job.demand)
            job.failure = None
            if not box.loaded:
                box.loaded = True
                self._tell_loaded()
        except RcfsError as exc:
            job.failure = exc
            if isinstance(exc, UnreachableError):
                box.freshness.hinted()  # so that it is synced as soon as that is possible
            elif not isinstance(exc, OfflineError):
                self._recorder.fault("mailbox", str(exc), extension=extension_id)
            if isinstance(exc, (ForbiddenError, NotFoundError)):
                box.refusal, box.refused_until_s = exc, trio.current_time() + _REFUSAL_S
        except Exception as exc:  # noqa: BLE001 - one mailbox's trouble must not end the mount
            self._recorder.crash("mailbox", exc)
            job.failure = PlatformError(f"the mailbox of extension {extension_id} cannot be shown")
        finally:
            box.job = None
            job.done.set()
            self._rescheduled.set()

    async def _bring_up_to_date(self, extension_id: int, demand: Demand) -> None:
        state = self._index.mailbox(self.account_id, extension_id)
        if state is None or not state.loaded or not await self._sync(extension_id, state, demand):
            await self._load(extension_id, demand)
        self._tell_what_others_did(extension_id)

    async def _load(self, extension_id: int, demand: Demand) -> None:
        """Reads the whole list, and forgets what is not in it."""
        listing = await self._list(extension_id, demand)
        for _again in range(_MOST_LISTINGS - 1):
            if not listing.shifted:
                break
            listing = await self._list(extension_id, demand)
        left = await self._in_thread(self._index.unseen, listing.mailbox, listing.generation)
        for start in range(0, len(left), _AT_ONCE):
            gone = list(map(purged_record, left[start : start + _AT_ONCE]))
            await self._take_changes(extension_id, listing.mailbox, gone)
        await self._bring_back(extension_id, listing.mailbox)
        await self._in_thread(self._index.synced, listing.mailbox, listing.token, listing.at_s)
        self._recorder.note("mailbox loaded", extension=extension_id, gone=len(left))

    async def _bring_back(self, extension_id: int, mailbox: int) -> None:
        """Takes over from the archive what an index that was begun anew does not have."""

        def missing() -> list[Record]:
            kept = self._index.archive.records(self.account_id, extension_id)
            known = self._index.known(mailbox, list(kept))
            return [json.loads(raw) for message_id, raw in kept.items() if message_id not in known]

        records = await self._in_thread(missing)
        for start in range(0, len(records), _AT_ONCE):
            await self._take_changes(extension_id, mailbox, records[start : start + _AT_ONCE])

    async def _list(self, extension_id: int, demand: Demand) -> _Listing:
        """Reads the whole list once."""
        # Among the parties of a message between colleagues the owner is the one with this number.
        own = self._kept[extension_id].number if extension_id in self._kept else ""
        mailbox, generation = await self._in_thread(self._index.begin, self.account_id, extension_id, own)
        # The token comes first: what happens from here on is told by the next sync.
        answer = await self._requester.read(sync_messages(extension_id), sync_answer, demand)
        if not answer.token:
            raise ServerError("the server gave no token for syncs of the mailbox")
        token, at_s, shifted = answer.token, self._client.server_now_s(), False
        messages = self._lists.open(list_messages(extension_id, until_s=at_s + _DATE_STEP_S), demand)
        while (page := await messages.page()) is not None:
            self._tell(extension_id, await self._in_thread(self._intake.take, mailbox, page, generation))
        if messages.pages > 1:
            # A message that is purged while the list is read moves the others up, and one of them to a
            # page that was read before.
            answer = await self._requester.read(sync_messages(extension_id, token=token), sync_answer, demand)
            taken = await self._take_changes(extension_id, mailbox, answer.records)
            await self._clear(extension_id, mailbox, taken.unclear, demand)
            token, shifted = answer.token or token, taken.purged
        return _Listing(mailbox, generation, token, at_s, shifted)

    async def _sync(self, extension_id: int, state: MailboxState, demand: Demand) -> bool:
        """Takes over what changed since the last sync; False when only a load can tell."""
        request = sync_messages(extension_id, token=state.sync_token)
        try:
            answer = await self._requester.read(request, sync_answer, demand)
        except BadRequestError as exc:
            if not is_invalid_token(exc):
                raise
            self._recorder.note("sync token refused, comparing everything", extension=extension_id)
            return False
        at_s = self._client.server_now_s()
        if at_s - state.synced_s > _TOLD_S:
            self._recorder.note("not synced for days, comparing everything", extension=extension_id)
            return False
        taken = await self._take_changes(extension_id, state.number, answer.records)
        if len(taken.unclear) > _MOST_READ:
            return False
        await self._clear(extension_id, state.number, taken.unclear, demand)
        # Not before all of it is in the index: the next sync does not tell it again.
        await self._in_thread(self._index.synced, state.number, answer.token or state.sync_token, at_s)
        return True

    async def _clear(self, extension_id: int, number: int, unclear: Iterable[int], demand: Demand) -> None:
        """Reads messages of which a sync told too little."""
        for message_id in unclear:
            try:
                record = await self._requester.read(read_message(extension_id, message_id), dict, demand)
            except NotFoundError:
                await self._take_changes(extension_id, number, [purged_record(message_id)])
            else:
                await self._take_changes(extension_id, number, [record])

    async def _take_changes(self, extension_id: int, number: int, records: Sequence[Record]) -> Taken:
        taken = await self._in_thread(self._intake.take_changes, number, records)
        if taken.kept:
            # Before the sync counts as done: one that is killed here is told the same again.
            await self._in_thread(self._preserve_purged, extension_id, taken.kept)
        self._tell(extension_id, taken.touched)
        return taken

    def _preserve_purged(self, extension_id: int, messages: Collection[Message]) -> None:
        try:
            records = {message.id: message.raw for message in messages}
            self._index.archive.keep(self.account_id, extension_id, records)
            self._preserve(
                ContentKey(self.account_id, extension_id, message.id, attachment.id)
                for message in messages
                for attachment in message.attachments
                if attachment.kind != "Text"  # its text is in the record, so nobody ever fetched it
            )
        except StoreError as exc:
            self._recorder.fault("mailbox", str(exc), extension=extension_id)

    def _tell(self, extension_id: int, touched: Touched) -> None:
        if touched:
            box = self._box(extension_id)
            box.edition = None if box.edition is None else box.edition + 1
            self.on_change(extension_id, touched)

    def _tell_what_others_did(self, extension_id: int) -> None:
        """Tells of all of a mailbox, if it was changed by another process, or lost and loaded again."""
        box, state = self._box(extension_id), self._index.mailbox(self.account_id, extension_id)
        if state is not None and state.edition != box.edition:
            box.edition = state.edition
            self.on_change(extension_id, {()})

    async def _in_thread(self, work: Callable[[*Ts], T], *arguments: *Ts) -> T:
        return await trio.to_thread.run_sync(work, *arguments)
