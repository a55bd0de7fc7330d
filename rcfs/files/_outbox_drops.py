"""The ``Outbox`` of a tree: what people drop into it is added to the outbox, which alone sends.

A message that is not in the outbox when the process dies is not sent. A report shows each message that was
refused, or may have been sent, also if another process has added it.
"""

from typing import Final

import trio

from rcfs.engine import Engine
from rcfs.errors import BusyError, StoreError
from rcfs.files._changes import Changes, TreePath
from rcfs.files._dropping import AGAIN_S, Dropping
from rcfs.model import Outgoing, Send, SendKind, SendState, country_of, load_numbers
from rcfs.outbox import SendsChanged
from rcfs.tree import OUTBOX, DropFile, Dropped, Drops, Root, Stage, drop_of, dropped_text

_MOST_TEXT_BYTES: Final = 64 << 10
"""Most bytes that are read of a text: far more than a message may have."""
_DIRECTORIES: Final = {SendKind.FAX: "Fax", SendKind.PAGE: "Page", SendKind.SMS: "SMS", SendKind.MMS: "SMS"}
"""The directory of each kind."""
_MOST_NAME: Final = 100
"""Most characters of the recipients in the name of a report."""
_FAILED = """\
This was not sent: {problem}.

Write the file again to try again, or remove it and this text to forget it.
"""
_UNKNOWN = """\
rcfs cannot find out whether this was sent: {problem}.

Look into the mailbox, or ask the recipient. To forget it, remove the file and this text. To send it again,
perhaps for the second time, remove both, and copy the file here again.
"""
_ELSEWHERE = """\
{words}: {problem}.

To send it {again}, run: rcfs outbox --again {id}
To forget it, remove this text.
"""


class OutboxDropping(Dropping):
    """The ``Outbox`` of one tree."""

    def __init__(self, root: Root, drops: Drops, engine: Engine, changes: Changes) -> None:
        super().__init__(drops, engine, changes)
        self._root = root
        self._sends = engine.sends
        self._cancelling: set[str] = set()
        """Ids of messages that are being forgotten because somebody removes their files."""

    async def run(self) -> None:
        """As `Dropping.run`; follows the outbox as well."""
        stop = self._sends.changes.subscribe(self._hear)
        try:
            await super().run()
        finally:
            stop()

    async def _begin(self) -> None:
        try:
            await self._sends.read()
        except StoreError as exc:
            self._recorder.failure("send", exc)
        for send in self._sends.all():
            self._report(send)
        await trio.to_thread.run_sync(load_numbers)

    def _is_moving(self) -> bool:
        sends = [self._sends.find(each.send_id) for each in self._drops.entries.values()]
        return super()._is_moving() or any(
            not each.state.is_settled and not each.problem for each in sends if each is not None
        )

    # Messages

    async def _use(self, entry: Dropped) -> None:
        """Adds a drop to the outbox as a message, unless an earlier try is not over; raises as `Dropping`."""
        store = await self._prepared()
        if entry.send_id:
            try:
                await self._stop(entry.send_id)
            except BusyError:
                self._drops.postpone(entry, self._now_s() + AGAIN_S)
                return
            entry.send_id = ""
        country = ""
        if entry.path[0] != "Page" and not all(
            each.strip().startswith("+") for each in entry.path[1].split(",")
        ):
            country = country_of(await self._sends.parties.own_numbers())
        texts: list[DropFile] = []
        files: list[tuple[str, int]] = []
        kinds: set[SendKind] = set()
        recipients: tuple[str, ...] = ()
        for name, file in entry.sendable():
            if file.is_cut:
                raise ValueError(f"{name} is not whole: the program that wrote it was ended, or had no room")
            drop = drop_of((*entry.path, name) if entry.is_folder else entry.path, country)
            if drop is None:
                continue
            recipients = drop.recipients
            kinds.add(drop.kind)
            if drop.is_text:
                texts.append(file)
            else:
                files.append((name, file.number))
        if len(texts) > 1:
            raise ValueError("a message has one text, and there are several .txt files")
        kind = SendKind.MMS if SendKind.MMS in kinds else kinds.pop()
        text = ""
        if texts:
            data = await trio.to_thread.run_sync(store.read, texts[0].number, _MOST_TEXT_BYTES + 1)
            if len(data) > _MOST_TEXT_BYTES:
                raise ValueError("the text is far too long for a message")
            text = dropped_text(data)
        sender, parties = await self._sends.parties.find(kind, recipients)
        described, paths = await trio.to_thread.run_sync(store.described, kind, files)
        try:
            send = await self._sends.add(Outgoing(kind, parties, sender, text, described), paths)
        finally:
            store.forget(paths)
        self._drops.queue(entry, send.id)
        self._forget_report(send.id)
        self._show(self._sends.find(send.id), entry)

    async def _stop(self, send_id: str) -> None:
        """Makes the outbox forget a message.

        Raises:
            BusyError: Its request was sent, and has no answer yet; or the message was sent.
        """
        self._cancelling.add(send_id)
        try:
            done = await self._sends.drop(send_id, unless=(SendState.SENT,))
            if not done and self._sends.find(send_id) is not None:
                raise BusyError("the message is being sent, or was sent; it is too late to stop it")
        finally:
            self._cancelling.discard(send_id)

    def _hear(self, event: SendsChanged) -> None:
        self._woken.set()
        for send in event.changed:
            entry = self._drops.sent_as(send.id)
            if entry is None:
                self._report(send)
            elif entry.stage in (Stage.QUEUED, Stage.FAILED, Stage.UNKNOWN):
                self._show(send, entry)
        for send in event.gone:
            entry = self._drops.sent_as(send.id)
            if send.id in self._cancelling:
                continue
            if entry is None:
                self._forget_report(send.id)
            elif entry.stage in (Stage.QUEUED, Stage.UNKNOWN):
                self._show(None, entry)
            else:
                entry.send_id = ""  # The file stays, as it was refused, or is being written again.

    def _show(self, send: Send | None, entry: Dropped) -> None:
        """Shows how far the message of a drop is; None if the outbox has forgotten it."""
        if send is None or send.state is SendState.SENT:
            self._finish(entry)
        elif send.state is SendState.REFUSED:
            self._fail(entry, send.problem)
        elif send.state is SendState.UNKNOWN:
            self._fail(entry, send.problem, is_unknown=True)
        else:
            self._drops.queue(entry, send.id)
            self._woken.set()

    # Messages that other processes, or earlier ones, have added

    def _report(self, send: Send) -> None:
        """Shows a message without files here, if a person has to decide about it."""
        is_unknown = send.state is SendState.UNKNOWN
        if not is_unknown and send.state is not SendState.REFUSED:
            self._forget_report(send.id)
            return
        to = ",".join(send.outgoing.recipients)[:_MOST_NAME] or f"fax {send.outgoing.resend_id}"
        path = (_DIRECTORIES[send.outgoing.kind], f"{to} [{send.id}]")
        words = "rcfs cannot find out whether this was sent" if is_unknown else "This was not sent"
        again = "again, perhaps for the second time" if is_unknown else "now"
        text = _ELSEWHERE.format(words=words, problem=send.problem.rstrip("."), again=again, id=send.id)
        self._forget_report(send.id)
        self._drops.report(path, text, send.since_s, send.id, is_unknown=is_unknown)
        self._tell(path, *self._drops.reports_of(path))

    def _forget_report(self, send_id: str) -> None:
        path = self._drops.forget_report(send_id)
        if path is not None:
            self._tell(path)

    # Words and places

    def _failed_text(self, problem: str, *, is_unknown: bool) -> str:
        return (_UNKNOWN if is_unknown else _FAILED).format(problem=problem)

    def _shown(self, path: tuple[str, ...]) -> TreePath | None:
        owner_id = self._drops.owner_id()
        name = None if owner_id is None else self._root.name_of(owner_id)
        return None if name is None else (name, OUTBOX, *path)
