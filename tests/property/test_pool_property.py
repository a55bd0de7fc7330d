"""A pool of logins against the simulator, whatever happens: refusals, revocations, lost answers, kills.

In the end every content is in the cache. For each there was one answer, except for those that were lost or on
their way when a process was killed. No login has sent more than its limit. It runs in virtual time.

``RCFS_SOAK_S=600`` sets the seconds of the long run; by default it is short.
"""

import os
import time
from collections import Counter
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import attrs
import pytest
import trio
from trio.testing import MockClock

from rcfs.errors import RcfsError
from rcfs.model import HEAVY, LIGHT, MEDIUM, PRIOR_PLANS, AttachmentKey, Plan, Priority, UsageGroup, Wanted
from rcfs.simulator import AccountSpec, LoginSpec
from tests.fakes import mortal
from tests.fakes.call_rig import CallRig, CallWorld, open_calls
from tests.fakes.ledgers import InMemory
from tests.fakes.mortal import Life
from tests.fakes.rig import messages_of, run_inline

SOAK_S = float(os.environ.get("RCFS_SOAK_S", "2"))
CONTENT = "readMessageContent"
LOST: dict[str, dict[str, object]] = {
    "reset": {},
    "reset_body": {},
    "truncate": {},
    "status": {"status": 503, "count": 2},
    "expired_token": {},
    "slow": {"delay_s": 20},
    "lost_request": {},
}


@attrs.define(eq=False)
class Team:
    """The account, and a process that fetches all contents of its mailboxes with the pool."""

    dice: Random
    world: CallWorld
    lost: Counter[str] = attrs.field(factory=Counter)
    """Answers that a kill took away, by path."""

    async def live(self, statements: int | None) -> bool:
        """Fetches everything in a process of its own; whether it lived that long."""
        done: list[bool] = []
        # A task of its own, to which its databases belong.
        async with trio.open_nursery() as nursery:  # noqa: ASYNC112 - see above
            nursery.start_soon(self._live, statements, done)
        return bool(done)

    async def _live(self, at_s: int | None, done: list[bool]) -> None:
        scope = trio.CancelScope()
        life = Life(scope.cancel)
        name = f"process {self.world.started + 1}"
        with suppress(Exception), scope:  # noqa: ASYNC912 - it always has a checkpoint
            async with self.world.engine(pool=True, life=life, may_warn=True) as rig:
                if at_s is None:
                    await self._fetch_all(rig)
                    done.append(True)
                    return
                with trio.move_on_after(at_s):
                    await self._fetch_all(rig)
                self._kill(rig, life, name)
        assert done or life.is_over

    def _kill(self, rig: CallRig, life: Life, name: str) -> None:
        rig.line.is_cut = True
        for each in self.world.sent(CONTENT):
            key = each.path.split("/")
            found = AttachmentKey(key[4], int(key[6]), int(key[8]), int(key[10]))
            if each.status == 200 and rig.engine.cache.contains(found) != "yes":
                self.lost[each.path] = sum(
                    one.path == each.path and one.status == 200 for one in self.world.sent(CONTENT)
                )
        life.end()
        rig.engine.cache.claims.close()
        for ledgers in (self.world.ledgers, *self.world.more_ledgers.values()):
            ledgers.kill(name, trio.current_time())

    async def _fetch_all(self, rig: CallRig) -> None:
        account = rig.engine.account
        wanted = [
            Wanted(AttachmentKey(account.id, owner, message.id, each.id), each.uri, each.content_type)
            for owner in self.world.extensions[:3]
            for message in messages_of(await account.mailboxes.open(owner))
            for each in message.attachments
        ]
        self.dice.shuffle(wanted)
        async with trio.open_nursery() as nursery:
            for each in wanted:
                nursery.start_soon(self._fetch, rig, each)

    async def _fetch(self, rig: CallRig, wanted: Wanted) -> None:
        library = rig.engine.library
        while True:
            content = await library.look(wanted)
            library.fetch(content, self.dice.choice((Priority.BULK, Priority.BULK, Priority.PERSON)))
            try:
                await content.wait_complete()
                return
            except RcfsError:
                await trio.sleep(400)  # A refusal is remembered for five minutes.
            finally:
                library.release(content)

    async def disturb(self) -> None:
        """Faults, and logins that are revoked and come back, until it is cancelled."""
        platform = self.world.platform
        auth = platform.simulator.auth
        while True:
            await trio.sleep(self.dice.choice((1, 5, 30)))
            if self.dice.random() < 0.5:
                kind = self.dice.choice(list(LOST))
                platform.fault(kind, **{"operation": CONTENT, "count": 1} | LOST[kind])
            else:
                login = self.dice.choice(auth.more)
                auth.refuse(login)
                await trio.sleep(self.dice.choice((1, 60, 200)))
                auth.accept(login)


async def _run(seed: int, directory: Path) -> None:
    dice = Random(seed)

    def plans() -> dict[UsageGroup, Plan]:
        return {MEDIUM: Plan(dice.randrange(2, 12)), LIGHT: Plan(dice.choice((20, 50))), HEAVY: Plan(10)}

    own = plans()
    logins = [
        LoginSpec(
            slot=dice.randrange(3),
            app=f"app {number}",
            closed=frozenset(dice.sample(range(3), dice.randrange(3))),
            hides=dice.random() < 0.5,
            plans=plans(),
        )
        for number in range(dice.randrange(1, 4))
    ]
    spec = AccountSpec(messages=25, months=1, seed=seed)
    async with open_calls(directory, spec=spec, more_logins=logins, plans=own, calls=0) as world:
        world.ledgers = InMemory({**PRIOR_PLANS, **own}, directory)
        team = Team(dice, world)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(team.disturb)
            for _kill in range(dice.randrange(3)):
                await team.live(dice.choice((1, 3, 20, 100)))
            nursery.cancel_scope.cancel()
        world.platform.simulator.faults.clear()
        for each in world.platform.simulator.auth.more:
            world.platform.simulator.auth.accept(each)
        with trio.fail_after(3 * 86_400):
            assert await team.live(None)
        _check(team)


def _check(team: Team) -> None:
    answered: Counter[str] = Counter()
    for each in team.world.sent(CONTENT):
        # A body that broke off is fetched again, from where it broke off.
        answered[each.path] += each.status == 200 and not each.fault
    assert answered
    assert {path: n for path, n in answered.items() if n > 1 + team.lost[path]} == {}


def test_no_content_is_lost_and_no_limit_is_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    mortal.install(monkeypatch)
    monkeypatch.setattr(trio.to_thread, "run_sync", run_inline)
    begun_s, seed = time.process_time(), int(os.environ.get("RCFS_SEED", "0"))
    while time.process_time() - begun_s < SOAK_S:
        with TemporaryDirectory() as directory:
            try:
                trio.run(partial(_run, seed, Path(directory)), clock=MockClock(autojump_threshold=0))
            except BaseException as exc:
                exc.add_note(f"RCFS_SEED={seed}")
                raise
        seed += 1
