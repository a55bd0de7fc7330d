"""Messages that the platform deletes by itself: those too old, and the oldest of a full folder."""

import pytest

from rcfs.model import Plan, UsageGroup
from rcfs.simulator import AccountSpec, SimulatorConfig
from rcfs.simulator.account._account import SimAccount
from rcfs.simulator.account._message_filter import created_s
from rcfs.simulator.account._message_limits import MailboxLimits
from rcfs.simulator.account._message_store import MessageStore, StoreRules, new_message
from rcfs.simulator.account._plan import DAY_S, SimMessage
from tests.fakes.simulated import in_process, logged_in

END_S = AccountSpec().end_s


class Office:
    """An account with a message store and enforced `rules`."""

    def __init__(self, messages: int, rules: StoreRules) -> None:
        self.account = SimAccount(AccountSpec(messages=messages))
        self.rules = rules
        self.store = MessageStore(self.account)
        self.limits = MailboxLimits(self.account, self.store, rules)
        self.me = self.account.extensions[0].id

    def enforce(self, now_s: float) -> None:
        for _ in self.limits.enforce(now_s):
            pass

    def arrive(self, kind: str, now_s: float, direction: str = "Inbound") -> SimMessage:
        self.store.settle(self.me, now_s)
        message = new_message(self.account, self.me, kind, direction, now_s)
        self.store.arrive(message)
        return message

    def those(self, *kinds: str, availability: str = "Alive", direction: str = "") -> list[SimMessage]:
        return [
            message
            for message in self.account.mailbox(self.me).newest_first()
            if message.type in kinds
            and message.availability == availability
            and direction in ("", message.direction)
        ]


@pytest.fixture
def small_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rcfs.simulator.account._message_limits.MOST_IN_INBOX", 3)
    monkeypatch.setattr("rcfs.simulator.account._message_limits.MOST_TEXTS", 4)


def test_messages_are_purged_exactly_when_the_retention_period_ends() -> None:
    office = Office(300, StoreRules(retention_days=60))
    before = office.those("SMS", "Pager")
    office.enforce(END_S)
    kept = office.those("Fax", "VoiceMail")
    assert kept
    assert all(created_s(message) > END_S - 60 * DAY_S for message in kept)
    assert office.those("SMS", "Pager") == before, "texts are kept for ever"
    purged = office.those("Fax", "VoiceMail", availability="Purged")
    assert {message.last_modified for message in purged} == {END_S}, "at once what had been too old before"
    fax = office.arrive("Fax", END_S)
    due_s = END_S + 60 * DAY_S
    office.store.settle(office.me, due_s - 0.001)
    assert fax.availability == "Alive"
    office.store.settle(office.me, due_s)
    assert (fax.availability, fax.last_modified) == ("Purged", due_s)
    office.store.settle(office.me, due_s + 5 * DAY_S - 0.001)
    assert office.account.message(office.me, fax.id) is fax
    office.store.settle(office.me, due_s + 5 * DAY_S)
    assert office.account.message(office.me, fax.id) is None, "erased"


def test_the_period_can_be_changed_both_ways() -> None:
    office = Office(0, StoreRules(retention_days=10))
    office.enforce(END_S)
    first, second = office.arrive("VoiceMail", END_S), office.arrive("VoiceMail", END_S + 8 * DAY_S)
    office.rules.retention_days = 90
    office.enforce(END_S + 9 * DAY_S)
    office.store.settle(office.me, END_S + 20 * DAY_S)
    assert (first.availability, second.availability) == ("Alive", "Alive")
    office.rules.retention_days = 15
    office.enforce(END_S + 20 * DAY_S)
    assert (first.availability, second.availability) == ("Purged", "Alive")
    office.store.settle(office.me, END_S + 23 * DAY_S)
    assert second.availability == "Purged"


@pytest.mark.usefixtures("small_folders")
def test_a_folder_that_is_full_drops_its_oldest() -> None:
    office = Office(300, StoreRules(limited=True))
    newest = office.those("Fax", "VoiceMail", direction="Inbound")[:3]
    texts = [*office.those("SMS", direction="Inbound")[:4], *office.those("SMS", direction="Outbound")[:4]]
    pagers = office.those("Pager")
    office.enforce(END_S)
    assert office.those("Fax", "VoiceMail", direction="Inbound") == newest
    assert sorted(m.id for m in office.those("SMS")) == sorted(m.id for m in texts)
    assert office.those("Pager") == pagers, "no limit is documented"
    fax = office.arrive("Fax", END_S + 1)
    assert office.those("Fax", "VoiceMail", direction="Inbound") == [fax, *newest[:2]]
    dropped = office.account.message(office.me, newest[2].id)
    assert dropped is not None
    assert (dropped.availability, dropped.last_modified) == ("Purged", END_S + 1)
    office.store.delete(fax, END_S + 2)
    assert len(office.those("Fax", "VoiceMail", direction="Inbound")) == 2, "nothing comes back"
    voicemail = office.arrive("VoiceMail", END_S + 3)
    assert len(office.those("Fax", "VoiceMail", direction="Inbound")) == 3
    office.store.restore(fax, END_S + 4)
    assert office.those("Fax", "VoiceMail", direction="Inbound") == [voicemail, fax, newest[0]]


@pytest.mark.usefixtures("small_folders")
def test_the_trash_of_texts_is_a_folder_too() -> None:
    office = Office(0, StoreRules(limited=True))
    office.enforce(END_S)
    sent = [office.arrive("SMS", END_S + number) for number in range(4)]
    for message in sent:
        office.store.delete(message, END_S + 10)
    more = [office.arrive("SMS", END_S + 20 + number) for number in range(4)]
    assert len(office.those("SMS", availability="Deleted")) == len(office.those("SMS")) == 4
    office.store.delete(more[0], END_S + 30)
    assert sent[0].availability == "Purged"
    assert len(office.those("SMS", availability="Deleted")) == 4


@pytest.mark.parametrize("hipaa", [False, True])
def test_sent_faxes_go_after_a_month_and_with_hipaa_the_inbox_too(hipaa: bool) -> None:
    office = Office(0, StoreRules(limited=True, hipaa=hipaa))
    office.enforce(END_S)
    sent = office.arrive("Fax", END_S, "Outbound")
    received = office.arrive("Fax", END_S), office.arrive("VoiceMail", END_S)
    office.store.settle(office.me, END_S + 30 * DAY_S)
    assert sent.availability == "Purged"
    assert {message.availability for message in received} == {"Purged" if hipaa else "Alive"}


async def test_a_client_sets_the_period_and_the_clock_does_the_rest() -> None:
    plans = {UsageGroup("light"): Plan(1000)}
    config = SimulatorConfig(AccountSpec(messages=300), plans)
    async with in_process(config) as (_, endpoints), logged_in(endpoints) as http:
        store = "/restapi/v1.0/account/~/extension/~/message-store"
        ever = {"dateFrom": "2020-01-01T00:00:00Z", "perPage": "1000", "messageType": ["Fax", "VoiceMail"]}

        async def created() -> list[str]:
            answer = await http.get(store, params=ever)
            return [record["creationTime"] for record in answer.raise_for_status().json()["records"]]

        everything = await created()
        assert everything[-1] < "2026-01", "what the account was made with is older than any period"
        sync = (await http.get(store.replace("store", "sync"), params=ever)).json()
        url = "/restapi/v1.0/account/~/message-store-configuration"
        (await http.put(url, json={"retentionPeriod": 60})).raise_for_status()
        kept = [time for time in everything if time > "2026-09-21T12"]
        assert await created() == kept
        token = {"syncType": "ISync", "syncToken": sync["syncInfo"]["syncToken"]}
        tombstones = (await http.get(store.replace("store", "sync"), params=token)).json()["records"]
        assert [set(record) for record in tombstones] == [{"id", "availability"}] * len(tombstones)
        assert len(tombstones) == len(everything) - len(kept)
        await http.post("/simulator/clock", json={"advance_s": 30 * DAY_S})
        assert await created() == [time for time in kept if time > "2026-10-21T12"]


async def test_limits_are_an_option() -> None:
    config = SimulatorConfig(AccountSpec(messages=1500), mailbox_limits=True, hipaa=True)
    async with in_process(config) as (_, endpoints), logged_in(endpoints) as http:
        store = "/restapi/v1.0/account/~/extension/~/message-store"
        query = {"dateFrom": "2020-01-01T00:00:00Z", "perPage": "1000"}
        records = (await http.get(store, params=query)).json()["records"]
        oldest = {r["type"]: r["creationTime"] for r in records}
        assert oldest["Fax"] > "2026-10-21T12"
        assert oldest["VoiceMail"] > "2026-10-21T12"
        assert oldest["SMS"] < "2026-01"


async def test_a_full_mailbox_can_be_deleted_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rcfs.simulator.account._message_limits.MOST_TEXTS", 20)
    config = SimulatorConfig(AccountSpec(messages=3000, extensions=1), mailbox_limits=True)
    async with in_process(config) as (_, endpoints), logged_in(endpoints) as http:
        store = "/restapi/v1.0/account/~/extension/~/message-store"
        query = {"dateFrom": "2020-01-01T00:00:00Z", "perPage": "1000", "messageType": "SMS"}
        query["availability"] = "Deleted"
        assert len((await http.get(store, params=query)).json()["records"]) == 20, "the trash is full"
        assert (await http.delete(store, params={"type": "SMS"})).status_code == 204
        assert len((await http.get(store, params=query)).json()["records"]) <= 20
        assert (await http.get(store, params={**query, "availability": "Alive"})).json()["records"] == []
