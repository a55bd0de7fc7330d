"""Several lanes: each has its own login and budget, and all share what is known of the network."""

from collections.abc import AsyncIterator

import pytest
import trio

from rcfs.errors import UnreachableError
from rcfs.model import PRIOR_PLANS, Plan, Priority, UsageGroup
from rcfs.platform import Credentials, read_account
from rcfs.quota import Ledger, MemoryHome
from rcfs.transport import Gate, Lane, Requester, RequestOptions, Session
from tests.fakes.rig import Rig
from tests.fakes.scripted import CLIENT_ID, CLIENT_SECRET, JWT, PLATFORM, Reply

LIGHT = UsageGroup("light")
READ = "readAccountInfo"


@pytest.fixture
async def second(rig: Rig) -> AsyncIterator[Lane]:
    """A lane that may send one light request a minute, beside that of the rig."""
    engine = rig.engine
    gate = Gate(Ledger(MemoryHome({**PRIOR_PLANS, LIGHT: Plan(1, 60.0)})), engine.recorder)
    credentials = Credentials(CLIENT_ID, CLIENT_SECRET, JWT)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(gate.run)
        yield Lane(gate, Session(engine.client, credentials, gate, engine.network, engine.recorder))
        nursery.cancel_scope.cancel()


@pytest.fixture
def requester(rig: Rig) -> Requester:
    return Requester(rig.engine.client, rig.engine.network, rig.engine.lane, rig.engine.recorder)


async def read(requester: Requester, lane: Lane | None = None) -> None:
    # Without rate headers each ledger keeps the plan that it was made with.
    await requester.read(read_account(), lambda _record: None, RequestOptions(Priority.PERSON), lane=lane)


def answer(rig: Rig, *replies: Reply) -> None:
    rig.platform.script(READ, *replies, *[Reply.of_json({}, rate=False)] * 6)


async def test_each_lane_has_its_own_token_and_budget(rig: Rig, second: Lane, requester: Requester) -> None:
    answer(rig)
    before = len(rig.platform.sent(READ))
    begun_s = trio.current_time()
    async with trio.open_nursery() as nursery:
        for lane in (second, second, None, None):
            nursery.start_soon(read, requester, lane)
    seen = rig.platform.sent(READ)[before:]
    assert [(each.token, each.at_s - begun_s < 1) for each in seen] == [
        ("s3cret-access-1", True),
        ("s3cret-access-1", True),
        ("s3cret-access-2", True),
        ("s3cret-access-2", False),
    ]
    assert seen[3].at_s - begun_s > 60


async def test_a_refusal_freezes_one_lane_only(rig: Rig, second: Lane, requester: Requester) -> None:
    answer(rig, Reply.error(429, headers={"Retry-After": "30"}, rate=False))
    begun_s = trio.current_time()
    ended_s: dict[str, float] = {}

    async def timed(name: str, lane: Lane | None) -> None:
        await read(requester, lane)
        ended_s[name] = trio.current_time() - begun_s

    async with trio.open_nursery() as nursery:
        nursery.start_soon(timed, "second", second)
        await trio.sleep(1)
        nursery.start_soon(timed, "first", None)
    assert ended_s["first"] < 2
    assert ended_s["second"] > 30


async def test_an_outage_is_one_for_all_lanes(rig: Rig, second: Lane, requester: Requester) -> None:
    await second.session.token(RequestOptions(Priority.PERSON))
    rig.platform.away = [PLATFORM]
    with pytest.raises(UnreachableError):
        await read(requester)
    sent = len(rig.platform.sent(READ))
    with pytest.raises(UnreachableError):
        await read(requester, second)
    assert len(rig.platform.sent(READ)) == sent
