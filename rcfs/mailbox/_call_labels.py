"""Writes the lines of calls again when names that they contain have changed.

A line of a call log holds the path of its voicemail or fax, which is known when that mailbox is loaded, and
the path of its recording, which begins with the name of an extension's directory. All lines are written again
when another version of rcfs writes them in another way.

Concurrency: all methods run in the trio thread.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

import trio

from rcfs.errors import StoreError
from rcfs.mailbox._call_intake import CallIntake, CallShelving
from rcfs.mailbox._changes import Change, MailboxChanged, MailboxLoaded
from rcfs.mailbox._context import Context
from rcfs.model import COMPANY, CallContext, Extension
from rcfs.store import ChangedCalls

_SETTLE_S = 5.0
"""Time from a change of a mailbox until its calls are written again: more changes may follow."""
_LABELLING = frozenset([(), ("Voicemail",), ("Fax",), ("Trash",)])
"""The views of a mailbox that lines may name; ``()`` stands for all of it."""
_AT_ONCE = 500
"""Records that are read in one question, a few milliseconds."""


class CallLabels:
    """Knows the present names, and keeps the lines of calls in step with them."""

    def __init__(
        self,
        context: Context,
        shelving: CallShelving,
        intake: CallIntake,
        tell: Callable[[ChangedCalls], None],
    ) -> None:
        """Follows changes of mailboxes from now on; `tell` is called with the changes of call logs."""
        self._context = context
        self._context_of = shelving.context_of
        self._edition = context.shelving.edition
        self._intake = intake
        self._tell = tell
        self._account_id = ""
        self._extensions: dict[int, Extension] = {}
        self._is_complete = True
        """Whether the index has all that belongs to its calls; a new one after damage lacks some of it."""
        self._mailboxes: set[int] = set()
        """The extensions whose mailboxes have changed since their calls were written."""
        self._running = trio.Lock()
        self.names: CallContext = shelving.context_of((), self._message_path)
        """The present names."""
        context.changes.subscribe(self._heard)

    def show(self, account_id: str, extensions: Iterable[Extension], *, is_complete: bool) -> None:
        """Takes over the extensions that the root shows, and starts to write the calls of those that changed.

        Args:
            account_id: Decimal account id.
            extensions: The extensions.
            is_complete: Whether these are all of the account, so that others no longer exist.
        """
        self._account_id = account_id
        self._extensions = {extension.id: extension for extension in extensions}
        self.names = self._context_of(self._extensions.values(), self._message_path)
        self._context.nursery.start_soon(self._rename, is_complete)

    async def complete_index(self) -> None:
        """Writes all calls again, because a new index lacks the words for searches and some links."""
        self._is_complete = False
        if self._account_id:
            async with self._running:
                self._is_complete = await self._write(self._everything, COMPANY)

    async def _rename(self, is_complete: bool) -> None:
        async with self._running:
            edition, known = self._written()
            now = {str(each): self.names.directories.get(each) for each in self._extensions}
            after = now if is_complete else known | now
            changed = {each for each in known.keys() | now.keys() if known.get(each) != after.get(each)}
            is_written = True
            if edition != self._edition or not self._is_complete:
                is_written = self._is_complete = await self._write(self._everything, COMPANY)
            elif known:
                for extension_id in sorted(map(int, changed)):
                    is_written &= await self._write(self._context.index.reader.calls.all_of, extension_id)
            if not is_written or (edition == self._edition and not changed):
                return
            # Only now: if this process is killed before, the next one does it again.
            with suppress(StoreError):
                await self._context.note(self._topic, json.dumps({"edition": self._edition, "names": after}))

    def _heard(self, change: Change) -> None:
        if isinstance(change, MailboxLoaded) or (
            isinstance(change, MailboxChanged)
            and not _LABELLING.isdisjoint(path[:1] for path in change.paths)
        ):
            if not self._mailboxes:
                self._context.nursery.start_soon(self._relabel)
            self._mailboxes.add(change.extension_id)

    async def _relabel(self) -> None:
        await trio.sleep(_SETTLE_S)
        async with self._running:
            changed, self._mailboxes = self._mailboxes, set()
            for extension_id in sorted(changed):
                await self._write(self._context.index.reader.calls.labelled, extension_id)

    def _everything(self, account_id: str, _owner: int) -> Iterator[str]:
        """All records of the account."""
        number = 0
        while rows := self._context.index.reader.calls.records_after(number, _AT_ONCE):
            number = rows[-1][0]
            yield from (raw for _number, account, raw in rows if account == account_id)

    async def _write(self, raws: Callable[[str, int], Iterable[str]], extension_id: int) -> bool:
        """Writes the calls again whose records `raws` gives for an extension; False if that failed."""
        account_id, names, intake = self._account_id, self.names, self._intake
        try:
            changed = await self._context.in_thread(
                lambda: intake.shelve_again(account_id, raws(account_id, extension_id), names)
            )
        except StoreError as exc:
            self._context.recorder.fault("calls", str(exc), extension=extension_id)
        except Exception as exc:  # noqa: BLE001 - the lines stay as they were
            self._context.recorder.crash("calls", exc)
        else:
            self._tell(changed)
            return True
        return False

    def _message_path(self, extension_id: int, message_id: int) -> str | None:
        """See `CallContext.message_path`; for any thread."""
        reader = self._context.index.reader
        mailbox = reader.mailbox(self._account_id, extension_id)
        home = None if mailbox is None or not mailbox.loaded else reader.home(mailbox.number, message_id)
        row = None if home is None else reader.message(home.number, message_id)
        if home is None or row is None or home.view in self._context.shelving.hidden_views:
            return None
        return "/".join(filter(None, (home.view, home.name, row.name)))

    @property
    def _topic(self) -> str:
        # In the form of the notes about mailboxes, by which `rcfs forget` finds it.
        return f"mailbox {self._account_id}/names in call logs"

    def _written(self) -> tuple[str, dict[str, str | None]]:
        """The edition of the rules, and the names by id of the extension, by which lines were written."""
        try:
            note = self._context.index.reader.noted(self._topic)
            if note is None:
                return self._edition, {}
            known = json.loads(note.text)
            return str(known["edition"]), {str(int(each)): name for each, name in known["names"].items()}
        except (StoreError, ValueError, TypeError, KeyError, AttributeError):
            return self._edition, {}
