"""Loads and syncs call logs: brings their calls into the index and keeps them current.

    load    all pages of the list of one month, ending at the present; calls that the index has and the list
            lacks are gone. Costs a Heavy request for each thousand calls, and no other.
    sync    brings the changes of all loaded months of one log: ISync with the token of the last sync, or
            FSync since an hour before it, which also brings a token.

When the platform refuses the token, or has more changes than an answer holds, rcfs reads the list since an
hour before the last sync, because calls get their recordings late. A sync reaches 30 days back; after a
longer time rcfs loads the months since then again.

The index is written in worker threads, page by page: a month is never whole in memory. It counts as loaded
after its last page only, so a load that ends in the middle is repeated.
"""

import json
from collections.abc import Callable

import attrs
import trio

from rcfs.errors import BadRequestError, StoreError
from rcfs.mailbox._call_intake import CallIntake, Log
from rcfs.mailbox._collections import Progress
from rcfs.mailbox._context import Context
from rcfs.model import COMPANY, CallContext, CallMonth, month_of, month_span_s
from rcfs.platform import (
    CALL_SYNC_REACH_S,
    CallSyncAnswer,
    Request,
    call_sync_answer,
    is_call_token_invalid,
    list_calls,
    sync_calls,
)
from rcfs.store import ChangedCalls
from rcfs.transport import PagedList, RequestOptions

_LATE_S = 3600.0
"""How long after a call its record may still change. Source: best practices of the call log in the API's
documentation, "scan the last hour again"."""
_DATE_STEP_S = 1.0
"""The Date header has whole seconds, so a list ends one second after it."""
_REACH_S = CALL_SYNC_REACH_S - 2 * _LATE_S
"""Longest time since the last sync for which there is a sync, with room for the hour before it."""
_APART_S = 300.0
"""Time that a sync is worth for each request that it has cost, so that refused tokens and long lists cost no
more than other syncs."""
_MOST_APART_S = 3600.0
"""Longest time until the next sync."""
_JITTER_S = 15.0
"""How much earlier than that a sync may come, since a token may take some seconds, and how far the server's
time may differ between two processes, which know it from headers in whole seconds."""


@attrs.frozen
class CallTarget:
    """A call log to load or sync."""

    log: Log
    """The log; of a sync, its newest loaded month."""
    names: Callable[[], CallContext]
    """Gives the names that lines contain at present."""
    tell: Callable[[ChangedCalls], None]
    """Called in the trio thread with the changes, as soon as they are in the index."""
    progress: Progress
    """Updated while a load reads pages."""


@attrs.frozen
class _Mark:
    """Where the next sync continues."""

    token: str = ""
    """Token for an ISync; empty for none."""
    at_s: float = 0.0
    """The server's time for which it holds, in seconds since 1970-01-01 UTC."""
    requests: int = 1
    """Number of requests that the last sync has cost."""

    @property
    def apart_s(self) -> float:
        """Shortest time until the next sync, whichever process sends it."""
        return min(self.requests * _APART_S, _MOST_APART_S) - _JITTER_S


class CallUpdater:
    """Loads and syncs call logs, several at a time, but each in one task only."""

    def __init__(self, context: Context, intake: CallIntake) -> None:
        self._context = context
        self._in_thread = context.in_thread
        self._reader = context.index.reader.calls
        self._writer = context.index.writer.calls
        self._intake = intake

    async def update(self, target: CallTarget, options: RequestOptions) -> None:
        """Loads a month, or syncs its log if it is loaded; the server must have told its time before.

        Raises:
            PlatformError: The server refused, failed or could not be reached.
            StoreError: The index fails.
        """
        log = target.log
        month = self._reader.month(log.account_id, log.owner, log.month)
        if month is None or not month.loaded:
            await self._load(target, options)
        elif target.progress.is_asked or not self._is_recent(target.log, month):
            await self._sync(target, options)

    async def _load(self, target: CallTarget, options: RequestOptions) -> None:
        """Reads the whole list of a month, and removes from the index what the list lacks."""
        log, progress = target.log, target.progress
        progress.begin(trio.current_time())
        at_s = self._context.client.server_now_s()
        begin_s, end_s = month_span_s(log.month)
        listing = await self._in_thread(self._writer.begin, log.account_id, log.owner, log.month)
        self._intake.loading.add((log.owner, log.month))
        try:
            await self._list(target, options, begin_s, min(end_s, at_s + _DATE_STEP_S), listing)
            changed = await self._in_thread(
                self._writer.finish,
                *(log.account_id, log.owner, log.month, listing, at_s, self._context.shelving.name_folder),
            )
        finally:
            self._intake.loading.discard((log.owner, log.month))
        target.tell(changed)
        self._context.recorder.note("calls loaded", extension=log.owner or None, calls=progress.records)

    async def _list(
        self,
        target: CallTarget,
        options: RequestOptions,
        since_s: float,
        until_s: float | None = None,
        listing: int | None = None,
    ) -> None:
        """Reads the calls of a period into the index; those of a load are marked with its `listing`."""
        log, progress = target.log, target.progress
        calls = PagedList(self._context.requester, list_calls(log.extension_id, since_s, until_s), options)
        while (page := await calls.page()) is not None:
            progress.requests += 1 if listing is None else 0
            target.tell(await self._in_thread(self._intake.take, log, page, target.names(), listing))
            progress.pages, progress.records = calls.pages, progress.records + len(page)
            progress.of_pages, progress.of_records = calls.of_pages, calls.of_records

    async def _sync(self, target: CallTarget, options: RequestOptions) -> None:
        """Writes the changes since the last sync of the log into the index."""
        log = target.log
        at_s = self._context.client.server_now_s()
        loaded = await self._in_thread(self._loaded, log)
        # A month that was loaded since then is complete from its load on.
        since_s = min((state.synced_s for state in loaded.values()), default=at_s)
        mark = self._mark(log)
        if at_s - since_s > _REACH_S:
            token = await self._load_again(target, options, since_s)
        elif not mark.token:
            token = await self._sync_full(target, options, since_s)
        else:
            token = await self._sync_changes(target, options, mark, since_s)
        # Only now, with everything in the index: the next sync does not repeat these changes.
        await self._in_thread(self._set_synced, log, at_s)
        await self._keep_mark(log, _Mark(token, at_s, max(1, target.progress.requests)))

    async def _sync_changes(
        self, target: CallTarget, options: RequestOptions, mark: _Mark, since_s: float
    ) -> str:
        """Brings the changes since `mark`; returns the token for the next sync, empty for none."""
        try:
            answer = await self._ask(target, sync_calls(target.log.extension_id, token=mark.token), options)
        except BadRequestError as exc:
            if not is_call_token_invalid(exc):
                raise
            self._context.recorder.note("call sync refused, reading the list", code=exc.code)
            await self._list(target, options, since_s - _LATE_S)
            return ""
        await self._take(target, answer)
        if since_s < mark.at_s:
            # Another process was loading a month when the token came, and may lack what the token has told.
            await self._list(target, options, since_s - _LATE_S)
        return answer.token or mark.token

    async def _sync_full(self, target: CallTarget, options: RequestOptions, since_s: float) -> str:
        """Brings what is new since `since_s`; returns a token for the next sync, empty for none."""
        request = sync_calls(target.log.extension_id, since_s=since_s - _LATE_S)
        answer = await self._ask(target, request, options)
        await self._take(target, answer)
        if not answer.is_complete:
            await self._list(target, options, since_s - _LATE_S)
        return answer.token

    async def _load_again(self, target: CallTarget, options: RequestOptions, since_s: float) -> str:
        """Loads the months again that are not complete since `since_s`; returns no token."""
        self._context.recorder.note("calls not synced for weeks, loading them again")
        for month, state in (await self._in_thread(self._loaded, target.log)).items():
            if month >= month_of(since_s) and state.synced_s < month_span_s(month)[1]:
                await self._load(attrs.evolve(target, log=attrs.evolve(target.log, month=month)), options)
        return ""

    async def _ask(self, target: CallTarget, request: Request, options: RequestOptions) -> CallSyncAnswer:
        target.progress.requests += 1
        return await self._context.requester.read(request, call_sync_answer, options)

    async def _take(self, target: CallTarget, answer: CallSyncAnswer) -> None:
        target.tell(await self._in_thread(self._intake.take, target.log, answer.records, target.names()))

    def _is_recent(self, log: Log, month: CallMonth) -> bool:
        """Whether the last sync, by any process, is so recent that the next one would cost too much."""
        # Both are times of the server, so it does not matter how the clock of this machine is set.
        age_s = self._context.client.server_now_s() - month.synced_s
        return -_JITTER_S <= age_s < self._mark(log).apart_s

    def _loaded(self, log: Log) -> dict[str, CallMonth]:
        """The loaded months of a log, newest first."""
        months = self._reader.months(log.account_id, log.owner)
        return {month: state for month, state in months.items() if state.loaded}

    def _set_synced(self, log: Log, at_s: float) -> None:
        for month in self._loaded(log):
            self._writer.synced(log.account_id, log.owner, month, at_s)

    # The login comes last in a topic, by which `rcfs forget` finds the note.

    def _topic(self, log: Log) -> str:
        owner = "company" if log.owner == COMPANY else str(log.owner)
        return f"calls/{owner} {self._context.login}"

    def _mark(self, log: Log) -> _Mark:
        """The mark of the last sync; one without a token if none is known."""
        try:
            note = self._context.index.reader.noted(self._topic(log))
            known = {} if note is None else json.loads(note.text)
            requests = max(1, int(known.get("requests", 1)))
            return _Mark(str(known["token"]), float(known["at_s"]), requests)
        except (StoreError, ValueError, TypeError, KeyError, AttributeError, OverflowError):
            return _Mark()

    async def _keep_mark(self, log: Log, mark: _Mark) -> None:
        await self._context.note(self._topic(log), json.dumps(attrs.asdict(mark)))
