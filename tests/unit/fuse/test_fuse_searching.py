"""Invalidation of searches, without a kernel."""

from typing import Any, cast

import attrs
import pyfuse3
import pytest

from rcfs.files._changes import Changes
from rcfs.files._searching import Searching
from rcfs.fuse._inodes import InodeTable
from rcfs.fuse._invalidation import Invalidation
from rcfs.mailbox import Searches
from rcfs.model import Extension, FoundRow
from rcfs.tree import Root, build_root
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


def test_only_what_the_kernel_holds_is_forgotten(
    root: Root, searches: CountedSearches, forgotten: list[bytes | int]
) -> None:
    inodes = InodeTable(root)
    changes = Changes()
    changes.listen(Invalidation(root, inodes))
    searching = Searching(root, cast("Searches", searches), changes)
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
    searching.owners_changed()
    assert forgotten[2:] == [b"invoice"]
