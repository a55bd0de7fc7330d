"""All of fetching in one place: what a mount, a doctor or a download needs to talk to the platform."""

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import attrs
import trio

from rcfs.content import MAX_CONTENT_BYTES, Library, PlatformSource
from rcfs.errors import RcfsError
from rcfs.mailbox import Account, Hints, Losses, Preload, Remembered, Searches, Shelving
from rcfs.platform import Client, Credentials
from rcfs.quota import GroupState, Ledger, QueueState
from rcfs.store import CacheStats, ContentCache, FetchHistory, MailboxIndex, SharedSession, SizeIndex
from rcfs.transport import Glance, Lane, Network, Recorder, Requester, keep_going

CHART_COLUMNS = 60
"""Parts of the window for which the status tells how many slots return: one a second, and a terminal's
80 columns hold them."""
_NAMED = 10
"""Waiting requests of a group and class that the status names; of the others it tells the number."""
_FAREWELL_S = 8.0
"""Longest time for logging out and closing connections when a mount ends."""


@attrs.frozen
class Engine:
    """The running parts; valid inside `open_engine`."""

    account: Account
    """The account, its extensions and mailboxes."""
    library: Library
    """The contents."""
    lane: Lane
    """The login, and the queue for its budget."""
    recorder: Recorder
    """What happened so far."""
    cache: ContentCache
    """The content cache."""
    client: Client
    """The connection."""
    index: MailboxIndex
    """The index of mailboxes."""
    sizes: SizeIndex
    """The learned sizes."""
    network: Network
    """The way to the servers."""
    losses: Losses
    """How long messages are kept, and what goes next."""
    searches: Searches
    """The searches that people keep."""
    hints: Hints
    """What the platform tells of changes, for who runs it."""
    preload: Preload
    """Loads mailboxes in the background, for who runs it."""
    cache_stats: Glance[CacheStats]
    """Size and use of the cache."""
    _counts: Glance[Mapping[int, int]]
    _outlook: Glance[Mapping[str, object]]

    async def status(self) -> Mapping[str, object]:
        """The parts of the status document that fetching knows; plain JSON values.

        A part that a database cannot tell within `WITHIN_S` of `Glance` is as it was told last; None when it
        never was.
        """
        async with trio.open_nursery() as nursery:
            for glance in (self.cache_stats, self._counts, self._outlook):
                nursery.start_soon(glance.look)
        return {
            "server": self.client.hosts.server_url,
            "network": self.network.state,
            "network_problem": self.network.problem,
            "account": {"id": self.account.id, "name": self.account.name},
            "login": self._login_row(),
            "quota": self.quota(),
            "queue": self.queue(),
            "cache": _cache_part(self.cache_stats.newest),
            "requests": self.recorder.requests(),
            "mailboxes": self._mailboxes_part(self._counts.newest),
            "loads": self.loads(),
            "retention": self._outlook.newest,
            "hints": self.hints.document(),
        }

    def quota(self) -> list[Mapping[str, object]]:
        """The ``quota`` part of the status document; waits for nothing."""
        return [_quota_row(state) for state in self.lane.gate.states()]

    def queue(self) -> list[Mapping[str, object]]:
        """The ``queue`` part of the status document; waits for nothing."""
        return [self._queue_row(state) for state in self.lane.gate.queue()]

    def _mailboxes_part(self, counts: Mapping[int, int] | None) -> Mapping[str, object] | None:
        if counts is None:
            return None
        return {
            "loaded": len(counts),
            "known": sum(
                not self.account.mailboxes.is_none(extension.id) for extension in self.account.extensions
            ),
            "messages": sum(counts.values()),
        }

    def loads(self) -> list[Mapping[str, object]]:
        """How far the loads of mailboxes are; waits for nothing."""
        now = trio.current_time()
        extensions = {extension.id: extension for extension in self.account.extensions}
        return [
            {
                "extension": extension_id,
                "number": extensions[extension_id].number,
                "name": extensions[extension_id].name,
                "since_s": now - progress.begun_s,
                "pages": progress.pages,
                "of_pages": progress.of_pages,
                "messages": progress.messages,
                "of_messages": progress.of_messages,
                "left_s": progress.left_s(now),
            }
            for extension_id, progress in self.account.mailboxes.loads()
            if extension_id in extensions
        ]

    def _login_row(self) -> Mapping[str, object]:
        refused = self.lane.session.refused
        return {
            "state": "good" if refused is None else "refused",
            "because": None if refused is None else str(refused),
            "tried_again_in_s": self.lane.session.refused_for_s,
        }

    def _queue_row(self, state: QueueState) -> Mapping[str, object]:
        now_s = self.lane.gate.now_s
        rows = [
            {
                "for": demand.label,
                "by": demand.by,
                "waited_s": now_s - expected.ticket.submitted_s,
                "sent_in_s": expected.wait_s,
            }
            for expected in state.expected[:_NAMED]
            if (demand := self.lane.gate.demand(expected.ticket)) is not None
        ]
        waits_s = [expected.wait_s for expected in state.expected]
        oldest_s = max((now_s - expected.ticket.submitted_s for expected in state.expected), default=0.0)
        return {
            "group": state.group,
            "class": state.priority.name.lower(),
            "waiting": state.waiting,
            "elsewhere": state.elsewhere,
            "oldest_s": oldest_s,
            "next_in_s": min(waits_s, default=None),
            "all_in_s": max(waits_s, default=None),
            "requests": rows,
        }


def _cache_part(stats: CacheStats | None) -> Mapping[str, object] | None:
    if stats is None:
        return None
    opened = stats.hits + stats.misses
    return {
        "directory": str(stats.directory),
        "size_bytes": stats.size_bytes,
        "limit_bytes": stats.limit_bytes,
        "contents": stats.contents,
        "hits": stats.hits,
        "misses": stats.misses,
        "hit_ratio": stats.hits / opened if opened else None,
    }


def _quota_row(state: GroupState) -> Mapping[str, object]:
    returns = [0] * CHART_COLUMNS
    for return_s in state.returns_s:
        # The last ones return a little after the window, which is held longer by a margin.
        returns[min(int(return_s / state.window_s * CHART_COLUMNS), CHART_COLUMNS - 1)] += 1
    return {
        "group": state.group,
        "used": state.used,
        "limit": state.limit,
        "window_s": state.window_s,
        "free_in_s": state.next_free_s,
        "frozen_for_s": state.frozen_for_s,
        "in_flight": state.in_flight,
        "returns": returns,
    }


@asynccontextmanager
async def _plain_errors() -> AsyncIterator[None]:
    """Raises the error that ended a nursery without the group around it, if it is the only one."""
    try:
        yield
    except ExceptionGroup as group:
        error: Exception = group
        while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        if error is group:
            raise
        raise error from group  # noqa: ASYNC123 - the group stays with it, as its cause


@asynccontextmanager
async def open_engine(
    *,
    login: str,
    client: Client,
    credentials: Credentials,
    ledger: Ledger,
    cache: ContentCache,
    index: MailboxIndex,
    sizes: SizeIndex,
    shelving: Shelving,
    recorder: Recorder,
    history: FetchHistory | None = None,
    clock: Callable[[], float] = trio.current_time,
    wall_clock: Callable[[], float] = time.time,
    offline: bool = False,
    max_content_bytes: int = MAX_CONTENT_BYTES,
    wait_online_s: float = 0.0,
    on_wait: Callable[[str], None] = lambda _reason: None,
    shared: SharedSession | None = None,
    reload: Callable[[], Credentials | None] = lambda: None,
    barred: RcfsError | None = None,
) -> AsyncIterator[Engine]:
    """The engine, knowing the extensions; logs out and closes `client` at the end.

    `login` is a digest of server, app and user. Fetches are noted in `history`, if there is one. `clock` is
    what `ledger` counts in, in seconds; `wall_clock` gives seconds since 1970 UTC. `offline` lets nothing be
    sent: what is known and cached is there, everything else fails at once. `barred`, why nothing can be sent,
    does the same against the user's wish. A content of more than `max_content_bytes` is not fetched. For
    `wait_online_s` and `on_wait` see `Account.start`. `shared` is the session that processes of this login
    have in common; `reload` reads the credentials again, in a thread, when the server has refused these.

    Raises:
        AuthError: The credentials were refused.
        PlatformError: The server failed or could not be reached.
    """
    async with _plain_errors(), trio.open_nursery() as nursery:
        network = Network(client, recorder, nursery, offline=offline, barred=barred)
        lane = Lane.open(
            credentials,
            ledger,
            client=client,
            network=network,
            recorder=recorder,
            clock=clock,
            shared=shared,
            reload=reload,
        )
        session = lane.session
        requester = Requester(client, network, lane, recorder)
        nursery.start_soon(keep_going, recorder, "queue", lane.gate.run)
        account = Account(
            login,
            requester,
            client,
            session,
            network,
            index,
            sizes,
            shelving,
            cache,
            recorder,
            nursery,
            wall_clock,
        )
        library = Library(
            PlatformSource(requester, client.hosts, recorder),
            cache,
            sizes,
            recorder,
            nursery,
            history=history,
            max_content_bytes=max_content_bytes,
            on_text=account.mailboxes.learn_text,
            now_s=wall_clock,
        )
        losses = Losses(login, requester, session, network, index, cache, shelving, recorder, wall_clock)
        hints = Hints(login, requester, client, lane, network, account.mailboxes, index, recorder, wall_clock)

        async def learn() -> None:
            await account.wait_asked()  # so that credentials are refused there, and not here
            await losses.run()

        preload = Preload(account, network, Remembered(index, wall_clock), nursery, wall_clock)
        nursery.start_soon(keep_going, recorder, "retention", learn)
        nursery.start_soon(keep_going, recorder, "index", account.mend)
        nursery.start_soon(keep_going, recorder, "index", account.look_for_damage)
        account.mailboxes.updater.on_gone = library.forget_messages
        loop = trio.lowlevel.current_trio_token()
        index.listen(lambda: loop.run_sync_soon(account.begin_anew))
        try:
            await account.mailboxes.reshelve()
            await account.start(offline=offline, barred=barred, wait_online_s=wait_online_s, on_wait=on_wait)
            yield Engine(
                account=account,
                library=library,
                lane=lane,
                recorder=recorder,
                cache=cache,
                client=client,
                index=index,
                sizes=sizes,
                network=network,
                losses=losses,
                searches=Searches(index, account, shelving.hidden_views, recorder, nursery, wall_clock),
                hints=hints,
                preload=preload,
                cache_stats=Glance(cache.stats, "cache", nursery, recorder),
                counts=Glance(lambda: index.counts(account.id), "mailboxes", nursery, recorder),
                outlook=Glance(
                    lambda: losses.outlook(account.id, account.extensions), "retention", nursery, recorder
                ),
            )
        finally:
            index.listen(lambda: None)
            # First, so that no fetch meets the revoked token or the closed client.
            nursery.cancel_scope.cancel()
            library.forget_idle()
            with trio.move_on_after(_FAREWELL_S, shield=True):
                await session.revoke()
                await client.aclose()
