"""Loads and syncs mailboxes: brings their messages into the index and keeps them current.

    load    FSync with one record, for a sync token; then all pages of the list up to the present. Messages
            that the index has and the list lacks are gone.
    sync    ISync with the token: new and changed messages, and tombstones for deleted and purged ones.
            Records may come twice and out of order; the one with the later lastModifiedTime wins.

A load after an export (see `_adoption`) has its token already. Behind the first page, of the newest messages,
it syncs with that token and counts the older ones: if the index has as many of them as the list, it has the
rest of the list from the export, and the load is done. Messages that arrive meanwhile are not older, so they
hide none that is missing. A mailbox costs three requests instead of one for each thousand messages and two
more.

When the platform refuses the token, the mailbox is loaded again and compared whole.

The index is written in worker threads, page by page: a mailbox is never whole in memory.
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import TypeVar

import attrs
import trio

from rcfs.errors import BadRequestError, NotFoundError, ServerError, StoreError
from rcfs.mailbox._adoption import TOLD_S, AdoptionPlan, adoption_plan, keep_plan
from rcfs.mailbox._collections import Progress
from rcfs.mailbox._context import Context
from rcfs.mailbox._intake import Intake, Merged, purged_record
from rcfs.model import AttachmentKey, Message, Record, message_from
from rcfs.platform import (
    MOST_AT_ONCE,
    Answer,
    SyncAnswer,
    is_invalid_token,
    list_messages,
    read_messages,
    records_by_id,
    sync_answer,
    sync_messages,
)
from rcfs.store import ChangedPaths, MailboxState
from rcfs.transport import PagedList, RequestOptions

T = TypeVar("T")

_DATE_STEP_S = 1.0
"""The Date header has whole seconds (RFC 9110, 5.6.7), so a list ends one second after it."""
_MOST_READ = 4 * MOST_AT_ONCE
"""Unclear messages of a sync that are read by their ids, in four requests at most. If there are more, the
whole list is read, which costs one request for a token and one per thousand messages."""
_MOST_LISTINGS = 3
"""A list is read at most 3 times from its beginning because messages were purged meanwhile."""
_AT_ONCE = 1000
"""Messages that are written or removed in one transaction: as many as a page of a list has."""


@attrs.frozen
class Target:
    """A mailbox to load or sync."""

    account_id: str
    """Decimal account id."""
    extension_id: int
    """Internal id of the extension."""
    number: str
    """Number of the extension; empty when unknown. It tells which party of a message between colleagues owns
    the mailbox."""
    tell: Callable[[ChangedPaths], None]
    """Called in the trio thread with the changed paths, as soon as the changes are in the index."""
    progress: Progress
    """Updated while a load reads pages."""


@attrs.frozen
class _Listing:
    """A list that was read to its end."""

    mailbox: int
    """Number of the mailbox in the index."""
    number: int
    """The mark in the index of the messages on the list."""
    token: str
    """Token for the next sync."""
    at_s: float
    """When the reading began, by the server's clock, in seconds since 1970-01-01 UTC."""
    shifted: bool
    """Whether a message may have moved to a page that had been read before, and so was missed."""


class Updater:
    """Loads and syncs mailboxes, several at a time, but each in one task only."""

    def __init__(self, context: Context, intake: Intake) -> None:
        self._context = context
        self._index = context.index
        self._in_thread = context.in_thread
        self._recorder = context.recorder
        self._intake = intake

    async def update(self, target: Target, options: RequestOptions) -> None:
        """Loads or syncs a mailbox.

        Raises:
            PlatformError: The server refused, failed or could not be reached.
            StoreError: The index fails.
        """
        state = self._index.reader.mailbox(target.account_id, target.extension_id)
        if state is None or not (state.loaded and await self._sync(target, state, options)):
            await self._load(target, options)

    async def prepare(self, target: Target, options: RequestOptions) -> None:
        """Asks for a sync token, so that records of a later export can be used, unless there is one.

        Raises:
            PlatformError: The server refused, failed or could not be reached.
            StoreError: The index fails.
        """
        state = self._index.reader.mailbox(target.account_id, target.extension_id)
        if (state is not None and state.loaded) or self._plan(target) is not None:
            return
        plan = await self._begin(target, options)
        await keep_plan(self._context, target.account_id, target.extension_id, plan)

    def _plan(self, target: Target) -> AdoptionPlan | None:
        return adoption_plan(self._context, target.account_id, target.extension_id)

    async def _load(self, target: Target, options: RequestOptions) -> None:
        """Reads the whole list, and removes from the index what the list lacks."""
        plan = self._plan(target)
        listing = None if plan is None else await self._list(target, options, plan)
        listings = 0
        while listing is None or (listing.shifted and listings < _MOST_LISTINGS):
            listing = await self._list(target, options)
            listings += 1
        gone = await self._drop_unseen(target, listing.mailbox, listing.number)
        await self._in_thread(self._index.writer.synced, listing.mailbox, listing.token, listing.at_s)
        self._recorder.note("mailbox loaded", extension=target.extension_id, gone=gone)

    async def _drop_unseen(self, target: Target, mailbox: int, listing: int) -> int:
        """Removes from the index what a listing lacks, and brings back what the archive has of it.

        Returns:
            The number of messages that the listing lacks.
        """
        left = await self._in_thread(self._index.reader.unseen, mailbox, listing)
        for gone in _batches(left):
            await self._take_changes(target, mailbox, [purged_record(each) for each in gone])
        await self._bring_back(target, mailbox)
        return len(left)

    async def _bring_back(self, target: Target, mailbox: int) -> None:
        """Writes messages of the archive into the index that the index lacks, since it was replaced."""
        try:
            kept = await self._in_thread(self._index.archive.records, target.account_id, target.extension_id)
        except StoreError as exc:
            # The mailbox is still shown, without the archived messages.
            self._recorder.fault("mailbox", str(exc), extension=target.extension_id)
            return

        def missing() -> list[Record]:
            known = self._index.reader.known(mailbox, list(kept))
            return [json.loads(raw) for message_id, raw in kept.items() if message_id not in known]

        records = await self._in_thread(missing)
        for batch in _batches(records):
            await self._take_changes(target, mailbox, batch)

    async def _begin(self, target: Target, options: RequestOptions) -> AdoptionPlan:
        """A new listing, and a token.

        The token comes first, so that the next sync has everything that happens from here on.
        """
        mailbox, listing = await self._in_thread(
            self._index.writer.begin, target.account_id, target.extension_id, target.number
        )
        answer = await self._ask_changes(target, "", options)
        if not answer.token:
            raise ServerError("the server sent no sync token for the mailbox")
        return AdoptionPlan(mailbox, listing, answer.token, self._context.now_s(), self._context.wall_clock())

    async def _list(
        self, target: Target, options: RequestOptions, plan: AdoptionPlan | None = None
    ) -> _Listing | None:
        """Reads the list once into the index: whole, or with `plan` only its first page if that suffices.

        None if the platform refuses the token of `plan`, or if too much is unclear in the changes since then.
        """
        progress = target.progress
        progress.begin(trio.current_time())
        begun = plan or await self._begin(target, options)
        mailbox, token, at_s = begun.mailbox, begun.token, begun.at_s
        shifted = False
        first = list_messages(target.extension_id, until_s=self._context.now_s() + _DATE_STEP_S)
        messages = PagedList(self._context.requester, first, options)
        while (page := await messages.page()) is not None:
            target.tell(await self._in_thread(self._intake.take, mailbox, page, begun.listing))
            progress.pages, progress.records = messages.pages, progress.records + len(page)
            progress.of_pages, progress.of_records = messages.of_pages, messages.of_records
            if plan is not None and messages.pages == 1 and messages.has_more:
                caught_up = await self._catch_up(target, mailbox, token, at_s, options)
                if caught_up is None:
                    return None
                token, at_s = caught_up
                rest = None if messages.of_records is None else messages.of_records - len(page)
                if rest == await self._in_thread(self._known_behind, plan, page):
                    break
        if messages.pages > 1:
            # When a message is purged while the list is read, the later ones move up, and one of them may
            # move to a page that was read before.
            answer = await self._ask_changes(target, token, options)
            merged = await self._take_changes(target, mailbox, answer.records)
            await self._clear(target, mailbox, merged.unclear, options)
            token, shifted = answer.token or token, merged.purged
        return _Listing(mailbox, begun.listing, token, at_s, shifted)

    def _known_behind(self, plan: AdoptionPlan, page: Sequence[Record]) -> int | None:
        """The number of messages in the index that follow `page`, the first one, in the list of a mailbox.

        None if that cannot be told. For a worker thread.
        """
        times = [message.created_s for message in map(message_from, page) if message is not None]
        oldest_s = min((time_s for time_s in times if time_s is not None), default=None)
        if oldest_s is None:
            return None
        view = self._context.shelving.purged_view
        count = self._index.reader.listed(plan.mailbox, plan.listing, oldest_s, view)
        return count - times.count(oldest_s) - times.count(None)

    async def _ask_changes(self, target: Target, token: str, options: RequestOptions) -> SyncAnswer:
        """The changes since the platform issued `token`; with an empty one, only a new token."""
        request = sync_messages(target.extension_id, token=token)
        return await self._context.requester.read(request, sync_answer, options)

    async def _sync(self, target: Target, state: MailboxState, options: RequestOptions) -> bool:
        """Writes the changes since the last sync into the index; False when a load is needed instead."""
        caught_up = await self._catch_up(target, state.number, state.sync_token, state.synced_s, options)
        if caught_up is None:
            return False
        # Only now, with everything in the index: the next sync does not repeat these changes.
        await self._in_thread(self._index.writer.synced, state.number, *caught_up)
        return True

    async def _catch_up(
        self, target: Target, number: int, token: str, issued_s: float, options: RequestOptions
    ) -> tuple[str, float] | None:
        """Writes the changes since `token` was issued into the index; (next token, time of this sync).

        None when a load is needed instead.
        """
        try:
            answer = await self._ask_changes(target, token, options)
        except BadRequestError as exc:
            if not is_invalid_token(exc):
                raise
            self._recorder.note(
                "sync token refused, loading the mailbox again", extension=target.extension_id
            )
            return None
        at_s = self._context.now_s()
        if at_s - issued_s > TOLD_S:
            self._recorder.note(
                "not synced for days, loading the mailbox again", extension=target.extension_id
            )
            return None
        merged = await self._take_changes(target, number, answer.records)
        if len(merged.unclear) > _MOST_READ:
            return None
        await self._clear(target, number, merged.unclear, options)
        return answer.token or token, at_s

    async def _clear(
        self, target: Target, number: int, unclear: Sequence[int], options: RequestOptions
    ) -> None:
        """Reads unclear messages and writes them into the index."""
        for start in range(0, len(unclear), MOST_AT_ONCE):
            ids = unclear[start : start + MOST_AT_ONCE]
            await self.take(target, number, await self.read(target, ids, options))

    async def read(
        self, target: Target, ids: Sequence[int], options: RequestOptions
    ) -> dict[int, Record | None]:
        """The present records of at most `MOST_AT_ONCE` messages, by id; None for a message that is gone.

        Raises:
            PlatformError: The server refused, failed or could not be reached.
        """
        found = await self._read(target, ids, options)
        for message_id in ids:
            if message_id not in found:
                found |= await self._read(target, [message_id], options)
        return found

    async def take(self, target: Target, number: int, found: Mapping[int, Record | None]) -> None:
        """Writes the records that `read` has found into the mailbox with this number in the index.

        Raises:
            StoreError: The index fails.
        """
        records = [purged_record(each) if record is None else record for each, record in found.items()]
        await self._take_changes(target, number, records)

    async def _read(
        self, target: Target, ids: Sequence[int], options: RequestOptions
    ) -> dict[int, Record | None]:
        """The records of messages by id, None for a message that is gone; of several, some may be missing.

        Raises:
            PlatformError: The server refused, failed or could not be reached.
        """
        request = read_messages(target.extension_id, ids)

        async def use(answer: Answer) -> dict[int, Record | None]:
            body = await answer.body()
            return await trio.to_thread.run_sync(
                records_by_id, body, answer.content_type, ids, request.operation
            )

        try:
            found = await self._context.requester.run(lambda: request, use, options)
        except (BadRequestError, NotFoundError) as exc:
            if len(ids) > 1:
                return {}  # One of them is refused, or reading several is: the caller asks for each alone.
            if not isinstance(exc, NotFoundError):
                raise
            return {ids[0]: None}
        if len(ids) == 1 and not found:
            raise ServerError(f"the server's answer lacks the message {ids[0]}")
        return found

    async def _take_changes(self, target: Target, number: int, records: Sequence[Record]) -> Merged:
        merged = await self._in_thread(self._intake.take_changes, number, records)
        # Before the sync counts as done: if this process is killed here, the next sync repeats it.
        if merged.kept:
            await self._in_thread(self._preserve_purged, target, merged.kept)
        if merged.gone:
            await self._in_thread(
                self._context.cache.discard_messages, target.account_id, target.extension_id, merged.gone
            )
            await self._context.on_gone(target.account_id, target.extension_id, merged.gone)
        target.tell(merged.changed)
        return merged

    def _preserve_purged(self, target: Target, messages: Collection[Message]) -> None:
        records = {message.id: message.raw for message in messages}
        contents = [
            AttachmentKey(target.account_id, target.extension_id, message.id, attachment.id)
            for message in messages
            for attachment in message.fetched_attachments
        ]
        keep_records = partial(self._index.archive.keep, target.account_id, target.extension_id, records)
        for preserve in (keep_records, partial(self._context.cache.pin, contents)):
            try:
                preserve()
            except StoreError as exc:
                self._recorder.fault("mailbox", str(exc), extension=target.extension_id)


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """`items` in parts of at most `_AT_ONCE`."""
    for start in range(0, len(items), _AT_ONCE):
        yield items[start : start + _AT_ONCE]
