"""Changes of messages against the simulator, whatever happens: lost and late answers, kills, outages.

In the end the outbox is empty, the tree shows what the platform has, every wish has come true, nothing is
purged that nobody wanted to purge, and the platform has no complaint. It runs in virtual time.

``RCFS_SOAK_S=600`` sets the seconds of the long run; by default it is short.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from random import Random

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes import offices
from tests.fakes.changing import Changer, ChangeWorld, open_changes
from tests.fakes.offices import WHICH, cut, kill, pass_time, run, run_worlds, start
from tests.fakes.processes import People, Person

SOAK_S = float(os.environ.get("RCFS_SOAK_S", "2"))
POOL = 6
"""Messages that people change."""
LOST: dict[str, dict[str, object]] = {
    "reset": {},
    "reset ": {"operation": "deleteMessage"},
    "lost_request": {},
    "late": {"delay_s": 50, "reset": True, "operation": "deleteMessage"},
    "late ": {"delay_s": 50, "reset": True, "operation": "updateMessage"},
    "late  ": {"delay_s": 40, "operation": "patchMessage"},
    "status_after": {},
    "status_after ": {"operation": "deleteMessage", "count": 2},
    "status": {"status": 503, "count": 3},
    "truncate": {},
    "html": {},
    "empty": {},
    "expired_token": {},
    "slow": {"delay_s": 20},
    "refuse": {"count": 3},
}
OPERATIONS = "deleteMessage,updateMessage,patchMessage,deleteMessageByFilter,readMessage,syncMessages"
STATES = {"trash": "Deleted", "restore": "Alive", "purge": "Purged", "read": "Read", "unread": "Unread"}

Step = Callable[["Office"], Awaitable[None]]


@attrs.define(eq=False)
class Office(offices.Office[Changer]):
    """The processes, and the states that each message may have in the end."""

    world: ChangeWorld
    pool: list[int]
    expected: dict[tuple[int, bool], set[str]] = attrs.field(factory=dict)
    """By message, and whether it is about its read status."""
    to_purge: set[int] = attrs.field(factory=set)

    async def wish(self, person: Person[Changer], what: str, ids: Sequence[int]) -> None:
        """Somebody wants something; a process that dies meanwhile may have kept it or not."""
        try:
            await self._wish(person, what, ids)
        except Exception:
            if not person.life.is_over:
                raise

    async def _wish(self, person: Person[Changer], what: str, ids: Sequence[int]) -> None:
        outbox, owner_id = person.process.outbox, self.world.owner_id
        is_mark = what in ("read", "unread")
        shown = person.process.messages()
        ids = [each for each in ids if each in shown]
        if what == "purge":
            ids = [each for each in ids if shown[each].availability == "Deleted"]
            self.to_purge.update(ids)
        if not ids:
            return
        for each in ids:
            ((availability, read_status),) = self.world.states([each])
            before = {read_status if is_mark else availability}
            self.expected.setdefault((each, is_mark), before).add(STATES[what])
        if is_mark:
            await outbox.mark(owner_id, ids, read=what == "read")
        else:
            await getattr(outbox, what)(owner_id, ids)
        if not person.life.is_over:
            self.expected |= {(each, is_mark): {STATES[what]} for each in ids}

    async def check(self) -> None:
        """See `offices.Office`."""
        world = self.world
        async with world.process() as process:
            assert await process.outbox.flush(7200) == 0, process.outbox.status()
            await process.sync()
            shown = process.messages()
            for message in world.mailbox:
                state = str(message.availability), message.read_status
                assert (message.availability == "Purged") <= (message.id in self.to_purge)
                if message.availability == "Purged":
                    assert message.id not in shown
                else:
                    assert (shown[message.id].availability, shown[message.id].read_status) == state
            for (message_id, is_mark), allowed in self.expected.items():
                ((availability, read_status),) = world.states([message_id])
                if not is_mark or availability != "Purged":
                    assert (read_status if is_mark else availability) in allowed, (message_id, allowed)


# Steps


async def wish(which: int, what: str, chosen: Sequence[int], office: Office) -> None:
    if not office.people.alive:
        await office.people.start()
    person = office.people.some(which)
    if person is not None:
        await office.wish(person, what, [office.pool[each] for each in chosen])


async def wish_and_die(which: int, what: str, chosen: Sequence[int], statements: int, office: Office) -> None:
    person = office.people.some(which)
    if person is not None:
        person.life.statements_left = statements
        await wish(which, what, chosen, office)


async def fault(kind: str, office: Office) -> None:  # noqa: ASYNC124 - as all steps
    options = {"operation": OPERATIONS, **LOST[kind]}
    if kind.strip() == "refuse":
        del options["operation"]
    office.world.platform.fault(kind.strip(), **options)


async def sync(which: int, office: Office) -> None:
    person = office.people.some(which)
    if person is not None:
        with suppress(Exception):
            await person.process.sync()


async def elsewhere(number: int, office: Office) -> None:  # noqa: ASYNC124 - as all steps
    """Somebody else marks a message that nobody changes here, or one arrives."""
    world = office.world
    others = [each for each in world.mailbox if each.id not in office.pool and each.availability != "Purged"]
    message = others[number % len(others)]
    status = "Read" if message.read_status == "Unread" else "Unread"
    world.backend.messages.mark(message, status, world.platform.now_s)


@asynccontextmanager
async def open_office(directory: Path) -> AsyncIterator[Office]:
    async with open_changes(directory, messages=20, calls=0) as world, trio.open_nursery() as nursery:
        pool = [each.id for each in world.mailbox if each.availability == "Alive"][:POOL]
        assert len(pool) == POOL
        people = People(
            world.calls, nursery, lambda life: world.process(life=life), lambda changer: changer.rig.line
        )
        yield Office(people, world, pool)


CHOSEN = st.lists(st.integers(0, POOL - 1), min_size=1, max_size=3, unique=True)
STEPS: st.SearchStrategy[Step] = st.one_of(
    st.builds(partial, st.just(wish), WHICH, st.sampled_from(sorted(STATES)), CHOSEN),
    st.builds(partial, st.just(wish), WHICH, st.sampled_from(sorted(STATES)), CHOSEN),
    st.builds(
        partial, st.just(wish_and_die), WHICH, st.sampled_from(sorted(STATES)), CHOSEN, st.integers(0, 60)
    ),
    offices.STEPS,
    offices.STEPS,
    offices.STEPS,
    st.builds(partial, st.just(fault), st.sampled_from(sorted(LOST))),
    st.builds(partial, st.just(pass_time), st.sampled_from([0.05, 1.2, 2.5, 7.0, 30.0, 70.0])),
    st.builds(partial, st.just(sync), WHICH),
    st.builds(partial, st.just(elsewhere), st.integers(0, 20)),
)


@settings(max_examples=6, deadline=None)
@given(st.lists(STEPS, min_size=5, max_size=25))
def test_changes(steps: list[Step]) -> None:
    run(open_office, steps)


def any_step(dice: Random) -> Step:
    which, chosen = dice.randrange(2), dice.sample(range(POOL), dice.randint(1, 3))
    what = dice.choice(sorted(STATES))
    match dice.randrange(20):
        case 0 | 1:
            return partial(wish_and_die, which, what, chosen, dice.randint(0, 60))
        case 2:
            return partial(kill, which)
        case 3 | 4:
            return start
        case 5 | 6 | 7:
            return partial(fault, dice.choice(sorted(LOST)))
        case 8:
            return partial(cut, which)
        case 9 | 10 | 11 | 12:
            return partial(pass_time, dice.choice([0.05, 0.3, 1.2, 2.5, 7.0, 30.0, 70.0]))
        case 13:
            return partial(sync, which)
        case 14:
            return partial(elsewhere, dice.randrange(20))
        case _:
            return partial(wish, which, what, chosen)


@pytest.mark.timeout(SOAK_S + 300)  # a world that hangs shows where
def test_a_long_run() -> None:
    """Worlds of thirty steps, one after the other."""
    run_worlds(lambda dice: run(open_office, [any_step(dice) for _ in range(30)]), SOAK_S)
