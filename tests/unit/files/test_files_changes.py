"""Notices of changes, and the listeners that get them."""

from collections.abc import Collection
from types import SimpleNamespace
from typing import Any, cast

import attrs
import pytest
import structlog

from rcfs.files import FileSystem, Listener, TreePath, Waits
from rcfs.mailbox import (
    CallsChanged,
    CallsLoaded,
    Change,
    ExtensionsChanged,
    GreetingsChanged,
    MailboxesLost,
    MailboxLoaded,
)
from rcfs.model import COMPANY, ChangeRules, Extension
from rcfs.transport import Listeners, Recorder
from rcfs.tree import build_root
from tests.fakes.catalogue import PlainCatalogue

JANE = Extension(id=5, number="101", name="Jane")


@attrs.define(eq=False)
class Heard(Listener):
    """Notes the paths of which it hears."""

    paths: list[TreePath] = attrs.field(factory=list)
    whole: list[TreePath] = attrs.field(factory=list)

    def changed(self, paths: Collection[TreePath]) -> None:
        self.paths.extend(sorted(paths))

    def all_changed(self, path: TreePath) -> None:
        self.whole.append(path)


@attrs.define(eq=False)
class Known:
    """Mailboxes, of which some are known."""

    catalogues: dict[int, PlainCatalogue] = attrs.field(factory=dict)
    none: set[int] = attrs.field(factory=set)

    def catalogue(self, extension_id: int) -> PlainCatalogue | None:
        return self.catalogues.get(extension_id)

    def is_absent(self, extension_id: int) -> bool:
        return extension_id in self.none


@pytest.fixture
def account() -> SimpleNamespace:
    changes: Listeners[Change] = Listeners(Recorder(structlog.get_logger()))
    rights = SimpleNamespace(no_messages="")
    return SimpleNamespace(extensions=(JANE,), mailboxes=Known(), changes=changes, rights=rights)


@pytest.fixture
def files(account: SimpleNamespace) -> FileSystem:
    searches = SimpleNamespace(note_change=lambda: None)
    cache = SimpleNamespace(spill=None)
    engine = SimpleNamespace(
        account=account,
        searches=searches,
        outbox=SimpleNamespace(rules=ChangeRules()),
        library=None,
        cache=cache,
        recorder=Recorder(structlog.get_logger()),
    )
    root = build_root(account.extensions, fallback_s=0.0)
    return FileSystem(root, cast("Any", engine), Waits(), max_wait_s=1.0, render_live=cast("Any", None))


def test_every_listener_is_told_of_paths_below_the_root(files: FileSystem) -> None:
    one, other = Heard(), Heard()
    files.listen(one)
    files.listen(other)
    files.collections.changed(5, {("SMS", "2026-11"), ("SMS",)})
    assert one.paths == other.paths == [("101 Jane", "SMS"), ("101 Jane", "SMS", "2026-11")]
    files.collections.changed(5, {(), ("SMS",)})
    assert one.whole == other.whole == [("101 Jane",)]


def test_changes_of_an_extension_that_is_gone_are_ignored(files: FileSystem) -> None:
    heard = Heard()
    files.listen(heard)
    files.collections.changed(6, {("SMS", "2026-11")})
    files.collections.changed(6, {()})
    files.collections.loaded(6)
    assert (heard.paths, heard.whole) == ([], [])


def test_changes_of_the_account_are_shown_and_passed_on(files: FileSystem, account: SimpleNamespace) -> None:
    heard = Heard()
    files.listen(heard)
    files.collections.follow()
    jane = files.root.extension(5)
    assert not jane.is_filled
    account.mailboxes.catalogues[5] = PlainCatalogue()
    account.changes.tell(MailboxLoaded(5))
    assert jane.is_filled
    assert heard.whole == [("101 Jane",)]
    account.changes.tell(MailboxesLost())
    assert not jane.is_filled
    account.extensions = (Extension(id=5, number="102", name="Jane"), Extension(id=6, name="Menu"))
    account.mailboxes.none.add(6)
    account.changes.tell(ExtensionsChanged())
    assert heard.paths == [("101 Jane",), ("102 Jane",), ("Menu",)]
    assert jane.is_filled
    assert files.root.extension(6).is_filled, "there is nothing to be loaded"


def test_changes_of_calls_and_greetings_are_passed_on(files: FileSystem, account: SimpleNamespace) -> None:
    heard = Heard()
    files.listen(heard)
    files.collections.follow()
    account.changes.tell(CallsChanged(5, {("Calls", "2026-11.csv"), ("Recordings", "2026-11", "a.mp3")}))
    assert heard.paths == [
        ("101 Jane", "Calls", "2026-11.csv"),
        ("101 Jane", "Recordings", "2026-11", "a.mp3"),
    ]
    heard.paths.clear()
    account.changes.tell(CallsLoaded(COMPANY, "2026-10"))
    assert heard.paths == [
        ("101 Jane", "Calls", "2026-10.csv"),
        ("101 Jane", "Calls", "2026-10.jsonl"),
        ("101 Jane", "Recordings", "2026-10"),
    ], "one list has the calls of all"
    account.changes.tell(GreetingsChanged("greetings/5"))
    account.changes.tell(GreetingsChanged("prompts/company"))
    assert heard.whole == [("101 Jane", "Greetings")]
