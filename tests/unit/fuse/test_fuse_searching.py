"""Searches in the file system, without FUSE."""

from types import SimpleNamespace
from typing import Any, cast

import attrs
import pyfuse3
import pytest

from rcfs.engine import Engine
from rcfs.fuse._inodes import InodeTable
from rcfs.fuse._invalidation import Invalidation
from rcfs.fuse._operations import _VISITED, Operations
from rcfs.fuse._searching import Searching
from rcfs.fuse._waits import Waits
from rcfs.mailbox import Searches
from rcfs.model import Extension, FoundRow
from rcfs.tree import Root, build_root
from tests.fakes.catalogue import PlainCatalogue
from tests.fakes.searches import PlainSearches

NAME = "2026-11-03T10.00.00Z from Eve [3]"
ROW = FoundRow(1, 1, 3, NAME, 1.0, None, "SMS", "2026-11")


@attrs.define
class CountedSearches(PlainSearches):
    """Notes how often something changed."""

    changes: int = 0

    def note_change(self) -> None:
        self.changes += 1


@pytest.fixture
def searches() -> CountedSearches:
    return CountedSearches([ROW])


@pytest.fixture
def root(searches: CountedSearches) -> Root:
    return build_root([Extension(1, "101")], fallback_s=0.0, searches=searches)


@pytest.fixture
def forgotten(monkeypatch: pytest.MonkeyPatch) -> list[bytes | int]:
    """Names and inodes that the kernel is told to forget."""
    told: list[bytes | int] = []
    monkeypatch.setattr(pyfuse3, "invalidate_entry_async", lambda _parent, name, **_: told.append(name))
    monkeypatch.setattr(pyfuse3, "invalidate_inode", lambda inode, **_: told.append(inode))
    return told


def make_searching(root: Root, inodes: InodeTable, searches: CountedSearches) -> Searching:
    return Searching(root, inodes, cast("Searches", searches), Invalidation(root, inodes))


def test_only_what_the_kernel_holds_is_forgotten(
    root: Root, searches: CountedSearches, forgotten: list[bytes | int]
) -> None:
    inodes = InodeTable(root)
    searching = make_searching(root, inodes, searches)
    searching.mailbox_changed(1, {("SMS", "2026-11", NAME)})
    assert (forgotten, searching.edition, searches.changes) == ([], 1, 1)
    folder = root.entries()["Search"]
    parent = inodes.remember(pyfuse3.ROOT_INODE, b"Search", folder)
    searching.mailbox_changed(1, {("SMS", "2026-11", NAME)})
    assert forgotten == [], "nobody has looked at a search"
    search = next(iter(cast("Any", folder).entries().values()))
    inode = inodes.remember(parent, b"invoice", search)
    inodes.remember(inode, NAME.encode(), search.entries()[NAME])
    searching.mailbox_changed(1, {("SMS", "2026-11", NAME), ("SMS", "2026-11", "another [4]")})
    assert forgotten == [inode, NAME.encode()]
    searching.extensions_changed()
    assert forgotten[2:] == [b"invoice"]


async def test_an_answer_that_has_become_old_is_asked_for_again(
    root: Root, searches: CountedSearches
) -> None:
    searching = make_searching(root, InodeTable(root), searches)
    answers = iter(range(9))

    def answer() -> int:
        number = next(answers)
        if number < 1:
            searching.edition += 1
        return number

    assert await searching.ask(answer, "answer") == 1

    def ever_newer() -> int:
        searching.edition += 1
        return next(answers)

    assert await searching.ask(ever_newer, "newer") == 4, "not for ever"


@pytest.mark.parametrize(("mailboxes", "visited"), [(_VISITED, _VISITED), (_VISITED + 1, 0)])
async def test_a_look_at_a_search_is_one_at_a_few_mailboxes(
    searches: CountedSearches, mailboxes: int, visited: int
) -> None:
    extensions = [Extension(number) for number in range(1, mailboxes + 2)]
    root = build_root(extensions, fallback_s=0.0, searches=searches)
    for number in range(1, mailboxes + 1):
        root.extension(number).show(PlainCatalogue())
    looks: list[int] = []
    account = SimpleNamespace(extensions=extensions, mailboxes=SimpleNamespace(visit=looks.append))
    engine = cast("Engine", SimpleNamespace(account=account, searches=searches, recorder=None, library=None))
    operations = Operations(root, engine, Waits(), max_wait_s=60, render_live=cast("Any", None))
    search = cast("Any", root.entries()["Search"]).entries()["invoice"]
    inode = operations._inodes.remember(pyfuse3.ROOT_INODE, b"x", search)
    await operations.opendir(pyfuse3.InodeT(inode), pyfuse3.RequestContext())
    assert len(looks) == visited
