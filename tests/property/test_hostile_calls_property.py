"""A record of a call may hold anything anywhere: what can be shown is shown, and nothing stops the rest."""

import csv
import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rcfs.mailbox import CallCatalogue, CallShelving
from rcfs.mailbox._call_intake import CallIntake, Log
from rcfs.model import COMPANY, Extension
from rcfs.platform import call_sync_answer, records_of
from rcfs.store import MailboxIndex, SizeIndex
from rcfs.tree import Directory, build_root, name_folder, shelve_call, shown_extensions
from rcfs.tree._calls import CallLogFile, RecordingFile
from rcfs.tree._nodes import Node
from tests.fakes.hostile import HOSTILE, hostile, received

ACCOUNTS = count(1)
MONTH, NOW_S = "2026-11", 1_795_176_000.0
EXTENSION = Extension(101, "101", "Jane")
PARTY = {"name": "Bob Ray", "phoneNumber": "+12125557464", "extensionNumber": "102", "location": "x"}
RECORDING = {
    "id": "3421234004",
    "uri": "https://platform.ringcentral.com/restapi/v1.0/account/1/recording/3421234004",
    "type": "Automatic",
    "contentUri": "https://media.ringcentral.com/restapi/v1.0/account/1/recording/3421234004/content",
}
LEG: dict[str, Any] = {
    "startTime": "2026-11-03T17:27:05.000Z",
    "duration": 151,
    "direction": "Inbound",
    "from": PARTY,
    "to": PARTY,
    "extension": {"id": 101},
    "recording": {**RECORDING, "id": "3421234005"},
    "message": {"id": "77", "type": "VoiceMail"},
}
CALL: dict[str, Any] = {
    **LEG,
    "id": "JbLfGXMN0hm2zUA",
    "sessionId": "263931652899004",
    "type": "Voice",
    "action": "Phone Call",
    "result": "Accepted",
    "recording": RECORDING,
    "lastModifiedTime": "2026-11-03T17:31:44.000Z",
    "legs": [LEG, LEG],
}
SOUND: dict[str, Any] = {**CALL, "id": "sound", "recording": {**RECORDING, "id": "1"}, "legs": []}


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[MailboxIndex, SizeIndex]]:
    """One index for all examples, each with an account of its own."""
    directory: Path = tmp_path_factory.mktemp("hostile")
    warnings: list[str] = []
    index = MailboxIndex.open(directory / "mailboxes.sqlite", warnings.append)
    sizes = SizeIndex.open(directory / "index.sqlite", warnings.append)
    yield index, sizes
    index.find_damage()
    index.close()
    sizes.close()
    assert not warnings


def walk(node: Node) -> Iterator[Node]:
    """Everything in a tree, read as a mount reads it; sizes of call logs are those of their bytes."""
    assert all(0 <= at_s < 1 << 40 for at_s in (node.times().mtime_s, node.times().ctime_s))
    assert all(value.encode() is not None for value in node.xattrs().values())
    yield node
    if isinstance(node, CallLogFile):
        content = b"".join(node.pieces())
        assert (node.size_bytes, node.size_is_exact) == (len(content), True)
        if node.month and content.startswith(b"time,"):
            table = list(csv.reader(content.decode().splitlines(), strict=True))
            assert {len(row) for row in table} == {13}
        else:
            assert all(isinstance(json.loads(line), dict) for line in content.splitlines())
    if isinstance(node, RecordingFile):
        assert 0 <= node.size()[0] < 1 << 63
    if isinstance(node, Directory):
        after = 0
        while page := node.page(after, 3):
            for entry in page:
                assert 0 < len(entry.name.encode()) <= 255
                assert not {"/", "\n", "\0"} & set(entry.name)
                assert node.find(entry.name) is not None
                assert entry.cursor > after
                after = entry.cursor
                yield from walk(entry.node)


class World:
    def __init__(self, stores: tuple[MailboxIndex, SizeIndex]) -> None:
        index, sizes = stores
        self.index, self.account = index, str(next(ACCOUNTS))
        access = Mock(missing="", may_see_company=True, account_id=self.account)
        access.is_loaded = lambda _owner, _month: True
        self.catalogue = CallCatalogue(index, sizes, lambda: NOW_S, access)
        self.intake = CallIntake(index, CallShelving(shelve_call, shown_extensions), name_folder)
        self.names = shown_extensions([EXTENSION], lambda _extension, message: f"Voicemail/{message}")
        self.log = Log(self.account, COMPANY, MONTH)

    def load(self, records: list[Any]) -> None:
        calls = self.index.writer.calls
        listing = calls.begin(self.account, COMPANY, MONTH)
        page = records_of(received({"records": records}))
        self.intake.take(self.log, page, self.names, listing)
        calls.finish(self.account, COMPANY, MONTH, listing, NOW_S, name_folder)

    def sync(self, records: list[Any]) -> None:
        answer = call_sync_answer(received({"records": records, "syncInfo": {}}))
        self.intake.take(self.log, answer.records, self.names)

    def shown(self) -> list[Node]:
        root = build_root([EXTENSION], fallback_s=1.0, calls=self.catalogue)
        found: list[Node] = []
        for name in ("Company", "101 Jane"):
            directory = root.find(name)
            assert isinstance(directory, Directory)
            for below in ("Calls", "Recordings"):
                node = directory.find(below)
                assert node is not None
                found += walk(node)
        return found

    @property
    def ids(self) -> set[str]:
        return {json.loads(raw)["id"] for raw in self.catalogue.records(COMPANY, MONTH)}


@given(page=st.lists(hostile(CALL), min_size=1, max_size=3), changes=st.lists(hostile(CALL), max_size=2))
def test_a_page_with_odd_calls_is_accepted_and_shown(
    stores: tuple[MailboxIndex, SizeIndex], page: list[dict[str, Any]], changes: list[dict[str, Any]]
) -> None:
    world = World(stores)
    world.load([*page, SOUND])
    assert "sound" in world.ids
    world.shown()
    world.sync([*changes, {**SOUND, "result": "Missed"}])
    world.shown()
    world.load([*changes, SOUND])
    assert "sound" in world.ids
    world.shown()


def test_odd_values_of_ids_legs_and_times_cost_no_other_call(stores: tuple[MailboxIndex, SizeIndex]) -> None:
    world = World(stores)
    page = [{**CALL, "id": value} for value in HOSTILE]
    page += [
        {**CALL, "id": f"r{n}", "legs": [], "recording": {**RECORDING, "id": value}}
        for n, value in enumerate(HOSTILE)
    ]
    page += [{**CALL, "id": f"l{n}", "legs": value} for n, value in enumerate(HOSTILE)]
    page += [{**CALL, "id": f"t{n}", "startTime": value, "legs": []} for n, value in enumerate(HOSTILE)]
    world.load([*page, SOUND])
    assert {f"l{n}" for n in range(len(HOSTILE))} <= world.ids
    assert {f"r{n}" for n in range(len(HOSTILE))} <= world.ids
    assert "sound" in world.ids
    world.shown()
