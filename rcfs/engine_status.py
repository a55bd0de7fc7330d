"""Makes the values of `rcfs.status` from the parts of an engine."""

import os
from collections.abc import Mapping
from pathlib import Path

import trio

from rcfs import __version__
from rcfs.engine import Engine
from rcfs.model import iso_time
from rcfs.quota import GroupState, QueueState
from rcfs.status import (
    AccountStatus,
    CacheStatus,
    ErrorStatus,
    GroupStatus,
    LoadStatus,
    LoginStatus,
    MailboxesStatus,
    QueueStatus,
    ReadersStatus,
    Status,
    WaitingRequest,
)
from rcfs.store import CacheStats

_CHART_COLUMNS = 60
"""Parts of the window for each of which the status has the number of returning slots: usually one a second,
and a terminal of 80 columns can show them."""
_NAMED = 10
"""The status names at most 10 waiting requests of a group and class, and counts the others."""


async def mount_status(engine: Engine, mountpoint: Path, started_s: float, readers: ReadersStatus) -> Status:
    """The status of this process's mount, which started at `started_s` in seconds since 1970 UTC.

    Waits at most 0.2 s for the databases: a part that is not there by then is the previous one, or None.
    """
    async with trio.open_nursery() as nursery:
        for glance in (engine.cache_stats, engine.counts, engine.outlook):
            nursery.start_soon(glance.look)
    return Status(
        version=__version__,
        pid=os.getpid(),
        mountpoint=str(mountpoint),
        started=iso_time(started_s),
        uptime_s=round(engine.wall_clock() - started_s, 1),
        server=engine.client.hosts.server_url,
        network=engine.network.state,
        network_problem=engine.network.problem,
        account=AccountStatus(engine.account.id, engine.account.name),
        login=_login(engine),
        quota=quota_status(engine),
        queue=queue_status(engine),
        cache=_cache(engine.cache_stats.newest),
        requests=engine.recorder.requests(),
        mailboxes=_mailboxes(engine, engine.counts.newest),
        loads=load_status(engine),
        retention=engine.outlook.newest,
        hints=engine.hints.status(),
        readers=readers,
        errors=error_status(engine),
    )


def quota_status(engine: Engine) -> tuple[GroupStatus, ...]:
    """The budgets of the usage plan groups; never waits, like the functions below."""
    return tuple(_group(state) for state in engine.lane.gate.states())


def queue_status(engine: Engine) -> tuple[QueueStatus, ...]:
    """The waiting requests, by usage plan group and class."""
    return tuple(_queue(engine, state) for state in engine.lane.gate.queue())


def load_status(engine: Engine) -> tuple[LoadStatus, ...]:
    """The progress of each mailbox that is being loaded."""
    now = trio.current_time()
    extensions = {extension.id: extension for extension in engine.account.extensions}
    return tuple(
        LoadStatus(
            extension=extension_id,
            number=extensions[extension_id].number,
            name=extensions[extension_id].name,
            since_s=now - progress.begun_s,
            pages=progress.pages,
            of_pages=progress.of_pages,
            messages=progress.records,
            of_messages=progress.of_records,
            left_s=progress.left_s(now),
        )
        for extension_id, progress in engine.account.mailboxes.loads()
        if extension_id in extensions
    )


def error_status(engine: Engine) -> tuple[ErrorStatus, ...]:
    """The latest errors, oldest first."""
    return tuple(
        ErrorStatus(iso_time(fault.at_s), fault.event, fault.detail) for fault in engine.recorder.faults
    )


def _login(engine: Engine) -> LoginStatus:
    refused = engine.lane.session.refused
    return LoginStatus(
        state="good" if refused is None else "refused",
        because=None if refused is None else str(refused),
        tried_again_in_s=engine.lane.session.refused_for_s,
    )


def _mailboxes(engine: Engine, counts: Mapping[int, int] | None) -> MailboxesStatus | None:
    if counts is None:
        return None
    mailboxes = engine.account.mailboxes
    known = sum(not mailboxes.is_absent(extension.id) for extension in engine.account.extensions)
    return MailboxesStatus(loaded=len(counts), known=known, messages=sum(counts.values()))


def _queue(engine: Engine, state: QueueState) -> QueueStatus:
    now_s = engine.lane.gate.now_s
    waits_s = [expected.wait_s for expected in state.expected]
    return QueueStatus(
        group=state.group,
        priority=state.priority.name.lower(),
        waiting=state.waiting,
        elsewhere=state.elsewhere,
        oldest_s=max((now_s - expected.ticket.submitted_s for expected in state.expected), default=0.0),
        next_in_s=min(waits_s, default=None),
        all_in_s=max(waits_s, default=None),
        requests=tuple(
            WaitingRequest(
                label=options.label,
                by=options.program,
                waited_s=now_s - expected.ticket.submitted_s,
                sent_in_s=expected.wait_s,
            )
            for expected in state.expected[:_NAMED]
            if (options := engine.lane.gate.options(expected.ticket)) is not None
        ),
    )


def _cache(stats: CacheStats | None) -> CacheStatus | None:
    if stats is None:
        return None
    opened = stats.hits + stats.misses
    return CacheStatus(
        directory=str(stats.directory),
        size_bytes=stats.size_bytes,
        limit_bytes=stats.limit_bytes,
        contents=stats.contents,
        hits=stats.hits,
        misses=stats.misses,
        hit_ratio=stats.hits / opened if opened else None,
    )


def _group(state: GroupState) -> GroupStatus:
    returns = [0] * _CHART_COLUMNS
    for return_s in state.returns_s:
        # The last slots return a little after the window, because rcfs adds a margin to it.
        returns[min(int(return_s / state.window_s * _CHART_COLUMNS), _CHART_COLUMNS - 1)] += 1
    return GroupStatus(
        group=state.group,
        used=state.used,
        limit=state.limit,
        window_s=state.window_s,
        free_in_s=state.next_free_s,
        frozen_for_s=state.frozen_for_s,
        in_flight=state.in_flight,
        returns=tuple(returns),
    )
