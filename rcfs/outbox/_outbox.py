"""The changes that people make: kept on the disk, shown at once, and sent in the background.

    wanted     a person marks, deletes or restores messages: that is on the disk, and the index shows it
    collected  for a moment, since programs change one message after the other
    sent       by one process of the account, see `Sender`; the others see the result

Everything that arrives from the platform meanwhile is shown with these changes, see `ChangeOverlay`.

Concurrency: all methods run in the trio thread, and any number of tasks may call them at the same time. A
change is kept even if its caller is cancelled.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import trio

from rcfs.errors import ForbiddenError, StoreError
from rcfs.mailbox import EDIT_MESSAGES, Account
from rcfs.model import (
    ChangeRules,
    ChangeState,
    Message,
    MessageChange,
    iso_time,
)
from rcfs.outbox import _course as course
from rcfs.outbox._course import Wish
from rcfs.outbox._plans import check_known, planned
from rcfs.outbox._rows import KIND, Edited, Rows
from rcfs.outbox._sender import Sender, subject
from rcfs.outbox._withdrawing import Withdrawing
from rcfs.status import OutboxStatus
from rcfs.store import OutboxBook
from rcfs.transport import Network, Recorder, Requester

_QUIET_S = 1.0
"""Changes are sent when none has come for this time, in seconds: `rm -r` makes one after the other."""
_COLLECT_S = 10.0
"""Longest time for which changes are collected, in seconds."""
_NOTICE_S = 3.0
"""Time between two looks for changes by other processes, in seconds; a look reads a few bytes of shared
memory."""
_FAILED_S = 60.0
"""Pause after an error of the database, in seconds."""
_UNKEPT = "changes cannot be kept on the disk"
_UNSENT = (ChangeState.WAITING, ChangeState.ASKED, ChangeState.WITHDRAWN)


class Outbox:
    """The changes of one account, as one process sees them."""

    def __init__(
        self,
        account: Account,
        requester: Requester,
        network: Network,
        recorder: Recorder,
        book: OutboxBook | None,
        rules: ChangeRules,
        *,
        wall_clock: Callable[[], float],
        platform_clock: Callable[[], float],
    ) -> None:
        """Sends only while `run` does.

        Both clocks give seconds since 1970 UTC. Without a `book` nothing can be changed.
        """
        self.rules = rules
        """The changes that this process may make, for the file system; the methods do not check them."""
        self._account = account
        self._network = network
        self._recorder = recorder
        self._book = book
        self._wall_clock = wall_clock
        self._all: tuple[MessageChange, ...] = ()
        self._version: int | None = None
        self._due = trio.Event()
        self._hurried = trio.Event()
        self._flushes = 0
        self._resumes_s = -math.inf
        """When the outbox does something again after a pause, on trio's clock."""
        self._rows = None if book is None else Rows(book, lambda: account.id)
        self._sender = None
        if self._rows is not None:
            self._withdrawing = Withdrawing(account, recorder, self._rows)
            self._sender = Sender(
                account,
                requester,
                recorder,
                rows=self._rows,
                withdrawing=self._withdrawing,
                now_s=wall_clock,
                platform_s=platform_clock,
                limit=rules.delete_limit,
            )

    # Questions, which never wait and send nothing

    def refusal(self, owner_id: int) -> str:
        """Why nothing can be changed in a mailbox, as part of a sentence; empty if it can, or may be."""
        if self._book is None:
            return _UNKEPT
        return self._account.rights.refusal(subject(owner_id), EDIT_MESSAGES)

    def all(self) -> tuple[MessageChange, ...]:
        """The changes that are not done, oldest first, as of the latest `read`."""
        return tuple(each for each in self._all if each.state.is_open)

    @property
    def left(self) -> int:
        """Number of messages with changes that are not done."""
        return len(self.all())

    @property
    def refused(self) -> int:
        """Number of messages whose changes the platform has refused to this process."""
        return 0 if self._sender is None else self._sender.refused

    @property
    def pause_s(self) -> float:
        """Seconds until this process asks or looks again after a failure; 0 if it does not pause."""
        return max(0.0, self._resumes_s - trio.current_time())

    @property
    def is_uncertain(self) -> bool:
        """Whether a request is under way, or its answer is lost."""
        return any(each.state is ChangeState.ASKED for each in self._all)

    def status(self) -> OutboxStatus:
        """The changes for the status."""
        counts = {state: sum(each.state is state for each in self._all) for state in ChangeState}
        waiting = [each.created_s for each in self.all()]
        return OutboxStatus(
            waiting=counts[ChangeState.WAITING],
            asked=counts[ChangeState.ASKED],
            held=counts[ChangeState.HELD],
            since=iso_time(min(waiting)) if waiting else None,
            problem=self._problem(counts) or None,
        )

    def _problem(self, counts: Mapping[ChangeState, int]) -> str:
        if counts[ChangeState.HELD]:
            return (
                f"more than {self.rules.delete_limit} deletions in an hour;"
                " `rcfs flush --confirm` sends them, `rcfs outbox --drop` forgets them"
            )
        if self._network.is_down and (counts[ChangeState.WAITING] or counts[ChangeState.ASKED]):
            return "the server cannot be reached"
        return ""

    # Changes

    async def mark(self, owner_id: int, message_ids: Sequence[int], *, read: bool) -> None:
        """Marks messages as read or unread.

        Like the methods below, it returns when that is on the disk, and the index shows it.

        Raises:
            ForbiddenError: It is known that this is not permitted; see `refusal`.
            ValueError: There are no ids, or the index has no such message.
            StoreError: The outbox or the index fails.
        """
        await self._want(owner_id, message_ids, course.MARK_READ if read else course.MARK_UNREAD)

    async def trash(self, owner_id: int, message_ids: Sequence[int]) -> None:
        """Moves messages to the trash; those that are there already stay there. Raises as `mark`."""
        await self._want(owner_id, message_ids, course.TRASH)

    async def restore(self, owner_id: int, message_ids: Sequence[int]) -> None:
        """Takes messages out of the trash; those that are not in it stay as they are. Raises as `mark`."""
        await self._want(owner_id, message_ids, course.RESTORE)

    async def purge(self, owner_id: int, message_ids: Sequence[int]) -> None:
        """Deletes messages for good, which nobody can undo.

        Raises:
            ValueError: As `mark`, or one of them is not in the trash; then none is deleted.
            ForbiddenError, StoreError: As `mark`.
        """
        await self._want(owner_id, message_ids, course.PURGE)

    async def delete_conversations(self, owner_id: int, conversation_ids: Sequence[str]) -> None:
        """Moves all messages of conversations to the trash, which the keys of their folders name.

        Raises:
            ValueError: There are no ids, or the index has no message of a conversation.
            ForbiddenError, StoreError: As `mark`.
        """
        self._check(owner_id, conversation_ids)
        found = await trio.to_thread.run_sync(
            self._account.mailboxes.in_conversations, owner_id, conversation_ids
        )
        missing = [each for each in conversation_ids if not found.get(each)]
        if missing:
            raise ValueError(f"the index has no message of conversation {missing[0]}")
        of_message = {message_id: name for name, ids in found.items() for message_id in ids}
        await self._want(owner_id, list(of_message), course.TRASH, of_message)

    async def confirm(self) -> int:
        """Lets the deletions go that are held; returns their number.

        Raises:
            StoreError: The outbox fails.
        """
        return await self._decide(course.confirmed)

    async def drop(self) -> int:
        """Forgets the deletions that are held, and shows their messages again; returns their number.

        Raises:
            StoreError: The outbox or the index fails.
        """
        return await self._decide(course.refused)

    async def _decide(self, after: Callable[[MessageChange, float], MessageChange]) -> int:
        if self._rows is None or self._sender is None:
            return 0

        def plan(changes: tuple[MessageChange, ...]) -> tuple[Edited, list[MessageChange]]:
            now_s = self._wall_clock()
            held = {each: after(each, now_s) for each in changes if each.state is ChangeState.HELD}
            return Edited({**held}), list(held.values())

        with trio.CancelScope(shield=True):
            decided = await self._rows.edit(plan)
            await self._withdrawing.put_back(
                [each for each in decided if each.state is ChangeState.WITHDRAWN]
            )
            await self.read()
        self._due.set()
        return len(decided)

    def _check(self, owner_id: int, ids: Sequence[object]) -> None:
        because = self.refusal(owner_id)
        if because:
            raise ForbiddenError(f"messages of extension {owner_id} cannot be changed: {because}")
        if not ids:
            raise ValueError("no message is named")

    async def _want(
        self, owner_id: int, message_ids: Sequence[int], wish: Wish, conversations: Mapping[int, str] = {}
    ) -> None:
        self._check(owner_id, message_ids)
        if self._rows is None or self._sender is None:
            raise StoreError(_UNKEPT)
        rows, ids = self._rows, list(dict.fromkeys(message_ids))
        wanted: list[MessageChange] = []

        def change(shown: Mapping[int, Message], told: Mapping[int, Message]) -> list[str]:
            check_known(ids, shown, wish)

            def plan(changes: tuple[MessageChange, ...]) -> tuple[Edited, list[MessageChange]]:
                return planned(
                    changes, [told[each] for each in ids], wish, owner_id, self._wall_clock(), conversations
                )

            wanted[:] = rows.edit_here(plan, {(owner_id, each) for each in ids})
            return [each.record for each in wanted if each.record]

        with trio.CancelScope(shield=True):
            await self._account.mailboxes.show(owner_id, ids, change)
            rows.note_edited()
            await self._withdrawing.put_back([each for each in wanted if each.state is ChangeState.WITHDRAWN])
        # As in the outbox; `read` does the same, but it reads all changes.
        present = {each.key: each for each in (*self._all, *wanted)}
        self._all = tuple(each for each in present.values() if each.state is not ChangeState.WITHDRAWN)
        self._due.set()

    # Sending

    async def start(self) -> None:
        """Shows again what a process has kept that died before the index showed it.

        Raises:
            StoreError: The outbox or the index fails.
        """
        if self._rows is None or self._sender is None:
            return
        await self.read()
        by_owner: dict[int, list[MessageChange]] = {}
        for change in self.all():
            by_owner.setdefault(change.owner_id, []).append(change)
        for owner_id, changes in by_owner.items():
            await self._account.mailboxes.show(owner_id, [each.message_id for each in changes])
        await self._withdrawing.put_back([each for each in self._all if each.state is ChangeState.WITHDRAWN])

    async def flush(self, within_s: float) -> int:
        """Waits until everything is sent and answered, and returns the number of messages that are left.

        It does not wait while the server cannot be reached, nor for deletions that are held. Something must
        `run` the outbox, in this process or another.

        Raises:
            StoreError: The outbox fails.
        """
        if self._rows is None:
            return 0
        self._flushes += 1
        self._hurried.set()
        self._due.set()
        try:
            with trio.move_on_after(within_s):  # noqa: ASYNC912 - only while something is unsent
                while not self._network.is_down:
                    await self.read()
                    if not any(each.state in _UNSENT for each in self._all):
                        break
                    await self._rows.wait_changed(_NOTICE_S)
        finally:
            self._flushes -= 1
            if not self._flushes:
                self._hurried = trio.Event()
        await self.read()
        return self.left

    async def run(self) -> None:
        """Sends changes until it is cancelled, while no other process of the account does."""
        while True:
            try:
                await self._wait_unsent()
                if self._book is None or not await self._work(self._book):
                    await trio.sleep(_NOTICE_S)
            except StoreError as exc:
                self._recorder.failure("outbox", exc)
                await trio.sleep(_FAILED_S)

    async def watch(self) -> None:
        """Notices the changes of other processes until it is cancelled, and tells the account's listeners."""
        while True:
            await trio.sleep(_NOTICE_S)
            try:
                await self.read()
            except StoreError as exc:
                self._recorder.failure("outbox", exc)
                await trio.sleep(_FAILED_S)

    async def read(self) -> None:
        """Reads the changes again, if this process or another has changed them.

        Raises:
            StoreError: The outbox or the index cannot be read.
        """
        if self._rows is None:
            return
        version = self._rows.version()  # First: what changes in between is read again.
        if version == self._version:
            return
        before = set(self._all)
        self._all = await self._rows.all()
        self._version = version
        for owner_id in {each.owner_id for each in before.symmetric_difference(self._all)}:
            self._account.mailboxes.notice(owner_id)

    async def _work(self, book: OutboxBook) -> bool:
        """Sends until nothing waits; False if another process does that."""
        assert self._sender is not None  # noqa: S101 - there is a book
        with book.turn(self._account.id, KIND) as is_mine:
            if not is_mine:
                return False
            since_s = trio.current_time()
            while True:
                await self._collect()
                await self._network.wait_up()
                self._due = trio.Event()
                left_s = await self._sender.advance(since_s, self._wall_clock())
                await self.read()
                if left_s is None:
                    return True
                self._resumes_s = trio.current_time() + left_s
                with trio.move_on_after(left_s):
                    await self._due.wait()

    async def _collect(self) -> None:
        """Waits until no process has wanted anything for a moment, or somebody flushes the outbox."""
        assert self._rows is not None  # noqa: S101 - there is a book
        with trio.move_on_after(_COLLECT_S):  # noqa: ASYNC912 - the loop waits at least once
            version = None
            while version != (version := self._rows.version()):
                with trio.move_on_after(_QUIET_S):
                    await self._hurried.wait()
                    return

    async def _wait_unsent(self) -> None:
        while True:
            self._due = trio.Event()
            await self.read()
            if any(each.state in _UNSENT for each in self._all):
                return
            with trio.move_on_after(_NOTICE_S):
                await self._due.wait()
