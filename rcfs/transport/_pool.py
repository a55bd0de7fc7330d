"""The pool: several logins that fetch contents together, each with a session, a budget and limits of its own.

A request for a content waits in the queue of each login that may read it, and the first login with a free
slot sends it; so the choice is made when the slot is taken. rcfs learns from refusals which login may read a
mailbox. A login whose credentials are refused leaves the pool until they are good again. The mount's own
login belongs to the pool, and is the only one that serves listings, syncs and hints.

A login takes part once rcfs has asked whose it is: one of another account must not fill this account's cache,
and a login that is in the pool twice has one budget only. That takes two Light requests, when the first
content is fetched. Its *keeper*, a task, asks them, renews its token, and notices when refused credentials
were replaced.

Concurrency: all methods run in the trio thread, and those that are not async are atomic.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Final

import trio

from rcfs.errors import AuthError, ForbiddenError, NotFoundError, PlatformError, RcfsError
from rcfs.model import Priority, UsageGroup, account_from, extension_from
from rcfs.platform import read_account, read_own_extension
from rcfs.quota import Slot
from rcfs.transport._budget import Budget
from rcfs.transport._gate import Gate, RequestOptions, RequestSlot, Waiter
from rcfs.transport._member import Member, Standing
from rcfs.transport._network import Network
from rcfs.transport._once import is_by_proxy
from rcfs.transport._recorder import Recorder
from rcfs.transport._requester import Requester
from rcfs.transport._session import Session

_AGAIN_S: Final = 60.0
"""Seconds until a login is asked again whose it is, after a failure."""
_LOOK_S: Final = 15.0
"""How often rcfs looks whether refused credentials were replaced, in seconds: it asks the keyring, not the
server."""
_TRY_S: Final = 3600.0
"""Seconds until rcfs tries refused credentials again: an administrator may have allowed them again."""
_MOST_LOGINS: Final = 2
"""401 answers of one login to one content after which another login is to bring it: one is normal, as a token
may end early."""


class Pool:
    """The logins that fetch contents."""

    def __init__(
        self,
        own: Member,
        others: Sequence[Member],
        requester: Requester,
        network: Network,
        recorder: Recorder,
    ) -> None:
        """Begins with `own` alone; each of `others` takes part when its `keep` has found that it may."""
        own.standing = Standing.GOOD
        self.own = own
        self.others = tuple(others)
        """All other logins, also those that do not take part."""
        self.whose: Callable[[], tuple[str, int | None]] = lambda: ("", None)
        """The account that is shown, and the extension of its login (None: unknown); the engine sets it."""
        self.budget = Budget(lambda: [member.lane.gate for member in self._probable()])
        """The budget of all logins that take part, or may after the first request."""
        self._requester = requester
        self._network = network
        self._recorder = recorder
        self._is_used = trio.Event()
        self._seekers: dict[Waiter, Route] = {}
        """The requests that wait, in any of the logins."""

    @property
    def members(self) -> tuple[Member, ...]:
        """All logins, first the mount's own."""
        return (self.own, *self.others)

    def route(self, subject: Hashable, scope: str) -> "Route":
        """The logins for one transfer of a content.

        Args:
            subject: What a permission covers, such as a mailbox: a refusal is remembered for it.
            scope: The scope that the app of the login needs.
        """
        return Route(self, subject, scope)

    def use(self) -> None:
        """Lets the logins be asked whose they are, if that was not done yet."""
        self._is_used.set()

    def seek(self, waiter: Waiter, route: "Route") -> None:
        """Lets `waiter` wait in the logins of `route`, also in those that can send only later."""
        self._seekers[waiter] = route
        for member in route.ranked(waiter):
            waiter.enter(member.lane.gate)

    def end_seek(self, waiter: Waiter) -> None:
        """Ends what `seek` began."""
        del self._seekers[waiter]

    def review(self) -> None:
        """Lets all waiting requests wait where they may now."""
        for waiter, route in tuple(self._seekers.items()):
            gates = [member.lane.gate for member in route.able()]
            for gate in gates:
                waiter.enter(gate)
            # Without any login, its slot tells the request why.
            for gate in set(waiter.gates).difference(gates) if gates else ():
                waiter.leave(gate)

    async def keep(self, member: Member) -> None:
        """Lets `member` take part when it may, until it is cancelled or the member never can."""
        await self._is_used.wait()
        while member.standing not in (Standing.FOREIGN, Standing.DOUBLE):
            member.wakes = trio.Event()
            pause_s = float("inf")
            try:
                await self._network.wait_up()
                if member.standing is Standing.GOOD:
                    await member.lane.session.token(_keeping(member))
                else:
                    await self._introduce(member)
            except AuthError as exc:
                if member.lane.session.refused is None:
                    pause_s = _AGAIN_S
                elif member is not self.own:
                    self._stand(member, Standing.REFUSED, str(exc))
            except RcfsError as exc:
                pause_s = _AGAIN_S
                if member.standing is not Standing.GOOD:
                    self._stand(member, Standing.FAILING, str(exc))
            self.review()
            if member.lane.session.refused is not None:
                await self._wait_healed(member)
                continue
            with trio.move_on_after(pause_s):
                await member.wakes.wait()

    async def _wait_healed(self, member: Member) -> None:
        """Returns when refused credentials are worth a login."""
        with trio.move_on_after(_TRY_S):  # noqa: ASYNC912 - it may be healed already
            while member.lane.session.refused is not None:
                await trio.sleep(_LOOK_S)
                await member.lane.session.reconsider()

    async def _introduce(self, member: Member) -> None:
        """Asks whose login it is.

        Raises:
            PlatformError: It could not be asked.
        """
        ask, lane = self._requester.read, member.lane
        account_id, _name = await ask(read_account(), account_from, _keeping(member), lane=lane)
        extension = await ask(read_own_extension(), extension_from, _keeping(member), lane=lane)
        own_account, own_id = self.whose()
        found = (member.client_id, None if extension is None else extension.id)
        known = [((self.own.client_id, own_id), "the mount's own login")]
        known += [(each.identity, f"'{each.name}'") for each in self.others if each.takes_part]
        double = next((name for identity, name in known if identity == found and found[1]), "")
        if account_id != own_account:
            why = f"it logs in to the account {account_id}, and this is {own_account}"
            self._stand(member, Standing.FOREIGN, why)
        elif double:
            why = f"it is the same user and app as {double}, and the platform counts both as one"
            self._stand(member, Standing.DOUBLE, why)
        else:
            member.identity = found
            if member.standing is not Standing.UNUSED:
                self._recorder.note("login of the pool is good", name=member.name)
            member.standing, member.because = Standing.GOOD, ""

    def _stand(self, member: Member, standing: Standing, because: str) -> None:
        """Notes that `member` does not take part."""
        if (member.standing, member.because) != (standing, because):
            self._recorder.fault("pool", f"rcfs does not use the login '{member.name}': {because}")
        member.standing, member.because = standing, because

    def _probable(self) -> Sequence[Member]:
        """The logins that take part, and those of which nothing is known."""
        unused = [each for each in self.others if each.standing is Standing.UNUSED]
        return [self.own, *(each for each in self.others if each.takes_part), *unused]


def _keeping(member: Member) -> RequestOptions:
    """The options of a request about a login itself."""
    return RequestOptions(Priority.METADATA, label=f"login {member.name}".rstrip())


class Route:
    """The logins for one transfer of a content: `rcfs.transport.Lanes`, one request at a time."""

    def __init__(self, pool: Pool, subject: Hashable, scope: str) -> None:
        """See `Pool.route`."""
        self._pool = pool
        self._subject = subject
        self._scope = scope
        self._latest = pool.own
        """The login of the latest request."""
        self._refusals: dict[Member, PlatformError] = {}
        self._logins: dict[Member, int] = {}
        """401 answers of each login."""

    def candidates(self) -> Sequence[Member]:
        """The logins that may bring the content; the mount's own if rcfs knows of none."""
        pool = self._pool
        found = [
            each
            for each in pool.members
            if each.takes_part and each not in self._refusals and each.may_read(self._subject, self._scope)
        ]
        return found or [each for each in (pool.own,) if each not in self._refusals]

    def able(self) -> Sequence[Member]:
        """Those of the candidates that have a token; all of them if none has."""
        found = self.candidates()
        return [each for each in found if each.lane.session.current is not None] or found

    def ranked(self, waiter: Waiter) -> Sequence[Member]:
        """The logins that can send now or soon, in the order in which the request is to ask them for a slot.

        The first is the one with a free slot that has used the least of its budget; for a person it is the
        own login, which reads for certain what it lists.
        """
        is_person = waiter.options.priority is Priority.PERSON

        def rank(member: Member) -> tuple[bool, float]:
            state = next((one for one in member.lane.gate.states() if one.group == waiter.group), None)
            if state is None:
                return False, 0.0
            is_first = is_person and member is self._pool.own
            return state.next_free_s > 0, -1.0 if is_first else state.used / state.limit

        found = self.able()
        return sorted(found, key=rank) if len(found) > 1 else found

    async def ready(self, options: RequestOptions) -> None:
        """See `Lanes.ready`; a login without a token joins when its keeper has renewed it."""
        self._pool.use()
        while True:  # noqa: ASYNC913 - it returns, or waits for a token
            found = self.candidates()
            idle = [each for each in found if each.lane.session.current is None]
            for member in idle:
                member.wakes.set()
            if len(idle) < len(found):
                return
            if not found:
                raise self._verdict()
            try:
                await found[0].lane.session.token(options)
            except AuthError:
                # A refused login is no candidate any more, except the mount's own if there is no other.
                if self.candidates() == found:
                    raise

    def slot(self, operation: str, group: UsageGroup, options: RequestOptions) -> RequestSlot:
        """See `Lanes.slot`."""
        return RequestSlot(self._pool.own.lane.gate, operation, group, options, self._wait)

    async def _wait(self, waiter: Waiter) -> Slot:
        self._pool.seek(waiter, self)
        try:
            slot = await waiter.wait()
        finally:
            self._pool.end_seek(waiter)
        self._latest = self._member(waiter.gate)
        return slot

    def session_of(self, gate: Gate) -> Session:
        """See `Lanes.session_of`."""
        return self._member(gate).lane.session

    def passes_on(self, error: PlatformError, gate: Gate) -> bool:
        """See `Lanes.passes_on`."""
        member = self._member(gate)
        if isinstance(error, AuthError):
            member.wakes.set()
            if all(each is member for each in self.candidates()):
                return False
            self._logins[member] = self._logins.get(member, 0) + 1
            if self._logins[member] > _MOST_LOGINS:
                self._refusals[member] = error
        elif isinstance(error, (ForbiddenError, NotFoundError)):
            self._refusals[member] = error
        else:
            return False
        if self.candidates():
            return True
        raise self._verdict()

    def _verdict(self) -> PlatformError:
        """Why no login may bring the content: the refusal of the own login, or else the first one."""
        return self._refusals.get(self._pool.own) or next(iter(self._refusals.values()))

    def note_success(self) -> str:
        """Notes that the latest request was answered with bytes of the content; the name of its login.

        So those who refused it, or say that it does not exist, may not read what it belongs to. If all refuse
        a content, that says nothing of the rest of its mailbox; nor does the refusal of a captive portal.
        """
        self._latest.contents += 1
        for member, error in self._refusals.items():
            if not isinstance(error, AuthError) and not is_by_proxy(error):
                member.note_closed(self._subject)
        return self._latest.name

    def _member(self, gate: Gate | None) -> Member:
        return next(each for each in self._pool.members if each.lane.gate is gate)
