"""The index of mailboxes against a mailbox that is recomputed for every question."""

import json
from collections.abc import Iterable, Iterator
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rcfs.mailbox import MailboxCatalogue
from rcfs.model import Extension, Message, message_from
from rcfs.store import MailboxIndex, SizeIndex
from rcfs.tree import Catalogue, Directory, build_root, name_folder, shelve
from tests.fakes.catalogue import PlainCatalogue

NAMES = ["", "Bob Ray", "BOB RAY", "Ann", "x [1]", "x", "half \ud83d"]
EXTENSION_IDS = count(1)
NUMBERS = ["+12125557464", "+12120001", ""]

parties = st.builds(
    lambda name, number: {"name": name, "phoneNumber": number},
    st.sampled_from(NAMES),
    st.sampled_from(NUMBERS),
)


def record(**fields: Any) -> Message:
    message = message_from(fields)
    assert message is not None
    return message


records = st.builds(
    record,
    id=st.integers(1, 6),
    type=st.sampled_from(["SMS", "Pager", "Fax", "New Kind"]),
    direction=st.sampled_from(["Inbound", "Outbound"]),
    readStatus=st.sampled_from(["Read", "Unread"]),
    availability=st.sampled_from(["Alive", "Alive", "Deleted", "Purged"]),
    creationTime=st.sampled_from(["2026-11-03T17:27:05Z", "2026-10-03T17:27:05Z", None]),
    lastModifiedTime=st.sampled_from(["2026-11-03T18:00:00Z", "2026-11-03T19:00:00Z", None]),
    subject=st.sampled_from(["hi", "two\nlines", "half \ud83d", None]),
    conversation=st.sampled_from([{"id": "1"}, {"id": "2"}, None]),
    **{"from": parties},
    to=st.lists(parties, max_size=3),
)
changes = st.lists(st.lists(records, max_size=4, unique_by=lambda m: m.id) | st.integers(1, 6), max_size=8)


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[MailboxIndex, SizeIndex]]:
    """One index for all examples, because opening one syncs the disk; each example has its own mailbox."""
    warnings: list[str] = []
    directory = tmp_path_factory.mktemp("index")
    index = MailboxIndex.open(directory / "mailboxes.sqlite", warnings.append)
    sizes = SizeIndex.open(directory / "index.sqlite", warnings.append)
    yield index, sizes
    index.close()
    sizes.close()
    assert not warnings


def everything(catalogue: Catalogue) -> object:
    """All answers as plain values, without the numbers."""
    shelves = {}
    for view in catalogue.views():
        for row in catalogue.folders(view, 0, 100):
            messages = catalogue.messages(row.number, 0, 100)
            for message in messages:
                assert catalogue.message(row.number, message.id) == message
            links = [(message, catalogue.home(message.id)) for message in messages]
            assert catalogue.links(row.number, 0, 100) == links
            shelves[view, row.name] = (
                row.key,
                row.created_s,
                row.modified_s,
                row.spoken_bytes,
                {(m.id, m.name, m.created_s, m.modified_s) for m in messages},
                [m.id for m in catalogue.conversation(view, row.name)],
                {m.id: (home.view, home.name) for m in messages if (home := catalogue.home(m.id))},
            )
            assert catalogue.folder(view, row.name) == row
    times = {view: catalogue.times(view) for view in (None, *catalogue.views())}
    return shelves, times


@given(changes, st.booleans())
def test_the_index_agrees_with_a_plain_mailbox(
    stores: tuple[MailboxIndex, SizeIndex], changes: list[list[Message] | int], keep: bool
) -> None:
    index, sizes = stores
    plain = PlainCatalogue(keep_purged=keep)
    number, _generation = index.writer.begin("1", next(EXTENSION_IDS))
    catalogue = MailboxCatalogue(index.reader, sizes, number, "1", 101)
    for change in changes:
        if isinstance(change, int):
            plain.remove(change)
            index.writer.put(number, [], name_folder, removed=[change])
            continue
        plain.put(*change)
        shelved = {message.id: shelve(message, keep_purged=keep) for message in change}
        index.writer.put(
            number,
            [message for message in shelved.values() if message is not None],
            name_folder,
            removed=[message_id for message_id, message in shelved.items() if message is None],
        )
    assert everything(catalogue) == everything(plain)
    for message_id, message in plain.messages_by_id.items():
        known = catalogue.read(message_id)
        if shelve(message, keep_purged=keep) is not None:
            assert known is not None
            assert json.loads(known.raw) == json.loads(message.raw)


@given(
    st.lists(st.integers(1, 12), unique=True),
    st.lists(st.sets(st.integers(1, 12)), max_size=6),
    st.integers(1, 3),
    st.sampled_from(["SMS", "Unread", "By-Contact"]),
)
def test_a_listing_has_every_lasting_entry_exactly_once(
    stores: tuple[MailboxIndex, SizeIndex], first: list[int], rounds: list[set[int]], limit: int, view: str
) -> None:
    index, sizes = stores
    extension = Extension(next(EXTENSION_IDS))
    number, _generation = index.writer.begin("1", extension.id)
    shown = build_root([extension], fallback_s=0.0).extension(extension.id)
    shown.show(MailboxCatalogue(index.reader, sizes, number, "1", extension.id))

    def show(ids: Iterable[int]) -> None:
        """Make exactly the messages with these ids exist, each from another sender."""
        made = [
            record(
                id=message_id,
                type="SMS",
                readStatus="Unread",
                creationTime="2026-11-03T17:27:05Z",
                **{"from": {"phoneNumber": f"+{message_id}"}},
            )
            for message_id in ids
        ]
        gone = sorted(set(range(1, 13)).difference(ids))
        shelved = [one for one in map(shelve, made) if one is not None]
        index.writer.put(number, shelved, name_folder, removed=gone)

    show(first)
    directory = shown.find(view)
    assert isinstance(directory, Directory)
    if view == "SMS" and first:
        directory = directory.find("2026-11")
        assert isinstance(directory, Directory)
    states = [set(directory.entries())]
    seen: list[str] = []
    after, left = 0, iter(rounds)
    while page := directory.page(after, limit):
        seen += [entry.name for entry in page]
        after = page[-1].cursor
        if len(page) < limit:
            break
        show(next(left, set(first)))
        states.append(set(directory.entries()))
    for name in set.intersection(*states):
        assert seen.count(name) == 1, "it was there all the time"
    assert set(seen) <= set.union(*states)
