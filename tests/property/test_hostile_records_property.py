"""A record may hold anything anywhere: that spoils one place in it, not the page, mailbox or mount."""

import time
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rcfs.mailbox import MailboxCatalogue, Shelving
from rcfs.mailbox._intake import Intake
from rcfs.model import Extension, account_from, extension_from, is_admin
from rcfs.platform import records_of, sync_answer
from rcfs.store import Login, MailboxIndex, SizeIndex
from rcfs.tree import Directory, build_root, name_folder, shelve
from rcfs.tree._nodes import AttachmentFile, Link, Node, TextFile
from tests.fakes.hostile import HOSTILE, hostile, received

EXTENSION_IDS = count(1)
SHELVING = Shelving(shelve, name_folder)
PARTY = {"name": "Bob Ray", "phoneNumber": "+12125557464", "extensionNumber": "102"}
MESSAGE: dict[str, Any] = {
    "id": 7,
    "uri": "https://platform.ringcentral.com/restapi/v1.0/account/1/extension/2/message-store/7",
    "type": "SMS",
    "direction": "Inbound",
    "availability": "Alive",
    "readStatus": "Unread",
    "from": PARTY,
    "to": [PARTY, {"name": "Ann"}],
    "creationTime": "2026-11-03T17:27:05Z",
    "lastModifiedTime": "2026-11-03T17:27:05Z",
    "subject": "hello",
    "conversation": {"id": "12"},
    "conversationId": 12,
    "faxPageCount": 3,
    "vmTranscriptionStatus": "Completed",
    "attachments": [
        {
            "id": 7,
            "uri": "https://media.ringcentral.com/restapi/v1.0/account/1/extension/2/message-store/7/content/7",
            "type": "MmsAttachment",
            "contentType": "image/jpeg",
            "fileName": "x.jpg",
            "size": 100,
            "vmDuration": 4,
        },
    ],
}
SOUND: dict[str, Any] = {**MESSAGE, "id": 8}


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[MailboxIndex, SizeIndex]]:
    """One index for all examples, each with a separate mailbox."""
    directory = tmp_path_factory.mktemp("hostile")
    warnings: list[str] = []
    index = MailboxIndex.open(directory / "mailboxes.sqlite", warnings.append)
    sizes = SizeIndex.open(directory / "index.sqlite", warnings.append)
    yield index, sizes
    index.close()
    sizes.close()
    assert not warnings


def walk(node: Node) -> int:
    """Read everything in a tree that a mount reads; returns the number of nodes."""
    assert all(0 <= at_s < 1 << 40 for at_s in (node.times().mtime_s, node.times().ctime_s))
    assert all(value.encode() is not None for value in node.xattrs().values())
    if isinstance(node, TextFile):
        assert isinstance(node.content(), bytes)
    if isinstance(node, AttachmentFile):
        assert 0 <= node.size()[0] < 1 << 63
    if isinstance(node, Link):
        assert node.target.encode()
    if not isinstance(node, Directory):
        return 1
    seen, after = 1, 0
    while page := node.page(after, 100):
        for entry in page:
            assert 0 < len(entry.name.encode()) <= 255
            assert node.find(entry.name) is not None
            seen += walk(entry.node)
            after = entry.cursor
    return seen


def shown(stores: tuple[MailboxIndex, SizeIndex], extension_id: int, mailbox: int) -> int:
    index, sizes = stores
    root = build_root([Extension(extension_id, "101", "Jane")], fallback_s=1.0)
    directory = root.extension(extension_id)
    directory.show(MailboxCatalogue(index.reader, sizes, mailbox, "1", extension_id))
    return walk(directory)


@given(page=st.lists(hostile(MESSAGE), min_size=1, max_size=3))
def test_a_page_with_odd_records_is_accepted_and_shown(
    stores: tuple[MailboxIndex, SizeIndex], page: list[dict[str, Any]]
) -> None:
    index, _sizes = stores
    extension_id = next(EXTENSION_IDS)
    mailbox, generation = index.writer.begin("1", extension_id)
    intake = Intake(index, SHELVING, time.time)
    records = records_of(received({"records": [*page, SOUND]}))
    intake.take(mailbox, records, generation)
    intake.take_changes(mailbox, sync_answer(received({"records": [*page, SOUND], "syncInfo": {}})).records)
    assert 8 in index.reader.known(mailbox, [8]), "the sound record of the page"
    assert shown(stores, extension_id, mailbox) > 5


def test_odd_conversation_ids_cost_no_mailbox(stores: tuple[MailboxIndex, SizeIndex]) -> None:
    index, _sizes = stores
    extension_id = next(EXTENSION_IDS)
    mailbox, generation = index.writer.begin("1", extension_id)
    ids = count(1)
    page = [{**MESSAGE, "id": next(ids), "conversation": {"id": value}} for value in HOSTILE]
    page += [{**MESSAGE, "id": next(ids), "conversation": None, "conversationId": value} for value in HOSTILE]
    Intake(index, SHELVING, time.time).take(mailbox, records_of(received({"records": page})), generation)
    assert set(index.reader.known(mailbox, range(next(ids)))) == set(range(1, 2 * len(HOSTILE) + 1))
    assert shown(stores, extension_id, mailbox) > 2 * len(HOSTILE)


@given(
    records=st.lists(
        hostile(
            {
                "id": 3,
                "extensionNumber": "101",
                "name": "Jane",
                "type": "User",
                "status": "Enabled",
                "permissions": {"admin": {"enabled": True}},
                "contact": {"company": "x"},
                "mainNumber": "1",
            }
        ),
        min_size=1,
        max_size=3,
    )
)
def test_odd_extensions_and_accounts_are_shown_or_left_out(
    stores: tuple[MailboxIndex, SizeIndex], records: list[dict[str, Any]]
) -> None:
    index, _sizes = stores
    found = []
    for record in map(received, records):
        is_admin(record)
        extension = extension_from(record)
        if extension is not None:
            assert 0 <= extension.id < 1 << 63
            found.append(extension)
            index.reader.mailbox("1", extension.id)
        if type(record["id"]) is int and record["id"] in (3, 0):
            account_id, name = account_from(record)
            index.writer.save_login("login", Login(account_id, name, tuple(each.raw for each in found)))
            assert index.reader.login("login") is not None
    root = build_root({each.id: each for each in found}.values(), fallback_s=1.0)
    for name, node in root.entries().items():
        assert 0 < len(name.encode()) <= 255
        record_file = node.find("extension.json") if isinstance(node, Directory) else None
        assert record_file is None or walk(record_file)
