"""A pool of logins fetches contents: each within its own limits, and whatever becomes of any of them."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path

import attrs
import pytest
import trio

from rcfs.engine_status import pool_status, queue_status
from rcfs.errors import AuthError, ForbiddenError, NotFoundError, RcfsError
from rcfs.model import (
    AUTH,
    HEAVY,
    LIGHT,
    MEDIUM,
    PRIOR_PLANS,
    AttachmentKey,
    Plan,
    Priority,
    RecordingKey,
    UsageGroup,
    Wanted,
)
from rcfs.platform import Credentials
from rcfs.simulator import AccountSpec, LoginSpec
from rcfs.store import FetchHistory
from tests.fakes.call_rig import CallRig, CallWorld, open_calls
from tests.fakes.ledgers import InMemory
from tests.fakes.rig import messages_of

ATTACHMENT, RECORDING = "readMessageContent", "readCallRecordingContent"
SMALL = {MEDIUM: Plan(4), HEAVY: Plan(4)}
"""Limits with which a test of minutes has few requests."""
THREE = (LoginSpec(app="app 2"), LoginSpec(app="app 3"))
"""Two logins beside the first one."""


@attrs.define
class Pool:
    """An account, and an engine that fetches with all its logins."""

    world: CallWorld
    rig: CallRig
    history: FetchHistory
    owner: int
    """The extension whose contents are fetched."""
    wanted: list[Wanted]
    """Its attachments."""

    async def fetch(self, wanted: Wanted, priority: Priority = Priority.BULK) -> None:
        library = self.rig.engine.library
        content = await library.look(wanted)
        library.fetch(content, priority)
        try:
            await content.wait_complete()
        finally:
            library.release(content)

    async def try_all(self, wanted: Sequence[Wanted], priority: Priority = Priority.BULK) -> list[RcfsError]:
        """Fetches all at the same time, and returns the errors."""
        errors: list[RcfsError] = []

        async def one(each: Wanted) -> None:
            try:
                await self.fetch(each, priority)
            except RcfsError as exc:
                errors.append(exc)

        async with trio.open_nursery() as nursery:
            for each in wanted:
                nursery.start_soon(one, each)
        return errors

    async def join(self) -> None:
        """Lets all further logins take part."""
        await self.fetch(self.wanted.pop())
        await trio.sleep(5)

    def by_login(self, operation: str = ATTACHMENT, since: int = 0) -> Counter[tuple[int, int | None]]:
        """Number of requests by login, counted from 1, and status of the answer; login 0 for a bad token."""
        endpoints = self.world.platform.endpoints
        clients = ["", endpoints.client_id, *(each.client_id for each in endpoints.more)]
        entries = self.world.sent(operation, since=since)
        return Counter((clients.index(each.client), each.status) for each in entries)

    @property
    def states(self) -> dict[str, tuple[str, str]]:
        """State and reason of each further login."""
        return {each.name: (each.state, each.because or "") for each in pool_status(self.rig.engine)}


@asynccontextmanager
async def opened(
    directory: Path,
    logins: Sequence[LoginSpec] = THREE,
    *,
    slot: int = 0,
    messages: int = 60,
    plans: dict[UsageGroup, Plan] | None = None,
) -> AsyncIterator[Pool]:
    """An engine with a pool, and the attachments of the extension at `slot`, whose mailbox is loaded."""
    spec = AccountSpec(messages=messages, months=1)
    async with AsyncExitStack() as stack:
        world = await stack.enter_async_context(
            open_calls(directory, calls=200, spec=spec, more_logins=logins, plans=plans or {})
        )
        world.ledgers = InMemory({**PRIOR_PLANS, **(plans or {})}, directory)
        history = stack.enter_context(closing(FetchHistory.open(directory / "history.sqlite", pytest.fail)))
        rig = await stack.enter_async_context(world.engine(pool=bool(logins), history=history))
        owner = world.extensions[slot]
        account = rig.engine.account
        wanted = [
            Wanted(AttachmentKey(account.id, owner, message.id, each.id), each.uri, each.content_type)
            for message in messages_of(await account.mailboxes.open(owner))
            for each in message.attachments
        ]
        yield Pool(world, rig, history, owner, wanted)


def recordings(pool: Pool) -> list[Wanted]:
    account_id = pool.rig.engine.account.id
    rows = [row for owner in pool.world.extensions for row in pool.rig.recordings(owner)]
    rows.sort(key=lambda row: row.duration_s or 0)  # Long ones take CPU time to make.
    return [Wanted(RecordingKey(account_id, row.id), row.uri, owner=row.owner) for row in rows]


async def test_three_logins_bring_three_times_as_many_attachments(tmp_path: Path) -> None:
    brought = {}
    for name, logins in (("one", ()), ("three", THREE)):
        async with opened(tmp_path / name, logins, messages=220, plans=SMALL) as pool:
            with trio.move_on_after(480):
                await pool.try_all(pool.wanted)
            brought[name] = pool.by_login()
    assert set(brought["one"]) == {(1, 200)}
    # The further logins begin some requests later, when rcfs knows whose they are.
    assert set(brought["three"]) == {(1, 200), (2, 200), (3, 200)}
    assert brought["three"].total() >= 2.9 * brought["one"].total()


async def test_three_logins_bring_three_times_as_many_recordings(tmp_path: Path) -> None:
    brought = {}
    for name, logins in (("one", ()), ("three", THREE)):
        async with opened(tmp_path / name, logins, messages=20, plans=SMALL) as pool:
            await pool.join()
            await pool.rig.open(0)
            await trio.sleep(61)
            with trio.move_on_after(125):
                await pool.try_all(recordings(pool))
            brought[name] = pool.by_login(RECORDING)
    assert set(brought["three"]) == {(1, 200), (2, 200), (3, 200)}
    assert brought["three"].total() >= 2.9 * brought["one"].total()


async def test_only_the_own_login_asks_for_lists(tmp_path: Path) -> None:
    async with opened(tmp_path) as pool:
        await pool.rig.open(0)
        await pool.rig.engine.account.refresh()
        assert await pool.try_all(pool.wanted[:60]) == []
        lists = ("listMessages", "syncMessages", "listExtensions", "readCompanyCallLog")
        first = pool.world.platform.endpoints.client_id
        assert {each.client for each in pool.world.sent(*lists)} == {first}


async def test_nothing_is_asked_with_the_further_logins_before_the_first_content(tmp_path: Path) -> None:
    async with opened(tmp_path) as pool:
        await trio.sleep(600)
        assert len(pool.world.sent("getToken")) == 1
        assert pool.states == {"login 2": ("unused", ""), "login 3": ("unused", "")}
        assert pool.rig.engine.budget.logins == 3
        await pool.join()
        assert len(pool.world.sent("getToken")) == 3
        assert pool.states == {"login 2": ("good", ""), "login 3": ("good", "")}


async def test_a_person_is_served_by_the_own_login_while_the_others_copy(tmp_path: Path) -> None:
    async with opened(tmp_path, messages=100, plans=SMALL) as pool:
        await pool.join()
        await trio.sleep(61)
        pool.rig.engine.lane.gate.mark_present()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pool.try_all, pool.wanted[:-1])
            await trio.sleep(20)
            since = pool.world.mark()
            begun_s = trio.current_time()
            await pool.fetch(pool.wanted[-1], Priority.PERSON)
            assert trio.current_time() - begun_s < 0.5
            assert pool.by_login(since=since)[1, 200] >= 1
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("hides", [False, True])
async def test_a_login_that_may_not_read_a_mailbox_is_asked_once_a_day(tmp_path: Path, hides: bool) -> None:
    logins = (LoginSpec(app="app 2", closed=frozenset({0}), hides=hides), LoginSpec(app="app 3"))
    async with opened(tmp_path, logins, plans=SMALL) as pool:
        await pool.join()
        status = 404 if hides else 403
        assert await pool.try_all(pool.wanted[:12]) == []
        found = pool.by_login()
        # Some requests of a burst are on their way before the first refusal is known.
        assert 1 <= found.pop((2, status)) <= 6
        assert found.keys() == {(1, 200), (3, 200)}
        assert [each.closed for each in pool_status(pool.rig.engine)] == [1, 0]
        since = pool.world.mark()
        await trio.sleep(600)
        assert await pool.try_all(pool.wanted[12:20]) == []
        assert (2, status) not in pool.by_login(since=since)


async def test_a_login_whose_app_lacks_the_scope_is_not_asked(tmp_path: Path) -> None:
    logins = (LoginSpec(app="app 2", missing_scopes=frozenset({"ReadCallRecording"})),)
    async with opened(tmp_path, logins, plans=SMALL) as pool:
        await pool.join()
        await pool.rig.open(0)
        assert await pool.try_all(recordings(pool)[:9]) == []
        assert pool.by_login(RECORDING) == {(1, 200): 9}
        assert await pool.try_all(pool.wanted[:9]) == []
        assert (2, 200) in pool.by_login()


async def test_a_content_is_refused_only_if_all_logins_refuse_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as pool:
        await pool.join()
        since = pool.world.mark()
        pool.world.platform.fault("status", status=403, operation=ATTACHMENT, count=3)
        (error,) = await pool.try_all(pool.wanted[:1])
        assert isinstance(error, ForbiddenError)
        assert pool.by_login(since=since) == {(1, 403): 1, (2, 403): 1, (3, 403): 1}
        assert [each.closed for each in pool_status(pool.rig.engine)] == [0, 0], (
            "it may be this content alone"
        )


@pytest.mark.parametrize(("body", "closed"), [("json", 1), ("html", 0)])
async def test_only_a_refusal_of_the_platform_closes_a_mailbox(
    tmp_path: Path, body: str, closed: int
) -> None:
    async with opened(tmp_path, THREE[:1], messages=20) as pool:
        await pool.join()
        pool.world.platform.fault("status_after", status=403, operation=ATTACHMENT, count=1, body=body)
        assert await pool.try_all(pool.wanted[:1]) == []
        found = [pool.rig.engine.pool.own, *pool.rig.engine.pool.others] if pool.rig.engine.pool else []
        assert sum(each.closed for each in found) == closed


async def test_a_content_that_is_gone_costs_one_request_for_each_login(tmp_path: Path) -> None:
    async with opened(tmp_path) as pool:
        await pool.join()
        gone = Wanted(AttachmentKey(pool.rig.engine.account.id, pool.owner, 6424569004, 99))
        since = pool.world.mark()
        for _again in range(2):
            (error,) = await pool.try_all([gone])
            assert isinstance(error, NotFoundError)
        assert pool.by_login(since=since) == {(1, 404): 1, (2, 404): 1, (3, 404): 1}
        assert [each.closed for each in pool_status(pool.rig.engine)] == [0, 0]


async def test_a_revoked_login_leaves_the_pool_until_new_credentials_are_saved(tmp_path: Path) -> None:
    async with opened(tmp_path, messages=150, plans=SMALL) as pool:
        await pool.join()
        auth, more = pool.world.platform.simulator.auth, pool.world.platform.endpoints.more
        auth.refuse(more[0])
        assert await pool.try_all(pool.wanted[:16]) == []
        state, because = pool.states["login 2"]
        assert state == "refused"
        assert "OAU-140" in because or "assertion" in because
        logins = len(pool.world.sent("getToken"))
        since = pool.world.mark()
        await trio.sleep(600)
        assert await pool.try_all(pool.wanted[16:28]) == []
        assert pool.by_login(since=since).keys() == {(1, 200), (3, 200)}
        assert len(pool.world.sent("getToken")) == logins
        auth.accept(more[0])
        # `rcfs login --pool` has saved a new JWT of the same user; here only the secret's form differs.
        given = more[0]
        auth._more = tuple(
            attrs.evolve(one, credentials=attrs.evolve(one.credentials, jwt=given.jwt + "x"))
            if one.credentials == given
            else one
            for one in auth._more
        )
        pool.world.saved["login 2"] = Credentials(given.client_id, given.client_secret, given.jwt + "x")
        await trio.sleep(20)
        assert pool.states["login 2"] == ("good", "")
        since = pool.world.mark()
        assert await pool.try_all(pool.wanted[28:40]) == []
        assert pool.by_login(since=since).keys() == {(1, 200), (2, 200), (3, 200)}


async def test_the_others_fetch_on_if_the_own_login_is_refused(tmp_path: Path) -> None:
    async with opened(tmp_path, plans=SMALL) as pool:
        await pool.join()
        simulator = pool.world.platform.simulator
        simulator.auth.refuse(simulator.auth.credentials)
        since = pool.world.mark()
        assert await pool.try_all(pool.wanted[:16]) == []
        assert {login for login, status in pool.by_login(since=since) if status == 200} == {2, 3}
        fetches = pool.history.fetches(each.key for each in pool.wanted[:16])
        remarks = {fetch.remark for (fetch,) in fetches.values()}
        assert remarks == {"with the login 'login 2'", "with the login 'login 3'"}
        for each in pool.world.platform.endpoints.more:
            simulator.auth.refuse(next(one for one in simulator.auth.more if one == each))
        errors = await pool.try_all(pool.wanted[16:20])
        assert [isinstance(error, AuthError) for error in errors] == [True] * 4
        simulator.auth.accept(simulator.auth.credentials)


async def test_a_login_of_another_account_is_not_used(tmp_path: Path) -> None:
    async with opened(tmp_path, (LoginSpec(app="app 2", account_id=4711),), plans=SMALL) as pool:
        assert await pool.try_all(pool.wanted[:12]) == []
        assert pool.by_login() == {(1, 200): 12}
        assert pool.states == {
            "login 2": (
                "another account",
                f"it logs in to the account 4711, and this is {pool.rig.engine.account.id}",
            )
        }
        assert pool.rig.engine.budget.logins == 1


async def test_the_same_user_and_app_count_once(tmp_path: Path) -> None:
    logins = (LoginSpec(slot=0), LoginSpec(slot=2, app="app 2"), LoginSpec(slot=2, app="app 2"))
    async with opened(tmp_path, logins, plans=SMALL) as pool:
        assert await pool.try_all(pool.wanted[:16]) == []
        assert sorted(state for state, _because in pool.states.values()) == ["double", "double", "good"]
        assert pool.rig.engine.budget.logins == 2


async def test_a_penalty_of_one_login_stops_no_other(tmp_path: Path) -> None:
    async with opened(tmp_path, plans=SMALL) as pool:
        await pool.join()
        simulator, entry = pool.world.platform.simulator, pool.world.sent(ATTACHMENT)[0]
        simulator.police.freeze(entry.user, entry.client, pool.world.backend.clock(), 300.0)
        begun_s = trio.current_time()
        assert await pool.try_all(pool.wanted[:12]) == []
        assert trio.current_time() - begun_s < 200
        found = pool.by_login()
        assert found.pop((1, 429)) == 1, "one refusal tells it"
        pool.world.sent(ATTACHMENT)[1].fault = "penalty"
        for each in pool.world.sent(ATTACHMENT):
            each.fault = each.fault or ("set by the test" if each.status == 429 else "")


async def test_a_waiting_request_goes_to_the_login_that_is_free_first(tmp_path: Path) -> None:
    async with opened(tmp_path, plans=SMALL) as pool:
        await pool.join()
        await trio.sleep(60)
        assert await pool.try_all(pool.wanted[:4]) == []
        await trio.sleep(30)
        assert await pool.try_all(pool.wanted[4:12]) == []
        begun_s = trio.current_time()
        # All slots are taken; four return within half a minute, whichever login has them.
        assert await pool.try_all(pool.wanted[12:16]) == []
        assert trio.current_time() - begun_s < 35


async def test_the_forecast_counts_each_waiting_request_once(tmp_path: Path) -> None:
    async with opened(tmp_path, messages=150, plans=SMALL) as pool:
        await pool.join()
        engine, begun_s = pool.rig.engine, trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pool.try_all, pool.wanted[:60])
            await trio.sleep(2)
            (row,) = [each for each in queue_status(engine) if each.group == MEDIUM]
            assert row.waiting + pool.by_login().total() == 61
            left_s = engine.budget.answered_s(MEDIUM, Priority.BULK, 0)
            assert row.all_in_s == pytest.approx(left_s, abs=5)
        assert trio.current_time() - begun_s == pytest.approx(2 + left_s, abs=15)


async def test_logins_of_one_app_share_its_budget_for_logins(tmp_path: Path) -> None:
    logins = tuple(LoginSpec(slot=slot) for slot in (1, 2, 5))
    async with opened(tmp_path, logins, plans={AUTH: Plan(2)}) as pool:
        await pool.fetch(pool.wanted[0])
        await trio.sleep(200)
        assert {state for state, _because in pool.states.values()} == {"good"}


async def test_a_fetch_that_nobody_waits_for_leaves_all_queues(tmp_path: Path) -> None:
    async with opened(tmp_path, plans=SMALL) as pool:
        await pool.join()
        await trio.sleep(61)
        since = pool.world.mark()
        with trio.move_on_after(1):
            await pool.try_all(pool.wanted[:20])
        await trio.sleep(1)
        assert pool.by_login(since=since).total() == 3 * 3, "the first of each, without the reserve"
        assert [each for each in queue_status(pool.rig.engine) if each.group in (MEDIUM, LIGHT)] == []
