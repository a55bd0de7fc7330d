"""Runs a pull, from the login to the last file or to the signal that ends it."""

import json
import shlex
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path

import attrs
import trio

from rcfs.assembly.engine import engine_of, open_stores
from rcfs.assembly.ledger import open_parts
from rcfs.audit import pulled_scope
from rcfs.cli._filter_options import filter_arguments
from rcfs.cli._output import tell, warn
from rcfs.cli._pull_report import Report, scope_line
from rcfs.cli._treepaths import not_in_tree
from rcfs.config import Settings
from rcfs.engine import Engine
from rcfs.errors import ForbiddenError, PartialError, StoreError
from rcfs.host import allow_many_files, forbid_core_dumps
from rcfs.host.logs import EventLog
from rcfs.host.signals import hearing, lasting
from rcfs.mailbox import note_pull
from rcfs.model import Filter
from rcfs.pull import Copy, PartList, Pull, Shard, Survey, Via, conditions_of
from rcfs.transport import Recorder

_REPORT_EVERY_S = 0.5
"""Time between two updates of the progress: an ETA that moves this often looks alive, and costs little."""
_GRACE_S = 5.0
"""Time that an interrupted pull gives the requests that it has sent: enough for a fax of a few MB, and short
enough for the user who pressed Ctrl-C."""


@attrs.frozen
class Job:
    """The order of a pull."""

    paths: tuple[tuple[str, ...], ...]
    """Paths in the tree, name by name; the empty path is the root."""
    wanted: Filter
    """The messages to pull."""
    target: Path | None = None
    """Directory of the copy; None for a pull into the cache."""
    via: Via = attrs.field(default=Via.AUTO, converter=Via)
    """The way of attachments."""
    verify: bool = False
    """Whether to read the copy again and check it."""
    as_pulled: bool = False
    """Whether to pull what the pulls of the copy were asked for, and not `paths` and `wanted`."""
    shard: Shard | None = None
    """The share of this pull among several; None for everything."""
    join: str = ""
    """Name by which pulls on several machines share the work; empty without others."""
    dry_run: bool = False
    """Whether to fetch and write nothing."""


@attrs.define
class _Interruption:
    """The scopes that signals cancel: first the work; on a second signal, or before the login, everything."""

    everything: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    work: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    begun: bool = False
    """Whether the login is over."""
    received: int = 0
    """The first signal; 0 before it."""

    def hear(self, number: int) -> None:
        """Takes a signal."""
        gently = self.begun and not self.received
        (self.work if gently else self.everything).cancel()
        self.received = self.received or number


def carry_out(settings: Settings, job: Job, report: Report) -> int:
    """Does `job`; returns the signal that interrupted it, or 0.

    Raises:
        PartialError: Some files could not be pulled.
        RcfsError: The pull could not start, or not continue.
    """
    allow_many_files()
    forbid_core_dumps()
    if job.target is not None:
        with Copy.look(job.target):
            pass  # A directory that cannot be used is an error before the first request.
    interruption = _Interruption()

    async def run() -> None:
        with interruption.everything:
            async with engine_of(settings, recorder, stores) as engine:
                with _parts_of(settings, engine, job) as shared:
                    await _pull(engine, job, report, interruption, shared)

    recorder = Recorder(EventLog())
    with lasting(), open_stores(settings, recorder) as stores:
        trio.run(hearing, interruption.hear, run)
    return interruption.received


async def _pull(
    engine: Engine, job: Job, report: Report, interruption: _Interruption, shared: PartList | None
) -> None:
    notes: list[str] = []

    def note(text: str) -> None:
        notes.append(text)
        report.noted(text)

    async with _copy_of(job, engine.account.id) as copy:
        paths, wanted = job.paths, job.wanted
        if job.as_pulled and copy is not None:
            paths, wanted = pulled_scope(copy.pulls)
            scope = shlex.join([*filter_arguments(wanted), *("/".join(path) for path in paths if path)])
            if scope:
                report.noted(f"this checks what the last pull was asked for: {scope}")
        pull = Pull(
            engine,
            copy,
            verify=job.verify,
            on_done=report.done,
            on_failure=report.failed,
            via=job.via,
            on_note=note,
            shard=job.shard,
            shared=shared,
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
                if not job.dry_run:
                    await pull.take_records(paths, wanted)
                survey, unknown = await pull.survey(paths, wanted)
                nursery.cancel_scope.cancel()
            if unknown:
                raise not_in_tree(unknown[0])
            if not survey.files and scope_line(survey.failures):
                raise ForbiddenError(scope_line(survey.failures))
            if job.dry_run:
                report.previewed(survey, pull.left_s())
                _tell_share(job, survey, report)
                if survey.failures:
                    raise PartialError("something could not be listed, so a pull would not be complete")
                return
            report.planned(survey, pull.left_s())
            _tell_share(job, survey, report)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(show)
                await pull.run(survey)
                nursery.cancel_scope.cancel()
        if interruption.received:
            await pull.finish_sent(_GRACE_S)
        for text in () if copy is None else copy.notes:
            report.noted(text)
    if interruption.received:
        report.ended(survey, pull.progress, "interrupted", 128 + interruption.received)
        tell("interrupted; run the same command again to resume, which fetches nothing twice")
        return
    failures = len(pull.progress.failures)
    exit_code = PartialError.exit_code if failures else 0
    report.ended(survey, pull.progress, "partial" if failures else "done", exit_code)
    lost = await pull.lost(survey)
    if lost:
        warn(
            f"{lost} of the contents did not stay in the cache: it is too small, or its disk is full; raise"
            " --cache-size, or free space"
        )
    if failures:
        why = f" ({notes[0]})" if notes and job.via is Via.EXPORTS else ""
        of = survey.files + len(survey.failures)
        because = scope_line(pull.progress.failures)
        if because:
            raise PartialError(f"{because}; all else is here")
        raise PartialError(f"{failures} of {of} files could not be pulled{why}; run it again")
    if lost:
        return
    whole = wanted.is_everything and not any(paths)
    with suppress(StoreError):  # Only the status and the metrics would tell it.
        await trio.to_thread.run_sync(
            lambda: note_pull(engine.index, engine.account.id, engine.wall_clock(), whole=whole)
        )


def _tell_share(job: Job, survey: Survey, report: Report) -> None:
    """Tells what this pull does of the work that several share."""
    if job.shard is not None:
        taken, of = sum(map(job.shard.takes, survey.parts)), len(survey.parts)
        report.noted(
            f"share {job.shard}: this pull takes {taken} of {of} parts, each one mailbox in one month; the"
            " other shares take the rest"
        )
    elif job.join:
        report.noted(f"this pull takes its parts, each one mailbox in one month, from the list {job.join}")


@contextmanager
def _parts_of(settings: Settings, engine: Engine, job: Job) -> Iterator[PartList | None]:
    """The list of parts that `job` is to join; None for none."""
    if not job.join or job.dry_run:
        yield None
        return
    account = f"{engine.client.hosts.server_url} {engine.account.id}"
    scope = json.dumps([job.paths, conditions_of(job.wanted)], sort_keys=True)
    with open_parts(settings, account, job.join, scope) as parts:
        yield parts


@asynccontextmanager
async def _copy_of(job: Job, account_id: str) -> AsyncIterator[Copy | None]:
    """The copy of `job`, open to read in a dry run and else to write; None for a pull into the cache."""
    if job.target is None:
        yield None
        return
    is_shared = job.shard is not None or bool(job.join)
    opened = (
        Copy.look(job.target, account_id)
        if job.dry_run
        else Copy.open(job.target, account_id, shared=is_shared)
    )
    copy = await trio.to_thread.run_sync(opened.__enter__)  # It may wait for another pull.
    with ExitStack() as stack:
        stack.push(opened.__exit__)
        yield copy
