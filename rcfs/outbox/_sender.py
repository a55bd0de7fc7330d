"""Sends the changes of an account: in bulk, each at most once, and none blindly again.

Before a request is sent, its changes are ASKED on the disk. A clear answer settles each of them on its own.
Otherwise they stay ASKED, and the messages are read before anything else is sent for them.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import attrs
import trio

from rcfs.errors import (
    BadRequestError,
    ForbiddenError,
    NotFoundError,
    PlatformError,
)
from rcfs.mailbox import EDIT_MESSAGES, Account
from rcfs.model import (
    GONE,
    Action,
    ChangeState,
    MessageChange,
    Priority,
    Record,
)
from rcfs.outbox import _course as course
from rcfs.outbox._fates import Fate, fate_of, found, request_for
from rcfs.outbox._rows import Edited, Rows
from rcfs.outbox._waits import Waits
from rcfs.outbox._withdrawing import Withdrawing, by_owner
from rcfs.platform import (
    MOST_AT_ONCE,
    MOST_IN_BODY,
    Answer,
    Result,
    is_missing_scope,
    results_by_id,
)
from rcfs.transport import (
    Recorder,
    Requester,
    RequestOptions,
    UnrepeatableRequest,
    is_by_proxy,
    is_undone,
)

_ANSWER_S = 60.0
"""Time for the body of an answer, in seconds, even if the task is cancelled: it tells what has happened."""
_FRESH_S = 2.0
"""Age of the last sync of a mailbox, in seconds, from which on it is synced before a deletion: the platform
purges a message that somebody else has deleted meanwhile."""
_FORBIDDEN_S = 60.0
"""Pause after a refusal that is not the platform's, such as that of a captive portal, in seconds."""
_MOST_LINES = 5
"""Refused messages of a request that are named in the list of errors; the others are counted."""

Results = Mapping[int, Result]


def subject(owner_id: int) -> str:
    """The subject under which a refusal of changes in a mailbox is remembered, see `Rights.note_refusal`."""
    return f"changes/{owner_id}"


class Sender:
    """Sends the changes of one account; one task of one process at a time uses it."""

    def __init__(
        self,
        account: Account,
        requester: Requester,
        recorder: Recorder,
        *,
        rows: Rows,
        withdrawing: Withdrawing,
        now_s: Callable[[], float],
        platform_s: Callable[[], float],
        limit: int,
    ) -> None:
        """Sends only while `advance` runs.

        `now_s` gives seconds since 1970 UTC, and `platform_s` the same by the platform's clock. More than
        `limit` deletions in an hour are held.
        """
        self._account = account
        self._requester = requester
        self._recorder = recorder
        self._rows = rows
        self._withdrawing = withdrawing
        self._now_s = now_s
        self._platform_s = platform_s
        self._limit = limit
        self.refused = 0
        """Messages whose changes the platform has refused so far."""
        self._waits = Waits()
        self._synced_s: dict[int, float] = {}
        """When this process has last synced a mailbox before a deletion, on trio's clock."""

    async def advance(self, since_s: float, until_s: float) -> float | None:
        """Sends what is due; seconds until something else is, or None if nothing waits.

        Args:
            since_s: Since when this process alone has been sending, in seconds of trio's clock.
            until_s: Only what was wanted up to then is sent, in seconds since 1970 UTC.

        Raises:
            StoreError: The outbox or the index fails.
        """
        while True:
            changes, now_s = await self._tidy(), trio.current_time()
            barred = self._waits.barred(now_s)
            uncertain = [each for each in changes if each.state is ChangeState.ASKED]
            due = [each for each in uncertain if self._waits.settles_s(each, since_s) <= now_s]
            due = [each for each in due if each.owner_id not in barred]
            ready = [each for each in changes if each.changed_s <= until_s]
            batch = course.next_batch(ready, _most, barred)
            if due:
                await self._verify(due, since_s)
            elif batch is not None:
                await self._send(batch)
            else:
                return self._waits.left_s(changes, since_s, trio.current_time())

    async def _tidy(self) -> list[MessageChange]:
        """Holds back too many deletions, and puts back what is no longer wanted; returns all other changes.

        Raises:
            StoreError: The outbox or the index fails.
        """

        def plan(changes: tuple[MessageChange, ...]) -> tuple[Edited, tuple[list[MessageChange], bool]]:
            now_s = self._now_s()
            after: dict[MessageChange, MessageChange | None] = {**course.tidied(changes, self._limit, now_s)}
            after |= {each: None for each in changes if course.is_over(each, now_s)}
            left = [now for each in changes if (now := after.get(each, each)) is not None]
            holds, held = (any(each.state is ChangeState.HELD for each in some) for some in (left, changes))
            return Edited(after), (left, holds and not held)

        left, begins_to_hold = await self._rows.edit(plan)
        if begins_to_hold:
            self._recorder.fault(
                "outbox",
                f"deletions are held, since they would be more than {self._limit} in an hour; `rcfs outbox`"
                " lists them, `rcfs flush --confirm` sends them, `rcfs outbox --drop` forgets them",
            )
        withdrawn = [each for each in left if each.state is ChangeState.WITHDRAWN]
        await self._withdrawing.put_back(withdrawn)
        return [each for each in left if each.state is not ChangeState.WITHDRAWN]

    # Requests

    async def _send(self, batch: course.Batch) -> None:
        if batch.action.is_deletion and self._sync_age_s(batch.owner_id) > _FRESH_S:
            await self._sync(batch.owner_id)
            return
        if batch.action is Action.DELETE_CONVERSATION and not await self._may_delete(batch):
            return
        if batch.action is Action.PURGE and not await self._look(batch):
            return
        asked, asked_s = await self._ask(batch), self._platform_s()
        if not asked:
            return
        ago_s = self._now_s() - max(each.created_s for each in asked)
        request = request_for(batch.owner_id, batch.action, asked, asked_s - ago_s)

        async def use(answer: Answer) -> None:
            told = await self._results(batch, asked, answer)
            await self._each(
                asked, lambda each: fate_of(each, told.get(each.message_id), asked_s, self._now_s())
            )

        async def withdraw() -> None:
            await self._each(asked, lambda each: Fate(course.not_asked(each, self._now_s())))

        try:
            await UnrepeatableRequest(request, answer_s=_ANSWER_S).run(
                self._requester, use, self._options(batch.owner_id), withdraw=withdraw
            )
            self._waits.succeed()
        except PlatformError as exc:
            await self._fail(batch, asked, exc)

    async def _ask(self, batch: course.Batch) -> list[MessageChange]:
        """Those changes of `batch` that nobody has changed meanwhile, after they have become ASKED."""

        def plan(changes: tuple[MessageChange, ...]) -> tuple[Edited, list[MessageChange]]:
            now_s = self._now_s()
            present = set(changes)
            after = {
                each: course.asked(each, _action(each, batch.action), now_s)
                for each in batch.changes
                if each in present
            }
            if batch.action is Action.DELETE_CONVERSATION and len(after) < len(batch.changes):
                return Edited(), []  # Some messages of it are wanted after all.
            return Edited({**after}), list(after.values())

        return await self._rows.edit(plan, {each.key for each in batch.changes})

    async def _results(self, batch: course.Batch, asked: Sequence[MessageChange], answer: Answer) -> Results:
        """The results of the messages that an answer tells, by id."""
        body, ids = await answer.body(), [each.message_id for each in asked]
        if batch.action is Action.DELETE_CONVERSATION:
            return dict.fromkeys(ids, Result(answer.status))
        return await trio.to_thread.run_sync(
            results_by_id, answer.status, body, answer.content_type, ids, str(batch.action)
        )

    async def _fail(self, batch: course.Batch, asked: Sequence[MessageChange], error: PlatformError) -> None:
        """Settles changes whose request has failed as a whole."""
        now_s = self._now_s()
        if is_undone(error):
            least_s = _FORBIDDEN_S if is_by_proxy(error) else 0.0
            self._waits.fail(batch.owner_id, error, trio.current_time(), least_s)
            await self._each(asked, lambda each: Fate(course.not_asked(each, now_s)))
        elif isinstance(error, ForbiddenError):
            because = await self._note_refusal(batch.owner_id, error)
            await self._each(asked, lambda each: Fate(course.refused(each, now_s), refusal=because))
        elif isinstance(error, NotFoundError) and len(asked) == 1:
            await self._each(asked, lambda each: Fate(course.settled(each, GONE, now_s), is_gone=True))
        elif isinstance(error, BadRequestError) and len(asked) == 1:
            await self._each(asked, lambda each: Fate(course.refused(each, now_s), refusal=str(error)))
        else:
            # Of several messages one was refused, perhaps, and nobody knows which.
            is_alone = isinstance(error, (NotFoundError, BadRequestError))
            self._recorder.failure("outbox", error)
            if not is_alone:
                self._waits.fail(batch.owner_id, error, trio.current_time())
            await self._each(
                asked, lambda each: Fate(attrs.evolve(course.lost(each, now_s), is_alone=is_alone))
            )

    # Reading before and after

    async def _verify(self, due: Sequence[MessageChange], since_s: float) -> None:
        """Reads messages whose requests got no clear answer, and settles their changes."""
        owner_id = due[0].owner_id
        asked = [each for each in due if each.owner_id == owner_id][:MOST_AT_ONCE]
        records = await self._read(owner_id, asked)
        if records is None:
            return
        now_s = trio.current_time()  # here: `decide` runs in a worker thread

        def decide(change: MessageChange) -> Fate:
            fate = found(change, records.get(change.message_id), self._now_s())
            if self._waits.end_s(change, since_s) <= now_s or fate.is_settling:
                return fate
            self._waits.look_once_more(change)
            return Fate(change)

        await self._each(asked, decide)

    async def _look(self, batch: course.Batch) -> bool:
        """Reads messages that are to be purged; whether all of them still are in the trash."""
        records = await self._read(batch.owner_id, batch.changes)
        if records is None:
            return False
        fates = {each: found(each, records.get(each.message_id), self._now_s()) for each in batch.changes}
        others = [each for each, fate in fates.items() if fate.after.next_action is not Action.PURGE]
        await self._each(others, lambda each: fates.get(each) or Fate(each))
        return not others

    async def _read(
        self, owner_id: int, changes: Sequence[MessageChange]
    ) -> Mapping[int, Record | None] | None:
        """The messages of `changes` as the platform has them; None if it does not tell now."""
        ids = [each.message_id for each in changes]
        try:
            return await self._account.mailboxes.read(owner_id, ids, self._options(owner_id))
        except PlatformError as exc:
            await self._unread(owner_id, exc)
            return None

    async def _sync(self, owner_id: int) -> None:
        """Syncs a mailbox, so that nothing is deleted that somebody else has deleted."""
        try:
            await self._account.mailboxes.refresh(owner_id, Priority.METADATA)
        except PlatformError as exc:
            await self._unread(owner_id, exc)
        else:
            self._synced_s[owner_id] = trio.current_time()

    def _sync_age_s(self, owner_id: int) -> float:
        """Seconds since the last sync of a mailbox; if a clock is wrong, since that of this process."""
        ago_s = trio.current_time() - self._synced_s.get(owner_id, -math.inf)
        return min(ago_s, self._account.mailboxes.sync_age_s(owner_id))

    async def _unread(self, owner_id: int, error: PlatformError) -> None:
        self._recorder.failure("outbox", error)
        least_s = _FORBIDDEN_S if isinstance(error, ForbiddenError) else 0.0
        self._waits.fail(owner_id, error, trio.current_time(), least_s)

    async def _may_delete(self, batch: course.Batch) -> bool:
        """Whether conversations can be deleted as a whole.

        The platform would purge their messages that are in the trash, and delete those that nobody wants to
        delete. Then the messages are deleted one by one.
        """
        wanted = {each.message_id for each in batch.changes}
        names = {each.conversation_id for each in batch.changes}
        mailboxes = self._account.mailboxes
        trashed = await trio.to_thread.run_sync(mailboxes.trashed, batch.owner_id)
        shown = await trio.to_thread.run_sync(mailboxes.in_conversations, batch.owner_id, sorted(names))
        bad = {name for name, ids in shown.items() if ids}
        bad |= {each.conversation_id for each in trashed if each.id not in wanted} & names
        if not bad:
            return True

        def plan(changes: tuple[MessageChange, ...]) -> tuple[Edited, None]:
            return Edited(
                {
                    each: course.alone(each)
                    for each in changes
                    if each.state is ChangeState.WAITING
                    if each.owner_id == batch.owner_id and each.conversation_id in bad
                }
            ), None

        await self._rows.edit(plan)
        return False

    # Results

    async def _each(self, before: Iterable[MessageChange], decide: Callable[[MessageChange], Fate]) -> None:
        """Gives each of the changes `before` its fate, in the outbox and then in the index.

        A change that somebody has changed meanwhile keeps what is wanted now.
        """
        keys = {each.key: each for each in before}

        def plan(changes: tuple[MessageChange, ...]) -> tuple[Edited, dict[MessageChange, Fate]]:
            fates = {
                each: decide(each)
                for each in changes
                if each.key in keys and (each.state, each.asked) == _course_of(keys[each.key])
            }
            return Edited({each: fate.after for each, fate in fates.items()}), fates

        fates = await self._rows.edit(plan, keys.keys())
        for each, fate in fates.items():
            self._waits.note(each, fate.after, trio.current_time())
        self._tell(fates)
        for owner_id, changes in by_owner(fates):
            records = {
                each.message_id: fates[each].record
                for each in changes
                if fates[each].record is not None or fates[each].is_gone
            }
            await self._account.mailboxes.take(owner_id, records)

    def _tell(self, fates: Mapping[MessageChange, Fate]) -> None:
        refused = [(each, fate.refusal) for each, fate in fates.items() if fate.refusal]
        self.refused += len(refused)
        for change, because in refused[:_MOST_LINES]:
            self._recorder.fault(
                "change", f"{change.asked}, message {change.message_id}: {because}", extension=change.owner_id
            )
        if len(refused) > _MOST_LINES:
            self._recorder.fault("change", f"and {len(refused) - _MOST_LINES} more messages")

    async def _note_refusal(self, owner_id: int, error: ForbiddenError) -> str:
        """Remembers that changes in a mailbox are not permitted; the reason as part of a sentence."""
        because = (
            f"the app lacks the scope {EDIT_MESSAGES} ({error.code})"
            if is_missing_scope(error)
            else f"the user may not change messages of this mailbox ({error.code})"
        )
        await self._account.rights.note_refusal(subject(owner_id), because)
        return because

    @staticmethod
    def _options(owner_id: int) -> RequestOptions:
        return RequestOptions(Priority.METADATA, label=f"changes of extension {owner_id}")


def _action(change: MessageChange, action: Action) -> Action:
    """The action that is asked for one change of a batch."""
    return change.next_action or action if action is Action.MARK_READ else action


def _course_of(change: MessageChange) -> tuple[ChangeState, Action | None]:
    return change.state, change.asked


def _most(action: Action) -> int:
    return MOST_IN_BODY if action is Action.MARK_READ else MOST_AT_ONCE
