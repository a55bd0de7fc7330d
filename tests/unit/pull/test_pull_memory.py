"""The memory of a pull does not grow with the mailbox."""

import gc
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from rcfs.mailbox import MailboxCatalogue
from rcfs.model import Extension, Filter, Retention, message_from
from rcfs.pull import Copy, Item, Survey, Walk
from rcfs.pull._survey import Surveyor
from rcfs.pull._todo import Kind, Step
from rcfs.store import ContentCache, MailboxIndex, SizeIndex
from rcfs.tree import Node, build_root, name_folder, shelve

MESSAGES = 5_000
MOST = 2500
"""Nodes, items and steps at a time: a page of 1,000 entries of a folder, a page of its parent, and more."""


def held() -> int:
    """Number of nodes, items and steps in memory."""
    return sum(isinstance(each, (Node, Item, Step)) for each in gc.get_objects())


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[MailboxCatalogue]:
    """A mailbox in an index on the disk, as in a real pull: 5,000 voicemails of four months."""
    with (
        closing(MailboxIndex.open(tmp_path / "mailboxes.sqlite", pytest.fail)) as index,
        closing(SizeIndex.open(tmp_path / "sizes.sqlite", pytest.fail)) as sizes,
    ):
        mailbox, listing = index.writer.begin("1", 5)
        messages = (message_from(record(number)) for number in range(1, MESSAGES + 1))
        shelved = (shelve(message, keep_purged=False) for message in messages if message is not None)
        index.writer.put(mailbox, filter(None, shelved), name_folder, listing=listing)
        yield MailboxCatalogue(index.reader, sizes, mailbox, "1", 5)


def record(number: int) -> dict[str, Any]:
    return {
        "id": number,
        "type": "VoiceMail",
        "direction": "Inbound",
        "availability": "Alive",
        "from": {"phoneNumber": f"+1415{number % 40}"},
        "creationTime": f"2026-{8 + number % 4:02}-03T10:00:00Z",
        "attachments": [{"id": number, "type": "AudioRecording", "contentType": "audio/wav"}],
    }


def test_a_pull_holds_a_page_or_two_of_any_mailbox(catalogue: MailboxCatalogue, tmp_path: Path) -> None:
    root = build_root([Extension(id=5, number="101", name="Jane")], fallback_s=0)
    root.extension(5).show(catalogue)
    survey, most = Survey(root=root), 0
    before = held()
    with (
        Copy.open(tmp_path / "copy", "1") as copy,
        closing(ContentCache.open(tmp_path / "cache", free_floor_bytes=0, warn=pytest.fail)) as cache,
    ):
        surveyor = Surveyor(survey, cache, copy, Retention(), verify=False)
        items = iter(Walk(root, [()], Filter()))
        while surveyor.look_at(islice(items, 4000), time.time()):
            most = max(most, held() - before)
        assert (survey.missing, survey.local) == (MESSAGES, MESSAGES + 1)
        assert 100 < most <= MOST
        assert held() - before <= 10, "nothing is left of what was looked at"
        steps = 0
        for kind in Kind:
            for _step in survey.todo.steps(kind):
                if steps % 5000 == 0:
                    assert held() - before <= MOST
                steps += 1
        assert steps > 4 * MESSAGES, "each was to be done"
