"""Calls and recordings in the index: migrated, shared, searched, damaged, saved from damage, and erased.

The sums are compared with a dictionary in tests/property.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

import attrs
import pytest

from rcfs.errors import StoreError
from rcfs.model import COMPANY, FolderNames, Place, ShelvedCall, ShelvedMessage
from rcfs.store import CALL_TYPE, RECORDING_TYPE, IndexDamagedError, MailboxIndex, Scope
from tests.fakes.calls import contact, name_by_key, shelved_call, shelved_recording

MONTH = "2026-11"
ALL = Scope("1", (COMPANY, 101, 102))
LINKED = shelved_recording("900", links=(contact(),))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mailboxes.sqlite"


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def opened(path: Path, warnings: list[str]) -> Iterator[Callable[[], MailboxIndex]]:
    """Opens the index of the test, as often as it likes; all are closed at the end."""
    made: list[MailboxIndex] = []

    def open_it() -> MailboxIndex:
        made.append(MailboxIndex.open(path, warnings.append))
        return made[-1]

    yield open_it
    for index in made:
        index.close()


def load(index: MailboxIndex, *calls: ShelvedCall, owner: int = COMPANY, account: str = "1") -> None:
    """Lists a month of an owner, whose only calls are these."""
    listing = index.writer.calls.begin(account, owner, MONTH)
    index.writer.calls.put(account, calls, name_by_key, listing=listing)
    index.writer.calls.finish(account, owner, MONTH, listing, 5.0, name_by_key)


def put(index: MailboxIndex, *calls: ShelvedCall, again: bool = False) -> None:
    index.writer.calls.put("1", calls, name_by_key, again=again)


def lines(index: MailboxIndex, owner: int = COMPANY, account: str = "1") -> list[str]:
    return [line.split(",")[0] for line in index.reader.calls.lines(account, owner, MONTH)]


def load_mailbox(index: MailboxIndex, *ids: int, extension: int = 101) -> int:
    mailbox, listing = index.writer.begin("1", extension)
    messages = [
        ShelvedMessage(number, f"message [{number}]", 1.0, 1.0, "{}", Place("SMS", MONTH), (contact(),))
        for number in ids
    ]
    index.writer.put(mailbox, messages, name_by_key, listing=listing)
    index.writer.synced(mailbox, "token", 5.0)
    return mailbox


def contacts(index: MailboxIndex, extension: int = 101) -> dict[str, tuple[list[int], list[str]]]:
    """By name of the folder: the ids of its messages, and the ids of its recordings."""
    state = index.reader.mailbox("1", extension)
    assert state is not None
    return {
        folder.name: (
            [message.id for message in index.reader.messages(folder.number, 0, 100)],
            [recording.id for recording in index.reader.calls.links(folder.number, 0, 100)],
        )
        for folder in index.reader.folders(state.number, "By-Contact", 0, 100)
    }


def found(index: MailboxIndex, query: str, scope: Scope = ALL) -> list[tuple[int, str]]:
    return [(row.extension_id, "/".join(row.path)) for row in index.search.matches(query, scope, 0, 100)]


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


def test_an_index_without_calls_keeps_its_messages(
    opened: Callable[[], MailboxIndex], path: Path, warnings: list[str]
) -> None:
    index = opened()
    mailbox = load_mailbox(index, 1, 2)
    index.close()
    with closing(sqlite3.connect(path)) as connection, connection:
        for table in ("call_months", "calls", "call_places", "recordings", "recording_links", "call_words"):
            connection.execute(f"DROP TABLE {table}")
        connection.execute("PRAGMA user_version = 4")
    index = opened()
    state = index.reader.mailbox("1", 101)
    assert state is not None
    assert (state.number, state.loaded) == (mailbox, True)
    assert contacts(index) == {"+12125557464": ([1, 2], [])}
    load(index, shelved_call("a", LINKED))
    assert contacts(index) == {"+12125557464": ([1, 2], ["900"])}
    index.find_damage()
    assert not warnings


def test_a_month_is_loaded_for_its_owner_alone(opened: Callable[[], MailboxIndex]) -> None:
    index = opened()
    reader = index.reader.calls
    load(index, shelved_call("a", LINKED), owner=101)
    own, company = reader.month("1", 101, MONTH), reader.month("1", COMPANY, MONTH)
    assert own is not None
    assert company is not None
    assert (own.loaded, own.synced_s, own.calls, own.recordings) == (True, 5.0, 1, 1)
    assert (company.loaded, company.synced_s, company.recordings) == (False, 0.0, 0)
    assert reader.month("2", 101, MONTH) is None
    index.writer.calls.synced("1", 101, MONTH, 9.0)
    index.writer.calls.synced("1", 101, "2026-01", 9.0)
    assert own.revision == 1
    assert reader.month("1", 101, MONTH) == attrs.evolve(own, synced_s=9.0)
    assert reader.month("1", 101, "2026-01") is None
    months = reader.all_months("1")
    assert {log: (state.calls, state.recordings) for log, state in months.items()} == {
        (COMPANY, "2026-11"): (1, 0),
        (101, "2026-11"): (1, 1),
    }
    assert months[101, "2026-11"] == reader.month("1", 101, "2026-11")
    assert index.reader.counts("1") == {}, "of mailboxes that are loaded"


def test_processes_share_calls(opened: Callable[[], MailboxIndex]) -> None:
    one, other = opened(), opened()
    first = one.writer.calls.begin("1", COMPANY, MONTH)
    second = other.writer.calls.begin("1", COMPANY, MONTH)
    put(one, shelved_call("synced"))
    one.writer.calls.put("1", [shelved_call("a")], name_by_key, listing=first)
    other.writer.calls.put("1", [shelved_call("b")], name_by_key, listing=second)
    one.writer.calls.finish("1", COMPANY, MONTH, first, 5.0, name_by_key)
    assert lines(other) == ["a", "b", "synced"]
    other.writer.calls.finish("1", COMPANY, MONTH, second, 5.0, name_by_key)
    assert lines(one) == ["b", "synced"], "a sync is newer than the listings that were under way"


def test_a_number_of_a_replaced_index_is_refused(opened: Callable[[], MailboxIndex], path: Path) -> None:
    index = opened()
    listing = index.writer.calls.begin("1", COMPANY, MONTH)
    other = index.writer.calls.begin("1", 101, MONTH)
    with pytest.raises(StoreError, match="another log"):
        index.writer.calls.finish("1", COMPANY, MONTH, other, 5.0, name_by_key)
    index.close()
    path.unlink()
    index = opened()
    index.writer.calls.begin("1", COMPANY, MONTH)
    with pytest.raises(StoreError, match="replaced"):
        index.writer.calls.put("1", [shelved_call("a")], name_by_key, listing=listing)
    with pytest.raises(StoreError, match="replaced"):
        index.writer.calls.finish("1", COMPANY, MONTH, listing, 5.0, name_by_key)


def test_a_listing_of_an_extension_takes_nothing_from_others(opened: Callable[[], MailboxIndex]) -> None:
    index = opened()
    both, own = shelved_call("both", extension_ids=(101, 102)), shelved_call("own")
    load(index, both, own)
    load(index, owner=101)
    assert (lines(index), lines(index, 101), lines(index, 102)) == (["both", "own"], [], ["both"])
    load(index, both, own, owner=101)
    load(index)
    assert (lines(index), lines(index, 101), lines(index, 102)) == ([], ["both", "own"], [])
    load(index, owner=101)
    assert lines(index, 101) == []
    index.find_damage()


def test_a_folder_of_recordings_comes_and_goes(opened: Callable[[], MailboxIndex]) -> None:
    index = opened()
    mailbox = load_mailbox(index)
    changed = index.writer.calls.put("1", [shelved_call("a", LINKED)], name_by_key)
    folder = ("By-Contact", "+12125557464")
    assert {(101, ("By-Contact",)), (101, folder)} <= changed.folders
    assert changed.logs == {(COMPANY, MONTH), (101, MONTH)}
    assert changed.recordings == {(101, MONTH, "call [900].mp3")}
    assert contacts(index) == {"+12125557464": ([], ["900"])}
    assert index.reader.times(mailbox, None) == (1.0, 1.0)
    load_mailbox(index, 7)
    assert contacts(index) == {"+12125557464": ([7], ["900"])}
    before = index.reader.mailbox("1", 101)
    changed = index.writer.calls.put("1", [], name_by_key, removed=["a"])
    assert (101, (*folder, "call [900].mp3")) in changed.folders
    assert contacts(index) == {"+12125557464": ([7], [])}
    after = index.reader.mailbox("1", 101)
    assert before is not None
    assert after == attrs.evolve(before, revision=before.revision + 1)
    put(index, shelved_call("a", LINKED))
    index.writer.put(mailbox, [], name_by_key, removed=[7])
    assert contacts(index) == {"+12125557464": ([], ["900"])}
    put(index, attrs.evolve(shelved_call("a", modified_s=2.0), raw='{"recording":null}'))
    assert contacts(index) == {}


def test_a_recording_names_its_contact(opened: Callable[[], MailboxIndex]) -> None:
    def name(place: Place, parties: Mapping[str, str], _owners: object) -> FolderNames:
        label = " ".join(filter(None, (place.key, *parties.values())))
        return FolderNames(label, label, label.lower())

    index = opened()
    mailbox, _listing = index.writer.begin("1", 101)
    message = ShelvedMessage(
        7, "message [7]", 5.0, 5.0, "{}", Place("SMS", MONTH), (contact("+1"),), said="hello", people="+1"
    )
    index.writer.put(mailbox, [message], name)
    index.writer.synced(mailbox, "", 5.0)
    named = Place("By-Contact", "+1", (("+1", "Bob Ray"),))
    changed = index.writer.calls.put("1", [shelved_call("a", attrs.evolve(LINKED, links=(named,)))], name)
    assert (101, ("By-Contact", "+1 Bob Ray")) in changed.folders
    assert list(contacts(index)) == ["+1 Bob Ray"]
    assert found(index, "bob hello", Scope("1", (101,))) == [(101, "SMS/2026-11/message [7]")]


def test_a_recording_that_is_gone_stays_so(opened: Callable[[], MailboxIndex]) -> None:
    index = opened()
    reader = index.reader.calls
    load(index, shelved_call("a", shelved_recording("900")))
    assert index.writer.calls.mark_gone("1", "900").recordings == {(101, MONTH, "call [900].mp3")}
    assert not index.writer.calls.mark_gone("1", "900")
    assert not index.writer.calls.mark_gone("2", "900")
    row = reader.recording_by_id("1", "900")
    assert row is not None
    assert row.gone
    put(index, shelved_call("a", shelved_recording("900"), text="rewritten", modified_s=2.0))
    assert reader.recording("1", 101, MONTH, "call [900].mp3") == row
    assert reader.recording_by_id("2", "900") is None
    put(index, shelved_call("a", modified_s=3.0, text="without it"))
    assert reader.recording_by_id("1", "900") is None


def test_a_recording_in_two_records_is_shown_once_in_a_directory(opened: Callable[[], MailboxIndex]) -> None:
    index = opened()
    load(
        index,
        shelved_call("out", shelved_recording("900", 101)),
        shelved_call("in", shelved_recording("900", 102)),
        shelved_call("third", shelved_recording("900", 102)),
    )
    reader = index.reader.calls
    assert [len(reader.recordings("1", owner, MONTH, 0, 9)) for owner in (101, 102)] == [1, 1]
    index.writer.calls.mark_gone("1", "900")
    assert all(reader.recordings("1", owner, MONTH, 0, 9)[0].gone for owner in (101, 102))
    index.find_damage()


def test_a_record_that_takes_the_place_of_another_keeps_its_recording(
    opened: Callable[[], MailboxIndex],
) -> None:
    index, reader = opened(), opened().reader.calls
    load(index, shelved_call("old", LINKED))
    index.writer.calls.put("1", [shelved_call("new", LINKED)], name_by_key, removed=["old"])
    assert [row.id for row in reader.recordings("1", 101, MONTH, 0, 9)] == ["900"]
    load(index, shelved_call("newer", LINKED))
    assert [row.id for row in reader.recordings("1", 101, MONTH, 0, 9)] == ["900"]
    put(index, shelved_call("newest", LINKED))
    index.writer.calls.put("1", [], name_by_key, removed=["newer"])
    (row,) = reader.recordings("1", 101, MONTH, 0, 9)
    assert reader.raw(row.call) is not None
    load_mailbox(index)
    assert contacts(index) == {"+12125557464": ([], ["900"])}
    index.find_damage()
    load(index)
    assert reader.recordings("1", 101, MONTH, 0, 9) == []
    index.find_damage()


def test_records_are_read_while_they_are_written(opened: Callable[[], MailboxIndex]) -> None:
    index = opened()
    labelled = [shelved_call(f"{number:04}", message=(102, number)) for number in range(600)]
    load(index, *labelled, shelved_call("other", message=(103, 5)), shelved_call("none", extension_ids=()))
    reader = index.reader.calls
    count = 0
    for record in reader.labelled("1", 102):
        count += 1
        index.writer.calls.put("1", [], name_by_key, removed=[record[7:11]])
    assert count == 600
    assert list(reader.labelled("1", 102)) == []
    assert list(reader.all_of("1", 101)) == [shelved_call("other").raw]
    assert list(reader.all_of("2", 101)) == []
    numbered = reader.records_after(0, 1)
    assert [raw for _number, _account, raw in numbered] == [shelved_call("other").raw]
    assert [row[1:] for row in reader.records_after(numbered[0][0], 9)] == [("1", shelved_call("none").raw)]


def test_a_log_is_as_of_one_moment(opened: Callable[[], MailboxIndex]) -> None:
    index = opened()
    load(index, shelved_call("a"), shelved_call("b"))
    read = index.reader.calls.lines("1", COMPANY, MONTH)
    first = next(read)
    put(index, shelved_call("c"))
    index.writer.calls.put("1", [], name_by_key, removed=["b"])
    assert [first, *read] == ["a,\n", "b,\n"]
    assert lines(index) == ["a", "c"]


def test_odd_values_are_survived(opened: Callable[[], MailboxIndex]) -> None:
    index = opened()
    odd = shelved_recording("9", started_s=float("nan"))
    calls = (
        shelved_call("nan", odd, started_s=float("nan"), modified_s=float("inf")),
        shelved_call("zero", started_s=-0.0),
        shelved_call("past", started_s=-1e9),
        attrs.evolve(shelved_call("bytes"), raw='{"a":"\ud83d\x00\n"}', people="\x00\n\ud83d", name="a\nb"),
        shelved_call("all", *(shelved_recording(str(number)) for number in range(2000))),
        shelved_call("many", extension_ids=tuple(range(1, 3000))),
    )
    load(index, *calls)
    assert lines(index) == ["past", "nan", "zero", "all", "bytes", "many"]
    index.find_damage()


def test_texts_that_would_fill_the_memory_are_damage(
    opened: Callable[[], MailboxIndex], path: Path, warnings: list[str]
) -> None:
    index = opened()
    bomb = shelved_call("bomb", text="0" * (65 << 20))
    load(index, bomb, shelved_call("a"))
    assert lines(index) == ["a"]
    ((number, _account, _raw),) = index.reader.calls.records_after(0, 9)
    change(path, "UPDATE calls SET texts = zeroblob(900)")
    with pytest.raises(IndexDamagedError):
        index.reader.calls.raw(number)
    assert index.renew()
    assert index.reader.calls.raw(number) is None
    assert len(warnings) == 1


# Searches


def test_recordings_and_calls_are_found(opened: Callable[[], MailboxIndex]) -> None:
    index = opened()
    mailbox, _listing = index.writer.begin("1", 101)
    message = ShelvedMessage(1, "message [1]", 2.0, 2.0, "{}", Place("SMS", MONTH), people="Bob")
    index.writer.put(mailbox, [message], name_by_key)
    index.writer.synced(mailbox, "", 5.0)
    load(
        index,
        shelved_call("a", shelved_recording("900"), shelved_recording("901", 102), started_s=1.0),
        shelved_call("b", started_s=3.0),
        shelved_call("c", started_s=4.0, extension_ids=(), people="Ann"),
        shelved_call("d", shelved_recording("902", COMPANY), extension_ids=(105,), people="Ann"),
    )
    recorded = [(101, f"Recordings/{MONTH}/call [900].mp3"), (102, f"Recordings/{MONTH}/call [901].mp3")]
    log, text = (101, f"Calls/{MONTH}.csv"), (101, f"SMS/{MONTH}/message [1]")
    assert found(index, "bob") == [text, *recorded, log]
    assert found(index, "2125557464 -ray") == []
    assert found(index, "ann") == [
        (COMPANY, f"Calls/{MONTH}.csv"),
        (COMPANY, f"Recordings/{MONTH}/call [902].mp3"),
    ]
    assert found(index, "ann", Scope("1", (101, 102))) == []
    assert found(index, "bob", Scope("1", (102,))) == recorded[1:]
    assert found(index, "bob", Scope("2", (COMPANY, 101))) == []
    hidden = frozenset({"Recordings"})
    assert found(index, "bob", attrs.evolve(ALL, hidden_views=hidden)) == [text, log]
    assert found(index, "bob", attrs.evolve(ALL, hidden_views=hidden | {"Calls"})) == [text]
    rows = index.search.matches("bob", ALL, 0, 100)
    assert [row.shown for row in rows] == ["message [1]", "call [900].mp3", "call [901].mp3", "call [b]"]
    pages, after = [], 0
    while page := index.search.matches("bob", ALL, after, 1):
        pages += page
        after = page[-1].number
    assert pages == rows
    for call_or_recording, expected in {"900": [rows[1]], "b": [rows[3]], "a": rows[1:3], "c": []}.items():
        assert index.search.calls_with_id("bob", ALL, call_or_recording) == expected
    assert index.search.matches_with_id("bob", ALL, 1) == rows[:1]


def test_the_newest_come_first_with_their_records(opened: Callable[[], MailboxIndex]) -> None:
    index = opened()
    mailbox, _listing = index.writer.begin("1", 101)
    message = ShelvedMessage(1, "message [1]", 2.0, 2.0, '{"type":"SMS"}', Place("SMS", MONTH), people="Bob")
    index.writer.put(mailbox, [message], name_by_key)
    index.writer.synced(mailbox, "", 5.0)
    old = shelved_call("old", attrs.evolve(LINKED, started_s=1.0), started_s=1.0)
    load(index, old, shelved_call("new", started_s=3.0), shelved_call("never", started_s=None))

    def names(scope: Scope = ALL, limit: int = 9) -> list[str]:
        return [hit.found.shown for hit in index.search.newest("bob", scope, limit)]

    assert names() == ["call [new]", "message [1]", "call [900].mp3", "call [never]"]
    assert names(limit=2) == ["call [new]", "message [1]"]
    assert names(attrs.evolve(ALL, since_s=2.0)) == ["call [new]", "message [1]"]
    assert names(attrs.evolve(ALL, types=frozenset({"SMS"}))) == ["message [1]"]
    assert names(attrs.evolve(ALL, types=frozenset({RECORDING_TYPE}))) == ["call [900].mp3"]
    assert names(attrs.evolve(ALL, types=frozenset({CALL_TYPE, "SMS"}))) == [
        "call [new]",
        "message [1]",
        "call [never]",
    ]
    assert names(attrs.evolve(ALL, view="Recordings")) == ["call [900].mp3"]
    assert names(attrs.evolve(ALL, view="Recordings", folder="2026-10")) == []
    assert names(attrs.evolve(ALL, view="Calls", folder=f"{MONTH}.csv")) == ["call [new]", "call [never]"]
    assert names(attrs.evolve(ALL, view="By-Contact", folder="+12125557464")) == ["call [900].mp3"]
    assert names(attrs.evolve(ALL, view="By-Contact", folder="+1")) == []
    accepted = index.search.newest("bob", ALL, 1, lambda _found, record: '"old"' in record)
    assert [(hit.found.shown, hit.record, hit.snippet) for hit in accepted] == [
        ("call [900].mp3", old.raw, "")
    ]


def test_words_follow_the_record(opened: Callable[[], MailboxIndex]) -> None:
    index = opened()
    load(index, shelved_call("a", people="Bob Zoë"))
    put(index, shelved_call("a", people="Ann", text="changed", modified_s=2.0))
    assert (found(index, "bob"), len(found(index, "ann"))) == ([], 1)
    put(index, shelved_call("a", people="Eve", modified_s=2.0, text="changed"), again=True)
    assert (found(index, "ann"), len(found(index, "eve"))) == ([], 1)
    index.writer.calls.put("1", [], name_by_key, removed=["a"])
    assert found(index, "eve") == []
    index.find_damage()


# Erasing and damage


@pytest.mark.parametrize("accounts", [("1",), ("1", "2")])
def test_no_call_of_a_forgotten_account_is_left(
    opened: Callable[[], MailboxIndex], path: Path, accounts: tuple[str, ...]
) -> None:
    index = opened()
    for account in accounts:
        call = shelved_call("a", LINKED, people=f"Person{account}", text=f"secret{account}")
        load(index, call, account=account)
        index.writer.note(f"calls {account}/company/{MONTH}", f"token{account}", 5.0)
    index.forget_account("1")
    assert lines(index) == []
    assert index.reader.calls.all_months("1") == {}
    assert index.reader.noted(f"calls 1/company/{MONTH}") is None
    for account in accounts[1:]:
        assert lines(index, account=account) == ["a"]
        assert len(found(index, f"person{account}", Scope(account, (101,)))) == 1
        assert index.reader.noted(f"calls {account}/company/{MONTH}") is not None
    index.find_damage()
    data = path.read_bytes()
    assert b"person1" not in data
    assert b"[900].mp3" not in data or len(accounts) > 1
    assert (b"person2" in data) == (len(accounts) > 1)


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE calls SET texts = x'ff'",
        "UPDATE calls SET texts = 5",
        "UPDATE calls SET id = 'x'",
        "DELETE FROM calls",
        "DELETE FROM call_months",
        "UPDATE recordings SET name = CAST(x'ff' AS TEXT)",
    ],
)
def test_a_damaged_account_is_forgotten_too(
    opened: Callable[[], MailboxIndex], path: Path, harm: str
) -> None:
    index = opened()
    for account in ("1", "2"):
        load(index, shelved_call(f"c{account}", LINKED, people=f"Person{account}"), account=account)
    where = " WHERE account_id = '1'" if "calls" in harm or "months" in harm else ""
    change(path, harm + where)
    index.forget_account("1")
    assert b"person1" not in path.read_bytes()
    assert index.reader.calls.all_months("1") == {}


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE calls SET id = 'b' WHERE id = 'a'",
        "UPDATE calls SET texts = x'ff' WHERE id = 'a'",
        "UPDATE calls SET started_s = 9.0 WHERE id = 'a'",
        "UPDATE recordings SET name = 'other' WHERE id = '900'",
        "UPDATE recordings SET uri = CAST(x'ff' AS TEXT) WHERE id = '900'",
        "UPDATE call_months SET csv_bytes = 7 WHERE owner = 101",
        "DELETE FROM call_places WHERE call = (SELECT call FROM calls WHERE id = 'a')",
        "DELETE FROM recordings WHERE id = '900'",
        "DELETE FROM calls WHERE id = 'a'",
        "DELETE FROM call_months WHERE owner = 101",
        "DELETE FROM folders",
    ],
)
def test_damage_is_found_and_costs_only_its_month(
    opened: Callable[[], MailboxIndex], path: Path, warnings: list[str], harm: str
) -> None:
    index = opened()
    mailbox = load_mailbox(index, 7, extension=103)
    load(index, shelved_call("a", LINKED, extension_ids=(101, 102)), shelved_call("z"))
    listing = index.writer.calls.begin("1", COMPANY, "2026-10")
    index.writer.calls.put("1", [shelved_call("old", month="2026-10")], name_by_key, listing=listing)
    index.writer.calls.finish("1", COMPANY, "2026-10", listing, 5.0, name_by_key)
    sound = index.reader.calls.month("1", COMPANY, "2026-10")
    index.find_damage()
    change(path, harm)
    with pytest.raises(IndexDamagedError):
        index.find_damage()
    assert index.renew()
    index.find_damage()
    reader = index.reader.calls
    assert reader.month("1", COMPANY, "2026-10") == sound
    assert list(reader.lines("1", COMPANY, "2026-10")) == ["old,\n"]
    kept = index.reader.mailbox("1", 103)
    assert kept is None or kept.number == mailbox
    assert len(warnings) == 1
    assert "months of call logs are kept" in warnings[0]
    # The month loads again, or all calls are shelved again: nothing is missing then.
    for _number, _account, raw in reader.records_after(0, 100):
        call_id = raw[7:].split('"')[0]
        month = "2026-10" if call_id == "old" else MONTH
        recordings, extensions = ((LINKED,), (101, 102)) if call_id == "a" else ((), (101,))
        put(index, shelved_call(call_id, *recordings, month=month, extension_ids=extensions), again=True)
    load(index, shelved_call("a", LINKED, extension_ids=(101, 102)), shelved_call("z"))
    assert (lines(index), lines(index, 101), lines(index, 102)) == (["a", "z"], ["a", "z"], ["a"])
    assert contacts(index) == {"+12125557464": ([], ["900"])}
    assert len(found(index, "bob")) == 3
    index.find_damage()


def test_damaged_calls_cost_no_mailbox(
    opened: Callable[[], MailboxIndex], path: Path, warnings: list[str]
) -> None:
    index = opened()
    mailbox = load_mailbox(index, 7)
    load(index, shelved_call("a", shelved_recording("900", links=(contact("+1"),))))
    # An index that contradicts its table.
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA writable_schema = 1")
        connection.execute(
            "UPDATE sqlite_master SET rootpage = (SELECT rootpage FROM sqlite_master"
            " WHERE name = 'recordings_of') WHERE name = 'calls_identified'"
        )
    with pytest.raises(IndexDamagedError):
        index.find_damage()
    assert index.renew()
    state = index.reader.mailbox("1", 101)
    assert state is not None
    assert (state.number, state.loaded) == (mailbox, True)
    assert contacts(index) == {"+12125557464": ([7], [])}, "the folder of a lost recording is gone"
    assert lines(index) == []
    assert len(warnings) == 1
    index.find_damage()


def test_a_damaged_schema_is_damage(path: Path, opened: Callable[[], MailboxIndex]) -> None:
    load(opened(), shelved_call("a", LINKED))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA writable_schema = 1")
        connection.execute(
            "UPDATE sqlite_master SET sql = replace(sql, 'log INTEGER PRIMARY', 'log INTEGEQ PRIMARY')"
            " WHERE name = 'call_months'"
        )
    index = opened()
    with pytest.raises(IndexDamagedError):
        index.writer.calls.begin("1", COMPANY, MONTH)
    assert index.renew()
    load(index, shelved_call("a", LINKED))
    index.find_damage()


def test_no_question_of_the_file_system_looks_through_the_calls(opened: Callable[[], MailboxIndex]) -> None:
    index = opened()
    load(index, *(shelved_call(f"{n}", shelved_recording(f"{n}", links=(contact(),))) for n in range(99)))
    connection = index._database._reader
    state = index.reader.mailbox("1", 101)
    assert state is not None
    (folder,) = index.reader.folders(state.number, "By-Contact", 0, 9)
    asked: list[str] = []
    connection.set_trace_callback(asked.append)
    reader = index.reader.calls
    assert reader.months("1", 101) == {MONTH: reader.month("1", 101, MONTH)}
    (row,) = reader.recordings("1", 101, MONTH, 50, 1)
    assert reader.recording("1", 101, MONTH, row.name) == row
    assert reader.recording_by_id("1", row.id) == row
    assert reader.links(folder.number, row.number - 1, 1) == [row]
    assert reader.link(folder.number, row.name) == row
    assert reader.raw(row.call) is not None
    connection.set_trace_callback(None)
    assert len(asked) == 8
    for question in asked:
        plan = [line[3] for line in connection.execute(f"EXPLAIN QUERY PLAN {question}")]
        assert not [line for line in plan if line.startswith("SCAN") or "TEMP B-TREE" in line], (
            question,
            plan,
        )
