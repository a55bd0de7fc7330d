"""Messages that are sent against the simulator, whatever happens: lost and late answers, kills, outages.

In the end each message that somebody wanted is sent, refused, or left to a person; the platform has each that
is sent, and none twice; and outbox, mailbox and platform agree. It runs in virtual time.

``RCFS_SOAK_S=600`` sets the seconds of the long run; by default it is short. ``RCFS_SOAK_SEED`` sets the seed
of its first world.
"""

import os
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from random import Random

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from rcfs.errors import PlatformError
from rcfs.model import Outgoing, Priority, Send, SendKind, SendState
from rcfs.outbox import Sends
from rcfs.outbox import _send_course as course
from rcfs.platform import send_message
from rcfs.simulator import AccountSpec
from rcfs.simulator._conduct import Sent
from rcfs.transport import RequestOptions
from tests.fakes import offices
from tests.fakes.call_rig import CallRig, CallWorld, open_calls
from tests.fakes.mortal import Life
from tests.fakes.offices import WHICH, cut, kill, pass_time, run, run_worlds, start
from tests.fakes.processes import People
from tests.fakes.sending import OPERATIONS, outbox_of, outgoing_of, sending

SOAK_S = float(os.environ.get("RCFS_SOAK_S", "2"))
SOAK_SEED = int(os.environ.get("RCFS_SOAK_SEED", "1"))
SENDING = ",".join(OPERATIONS.values())
ALL = f"{SENDING},listMessages,readMessage,syncMessages"
FAULTS: dict[str, dict[str, object]] = {
    "reset": {"operation": SENDING},
    "reset ": {"operation": SENDING, "count": 3},
    "reset  ": {"operation": "listMessages", "count": 2},
    "lost_request": {"operation": SENDING},
    "lost_request ": {"operation": SENDING, "count": 4},
    "late": {"operation": SENDING, "delay_s": 50, "reset": True},
    "late ": {"operation": SENDING, "delay_s": 40},
    "late  ": {"operation": SENDING, "delay_s": 80},
    "status_after": {"operation": SENDING},
    "status_after ": {"operation": ALL, "count": 2},
    "status": {"operation": ALL, "status": 503, "count": 3},
    "status ": {"operation": SENDING, "status": 400, "code": "MSG-246"},
    "malformed_json": {"operation": SENDING},
    "missing_fields": {"operation": SENDING, "fields": "id"},
    "html": {"operation": ALL},
    "empty": {"operation": SENDING},
    "stall": {"operation": SENDING, "for_s": 300.0},
    "expired_token": {"operation": ALL},
    "slow": {"operation": ALL, "delay_s": 20},
    "refuse": {"count": 3},
}
SENT_PERHAPS = (SendState.SENT, SendState.UNKNOWN)
KINDS = (SendKind.SMS, SendKind.SMS, SendKind.PAGE, SendKind.MMS, SendKind.FAX)

Step = Callable[["Office"], Awaitable[None]]


@attrs.define(eq=False)
class Office(offices.Office[CallRig]):
    """The processes, and what each message may have become in the end."""

    world: CallWorld
    directory: Path
    wanted: dict[str, str] = attrs.field(factory=dict)
    """By id of the send, the key of the message; only those that were kept for certain."""
    beyond: Counter[str] = attrs.field(factory=Counter)
    """By key: messages that the platform may have beyond those that the outbox tells."""
    has_twins: bool = False
    """Whether somebody wanted equal messages."""
    numbers: int = 0

    def outgoing(self, kind: SendKind, *, is_twin: bool) -> tuple[Outgoing, list[Path]]:
        """A new message, or one like an earlier one."""
        self.has_twins = self.has_twins or is_twin
        self.numbers += not is_twin
        return outgoing_of(self.world, kind, self.directory, text=f"{self.numbers:03}")

    async def check(self) -> None:
        """See `offices.Office`."""
        async with _process(self.world) as rig:
            sends, own = rig.engine.sends, self.world.extensions[0]
            await sends.read()
            with trio.fail_after(7200):  # noqa: ASYNC912 - there may be nothing to wait for
                for each in sends.all():
                    await sends.wait(each.id, lambda send: send.state.is_settled)
            await trio.sleep(300)
            await rig.engine.account.mailboxes.refresh(own)
            await trio.sleep(5)
            self._check(sends)

    def _check(self, sends: Sends) -> None:
        entries = {each.id: each for each in sends.all()}
        assert self.wanted.keys() <= entries.keys(), "one is lost"
        sent = [each for each in entries.values() if each.state is SendState.SENT]
        ids = [each.message_id for each in sent]
        assert len(set(ids)) == len(ids), "two sends are the same message"
        assert set(ids) <= set(outbox_of(self.world)), "one was never sent"
        for each in sent:
            message = sends.message(each)
            assert message is not None, "the mailbox does not show it"
            assert course.told(each, message) == each, "the outbox tells another delivery"
        known, open_ends = Counter(map(_key, sent)), Counter(self.beyond)
        open_ends.update(_key(each) for each in entries.values() if each.state is SendState.UNKNOWN)
        there = Counter(_words(each) for each in self.world.backend.sends.all())
        for key in there | known:
            told = [each for each in entries.values() if _key(each) == key]
            assert known[key] <= there[key] <= known[key] + open_ends[key], (key, there[key], told)
        violations = self.world.platform.simulator.journal.violations()
        assert self.has_twins or violations == []
        assert all("sends again" in each for each in violations)


def _key(send: Send) -> str:
    """The part of a message that only it and its twins have."""
    return send.outgoing.files[0].sha256 if send.outgoing.files else send.outgoing.text


def _words(sent: Sent) -> str:
    """As `_key`, of a message that the platform has."""
    if sent.files:
        return sent.files[0]
    return sent.what if isinstance(sent.what, str) else str(list(sent.what)[-1])  # type: ignore[call-overload]


@asynccontextmanager
async def _process(world: CallWorld, life: Life | None = None) -> AsyncIterator[CallRig]:
    """A process whose mailbox is loaded, and which sends."""
    async with sending(world, life=life) as rig:
        await rig.engine.account.mailboxes.open(world.extensions[0])
        yield rig


# Steps


async def wish(which: int, kind: SendKind, is_twin: bool, statements: int | None, office: Office) -> None:
    """Somebody wants a message sent; a process that dies meanwhile may have kept it or not."""
    if not office.people.alive:
        await office.people.start()
    person = office.people.some(which)
    if person is None:
        return
    outgoing, paths = office.outgoing(kind, is_twin=is_twin and office.numbers > 0)
    person.life.statements_left = statements
    try:
        send = await person.process.engine.sends.add(outgoing, paths)
    except Exception:
        if not person.life.is_over:
            raise
    else:
        office.wanted[send.id] = _key(send)


async def decide(which: int, again: bool, office: Office) -> None:
    """Somebody sends a message again, or forgets it, that was not sent or of which that is unknown."""
    person = office.people.some(which)
    if person is None:
        return
    sends = person.process.engine.sends
    try:
        await sends.read()
        for send in sends.all():
            if send.state in (SendState.REFUSED, SendState.UNKNOWN):
                office.beyond[_key(send)] += send.state is SendState.UNKNOWN
                if not again:
                    office.wanted.pop(send.id, None)
                await (sends.again(send.id) if again else sends.drop(send.id))
    except Exception:
        if not person.life.is_over:
            raise


async def stop(which: int, office: Office) -> None:
    """Somebody stops the latest message, if it is not sent yet."""
    person = office.people.some(which)
    if person is None:
        return
    sends = person.process.engine.sends
    try:
        for send in sends.all()[-1:]:
            kept = office.wanted.pop(send.id, None)
            if not await sends.drop(send.id, unless=SENT_PERHAPS) and kept is not None:
                office.wanted[send.id] = kept
    except Exception:
        if not person.life.is_over:
            raise


async def elsewhere(which: int, office: Office) -> None:
    """Another device sends what was wanted last."""
    person = office.people.some(which)
    if person is None or person.life.statements_left is not None:
        return  # A device that is about to die would be another process.
    outgoing, paths = office.outgoing(SendKind.SMS, is_twin=True)
    office.beyond[outgoing.text] += 1
    with suppress(PlatformError):
        await person.process.engine.requester.read(
            send_message(outgoing, paths, "elsewhere"),
            dict,
            RequestOptions(Priority.METADATA, label="elsewhere"),
        )


async def fault(kind: str, office: Office) -> None:  # noqa: ASYNC124 - as all steps
    office.world.platform.fault(kind.strip(), **FAULTS[kind])


@asynccontextmanager
async def open_office(directory: Path) -> AsyncIterator[Office]:
    spec = AccountSpec(messages=5, months=1, extensions=2)
    async with open_calls(directory, spec=spec, calls=0) as world, trio.open_nursery() as nursery:
        people = People(world, nursery, partial(_process, world), lambda rig: rig.line)
        yield Office(people, world, directory)


TIMES = (0.05, 0.3, 1.2, 4.0, 7.0, 30.0, 70.0, 130.0)
WISH = partial(
    st.builds, partial, st.just(wish), WHICH, st.sampled_from(KINDS), st.sampled_from([False] * 4 + [True])
)
STEPS: st.SearchStrategy[Step] = st.one_of(
    WISH(st.none()),
    WISH(st.none()),
    WISH(st.integers(0, 60)),
    offices.STEPS,
    offices.STEPS,
    offices.STEPS,
    st.builds(partial, st.just(fault), st.sampled_from(sorted(FAULTS))),
    st.builds(partial, st.just(fault), st.sampled_from(sorted(FAULTS))),
    st.builds(partial, st.just(pass_time), st.sampled_from(TIMES)),
    st.builds(partial, st.just(decide), WHICH, st.booleans()),
    st.builds(partial, st.just(stop), WHICH),
    st.builds(partial, st.just(elsewhere), WHICH),
)


@settings(max_examples=6, deadline=None)
@given(st.lists(STEPS, min_size=5, max_size=25))
def test_sends(steps: list[Step]) -> None:
    run(open_office, steps)


def any_step(dice: Random) -> Step:
    which = dice.randrange(2)
    match dice.randrange(20):
        case 0 | 1:
            return partial(wish, which, dice.choice(KINDS), dice.randrange(6) == 0, dice.randint(0, 60))
        case 2:
            return partial(kill, which)
        case 3 | 4:
            return start
        case 5 | 6 | 7 | 8:
            return partial(fault, dice.choice(sorted(FAULTS)))
        case 9:
            return partial(cut, which)
        case 10 | 11 | 12 | 13:
            return partial(pass_time, dice.choice(TIMES))
        case 14:
            return partial(decide, which, dice.random() < 0.5)
        case 15:
            return partial(stop, which)
        case 16 if dice.random() < 0.3:
            return partial(elsewhere, which)
        case _:
            return partial(wish, which, dice.choice(KINDS), dice.randrange(6) == 0, None)


@pytest.mark.timeout(SOAK_S + 300)  # a world that hangs shows where
def test_a_long_run() -> None:
    """Worlds of thirty steps, one after the other."""
    run_worlds(lambda dice: run(open_office, [any_step(dice) for _ in range(30)]), SOAK_S, SOAK_SEED)
