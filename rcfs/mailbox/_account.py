"""The account: who is logged in, which extensions it may read, and their mailboxes.

The index remembers what a login saw last time, so a known account is shown at once, also without the network;
rcfs asks the platform again in the background.

Concurrency: all methods run in the trio thread.
"""

import json
import math
from collections.abc import Callable

import trio

from rcfs.errors import OfflineError, RcfsError, ServerError, StoreError, TransportError, UnreachableError
from rcfs.mailbox._call_logs import CallLogs
from rcfs.mailbox._changes import ExtensionsChanged, MailboxesLost
from rcfs.mailbox._collections import Collections
from rcfs.mailbox._context import Context
from rcfs.mailbox._first_seen import FirstSeen
from rcfs.mailbox._greetings import Greetings
from rcfs.mailbox._mailboxes import Mailboxes
from rcfs.mailbox._platform_clock import PlatformClock
from rcfs.mailbox._rights import Rights
from rcfs.model import (
    CALLS,
    GREETINGS,
    MAILBOX,
    PROMPTS,
    Extension,
    Priority,
    account_from,
    extension_from,
    is_admin,
    kind_of,
    owner_of,
    part_of,
)
from rcfs.platform import list_extensions, read_account, read_own_extension
from rcfs.store import Login
from rcfs.transport import PagedList, RequestOptions, keep_going, run_together

_START_ATTEMPTS = 2
"""Attempts of the requests that a starting mount needs: a person watches, and should hear within seconds that
a server cannot be reached."""
_REFRESH_S = 3600.0
"""Time between two reads of the list of extensions, three requests each: extensions seldom come and go."""
_VERDICT_WITHIN_S = 0.5
"""How long a mount of a known account waits to hear whether the server accepts the credentials: a new
connection with TLS takes two round trips, and the login a third."""
_ONLINE_EVERY_S = 1.0
"""Shortest time between two attempts of a mount that waits for the network."""
_RETRY_S = 30.0
"""Time to the next read after one that failed: new extensions appear soon after the network returns."""
_CHECK_EVERY_S = 3600.0
"""Time between two checks of the whole index. Rows are checked whenever they are read; only a check of all of
them finds rows that are missing."""
_CHECK_SHARE = 0.01
"""Share of the time that such checks may take: a check of a million messages takes a minute."""


class Account:
    """The account of a login, with the extensions and mailboxes that the login may read."""

    def __init__(self, context: Context) -> None:
        """Await `start` before any other use."""
        self._context = context
        self._index = context.index
        self._network = context.network
        self._recorder = context.recorder
        self._own_topic = f"own extension {context.login}"
        self._asked_topic = f"asked {context.login}"
        self._seen: Login | None = None
        self._first_seen = FirstSeen(context.login, context.index, context.recorder, context.wall_clock)
        self._clock = PlatformClock(context)
        self._keeps_current = True
        self._asked = trio.Event()
        self._damaged = trio.Event()
        self.changes = context.changes
        """The listeners to events of the account and its mailboxes."""
        self.collections = Collections(
            context.network, context.recorder, context.nursery, context.lane.gate.plan
        )
        """Loads mailboxes and keeps them current."""
        self.mailboxes = Mailboxes(context, self.collections)
        """All mailboxes."""
        self.rights = Rights(context)
        """The rights that the app and the user lack."""
        self.calls = CallLogs(context, self.collections, self.rights)
        """All call logs."""
        self.greetings = Greetings(context, self.collections)
        """All greetings and prompts."""
        self.own_id: int | None = None
        """Id of the login's own extension; None when it is not known."""
        self.extensions: tuple[Extension, ...] = ()
        """The extensions that the login may read: all for an admin, else its own."""

    @property
    def id(self) -> str:
        """Decimal account id."""
        return "" if self._seen is None else self._seen.account_id

    @property
    def name(self) -> str:
        """Company name, or the main number where the account has none; may be empty."""
        return "" if self._seen is None else self._seen.account_name

    @property
    def since_s(self) -> int:
        """When rcfs first saw the account, in seconds since 1970-01-01 UTC; the same at every mount."""
        return self._first_seen.since_s

    async def start(
        self,
        *,
        offline: bool = False,
        barred: RcfsError | None = None,
        wait_online_s: float = 0.0,
        on_wait: Callable[[str], None] = lambda _reason: None,
        keeps_current: bool = True,
        asks_again: bool = True,
    ) -> None:
        """Reads the extensions: at once from the index, or with at least three requests for a new login.

        A new login waits up to `wait_online_s` seconds for the network, because a mount that starts at boot
        is often up before the network; when the wait begins, `on_wait` is called with the reason.

        A known account waits half a second for the login, or until it is clear that it takes longer: the user
        hears at once of refused credentials, and a missing network costs no time.

        Without `keeps_current` nothing is synced by time, so that no request is sent that nobody asked for.
        Without `asks_again` a known account is not read again within an hour of the last time that any
        process did so: the workers of one program then cost no three requests each.

        Raises:
            AuthError: The server refused the credentials.
            OfflineError: The login is new, and `offline` is set.
            RcfsError: The login is new, and this is `barred`.
            PlatformError: The login is new, and the server failed or could not be reached.
        """
        self._keeps_current = keeps_current
        if self._index.is_small:
            # A large index is checked later, in the background.
            await self._check_index()
        self._clock.recall()
        try:
            known = self._index.reader.login(self._context.login)
            own = self._index.reader.noted(self._own_topic)
            self.own_id = None if own is None else int(own.text)
        except StoreError as exc:  # `mend` replaces the index.
            self._recorder.fault("account", str(exc))
            known = None
        if known is None:
            if barred is not None:
                raise barred
            if offline:
                raise OfflineError(
                    "offline: rcfs has never seen this account; mount it once without --offline"
                )
            await self._take(await self._ask_patiently(wait_online_s, on_wait))
            await self._learn_rights()
            self._asked.set()
            self._context.nursery.start_soon(self._run, _REFRESH_S)
            return
        await self._take(known)
        if offline:
            return
        left_s = 0.0 if asks_again else _REFRESH_S - self._asked_ago_s()
        self._context.nursery.start_soon(self._run, max(0.0, left_s))
        if left_s > 0:
            self._asked.set()
            return
        session = self._context.lane.session
        with trio.move_on_after(_VERDICT_WITHIN_S):
            await run_together((session.judged.wait, self._network.missed.wait), until_one_returns=True)
        if session.refused is not None:
            raise session.refused.with_traceback(None)

    def _asked_ago_s(self) -> float:
        """Seconds since a process last read the account; inf if none did."""
        try:
            note = self._index.reader.noted(self._asked_topic)
        except StoreError:  # `mend` replaces the index.
            return math.inf
        return math.inf if note is None else self._context.age_s(note.noted_s)

    async def wait_asked(self) -> None:
        """Returns when the server was first asked about the login, also after a failure."""
        await self._asked.wait()

    async def _run(self, pause_s: float) -> None:
        """Keeps the list of extensions and the mailboxes current until it is cancelled."""
        if self._keeps_current:
            self._context.nursery.start_soon(keep_going, self._recorder, "mailboxes", self.collections.run)
        while True:
            await trio.sleep(pause_s)
            await self._network.wait_up()
            pause_s = _RETRY_S
            try:
                await self._take(await self._ask())
                await self._learn_rights()
                pause_s = _REFRESH_S
            except RcfsError as exc:
                self._recorder.failure("account", exc)
            except Exception as exc:  # noqa: BLE001 - one bad answer must not end the mount
                self._recorder.crash("account", exc)
            self._asked.set()

    async def refresh(self) -> int:
        """Reads the list of extensions and syncs all loaded mailboxes and call logs now.

        Returns:
            The number of mailboxes.

        Raises:
            PlatformError: The server failed or could not be reached; changes up to then are kept.
        """
        await self._take(await self._ask())
        await self._learn_rights()
        await self.collections.refresh_all()
        return len(self.collections.loaded(MAILBOX))

    # Collections of any kind, by their ids

    async def open_collection(self, collection_id: str, priority: Priority = Priority.PERSON) -> None:
        """Loads a collection, if it never was; it can be shown afterwards. A mailbox is a person's.

        A collection that the platform does not have is shown as empty.

        Raises:
            ForbiddenError: The login may not read it, now or within the last minute.
            PlatformError: The server failed or could not be reached.
        """
        kind, owner = kind_of(collection_id), owner_of(collection_id)
        if kind == CALLS:
            await self.calls.open(owner, part_of(collection_id), priority)
        elif kind in (GREETINGS, PROMPTS):
            await self.greetings.open(collection_id, priority)
        elif await self.mailboxes.exists(owner):
            await self.mailboxes.open(owner)

    def visit(self, collection_id: str) -> None:
        """Syncs a collection that a person looks at, unless its last sync is recent; returns at once."""
        kind, owner = kind_of(collection_id), owner_of(collection_id)
        if kind == CALLS:
            self.calls.visit(owner, part_of(collection_id))
        elif kind in (GREETINGS, PROMPTS):
            self.greetings.visit(collection_id)
        else:
            self.mailboxes.visit(owner)

    async def settle(self, collection_id: str) -> None:
        """Returns when no load or sync of a collection is under way, for a reader who wants the news."""
        if kind_of(collection_id) == CALLS:
            await self.calls.settle(owner_of(collection_id), part_of(collection_id))
        else:
            await self.collections.settle(collection_id)

    async def refresh_collection(self, collection_id: str) -> None:
        """Loads or syncs a collection now; raises as `open_collection`."""
        if kind_of(collection_id) == CALLS:
            await self.calls.refresh(owner_of(collection_id), part_of(collection_id))
        else:
            await self.collections.refresh(collection_id)

    async def _learn_rights(self) -> None:
        """Shows what the scopes of the app allow, if they are others than before."""
        if await self.rights.learn():
            self.changes.tell(ExtensionsChanged())

    def report_damage(self) -> None:
        """Makes `mend` replace the index, which is damaged."""
        self._damaged.set()

    async def check_index(self) -> None:
        """Checks the whole index about once an hour, until it is cancelled."""
        if self._index.is_small:
            await trio.sleep(_CHECK_EVERY_S)  # `start` has just checked it.
        while True:
            started_s = trio.current_time()
            await self._check_index()
            took_s = trio.current_time() - started_s
            await trio.sleep(max(_CHECK_EVERY_S, took_s / _CHECK_SHARE))

    async def _check_index(self) -> None:
        """Checks the whole index, and replaces it if it is damaged."""
        try:
            # With its own limiter: a check may take long, and must not keep the index's threads busy.
            await trio.to_thread.run_sync(
                self._index.find_damage, limiter=trio.CapacityLimiter(1), abandon_on_cancel=True
            )
        except StoreError as exc:
            self._recorder.fault("index", str(exc))
            await self._mend()

    async def mend(self) -> None:
        """Replaces the index whenever it is reported as damaged, until it is cancelled."""
        while True:
            await self._damaged.wait()
            self._damaged = trio.Event()
            await self._mend()

    async def _mend(self) -> None:
        try:
            renewed = await self._context.in_thread(self._renew)
        except StoreError as exc:
            self._recorder.fault("account", str(exc))
            renewed = True
        self._index.close_retired()
        if renewed:
            self.calls.forget()
            self.mailboxes.forget()
            self.changes.tell(MailboxesLost())
            await self._first_seen.save()
            self._context.nursery.start_soon(self.mailboxes.complete_index)

    def _renew(self) -> bool:
        """Replaces the index if it is damaged, and returns whether it was; for a worker thread."""
        if not self._index.renew():
            return False
        if self._seen is not None:
            self._index.writer.save_login(self._context.login, self._seen)
        return True

    async def _ask_patiently(self, wait_s: float, on_wait: Callable[[str], None]) -> Login:
        """As `_ask`, but tries again for up to `wait_s` seconds while the network is missing."""
        deadline_s, waits = trio.current_time() + wait_s, False
        while True:
            try:
                return await self._ask()
            except TransportError as exc:
                lasting = isinstance(exc, UnreachableError) and exc.lasting
                if lasting or trio.current_time() >= deadline_s:
                    raise
                if not waits:
                    on_wait(str(exc))
                    waits = True
            with trio.move_on_at(deadline_s):
                await trio.sleep(_ONLINE_EVERY_S)
                await self._network.wait_up()

    async def _ask(self) -> Login:
        options = RequestOptions(Priority.METADATA, attempts=_START_ATTEMPTS, label="account")
        account_id, name = await self._context.requester.read(read_account(), account_from, options)
        own, admin = await self._context.requester.read(
            read_own_extension(), lambda record: (extension_from(record), is_admin(record)), options
        )
        found: dict[int, Extension] = {}
        if admin is False and own is not None:
            found[own.id] = own
        else:
            extensions = PagedList(self._context.requester, list_extensions(), options)
            while (page := await extensions.page()) is not None:
                for extension in map(extension_from, page):
                    if extension is not None:
                        found.setdefault(extension.id, extension)
        seen = Login(account_id, name, tuple(extension.raw for extension in found.values()))
        try:
            await self._context.in_thread(self._index.writer.save_login, self._context.login, seen)
            if own is not None and own.id != self.own_id:
                self.own_id = own.id
                await self._context.note(self._own_topic, str(own.id))
            await self._context.note(self._asked_topic, account_id)
        except StoreError as exc:  # The next mount asks the platform again.
            self._recorder.fault("account", str(exc))
        await self._clock.keep()
        return seen

    async def _take(self, seen: Login) -> None:
        """Shows the extensions in `seen` from now on.

        Raises:
            ServerError: The login leads to another account than before, which no server ever does.
        """
        if seen == self._seen:
            return
        if self._seen is not None and seen.account_id != self._seen.account_id:
            raise ServerError("the login now belongs to another account; unmount, and mount again")
        self._seen = seen
        found = (extension_from(json.loads(raw)) for raw in seen.extensions)
        self.extensions = self._first_seen.date(extension for extension in found if extension is not None)
        self.mailboxes.keep_current(seen.account_id, self.extensions)
        self.calls.keep_current(seen.account_id, self.extensions, self.own_id, self.since_s)
        self.greetings.account_id, self.greetings.fallback_s = seen.account_id, self.since_s
        self.changes.tell(ExtensionsChanged())
        await self._first_seen.save()
