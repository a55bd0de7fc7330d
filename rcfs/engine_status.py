"""Makes the values of `rcfs.status` from the parts of an engine."""

import os
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

import trio

from rcfs import __version__
from rcfs.engine import Engine
from rcfs.errors import StoreError
from rcfs.mailbox import READ_RECORDING, CallCounts
from rcfs.model import COMPANY, HEAVY, Priority, UsageGroup, iso_time, owner_of, part_of
from rcfs.quota import GroupState, QueueState
from rcfs.status import (
    AbsentStatus,
    AccountStatus,
    CacheStatus,
    CallLoadStatus,
    CallOwnerStatus,
    CallsStatus,
    ErrorStatus,
    GreetingsStatus,
    GroupStatus,
    LedgerStatus,
    LoadStatus,
    LoginStatus,
    MailboxesStatus,
    PoolLoginStatus,
    QueueStatus,
    ReadersStatus,
    Status,
    WaitingRequest,
)
from rcfs.store import CacheStats
from rcfs.transport import Gate, Member, RequestOptions, Standing

_CHART_COLUMNS = 60
"""Parts of the window for each of which the status has the number of returning slots: usually one a second,
and a terminal of 80 columns can show them."""
_NAMED = 10
"""The status names at most 10 waiting requests of a group and class, and counts the others."""


async def mount_status(engine: Engine, mountpoint: Path, started_s: float, readers: ReadersStatus) -> Status:
    """The status of this process's mount, which started at `started_s` in seconds since 1970 UTC.

    Waits at most 0.2 s for the databases: a part that is not there by then is the previous one, or None.
    """
    with suppress(StoreError):
        await engine.sends.read()  # A mount that does not send has not read them.
    async with trio.open_nursery() as nursery:
        for glance in (engine.cache_stats, engine.counts, engine.call_counts, engine.outlook, engine.pulls):
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
        ledger=ledger_status(engine),
        pool=pool_status(engine),
        queue=queue_status(engine),
        cache=_cache(engine.cache_stats.newest),
        shared=engine.sharing.status() if engine.sharing else None,
        requests=engine.recorder.requests(),
        mailboxes=mailboxes_status(engine),
        loads=load_status(engine),
        calls=_calls(engine, engine.call_counts.newest),
        greetings=_greetings(engine),
        exports=engine.exports.status(),
        outbox=engine.outbox.status(),
        sends=engine.sends.status(),
        retention=engine.outlook.newest,
        hints=engine.hints.status(),
        readers=readers,
        waits=engine.recorder.waits(),
        traffic=engine.recorder.traffic(),
        pulls=engine.pulls.newest,
        errors=error_status(engine),
    )


def quota_status(engine: Engine) -> tuple[GroupStatus, ...]:
    """The budgets of the usage plan groups; never waits, like the functions below."""
    return tuple(_group(state) for state in engine.lane.gate.states())


def ledger_status(engine: Engine) -> LedgerStatus | None:
    """The server that keeps the quota; None if only this machine uses it."""
    sharing = engine.lane.gate.sharing()
    if sharing is None:
        return None
    return LedgerStatus(
        sharing.server,
        "gone" if sharing.outage else "up",
        sharing.outage or None,
        sharing.peers,
        since=iso_time(engine.wall_clock() - sharing.outage_s) if sharing.outage else None,
        part=sharing.part,
        awaited=sharing.awaited,
        waits_s=sharing.waits_s,
    )


def pool_status(engine: Engine) -> tuple[PoolLoginStatus, ...]:
    """The further logins."""
    unusable = [
        PoolLoginStatus(name, "unusable", because, (), 0, 0) for name, because in engine.pool_problems.items()
    ]
    if engine.pool is None:
        return tuple(unusable)
    used = (_pool_login(member) for member in engine.pool.others)
    return (*used, *unusable)


def queue_status(engine: Engine) -> tuple[QueueStatus, ...]:
    """The waiting requests, by usage plan group and class."""
    gates = [member.lane.gate for member in engine.pool.members] if engine.pool else [engine.lane.gate]
    found: dict[tuple[UsageGroup, Priority], list[tuple[Gate, QueueState]]] = {}
    for gate in gates:
        for state in gate.queue():
            found.setdefault((state.group, state.priority), []).append((gate, state))
    now_s = engine.lane.gate.now_s
    return tuple(_queue(group, priority, states, now_s) for (group, priority), states in found.items())


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


def mailboxes_status(engine: Engine) -> MailboxesStatus | None:
    """The loaded mailboxes, by the newest answer of ``engine.counts``; None before the first."""
    counts = engine.counts.newest
    if counts is None:
        return None
    mailboxes = engine.account.mailboxes
    known = sum(not mailboxes.is_absent(extension.id) for extension in engine.account.extensions)
    return MailboxesStatus(
        loaded=len(counts),
        known=known,
        messages=sum(counts.values()),
        off_because=engine.account.rights.no_messages or None,
    )


def error_status(engine: Engine) -> tuple[ErrorStatus, ...]:
    """The latest errors, oldest first."""
    return tuple(
        ErrorStatus(iso_time(fault.at_s), fault.event, fault.detail) for fault in engine.recorder.faults
    )


def _login(engine: Engine) -> LoginStatus:
    session = engine.lane.session
    if session.refused is None:
        return LoginStatus("good", None, None, session.login_command)
    return LoginStatus("refused", str(session.refused), session.tried_again_in_s, session.login_command)


def _calls(engine: Engine, counts: CallCounts | None) -> CallsStatus | None:
    if counts is None:
        return None
    access = engine.account.calls.access
    extensions = {extension.id: extension for extension in engine.account.extensions}
    # The company first, then the owners with the most calls.
    order = sorted(counts.by_owner.items(), key=lambda row: (row[0] != COMPANY, -row[1][0], row[0]))
    lacks_scope = engine.account.rights.lacks(READ_RECORDING)
    return CallsStatus(
        off_because=access.missing or None,
        log="extensions" if access.company_refusal else "company",
        company_refused=access.company_refusal or None,
        recordings_refused=f"the app lacks the scope {READ_RECORDING}" if lacks_scope else None,
        calls=counts.by_owner.get(COMPANY, (0, 0))[0],
        recordings=sum(recordings for _calls, recordings in counts.by_owner.values()),
        owners=tuple(
            CallOwnerStatus(
                extension=owner or None,
                number=extensions[owner].number if owner in extensions else "",
                name=extensions[owner].name if owner in extensions else "",
                calls=calls,
                recordings=recordings,
            )
            for owner, (calls, recordings) in order
            if calls or recordings
        ),
        recordings_a_day=counts.recordings_a_day,
        fetched_a_day=engine.budget.daily_share(HEAVY).most,
        logins=engine.budget.logins,
        loads=_call_loads(engine),
    )


def _call_loads(engine: Engine) -> tuple[CallLoadStatus, ...]:
    now = trio.current_time()
    return tuple(
        CallLoadStatus(
            extension=owner_of(collection_id) or None,
            month=part_of(collection_id),
            since_s=now - progress.begun_s,
            pages=progress.pages,
            of_pages=progress.of_pages,
            calls=progress.records,
            of_calls=progress.of_records,
            left_s=progress.left_s(now),
        )
        for collection_id, progress in engine.account.calls.loads()
    )


def _greetings(engine: Engine) -> GreetingsStatus:
    loaded, absent = engine.account.greetings.known()
    return GreetingsStatus(loaded, tuple(AbsentStatus(*each) for each in sorted(absent.items())))


def _pool_login(member: Member) -> PoolLoginStatus:
    refused = member.lane.session.refused
    is_refused = refused is not None and member.standing is Standing.GOOD
    return PoolLoginStatus(
        name=member.name,
        state=Standing.REFUSED if is_refused else member.standing,
        because=str(refused) if is_refused else member.because or None,
        quota=tuple(map(_group, member.lane.gate.states())),
        contents=member.contents,
        closed=member.closed,
    )


def _queue(
    group: UsageGroup, priority: Priority, states: Sequence[tuple[Gate, QueueState]], now_s: float
) -> QueueStatus:
    """The requests of a group and class, which may wait in the queues of several logins at once."""
    since_s: dict[RequestOptions, float] = {}
    for gate, state in states:
        for each in state.expected:
            options = gate.options(each.ticket)
            if options is not None:
                since_s.setdefault(options, each.ticket.submitted_s)
    # Each login expects to send them all. Together they send the first as soon as one can, and so on.
    waits_s = sorted(each.wait_s for _gate, state in states for each in state.expected)[: len(since_s)]
    return QueueStatus(
        group=group,
        priority=priority.name.lower(),
        waiting=len(since_s),
        elsewhere=max(state.elsewhere for _gate, state in states),
        oldest_s=max((now_s - each_s for each_s in since_s.values()), default=0.0),
        next_in_s=min(waits_s, default=None),
        all_in_s=max(waits_s, default=None),
        requests=tuple(
            WaitingRequest(options.label, options.program, now_s - each_s, wait_s)
            for (options, each_s), wait_s in islice(zip(since_s.items(), waits_s, strict=True), _NAMED)
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
        left=state.left,
    )
