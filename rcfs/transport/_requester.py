"""One logical request, carried through: slot, token, sending, redirects, repetition.

Source: "Error handling", "Rate limits" and "Responses" of the API documentation.
"""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, TypeVar

import attrs
import trio

from rcfs.errors import (
    AuthError,
    PlatformError,
    RateLimitedError,
    ServerError,
    SilentError,
    TransportError,
    UnreachableError,
)
from rcfs.model import UsageGroup
from rcfs.platform import Answer, Client, Request, Token, decoded_object, refusal
from rcfs.quota import UNKNOWN_PLAN
from rcfs.transport._backoff import backoff_s
from rcfs.transport._gate import Demand, Gate, RequestSlot
from rcfs.transport._network import Network
from rcfs.transport._recorder import Recorder
from rcfs.transport._session import Session

T = TypeVar("T")

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_HOPS = 5
"""Redirects followed for one request; browsers allow 20, no API of this kind needs more than one."""
_MOST_LOGINS = 4
"""New tokens tried for one request: as many as there are repetitions of any other fault."""
_MOST_REFUSALS = 5
"""429 answers met for one request: each costs a penalty, so after five minutes something else is wrong."""
_PROGRESS_BYTES = 64 << 10
"""An attempt that brought this much before it broke is repeated at once and without being counted; the
slots space such repetitions anyway. One that brought less counts as a fault."""
_ERROR_BODY_BYTES = 64 << 10
"""An error's envelope is a few hundred bytes; an HTML page is cut."""


class _ReplacedError(PlatformError):
    """A 401 to a token that had been replaced by then: it says nothing about the present one."""


class Requester:
    """Sends requests within the quota; may be used by any number of tasks at the same time."""

    def __init__(
        self, client: Client, gate: Gate, session: Session, network: Network, recorder: Recorder
    ) -> None:
        self._client = client
        self._gate = gate
        self._network = network
        self._session = session
        self._recorder = recorder
        self._learned_groups: dict[str, UsageGroup] = {}

    async def run(
        self,
        plan: Callable[[], Request],
        use: Callable[[Answer], Awaitable[T]],
        demand: Demand,
        *,
        progress: Callable[[], int] = lambda: 0,
        confirm: Callable[[], None] = lambda: None,
    ) -> T:
        """What `use` makes of the answer to `plan()`: 2xx, or 416 when a range was asked for.

        Both are called anew for every attempt, so a plan may ask for what is still missing. Attempts end
        with `demand.attempts` faults in a row between which `progress()`, in bytes, hardly grew. `confirm`
        is called in the moment before something is sent, which may be long after it was planned; when it
        raises, nothing is sent, no slot is used, and the error is passed on.

        Raises:
            PlatformError: What the server or the connection did in the last attempt.
            UnreachableError, OfflineError: Nothing is sent now; see `Network.admit`.
            AbandonedError: The demand was dropped while it waited for a slot.
        """
        failures = logins = refusals = 0
        reached = progress()
        while True:
            request = plan()
            await self._network.admit(request.url, demand)
            # Failed logins are repeated in there, so they are not repeated here.
            await self._session.token(demand)
            try:
                return await self._attempt(request, use, demand, confirm)
            except RateLimitedError as exc:
                # The gate is frozen now, so the next attempt waits the penalty out.
                refusals += 1
                self._recorder.fault("refused for quota", str(exc))
                if refusals >= _MOST_REFUSALS:
                    raise
            except _ReplacedError:
                continue  # Each one is another request's new token, and those are limited.
            except AuthError as exc:
                logins += 1
                if logins > _MOST_LOGINS or self._session.refused is not None:
                    raise
                self._recorder.fault("token refused", str(exc))
                if logins > 2:  # Two are a token that ended early, and one that another process replaced.
                    await trio.sleep(backoff_s(logins - 2, exc))
            except (ServerError, TransportError) as exc:
                self._recorder.fault("request failed", str(exc))
                if progress() >= reached + _PROGRESS_BYTES:
                    failures, reached = 0, progress()
                    continue
                failures += 1
                is_outage = isinstance(exc, (UnreachableError, SilentError))
                if is_outage and self._network.is_closed_to(request.url):
                    # That is said at once, or waited for, without using attempts up.
                    failures = 0
                    continue
                if failures >= demand.attempts:
                    raise
                await trio.sleep(backoff_s(failures, exc))

    def price(self, request: Request) -> tuple[float, float]:
        """What a request like `request` costs now, in seconds: its share of the window, and until it can go.

        As the ledger knows it; a request that must wait behind others waits longer.
        """
        group = self._learned_groups.get(request.operation, request.group)
        for state in self._gate.states():
            if state.group == group:
                return state.window_s / state.limit, state.next_free_s
        return UNKNOWN_PLAN.window_s / UNKNOWN_PLAN.limit, 0.0

    async def read(self, request: Request, decode: Callable[[dict[str, Any]], T], demand: Demand) -> T:
        """What `decode` makes of the JSON object that answers `request`; it runs in a worker thread.

        Raises:
            PlatformError: As `run`, and what `decode` raised; ServerError when the answer is no JSON object.
        """

        def parse(body: bytes) -> T:
            return decode(decoded_object(body, request.operation))

        async def use(answer: Answer) -> T:
            # A page of a thousand messages takes tens of milliseconds: not in the event loop.
            return await trio.to_thread.run_sync(parse, await answer.body())

        return await self.run(lambda: request, use, demand)

    async def _attempt(
        self,
        request: Request,
        use: Callable[[Answer], Awaitable[T]],
        demand: Demand,
        confirm: Callable[[], None],
    ) -> T:
        for _hop in range(_MOST_HOPS):
            result, target = await self._send(request, use, demand, confirm)
            if not target:
                return result  # type: ignore[return-value]  # without a target there is a result
            request = attrs.evolve(request, url=target, params=())
        raise PlatformError(f"{request.operation}: more than {_MOST_HOPS} redirects")

    async def _send(
        self,
        request: Request,
        use: Callable[[Answer], Awaitable[T]],
        demand: Demand,
        confirm: Callable[[], None],
    ) -> tuple[T | None, str]:
        """(what `use` made, "") or (None, the URL to go on at)."""
        if not self._client.hosts.may_see_token(self._client.absolute(request.url)):
            # A foreign host, reached by a redirect: no token, and none of this credential's quota.
            async with self._client.send(request, "") as answer:
                if answer.status >= 400 and answer.status != 416:
                    # It says nothing about the login, the quota or the resource: asking the server again
                    # may lead elsewhere.
                    raise ServerError(
                        f"{request.operation}: HTTP {answer.status} from the host that the server named",
                        retry_after_s=answer.retry_after_s,
                    )
                return await self._judge(request, answer, use)
        group = self._learned_groups.get(request.operation, request.group)
        while True:
            async with self._gate.slot(request.operation, group, demand) as slot:
                token = self._session.current
                if token is not None and not self._network.is_closed_to(request.url):
                    return await self._exchange(request, token, slot, use, confirm)
                slot.unsent()  # The wait for the slot outlasted the token, or the way to the server.
            await self._network.admit(request.url, demand)
            await self._session.token(demand)

    async def _exchange(
        self,
        request: Request,
        token: Token,
        slot: RequestSlot,
        use: Callable[[Answer], Awaitable[T]],
        confirm: Callable[[], None],
    ) -> tuple[T | None, str]:
        try:
            confirm()
        except BaseException:
            slot.unsent()
            raise
        async with AsyncExitStack() as stack:
            with self._network.waiting_for_headers(request.url):
                answer = await stack.enter_async_context(self._client.send(request, token.access))
            slot.answered(answer.status, answer.rate, answer.retry_after_s)
            if answer.rate is not None:
                self._learned_groups[request.operation] = answer.rate.group
            if answer.status == 401 and not self._session.reject(token):
                raise _ReplacedError("the token was replaced while the request was under way")
            return await self._judge(request, answer, use)

    async def _judge(
        self, request: Request, answer: Answer, use: Callable[[Answer], Awaitable[T]]
    ) -> tuple[T | None, str]:
        if answer.status in _REDIRECTS:
            if not answer.location:
                raise ServerError(f"{request.operation}: a redirect to nowhere")
            return None, answer.location
        if 200 <= answer.status < 300 or (answer.status == 416 and request.byte_range is not None):
            return await use(answer), ""
        if answer.status < 400:
            raise ServerError(f"{request.operation}: HTTP {answer.status} is no answer to this")
        raise refusal(
            answer.status,
            await answer.beginning(_ERROR_BODY_BYTES),
            operation=request.operation,
            request_id=answer.request_id,
            retry_after_s=answer.retry_after_s,
        )
