"""The list of messages to send, as the outbox on the disk has it, with the copies of their files.

Every change is on the disk, also through a power cut, before the method that makes it returns, and only if
the message has not changed meanwhile, in this process or another.

Concurrency: all methods run in the trio thread, and any number of tasks may call them at the same time.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs
import trio

from rcfs.errors import StoreError
from rcfs.mailbox import Account
from rcfs.model import Send, SendState, send_from_json, send_to_json
from rcfs.outbox._send_files import SendFiles
from rcfs.store import Intent, OutboxBook
from rcfs.transport import Listeners, Recorder

KIND = "send"
"""The kind of the intents of this module."""
UNKEPT = "the outbox cannot be kept"
"""Why nothing can be sent without a book."""


@attrs.frozen
class SendsChanged:
    """Some messages to send have changed."""

    changed: tuple[Send, ...]
    """Those that are new or have another value."""
    gone: tuple[Send, ...] = ()
    """Those that the list no longer has, with their last values."""


class SendList:
    """The messages to send of one account."""

    def __init__(self, account: Account, book: OutboxBook | None, recorder: Recorder) -> None:
        """An empty list until `read`; without a `book` it stays empty."""
        self._account = account
        self._book = book
        self._intents: dict[str, Intent] = {}
        self._version: int | None = None
        self._reading = trio.Lock()
        self._changed = trio.Event()
        self.entries: tuple[Send, ...] = ()
        """All messages, in the order in which they were wanted."""
        self.changes: Listeners[SendsChanged] = Listeners(recorder)
        """The listeners to changes, by this process or another."""

    def find(self, send_id: str) -> Send | None:
        """The send with this id; None if the list has no such send."""
        return next((each for each in self.entries if each.id == send_id), None)

    def paths(self, send: Send) -> list[Path]:
        """The copies of the files of a message, in their order."""
        return self._files.paths(send.id, len(send.outgoing.files))

    async def add(self, send: Send, paths: Sequence[Path]) -> None:
        """Keeps a new message, with copies of its files at `paths`; raises as `SendFiles.keep`."""

        def keep() -> None:
            self._files.keep(send.id, send.outgoing.files, paths)
            try:
                self._kept.add((self._intent_of(send),))
            except StoreError:
                self._files.forget(send.id)
                raise

        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(keep)
        await self.read()

    async def save(self, before: Send, after: Send | None) -> bool:
        """Replaces `before` by `after`, or forgets it; False if it has changed or was forgotten meanwhile.

        The files of a message that needs them no longer are erased.
        """
        intent = self._intents.get(before.id)
        if intent is None or self.find(before.id) != before:
            return False
        new = () if after is None else (self._intent_of(after),)

        def write() -> bool:
            done = self._kept.change((intent,), new)
            if done and (after is None or after.state is SendState.SENT):
                self._files.forget(before.id)
            return done

        done = await trio.to_thread.run_sync(write)
        await self.read()
        return done

    async def wait(self, send_id: str, until: Callable[[Send], bool]) -> Send | None:
        """The send with this id as soon as `until` is true of it; None when it is forgotten.

        It only follows: `run` must send, in this process or in another one.
        """
        while True:
            changed = self._changed
            send = self.find(send_id)
            if send is None or until(send):
                return send
            await changed.wait()

    async def read(self) -> None:
        """Reads the list again if another process has changed it, and tells the listeners.

        Raises:
            StoreError: The outbox cannot be read.
        """
        if self._book is None:
            return
        if self._book.version() == self._version:
            return
        async with self._reading:
            version = self._book.version()  # First: what changes in between is read again.
            if version == self._version:
                return
            intents = await trio.to_thread.run_sync(self._book.all, self._account.id, KIND)
            self._version = version
            self._show(intents)

    def _show(self, intents: Sequence[Intent]) -> None:
        before = {each.id: each for each in self.entries}
        # Of a thousand messages, one has changed.
        pairs = [
            (each, before[each.id] if self._intents.get(each.id) == each else _send_from(each))
            for each in intents
        ]
        self._intents = {intent.id: intent for intent, send in pairs if send is not None}
        self.entries = tuple(send for _intent, send in pairs if send is not None)
        changed = tuple(each for each in self.entries if before.pop(each.id, None) != each)
        if changed or before:
            self._changed.set()
            self._changed = trio.Event()
            self.changes.tell(SendsChanged(changed, tuple(before.values())))

    async def sweep(self) -> None:
        """Erases the files that no message has."""
        sent = frozenset(each.id for each in self.entries if each.state is SendState.SENT)
        await trio.to_thread.run_sync(self._files.sweep, frozenset(self._intents), sent)

    def _intent_of(self, send: Send) -> Intent:
        body = json.dumps(send_to_json(send))
        return Intent(send.id, self._account.id, KIND, send.state.value, send.created_s, send.since_s, body)

    @property
    def _files(self) -> SendFiles:
        return SendFiles(self._kept.outgoing(self._account.id))

    @property
    def _kept(self) -> OutboxBook:
        if self._book is None:
            raise StoreError(UNKEPT)
        return self._book


def sends_of(intents: Sequence[Intent]) -> tuple[Send, ...]:
    """The sends among `intents`, for a list without an engine; those of another version are left out."""
    found = (_send_from(each) for each in intents if each.kind == KIND)
    return tuple(each for each in found if each is not None)


def _send_from(intent: Intent) -> Send | None:
    """The send of an intent; None if another version of rcfs wrote it, with other words."""
    try:
        fields = json.loads(intent.body)
        return send_from_json(intent.id, intent.state, intent.created_s, intent.changed_s, fields)
    except (ValueError, TypeError, KeyError):
        return None
