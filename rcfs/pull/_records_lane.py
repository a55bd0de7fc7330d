"""Takes the records of mailboxes that were never loaded out of an export, before a pull lists them.

A list costs a Light request for each thousand messages. After this, it costs three requests for a mailbox of
any size (`rcfs.mailbox._update`), but the export takes minutes. So rcfs does this where most mailboxes of the
account are unknown: the same export then brings the attachments. With ``--via auto`` it must also save more
time than it takes. A failure is a note, and then rcfs lists the mailboxes as usual.
"""

import math
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from statistics import fmean, median_high
from typing import Final

import trio

from rcfs.engine import Engine
from rcfs.errors import AuthError, ForbiddenError, PlatformError, RcfsError, StoreError
from rcfs.exports import Exports
from rcfs.model import (
    DAY_S,
    LIGHT,
    Export,
    ExportKind,
    ExportQuery,
    ExportState,
    Priority,
)
from rcfs.pull._export_lane import PATIENCE_S
from rcfs.pull._fill import problems_of
from rcfs.pull._load import LOADERS, in_parallel
from rcfs.pull._transfer import PROGRAM
from rcfs.pull._way import WORTH, Costs
from rcfs.transport import run_together

_BEGINNING_S: Final = 946_684_800
"""2000-01-01 UTC: no message is older, see `rcfs.platform.list_messages`."""
_PAGE: Final = 1000
"""Messages that a request for a list brings."""
_MOST_PAGES: Final = 11
"""Pages of a full mailbox, about: the documented limits are 5,000 texts of each direction, and 200 others."""
_SAMPLE: Final = 8
"""Mailboxes that are loaded to learn how many messages one has."""


class RecordsLane:
    """The export whose records a pull takes; `run` once, in the trio thread."""

    def __init__(self, engine: Engine, *, is_eager: bool, on_note: Callable[[str], None]) -> None:
        """With `is_eager`, rcfs does not ask whether it saves time. `on_note` gets what went wrong."""
        self._engine = engine
        self._is_eager = is_eager
        self._on_note = on_note
        self._prepared_s: list[float] = []
        """When the token of each mailbox that waits for records was asked for."""

    async def run(self) -> None:
        """Takes the records, if that is worth it; ends when they are in the index or cannot come.

        Raises:
            AuthError: The credentials are refused.
            StoreError: The index fails.
        """
        if self._engine.exports.refusal(ExportKind.MESSAGES):
            return
        unknown = self._unknown()
        if not self._is_eager and self._is_quicker(len(unknown), _MOST_PAGES):
            await self._load_sample(unknown)
            unknown = self._unknown()
        if not await self._is_worth(len(unknown)):
            return
        await in_parallel(LOADERS, self._prepare, unknown)()
        if self._prepared_s:
            await run_together([self._engine.exports.run, self._bring], until_one_returns=True)

    def _unknown(self) -> list[int]:
        """The extensions whose mailboxes were never loaded."""
        account = self._engine.account
        return [each.id for each in account.extensions if account.mailboxes.needs_load(each.id)]

    async def _counts(self) -> list[int]:
        """The number of messages of each mailbox that was loaded."""
        engine = self._engine
        counts = await trio.to_thread.run_sync(engine.index.reader.counts, engine.account.id)
        return list(counts.values())

    async def _load_sample(self, unknown: list[int]) -> None:
        sample = unknown[: max(0, _SAMPLE - len(await self._counts()))]
        refresh = self._engine.account.mailboxes.refresh
        for extension_id in sample:
            await _tried(partial(refresh, extension_id, Priority.BULK))

    async def _is_worth(self, unknown: int) -> bool:
        """Whether to do this with that many mailboxes that were never loaded."""
        counts = await self._counts()
        are_most = unknown >= max(1, len(counts))
        if not are_most or self._is_eager:
            return are_most
        return self._is_quicker(unknown, fmean(math.ceil(count / _PAGE) for count in counts) if counts else 0)

    def _is_quicker(self, unknown: int, pages: float) -> bool:
        """Whether lists of that many mailboxes, with `pages` each, take much longer than an export."""
        saved_s = unknown * max(0, pages - 1) * self._engine.lane.budget.interval_s(LIGHT)
        return saved_s > WORTH * Costs(self._engine).report_s

    async def _prepare(self, extension_ids: Iterator[int]) -> None:
        prepare = self._engine.account.mailboxes.prepare_records

        async def ask(extension_id: int) -> None:
            at_s = await prepare(extension_id, Priority.BULK)
            if at_s is not None:
                self._prepared_s.append(at_s)

        for extension_id in extension_ids:
            await _tried(partial(ask, extension_id))

    async def _bring(self) -> None:
        export = await self._export()
        if export is None:
            return
        name = f"export {export.query.name}"
        records = [archive for archive in export.archives if archive.number == 0]
        if export.state is not ExportState.COMPLETED or not records:
            self._on_note(f"{name} brings no records; rcfs lists the mailboxes")
            return
        try:
            report = await self._engine.fast_lane.fill_from(export, records[0], program=PROGRAM)
        except AuthError:
            raise
        except PlatformError as exc:
            self._on_note(f"{name}: {exc}; rcfs lists the mailboxes that lack records")
            return
        for problem in problems_of(report):
            self._on_note(f"{records[0].name} of {name}: {problem}")

    async def _export(self) -> Export | None:
        """The export of all messages, once it has ended; None without one."""
        exports = self._engine.exports
        export = self._known()
        if export is None:
            end_s = math.ceil(self._engine.wall_clock() / DAY_S) * DAY_S
            query = ExportQuery(ExportKind.MESSAGES, _BEGINNING_S, end_s)
            try:
                export = await exports.request(query, again=True)
            except (ForbiddenError, StoreError, ValueError) as exc:
                self._on_note(f"{exc}; rcfs lists the mailboxes")
                return None
        return await _ended(exports, export)

    def _known(self) -> Export | None:
        """The latest export of all messages that is young enough for most mailboxes; None without one."""
        tokens_s = median_high(self._prepared_s)
        found = [
            export
            for export in self._engine.exports.all()
            if export.query.kind is ExportKind.MESSAGES
            and not export.query.types
            and export.query.from_s <= _BEGINNING_S
            and (export.state is ExportState.COMPLETED or not export.state.is_final)
            and tokens_s <= export.asked_s < export.query.to_s
        ]
        return max(found, key=lambda each: each.asked_s, default=None)


async def _tried(work: Callable[[], Awaitable[None]]) -> None:
    """Does `work` for one mailbox; a failure shows again when the pull loads it.

    Raises:
        AuthError: The credentials are refused.
        StoreError: The index fails.
    """
    try:
        await work()
    except (AuthError, StoreError):
        raise
    except RcfsError:
        pass


async def _ended(exports: Exports, export: Export) -> Export | None:
    """An export that has ended, or has been in one state for too long; None if it was removed."""
    found: Export | None = export
    is_asked = False
    end_s = trio.current_time() + PATIENCE_S
    while found is not None and not found.state.is_final:
        before = found
        with trio.move_on_at(end_s) as patience:
            found = await _changed(exports, before)
        if patience.cancelled_caught:
            return before
        # In turns, if the platform refuses it or its answers are lost: a pull must end then, too.
        if found is not None and not (is_asked and found.state in (ExportState.WAITING, ExportState.ASKED)):
            end_s = trio.current_time() + PATIENCE_S
        is_asked |= found is not None and found.state is ExportState.ASKED
    return found


async def _changed(exports: Exports, export: Export) -> Export | None:
    """An export as soon as it has another state; None if it was removed."""
    return await exports.wait(export.id, lambda each: each.state is not export.state)
