"""Who may send while servers cannot be reached: the trio driver of `Reachability`, for every server apart.

All methods run in the trio thread.
"""

import math
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import attrs
import trio

from rcfs.errors import OfflineError, RcfsError, SilentError, TransportError, UnreachableError
from rcfs.model import Priority
from rcfs.platform import Client
from rcfs.transport._gate import Demand
from rcfs.transport._reachability import Reachability
from rcfs.transport._recorder import Recorder

_LOOK_EVERY_S = 1.0
"""How often a bulk request that waits for a server looks whether it has become a person's."""
_SILENCE_S = 10.0
"""How long a server may leave every request without an answer's headers before rcfs asks whether it is there
at all: as long as it waits for a connection. A slow page is no outage, because the probe is answered."""
_PATIENCE_S = 45.0
"""How long it may leave requests and that probe without an answer before it counts as silent. Slow lines
must not: satellites and mobile networks with full buffers take half a minute at worst."""


@attrs.define(eq=False)
class _Listener:
    """A request that waits for the headers of its answer."""

    since_s: float
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)


class Network:
    """The way to the servers."""

    def __init__(
        self,
        client: Client,
        recorder: Recorder,
        nursery: trio.Nursery,
        *,
        offline: bool = False,
        barred: RcfsError | None = None,
    ) -> None:
        """Probes in `nursery`; with `offline` nothing is ever sent, perhaps because of `barred`."""
        self._barred = barred
        self._client = client
        self._recorder = recorder
        self._nursery = nursery
        self._offline = offline or barred is not None
        self._servers: dict[str, Reachability] = {}
        self._listeners: defaultdict[str, set[_Listener]] = defaultdict(set)
        self._watched: set[str] = set()
        self._heard_s: dict[str, float] = {}
        self._returned = trio.Event()
        self.missed = trio.Event()
        """Set as soon as one connection could not be made."""

    @property
    def is_down(self) -> bool:
        """Whether nothing can be sent to the platform."""
        return self._offline or self._server(self._client.hosts.server_url).is_down

    def is_closed_to(self, url: str) -> bool:
        """Whether nothing can be sent to the server of `url`."""
        return self._offline or self._server(_origin(self._client.absolute(url))).is_down

    @property
    def problem(self) -> str:
        """Why the platform cannot be reached, where somebody must change something; else empty."""
        if self._barred is not None:
            return str(self._barred)
        reason = self._server(self._client.hosts.server_url).reason
        return str(reason) if reason is not None and reason.lasting else ""

    @property
    def state(self) -> str:
        """``offline`` when it is to be so, ``unreachable`` when nothing can be sent, else ``up``."""
        if self._offline and self._barred is None:
            return "offline"
        return "unreachable" if self.is_down else "up"

    async def wait_up(self) -> None:
        """Returns when requests can be sent to the platform; never when it is offline."""
        while self.is_down:
            await self._returned.wait()

    async def admit(self, url: str, demand: Demand) -> None:
        """Returns when a request may be sent to the server of `url`.

        At once, or in the first minute of an outage for a bulk request, which waits for it to end.

        Raises:
            OfflineError: Nothing is to be sent.
            UnreachableError: The server cannot be reached.
        """
        if self._barred is not None:
            raise OfflineError(str(self._barred))
        if self._offline:
            raise OfflineError("offline: only what is cached can be read")
        origin = _origin(self._client.absolute(url))
        server = self._server(origin)
        while server.is_down:
            wait_s = server.blip_ends_s - trio.current_time()
            reason = server.reason
            if reason is not None and reason.lasting:
                raise type(reason)(str(reason))
            if demand.priority < Priority.READAHEAD or wait_s <= 0:
                raise UnreachableError(f"cannot connect to {urlsplit(origin).netloc}; rcfs goes on trying")
            with trio.move_on_after(min(wait_s, _LOOK_EVERY_S)):
                await self._returned.wait()

    def _failed(self, origin: str, error: UnreachableError) -> None:
        server = self._server(origin)
        known = server.reason
        if server.failed(trio.current_time(), error):
            self._recorder.note("server unreachable", server=origin)
            self._nursery.start_soon(self._probe, origin)
        if error.lasting and str(known) != str(error):
            self._recorder.fault("connection", str(error))

    @contextmanager
    def waiting_for_headers(self, url: str) -> Iterator[None]:
        """A block that sends a request to the server of `url` and ends when the answer's headers are there.

        Whether the server can be reached is learned from how the block ends.

        Raises:
            SilentError: The server answers nothing at all.
        """
        origin = _origin(self._client.absolute(url))
        listener = _Listener(trio.current_time())
        self._listeners[origin].add(listener)
        if origin not in self._watched:
            self._watched.add(origin)
            self._nursery.start_soon(self._watch, origin)
        try:
            with listener.scope:
                yield
        except UnreachableError as exc:
            self.missed.set()
            self._failed(origin, exc)
            raise
        finally:
            self._listeners[origin].discard(listener)
        if listener.scope.cancelled_caught:
            raise SilentError(f"{urlsplit(origin).netloc} takes connections but does not answer")
        self._answered(origin)

    async def _watch(self, origin: str) -> None:
        """Probes a server that leaves requests unanswered for long; ends when none waits any more."""
        listeners = self._listeners[origin]
        while listeners:
            quiet_s = max(min(each.since_s for each in listeners), self._heard_s.get(origin, -math.inf))
            if trio.current_time() < quiet_s + _SILENCE_S:
                await trio.sleep_until(quiet_s + _SILENCE_S)
                continue
            try:
                await self._client.probe(origin, within_s=_PATIENCE_S - _SILENCE_S)
            except Exception as exc:  # noqa: BLE001 - an answer that makes no sense is none
                if not isinstance(exc, TransportError):
                    self._recorder.crash("probe", exc)
                if self._heard_s.get(origin, -math.inf) <= quiet_s:
                    self._gave_up(origin)
            else:
                self._answered(origin)
        self._watched.discard(origin)

    def _gave_up(self, origin: str) -> None:
        """A server is silent: that is an outage, and nobody waits for its answers any more."""
        self.missed.set()
        error = UnreachableError(f"{urlsplit(origin).netloc} does not answer")
        if self._server(origin).silent(trio.current_time(), error):
            self._recorder.note("server silent", server=origin)
            self._nursery.start_soon(self._probe, origin)
        for listener in self._listeners[origin]:
            listener.scope.cancel()
        self._listeners[origin].clear()

    def _answered(self, origin: str) -> None:
        self._heard_s[origin] = trio.current_time()
        if self._server(origin).answered():
            self._recorder.note("server reachable again", server=origin)
            self._returned.set()
            self._returned = trio.Event()

    async def _probe(self, origin: str) -> None:
        """Asks until the server answers, for as long as the outage lasts."""
        server = self._server(origin)
        while server.is_down:
            with trio.move_on_at(server.probe_s):
                await self._returned.wait()
                continue
            server.probing(trio.current_time())
            try:
                await self._client.probe(origin)
            except UnreachableError as exc:
                self._failed(origin, exc)
                continue
            except TransportError:
                continue
            except Exception as exc:  # noqa: BLE001 - an answer that makes no sense is none
                self._recorder.crash("probe", exc)
                continue
            self._answered(origin)

    def _server(self, origin: str) -> Reachability:
        return self._servers.setdefault(origin, Reachability())


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
