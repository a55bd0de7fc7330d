"""Puts the rooms together: everything that a mount or a download needs to talk to the platform."""

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import attrs
import trio

from rcfs.content import MAX_CONTENT_BYTES, Library, PlatformSource, Storage
from rcfs.errors import RcfsError
from rcfs.mailbox import Account, Context, Hints, Preload, RetentionTracker, Searches, Shelving
from rcfs.platform import Client, Credentials
from rcfs.quota import Ledger
from rcfs.status import RetentionStatus
from rcfs.store import CacheStats, ContentCache, FetchHistory, MailboxIndex, SharedSession, SizeIndex
from rcfs.transport import Glance, Lane, Listeners, Network, Recorder, keep_going, open_connection


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
    retention: RetentionTracker
    """How long messages are kept, and what goes next."""
    searches: Searches
    """The searches that people keep."""
    hints: Hints
    """What the platform tells of changes, for who runs it."""
    preload: Preload
    """Loads mailboxes in the background, for who runs it."""
    cache_stats: Glance[CacheStats]
    """Size and use of the cache."""
    counts: Glance[Mapping[int, int]]
    """Messages of each mailbox that is loaded."""
    outlook: Glance[RetentionStatus]
    """How long messages are kept, and what goes next."""


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
    async with (
        _plain_errors(),
        trio.open_nursery() as nursery,
        open_connection(
            client,
            credentials,
            ledger,
            recorder,
            clock=clock,
            offline=offline,
            barred=barred,
            shared=shared,
            reload=reload,
        ) as connection,
    ):
        storage = Storage(
            cache,
            sizes,
            recorder,
            nursery,
            on_text=lambda key, data: account.mailboxes.learn_text(key, data),  # noqa: PLW0108 - made below
            history=history,
            max_content_bytes=max_content_bytes,
        )
        library = Library(
            PlatformSource(connection.requester, recorder), storage, recorder, nursery, now_s=wall_clock
        )
        context = Context(
            login=login,
            requester=connection.requester,
            client=client,
            lane=connection.lane,
            network=connection.network,
            index=index,
            sizes=sizes,
            cache=cache,
            shelving=shelving,
            changes=Listeners(recorder),
            on_gone=library.forget_messages,
            recorder=recorder,
            nursery=nursery,
            wall_clock=wall_clock,
        )
        account = Account(context)
        preload = Preload(context, account)
        retention = RetentionTracker(context)

        async def learn() -> None:
            await account.wait_asked()  # so that credentials are refused there, and not here
            await retention.run()

        nursery.start_soon(keep_going, recorder, "retention", learn)
        nursery.start_soon(keep_going, recorder, "index", account.mend)
        nursery.start_soon(keep_going, recorder, "index", account.look_for_damage)
        loop = trio.lowlevel.current_trio_token()
        index.listen(lambda: loop.run_sync_soon(account.begin_anew))
        try:
            await account.mailboxes.reshelve()
            await account.start(offline=offline, barred=barred, wait_online_s=wait_online_s, on_wait=on_wait)
            yield Engine(
                account=account,
                library=library,
                lane=connection.lane,
                recorder=recorder,
                cache=cache,
                client=client,
                index=index,
                sizes=sizes,
                network=connection.network,
                retention=retention,
                searches=Searches(context, account),
                hints=Hints(context, account.mailboxes),
                preload=preload,
                cache_stats=Glance(cache.stats, "cache", nursery, recorder),
                counts=Glance(lambda: index.reader.counts(account.id), "mailboxes", nursery, recorder),
                outlook=Glance(
                    lambda: retention.outlook(account.id, account.extensions), "retention", nursery, recorder
                ),
            )
        finally:
            index.listen(lambda: None)
            # Before the connection ends, so that no fetch meets the revoked token or the closed client.
            nursery.cancel_scope.cancel()
            library.forget_idle()
