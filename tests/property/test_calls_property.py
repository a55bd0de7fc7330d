"""The calls of the index against a plain dictionary, after any sequence of listings and changes."""

from collections.abc import Iterator
from itertools import count

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rcfs.model import COMPANY, ShelvedCall
from rcfs.store import ChangedCalls, MailboxIndex
from tests.fakes.calls import MONTHS, OWNERS, contact, name_by_key, shelved_call, shelved_recording

ACCOUNTS = count(1)
CALL_IDS = ("a", "b", "c")
Log = tuple[int, str]


@st.composite
def calls(draw: st.DrawFn) -> ShelvedCall:
    call_id = draw(st.sampled_from(CALL_IDS))
    times = st.sampled_from([None, 1.0, 2.0, 3.5])
    recordings = [
        shelved_recording(
            f"{call_id}{number}",
            draw(st.sampled_from(OWNERS)),
            draw(st.sampled_from(MONTHS)),
            started_s=draw(times),
            links=tuple(map(contact, draw(st.sets(st.sampled_from(["+1", "+2"]))))),
        )
        for number in draw(st.lists(st.integers(1, 2), unique=True, max_size=2))
    ]
    return shelved_call(
        call_id,
        *recordings,
        month=draw(st.sampled_from(MONTHS[:1] + MONTHS[1:] * 3)),
        started_s=draw(times),
        modified_s=draw(times),
        extension_ids=draw(st.sampled_from([(), (101,), (102,), (101, 102)])),
        text=draw(st.sampled_from(["", "long text", "Zoë\U0001f600", 'two "lines"\nof it', "half \ud83d"])),
        people=draw(st.sampled_from(["Bob", "Bob Ray +12125557464"])),
    )


@attrs.frozen
class Put:
    calls: list[ShelvedCall]
    removed: list[str]
    listing: int | None
    again: bool


@attrs.frozen
class Begin:
    owner: int
    month: str


@attrs.frozen
class Finish:
    listing: int


@attrs.frozen
class Gone:
    recording_id: str


listing_numbers = st.integers(-3, -1)
"""One of the last three listings, counted from the end."""
months = st.sampled_from([MONTHS[1], MONTHS[1], MONTHS[0]])
steps = st.one_of(
    st.builds(
        Put,
        st.lists(calls(), max_size=4),
        st.lists(st.sampled_from(CALL_IDS), max_size=1),
        st.none() | listing_numbers,
        st.booleans(),
    ),
    st.builds(Begin, st.sampled_from(OWNERS), months),
    st.builds(Finish, listing_numbers),
    st.builds(Gone, st.sampled_from([f"{call_id}{number}" for call_id in CALL_IDS for number in (1, 2)])),
)


@attrs.define
class PlainCall:
    call: ShelvedCall
    places: dict[Log, int]
    gone: set[str]


@attrs.define
class PlainCalls:
    """The same as the index, in a dictionary."""

    calls: dict[str, PlainCall] = attrs.field(factory=dict)
    begun: dict[Log, int] = attrs.field(factory=dict)
    loaded: set[Log] = attrs.field(factory=set)
    listings: list[tuple[Log, int]] = attrs.field(factory=list)

    def put(self, step: Put) -> None:
        own, number = self.listing(step.listing) or (None, 0)
        for call in step.calls:
            wanted = [(owner, call.month) for owner in (COMPANY, *call.extension_ids)]
            known = self.calls.get(call.id)
            if known is None:
                known = self.calls[call.id] = PlainCall(call, {}, set())
            elif call.modified_s is not None and call.modified_s < (known.call.modified_s or 0.0):
                wanted = list(known.places)
            elif step.again or known.call.raw != call.raw or set(known.places) != set(wanted):
                known.call = call
                known.gone &= {recording.id for recording in call.recordings}
            known.places = {
                log: max(known.places.get(log, 0), number if log == own else self.begun.get(log, 0))
                for log in wanted
            }
        for call_id in step.removed:
            self.calls.pop(call_id, None)

    def listing(self, place: int | None) -> tuple[Log, int] | None:
        """The log of a listing, and its number among those of the log; None for a change."""
        return self.listings[max(place, -len(self.listings))] if place is not None and self.listings else None

    def finish(self, log: Log, number: int) -> None:
        for call_id, known in list(self.calls.items()):
            if known.places.get(log, number) >= number:
                continue
            kept = {
                each: listing
                for each, listing in known.places.items()
                if each != log and (listing or each in self.loaded)
            }
            if not kept:
                del self.calls[call_id]
            elif log[0] == COMPANY:
                known.places = kept
            else:
                del known.places[log]
        self.loaded.add(log)

    def of(self, log: Log) -> list[ShelvedCall]:
        found = [known.call for known in self.calls.values() if log in known.places]
        return sorted(found, key=lambda call: (call.started_s or 0.0, call.id))

    def recordings(self, log: Log) -> dict[str, bool]:
        return {
            recording.name: recording.id in known.gone
            for known in self.calls.values()
            for recording in known.call.recordings
            if (recording.owner, recording.month) == log
        }

    def links(self, owner: int) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for known in self.calls.values():
            for recording in known.call.recordings if owner != COMPANY else ():
                for place in recording.links if recording.owner == owner else ():
                    found.setdefault(place.key, set()).add(recording.name)
        return found


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailboxIndex]:
    """One index for all examples, because opening one syncs the disk; each example has its own account."""
    warnings: list[str] = []
    index = MailboxIndex.open(tmp_path_factory.mktemp("index") / "mailboxes.sqlite", warnings.append)
    yield index
    index.close()
    assert not warnings


def text_of(text: str) -> str:
    return text.replace("\ud83d", "\ufffd")


def logs_of(index: MailboxIndex, account: str) -> dict[Log, list[str]]:
    reader = index.reader.calls
    return {(owner, month): list(reader.lines(account, owner, month)) for owner in OWNERS for month in MONTHS}


def recordings_of(index: MailboxIndex, account: str, log: Log) -> dict[str, bool]:
    rows = index.reader.calls.recordings(account, *log, 0, 100)
    for row in rows:
        assert index.reader.calls.recording(account, *log, row.name) == row
        assert index.reader.calls.recording_by_id(account, row.id) == row
    assert len({row.name for row in rows}) == len(rows)
    return {row.name: row.gone for row in rows}


def links_of(index: MailboxIndex, account: str, owner: int) -> dict[str, set[str]]:
    state = index.reader.mailbox(account, owner)
    found: dict[str, set[str]] = {}
    for folder in () if state is None else index.reader.folders(state.number, "By-Contact", 0, 100):
        rows = index.reader.calls.links(folder.number, 0, 100)
        for row in rows:
            assert index.reader.calls.link(folder.number, row.name) == row
        times = [row.started_s for row in rows if row.started_s is not None]
        assert folder.created_s == folder.modified_s == max(times, default=None)
        found[folder.name] = {row.name for row in rows}
    return found


def check(index: MailboxIndex, account: str, plain: PlainCalls) -> None:
    reader = index.reader.calls
    for owner in OWNERS:
        assert links_of(index, account, owner) == plain.links(owner)
        shown = []
        for month in MONTHS:
            log = (owner, month)
            found, recordings = plain.of(log), plain.recordings(log)
            state = reader.month(account, owner, month)
            lines = [text_of(call.line) for call in found]
            records = [text_of(call.raw).replace("\n", " ") for call in found]
            assert list(reader.lines(account, owner, month)) == lines
            assert list(reader.records(account, owner, month)) == records
            assert recordings_of(index, account, log) == recordings
            if state is None:
                assert (found, recordings, log in plain.begun) == ([], {}, False)
                continue
            assert state.loaded == (log in plain.loaded)
            assert (state.calls, state.recordings) == (len(found), len(recordings))
            assert state.csv_bytes == sum(len(line.encode()) for line in lines)
            assert state.json_bytes == sum(len(record.encode()) + 1 for record in records)
            shown += [(month, state)] if found or state.loaded else []
        assert list(reader.months(account, owner).items()) == shown[::-1]


def take(
    index: MailboxIndex, account: str, plain: PlainCalls, numbers: dict[tuple[Log, int], int], step: object
) -> ChangedCalls:
    """Takes a step in both; `numbers` has the number of each listing in the index."""
    writer = index.writer.calls
    match step:
        case Put():
            plain.put(step)
            listing = plain.listing(step.listing)
            return writer.put(
                account,
                step.calls,
                name_by_key,
                removed=step.removed,
                listing=None if listing is None else numbers[listing],
                again=step.again,
            )
        case Begin(owner, month):
            log = (owner, month)
            plain.begun[log] = plain.begun.get(log, 0) + 1
            plain.listings.append((log, plain.begun[log]))
            numbers[plain.listings[-1]] = writer.begin(account, owner, month)
        case Finish(place) if plain.listings:
            listing = plain.listing(place)
            assert listing is not None
            log, _number = listing
            plain.finish(*listing)
            return writer.finish(account, *log, numbers[listing], 5.0, name_by_key)
        case Gone(recording_id):
            for known in plain.calls.values():
                known.gone |= {each.id for each in known.call.recordings if each.id == recording_id}
            return writer.mark_gone(account, recording_id)
    return ChangedCalls()


def revision(index: MailboxIndex, account: str, log: Log) -> int:
    state = index.reader.calls.month(account, *log)
    return 0 if state is None else state.revision


@given(st.lists(steps, min_size=6, max_size=16))
def test_the_index_agrees_with_a_dictionary_of_calls(index: MailboxIndex, steps: list[object]) -> None:
    account, plain = str(next(ACCOUNTS)), PlainCalls()
    numbers: dict[tuple[Log, int], int] = {}
    for step in steps:
        lines = logs_of(index, account)
        recordings = {log: recordings_of(index, account, log) for log in lines}
        revisions = {log: revision(index, account, log) for log in lines}
        changed = take(index, account, plain, numbers, step)
        check(index, account, plain)
        for log, after in logs_of(index, account).items():
            named = {name for *owner_and_month, name in changed.recordings if tuple(owner_and_month) == log}
            present = recordings_of(index, account, log)
            differing = {name for name, _gone in recordings[log].items() ^ present.items()}
            assert log in changed.logs or after == lines[log]
            assert differing <= named
            is_changed = log in changed.logs or bool(named)
            assert revision(index, account, log) == revisions[log] + is_changed
    index.find_damage()
