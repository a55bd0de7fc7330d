"""How a mailbox comes into the index, and stays true.

    load    FSync for a token, of one record; then all pages of the list, up to the present moment. What the
            index had and the list has not, is gone.
    sync    ISync with the token: what is new or has changed, tombstones for what was deleted or purged.
            Records may come twice and out of order: the one modified last counts.
    again   A token that is refused is like none: load, and compare everything.

The index is written in worker threads, page by page: no mailbox is ever in memory as a whole.
"""

import json
from collections.abc import Callable, Collection, Sequence
from functools import partial

import attrs
import trio

from rcfs.errors import BadRequestError, NotFoundError, ServerError, StoreError
from rcfs.mailbox._collections import Progress
from rcfs.mailbox._context import Context
from rcfs.mailbox._intake import Intake, Merged, purged_record
from rcfs.model import AttachmentKey, Message, Record
from rcfs.platform import (
    MOST_AT_ONCE,
    Answer,
    is_invalid_token,
    list_messages,
    read_messages,
    records_by_id,
    sync_answer,
    sync_messages,
)
from rcfs.store import ChangedPaths, MailboxState
from rcfs.transport import Demand, PagedList

_DATE_STEP_S = 1.0
"""The server's clock is known in whole seconds (RFC 9110, 5.6.7): what came within one is listed."""
_MOST_READ = 4 * MOST_AT_ONCE
"""So many messages of which a sync told too little are read by their ids, in four requests. For more than
that the whole list is read: a token and a thousand messages to the request."""
_MOST_LISTINGS = 3
"""So often a list is read from its beginning because something was purged meanwhile."""
_TOLD_S = 4 * 86_400.0
"""So long a sync tells everything that happened since the last: the platform keeps the record of a purged
message for "about 5 more days", and that it then goes, too, is told by none."""
_AT_ONCE = 1000
"""Messages that are taken into the index or out of it in one transaction: as many as a page of a list has."""


@attrs.frozen
class Target:
    """A mailbox that is to be brought up to date."""

    account_id: str
    """Decimal account id."""
    extension_id: int
    """Internal id of the extension."""
    number: str
    """Number of the extension; empty when unknown. Among the parties of a message between colleagues the
    owner is the one with this number."""
    tell: Callable[[ChangedPaths], None]
    """Hears what means something else than before, in the trio thread, when it is in the index."""
    progress: Progress
    """Is told how far a load is."""


@attrs.frozen
class _Listing:
    """A list that was read to its end."""

    mailbox: int
    """Number of the mailbox in the index."""
    number: int
    """What marks the messages that the list brought."""
    token: str
    """Token of the syncs that tell what happened since."""
    at_s: float
    """When it was begun, by the server's clock."""
    shifted: bool
    """Whether a message may have slipped from one of its pages to another."""


class Updater:
    """Brings mailboxes up to date; several at a time, but each by one task only."""

    def __init__(self, context: Context, intake: Intake) -> None:
        self._context = context
        self._index = context.index
        self._in_thread = context.in_thread
        self._recorder = context.recorder
        self._intake = intake

    async def update(self, target: Target, demand: Demand) -> None:
        """Loads or syncs a mailbox.

        Raises:
            PlatformError: The server refused, failed or could not be reached.
            StoreError: The index fails.
        """
        state = self._index.reader.mailbox(target.account_id, target.extension_id)
        if state is None or not state.loaded or not await self._sync(target, state, demand):
            await self._load(target, demand)

    async def _load(self, target: Target, demand: Demand) -> None:
        """Reads the whole list, and forgets what is not in it."""
        listing = await self._list(target, demand)
        for _again in range(_MOST_LISTINGS - 1):
            if not listing.shifted:
                break
            listing = await self._list(target, demand)
        left = await self._in_thread(self._index.reader.unseen, listing.mailbox, listing.number)
        for start in range(0, len(left), _AT_ONCE):
            gone = list(map(purged_record, left[start : start + _AT_ONCE]))
            await self._take_changes(target, listing.mailbox, gone)
        await self._bring_back(target, listing.mailbox)
        await self._in_thread(self._index.writer.synced, listing.mailbox, listing.token, listing.at_s)
        self._recorder.note("mailbox loaded", extension=target.extension_id, gone=len(left))

    async def _bring_back(self, target: Target, mailbox: int) -> None:
        """Takes over from the archive what an index that was begun anew does not have."""
        try:
            kept = await self._in_thread(self._index.archive.records, target.account_id, target.extension_id)
        except StoreError as exc:
            # What the platform tells is shown all the same.
            self._recorder.fault("mailbox", str(exc), extension=target.extension_id)
            return

        def missing() -> list[Record]:
            known = self._index.reader.known(mailbox, list(kept))
            return [json.loads(raw) for message_id, raw in kept.items() if message_id not in known]

        records = await self._in_thread(missing)
        for start in range(0, len(records), _AT_ONCE):
            await self._take_changes(target, mailbox, records[start : start + _AT_ONCE])

    async def _list(self, target: Target, demand: Demand) -> _Listing:
        """Reads the whole list once."""
        progress = target.progress
        progress.begin(trio.current_time())
        mailbox, listing = await self._in_thread(
            self._index.writer.begin, target.account_id, target.extension_id, target.number
        )
        # The token comes first: what happens from here on is told by the next sync.
        answer = await self._context.requester.read(sync_messages(target.extension_id), sync_answer, demand)
        if not answer.token:
            raise ServerError("the server gave no token for syncs of the mailbox")
        token, at_s, shifted = answer.token, self._context.client.server_now_s(), False
        first = list_messages(target.extension_id, until_s=at_s + _DATE_STEP_S)
        messages = PagedList(self._context.requester, first, demand)
        while (page := await messages.page()) is not None:
            target.tell(await self._in_thread(self._intake.take, mailbox, page, listing))
            progress.pages, progress.records = messages.pages, progress.records + len(page)
            progress.of_pages, progress.of_records = messages.of_pages, messages.of_records
        if messages.pages > 1:
            # A message that is purged while the list is read moves the others up, and one of them to a
            # page that was read before.
            answer = await self._context.requester.read(
                sync_messages(target.extension_id, token=token), sync_answer, demand
            )
            merged = await self._take_changes(target, mailbox, answer.records)
            await self._clear(target, mailbox, merged.unclear, demand)
            token, shifted = answer.token or token, merged.purged
        return _Listing(mailbox, listing, token, at_s, shifted)

    async def _sync(self, target: Target, state: MailboxState, demand: Demand) -> bool:
        """Takes over what changed since the last sync; False when only a load can tell."""
        request = sync_messages(target.extension_id, token=state.sync_token)
        try:
            answer = await self._context.requester.read(request, sync_answer, demand)
        except BadRequestError as exc:
            if not is_invalid_token(exc):
                raise
            self._recorder.note("sync token refused, comparing everything", extension=target.extension_id)
            return False
        at_s = self._context.client.server_now_s()
        if at_s - state.synced_s > _TOLD_S:
            self._recorder.note("not synced for days, comparing everything", extension=target.extension_id)
            return False
        merged = await self._take_changes(target, state.number, answer.records)
        if len(merged.unclear) > _MOST_READ:
            return False
        await self._clear(target, state.number, merged.unclear, demand)
        # Not before all of it is in the index: the next sync does not tell it again.
        await self._in_thread(self._index.writer.synced, state.number, answer.token or state.sync_token, at_s)
        return True

    async def _clear(self, target: Target, number: int, unclear: Sequence[int], demand: Demand) -> None:
        """Reads messages of which a sync told too little."""
        for start in range(0, len(unclear), MOST_AT_ONCE):
            ids = unclear[start : start + MOST_AT_ONCE]
            found = await self._read(target, ids, demand)
            for message_id in ids:
                if message_id not in found:
                    found |= await self._read(target, [message_id], demand)
            records = [purged_record(each) if record is None else record for each, record in found.items()]
            await self._take_changes(target, number, records)

    async def _read(self, target: Target, ids: Sequence[int], demand: Demand) -> dict[int, Record | None]:
        """The records of messages, None for one that is gone; of several, some may be missing.

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
            found = await self._context.requester.run(lambda: request, use, demand)
        except (BadRequestError, NotFoundError) as exc:
            if len(ids) > 1:
                return {}  # One of them, or that they are several: asked for alone, each is answered.
            if not isinstance(exc, NotFoundError):
                raise
            return {ids[0]: None}
        if len(ids) == 1 and not found:
            raise ServerError(f"the server did not tell message {ids[0]}")
        return found

    async def _take_changes(self, target: Target, number: int, records: Sequence[Record]) -> Merged:
        merged = await self._in_thread(self._intake.take_changes, number, records)
        # Before the sync counts as done: one that is killed here is told the same again.
        if merged.kept:
            await self._in_thread(self._preserve_purged, target, merged.kept)
        if merged.gone:
            await self._in_thread(
                self._context.cache.discard_messages, target.account_id, target.extension_id, merged.gone
            )
            await self._context.on_gone(target.account_id, target.extension_id, merged.gone)
        target.tell(merged.touched)
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
