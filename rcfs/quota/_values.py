"""What the quota room hands out and takes in: slots, what waits for them, and the state of a group."""

import attrs

from rcfs.model import Priority, UsageGroup


@attrs.frozen
class Slot:
    """One admitted request."""

    id: int
    """Unique within the ledger."""
    group: UsageGroup
    """The group it was taken for; the response may say that it counts for another."""
    taken_s: float
    """When it was taken: the request is sent at this moment or later."""
    owner: str = ""
    """The process that took it; empty where there is only one."""


@attrs.frozen
class Waiting:
    """The requests of one process that wait for slots of one group; at least one."""

    counts: tuple[int, ...] = attrs.field()
    """How many of each class, in the order of `Priority`."""
    since_s: float
    """Since when the first one waits: the oldest of the most urgent class."""
    first: Priority = attrs.field(init=False)
    """The most urgent class in which something waits."""

    @counts.validator
    def _check_counts(self, _attribute: object, value: tuple[int, ...]) -> None:
        if len(value) != len(Priority) or not any(value) or min(value) < 0:
            raise ValueError(f"{value} are no numbers of waiting requests")

    @first.default
    def _first(self) -> Priority:
        found = (priority for priority, count in zip(Priority, self.counts, strict=False) if count)
        return next(found, Priority.PERSON)  # nothing at all, or too much, is refused just after this

    @classmethod
    def only(cls, priority: Priority, since_s: float, count: int = 1) -> "Waiting":
        """`count` requests of one class."""
        return cls(tuple(count if each is priority else 0 for each in Priority), since_s)


@attrs.frozen
class GroupState:
    """What is known of one group at one moment."""

    group: UsageGroup
    """Which group."""
    used: int
    """Slots that are not free, those of other users of the bucket included.

    May exceed `limit` after the limit was lowered.
    """
    limit: int
    """Requests per window."""
    window_s: float
    """Length of the window in seconds."""
    next_free_s: float
    """Seconds until a request can be admitted, as far as is known; 0 when one can be now."""
    frozen_for_s: float
    """Seconds until the penalty is over; 0 when there is none."""
    in_flight: int = 0
    """Slots whose requests are under way: they are free one window after their answers at best."""
    returns_s: tuple[float, ...] = ()
    """Seconds until each of the other used slots is free, in rising order."""
    elsewhere: tuple[int, ...] = (0,) * len(Priority)
    """How many requests of each class wait in other processes, in the order of `Priority`."""
    is_learned: bool = False
    """Whether the server has told limit and window; else they are assumed."""
