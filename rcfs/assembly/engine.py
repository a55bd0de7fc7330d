"""Opens the stores and the engine that some settings describe."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager
from functools import partial
from typing import TypeVar

import attrs

from rcfs.assembly.connecting import client_of, login_with, proxies_to, settings_now, shared_session
from rcfs.assembly.contents import open_cache
from rcfs.assembly.ledger import open_ledger
from rcfs.assembly.pool import pool_logins
from rcfs.assembly.shared import open_shared
from rcfs.config import Settings
from rcfs.engine import Engine, open_engine
from rcfs.errors import ConfigError, StoreError
from rcfs.mailbox import CallShelving, Shelving
from rcfs.model import ChangeRules
from rcfs.platform import Credentials, Proxies
from rcfs.store import ContentCache, ExportBook, FetchHistory, MailboxIndex, OutboxBook, SizeIndex
from rcfs.transport import Recorder
from rcfs.tree import PURGED, SHELVING_EDITION, name_folder, shelve, shelve_call, shown_extensions

B = TypeVar("B", ExportBook, OutboxBook)


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
    asks_again: bool = True,
    keeps_current: bool = True,
) -> AsyncIterator[Engine]:
    """An engine for `settings`, logged in; for the waits and syncs see `rcfs.mailbox.Account.start`.

    With `tolerant`, an environment with a wrong proxy is no error for an account in the index: the engine
    serves the index and the cache.

    Raises:
        ConfigError: Credentials are missing, the environment names a wrong proxy, or the shared store cannot
            be opened.
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
        pool_logins(settings, recorder) as pool,
    ):
        async with open_engine(
            login=identity,
            client=client_of(settings, proxies),
            credentials=login_with(credentials, settings.login_command),
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
            reload=partial(_credentials_now, settings, identity),
            barred=barred,
            asks_again=asks_again,
            keeps_current=keeps_current,
            shared_place=open_shared(settings),
            pool=pool,
            pool_problems={each.name: each.problem for each in settings.pool if each.problem},
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


def _credentials_now(settings: Settings, identity: str) -> Credentials | None:
    """The credentials that are saved now; None for those of another login, which needs its own engine."""
    found = settings_now(settings).credentials
    server_url = settings.require_credentials().server_url
    if found is None or found.server_url != server_url or found.identity != identity:
        return None
    return login_with(found, settings.login_command)


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
        PURGED,
    )
