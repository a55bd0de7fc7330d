"""Runs one pull: from the login to the last file, or to the signal that ends it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import structlog
import trio

from rcfs.cli._output import tell, warn
from rcfs.cli._pull_report import Report
from rcfs.cli._serve import engine_of, open_stores
from rcfs.config import Settings
from rcfs.engine import Engine
from rcfs.errors import ConfigError, PartialError
from rcfs.host import allow_many_files, forbid_core_dumps
from rcfs.host.signals import endings, lasting
from rcfs.pull import Copy, Filter, Pull, Survey
from rcfs.transport import Recorder

_REPORT_EVERY_S = 0.5
"""How often progress is shown: an ETA that counts half seconds looks alive, and costs next to nothing."""
_GRACE_S = 5.0
"""How long an interrupted pull waits for what it has sent: a fax of a few MB takes as long, and whoever
pressed Ctrl-C has not lost patience yet."""


@attrs.frozen
class Job:
    """What to pull."""

    paths: tuple[tuple[str, ...], ...]
    """Paths in the tree, name by name; the empty one is the root."""
    wanted: Filter
    """Which messages."""
    target: Path | None = None
    """Directory of the copy; None to fetch into the cache only."""
    verify: bool = False
    """Whether the copy is read and checked."""
    dry_run: bool = False
    """Whether nothing is to be fetched or written."""


@attrs.define
class _Interruption:
    """What signals end: the work at first, everything at the second time or before the login."""

    everything: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    work: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    begun: bool = False
    """Whether the login is over."""
    received: int = 0
    """The first signal; 0 before it."""


async def _end_on_signal(
    interruption: _Interruption, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Hears signals until it is cancelled."""
    with endings() as received:
        task_status.started()
        async for number in received:
            gently = interruption.begun and not interruption.received
            (interruption.work if gently else interruption.everything).cancel()
            interruption.received = interruption.received or number


def carry_out(settings: Settings, job: Job, report: Report) -> int:
    """Does `job`; the signal that ended it early, 0 when none did.

    Raises:
        PartialError: Some files could not be had.
        RcfsError: It could not be begun, or not be gone on with.
    """
    allow_many_files()
    forbid_core_dumps()
    if job.target is not None:
        with Copy.look(job.target):
            pass  # What is wrong with it is said before anything is asked for.
    interruption = _Interruption()

    async def run() -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(_end_on_signal, interruption)
            with interruption.everything:
                async with engine_of(settings, recorder, stores) as engine:
                    await _pull(engine, job, report, interruption)
            nursery.cancel_scope.cancel()

    recorder = Recorder(structlog.get_logger("rcfs"))
    with lasting(), open_stores(settings, recorder) as stores:
        trio.run(run)
    return interruption.received


async def _pull(engine: Engine, job: Job, report: Report, interruption: _Interruption) -> None:
    with _copy_of(job, engine.account.id) as copy:
        pull = Pull(
            engine,
            copy,
            verify=job.verify,
            on_done=report.done,
            on_failure=report.failed,
        )

        async def show() -> None:
            while True:
                await trio.sleep(_REPORT_EVERY_S)
                report.advanced(pull.progress, pull.left_s())

        async def show_survey() -> None:
            while True:
                await trio.sleep(_REPORT_EVERY_S)
                report.surveyed(pull.surveyed)

        survey = Survey()
        interruption.begun = True
        with interruption.work:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(show_survey)
                survey, unknown = await pull.survey(job.paths, job.wanted)
                nursery.cancel_scope.cancel()
            if unknown:
                raise ConfigError(f"there is no {'/'.join(unknown[0])} in the tree")
            if job.dry_run:
                report.previewed(survey, pull.left_s())
                return
            report.planned(survey, pull.left_s())
            async with trio.open_nursery() as nursery:
                nursery.start_soon(show)
                await pull.run(survey)
                nursery.cancel_scope.cancel()
        if interruption.received:
            await pull.finish_sent(_GRACE_S)
        for note in () if copy is None else copy.notes:
            report.noted(note)
    if interruption.received:
        report.ended(survey, pull.progress, "interrupted", 128 + interruption.received)
        tell("interrupted; the same command goes on where this one ended, and asks for nothing twice")
        return
    failures = len(pull.progress.failures)
    exit_code = PartialError.exit_code if failures else 0
    report.ended(survey, pull.progress, "partial" if failures else "done", exit_code)
    lost = await pull.lost(survey)
    if lost:
        warn(f"{lost} of the contents did not stay in the cache: it is too small, or its disk is full")
    if failures:
        raise PartialError(f"{failures} of {survey.files + len(survey.failures)} could not be pulled")


@contextmanager
def _copy_of(job: Job, account_id: str) -> Iterator[Copy | None]:
    """The copy that `job` asks for, open for what it needs; None when it asks for none."""
    if job.target is None:
        yield None
    else:
        with (Copy.look if job.dry_run else Copy.open)(job.target, account_id) as copy:
            yield copy
