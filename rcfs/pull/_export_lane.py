"""Brings attachments in the archives of exports: asks for the exports, waits for them, and takes them apart.

The exports are on the disk from the moment that the pull wants them, so a pull that is killed finds them
again. Anything that goes wrong here is a note, and no failure: what the exports do not bring is fetched.
"""

from collections.abc import Callable

import attrs
import trio

from rcfs.engine import Engine
from rcfs.errors import (
    AuthError,
    ForbiddenError,
    NoRoomError,
    NotFoundError,
    RcfsError,
    StoreError,
    UnreachableError,
)
from rcfs.exports import Arrived, ExportsChanged
from rcfs.model import (
    HEAVY,
    ContentKey,
    Export,
    ExportState,
    Priority,
    format_duration,
)
from rcfs.pull._fill import problems_of
from rcfs.pull._periods import Period
from rcfs.pull._transfer import PROGRAM
from rcfs.pull._way import ASSUMED_BYTES_S, Costs, Way, archives_of, contents_of
from rcfs.transport import run_together

PATIENCE_S = 3600.0
"""Longest time in one state, in seconds, after which a pull no longer waits for a report: a dozen times as
long as the documentation's several minutes."""
_RECHECK_S = 120.0
"""Longest wait for the platform's word on an export that lacks an archive, in seconds."""
_LEAST_TIMED_S = 5.0
"""Seconds of transfer from which its speed is taken."""


@attrs.define
class _Wait:
    """A period whose export is to come."""

    period: Period
    state: ExportState
    since_s: float
    """When the pull first saw it in that state, in seconds of trio's clock; asking again is no progress."""
    is_asked: bool = False
    """Whether it was asked for."""
    is_renewed: bool = False
    """Whether it had expired, and was asked for again."""


class ExportLane:
    """The exports of one pull; `run` once, in the trio thread."""

    def __init__(self, engine: Engine, way: Way, *, arrived: Arrived, on_note: Callable[[str], None]) -> None:
        """Prepares the exports of `way`. `arrived` gets what has come, and `on_note` what went wrong."""
        self._engine = engine
        self._way = way
        self._tell_arrival = arrived
        self._on_note = on_note
        self._costs = Costs(engine)
        self._waits: dict[str, _Wait] = {}
        self._unasked = len(way.periods)
        """Periods whose exports this pull has not asked for yet."""
        self._changed = trio.Event()
        self._has_begun = False
        self._moved_s = 0.0
        """When an export last left the list, in seconds of trio's clock."""
        self._left_bytes = {period.query.name: period.total_bytes for period in way.periods}
        self._arrived_bytes = 0
        self._taking_s = 0.0
        self._taking_since_s: float | None = None
        self.archives = 0
        """Archives that were read."""

    @property
    def waits_for(self) -> int:
        """Exports that are still to come."""
        return len(self._waits) + self._unasked

    def left_s(self) -> float:
        """Seconds until the last archive has been read, about."""
        if not self._has_begun:
            return self._way.left_s
        periods = [wait.period for wait in self._waits.values()]
        waits_s = [self._report_left_s(export_id) for export_id in self._waits]
        requests = sum(map(archives_of, periods))
        heavy_s = self._engine.lane.gate.answered_s(HEAVY, Priority.BULK, requests) if requests else 0.0
        now_s = trio.current_time()
        taking_s = self._taking_s + (0 if self._taking_since_s is None else now_s - self._taking_since_s)
        is_timed = taking_s >= _LEAST_TIMED_S and self._arrived_bytes
        speed = self._arrived_bytes / taking_s if is_timed else ASSUMED_BYTES_S
        left_bytes = sum(self._left_bytes.values())
        return max([heavy_s, left_bytes / speed, *waits_s])

    async def run(self) -> None:
        """Brings what the exports hold; ends when all were read, have failed or take too long.

        Raises:
            AuthError: The credentials are refused.
            StoreError: The cache or the copy fails.
            UnreachableError: The network fails.
        """
        self._has_begun = True
        unsubscribe = self._engine.exports.changes.subscribe(self._hear)
        try:
            await run_together([self._engine.exports.run, self._bring_all], until_one_returns=True)
        finally:
            unsubscribe()
            self._waits.clear()
            self._left_bytes.clear()

    def _hear(self, _event: ExportsChanged) -> None:
        self._changed.set()

    async def _bring_all(self) -> None:
        for period in self._way.periods:
            if not await self._want(period):
                break
            self._unasked -= 1
        self._unasked = 0
        self._moved_s = trio.current_time()
        while self._waits:
            self._changed = trio.Event()
            await self._renew_expired()
            ready = self._sort_out({export.id: export for export in self._engine.exports.all()})
            if ready is not None:
                if await self._take(ready):
                    self._drop(ready.id)
            elif self._waits:
                with trio.move_on_after(max(0.0, min(map(self._ends_s, self._waits)) - trio.current_time())):
                    await self._changed.wait()

    async def _want(self, period: Period, *, again: bool = True) -> bool:
        """Wants the export of a period; False if no other is available either."""
        name = period.query.name
        try:
            export = await self._engine.exports.request(period.query, again=again)
        except (ForbiddenError, StoreError) as exc:
            self._on_note(f"{exc}; the attachments come one by one")
            return False
        except ValueError as exc:
            self._on_note(f"export {name}: {exc}; its attachments come one by one")
            return True
        self._waits[export.id] = _Wait(period, export.state, trio.current_time())
        return True

    async def _renew_expired(self) -> None:
        """Asks once more for exports that have expired; the platform does not tell how long it keeps them."""
        for export in self._engine.exports.all():
            wait = self._waits.get(export.id)
            if wait is not None and export.state is ExportState.EXPIRED and not wait.is_renewed:
                self._on_note(f"export {export.query.name} has expired; rcfs asks for it again")
                if await self._want(wait.period):
                    self._waits[export.id].is_renewed = True

    def _sort_out(self, found: dict[str, Export]) -> Export | None:
        """The first complete export; drops those that will bring nothing."""
        now_s = trio.current_time()
        for export_id, wait in tuple(self._waits.items()):
            export = found.get(export_id)
            if export is not None and export.state is ExportState.COMPLETED:
                return export
            if export is None:
                self._give_up(export_id, "was removed")
            elif export.state.is_final:
                problem = f": {export.problem}" if export.problem else ""
                self._give_up(export_id, f"{_ENDS[export.state]}{problem}")
            elif export.state is not wait.state:
                # In turns, if the platform refuses it or its answers are lost: a pull must end then, too.
                if not (wait.is_asked and export.state in (ExportState.WAITING, ExportState.ASKED)):
                    wait.since_s = now_s
                wait.is_asked |= export.state is ExportState.ASKED
                wait.state = export.state
            elif now_s >= self._ends_s(export_id):
                state = export.state.value
                self._give_up(export_id, f"is still {state} after {format_duration(PATIENCE_S)}")
        return None

    def _ends_s(self, export_id: str) -> float:
        """When the pull no longer waits for an export, in seconds of trio's clock."""
        wait = self._waits[export_id]
        # An export that waits for others is as patient as those.
        is_behind = wait.state is ExportState.WAITING
        return PATIENCE_S + (max(wait.since_s, self._moved_s) if is_behind else wait.since_s)

    def _give_up(self, export_id: str, why: str) -> None:
        name = self._waits[export_id].period.query.name
        self._on_note(f"export {name} {why}; its attachments come one by one")
        self._drop(export_id)

    def _drop(self, export_id: str) -> None:
        wait = self._waits.pop(export_id)
        self._left_bytes.pop(wait.period.query.name, None)
        self._moved_s = trio.current_time()

    async def _take(self, export: Export) -> bool:
        """Reads the archives with attachments; False if the export turns out to have expired."""
        name = export.query.name
        archives = contents_of(export)
        if not archives:
            lacks = "holds no attachments" if export.archives else "has no archives"
            self._on_note(f"export {name} {lacks}; those of its period come one by one")
        self._left_bytes[name] = sum(archive.size_bytes or 0 for archive in archives)
        for archive in archives:
            subject = f"{archive.name} of export {name}"
            begun_s = self._taking_since_s = trio.current_time()
            try:
                report = await self._engine.fast_lane.fill_from(
                    export, archive, priority=Priority.BULK, program=PROGRAM, arrived=self._arrived
                )
                self.archives += report.requests > 0
                problems = problems_of(report)
            except NotFoundError as exc:
                if await self._has_expired(export):
                    return False
                self._on_note(f"{subject} is gone ({exc}); its attachments come one by one")
                return True
            except RcfsError as exc:
                # A cache without room ends no pull: a copy takes each attachment out of the next request.
                is_fatal = isinstance(exc, (AuthError, StoreError, UnreachableError))
                if is_fatal and not isinstance(exc, NoRoomError):
                    raise
                self._on_note(f"{subject}: {exc}; its other attachments come one by one")
                problems = []
            finally:
                self._taking_since_s = None
                self._taking_s += trio.current_time() - begun_s
            for problem in problems:
                self._on_note(f"{subject}: {problem}")
            self._left_bytes[name] -= archive.size_bytes or 0
        return True

    async def _has_expired(self, export: Export) -> bool:
        """Whether a complete export that lacks an archive has expired, by the platform's word."""
        exports = self._engine.exports
        await exports.recheck(export.task_id)
        with trio.move_on_after(_RECHECK_S):
            await exports.wait(export.id, lambda each: each.state is not ExportState.COMPLETED)
        return any(each.id == export.id and each.state is ExportState.EXPIRED for each in exports.all())

    async def _arrived(self, key: ContentKey, size_bytes: int) -> None:
        self._arrived_bytes += size_bytes
        await self._tell_arrival(key, size_bytes)

    def _report_left_s(self, export_id: str) -> float:
        export = next((each for each in self._engine.exports.all() if each.id == export_id), None)
        return 0.0 if export is None else self._costs.report_left_s(export)


_ENDS = {
    ExportState.FAILED: "failed",
    ExportState.CANCELLED: "was cancelled",
    ExportState.EXPIRED: "has expired",
}
