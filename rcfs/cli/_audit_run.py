"""Runs an audit to its end, or to the signal that ends it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Protocol

import attrs
import trio

from rcfs.assembly.engine import engine_of, open_stores
from rcfs.audit import Archive, ArchiveAudit, ArchiveSelection, Audit, Summary, check_paths, pulled_scope
from rcfs.cli._audit_report import Report
from rcfs.cli._output import tell
from rcfs.cli._treepaths import not_in_tree
from rcfs.config import Settings
from rcfs.errors import ConfigError
from rcfs.host import allow_many_files, forbid_core_dumps
from rcfs.host.logs import EventLog, log_to_file
from rcfs.host.signals import interruptible, lasting
from rcfs.model import Filter
from rcfs.transport import Recorder

_REPORT_EVERY_S = 0.5
"""Time between two updates of the progress."""


@attrs.frozen
class Job:
    """The order of an audit."""

    paths: tuple[tuple[str, ...], ...]
    """Paths in the tree, name by name; the empty path is the root."""
    wanted: Filter
    """The messages, calls and greetings to audit."""
    archive: Path | None = None
    """Directory of the copy; None for the cache."""
    as_pulled: bool = False
    """Whether to audit what the pulls of the copy were asked for, and not `paths` and `wanted`."""
    offline: bool = False
    """Whether to ask the platform nothing."""


class _Watched(Protocol):
    """An audit that is under way."""

    summary: Summary
    doing: str


def audit_account(settings: Settings, job: Job, report: Report) -> tuple[Summary | None, int]:
    """Audits the account of `settings`; returns the summary, and 0 or the signal that interrupted it.

    Raises:
        ConfigError: A path leads to nothing, or to links.
        RcfsError: The audit could not start, or not continue.
    """
    check_paths(job.paths)
    allow_many_files()
    forbid_core_dumps()
    settings = attrs.evolve(settings, offline=job.offline)
    log_to_file(settings.files.pull_log, settings.log_level)
    recorder = Recorder(EventLog())

    async def work() -> Summary:
        async with AsyncExitStack() as stack:
            archive = None
            if job.archive is not None:
                archive = await stack.enter_async_context(_opened(job.archive, report))
            paths, wanted = job.paths, job.wanted
            if archive is not None and job.as_pulled:
                paths, wanted = _scope_of(archive)
            async with engine_of(settings, recorder, stores, keeps_current=False) as engine:
                if archive is not None:
                    archive.check_account(engine.account.id)
                audit = Audit(
                    engine, archive, offline=job.offline, on_finding=report.found, on_owner=report.owner_done
                )
                async with _watching(audit, report):
                    summary, unknown = await audit.run(paths, wanted)
        if unknown:
            raise _not_there(unknown[0]) if job.as_pulled else not_in_tree(unknown[0])
        return summary

    with lasting(), open_stores(settings, recorder) as stores:
        return trio.run(_until_interrupted, work)


def audit_copy(
    directory: Path, paths: tuple[tuple[str, ...], ...], wanted: Filter, report: Report
) -> tuple[Summary | None, int]:
    """Audits the copy in `directory` by itself, without settings, a server or an index.

    `paths` and `wanted` are as in `Job`; returns as `audit_account`.

    Raises:
        ConfigError: The manifest cannot answer for a condition of the filter.
        StoreError: The directory is no copy, or cannot be read.
    """
    check_paths(paths)
    selection = ArchiveSelection(paths, wanted)

    async def work() -> Summary:
        async with _opened(directory, report) as archive:
            audit = ArchiveAudit(archive, selection, on_finding=report.found, on_owner=report.owner_done)
            async with _watching(audit, report):
                return await audit.run()

    with lasting():
        return trio.run(_until_interrupted, work)


async def _until_interrupted(work: Callable[[], Awaitable[Summary]]) -> tuple[Summary | None, int]:
    """The result of `work`, and 0; or None and the signal that ended it."""
    summary: Summary | None = None

    async def audit() -> None:
        nonlocal summary
        summary = await work()

    received = await interruptible(audit)
    if received:
        tell("interrupted; an audit keeps nothing, so run it again from the beginning")
        return None, received
    return summary, 0


def _scope_of(archive: Archive) -> tuple[tuple[tuple[str, ...], ...], Filter]:
    """The scope of the pulls of a copy.

    Raises:
        ConfigError: It is one that no audit can compare.
    """
    paths, wanted = pulled_scope(archive.notes.pulls)
    for path in paths:
        try:
            check_paths([path])
        except ConfigError as exc:
            raise _not_there(path) from exc
    return paths, wanted


def _not_there(path: tuple[str, ...]) -> ConfigError:
    return ConfigError(
        f"the last pull was asked for '{'/'.join(path)}', which RingCentral cannot be asked for; name a PATH,"
        " or use --whole, or --offline"
    )


@asynccontextmanager
async def _watching(audit: _Watched, report: Report) -> AsyncIterator[None]:
    """Shows the progress of `audit` during the block."""

    async def show() -> None:
        while True:
            await trio.sleep(_REPORT_EVERY_S)
            report.advanced(audit.summary, audit.doing)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(show)
        yield
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def _opened(directory: Path, report: Report) -> AsyncIterator[Archive]:
    """The copy in `directory`."""
    with ExitStack() as stack:
        report.begins("reading the manifest of the copy")
        # The manifest of a million files takes ten seconds, in which Ctrl-C must work.
        opening = Archive.open(directory, on_page=trio.from_thread.check_cancelled)
        yield await trio.to_thread.run_sync(stack.enter_context, opening)
