"""The messages that an account is to send: each at most once, over lost answers, kills and outages.

Every message, with copies of its files, is on the disk before anything is sent. Several processes may share
the outbox; one at a time sends, see `OutboxBook.turn`, and the others read the result within seconds.

Concurrency: all methods run in the trio thread, and any number of tasks may call them at the same time. A
change is made even if its caller is cancelled.
"""

import secrets
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path

import trio

from rcfs.errors import ForbiddenError, PlatformError, RcfsError
from rcfs.mailbox import Account, Change, MailboxChanged
from rcfs.model import (
    Message,
    Outgoing,
    Priority,
    Send,
    SendKind,
    SendState,
    iso_time,
    send_words,
)
from rcfs.outbox import _send_course as course
from rcfs.outbox._send_asker import SCOPES, SendAsker
from rcfs.outbox._send_list import KIND, UNKEPT, SendList
from rcfs.outbox._send_parties import SendParties
from rcfs.platform import read_messages, sent_message
from rcfs.status import SendsStatus
from rcfs.store import OutboxBook
from rcfs.transport import Network, Recorder, Requester, RequestOptions, run_together

_NOTICE_S = 3.0
"""Time between two looks for changes by other processes, in seconds."""
_FAILED_S = 60.0
"""Pause after an error of the database, in seconds."""


class Sends:
    """The messages to send of one account, as one process sees them."""

    def __init__(
        self,
        account: Account,
        requester: Requester,
        network: Network,
        recorder: Recorder,
        book: OutboxBook | None,
        *,
        now_s: Callable[[], float],
    ) -> None:
        """Sends only while `run` or `look` does.

        `now_s` gives the platform's time, in seconds since 1970 UTC. Without a `book` nothing can be sent.
        """
        self._account = account
        self._requester = requester
        self._network = network
        self._recorder = recorder
        self._book = book
        self._now_s = now_s
        self._list = SendList(account, book, recorder)
        self._seen: dict[int, Message] = {}
        """The messages that answers of this process had, by id."""
        self._dropping: set[str] = set()
        """Ids of the sends that are being dropped, which must not be sent any more."""
        self._may_be_told = True
        """Whether the index may tell more of the delivery of messages than at the last look."""
        self._has_news = False
        """Whether the own mailbox has a message that the index does not know yet."""
        self._looking = trio.Lock()
        self._busy: set[bool] = set()
        """The halves of a look that may be at work: True for faxes, False for all else."""
        self._stirred = trio.Event()
        self._due = trio.Event()
        self._asker = SendAsker(
            requester,
            recorder,
            save=self._save,
            is_wanted=lambda send: send in self._list.entries and send.id not in self._dropping,
            paths=self._list.paths,
            note_refusal=lambda kind, because: account.rights.note_refusal(_subject(kind), because),
            note_messages=lambda found: self._seen.update({each.id: each for each in found}),
            now_s=now_s,
        )
        self.changes = self._list.changes
        """The listeners to changes, by this process or another."""
        self.parties = SendParties(account, requester)
        """The numbers to send from and to."""

    # Questions, which never wait and send nothing

    def refusal(self, kind: SendKind) -> str:
        """Why the login cannot send messages of that kind, as part of a sentence; empty if it may be able."""
        if self._book is None:
            return UNKEPT
        return self._account.rights.refusal(_subject(kind), SCOPES[kind])

    @property
    def directory(self) -> Path | None:
        """The directory with the files of messages that are not sent yet; None if none can be kept."""
        return None if self._book is None else self._book.outgoing(self._account.id)

    def all(self) -> tuple[Send, ...]:
        """All messages of the list, in the order in which they were wanted."""
        return self._list.entries

    def find(self, send_id: str) -> Send | None:
        """The send with this id; None if the list has no such send."""
        return self._list.find(send_id)

    def status(self) -> SendsStatus:
        """The messages for the status, as of the latest `read`."""
        entries = self._list.entries
        counts = {state: sum(each.state is state for each in entries) for state in SendState}
        open_since = [each.created_s for each in entries if each.state is not SendState.SENT]
        return SendsStatus(
            waiting=counts[SendState.WAITING],
            asked=counts[SendState.ASKED],
            unknown=counts[SendState.UNKNOWN],
            failed=sum(each.is_failed for each in entries),
            since=iso_time(min(open_since)) if open_since else None,
        )

    def message(self, send: Send) -> Message | None:
        """The record of a message that the platform has; None if this process does not know it.

        Raises:
            StoreError: The index fails.
        """
        own_id = self._account.own_id
        if send.message_id is None or own_id is None:
            return None
        catalogue = self._account.mailboxes.catalogue(own_id)
        known = None if catalogue is None else catalogue.read(send.message_id)
        return known or self._seen.get(send.message_id)

    # Wishes

    async def add(self, outgoing: Outgoing, paths: Sequence[Path] = ()) -> Send:
        """Wants `outgoing` sent, with the files at `paths`; all is on the disk when this returns.

        Raises:
            ForbiddenError: The login cannot send such messages; see `refusal`.
            ValueError: A file has changed since it was described.
            ConfigError: A file cannot be read.
            StoreError: It cannot be kept.
        """
        because = self.refusal(outgoing.kind)
        if because:
            raise ForbiddenError(f"cannot send: {because}")
        send = course.new(secrets.token_hex(8), outgoing, self._now_s())
        await self._list.add(send, paths)
        self._due.set()
        self._stir()
        return send

    async def drop(self, send_id: str, *, unless: Collection[SendState] = ()) -> bool:
        """Forgets a message; one that RingCentral has stays there. False if its request was sent and is open.

        It also returns False, and forgets nothing, if the message is in one of the states `unless`.

        Raises:
            StoreError: The outbox cannot be written.
        """
        self._dropping.add(send_id)
        try:
            while True:
                await self.read()
                send = self.find(send_id)
                if send is None or (send.state is SendState.ASKED and not self._asker.is_unsent(send_id)):
                    return False
                if send.state in unless:
                    return False
                if await self._save(send, None):
                    return True  # Otherwise it has just changed.
        finally:
            self._dropping.discard(send_id)

    async def again(self, send_id: str) -> bool:
        """Sends a message once more that was refused, or of which it is unknown whether it was sent.

        False if no such message has this id.

        Raises:
            StoreError: The outbox cannot be written.
        """
        await self.read()
        send = self.find(send_id)
        if send is None or send.state not in (SendState.REFUSED, SendState.UNKNOWN):
            return False
        done = await self._save(send, course.again(send, self._now_s()))
        self._due.set()
        return done

    async def wait(self, send_id: str, until: Callable[[Send], bool]) -> Send | None:
        """The send with this id as soon as `until` is true of it; None when it is forgotten.

        It only follows: `run` must send, in this process or in another one.
        """
        return await self._list.wait(send_id, until)

    async def ask_delivery(self, send_id: str) -> None:
        """Asks the platform how far a message is, with one request; syncs tell it without one, but later.

        Raises:
            NotFoundError: The platform no longer has the message.
            PlatformError: The server refused, failed or could not be reached.
            StoreError: The outbox cannot be written.
        """
        send, own_id = self.find(send_id), self._account.own_id
        if send is None or send.message_id is None or own_id is None:
            return
        options = RequestOptions(Priority.METADATA, label="delivery of a sent message")
        request = read_messages(own_id, (send.message_id,))
        await self._learn(await self._requester.read(request, sent_message, options))

    # Sending

    async def look(self) -> None:
        """Sends and looks for all that is due now, unless the platform cannot be reached or another does.

        Failures become part of the sends.

        Raises:
            StoreError: The outbox cannot be used.
        """
        if self._book is None or self._network.is_down:
            return
        async with self._looking:
            with self._book.turn(self._account.id, KIND) as is_mine:
                if not is_mine:
                    return
                await self.read()
                await self._recover()
                # Not one after the other: a fax may wait for its slot for a minute.
                self._busy = {True, False}
                await run_together(partial(self._advance_all, is_fax) for is_fax in (False, True))
                await self._tidy()
        if self._has_news:
            self._has_news = False
            await self._refresh()

    async def run(self) -> None:
        """Sends whenever something is due, until it is cancelled."""
        stop = self._account.changes.subscribe(self._hear)
        try:
            is_first = True  # The first look tidies up after a process that died.
            while self._book is not None:
                self._due = trio.Event()
                pause_s = _NOTICE_S
                try:
                    await self.read()
                    if is_first or any(course.is_due(each, self._now_s()) for each in self._list.entries):
                        await self.look()
                        is_first = False
                    if self._may_be_told:
                        self._may_be_told = False
                        await self._learn_deliveries()
                except RcfsError as exc:
                    self._recorder.failure("send", exc)
                    pause_s = _FAILED_S
                with trio.move_on_after(self._pause_s(pause_s)):
                    await self._due.wait()
        finally:
            stop()

    async def read(self) -> None:
        """Reads the list again if another process has changed it, and tells the listeners.

        Raises:
            StoreError: The outbox cannot be read.
        """
        await self._list.read()

    async def _recover(self) -> None:
        """Makes ready for a look all that a process left which died, or was cancelled, during a request."""
        for send in self._list.entries:
            if send.state is SendState.ASKED and not send.ended_s:
                await self._save(send, course.lost(send, None, self._now_s()))

    async def _advance_all(self, is_fax: bool) -> None:
        """Does all that is due for faxes, or for all else, until neither half has anything to do."""
        done: set[Send] = set()
        while not self._network.is_down and self._busy:
            now_s = self._now_s()
            due = [
                each
                for each in self._list.entries
                if (each.outgoing.kind is SendKind.FAX) is is_fax
                and each not in done
                and course.is_due(each, now_s)
                and not (each.state is SendState.WAITING and course.is_behind(each, self._list.entries))
            ]
            if due:
                self._busy.add(is_fax)
                done.add(due[0])
                await self._advance(due[0])
                continue
            self._busy.discard(is_fax)
            self._stir()
            if self._busy:
                with trio.move_on_after(_NOTICE_S):
                    await self._stirred.wait()
                await self.read()
        self._busy.clear()  # Without network, both halves end.

    def _stir(self) -> None:
        """Lets an idle half look again for what is due."""
        self._stirred.set()
        self._stirred = trio.Event()

    async def _advance(self, send: Send) -> None:
        stale = course.stale(send, self._now_s())
        if stale is not None:
            self._recorder.fault("send", send_words(stale))
            await self._save(send, stale)
        elif send.state is SendState.WAITING:
            await self._asker.send(send)
        else:
            await self._asker.look(send, lambda: self._claimed(send))

    def _claimed(self, send: Send) -> set[int]:
        """The ids of the messages that other sends are."""
        return {
            each.message_id
            for each in self._list.entries
            if each.message_id is not None and each.id != send.id
        }

    async def _tidy(self) -> None:
        """Forgets what the list need not keep, and files that no message has."""
        now_s = self._now_s()
        for send in [each for each in self._list.entries if course.is_over(each, now_s)]:
            await self._save(send, None)
        await self._list.sweep()
        ids = {each.message_id for each in self._list.entries}
        self._seen = {message_id: each for message_id, each in self._seen.items() if message_id in ids}

    async def _refresh(self) -> None:
        """Lets the own mailbox, if it is loaded, show what was sent."""
        own_id = self._account.own_id
        if own_id is None or self._account.mailboxes.catalogue(own_id) is None:
            return
        try:
            await self._account.mailboxes.refresh(own_id, Priority.METADATA)
        except PlatformError as exc:
            self._recorder.failure("send", exc)  # A later sync brings it.

    # Delivery

    def _hear(self, event: Change) -> None:
        if isinstance(event, MailboxChanged) and event.extension_id == self._account.own_id:
            self._may_be_told = True
            self._due.set()

    async def _learn_deliveries(self) -> None:
        """Takes the delivery of messages from the index, which syncs keep current."""
        own_id = self._account.own_id
        waiting = [each for each in self._list.entries if each.message_id is not None and not each.is_final]
        catalogue = self._account.mailboxes.catalogue(own_id) if waiting and own_id is not None else None
        if catalogue is None:
            return
        for send in waiting:
            message = None if send.message_id is None else catalogue.read(send.message_id)
            if message is not None:
                await self._learn(message)

    async def _learn(self, message: Message) -> None:
        for send in self._list.entries:
            if send.message_id == message.id:
                told = course.told(send, message)
                if told.problem and not send.problem:
                    self._recorder.fault("send", f"message {message.id} {send_words(told)}")
                if told != send:
                    await self._save(send, told)

    def _pause_s(self, most_s: float) -> float:
        """Seconds until something is due, at most `most_s`; what is due already has just been tried."""
        now_s = self._now_s()
        ahead = [
            each.next_s - now_s
            for each in self._list.entries
            if not each.state.is_settled and each.next_s > now_s
        ]
        return min([most_s, *ahead])

    async def _save(self, before: Send, after: Send | None) -> bool:
        """As `SendList.save`; remembers that the mailbox has a new message."""
        done = await self._list.save(before, after)
        if done and after is not None and after.message_id != before.message_id:
            self._has_news = True
        return done


def _subject(kind: SendKind) -> str:
    """The subject under which a refusal of that kind is remembered, see `Rights.note_refusal`."""
    return f"send/{SCOPES[kind]}"
