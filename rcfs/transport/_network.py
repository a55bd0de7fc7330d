"""Which servers can be reached now: the trio driver of `Reachability`, with one state for each server.

All methods run in the trio thread.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import attrs
import trio

from rcfs.errors import OfflineError, RcfsError, SilentError, TransportError, UnreachableError
from rcfs.model import Priority
from rcfs.platform import Client
from rcfs.transport._gate import RequestOptions
from rcfs.transport._reachability import Reachability
from rcfs.transport._recorder import Recorder

_LOOK_EVERY_S = 1.0
"""Time between two looks of a waiting bulk request whether its class has become more urgent, in seconds."""
_SILENCE_S = 10.0
"""How long a server may leave every request without an answer's headers before rcfs sends a probe: as long as
rcfs waits for a connection. A slow page is not an outage, because the server answers the probe."""
_PATIENCE_S = 45.0
"""How long a server may leave requests and that probe without an answer before it counts as silent. Slow
lines must not: satellites and mobile networks with full buffers take half a minute at worst."""


@attrs.define(eq=False)
class _Sent:
    """A request that waits for the headers of its answer."""

    since_s: float
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)


@attrs.define(eq=False)
class _Server:
    origin: str
    """Scheme, host and port, as in a URL."""
    way: Reachability = attrs.field(factory=Reachability)
    unanswered: set[_Sent] = attrs.field(factory=set)
    is_watched: bool = False
    """Whether a task watches the unanswered requests."""
    heard_s: float = -math.inf
    """When it answered last."""

    @property
    def host(self) -> str:
        return urlsplit(self.origin).netloc


class Network:
    """Admits requests to servers that can be reached, and probes the others."""

    def __init__(
        self,
        client: Client,
        recorder: Recorder,
        nursery: trio.Nursery,
        *,
        offline: bool = False,
        barred: RcfsError | None = None,
    ) -> None:
        """Sends probes in `nursery`.

        With `offline` nothing is ever sent, as the user wishes; nor with `barred`, which says why nothing
        can.
        """
        self._barred = barred
        self._client = client
        self._recorder = recorder
        self._nursery = nursery
        self._offline = offline or barred is not None
        self._servers: dict[str, _Server] = {}
        self._returned = trio.Event()
        self.missed = trio.Event()
        """Set as soon as one connection could not be made."""

    @property
    def is_down(self) -> bool:
        """Whether nothing can be sent to the platform."""
        return self.is_closed_to(self._client.hosts.server_url)

    def is_closed_to(self, url: str) -> bool:
        """Whether nothing can be sent to the server of `url`."""
        return self._offline or self._server(url).way.is_down

    @property
    def problem(self) -> str:
        """Why the platform cannot be reached if a person must change something; else empty."""
        if self._barred is not None:
            return str(self._barred)
        reason = self._server(self._client.hosts.server_url).way.reason
        return str(reason) if reason is not None and reason.lasting else ""

    @property
    def state(self) -> str:
        """``offline`` if the user wishes so, ``unreachable`` when nothing can be sent, else ``up``."""
        if self._offline and self._barred is None:
            return "offline"
        return "unreachable" if self.is_down else "up"

    async def wait_up(self) -> None:
        """Returns when requests can be sent to the platform; never when it is offline."""
        while self.is_down:
            await self._returned.wait()

    async def admit(self, url: str, options: RequestOptions) -> None:
        """Returns when a request may be sent to the server of `url`.

        That is at once, except that a bulk request waits for the end of an outage in its first minute.

        Raises:
            OfflineError: Nothing may be sent.
            UnreachableError: The server cannot be reached.
        """
        if self._barred is not None:
            raise OfflineError(str(self._barred))
        if self._offline:
            raise OfflineError("needs the server, but --offline is set")
        server = self._server(url)
        while server.way.is_down:
            wait_s = server.way.blip_ends_s - trio.current_time()
            reason = server.way.reason
            if reason is not None and reason.lasting:
                raise type(reason)(str(reason))
            if options.priority < Priority.READAHEAD or wait_s <= 0:
                raise UnreachableError(f"cannot connect to {server.host}; rcfs keeps trying")
            with trio.move_on_after(min(wait_s, _LOOK_EVERY_S)):
                await self._returned.wait()

    @contextmanager
    def waiting_for_headers(self, url: str) -> Iterator[None]:
        """A block that sends a request to the server of `url` and ends when the answer's headers have come.

        How the block ends shows whether the server can be reached.

        Raises:
            SilentError: The server answers nothing at all.
        """
        server = self._server(url)
        sent = _Sent(trio.current_time())
        server.unanswered.add(sent)
        if not server.is_watched:
            server.is_watched = True
            self._nursery.start_soon(self._watch, server)
        try:
            with sent.scope:
                yield
        except UnreachableError as exc:
            self._failed(server, exc)
            raise
        finally:
            server.unanswered.discard(sent)
        if sent.scope.cancelled_caught:
            raise SilentError(f"{server.host} accepts connections but does not answer")
        self._answered(server)

    async def _watch(self, server: _Server) -> None:
        """Probes a server that leaves requests unanswered for long; ends when none waits any more."""
        while server.unanswered:
            quiet_s = max(min(each.since_s for each in server.unanswered), server.heard_s)
            if trio.current_time() < quiet_s + _SILENCE_S:
                await trio.sleep_until(quiet_s + _SILENCE_S)
                continue
            error = await self._probe(server, within_s=_PATIENCE_S - _SILENCE_S)
            if error is not None and server.heard_s <= quiet_s:
                self._give_up(server)
        server.is_watched = False

    def _give_up(self, server: _Server) -> None:
        """Treats a silent server as an outage, and ends all waits for its answers."""
        self.missed.set()
        error = UnreachableError(f"{server.host} does not answer")
        if server.way.silent(trio.current_time(), error):
            self._outage_begins(server, "server silent")
        for sent in server.unanswered:
            sent.scope.cancel()
        server.unanswered.clear()

    def _failed(self, server: _Server, error: UnreachableError) -> None:
        self.missed.set()
        known = server.way.reason
        if server.way.failed(trio.current_time(), error):
            self._outage_begins(server, "server unreachable")
        if error.lasting and str(known) != str(error):
            self._recorder.fault("connection", str(error))

    def _outage_begins(self, server: _Server, event: str) -> None:
        self._recorder.note(event, server=server.origin)
        self._nursery.start_soon(self._probe_until_answered, server)

    def _answered(self, server: _Server) -> None:
        server.heard_s = trio.current_time()
        if server.way.answered():
            self._recorder.note("server reachable again", server=server.origin)
            self._returned.set()
            self._returned = trio.Event()

    async def _probe_until_answered(self, server: _Server) -> None:
        while server.way.is_down:
            with trio.move_on_at(server.way.probe_s):
                await self._returned.wait()
                continue
            server.way.probing(trio.current_time())
            error = await self._probe(server, within_s=_SILENCE_S)
            if isinstance(error, UnreachableError):
                self._failed(server, error)

    async def _probe(self, server: _Server, within_s: float) -> Exception | None:
        """The error of a probe; None if the server answered."""
        try:
            await self._client.probe(server.origin, within_s=within_s)
        except TransportError as exc:
            return exc
        except Exception as exc:  # noqa: BLE001 - an answer that makes no sense does not count as one
            self._recorder.crash("probe", exc)
            return exc
        self._answered(server)
        return None

    def _server(self, url: str) -> _Server:
        parts = urlsplit(self._client.absolute(url))
        origin = f"{parts.scheme}://{parts.netloc}"
        return self._servers.setdefault(origin, _Server(origin))
