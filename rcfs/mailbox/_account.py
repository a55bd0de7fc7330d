"""The account: who is logged in, which extensions it may read, and their mailboxes.

What a login saw last time is in the index, so an account that is known is there at once, also without the
network; it is asked again in the background.

Concurrency: all methods run in the trio thread.
"""

import json
from collections.abc import Callable

import trio

from rcfs.errors import OfflineError, RcfsError, ServerError, StoreError, TransportError, UnreachableError
from rcfs.mailbox._changes import ExtensionsChanged, MailboxesLost
from rcfs.mailbox._collections import Collections
from rcfs.mailbox._context import Context
from rcfs.mailbox._first_seen import FirstSeen
from rcfs.mailbox._mailboxes import Mailboxes
from rcfs.model import Extension, Priority, account_from, extension_from, is_admin
from rcfs.platform import list_extensions, read_account, read_own_extension
from rcfs.store import Login
from rcfs.transport import Demand, PagedList, keep_going

_START_ATTEMPTS = 2
"""Attempts of the requests that a starting mount needs: a person watches, and an unreachable server
should be said within seconds."""
_REFRESH_S = 3600.0
"""Time between two looks at the list of extensions, which costs three requests: people come and go seldom."""
_VERDICT_WITHIN_S = 0.5
"""How long a mount of a known account waits for the server's word on the credentials: a new connection with
TLS takes two round trips, and the login another."""
_ONLINE_EVERY_S = 1.0
"""Shortest time between two attempts of a mount that waits for the network; in an outage the probes tell."""
_LOOK_EVERY_S = 3600.0
"""Time between two looks at all of the index, in seconds. What is read is checked each time; this finds what
is not there any more, because the database cannot find it."""
_LOOK_SHARE = 0.01
"""Share of the time that such looks may take: one at a million messages takes a minute."""
_RETRY_S = 30.0
"""The same after one that failed: when the network returns, new extensions are there soon."""


class Account:
    """What the login may see."""

    def __init__(self, context: Context) -> None:
        """Makes an account; `start` must be awaited before anything else."""
        self._context = context
        self._index = context.index
        self._network = context.network
        self._recorder = context.recorder
        self._own_topic = f"own extension {context.login}"
        self._seen: Login | None = None
        self._first_seen = FirstSeen(context.login, context.index, context.recorder, context.wall_clock)
        self._asked = trio.Event()
        self._damaged = trio.Event()
        self.changes = context.changes
        """Tells what happens to the account and its mailboxes."""
        self.collections = Collections(context.network, context.recorder, context.nursery)
        """Loads mailboxes and keeps them current."""
        self.mailboxes = Mailboxes(context, self.collections)
        """The mailboxes; to be used once the account is started."""
        self.own_id: int | None = None
        """Id of the login's own extension; None when that is not known."""
        self.extensions: tuple[Extension, ...] = ()
        """Extensions that the login may read: all for an admin, else its own."""

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
        """When it was first seen, in seconds since 1970-01-01 UTC; the same at every mount."""
        return self._first_seen.since_s

    async def start(
        self,
        *,
        offline: bool = False,
        barred: RcfsError | None = None,
        wait_online_s: float = 0.0,
        on_wait: Callable[[str], None] = lambda _reason: None,
    ) -> None:
        """Knows the extensions: from the index at once, else by three requests or more.

        For those it waits up to `wait_online_s` seconds for the network, and calls `on_wait` with the reason
        when it begins to: a mount that is started at boot is often there before the network is.

        Where the account is known the login is waited for as well, for half a second or until it is clear
        that it will take longer: refused credentials are told at once, a missing network costs no time.

        Raises:
            AuthError: The credentials were refused.
            OfflineError: The login is new, and the server must not be asked.
            RcfsError: The same, because of `barred`.
            PlatformError: The login is new, and the server failed or could not be reached.
        """
        if self._index.is_small:
            # Before anything is shown; a large one is looked at meanwhile.
            await self._find_damage()
        try:
            known = self._index.reader.login(self._context.login)
            own = self._index.reader.noted(self._own_topic)
            self.own_id = None if own is None else int(own.text)
        except StoreError as exc:  # `begin_anew` sees to it.
            self._recorder.fault("account", str(exc))
            known = None
        if known is None:
            if barred is not None:
                raise barred
            if offline:
                raise OfflineError(
                    "offline: nothing is known of this account; mount it once without --offline"
                )
            await self._take(await self._ask_patiently(wait_online_s, on_wait))
            self._asked.set()
            self._context.nursery.start_soon(self._run, _REFRESH_S)
            return
        await self._take(known)
        if offline:
            return
        self._context.nursery.start_soon(self._run, 0.0)
        with trio.move_on_after(_VERDICT_WITHIN_S):
            async with trio.open_nursery() as nursery:
                for event in (self._context.lane.session.judged, self._network.missed):
                    nursery.start_soon(_end_at, event, nursery.cancel_scope)
        if self._context.lane.session.refused is not None:
            raise self._context.lane.session.refused.with_traceback(None)

    async def wait_asked(self) -> None:
        """Returns when the server was asked about the login for the first time, whatever became of that."""
        await self._asked.wait()

    async def _run(self, pause_s: float) -> None:
        """Keeps the list of extensions and the mailboxes current, for as long as the account is used."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep_going, self._recorder, "mailboxes", self.collections.run)
            while True:
                await trio.sleep(pause_s)
                await self._network.wait_up()
                pause_s = _RETRY_S
                try:
                    await self._take(await self._ask())
                    pause_s = _REFRESH_S
                except RcfsError as exc:
                    self._recorder.failure("account", exc)
                except Exception as exc:  # noqa: BLE001 - one bad answer must not end the mount
                    self._recorder.crash("account", exc)
                self._asked.set()

    async def refresh(self) -> int:
        """Asks now which extensions there are, and syncs all mailboxes that were loaded; how many.

        Raises:
            PlatformError: The server failed or could not be reached; what was taken over until then stays.
        """
        await self._take(await self._ask())
        return await self.collections.refresh_all()

    def begin_anew(self) -> None:
        """The index is damaged: another one is begun, and mailboxes are loaded when they are looked into."""
        self._damaged.set()

    async def look_for_damage(self) -> None:
        """Looks at all of the index now and then; runs for as long as the account is used."""
        if self._index.is_small:
            await trio.sleep(_LOOK_EVERY_S)  # It has just been looked at.
        while True:
            started_s = trio.current_time()
            await self._find_damage()
            took_s = trio.current_time() - started_s
            await trio.sleep(max(_LOOK_EVERY_S, took_s / _LOOK_SHARE))

    async def _find_damage(self) -> None:
        """Looks at all of the index, which is begun anew before this returns if it is damaged."""
        try:
            # With a limiter of its own: it may take long, and is to hold nobody up.
            await trio.to_thread.run_sync(
                self._index.find_damage, limiter=trio.CapacityLimiter(1), abandon_on_cancel=True
            )
        except StoreError as exc:
            self._recorder.fault("index", str(exc))
            await self._mend()

    async def mend(self) -> None:
        """Begins the index anew whenever it is damaged; runs for as long as the account is used."""
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
        self._index.settle()
        if renewed:
            self.mailboxes.forget()
            self.changes.tell(MailboxesLost())
            await self._first_seen.save()
            self._context.nursery.start_soon(self.mailboxes.complete_index)

    def _renew(self) -> bool:
        """Begins the index anew if it is damaged; whether it was. Runs in a thread."""
        if not self._index.renew():
            return False
        if self._seen is not None:
            self._index.writer.save_login(self._context.login, self._seen)
        return True

    async def _ask_patiently(self, wait_s: float, on_wait: Callable[[str], None]) -> Login:
        """As `_ask`, again and again while the network is not there, for up to `wait_s` seconds."""
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
        demand = Demand(Priority.METADATA, attempts=_START_ATTEMPTS, label="account")
        account_id, name = await self._context.requester.read(read_account(), account_from, demand)
        own, admin = await self._context.requester.read(
            read_own_extension(), lambda record: (extension_from(record), is_admin(record)), demand
        )
        found: dict[int, Extension] = {}
        if admin is False and own is not None:
            found[own.id] = own
        else:
            extensions = PagedList(self._context.requester, list_extensions(), demand)
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
        except StoreError as exc:  # Then the next mount asks again.
            self._recorder.fault("account", str(exc))
        return seen

    async def _take(self, seen: Login) -> None:
        """Shows what the login may see from now on, and keeps since when.

        Raises:
            ServerError: As `_show`.
        """
        if self._show(seen):
            await self._first_seen.save()

    def _show(self, seen: Login) -> bool:
        """Shows what the login may see from now on; whether that is something else than before.

        Raises:
            ServerError: The login has come to another account, which no server ever does.
        """
        if seen == self._seen:
            return False
        if self._seen is not None and seen.account_id != self._seen.account_id:
            raise ServerError("the login leads to another account than before: mount again")
        self._seen = seen
        found = (extension_from(json.loads(raw)) for raw in seen.extensions)
        self.extensions = self._first_seen.date(extension for extension in found if extension is not None)
        self.mailboxes.keep_current(seen.account_id, self.extensions)
        self.changes.tell(ExtensionsChanged())
        return True


async def _end_at(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()
