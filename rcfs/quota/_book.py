"""The book: all that the processes of one credential share, as one value that can be stored. The rules.

**Slots.** A slot has one of three states, in flight, ended, free, and moves only by these events:

    take      free → in flight     the window has a free slot, no penalty is on, and it is the caller's turn
    settle    in flight → ended    a response arrived: its headers correct the window
    fail      in flight → ended    no response: the server may have counted it, and a penalty starts again
    refuse    in flight → ended    a 429 arrived: its headers correct the window, and a penalty begins
    cancel    in flight → free     the request was never sent
    (time)    ended → free         one window later

**The window.** A slot is taken before its request is sent, and is free again one window after the response
headers arrived, or `LINGER_S` and one window after the request was given up. The server counted the request
no later than at the beginning of that window, and sees the request that reuses the slot no earlier than its
sending. So whatever the latencies, no window of the server, sliding or fixed, holds more of our requests than
the limit. A slot is held a little longer than the plan says, as the server's clock may be slower (`hold_s`).
The price is that and one round trip per window.

**Requests without an answer.** To give a request up does not stop it: the kernel still sends what was written
to a socket, after a `close` as after the end of the process. So the server may count it, or restart a penalty
for it, until `LINGER_S` later. This holds for `fail`, for the slots of a process that ended, and for entries
of the book that were lost. It does not hold for `cancel`, as nothing was written. If the network is gone for
longer, the kernel may deliver a request later still; nobody can know when.

**What responses teach.** A limit or window that differs from the plan counts from that response on, also for
slots held already: while a lowered limit is reached, no slot is given. Requests sent before may still be
refused, which cannot be prevented. `Remaining` below what our own slots explain means that others use the
bucket: as many slots as are unexplained count as taken, until one window after the response at most.

**Penalties.** After a 429 no request is admitted until the penalty is certainly over (see `Ledger.refuse`).

**Bounds.** No server can stop a login for long: a window and a ``Retry-After`` count as an hour when they
are longer (`rcfs.model.LONGEST_S`), a limit as `rcfs.model.MOST_REQUESTS` when it is larger, and only the
first `MOST_GROUPS` groups have budgets of their own. Books that an earlier version stored are cut to that.

**Turns.** A process that gets no slot is remembered as waiting until shortly after the time at which it is to
ask again, and a slot that it needs more urgently is left to it. A person's requests come before metadata,
metadata before background work. Within a class the oldest request comes first; in background work it is the
process that was served least recently, however many requests each has. So a process that is dead or stopped
delays the others by a moment only. Background work leaves a reserve and keeps a pace, both shared by all
processes (`rcfs.quota._pace`).

**Processes.** A slot in flight belongs to the process that took it. When that process has ended, the slot
ends as by `fail`.

The book knows neither where it is kept (`rcfs.quota._home`) nor how it is changed (`rcfs.quota._replica`).
Each method is told for which process it is called, by the process's owner name, a text that is unique.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from itertools import chain
from types import MappingProxyType
from typing import Any, Final

import attrs

from rcfs.model import LONGEST_S, PRIOR_PLANS, Plan, Priority, RateHeaders, UsageGroup
from rcfs.quota._bucket import Bucket, hold_s
from rcfs.quota._outage import LONGEST_REQUEST_S, Outage
from rcfs.quota._pace import Pace
from rcfs.quota._turns import Elsewhere, Turns
from rcfs.quota._values import WHOLE, GroupState, Share, Slot, Waiting

FREEZE_MIN_S: Final = 30.0
"""Shortest wait after a 429 without ``Retry-After``; source: "Rate limits" of the API's documentation."""

FREEZE_MARGIN_S: Final = 1.0
"""Added to every wait after a 429: ``Retry-After`` counts whole seconds, so it may be rounded down, and a
request that is early by a millisecond restarts a penalty of a minute."""

LINGER_S: Final = 5.0
"""How long after rcfs gave a request up, or its process died, the server may still get it, in seconds: the
kernel keeps sending data that was written, and repeats lost packets after 1 and 3 s (RFC 6298)."""

MOST_GROUPS: Final = 64
"""Number of groups that have budgets of their own: the documentation names a handful. All further groups
share one budget, so that a server that names a new group in each answer does not make the book grow."""

_REST: Final = UsageGroup("other groups")
"""Name of the shared budget."""

UNKNOWN_PLAN: Final = Plan(limit=5)
"""Plan assumed of a group without a prior: the smallest of the documented limits (Auth)."""


@attrs.define(eq=False)
class _Group:
    """The book's entry for one usage plan group."""

    bucket: Bucket
    pace: Pace = attrs.field(factory=Pace)
    turns: Turns = attrs.field(factory=Turns)


class Book:
    """The state of one credential; times are in seconds of one clock, which all its processes share.

    Args:
        plans: The plan assumed of each group until a response tells it.
        poll_s: Longest wait that `take` returns: how long a process may miss what the others did.
    """

    def __init__(self, plans: Mapping[UsageGroup, Plan] = PRIOR_PLANS, *, poll_s: float = math.inf) -> None:
        self._plans = plans
        self._poll_s = poll_s
        self._groups = {group: _Group(Bucket(plan)) for group, plan in plans.items()}
        self._frozen_until_s: dict[UsageGroup | None, float] = {}
        """When each penalty ends; that of None is of all groups."""
        self._owners: dict[str, None] = {}
        """The processes that use the book: a set that keeps its order."""
        self._next_id = 0
        self.outage = Outage()
        """See `rcfs.quota._outage`; only homes that have outages use it."""

    @classmethod
    def load(
        cls,
        values: Mapping[str, Any],
        plans: Mapping[UsageGroup, Plan] = PRIOR_PLANS,
        *,
        poll_s: float = math.inf,
        shift_s: float = 0.0,
    ) -> "Book":
        """The book that was dumped as `values`.

        Args:
            values: The result of `dump`.
            plans: As for a new book; a learned plan wins.
            poll_s: As for a new book.
            shift_s: Added to all times: this boot's clock minus the clock of the dump.

        Raises:
            LookupError: A value is missing.
            TypeError: A value has a wrong type.
            ValueError: A value has a wrong type, or a plan is out of bounds.
        """
        book = cls(plans, poll_s=poll_s)
        for name, entry in values["groups"].items():
            group = UsageGroup(name)
            book._groups[group] = _Group(
                Bucket.load(group, entry["bucket"], plans.get(group, UNKNOWN_PLAN), shift_s),
                Pace.load(entry["pace"], shift_s),
                Turns.load(entry["claims"], shift_s),
            )
        book._frozen_until_s = {
            UsageGroup(scope) if scope else None: until_s + shift_s
            for scope, until_s in values["frozen"].items()
        }
        book._owners = dict.fromkeys(map(str, values["owners"]))
        book._next_id = int(values["next_id"])
        if "outage" in values:
            book.outage = Outage.load(values["outage"], shift_s)
        return book

    def dump(self) -> dict[str, Any]:
        """The state as JSON values: finite numbers, text, None, lists and dicts."""
        outage = self.outage.dump()
        return {
            "groups": {
                group: {
                    "bucket": entry.bucket.dump(),
                    "pace": entry.pace.dump(),
                    "claims": entry.turns.dump(),
                }
                for group, entry in self._groups.items()
            },
            "frozen": {scope or "": until_s for scope, until_s in self._frozen_until_s.items()},
            "owners": list(self._owners),
            "next_id": self._next_id,
            **({"outage": outage} if outage else {}),
        }

    def copy(self) -> "Book":
        """A book of its own with the same state."""
        return Book.load(self.dump(), self._plans, poll_s=self._poll_s)

    def bound(self, now: float) -> None:
        """Cut all times to the longest that rcfs believes of a server; for books of earlier versions."""
        longest_s = max(LONGEST_S, self._longest_plan_s)
        latest_s = now + longest_s + LINGER_S + FREEZE_MARGIN_S
        for scope, until_s in self._frozen_until_s.items():
            self._frozen_until_s[scope] = min(until_s, latest_s)
        for entry in self._groups.values():
            entry.bucket.bound(now + LONGEST_REQUEST_S + LINGER_S)
            entry.pace.bound(latest_s + longest_s)
        self.outage.bound(self._owners, now)

    def reset(self) -> None:
        """See `Ledger.reset`."""
        self._frozen_until_s.clear()
        for group, entry in self._groups.items():
            entry.bucket.forget(self._plans.get(group, UNKNOWN_PLAN))
            entry.pace = Pace()

    # Processes

    @property
    def owners(self) -> Collection[str]:
        """The processes that use the book, and those that ended without `remove_owner`."""
        return tuple(self._owners)

    def enter(self, owner: str) -> None:
        """Record that `owner` uses the book from now on."""
        self._owners[owner] = None

    def remove_owner(self, owner: str, now: float) -> None:
        """Record that `owner` has ended, before `now`: its requests failed, and none waits."""
        self._owners.pop(owner, None)
        self.outage.remove(owner)
        self._end_all(owner, now, 0.0)

    def silence(self, owner: str, now: float) -> None:
        """Record that `owner` is silent: it may have sent, and may still send, what it has in flight."""
        self._end_all(owner, now, LONGEST_REQUEST_S)

    def _end_all(self, owner: str, now: float, lasts_s: float) -> None:
        """End the requests of `owner`, which none sends longer than `lasts_s` after it took their slots."""
        for entry in self._groups.values():
            entry.turns.forget(owner)
        for slot in self.slots_of(owner):
            self.fail(slot, max(now, slot.taken_s + lasts_s))

    def freeze_everything(self, now: float) -> None:
        """Stop all requests, as entries of the book were lost that were written before `now`.

        They may have been requests that still count, or a penalty. Neither lasts longer than the longest
        window or penalty after the server got the last request, and so does this stop.
        """
        self._freeze(None, now + LINGER_S, self._longest_plan_s)

    # Outages

    @property
    def longest_s(self) -> float:
        """Longest time in seconds for which a request, or a penalty without ``Retry-After``, may count."""
        return (
            max(max(hold_s(plan), plan.penalty_s) for plan in self._plans_in_use) + LINGER_S + FREEZE_MARGIN_S
        )

    def adopt(self, slot: Slot) -> None:
        """Record `slot`, which was taken from another version of the book, as in flight."""
        self._group(slot.group).bucket.adopt(slot)
        self._next_id = max(self._next_id, slot.id + 1)

    def slots_of(self, owner: str) -> Sequence[Slot]:
        """The slots that `owner` has in flight."""
        entries = self._groups.values()
        return [slot for entry in entries for slot in entry.bucket.in_flight if slot.owner == owner]

    def foreign(self, group: UsageGroup, now: float) -> int:
        """The number of slots of `group` that others use, as answers have shown."""
        return self._group(group).bucket.foreign(now)

    @property
    def groups(self) -> Collection[UsageGroup]:
        """The groups that are configured or were named by a response, in the order of their arrival."""
        return tuple(self._groups)

    # The ledger's methods, for one process

    def plan(self, group: UsageGroup) -> Plan:
        """See `Ledger.plan`."""
        return self._group(group).bucket.plan

    def take(
        self, owner: str, group: UsageGroup, waiting: Waiting, now: float, *, left: int = 0
    ) -> Slot | float:
        """See `Ledger.take`; `left` slots stay free for processes that this one cannot hear."""
        entry = self._group(group)
        first = waiting.first
        if first is Priority.PERSON:
            entry.pace.note_person(now)
        plan = entry.bucket.plan
        thaw_s = self._thaw_s(group, now)
        if first > Priority.METADATA:
            at_s = self._background_s(entry, owner, waiting, now, thaw_s, left)
        else:
            ahead = entry.turns.ahead(owner, waiting, plan, now)
            at_s = max(thaw_s, entry.bucket.free_at_s(now, spare=ahead.slots + left))
        if at_s > now:
            at_s = min(at_s, now + self._poll_s)
            entry.turns.wait(owner, waiting, at_s)
            return at_s
        entry.turns.serve(owner, waiting, plan, now)
        if first > Priority.METADATA:
            entry.pace.sent(plan, now)
        slot = Slot(self._next_id, group, now, owner)
        self._next_id += 1
        entry.bucket.open(slot)
        return slot

    def _background_s(
        self, entry: _Group, owner: str, waiting: Waiting, now: float, thaw_s: float, left: int
    ) -> float:
        """The earliest time at which background work of `owner` may be sent; `now` if it may be now."""
        plan, pace = entry.bucket.plan, entry.pace
        due_s = pace.due_s(plan, now)
        if due_s > now:
            return pace.hold(plan, now, due_s)
        ahead = entry.turns.ahead(owner, waiting, plan, now)
        if pace.is_paced(now) and ahead.turn_s > now and thaw_s <= now:
            return ahead.turn_s
        spare = pace.reserve(plan, now) + ahead.slots + left
        at_s = max(thaw_s, entry.bucket.free_at_s(now, spare=spare))
        return pace.hold(plan, now, at_s) if at_s > now else now

    def note_person(self, now: float) -> None:
        """See `Ledger.note_person`."""
        for entry in self._groups.values():
            entry.pace.note_person(now)

    def leave(self, owner: str, group: UsageGroup) -> None:
        """See `Ledger.leave`."""
        self._group(group).turns.leave(owner)

    def settle(self, slot: Slot, now: float, headers: RateHeaders | None) -> None:
        """See `Ledger.settle`."""
        self._end(slot, now, headers, counted=True)

    def expects(self, slot: Slot, headers: RateHeaders | None) -> bool:
        """Whether the answer to `slot` with `headers` tells others nothing that they could use at once."""
        if headers is None:
            return True
        return headers.group == slot.group and self._group(slot.group).bucket.expects(headers)

    def fail(self, slot: Slot, now: float) -> None:
        """See `Ledger.fail`."""
        latest_s = now + LINGER_S
        if self._end(slot, latest_s, None, counted=False):
            for scope in (self._name(slot.group), None):
                if self._frozen_until_s.get(scope, now) > now:
                    self._freeze(scope, latest_s, self._penalty_s(slot.group))

    def refuse(
        self, slot: Slot, now: float, headers: RateHeaders | None, retry_after_s: float | None
    ) -> None:
        """See `Ledger.refuse`.

        Without ``Retry-After`` the wait is the plan's penalty: the documentation asks for 30 s at least,
        but a penalty is 60 s, and asking again after 30 would restart it.
        """
        self._end(slot, now, headers, counted=False)
        scope = self._name(headers.group) if headers else None
        if retry_after_s is None:
            retry_after_s = self._penalty_s(scope or slot.group)
        self._freeze(scope, now, min(retry_after_s, LONGEST_S))

    def cancel(self, slot: Slot) -> None:
        """See `Ledger.cancel`."""
        entry = self._group(slot.group)
        if entry.bucket.drop(slot):
            entry.pace.unsent(entry.bucket.plan, slot.taken_s)

    def states(
        self, owner: str, now: float, shares: Mapping[UsageGroup, Share] = MappingProxyType({})
    ) -> tuple[GroupState, ...]:
        """See `Ledger.states`; the configured groups come first, then the others in the order of arrival.

        `shares` are those of the groups of which this process does not use the whole limit.
        """
        return tuple(
            self._state(owner, group, entry, now, shares.get(group, WHOLE))
            for group, entry in self._groups.items()
        )

    def elsewhere(self, owner: str, group: UsageGroup, now: float) -> tuple[Elsewhere, ...]:
        """The requests that wait for `group` in each process except `owner`."""
        entry = self._group(group)
        return entry.turns.elsewhere(owner, entry.bucket.plan, now)

    def in_flight(self, group: UsageGroup) -> tuple[Slot, ...]:
        """The slots of `group` that are in flight, oldest first."""
        return self._group(group).bucket.in_flight

    def round_trip_s(self, group: UsageGroup) -> float:
        """The average time to a response in `group` lately; without any, that of all groups."""
        trips_s = self._group(group).bucket.round_trips_s or list(
            chain.from_iterable(entry.bucket.round_trips_s for entry in self._groups.values())
        )
        return math.fsum(trips_s) / len(trips_s) if trips_s else 0.0

    def _state(self, owner: str, group: UsageGroup, entry: _Group, now: float, share: Share) -> GroupState:
        bucket, thaw_s = entry.bucket, self._thaw_s(group, now)
        elsewhere = self.elsewhere(owner, group, now)
        return GroupState(
            group=group,
            used=bucket.used(now),
            limit=bucket.plan.limit,
            window_s=bucket.plan.window_s,
            next_free_s=max(thaw_s, share.from_s, bucket.free_at_s(now, spare=share.left)) - now,
            frozen_for_s=thaw_s - now,
            in_flight=len(bucket.in_flight),
            returns_s=tuple(at_s - now for at_s in bucket.releases(now)),
            elsewhere=tuple(sum(other.counts[priority] for other in elsewhere) for priority in Priority),
            is_learned=bucket.is_learned,
            left=share.left,
        )

    @property
    def _plans_in_use(self) -> list[Plan]:
        """The plans of all groups, and that of a group without one."""
        return [UNKNOWN_PLAN, *(entry.bucket.plan for entry in self._groups.values())]

    @property
    def _longest_plan_s(self) -> float:
        """Length of the longest window or penalty, in seconds."""
        return max(max(plan.window_s, plan.penalty_s) for plan in self._plans_in_use)

    def _group(self, group: UsageGroup) -> _Group:
        name = self._name(group)
        if name not in self._groups:
            self._groups[name] = _Group(Bucket(UNKNOWN_PLAN))
        return self._groups[name]

    def _name(self, group: UsageGroup) -> UsageGroup:
        """The name of the budget that `group` counts for."""
        return group if group in self._groups or len(self._groups) < MOST_GROUPS else _REST

    def _end(self, slot: Slot, ended_s: float, headers: RateHeaders | None, *, counted: bool) -> bool:
        """Move `slot` from in flight to ended, in the group where it counts; False if it had ended before.

        Args:
            slot: The slot.
            ended_s: The latest time at which the server may have counted its request.
            headers: The rate headers of the answer; None without any.
            counted: Whether the server certainly counted the request.
        """
        if not self._group(slot.group).bucket.drop(slot):
            return False
        bucket = self._group(headers.group if headers else slot.group).bucket
        bucket.end(slot, ended_s, counted=counted)
        if headers:
            bucket.learn(slot, ended_s, headers)
        return True

    def _penalty_s(self, group: UsageGroup) -> float:
        return max(FREEZE_MIN_S, self.plan(group).penalty_s)

    def _freeze(self, scope: UsageGroup | None, now: float, wait_s: float) -> None:
        # Requests that were given up may still reach the server, and restart the penalty.
        entries = self._groups.values() if scope is None else [self._group(scope)]
        last_s = max(now, *(entry.bucket.last_end_s for entry in entries))
        until_s = last_s + wait_s + FREEZE_MARGIN_S
        self._frozen_until_s[scope] = max(until_s, self._frozen_until_s.get(scope, until_s))

    def _thaw_s(self, group: UsageGroup, now: float) -> float:
        """When both the group's penalty and the general one are over; `now` if they are."""
        return max(now, *(self._frozen_until_s.get(scope, now) for scope in (self._name(group), None)))
