"""Changes of messages against the simulator, whatever happens: lost and late answers, kills, outages.

In the end the outbox is empty, the tree shows what the platform has, every wish has come true, nothing is
purged that nobody wanted to purge, and the platform has no complaint. It runs in virtual time.

``RCFS_SOAK_S=600`` sets the seconds of the long run; by default it is short.
"""

import os
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from rcfs.errors import RcfsError
from tests.fakes import mortal
from tests.fakes.changing import Changer, ChangeWorld, open_changes
from tests.fakes.in_memory import Line
from tests.fakes.mortal import Life
from tests.fakes.rig import run_inline

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
class Person:
    """A process, and somebody who uses it."""

    changer: Changer
    life: Life


@attrs.define(eq=False)
class Office:
    """The processes, and the states that each message may have in the end."""

    world: ChangeWorld
    nursery: trio.Nursery
    pool: list[int]
    everybody: list[Person] = attrs.field(factory=list)
    expected: dict[tuple[int, bool], set[str]] = attrs.field(factory=dict)
    """By message, and whether it is about its read status."""
    to_purge: set[int] = attrs.field(factory=set)

    @property
    def people(self) -> list[Person]:
        """Those whose processes live."""
        return [each for each in self.everybody if not each.life.is_over]

    async def start(self) -> None:
        """Another process; it may die before it is up."""
        calls, scope, up = self.world.calls, trio.CancelScope(), trio.Event()
        name = f"process {calls.started + 1}"
        lines: list[Line] = []

        def die() -> None:
            with suppress(KeyError):  # It has not opened its ledger yet.
                calls.ledgers.kill(name, trio.current_time())
            for line in lines:
                line.is_cut = True
            scope.cancel()

        life = Life(die)

        async def live() -> None:
            try:
                with suppress(RcfsError), scope:
                    async with self.world.process(life=life) as changer:
                        lines.append(changer.rig.line)
                        self.everybody.append(Person(changer, life))
                        up.set()
                        await trio.sleep_forever()
            except Exception:
                if not life.is_over:
                    raise
            finally:
                up.set()

        self.nursery.start_soon(live)
        await up.wait()

    async def wish(self, person: Person, what: str, ids: Sequence[int]) -> None:
        """Somebody wants something; a process that dies meanwhile may have kept it or not."""
        try:
            await self._wish(person, what, ids)
        except Exception:
            if not person.life.is_over:
                raise

    async def _wish(self, person: Person, what: str, ids: Sequence[int]) -> None:
        outbox, owner_id = person.changer.outbox, self.world.owner_id
        is_mark = what in ("read", "unread")
        shown = person.changer.messages()
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

    @staticmethod
    def kill(person: Person) -> None:
        """Kill a process now."""
        person.life.end()
        person.life.on_end()

    async def settle(self) -> None:
        """Let everything come to its end, and check it."""
        world = self.world
        world.platform.simulator.faults.clear()
        for person in self.people:
            self.kill(person)
        await trio.sleep(120)  # longer than any answer or request is late, and than any penalty
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
    if not office.people:
        await office.start()
    if office.people:
        ids = [office.pool[each] for each in chosen]
        await office.wish(office.people[which % len(office.people)], what, ids)


async def wish_and_die(which: int, what: str, chosen: Sequence[int], statements: int, office: Office) -> None:
    if office.people:
        person = office.people[which % len(office.people)]
        person.life.statements_left = statements
        await wish(which, what, chosen, office)


async def kill(which: int, office: Office) -> None:
    if office.people:
        office.kill(office.people[which % len(office.people)])
        await trio.lowlevel.checkpoint()


async def start(office: Office) -> None:
    if len(office.people) < 2:
        await office.start()


async def fault(kind: str, office: Office) -> None:  # noqa: ASYNC124 - as all steps
    options = {"operation": OPERATIONS, **LOST[kind]}
    if kind.strip() == "refuse":
        del options["operation"]
    office.world.platform.fault(kind.strip(), **options)


async def cut(which: int, office: Office) -> None:  # noqa: ASYNC124 - as all steps
    """The network goes or comes back."""
    if office.people:
        line = office.people[which % len(office.people)].changer.rig.line
        line.is_cut = not line.is_cut


async def pass_time(seconds: float, office: Office) -> None:
    await trio.sleep(seconds)


async def sync(which: int, office: Office) -> None:
    if office.people:
        with suppress(Exception):
            await office.people[which % len(office.people)].changer.sync()


async def elsewhere(number: int, office: Office) -> None:  # noqa: ASYNC124 - as all steps
    """Somebody else marks a message that nobody changes here, or one arrives."""
    world = office.world
    others = [each for each in world.mailbox if each.id not in office.pool and each.availability != "Purged"]
    message = others[number % len(others)]
    status = "Read" if message.read_status == "Unread" else "Unread"
    world.backend.messages.mark(message, status, world.platform.now_s)


async def play(directory: Path, steps: Sequence[Step]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trio.to_thread, "run_sync", run_inline)
        mortal.install(patch)
        async with open_changes(directory, messages=20, calls=0) as world, trio.open_nursery() as nursery:
            pool = [each.id for each in world.mailbox if each.availability == "Alive"][:POOL]
            assert len(pool) == POOL
            office = Office(world, nursery, pool)
            await office.start()
            for step in steps:
                await step(office)
            await office.settle()
            nursery.cancel_scope.cancel()


def run(steps: Sequence[Step]) -> None:
    with TemporaryDirectory() as directory:
        trio.run(play, Path(directory), steps, clock=MockClock(autojump_threshold=0))


WHICH = st.integers(0, 1)
CHOSEN = st.lists(st.integers(0, POOL - 1), min_size=1, max_size=3, unique=True)
STEPS: st.SearchStrategy[Step] = st.one_of(
    st.builds(partial, st.just(wish), WHICH, st.sampled_from(sorted(STATES)), CHOSEN),
    st.builds(partial, st.just(wish), WHICH, st.sampled_from(sorted(STATES)), CHOSEN),
    st.builds(
        partial, st.just(wish_and_die), WHICH, st.sampled_from(sorted(STATES)), CHOSEN, st.integers(0, 60)
    ),
    st.builds(partial, st.just(kill), WHICH),
    st.just(start),
    st.builds(partial, st.just(fault), st.sampled_from(sorted(LOST))),
    st.builds(partial, st.just(cut), WHICH),
    st.builds(partial, st.just(pass_time), st.sampled_from([0.05, 1.2, 2.5, 7.0, 30.0, 70.0])),
    st.builds(partial, st.just(sync), WHICH),
    st.builds(partial, st.just(elsewhere), st.integers(0, 20)),
)


@settings(max_examples=6, deadline=None)
@given(st.lists(STEPS, min_size=5, max_size=25))
def test_changes(steps: list[Step]) -> None:
    run(steps)


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


@pytest.mark.timeout(24 * 3600)  # as long as it is asked to be
def test_a_long_run() -> None:
    """Worlds of thirty steps, one after the other."""
    ends_s = time.monotonic() + SOAK_S
    seed = 0
    while time.monotonic() < ends_s:
        seed += 1
        dice = Random(seed)
        try:
            run([any_step(dice) for _ in range(30)])
        except BaseException as exc:
            exc.add_note(f"in the world with the seed {seed}")
            raise
    print(f"{seed:,} worlds")  # noqa: T201
