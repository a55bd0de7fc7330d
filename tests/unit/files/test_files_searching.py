"""Searches in the file system."""

from types import SimpleNamespace
from typing import Any, cast

import attrs
import pytest

from rcfs.engine import Engine
from rcfs.files import FileSystem, Waits
from rcfs.files._changes import Changes
from rcfs.files._collections import _VISITED
from rcfs.files._searching import Searching
from rcfs.mailbox import Searches
from rcfs.model import ChangeRules, Extension, FoundRow
from rcfs.tree import Root, build_root
from tests.fakes.askers import Somebody
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


async def test_an_answer_that_has_become_old_is_asked_for_again(
    root: Root, searches: CountedSearches
) -> None:
    searching = Searching(root, cast("Searches", searches), Changes())
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
    cache = SimpleNamespace(spill=None)
    engine = cast(
        "Engine",
        SimpleNamespace(
            account=account,
            outbox=SimpleNamespace(rules=ChangeRules()),
            searches=searches,
            recorder=None,
            library=None,
            cache=cache,
        ),
    )
    files = FileSystem(root, engine, Waits(), max_wait_s=60, render_live=cast("Any", None))
    search = cast("Any", root.entries()["Search"]).entries()["invoice"]
    await files.list(search, Somebody())
    assert len(looks) == visited
