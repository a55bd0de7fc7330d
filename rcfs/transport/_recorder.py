"""A record of events: counters for `rcfs status`, the last lines for `.rcfs/log` and `.rcfs/errors`, the log.

Callers never pass a token, a query string or message content; ids and error codes are enough.
"""

import time
from bisect import bisect_left
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Protocol

import attrs

from rcfs.errors import AuthError, RcfsError
from rcfs.model import CONTENT_OPERATIONS, Priority, iso_time, one_line
from rcfs.status import WAIT_BOUNDS_S, RequestCounts, TrafficStatus, WaitStatus

_KEPT_LINES = 500
"""Most lines that `.rcfs/log` shows: some ten screens, under 100 kB."""
_KEPT_FAULTS = 50
"""Most faults that `.rcfs/errors` shows: one screen."""


@attrs.frozen
class Fault:
    """One failure, as `.rcfs/errors` lists it."""

    at_s: float
    """Time in seconds since 1970 UTC."""
    event: str
    """The action that failed, in a few words."""
    detail: str
    """The reason, in one line."""


class EventLog(Protocol):
    """Takes events, which have a name and fields: `rcfs.host.logs.EventLog`, or a program's own."""

    def debug(self, event: str, **fields: object) -> None:
        """Logs an event that helps to find an error."""
        ...

    def info(self, event: str, **fields: object) -> None:
        """Logs an event that is not a failure."""
        ...

    def warning(self, event: str, **fields: object) -> None:
        """Logs a failure."""
        ...

    def error(self, event: str, *, exc_info: BaseException | None = None, **fields: object) -> None:
        """Logs an error that rcfs did not expect, with the trace of `exc_info`."""
        ...


class Recorder:
    """Counts and keeps events; all methods are quick, never raise, and may be called from the event loop."""

    def __init__(self, log: EventLog, clock: Callable[[], float] = time.time) -> None:
        """Keeps no events yet; logs to `log`. `clock` gives the time in seconds since 1970 UTC."""
        self._event_log = log
        self._clock = clock
        self._events: deque[tuple[float, str, Mapping[str, object]]] = deque(maxlen=_KEPT_LINES)
        self._faults: deque[Fault] = deque(maxlen=_KEPT_FAULTS)
        self._outcomes: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._waits = {priority: _Waits() for priority in Priority}
        self._received_bytes = 0
        self._read_bytes = 0
        self._refused = 0
        self._content = 0

    def note(self, event: str, **fields: str | float | None) -> None:
        """Logs an event that is not a failure."""
        self._keep(event, fields)
        self._log("info", event, **fields)

    def detail(self, event: str, **fields: str | float | None) -> None:
        """Logs an event of which there are many: in `.rcfs/log`, and in the log file only with ``debug``."""
        self._keep(event, fields)
        self._log("debug", event, **fields)

    def fault(self, event: str, detail: str, **fields: str | float | None) -> None:
        """Logs a failure; `detail` is one line for a person."""
        self._faults.append(Fault(self._clock(), event, detail))
        self._keep(event, {"detail": detail, **fields})
        self._log("warning", event, detail=detail, **fields)

    def failure(self, event: str, error: RcfsError, **fields: str | float | None) -> None:
        """Logs that `event` failed because of `error`.

        An AuthError is not logged here: the session logs it once for all that fail because of it.
        """
        if not isinstance(error, AuthError):
            self.fault(event, str(error), **fields)

    def crash(self, event: str, error: Exception) -> None:
        """Logs an error that rcfs did not expect, with its trace."""
        self._faults.append(
            Fault(self._clock(), event, f"unexpected error ({type(error).__name__}); see the log")
        )
        self._keep(event, {"unexpected": type(error).__name__})
        self._log("error", event, exc_info=error)

    def stacks(self, lines: Sequence[str]) -> None:
        """Logs the stack of each task; not in `.rcfs/log`, which that would flood."""
        self._log("warning", "stacks", tasks=lines)

    def request(self, operation: str, group: str, status: int) -> None:
        """Counts a request that was sent; `status` is the HTTP status, 0 without an answer."""
        self._outcomes[group][_outcome(status)] += 1
        self._refused += status == 429
        self._content += operation in CONTENT_OPERATIONS
        self._keep("request", {"operation": operation, "group": group, "status": status})
        self._log("debug", "request", operation=operation, group=group, status=status)

    def waited(self, priority: Priority, wait_s: float) -> None:
        """Counts a request that got its slot after `wait_s`."""
        waits = self._waits[priority]
        waits.sum_s += wait_s
        waits.counts[bisect_left(WAIT_BOUNDS_S, wait_s)] += 1

    def received(self, size_bytes: int) -> None:
        """Counts bytes of contents that came from the platform."""
        self._received_bytes += size_bytes

    def was_read(self, size_bytes: int) -> None:
        """Counts bytes that a program has read."""
        self._read_bytes += size_bytes

    def _log(self, level: str, event: str, **fields: object) -> None:
        # A full disk, or a terminal that is gone, must not end the work that is logged.
        with suppress(Exception):
            getattr(self._event_log, level)(event, **fields)

    def _keep(self, event: str, fields: Mapping[str, object]) -> None:
        self._events.append((self._clock(), event, fields))

    @property
    def lines(self) -> tuple[str, ...]:
        """The newest log lines, oldest first."""
        return tuple(_line(*event) for event in self._events)

    @property
    def faults(self) -> tuple[Fault, ...]:
        """The newest faults, oldest first."""
        return tuple(self._faults)

    def requests(self) -> RequestCounts:
        """The numbers of requests that were sent so far."""
        by_group = {group: counts.total() for group, counts in sorted(self._outcomes.items())}
        return RequestCounts(
            sent=sum(by_group.values()),
            refused=self._refused,
            by_group=by_group,
            content=self._content,
            by_outcome={group: dict(sorted(self._outcomes[group].items())) for group in by_group},
        )

    def waits(self) -> tuple[WaitStatus, ...]:
        """The waits of each class of requests so far."""
        return tuple(
            WaitStatus(priority.name.lower(), waits.sum_s, tuple(waits.counts))
            for priority, waits in self._waits.items()
        )

    def traffic(self) -> TrafficStatus:
        """The bytes so far."""
        return TrafficStatus(self._received_bytes, self._read_bytes)


@attrs.define(eq=False)
class _Waits:
    sum_s: float = 0.0
    counts: list[int] = attrs.field(factory=lambda: [0] * (len(WAIT_BOUNDS_S) + 1))


def _outcome(status: int) -> str:
    """The outcome of a request in a word, by its HTTP status; 0 without an answer."""
    if status == 0:
        return "unanswered"
    if status == 429:
        return "rate_limited"
    return "ok" if status < 400 else "client_error" if status < 500 else "server_error"


def _line(at_s: float, event: str, fields: Mapping[str, object]) -> str:
    words = " ".join(f"{name}={value}" for name, value in fields.items())
    return one_line(f"{iso_time(at_s)} {event} {words}").rstrip()
