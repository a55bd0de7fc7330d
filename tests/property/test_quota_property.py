"""The quota against the police, in virtual time, with everything that a network can do to a request."""

import math
from collections.abc import Sequence
from functools import partial
from itertools import groupby

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from rcfs.model import Plan, Priority, UsageGroup
from rcfs.quota import (
    FREEZE_MARGIN_S,
    FREEZE_MIN_S,
    LINGER_S,
    Idle,
    Ledger,
    MemoryHome,
    Scheduler,
    Send,
    hold_s,
)
from tests.fakes.police import Fate, Police, Trip, World

GROUP = UsageGroup("medium")
WINDOW_S = 60.0


@attrs.frozen
class Job:
    """One request: its delay after the previous one, its class, and its trip."""

    gap_s: float
    priority: Priority
    trip: Trip


LONGEST_TRIP_S = 24.0  # less than any freeze

# Whole seconds now and then, so that times coincide.
delays_s = st.one_of(st.integers(0, 12).map(float), st.floats(0.0, LONGEST_TRIP_S / 2))
fates = st.sampled_from([fate for fate in Fate if fate is not Fate.LATE] + [Fate.ANSWERED] * 5)
trips = st.one_of(
    st.builds(Trip, delays_s, delays_s, fates),
    # After a failure the kernel sends for a moment only.
    st.builds(Trip, delays_s, st.floats(0.0, LINGER_S, exclude_max=True), st.just(Fate.LATE)),
)
jobs = st.builds(
    Job, st.sampled_from([0.0, 0.0, 0.0, 0.5, 7.0, 30.0, 150.0]), st.sampled_from(Priority), trips
)
runs = st.lists(jobs, min_size=1, max_size=60)
limits = st.integers(1, 8)
moments_s = st.one_of(st.integers(0, 400).map(float), st.floats(0.0, 400.0))
quick = settings(max_examples=150, deadline=None)


class Run:
    """All of `jobs`, from the first submission until nothing can happen any more."""

    def __init__(self, jobs: Sequence[Job], plan: Plan, police: Police) -> None:
        self.ledger = Ledger(MemoryHome({GROUP: plan}))
        self.scheduler = Scheduler(self.ledger)
        self.world = World(self.scheduler, self.ledger, police, travel=lambda ticket: jobs[ticket.seq].trip)
        self.jobs = jobs
        at_s = 0.0
        for job in jobs:
            at_s += job.gap_s
            self.world.at(at_s, partial(self._submit, job))

    def _submit(self, job: Job) -> None:
        self.scheduler.submit(GROUP, job.priority, self.world.now)

    def finish(self) -> World:
        """Run it, and check that every request is sent in the end."""
        self.world.run(float("inf"))
        assert len(self.world.sent) == len(self.jobs)
        return self.world


def check_freezes(world: World) -> None:
    """Check that nothing was sent between a received 429 and the end of its freeze."""
    for refusal in world.refusals:
        wait_s = refusal.retry_after_s
        if wait_s is None:
            wait_s = max(FREEZE_MIN_S, WINDOW_S)
        thaw_s = refusal.heard_s + wait_s + FREEZE_MARGIN_S
        assert not [sent for sent in world.sent if refusal.heard_s < sent.at_s < thaw_s]


def check_penalties(world: World) -> None:
    """Check that requests in a penalty were all sent before the client received a 429 of that penalty."""
    for sent, verdict in world.verdicts:
        if verdict.penalty_from_s is not None:
            known = [
                refusal
                for refusal in world.refusals
                if refusal.decided_s >= verdict.penalty_from_s and refusal.heard_s < sent.at_s
            ]
            assert not known


@quick
@given(jobs=runs, limit=limits, fixed=st.booleans())
def test_we_never_cause_a_429(jobs: list[Job], limit: int, *, fixed: bool) -> None:
    plan = Plan(limit, WINDOW_S)
    police = Police({GROUP: plan}, fixed=fixed)
    Run(jobs, plan, police).finish()
    assert police.violations == []


@quick
@given(jobs=runs, limit=limits, fixed=st.booleans())
def test_our_own_use_is_never_taken_for_that_of_others(jobs: list[Job], limit: int, *, fixed: bool) -> None:
    plan = Plan(limit, WINDOW_S)
    run = Run(jobs, plan, Police({GROUP: plan}, fixed=fixed))
    seen: list[tuple[float, int]] = []

    def look() -> None:
        now = run.world.now
        seen.append((now, run.ledger.states(now)[0].used))

    for n in range(60):
        run.world.at(7 * n + math.pi, look)  # at a time when nothing else happens
    world = run.finish()
    for now, used in seen:
        held = 0
        for sent in world.sent:
            trip = jobs[sent.ticket.seq].trip
            end_s = sent.at_s + trip.ended_s
            if trip.fate in (Fate.LOST, Fate.VANISHED, Fate.LATE):
                end_s = end_s + LINGER_S
            if trip.fate is not Fate.UNSENT:
                end_s = end_s + hold_s(plan)
            held += sent.at_s <= now < end_s
        assert used == held


@quick
@given(
    jobs=runs, limit=limits, others_s=st.lists(moments_s, min_size=1, max_size=30), retry_after=st.booleans()
)
def test_others_can_cause_a_429_but_never_a_request_in_a_known_penalty(
    jobs: list[Job], limit: int, others_s: list[float], *, retry_after: bool
) -> None:
    plan = Plan(limit, WINDOW_S)
    police = Police({GROUP: plan}, retry_after=retry_after)
    run = Run(jobs, plan, police)
    for other_s in others_s:
        run.world.at(other_s, lambda: police.arrive_foreign(GROUP, run.world.now))
    world = run.finish()
    check_freezes(world)
    check_penalties(world)


@quick
@given(
    jobs=runs,
    prior=limits,
    changes=st.lists(st.tuples(moments_s, limits), min_size=1, max_size=4),
    fixed=st.booleans(),
)
def test_a_limit_is_broken_only_while_something_taken_under_a_higher_one_counts(
    jobs: list[Job], prior: int, changes: list[tuple[float, int]], *, fixed: bool
) -> None:
    police = Police({GROUP: Plan(prior, WINDOW_S)}, fixed=fixed)
    run = Run(jobs, Plan(prior, WINDOW_S), police)
    for change_s, limit in changes:
        run.world.at(change_s, partial(police.set_limit, GROUP, limit))
    world = run.finish()
    check_freezes(world)
    check_penalties(world)
    for _, verdict in world.verdicts:
        if not verdict.admitted and verdict.penalty_from_s is None:
            broken = verdict.headers.limit
            assert broken is not None
            since_s = verdict.at_s - WINDOW_S - 2 * LONGEST_TRIP_S
            believed = [sent.believed_limit for sent in world.sent if since_s < sent.at_s <= verdict.at_s]
            assert max(believed) > broken


@quick
@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("submit"), st.sampled_from(Priority)),
            st.tuples(st.just("promote"), st.sampled_from(Priority)),
            st.tuples(st.just("withdraw"), st.none()),
            st.tuples(st.just("next"), st.none()),
        ),
        max_size=60,
    ),
    data=st.data(),
)
def test_the_most_urgent_request_is_sent_first_then_the_oldest(
    steps: list[tuple[str, Priority | None]], data: st.DataObject
) -> None:
    scheduler = Scheduler(Ledger(MemoryHome({GROUP: Plan(1000)})))
    tickets = []
    waiting = []
    for step, priority in steps:
        if step == "submit" and priority is not None:
            ticket = scheduler.submit(GROUP, priority, 0.0)
            tickets.append(ticket)
            waiting.append(ticket)
        elif step == "next":
            decision = scheduler.next(0.0)
            if waiting:
                assert isinstance(decision, Send)
                first = min(waiting, key=lambda ticket: (ticket.priority, ticket.seq))
                assert decision.ticket is first
                waiting.remove(first)
            else:
                assert decision == Idle()
        elif tickets:
            ticket = data.draw(st.sampled_from(tickets))  # possibly an ended one
            if priority is None:
                scheduler.withdraw(ticket)
                waiting = [other for other in waiting if other is not ticket]
            else:
                scheduler.promote(ticket, priority)
        classes = groupby(sorted(ticket.priority for ticket in waiting))
        assert sorted((state.priority, state.waiting) for state in scheduler.queue(0.0)) == [
            (priority, len(list(members))) for priority, members in classes
        ]
