"""The values of the quota room: slots, the requests that wait for them, and the state of a group."""

import attrs

from rcfs.model import Priority, UsageGroup


@attrs.frozen
class Slot:
    """One admitted request."""

    id: int
    """Unique among the slots of its owner."""
    group: UsageGroup
    """The group it was taken for; the response may name another, for which it then counts."""
    taken_s: float
    """When it was taken: the request is sent at this moment or later."""
    owner: str
    """The process that took it."""


@attrs.frozen
class Waiting:
    """The requests of one process that wait for slots of one group; at least one."""

    counts: tuple[int, ...] = attrs.field()
    """Number of requests of each class, in the order of `Priority`."""
    since_s: float
    """When the first request began to wait: the oldest one of the most urgent class."""
    first: Priority = attrs.field(init=False)
    """The most urgent class in which something waits."""

    @counts.validator
    def _check_counts(self, _attribute: object, value: tuple[int, ...]) -> None:
        if len(value) != len(Priority) or not any(value) or min(value) < 0:
            raise ValueError(f"{value} are not numbers of waiting requests")

    @first.default
    def _first(self) -> Priority:
        found = (priority for priority, count in zip(Priority, self.counts, strict=False) if count)
        return next(found, Priority.PERSON)  # The validator of `counts` runs next, and refuses no request.

    def without_first(self) -> "Waiting | None":
        """The requests that wait when the first of these has its slot; None without any."""
        counts = tuple(
            count - (each is self.first) for each, count in zip(Priority, self.counts, strict=True)
        )
        return Waiting(counts, self.since_s) if any(counts) else None

    @classmethod
    def only(cls, priority: Priority, since_s: float, count: int = 1) -> "Waiting":
        """`count` requests of one class."""
        return cls(tuple(count if each is priority else 0 for each in Priority), since_s)


@attrs.frozen
class Share:
    """The part of a limit that a process uses while it cannot hear all others."""

    left: int = 0
    """Number of slots that it leaves to the others."""
    from_s: float = 0.0
    """From when on it may use the rest."""
    every_s: float = 0.0
    """Shortest time between two requests, in seconds; 0 unless there are more processes than slots."""
    is_held: bool = False
    """Whether it may use nothing until it has heard the others, which may be later than `from_s`."""


WHOLE = Share()
"""The whole limit."""


@attrs.frozen
class GroupState:
    """The state of one group at one moment."""

    group: UsageGroup
    """Name of the group."""
    used: int
    """Number of slots that are not free, others' included; may exceed `limit` after that was lowered."""
    limit: int
    """Requests per window."""
    window_s: float
    """Length of the window in seconds."""
    next_free_s: float
    """Seconds until a request can be admitted if nothing else happens; 0 if one can be now."""
    frozen_for_s: float
    """Seconds until the penalty is over; 0 without one."""
    in_flight: int = 0
    """Number of slots in flight: each is free one window after its response at best."""
    returns_s: tuple[float, ...] = ()
    """Seconds until each of the other used slots is free, in rising order."""
    elsewhere: tuple[int, ...] = (0,) * len(Priority)
    """Number of requests of each class that wait in other processes, in the order of `Priority`."""
    is_learned: bool = False
    """Whether the server has told limit and window; else they are assumed."""
    left: int = 0
    """Number of slots that this process leaves to others that it cannot hear."""


@attrs.frozen
class Sharing:
    """A ledger on a server, and the clients that share it."""

    server: str
    """Address of the server."""
    outage: str
    """Why the server cannot be reached now, in one line; empty if it can."""
    peers: tuple[str, ...]
    """All clients, this one included, as host:pid; in an outage those that were seen last."""
    outage_s: float = 0.0
    """For how many seconds the server could not be reached; 0 if it can."""
    part: float = 1.0
    """The part of each limit that this process uses now, from 0 to 1; 1 without an outage."""
    awaited: tuple[str, ...] = ()
    """The clients, as host:pid, that must be heard before anybody sends: the server lost their changes."""
    waits_s: float = 0.0
    """For how many seconds, at most, this process still sends nothing because of an outage."""
