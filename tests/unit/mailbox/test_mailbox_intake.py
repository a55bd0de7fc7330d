"""The records of lists and syncs come into an index."""

import json
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest

from rcfs.mailbox import Shelving
from rcfs.mailbox._intake import Intake, purged_record
from rcfs.model import FolderNames, Message, Place, ShelvedMessage, message_from
from rcfs.store import MailboxIndex, Scope
from rcfs.tree import name_folder, shelve


@pytest.fixture
def index(tmp_path: Path) -> Iterator[MailboxIndex]:
    index = MailboxIndex.open(tmp_path / "mailboxes.sqlite", pytest.fail)
    yield index
    index.close()


@pytest.fixture
def mailbox(index: MailboxIndex) -> int:
    return index.writer.begin("1", 101)[0]


@pytest.fixture
def intake(index: MailboxIndex) -> Intake:
    return Intake(index, Shelving(shelve, name_folder), time.time)


def sms(number: int, subject: str, minute: int = 0, **fields: Any) -> dict[str, Any]:
    return {
        "id": number,
        "type": "SMS",
        "subject": subject,
        "creationTime": "2026-11-03T10:00:00Z",
        "lastModifiedTime": f"2026-11-03T10:{minute:02d}:00Z",
        "availability": "Alive",
        **fields,
    }


def deleted(number: int) -> dict[str, Any]:
    return {"id": number, "availability": "Deleted"}


def known(index: MailboxIndex, mailbox: int) -> dict[int, tuple[str, str]]:
    """(view, subject) of every message."""
    found = {}
    for message_id in range(10):
        raw, home = index.reader.record(mailbox, message_id), index.reader.home(mailbox, message_id)
        if raw is not None:
            assert home is not None
            found[message_id] = (home.view, json.loads(raw)["subject"])
    return found


def test_the_record_modified_last_wins_in_any_order(
    index: MailboxIndex, intake: Intake, mailbox: int
) -> None:
    intake.take(mailbox, [sms(1, "new", 2), sms(1, "old", 1), sms(2, "old", 1), sms(2, "new", 2)])
    assert known(index, mailbox) == {1: ("SMS", "new"), 2: ("SMS", "new")}
    changed = intake.take_changes(mailbox, [sms(1, "older still"), sms(2, "new", 2)]).changed
    assert changed == set(), "an overlap tells nothing new"
    assert known(index, mailbox) == {1: ("SMS", "new"), 2: ("SMS", "new")}


def test_a_tombstone_moves_a_known_message_to_the_trash(
    index: MailboxIndex, intake: Intake, mailbox: int
) -> None:
    intake.take(mailbox, [sms(1, "hi", 1), sms(2, "ho", 1)])
    taken = intake.take_changes(mailbox, [deleted(1)])
    assert (taken.unclear, taken.purged) == ((), False)
    assert known(index, mailbox) == {1: ("Trash", "hi"), 2: ("SMS", "ho")}
    intake.take_changes(mailbox, [sms(1, "hi", 2)])
    assert known(index, mailbox) == {1: ("SMS", "hi"), 2: ("SMS", "ho")}, "restored"


def test_a_purged_message_is_gone(index: MailboxIndex, intake: Intake, mailbox: int) -> None:
    intake.take(mailbox, [sms(1, "hi", 1), sms(2, "ho", 1)])
    taken = intake.take_changes(mailbox, [purged_record(1), purged_record(7)])
    assert (taken.unclear, taken.purged) == ((), True)
    assert known(index, mailbox) == {2: ("SMS", "ho")}


@pytest.mark.parametrize("keep", [False, True])
def test_a_purge_is_final_whatever_the_same_sync_has(index: MailboxIndex, mailbox: int, keep: bool) -> None:
    intake = Intake(index, Shelving(partial(shelve, keep_purged=keep), name_folder), time.time)
    intake.take(mailbox, [sms(1, "known", 5)])
    told = [purged_record(1), sms(1, "late", 3), sms(2, "came", 4), purged_record(2), sms(2, "went", 6)]
    assert intake.take_changes(mailbox, told).unclear == ()
    assert known(index, mailbox) == ({1: ("Purged", "known"), 2: ("Purged", "went")} if keep else {})


def voicemail(number: int, **fields: Any) -> dict[str, Any]:
    return sms(
        number, "", 1, type="VoiceMail", attachments=[{"id": number, "type": "AudioRecording"}], **fields
    )


@pytest.fixture
def archive(index: MailboxIndex) -> Intake:
    return Intake(index, Shelving(partial(shelve, keep_purged=True), name_folder), time.time)


def test_a_purged_record_with_fewer_fields_removes_none(
    index: MailboxIndex, archive: Intake, mailbox: int
) -> None:
    archive.take(mailbox, [voicemail(1), voicemail(2)])
    told = [
        voicemail(1, availability="Purged") | {"attachments": [], "lastModifiedTime": "2026-11-04T10:00:00Z"}
    ]
    (kept,) = archive.take_changes(mailbox, told).kept
    assert [attachment.id for attachment in kept.attachments] == [1]
    record = json.loads(index.reader.record(mailbox, 1) or "")
    assert (record["availability"], record["attachments"]) == (
        "Purged",
        [{"id": 1, "type": "AudioRecording"}],
    )
    assert record["lastModifiedTime"] == "2026-11-04T10:00:00Z"


def test_a_message_first_seen_purged_is_kept_as_its_record_says(
    index: MailboxIndex, archive: Intake, mailbox: int
) -> None:
    taken = archive.take_changes(mailbox, [sms(1, "hi", availability="Purged"), purged_record(2)])
    assert (taken.unclear, [message.id for message in taken.kept]) == ((), [1])
    assert known(index, mailbox) == {1: ("Purged", "hi")}


@pytest.mark.parametrize("late", [deleted(1), sms(1, "hi", 1), sms(1, "hi", 1, availability="Deleted")])
def test_an_older_record_does_not_bring_a_purged_message_back(
    index: MailboxIndex, archive: Intake, mailbox: int, late: dict[str, Any]
) -> None:
    archive.take(mailbox, [sms(1, "hi", 1)])
    archive.take_changes(mailbox, [purged_record(1)])
    assert archive.take_changes(mailbox, [late]).changed == set()
    assert known(index, mailbox) == {1: ("Purged", "hi")}
    archive.take_changes(mailbox, [sms(1, "alive", 2)])
    assert known(index, mailbox) == {1: ("SMS", "alive")}, "what changed later was not purged"


def test_kept_messages_stay_when_purged_ones_are_no_longer_kept(
    index: MailboxIndex, archive: Intake, intake: Intake, mailbox: int
) -> None:
    archive.take(mailbox, [sms(1, "hi"), sms(2, "ho")])
    assert len(archive.take_changes(mailbox, [purged_record(1)]).kept) == 1
    taken = intake.take_changes(mailbox, [purged_record(1), purged_record(2)])
    assert taken.kept == ()
    assert known(index, mailbox) == {1: ("Purged", "hi")}
    assert len(archive.take_changes(mailbox, [purged_record(1)]).kept) == 1, "told again after a crash"


def test_a_tombstone_that_does_not_tell_the_state_is_unclear(
    index: MailboxIndex, intake: Intake, mailbox: int
) -> None:
    intake.take(mailbox, [sms(1, "hi", 1)])
    taken = intake.take_changes(mailbox, [deleted(1), sms(1, "hi", 2), deleted(3), sms(4, "ho")])
    assert taken.unclear == (1, 3)
    assert known(index, mailbox) == {1: ("SMS", "hi"), 4: ("SMS", "ho")}


def test_junk_among_the_records_is_ignored(index: MailboxIndex, intake: Intake, mailbox: int) -> None:
    junk: list[dict[str, Any]] = [{}, {"id": None, "availability": "Deleted"}, {"id": "x"}]
    assert intake.take_changes(mailbox, [*junk, sms(1, "hi")]).unclear == ()
    intake.take(mailbox, [*junk, sms(2, "ho")])
    assert known(index, mailbox) == {1: ("SMS", "hi"), 2: ("SMS", "ho")}


def _shown(index: MailboxIndex, mailbox: int) -> list[object]:
    """All folders with their messages, without what is counted up."""
    return [
        (
            view,
            folder.name,
            folder.spoken_bytes,
            [row.name for row in index.reader.messages(folder.number, 0, 99)],
        )
        for view in index.reader.views(mailbox)
        for folder in index.reader.folders(mailbox, view, 0, 99)
    ]


def test_messages_shelved_by_another_version_are_shelved_again(
    index: MailboxIndex, mailbox: int, tmp_path: Path
) -> None:
    def shelve_before(message: Message) -> ShelvedMessage | None:
        shelved = shelve(message)
        if shelved is None:
            return None
        return attrs.evolve(shelved, name=f"old: {message.id}", spoken_bytes=3, files="old")

    def name_before(place: Place, parties: Mapping[str, str], owners: frozenset[str]) -> FolderNames:
        return FolderNames(*(f"old: {each}" for each in attrs.astuple(name_folder(place, parties, owners))))

    bob: dict[str, Any] = {"from": {"name": "Bob", "phoneNumber": "+1212"}}
    records = [sms(n, "hi", **bob) for n in range(1, 4)]
    records.append(sms(4, "gone", availability="Deleted"))
    before = Intake(index, Shelving(shelve_before, name_before, edition="1"), time.time)
    before.take(mailbox, records)
    before.reshelve()
    index.writer.put_transcript(mailbox, 1, "said aloud")
    index.writer.synced(mailbox, "token", 1.0)
    assert [folder.name for folder in index.reader.folders(mailbox, "Conversations", 0, 9)] == [
        "old: +1212 Bob"
    ]

    Intake(index, Shelving(shelve, name_folder, edition="2"), time.time).reshelve()
    fresh = MailboxIndex.open(tmp_path / "fresh.sqlite", pytest.fail)
    number = fresh.writer.begin("1", 101)[0]
    Intake(fresh, Shelving(shelve, name_folder), time.time).take(number, records)
    assert _shown(index, mailbox) == _shown(fresh, number)
    fresh.close()
    scope = Scope("1", (101,))
    assert [row.id for row in index.search.matches("aloud", scope, 0, 9)] == [1]
    assert index.search.matches("old", scope, 0, 9) == []

    def shelve_never(message: Message) -> ShelvedMessage | None:
        raise AssertionError("it was shelved already")

    Intake(index, Shelving(shelve_never, name_folder, edition="2"), time.time).reshelve()


class Wishes:
    """An overlay that shows messages as read once `are_read` is set; `met` is called within a transaction."""

    def __init__(self, met: Callable[[], object]) -> None:
        self.are_read = False
        self.met = met

    def laid_over(self, _account: str, _extension: int, messages: Iterable[Message]) -> dict[int, Message]:
        are_read = self.are_read
        self.met()
        records = [json.loads(message.raw) | {"readStatus": "Read"} for message in messages if are_read]
        return {message.id: message for message in map(message_from, records) if message is not None}

    def taken_off(self, _account: str, _extension: int, messages: Iterable[Message]) -> list[Message]:
        return list(messages)

    def doubted(self, _account: str, _extension: int, _ids: Collection[int]) -> set[int]:
        return set()


def test_what_is_wanted_while_a_newer_record_arrives_is_shown(index: MailboxIndex, mailbox: int) -> None:
    in_transaction, told = threading.Event(), threading.Event()
    wishes = Wishes(lambda: None)
    intake = Intake(index, Shelving(shelve, name_folder), time.time, wishes)
    intake.take(mailbox, [sms(1, "x", readStatus="Unread")])

    def want(_shown: object, _told: object) -> list[str]:
        wishes.are_read = True
        told.set()
        return []

    def arrive() -> None:
        # The wish comes too late for it; if it does not wait for the end of this transaction, it comes now.
        in_transaction.set()
        told.wait(0.1)

    with ThreadPoolExecutor() as threads:
        wishes.met = arrive
        taking = threads.submit(intake.take, mailbox, [sms(1, "x", 1, readStatus="Unread")])
        in_transaction.wait()
        wishes.met = lambda: None
        threads.submit(intake.show, mailbox, [1], want).result()
        taking.result()
    raw = index.reader.record(mailbox, 1)
    assert raw is not None
    assert json.loads(raw)["readStatus"] == "Read"
