"""What a ledger of requests promises, whatever it is kept in."""

from collections.abc import Sequence
from typing import Protocol

import attrs

from rcfs.model import Plan, Priority, RateHeaders, UsageGroup


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


class Ledger(Protocol):
    """Where slots, penalties and learned plans of one credential are kept, and who waits for them.

    A ledger may be shared by processes, each with an object of its own. What follows holds for all of them
    together, whenever they start and end, and however.

    **The window.** A slot is taken before its request is sent, and freed one window after the response
    headers arrived, or the request failed. The server saw the request no later than that, and sees the
    one that reuses the slot no earlier than its sending: so whatever the latencies, no window of the
    server, sliding or fixed, holds more of our requests than the limit. The window is held a little longer
    than the plan says, as the server's clock may be slower (`hold_s`). The price is that and one round
    trip per window.

    **What a response teaches.** A limit or window that differs from the plan counts from that response
    on, for the slots already held too: nothing more is taken while a lowered limit is reached. What was
    taken before may still be refused, which nobody could prevent. `Remaining` below what our own slots
    explain means that others use the bucket: as many slots as are unexplained count as taken, until one
    window after the response at the latest.

    **Penalties.** After a 429 nothing is admitted until it is surely over (see `refuse`).

    **Bounds.** No server can stop a login for long: a window and a ``Retry-After`` count as an hour when they
    are longer (`rcfs.model.LONGEST_S`), a limit as `rcfs.model.MOST_REQUESTS` when it is larger, and only the
    first `MOST_GROUPS` groups have budgets of their own. This holds for what an earlier version wrote, too.

    **Turns.** A process that gets no slot is remembered as waiting until shortly after the time at which
    it is to ask again, and a slot that it needs more urgently is left to it. Persons go before metadata,
    metadata before background work; among equals the oldest goes first, but in background work the process
    that was served least recently, however much each has queued. A process that is dead or stopped
    therefore holds up nobody for longer than a moment. Background work leaves a reserve and keeps a pace,
    which are those of all processes together (`rcfs.quota._pace`).

    **Processes.** A slot in flight belongs to the process that took it; when that is dead, the slot ends
    like one that failed.

    A slot ends once, by the first of `settle`, `fail`, `refuse` and `cancel`; later calls for it change
    nothing, except that `refuse` always freezes. Every method is atomic and waits a few milliseconds at
    most; `now` is in seconds, from any origin that all users of the ledger share, and never goes back.
    """

    def plan(self, group: UsageGroup) -> Plan:
        """The plan of `group` as known now: learned, or else assumed."""
        ...

    def take(self, group: UsageGroup, waiting: Waiting, now: float) -> Slot | float:
        """A slot for the first of the requests that wait in this process, else when to ask again.

        The time is later than `now`: when a slot will be there if nothing else happens, as a slot in
        flight is free one window from `now` at best; or a moment from now, when something may change that
        this process would not hear of. Until then, and a moment more, the process has its place in the
        order, so it is to ask in time, or to `leave`. Somebody who is served and has more waiting is to ask
        again at once.
        """
        ...

    def meet(self, now: float) -> None:
        """Somebody is about, who may soon ask for something: background work leaves the reserve."""
        ...

    def leave(self, group: UsageGroup) -> None:
        """Nothing waits for `group` in this process any more, though `take` was told so."""
        ...

    def settle(self, slot: Slot, now: float, headers: RateHeaders | None) -> None:
        """The response headers arrived, and were no 429; None when none of them was a rate header.

        From now on the slot counts in the group that `headers` name.
        """
        ...

    def fail(self, slot: Slot, now: float) -> None:
        """The request ended without response headers, so the server may or may not have counted it.

        It is taken as counted now. In a penalty it is taken as refused now, because every request that
        reaches the server in a penalty restarts it.
        """
        ...

    def refuse(
        self, slot: Slot, now: float, headers: RateHeaders | None, retry_after_s: float | None
    ) -> None:
        """The response was a 429: freeze the group of `headers`, or everything when there are none.

        Without rate headers the refusal was not the user's limit but one of the account, the address or
        a service (source: "Rate limits" of the API's documentation), so groups never seen are frozen
        too. A freeze is only ever extended: neither a shorter one nor a success ends it early.

        Args:
            slot: The slot of the refused request.
            now: When the response headers arrived.
            headers: Its rate headers; None when it had none.
            retry_after_s: Its ``Retry-After`` in seconds, at least 0; None when absent.
        """
        ...

    def cancel(self, slot: Slot) -> None:
        """The request was never sent, not even partly: the slot is free at once."""
        ...

    def sync(self, now: float) -> float:
        """Do what could not be done yet; when to call this again, inf when nothing is left to do.

        A ledger that cannot be reached for a moment keeps what it is told, and counts the slots as in flight
        until it could write that down.
        """
        ...

    def states(self, now: float) -> tuple[GroupState, ...]:
        """All groups that were configured or seen."""
        ...

    def forecast(self, group: UsageGroup, waiting: Waiting, now: float) -> Sequence[float]:
        """When each of `waiting` will probably be sent, in their order, if nobody else comes.

        Requests of other processes that are known to wait are taken into account.
        """
        ...

    def reset(self) -> None:
        """Forget what the server told, and every penalty; what was sent still counts.

        For people who know better: a request inside a penalty that the server still keeps restarts it. Waits
        for seconds where the ledger is locked.

        Raises:
            TimeoutError: It stays locked; nothing was changed.
        """
        ...

    def close(self, now: float) -> None:
        """The process is done: it waits for nothing, and its requests in flight, if any, have failed.

        Nothing may be called afterwards.
        """
        ...
