"""A scripted day, and the admin interface that plays it."""

from collections import Counter

import httpx
import pytest

from rcfs.model import Plan, UsageGroup
from rcfs.simulator import AccountSpec, Simulator, SimulatorConfig
from rcfs.simulator.account._account import SimAccount
from rcfs.simulator.account._message_day import play_day
from rcfs.simulator.account._message_store import MessageStore
from rcfs.simulator.account._plan import DAY_S, SimMessage
from tests.fakes.simulated import in_process, logged_in, start

STORE = "/restapi/v1.0/account/~/extension/~/message-store"
END_S = AccountSpec().end_s
Told = tuple[int, bool, str, str]


def played(spec: AccountSpec, steps: int) -> tuple[SimAccount, list[Told]]:
    """An account after its day, settled in `steps` steps, and the notifications."""
    account = SimAccount(spec)
    store = MessageStore(account)
    told: list[Told] = []
    store.listen(lambda m, is_new: told.append((m.id, is_new, m.read_status, m.availability)))
    assert play_day(store, account, END_S) > 100
    for step in range(1, steps + 1):
        for extension in account.extensions:
            store.settle(extension.id, END_S + DAY_S * step / steps)
    return account, told


def arrivals(account: SimAccount) -> list[SimMessage]:
    found = [account.message(e.id, i) for e in account.extensions for i in account.message_ids(e.id)]
    return [m for m in found if m is not None and (m.created_s or 0) >= END_S]


def state(account: SimAccount) -> list[tuple[int, str, str, float]]:
    return [(m.id, m.read_status, m.availability, m.last_modified) for m in arrivals(account)]


def test_a_day_brings_reads_and_deletes() -> None:
    account, told = played(AccountSpec(messages=60), 1)
    messages = arrivals(account)
    assert len(messages) == sum(is_new for _, is_new, _, _ in told) > 100
    assert {m.type for m in messages} == {"SMS", "VoiceMail", "Fax", "Pager"}
    assert {m.direction for m in messages} == {"Inbound", "Outbound"}
    states = Counter((m.read_status, m.availability) for m in messages if m.direction == "Inbound")
    assert {("Read", "Alive"), ("Unread", "Alive"), ("Read", "Deleted")} <= set(states)
    assert all(END_S <= m.last_modified < END_S + DAY_S + 60 for m in messages)
    refused = {e.id for e in account.extensions if e.mailbox_refused or e.status != "Enabled"}
    assert not refused & {m.extension_id for m in messages}
    for extension in account.extensions:
        ids = list(account.message_ids(extension.id))
        times = [m.created_s or 0 for i in ids if (m := account.message(extension.id, i))]
        assert times == sorted(times, reverse=True), "newest first"
        for message_id in ids:
            assert (
                account.message_record(extension.id, message_id, "http://p", "http://m")["id"] == message_id
            )
    assert [i for _, i in sorted((m.created_s or 0, m.id) for m in messages)] == sorted(
        m.id for m in messages
    )


def test_the_number_of_looks_changes_nothing() -> None:
    once, _ = played(AccountSpec(messages=60), 1)
    often, _ = played(AccountSpec(messages=60), 50)
    assert state(once) == state(often)
    other, _ = played(AccountSpec(messages=60, seed=2), 1)
    assert state(once) != state(other)


def test_a_single_extension_has_no_colleagues_to_write_to() -> None:
    account, _ = played(AccountSpec(messages=0, extensions=1), 1)
    assert "Pager" not in {m.type for m in arrivals(account)}


async def test_it_is_played_through_the_admin_interface_and_ends() -> None:
    config = SimulatorConfig(AccountSpec(messages=30), plans={UsageGroup("light"): Plan(limit=1000)})
    async with in_process(config) as (simulator, endpoints), logged_in(endpoints) as http:
        answer = await http.post("/simulator/day", json={"speed": 1e7})
        assert answer.json()["messages"] > 100
        while (clock := (await http.get("/simulator/clock")).json())["speed"] != 1:
            pass
        assert clock["time"] >= "2026-11-21T12:00:00.000Z"
        listed = await http.get(STORE, params={"dateTo": clock["time"], "perPage": "1000"})
        jane = simulator.account.extensions[0].id
        assert len(listed.json()["records"]) > 20
        assert listed.json()["records"][0]["id"] in simulator.account.message_ids(jane)
        for row in (await http.get("/simulator/truth")).text.splitlines():
            assert row


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("clock", {"advance_s": -1}),
        ("clock", {"advance_s": "1"}),
        ("clock", []),
        ("day", {"speed": 0}),
        ("day", {}),
        ("arrive", {"extension_id": 1, "type": "SMS"}),
        ("arrive", {"extension_id": True, "type": "SMS"}),
        ("arrive", {"extension_id": 1, "type": "Letter"}),
    ],
)
async def test_invalid_admin_requests_are_refused(path: str, body: object) -> None:
    config = SimulatorConfig(AccountSpec(messages=0))
    async with in_process(config) as (_, endpoints), httpx.AsyncClient() as http:
        answer = await http.post(f"{endpoints.platform_url}/simulator/{path}", json=body)
        assert (answer.status_code, list(answer.json())) == (400, ["error"])


async def test_due_changes_happen_without_a_request() -> None:
    config = SimulatorConfig(AccountSpec(messages=30), day_speed=1e7)
    async with in_process(config) as (simulator, _):
        await wait_for_messages(simulator, 30 + 100)


async def wait_for_messages(simulator: Simulator, at_least: int) -> None:
    """Return once the account has this number of messages; only the simulator's own task adds them."""
    import trio

    with trio.fail_after(60):
        while True:
            account = simulator.account
            if sum(len(account.message_ids(e.id)) for e in account.extensions) >= at_least:
                return
            await trio.lowlevel.checkpoint()


def test_the_command_plays_a_day() -> None:
    with start("--messages=0", "--day=100000") as simulated:
        clock = httpx.get(f"{simulated.platform_url}/simulator/clock").json()
        assert clock["speed"] == 100_000 or clock["time"] >= "2026-11-21T12"
