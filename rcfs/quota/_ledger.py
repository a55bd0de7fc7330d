"""What a ledger of requests promises, whatever it is kept in."""

from typing import Protocol

import attrs

from rcfs.model import Plan, RateHeaders, UsageGroup


@attrs.frozen
class Slot:
    """One admitted request."""

    id: int
    """Unique within the ledger."""
    group: UsageGroup
    """The group it was taken for; the response may say that it counts for another."""
    taken_s: float
    """When it was taken: the request is sent at this moment or later."""


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


class Ledger(Protocol):
    """Where slots, penalties and learned plans of one credential are kept.

    **The window.** A slot is taken before its request is sent, and freed one window after the response
    headers arrived, or the request failed. The server saw the request no later than that, and sees the
    one that reuses the slot no earlier than its sending: so whatever the latencies, no window of the
    server, sliding or fixed, holds more of our requests than the limit. The price is one round trip per
    window.

    **What a response teaches.** A limit or window that differs from the plan counts from that response
    on, for the slots already held too: nothing more is taken while a lowered limit is reached. What was
    taken before may still be refused, which nobody could prevent. `Remaining` below what our own slots
    explain means that others use the bucket: as many slots as are unexplained count as taken, until one
    window after the response at the latest.

    **Penalties.** After a 429 nothing is admitted until it is surely over (see `refuse`).

    A slot ends once, by the first of `settle`, `fail`, `refuse` and `cancel`; later calls for it change
    nothing, except that `refuse` always freezes. Every method is atomic and does not wait; `now` is in
    seconds, from any origin that all users of the ledger share, and never goes back.
    """

    def plan(self, group: UsageGroup) -> Plan:
        """The plan of `group` as known now: learned, or else assumed."""
        ...

    def take(self, group: UsageGroup, now: float, *, spare: int = 0) -> Slot | float:
        """A slot if more than `spare` are free, else when it is worth asking again.

        The time is later than `now`. It is when enough slots will have become free if nothing else
        happens; a slot in flight counts as free one window from `now`, the earliest that is possible.
        """
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

    def states(self, now: float) -> tuple[GroupState, ...]:
        """All groups that were configured or seen."""
        ...
