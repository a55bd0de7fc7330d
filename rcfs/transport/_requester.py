"""One logical request from start to end: slot, token, sending, redirects, repetition.

Source: "Error handling", "Rate limits" and "Responses" of the API documentation.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import AsyncExitStack
from typing import Any, Generic, TypeVar

import attrs
import trio

from rcfs.errors import AuthError, PlatformError, RateLimitedError, ServerError, TransportError
from rcfs.model import UsageGroup
from rcfs.platform import Answer, Client, Request, Token, decoded_object, redirected, refusal
from rcfs.quota import UNKNOWN_PLAN
from rcfs.transport._gate import Gate, RequestOptions, RequestSlot
from rcfs.transport._lane import Lane, Lanes
from rcfs.transport._network import Network
from rcfs.transport._recorder import Recorder
from rcfs.transport._retry import Retry, uncertain

T = TypeVar("T")

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_HOPS = 5
"""Redirects that rcfs follows for one request; browsers allow 20, no API of this kind needs more than one."""
_ERROR_BODY_BYTES = 64 << 10
"""Most bytes that rcfs reads of an error: RingCentral's errors have a few hundred; an HTML page is cut."""
_EVENTS: tuple[tuple[type[PlatformError], str], ...] = (
    (RateLimitedError, "refused for quota"),
    (AuthError, "token refused"),
    (ServerError, "request failed"),
    (TransportError, "request failed"),
)
"""The names under which the recorder logs failed attempts. The caller logs all other errors."""


class _ReplacedError(PlatformError):
    """The server answered 401 to a token that has been replaced since; the present one may be good."""


@attrs.frozen
class _Redirect:
    """The redirect in an answer."""

    status: int
    url: str


class Requester:
    """Sends requests within the quota; any number of tasks may use it at the same time."""

    def __init__(self, client: Client, network: Network, lane: Lane, recorder: Recorder) -> None:
        """Sends in `lane` unless a call names another one."""
        self.hosts = client.hosts
        """The hosts that may see the token."""
        self._client = client
        self._network = network
        self._lane = lane
        self._recorder = recorder
        self._learned_groups: dict[str, UsageGroup] = {}

    async def run(
        self,
        plan: Callable[[], Request],
        use: Callable[[Answer], Awaitable[T]],
        options: RequestOptions,
        *,
        progress: Callable[[], int] = lambda: 0,
        confirm: Callable[[], None] = lambda: None,
        reserve: Callable[[], Awaitable[None]] | None = None,
        lane: Lanes | None = None,
    ) -> T:
        """The result of `use` for the answer to `plan()`: 2xx, or 416 if it asked for a range.

        A request that is not `repeatable` is sent again only if the server has certainly not carried it out.

        Args:
            plan: Makes the request; called for every attempt, so it may ask for the bytes still missing.
            use: Reads the answer; called for every attempt.
            options: The class of the request. After `options.attempts` faults in a row rcfs gives up.
            progress: Number of bytes that have come. Faults between which it grows are not counted.
            confirm: Called immediately before each sending, which may be long after `plan`; when it raises,
                nothing is sent, no slot is used, and the error passes to the caller.
            reserve: Called when each sending has its slot, before `confirm`; it may wait for a second. When
                it raises, nothing is sent, as with `confirm`.
            lane: The login and budget to use, or several to choose from; None for the requester's own.

        Raises:
            PlatformError: The error of the last attempt.
            UncertainError: A request that is not repeatable may or may not have been carried out.
            UnreachableError, OfflineError: Nothing is sent now; see `Network.admit`.
            AbandonedError: The request was withdrawn while it waited for a slot.
        """
        lanes = lane or self._lane
        call = _Call(self._client, self._network, lanes, self._learned_groups, options, use, confirm, reserve)
        retry = Retry(options.attempts, progress())
        while True:
            request = plan()
            await self._network.admit(request.url, options)
            # The session repeats failed logins itself.
            await lanes.ready(options)
            try:
                return await call.attempt(request)
            except _ReplacedError:
                continue  # Not counted: another request got a new token each time, and those are limited.
            except PlatformError as exc:
                for kind, event in _EVENTS:
                    if isinstance(exc, kind):
                        self._recorder.fault(event, str(exc))
                gate = call.gate or self._lane.gate
                if lanes.passes_on(exc, gate):
                    continue
                retry, wait_s = retry.after(
                    exc,
                    repeatable=request.repeatable,
                    progress_bytes=progress(),
                    may_log_in=lanes.session_of(gate).refused is None,
                    is_closed=self._network.is_closed_to(request.url),
                )
            if wait_s:
                await trio.sleep(wait_s)

    def price(self, request: Request, lane: Lane | None = None) -> tuple[float, float]:
        """The price of a request like `request` and the wait for its slot, both in seconds.

        The price is the length of the window divided by its limit. Requests that wait already are not
        counted.
        """
        group = self._learned_groups.get(request.operation, request.group)
        for state in (lane or self._lane).gate.states():
            if state.group == group:
                return state.window_s / state.limit, state.next_free_s
        return UNKNOWN_PLAN.window_s / UNKNOWN_PLAN.limit, 0.0

    async def read(
        self,
        request: Request,
        decode: Callable[[dict[str, Any]], T],
        options: RequestOptions,
        *,
        lane: Lane | None = None,
    ) -> T:
        """The result of `decode`, in a worker thread, for the JSON object that answers `request`.

        Raises:
            PlatformError: As `run`; also the errors of `decode`.
            ServerError: The answer is not a JSON object.
        """

        def parse(body: bytes) -> T:
            return decode(decoded_object(body, request.operation))

        async def use(answer: Answer) -> T:
            # A page of a thousand messages takes tens of milliseconds: not in the event loop.
            return await trio.to_thread.run_sync(parse, await answer.body())

        return await self.run(lambda: request, use, options, lane=lane)


@attrs.define
class _Call(Generic[T]):
    """The parts of one logical request that all its attempts share."""

    client: Client
    network: Network
    lanes: Lanes
    learned_groups: MutableMapping[str, UsageGroup]
    options: RequestOptions
    use: Callable[[Answer], Awaitable[T]]
    confirm: Callable[[], None]
    reserve: Callable[[], Awaitable[None]] | None
    gate: Gate | None = None
    """The budget of the latest attempt; None before the first."""

    async def attempt(self, request: Request) -> T:
        """The result of `use` for the answer to `request`, at the end of its redirects."""
        is_done = False
        try:
            for _hop in range(_MOST_HOPS):
                outcome = await self._send(request)
                if not isinstance(outcome, _Redirect):
                    return outcome
                # 303 means that the request was carried out; its URL leads to the result.
                is_done = is_done or (outcome.status == 303 and not request.repeatable)
                keeps_host = self.client.hosts.may_see_token(outcome.url)
                request = redirected(request, outcome.status, outcome.url, may_send_body=keeps_host)
            raise PlatformError(f"{request.operation}: more than {_MOST_HOPS} redirects")
        except PlatformError as exc:
            if is_done:
                raise uncertain(exc) from exc
            raise

    async def _send(self, request: Request) -> T | _Redirect:
        if not self.client.hosts.may_see_token(self.client.absolute(request.url)):
            # A redirect to a foreign host: it gets no token, and the request needs no slot.
            async with self.client.send(request, "") as answer:
                if answer.status >= 400 and answer.status != 416:
                    # This says nothing about the login, the quota or the resource, and another attempt may be
                    # redirected to another host.
                    raise ServerError(
                        f"{request.operation}: HTTP {answer.status} from the host of the redirect",
                        retry_after_s=answer.retry_after_s,
                    )
                return await self._judge(request, answer)
        group = self.learned_groups.get(request.operation, request.group)
        while True:
            async with self.lanes.slot(request.operation, group, self.options) as slot:
                self.gate = slot.gate
                if self.reserve is None or await self._is_reserved(slot, group):
                    token = self.lanes.session_of(slot.gate).current
                    if token is not None and not self.network.is_closed_to(request.url):
                        return await self._exchange(request, token, slot)
                slot.unsent()  # During a wait the token ended, or an outage or a penalty began.
            await self.network.admit(request.url, self.options)
            await self.lanes.ready(self.options)

    async def _is_reserved(self, slot: RequestSlot, group: UsageGroup) -> bool:
        """Whether the request may still be sent after `reserve`, during which a penalty may have begun."""
        assert self.reserve is not None  # noqa: S101 - the caller has looked
        try:
            await self.reserve()
        except BaseException:
            slot.unsent()
            raise
        states = slot.gate.states()
        return not any(state.frozen_for_s for state in states if state.group == group)

    async def _exchange(self, request: Request, token: Token, slot: RequestSlot) -> T | _Redirect:
        try:
            self.confirm()
        except Exception:
            slot.unsent()
            raise
        async with AsyncExitStack() as stack:
            with self.network.waiting_for_headers(request.url):
                answer = await stack.enter_async_context(self.client.send(request, token.access))
            slot.answered(answer.status, answer.rate, answer.retry_after_s)
            if answer.rate is not None:
                self.learned_groups[request.operation] = answer.rate.group
            if answer.status == 401 and not self.lanes.session_of(slot.gate).reject(token):
                raise _ReplacedError("the token was replaced while the request was under way")
            return await self._judge(request, answer)

    async def _judge(self, request: Request, answer: Answer) -> T | _Redirect:
        if answer.status in _REDIRECTS:
            if not answer.location:
                raise ServerError(f"{request.operation}: HTTP {answer.status} redirects nowhere")
            return _Redirect(answer.status, answer.location)
        if 200 <= answer.status < 300 or (answer.status == 416 and request.byte_range is not None):
            return await self.use(answer)
        if answer.status < 400:
            raise ServerError(f"{request.operation}: HTTP {answer.status} is not an answer to this request")
        raise refusal(
            answer.status,
            await answer.beginning(_ERROR_BODY_BYTES),
            operation=request.operation,
            request_id=answer.request_id,
            retry_after_s=answer.retry_after_s,
        )
