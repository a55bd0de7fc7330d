"""The exports of an account: asking for them, following them, and forgetting them.

Every export is in the database before rcfs asks the platform for it, and its task id as soon as the answer
is there: no request lists message store reports. Several processes may share the database. One at a time asks
and polls, see `ExportBook.turn`; the others read the result within seconds.

Concurrency: all methods run in the trio thread, and any number of tasks may call them at the same time. A
change is made even if its caller is cancelled.
"""

import json
import random
import secrets
from collections.abc import Callable
from contextlib import suppress

import attrs
import trio

from rcfs.errors import ForbiddenError, RcfsError, StoreError
from rcfs.exports._asker import SCOPES, Asker, subject
from rcfs.exports._changes import ExportsChanged
from rcfs.exports._course import blocked, is_blocked, next_due
from rcfs.exports._status import left_s, status_of, usual_s
from rcfs.mailbox import Account
from rcfs.model import Export, ExportKind, ExportQuery, ExportState, Extension, is_admin
from rcfs.status import ExportRefusalStatus, ExportsStatus
from rcfs.store import ExportBook
from rcfs.transport import Listeners, Network, Recorder, Requester, run_together

_NOTICE_S = 3.0
"""Time between two looks for changes by other processes, in seconds; a look reads a few bytes of shared
memory."""
_FAILED_S = 60.0
"""Pause after an error of the database, in seconds."""
_UNKEPT = "the list of exports cannot be kept"
_REPEATABLE = frozenset({ExportState.ASKED, ExportState.FAILED, ExportState.CANCELLED, ExportState.EXPIRED})
"""States in which a person may want an export asked for again."""


class Exports:
    """The exports of one account, as one process sees them."""

    def __init__(
        self,
        account: Account,
        requester: Requester,
        network: Network,
        recorder: Recorder,
        book: ExportBook | None,
        *,
        wall_clock: Callable[[], float],
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Asks and polls only while `run` or `look` does.

        `wall_clock` gives seconds since 1970 UTC, and `jitter` numbers from 0 to 1, which vary the pauses
        between polls. Without a `book` there are no exports.
        """
        self._account = account
        self._network = network
        self._recorder = recorder
        self._book = book
        self._wall_clock = wall_clock
        self._all: tuple[Export, ...] = ()
        self._version: int | None = None
        self._durations: dict[ExportKind, tuple[float, ...]] = {}
        self._own: tuple[int | None, tuple[Extension, ...], bool | None] = (None, (), None)
        """The account's own extension and extensions, and whether that is an admin's."""
        self._unsaved: dict[str, tuple[Export, Export]] = {}
        """Exports whose task ids could not be written, by id: as they are on the disk, and should be."""
        self._reading = trio.Lock()
        self._looking = trio.Lock()
        self._due = trio.Event()
        self._changed = trio.Event()
        self._asker = Asker(
            account,
            requester,
            recorder,
            save=self._save,
            is_wanted=lambda export: export in self._all,
            now_s=wall_clock,
            jitter=jitter,
        )
        self.changes: Listeners[ExportsChanged] = Listeners(recorder)
        """The listeners to changes, by this process or another."""

    # Questions, which never wait and send nothing

    def refusal(self, kind: ExportKind) -> str:
        """Why the login has no exports of that kind, as part of a sentence; empty if it has, or may have."""
        if self._book is None:
            return _UNKEPT
        if self._is_admin is False:
            return "the login is no administrator"
        return self._account.rights.refusal(subject(kind), SCOPES[kind])

    @property
    def kinds(self) -> tuple[ExportKind, ...]:
        """The kinds of which the login has exports, or may have."""
        return tuple(kind for kind in ExportKind if not self.refusal(kind))

    def all(self) -> tuple[Export, ...]:
        """All exports of the account, in the order in which they were wanted."""
        return self._all

    def find(self, kind: ExportKind, name: str) -> Export | None:
        """The export of that kind with that name, see `ExportQuery.name`; None if there is no such export.

        The name may end later in this month than the export, which ends today; see `ExportQuery.begun`.
        """
        by_name = {each.query.name: each for each in self._all if each.query.kind is kind}
        if name not in by_name:
            with suppress(ValueError):
                name = ExportQuery.parse(kind, name).begun(self._wall_clock()).name
        return by_name.get(name)

    def usual_s(self, kind: ExportKind) -> float | None:
        """How long an export of that kind took lately, in seconds, as the median; None if none ended yet."""
        return usual_s(self._durations.get(kind, ()))

    def left_s(self, export: Export) -> float | None:
        """Seconds until an export is probably complete, see `rcfs.exports.left_s`; None if not known."""
        return left_s(export, self._durations.get(export.query.kind, ()), self._wall_clock())

    def reason(self, export: Export) -> str:
        """Why an unfinished export does not progress, or what is wrong with it, as a sentence; else empty."""
        if export.state.is_final:
            return export.problem
        if self._network.is_down:
            offline = self._network.state == "offline"
            return "rcfs is offline" if offline else "the server cannot be reached, and nothing is sent"
        return self.refusal(export.query.kind) or export.problem

    def status(self) -> ExportsStatus:
        """The exports for the status, with the reason for each kind that is missing."""
        refusals = ((kind, self.refusal(kind)) for kind in ExportKind)
        return ExportsStatus(
            tuple(ExportRefusalStatus(kind.value, because) for kind, because in refusals if because),
            tuple(status_of(each, left_s=self.left_s(each), reason=self.reason(each)) for each in self._all),
        )

    # Changes

    async def request(self, query: ExportQuery, *, again: bool = False) -> Export:
        """Wants the export `query`; it is on the disk when this returns, and nothing has been sent for it.

        Later days of the present month are left out.

        An export with the same kind and name stays as it is, and is the result. With `again`, it is asked for
        once more if it failed, was cancelled or has expired, or if the answer to the request was lost.

        Raises:
            ForbiddenError: The login has no exports of that kind; see `refusal`.
            ValueError: A day of the period is in the future, see `ExportQuery.begun`.
            StoreError: It cannot be kept.
        """
        because = self.refusal(query.kind)
        if because:
            raise ForbiddenError(f"no exports of {query.kind.value}: {because}")
        now_s = self._wall_clock()
        query = query.begun(now_s)
        new = Export(secrets.token_hex(8), query, "", ExportState.WAITING, now_s, now_s, now_s)
        export = await trio.to_thread.run_sync(self._kept.add, self._account.id, new)
        if again and export.state in _REPEATABLE:
            renewed = attrs.evolve(new, id=export.id)
            if export.state is ExportState.ASKED and query.kind is ExportKind.TEAM:
                # The platform lists those, so rcfs looks there first.
                renewed = attrs.evolve(export, next_look_s=now_s)
            await trio.to_thread.run_sync(self._kept.change, self._account.id, export, renewed)
            export = renewed
        with trio.CancelScope(shield=True):  # It is made: whoever waited for it must not hear that it failed.
            await self.read()
        self._due.set()
        return export

    async def forget(self, export_id: str) -> bool:
        """Forgets an export here; the platform keeps it, and the log its task id. False if it is unknown.

        Raises:
            StoreError: The list of exports cannot be written.
        """
        task_ids = [each.task_id for each in self._all if each.id == export_id]
        found = await trio.to_thread.run_sync(self._kept.remove, export_id)
        if found and any(task_ids):
            self._recorder.note("export forgotten", task=task_ids[0])
        with trio.CancelScope(shield=True):  # As in `request`.
            await self.read()
        return found

    async def look(self) -> None:
        """Asks and polls what is due now, unless the platform cannot be reached or another process does.

        Failures become part of the exports.

        Raises:
            StoreError: The list of exports cannot be used.
        """
        if self._book is None or self._network.is_down:
            return
        async with self._looking:
            with self._book.turn(self._account.id) as is_mine:
                if not is_mine:
                    return
                await self._write_unsaved()
                await self.read()
                await self._advance_all()

    async def run(self) -> None:
        """Asks and polls whenever something is due, and follows other processes, until it is cancelled."""
        if self._book is not None:
            await run_together([self._work, self._follow])

    async def _follow(self) -> None:
        """Reads what other processes change, also while a request waits for its slot."""
        while True:
            await trio.sleep(_NOTICE_S)
            with suppress(RcfsError):  # `_work` tells of it.
                await self.read()

    async def _work(self) -> None:
        """Asks and polls whenever something is due."""
        while True:
            self._due = trio.Event()
            pause_s = _NOTICE_S
            try:
                await self.read()
                if self._unsaved or self._is_due():
                    await self.look()
            except RcfsError as exc:
                self._recorder.failure("exports", exc)
                pause_s = _FAILED_S
            with trio.move_on_after(self._pause_s(pause_s)):
                await self._due.wait()

    async def wait(self, export_id: str, until: Callable[[Export], bool]) -> Export | None:
        """The export with this id as soon as `until` is true of it; None when it is forgotten.

        It only follows: `run` must ask and poll, in this process or in another one.
        """
        while True:
            changed = self._changed
            export = next((each for each in self._all if each.id == export_id), None)
            if export is None or until(export):
                return export
            await changed.wait()

    async def recheck(self, task_id: str) -> None:
        """Asks the platform soon whether it still has a completed export that lacks an archive."""
        for export in self._all:
            if export.task_id == task_id and export.state is ExportState.COMPLETED and not export.next_look_s:
                try:
                    await self._save(export, attrs.evolve(export, next_look_s=self._wall_clock()))
                except StoreError as exc:
                    self._recorder.failure("exports", exc)
                self._due.set()

    async def read(self) -> None:
        """Reads the exports again if another process has changed them, and tells the listeners.

        Raises:
            StoreError: The list of exports cannot be read.
        """
        if self._book is None:
            return
        if self._book.version() == self._version:
            return
        async with self._reading:
            version = self._book.version()  # First: what changes in between is read again.
            if version == self._version:
                return
            found, durations = await trio.to_thread.run_sync(self._read)
            before = {each.id: each for each in self._all}
            self._version, self._all, self._durations = version, found, durations
        changed = tuple(each for each in found if before.pop(each.id, None) != each)
        if changed or before:
            self._changed.set()
            self._changed = trio.Event()
            self.changes.tell(ExportsChanged(changed, tuple(before.values())))

    # Asking and polling

    async def _advance_all(self) -> None:
        """Does all that is due, each export at most once."""
        done: set[str] = set()
        while not self._network.is_down:
            export = next_due(self._all, self.kinds, self._wall_clock(), done)
            if export is None:
                break
            done.add(export.id)
            await self._asker.advance(export, self._all)
        now_s = self._wall_clock()
        for export in self._all:
            if is_blocked(export, self._all) and 0 < export.next_look_s <= now_s:
                await self._save(export, blocked(export))

    def _is_due(self) -> bool:
        return next_due(self._all, self.kinds, self._wall_clock(), ()) is not None

    def _pause_s(self, most_s: float) -> float:
        """Seconds until something is due, at most `most_s`; what is due already has just been tried."""
        now_s = self._wall_clock()
        ahead = [each.next_look_s - now_s for each in self._all if each.next_look_s > now_s]
        return min([most_s, *ahead])

    async def _save(self, before: Export, after: Export) -> bool:
        """Replaces `before` by `after`; False if it has changed or was forgotten meanwhile.

        A new task id that cannot be written stays in memory until it can be.
        """
        try:
            done = await trio.to_thread.run_sync(self._write, before, after)
        except StoreError as exc:
            if not after.task_id or before.task_id:
                raise
            self._unsaved[after.id] = (before, after)
            self._recorder.fault("exports", f"the task id {after.task_id} is only in memory: {exc}")
            return True
        await self.read()
        return done

    async def _write_unsaved(self) -> None:
        for export_id, (before, after) in list(self._unsaved.items()):
            await trio.to_thread.run_sync(self._write, before, after)
            del self._unsaved[export_id]

    def _write(self, before: Export, after: Export) -> bool:
        """Replaces `before` by `after` in the database; for a worker thread."""
        done = self._kept.change(self._account.id, before, after)
        if done and after.state is ExportState.COMPLETED and not before.state.is_final:
            took_s = max(0.0, after.since_s - after.asked_s)
            self._kept.add_duration(self._account.id, after.query.kind, took_s, after.since_s)
        return done

    @property
    def _kept(self) -> ExportBook:
        if self._book is None:
            raise StoreError(_UNKEPT)
        return self._book

    @property
    def _is_admin(self) -> bool | None:
        own_id, extensions = self._account.own_id, self._account.extensions
        if self._own[0] != own_id or self._own[1] is not extensions:
            own = next((each for each in extensions if each.id == own_id), None)
            self._own = own_id, extensions, None if own is None else is_admin(json.loads(own.raw))
        return self._own[2]

    def _read(self) -> tuple[tuple[Export, ...], dict[ExportKind, tuple[float, ...]]]:
        """The present exports, and how long the latest took; for a worker thread."""
        book, account_id = self._kept, self._account.id
        return book.all(account_id), {kind: book.durations(account_id, kind) for kind in ExportKind}
