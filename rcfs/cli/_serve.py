"""Builds a mount or an engine from the settings."""

import gc
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import attrs
import structlog
import trio

from rcfs.cli._connecting import client_of, login_with, proxies_to, shared_session
from rcfs.cli._contents import open_cache
from rcfs.cli._explain import Interrupted
from rcfs.cli._ledger import open_ledger
from rcfs.cli._settings import read_settings
from rcfs.config import Settings
from rcfs.engine import Engine, open_engine
from rcfs.errors import ConfigError, StoreError
from rcfs.files import CrawlerPolicy, CrawlerRule
from rcfs.fuse import MountOptions, Ownership, serve_mount
from rcfs.host import allow_many_files, forbid_core_dumps, share_heaps, switch_threads_soon
from rcfs.host.signals import hearing, lasting
from rcfs.mailbox import CallShelving, Shelving
from rcfs.model import ChangeRules
from rcfs.platform import Credentials, Proxies
from rcfs.store import ContentCache, ExportBook, FetchHistory, MailboxIndex, OutboxBook, SizeIndex
from rcfs.transport import Recorder
from rcfs.tree import PURGED, SHELVING_EDITION, name_folder, shelve, shelve_call, shown_extensions

B = TypeVar("B", ExportBook, OutboxBook)

_NOT_STOPPED = "not stopped, because programs that use the mount would hang; Ctrl-C unmounts it"


def serve(
    settings: Settings,
    mountpoint: Path,
    *,
    on_ready: Callable[[], None],
    wait_online_s: float = 0.0,
    on_wait: Callable[[str], None] = lambda _reason: None,
) -> None:
    """Mounts the account at `mountpoint`, and returns when it is unmounted or a signal ends it.

    Args:
        settings: With credentials.
        mountpoint: An empty directory, which the caller has checked.
        on_ready: Called once, when the tree can be listed; it must not touch the mount.
        wait_online_s: Longest wait for the network, in seconds, for an account that is not in the index.
        on_wait: Called with the reason when that wait begins.

    Raises:
        Interrupted: A signal came before the mount was up.
        RcfsError: Mounting failed.
    """
    allow_many_files()
    share_heaps()
    forbid_core_dumps()
    switch_threads_soon()
    options = MountOptions(
        mountpoint=mountpoint,
        max_wait_s=settings.max_wait_s,
        allow_other=settings.allow_other,
        owner=Ownership(
            uid=os.getuid() if settings.uid is None else settings.uid,
            gid=os.getgid() if settings.gid is None else settings.gid,
            umask=settings.umask,
        ),
        read_only=settings.read_only,
        sends=settings.send and not settings.read_only,
        list_control=settings.list_control,
        fs_subtype=settings.fs_subtype,
        fast_wait=settings.fast_wait,
        preload=settings.preload,
        crawlers=CrawlerRule.of(
            settings.crawlers, settings.more_crawlers, CrawlerPolicy(settings.crawler_policy)
        ),
    )
    ending = _Ending()

    async def run() -> None:
        with ending.beginning:
            async with engine_of(
                settings, recorder, stores, tolerant=True, wait_online_s=wait_online_s, on_wait=on_wait
            ) as engine:
                ending.mounting = True
                await serve_mount(engine, options, on_ready, ending.asked, started_s=time.time())

    recorder = Recorder(structlog.get_logger("rcfs"))
    with lasting(partial(recorder.note, _NOT_STOPPED)), open_stores(settings, recorder) as stores:
        # The 50,000 objects of the program itself stay to its end. Each time that the garbage collector
        # searched them, it stopped the event loop for 25 to 60 ms (measured 2026-11).
        gc.freeze()
        trio.run(hearing, ending.hear, run)
    if not ending.mounting and ending.first:
        raise Interrupted(ending.first)


@attrs.define
class _Ending:
    """How signals end a mount: by cancellation before it is up, in an orderly way after that."""

    beginning: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    """The scope of the whole run; a signal before `mounting` cancels it."""
    mounting: bool = False
    """Whether the mount has begun, so that it ends by itself when `asked` is set."""
    asked: trio.Event = attrs.field(factory=trio.Event)
    first: int = 0
    """The first signal; 0 before it."""

    def hear(self, number: int) -> None:
        """Takes a signal; a terminal that closes may send two."""
        self.first = self.first or number
        self.asked.set()
        if not self.mounting:
            self.beginning.cancel()


@attrs.frozen
class Stores:
    """The stores of an engine."""

    cache: ContentCache
    """The content cache."""
    index: MailboxIndex
    """The index."""
    sizes: SizeIndex
    """The learned sizes."""


@contextmanager
def open_stores(settings: Settings, recorder: Recorder) -> Iterator[Stores]:
    """The stores of `settings`, closed at the end; `recorder` gets their warnings.

    Raises:
        StoreError: One of the directories cannot be used.
    """

    def warn(line: str) -> None:
        recorder.fault("store", line)

    with ExitStack() as stack:
        cache = stack.enter_context(open_cache(settings, warn))
        index = MailboxIndex.open(settings.files.mailboxes, warn)
        stack.callback(index.close)
        sizes = SizeIndex.open(settings.files.sizes, warn, former=settings.files.former_sizes)
        stack.callback(sizes.close)
        yield Stores(cache, index, sizes)


@asynccontextmanager
async def engine_of(
    settings: Settings,
    recorder: Recorder,
    stores: Stores,
    *,
    tolerant: bool = False,
    wait_online_s: float = 0.0,
    on_wait: Callable[[str], None] = lambda _reason: None,
    keeps_current: bool = True,
) -> AsyncIterator[Engine]:
    """An engine for `settings`, logged in; for the waits and syncs see `rcfs.mailbox.Account.start`.

    With `tolerant`, an environment with a wrong proxy is no error for an account in the index: the engine
    serves the index and the cache.

    Raises:
        ConfigError: Credentials are missing, or the environment names a wrong proxy.
        PlatformError: The server refused, failed or could not be reached.
        StoreError: Messages are to be changed, and the outbox cannot be used.
    """
    credentials = settings.require_credentials()
    proxies, barred = Proxies(), None
    try:
        proxies = proxies_to(credentials.server_url)
    except ConfigError as exc:
        if not tolerant:
            raise
        barred = exc
        recorder.fault("proxy", str(exc))
    for line in proxies.oddities:
        recorder.fault("proxy", line)
    identity = credentials.identity
    rules = ChangeRules(
        settings.read_write and not settings.read_only, settings.allow_purge, settings.delete_limit
    )
    history = FetchHistory.open(settings.files.history, lambda line: recorder.fault("store", line))
    with (
        closing(history),
        _kept(partial(ExportBook.open, settings.files), recorder) as export_book,
        _kept(partial(OutboxBook.open, settings.files), recorder, is_needed=rules.read_write) as outbox_book,
        open_ledger(settings, identity, recorder) as (ledger, clock),
    ):
        async with open_engine(
            login=identity,
            client=client_of(settings, proxies),
            credentials=login_with(credentials),
            ledger=ledger,
            cache=stores.cache,
            index=stores.index,
            sizes=stores.sizes,
            shelving=_shelving(settings, stores.index, recorder),
            recorder=recorder,
            history=history,
            export_book=export_book,
            outbox_book=outbox_book,
            rules=rules,
            clock=clock,
            offline=settings.offline,
            max_content_bytes=settings.max_content_bytes,
            wait_online_s=wait_online_s,
            on_wait=on_wait,
            shared=shared_session(settings, identity, recorder),
            reload=partial(_credentials_now, credentials.server_url, identity),
            barred=barred,
            keeps_current=keeps_current,
        ) as engine:
            yield engine


@contextmanager
def _kept(
    open_book: Callable[[Callable[[str], None]], B], recorder: Recorder, *, is_needed: bool = False
) -> Iterator[B | None]:
    """The book of exports or the outbox; None if it cannot be kept on the disk.

    Raises:
        StoreError: It cannot, and it `is_needed`.
    """
    try:
        book = open_book(lambda line: recorder.fault("store", line))
    except StoreError as exc:
        if is_needed:
            raise
        recorder.fault("store", str(exc))
        yield None
        return
    with closing(book):
        yield book


def _credentials_now(server_url: str, identity: str) -> Credentials | None:
    """The credentials that are saved now; None for those of another login, which needs its own mount."""
    found = read_settings({}, warn=lambda _line: None).credentials
    if found is None or found.server_url != server_url or found.identity != identity:
        return None
    return login_with(found)


def _shelving(settings: Settings, index: MailboxIndex, recorder: Recorder) -> Shelving:
    """How the tree shows messages; purged ones as in `settings`, else as the latest choice in `index`."""
    keep = bool(settings.keep_purged)
    try:
        if settings.keep_purged is not None:
            index.keep_purged(keep=keep)
        else:
            keep = index.keeps_purged
    except StoreError as exc:
        recorder.fault("index", str(exc))
    return Shelving(
        partial(shelve, keep_purged=keep),
        name_folder,
        frozenset() if keep else frozenset({PURGED}),
        SHELVING_EDITION,
        CallShelving(shelve_call, shown_extensions),
    )
