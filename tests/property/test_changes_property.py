"""The simulator's message store against a pure model: any changes in any form, and answers that are lost."""

from collections.abc import Sequence
from functools import partial

import attrs
import httpx
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from rcfs.model import Plan, UsageGroup
from rcfs.simulator import AccountSpec, SimulatorConfig
from rcfs.simulator.account._message_store import new_message
from tests.fakes.change_oracle import ChangeOracle, OracleMessage, State
from tests.fakes.in_memory import Line, Platform
from tests.fakes.simulated import logged_in

STORE = "/restapi/v1.0/account/~/extension/~/message-store"
VENDOR = "application/vnd.ringcentral.multipart+json"
CONFIG = SimulatorConfig(
    AccountSpec(messages=0),
    plans={UsageGroup(name): Plan(limit=100_000) for name in ("light", "medium")},
    calls=0,
)
KINDS = ("SMS", "SMS", "SMS", "Fax", "VoiceMail", "Pager")
UNKNOWN = 5
"""An id that no message has."""

FAULTS = {"": True, "reset": True, "status_after": True, "lost_request": False, "status": False}
"""Kinds of faults, and whether the change is made; empty for no fault."""


@attrs.frozen
class Step:
    """One change, or a pause."""

    what: str
    places: Sequence[int] = ()
    in_body: bool = False
    purge: bool = False
    fault: str = ""
    days: float = 0.0


_places = st.lists(st.integers(0, len(KINDS)), min_size=1, max_size=4)
steps = st.one_of(
    st.builds(
        Step,
        st.sampled_from(["Read", "Unread", "restore", "delete", "talks"]),
        _places,
        st.booleans(),
        st.booleans(),
        st.sampled_from(sorted(FAULTS)),
    ),
    st.builds(Step, st.just("wait"), days=st.sampled_from([0.1, 4.5, 5.5])),
)


class Run:
    """A simulated mailbox and its model."""

    def __init__(self, platform: Platform, http: httpx.AsyncClient) -> None:
        self.platform = platform
        self.http = http
        backend = platform.backend
        self.owner = platform.simulator.account.extensions[0]
        self.ids = []
        model = {}
        for kind in KINDS:
            message = new_message(backend.account, self.owner.id, kind, "Inbound", platform.now_s)
            backend.messages.settle(self.owner.id, platform.now_s)
            backend.messages.arrive(message)
            self.ids.append(message.id)
            model[message.id] = OracleMessage(talk=backend.account.conversation_of(message))
        self.talks = [message.talk for message in model.values() if message.talk]
        self.oracle = ChangeOracle(model)
        self.ids.append(UNKNOWN)

    async def play(self, step: Step) -> None:
        """Play a step on both sides, and compare them."""
        if step.what == "wait":
            self.platform.backend.account_clock.advance(step.days * 86_400)
        self.oracle.pass_until(self.platform.now_s)
        if step.what != "wait":
            if step.fault:
                self.platform.fault(step.fault)
            try:
                answer = await self._request(step)
            except httpx.ReadError:
                answer = None
            self.platform.simulator.faults.clear()
            expected = self._model(step) if FAULTS[step.fault] else []
            if not step.fault and answer is not None:
                assert _statuses(answer, len(expected)) == expected
        assert await self._states() == self.oracle.states()
        noted = " ".join(self.platform.simulator.journal.violations())
        assert noted.count("by repetition") == len(self.oracle.repeated)

    async def _request(self, step: Step) -> httpx.Response:
        ids = [self.ids[place] for place in step.places]
        query = {"purge": "true"} if step.purge else {}
        vendor = {"Content-Type": VENDOR, "Accept": VENDOR}
        send = partial(self.http.request, headers=vendor)
        if step.what == "talks":
            talks = self._talks(step)
            named = {"conversationId": ["*"] if step.in_body else talks}
            return await send(
                "DELETE", STORE, params={**query, **named}, json=talks if step.in_body else None
            )
        path = "*" if step.in_body else ",".join(map(str, ids))
        if step.what == "delete":
            body = [str(i) for i in ids] if step.in_body else None
            return await send("DELETE", f"{STORE}/{path}", params=query, json=body)
        wish = {"availability": "Alive"} if step.what == "restore" else {"readStatus": step.what}
        method = "PATCH" if step.what == "restore" or step.purge else "PUT"
        if len(ids) == 1 and not step.in_body:
            return await send(method, f"{STORE}/{path}", json=wish)
        return await send(method, f"{STORE}/{path}", json=[{"resourceId": str(i), "body": wish} for i in ids])

    def _model(self, step: Step) -> list[int]:
        ids = [self.ids[place] for place in step.places]
        match step.what:
            case "delete":
                return self.oracle.delete(ids, purge=step.purge)
            case "restore":
                return self.oracle.restore(ids)
            case "talks":
                self.oracle.delete_talks(self._talks(step), purge=step.purge)
                return [204]
            case _:
                return self.oracle.mark(ids, step.what)

    def _talks(self, step: Step) -> list[str]:
        return [self.talks[place % len(self.talks)] for place in step.places]

    async def _states(self) -> dict[int, State]:
        answer = await self.http.get(f"{STORE}/{','.join(map(str, self.ids))}", headers={"Accept": VENDOR})
        found = [entry["body"] for entry in answer.json() if entry["status"] == 200]
        return {record["id"]: (record["availability"], record["readStatus"]) for record in found}


def _statuses(answer: httpx.Response, count: int) -> list[int]:
    """The status for each id; one for all if the answer is not a 207."""
    if answer.status_code != 207:
        return [answer.status_code] * count
    return [entry["status"] for entry in answer.json()]


async def play(played: Sequence[Step]) -> None:
    async with trio.open_nursery() as nursery:
        platform = Platform(CONFIG, nursery)
        async with logged_in(platform.endpoints, transport=Line(platform)) as http:
            run = Run(platform, http)
            for step in played:
                await run.play(step)
        nursery.cancel_scope.cancel()


@given(st.lists(steps, max_size=12))
def test_the_simulator_and_the_model_agree(played: list[Step]) -> None:
    trio.run(play, played, clock=MockClock(autojump_threshold=0))
