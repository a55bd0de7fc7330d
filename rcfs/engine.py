"""Puts together all that a mount or a pull needs to show one account."""

import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

import attrs
import trio

from rcfs.content import MAX_CONTENT_BYTES, Library, PlatformSource, Source, Storage
from rcfs.errors import RcfsError, StoreError
from rcfs.exports import Exports, FastLane, FillParts
from rcfs.mailbox import (
    Account,
    CallCounts,
    Context,
    Hints,
    NoOverlay,
    Preload,
    RetentionTracker,
    Searches,
    Shelving,
    pulls_status,
)
from rcfs.model import ChangeRules, ContentKey, DatasetKey, RecordingKey, ReportKey
from rcfs.outbox import ChangeOverlay, Outbox, Sends
from rcfs.platform import Client, Credentials
from rcfs.quota import SlotLedger
from rcfs.status import PullsStatus, RetentionStatus
from rcfs.store import (
    CacheStats,
    ContentCache,
    ExportBook,
    FetchHistory,
    MailboxIndex,
    OutboxBook,
    SharedSession,
    SizeIndex,
)
from rcfs.transport import (
    Budget,
    Glance,
    Lane,
    Listeners,
    Network,
    Pool,
    PoolLogin,
    Recorder,
    Requester,
    keep_going,
    open_connection,
)

if TYPE_CHECKING:
    from rcfs.content.sharing import Sharing
    from rcfs.objects import SharedPlace


@attrs.frozen
class Engine:
    """The running parts of one login; valid inside `open_engine`."""

    account: Account
    """The account, its extensions and mailboxes."""
    library: Library
    """The contents."""
    lane: Lane
    """The login: its session, and the queue for its budget."""
    pool: Pool | None
    """All logins that fetch contents; None if this is the only one."""
    pool_problems: Mapping[str, str]
    """Why further logins cannot be used, by name."""
    budget: Budget
    """The budget of all these logins."""
    requester: Requester
    """Sends requests to the platform."""
    recorder: Recorder
    """The requests and errors since the start."""
    cache: ContentCache
    """The content cache."""
    client: Client
    """The connection to the servers."""
    index: MailboxIndex
    """The index of mailboxes."""
    sizes: SizeIndex
    """The learned sizes."""
    network: Network
    """Whether the servers can be reached."""
    retention: RetentionTracker
    """How long the platform keeps messages."""
    searches: Searches
    """The searches that people keep."""
    hints: Hints
    """Syncs mailboxes when the platform tells of changes; works only while its `run` does."""
    preload: Preload
    """Loads mailboxes in the background; works only while its `run` does."""
    exports: Exports
    """The exports of the account; asks and polls only while its `run` does."""
    sends: Sends
    """The messages to send; sends only while its `run` does."""
    fast_lane: FastLane
    """Fills the cache from archives of exports."""
    outbox: Outbox
    """The changes that people make; sends them only while its `run` does."""
    cache_stats: Glance[CacheStats]
    """Size and use of the cache."""
    counts: Glance[Mapping[int, int]]
    """Number of messages of each loaded mailbox, by extension."""
    call_counts: Glance[CallCounts]
    """Number of calls and recordings in the index."""
    outlook: Glance[RetentionStatus]
    """How long the platform keeps messages and recordings, and which it deletes next."""
    pulls: Glance[PullsStatus]
    """When pulls last brought all that they were asked for."""
    wall_clock: Callable[[], float]
    """Seconds since 1970 UTC."""
    sharing: "Sharing | None"
    """The contents that are shared with other machines; None if none are."""


@asynccontextmanager
async def _plain_errors() -> AsyncIterator[None]:
    """Raises a nursery's error without the group around it, if it is the only one."""
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
    ledger: SlotLedger,
    cache: ContentCache,
    index: MailboxIndex,
    sizes: SizeIndex,
    shelving: Shelving,
    recorder: Recorder,
    history: FetchHistory | None = None,
    export_book: ExportBook | None = None,
    outbox_book: OutboxBook | None = None,
    rules: ChangeRules = ChangeRules(),  # noqa: B008 - a frozen value
    clock: Callable[[], float] = trio.current_time,
    wall_clock: Callable[[], float] = time.time,
    offline: bool = False,
    max_content_bytes: int = MAX_CONTENT_BYTES,
    wait_online_s: float = 0.0,
    on_wait: Callable[[str], None] = lambda _reason: None,
    shared: SharedSession | None = None,
    reload: Callable[[], Credentials | None] = lambda: None,
    barred: RcfsError | None = None,
    asks_again: bool = True,
    keeps_current: bool = True,
    shared_place: "SharedPlace | None" = None,
    monotonic: Callable[[], float] = time.monotonic,
    pool: Sequence[PoolLogin] = (),
    pool_problems: Mapping[str, str] = MappingProxyType({}),
) -> AsyncIterator[Engine]:
    """An engine that knows the account's extensions; logs out and closes `client` at the end.

    Args:
        login: A digest of server, app and user.
        client: Sends the requests.
        credentials: Those of the app and the user.
        ledger: The budget, which all processes of the login share.
        cache: The contents on the disk.
        index: The mailboxes and calls on the disk.
        sizes: The exact sizes of contents on the disk.
        shelving: Decides where messages and calls are shown.
        recorder: Counts the requests and logs the errors.
        history: Keeps a record of every fetch; None for no record.
        export_book: Keeps the exports that were asked for; without it the account has no exports.
        outbox_book: Keeps what people change or send; without it nothing can be changed or sent.
        rules: What this process may change.
        clock: The clock of `ledger`, in seconds.
        wall_clock: Seconds since 1970 UTC.
        offline: Whether nothing is sent: the index and the cache are shown, everything else fails at once.
        max_content_bytes: Size of the largest content that is fetched.
        wait_online_s: See `Account.start`.
        on_wait: See `Account.start`.
        shared: The session, which all processes of the login use.
        reload: Reads the credentials again, in a thread, after the server has refused them.
        barred: Why nothing can be sent although the user did not ask for that; has the effect of `offline`.
        asks_again: See `Account.start`.
        keeps_current: See `Account.start`.
        shared_place: Where contents are shared with other machines; None to share none.
        monotonic: Seconds that never go back; threads call it.
        pool: Further logins, which fetch contents as well.
        pool_problems: Why others cannot be used, by name; for the status.

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
            pool=pool,
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

        def note_missing(key: ContentKey) -> None:
            if isinstance(key, RecordingKey):
                nursery.start_soon(account.calls.mark_gone, key)
            elif isinstance(key, (ReportKey, DatasetKey)):
                nursery.start_soon(exports.recheck, key.task_id)

        source: Source = PlatformSource(connection.requester, recorder, connection.pool)
        sharing = None
        if shared_place is not None:
            from rcfs.content.sharing import Sharing  # noqa: PLC0415 - few users share contents

            server_url = client.hosts.server_url
            sharing = Sharing(shared_place, cache, server_url, recorder, nursery, clock=monotonic)
            source = sharing.source(source)
            nursery.start_soon(keep_going, recorder, "shared", sharing.writer.run)
        library = Library(
            source,
            storage,
            recorder,
            nursery,
            now_s=wall_clock,
            on_missing=note_missing,
        )

        async def forget_messages(account_id: str, extension_id: int, ids: Collection[int]) -> None:
            await library.forget_messages(account_id, extension_id, ids)
            if sharing is not None:
                await sharing.writer.erase_messages(account_id, extension_id, ids)

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
            on_gone=forget_messages,
            recorder=recorder,
            nursery=nursery,
            wall_clock=wall_clock,
            overlay=NoOverlay() if outbox_book is None else ChangeOverlay(outbox_book),
        )
        account = Account(context)
        if connection.pool is not None:
            connection.pool.whose = lambda: (account.id, account.own_id)
        preload = Preload(context, account)
        exports = Exports(
            account, connection.requester, connection.network, recorder, export_book, wall_clock=wall_clock
        )
        outbox = Outbox(
            account,
            connection.requester,
            connection.network,
            recorder,
            outbox_book,
            rules,
            wall_clock=wall_clock,
            platform_clock=context.now_s,
        )
        sends = Sends(
            account,
            connection.requester,
            connection.network,
            recorder,
            outbox_book,
            now_s=context.now_s,
        )
        retention = RetentionTracker(context, account.calls)

        async def learn() -> None:
            await account.wait_asked()  # which is where refused credentials are reported
            await retention.run()

        nursery.start_soon(keep_going, recorder, "retention", learn)
        nursery.start_soon(keep_going, recorder, "index", account.mend)
        nursery.start_soon(keep_going, recorder, "index", account.check_index)
        loop = trio.lowlevel.current_trio_token()
        index.listen(lambda: loop.run_sync_soon(account.report_damage))
        try:
            await account.mailboxes.reshelve()
            await account.start(
                offline=offline,
                barred=barred,
                wait_online_s=wait_online_s,
                on_wait=on_wait,
                asks_again=asks_again,
                keeps_current=keeps_current,
            )
            for name, begin in (("exports", exports.read), ("outbox", outbox.start), ("send", sends.read)):
                try:
                    await begin()
                except StoreError as exc:
                    recorder.fault(name, str(exc))
            if keeps_current:
                nursery.start_soon(keep_going, recorder, "outbox", outbox.watch)
            yield Engine(
                account=account,
                library=library,
                lane=connection.lane,
                pool=connection.pool,
                pool_problems=pool_problems,
                budget=connection.budget,
                requester=connection.requester,
                recorder=recorder,
                cache=cache,
                client=client,
                index=index,
                sizes=sizes,
                network=connection.network,
                retention=retention,
                searches=Searches(context, account),
                hints=Hints(context, account.collections, account.rights),
                preload=preload,
                exports=exports,
                sends=sends,
                fast_lane=FastLane(
                    FillParts(
                        account,
                        library,
                        storage,
                        source,
                        index,
                        recorder,
                        wall_clock,
                        partial(sharing.writer.offer, may_be_there=True) if sharing else None,
                    )
                ),
                outbox=outbox,
                cache_stats=Glance(cache.stats, "cache", nursery, recorder),
                counts=Glance(lambda: index.reader.counts(account.id), "mailboxes", nursery, recorder),
                call_counts=Glance(account.calls.outlook.counts, "calls", nursery, recorder),
                outlook=Glance(
                    lambda: retention.outlook(account.id, account.extensions), "retention", nursery, recorder
                ),
                pulls=Glance(lambda: pulls_status(index, account.id), "pulls", nursery, recorder),
                wall_clock=wall_clock,
                sharing=sharing,
            )
        finally:
            index.listen(lambda: None)
            if sharing is not None:
                with trio.move_on_after(sharing.closing_s, shield=True):
                    await sharing.close()
            # Before the connection ends, so that no fetch meets the revoked token or the closed client.
            nursery.cancel_scope.cancel()
            library.forget_idle()
