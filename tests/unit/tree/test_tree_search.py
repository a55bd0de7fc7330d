"""Searches as directories, over a list of what is found."""

import pytest

from rcfs.model import COMPANY, Extension, FoundRow
from rcfs.tree import (
    Directory,
    Link,
    Node,
    Root,
    SearchDirectory,
    SearchesDirectory,
    Times,
    build_root,
    search_name,
    search_query,
)
from rcfs.tree._names import clean, fit
from tests.fakes.call_catalogue import PlainCalls
from tests.fakes.searches import PlainSearches

JANE, BOB = Extension(5, "101", "Jane"), Extension(6, "", "Bob")


def row(number: int, *, extension: int = 5, message_id: int = 0, ambiguous: bool = False) -> FoundRow:
    message_id = message_id or number
    name = f"2026-11-03T17.27.05Z from Eve [{message_id}]"
    return FoundRow(number, extension, message_id, name, 2.0, 3.0, "SMS", "2026-11", ambiguous)


@pytest.fixture
def searches() -> PlainSearches:
    return PlainSearches()


@pytest.fixture
def root(searches: PlainSearches) -> Root:
    return build_root([JANE, BOB], fallback_s=1.0, searches=searches)


@pytest.fixture
def search(root: Root) -> SearchDirectory:
    directory = at(root, "Search")
    assert isinstance(directory, SearchesDirectory)
    found = directory.find("invoice")
    assert isinstance(found, SearchDirectory)
    return found


def at(directory: Directory, name: str) -> Node:
    node = directory.find(name)
    assert node is not None
    return node


def at_directory(directory: Directory, name: str) -> Directory:
    node = at(directory, name)
    assert isinstance(node, Directory)
    return node


def target(node: Node | None) -> str:
    assert isinstance(node, Link)
    return node.target


def test_the_root_lists_them_after_the_extensions(root: Root) -> None:
    assert list(root.entries()) == ["101 Jane", "Bob", "Search"]
    assert at(root, "Search") is root.entries()["Search"]
    root.show([JANE])
    assert list(root.entries()) == ["101 Jane", "Search"]
    assert "Search" not in build_root([JANE], fallback_s=1.0).entries()


@pytest.mark.parametrize("name", ["Search", "search"])
def test_no_extension_is_called_so(name: str) -> None:
    assert next(iter(build_root([Extension(1, "", name)], fallback_s=1.0).entries())) == f"{name} (2)"


def test_searches_are_as_they_are_kept(root: Root, searches: PlainSearches) -> None:
    directory = at(root, "Search")
    assert isinstance(directory, SearchesDirectory)
    assert (directory.mode, directory.collection_id, directory.is_quick) == (0o777, None, True)
    searches.names = ["b", "a", "c"]
    assert list(directory.entries()) == ["b", "a", "c"]
    assert [entry.name for entry in directory.page(1, 1)] == ["a"]
    assert directory.find("d") is None


def test_a_link_for_each_message(search: SearchDirectory, searches: PlainSearches) -> None:
    searches.rows = [row(1), row(2, extension=6)]
    assert {name: target(node) for name, node in search.entries().items()} == {
        "2026-11-03T17.27.05Z from Eve [1]": ("../../101 Jane/SMS/2026-11/2026-11-03T17.27.05Z from Eve [1]"),
        "2026-11-03T17.27.05Z from Eve [2]": "../../Bob/SMS/2026-11/2026-11-03T17.27.05Z from Eve [2]",
    }
    for name, node in search.entries().items():
        assert target(search.find(name)) == target(node)
        assert node.times() == Times(2.0, 3.0)
    assert searches.queries == {"invoice"}
    assert (search.mode, search.collection_id, search.is_quick) == (0o777, None, False)


def test_messages_of_one_name_show_whose_they_are(search: SearchDirectory, searches: PlainSearches) -> None:
    searches.rows = [
        row(1, message_id=7, ambiguous=True),
        row(2, message_id=7, ambiguous=True, extension=6),
    ]
    stem = "2026-11-03T17.27.05Z from Eve"
    assert list(search.entries()) == [f"{stem} (101) [7]", f"{stem} (6) [7]"]
    assert target(search.find(f"{stem} (6) [7]")) == f"../../Bob/SMS/2026-11/{stem} [7]"
    assert search.find(f"{stem} [7]") is None
    searches.rows = [row(2, message_id=7, extension=6)]
    assert list(search.entries()) == [f"{stem} [7]"]
    assert target(search.find(f"{stem} [7]")) == f"../../Bob/SMS/2026-11/{stem} [7]"
    assert search.find(f"{stem} (6) [7]") is not None, "as it may have been listed a moment ago"
    assert search.find(f"{stem} (101) [7]") is None


def test_what_is_not_there(search: SearchDirectory, searches: PlainSearches) -> None:
    searches.rows = [row(1), row(2, extension=99)]
    for name in ("", "x", "x [1]", "[1]", "2026-11-03T17.27.05Z from Eve [2]"):
        assert search.find(name) is None
    assert len(search.entries()) == 1


def test_a_page_without_visible_links_is_not_the_end(
    search: SearchDirectory, searches: PlainSearches
) -> None:
    searches.rows = [row(number, extension=99) for number in range(1, 10)] + [row(10)]
    assert [entry.cursor for entry in search.page(0, 3)] == [10]
    assert search.page(10, 3) == []


def test_its_time_is_that_of_the_latest_change(search: SearchDirectory, searches: PlainSearches) -> None:
    assert search.times() == Times(9.0, 9.0)
    searches.changed_s = 20.0
    assert search.times() == Times(20.0, 20.0)


@pytest.mark.parametrize(
    ("typed", "query", "listed"),
    [
        ("invoice -paid", "invoice -paid", "invoice -paid"),
        ('"credit note" OR refund*', '"credit note" OR refund*', "\uff02credit note\uff02 OR refund\uff0a"),
        ("re: a<b>c|d?\\e", "re: a<b>c|d?\\e", "re\uff1a a\uff1cb\uff1ec\uff5cd\uff1f\uff3ce"),
        ("bill inc.", "bill inc.", "bill inc\uff0e"),
        (" spaced\u3000out ", "spaced out", "spaced out"),
        ("con", '"con"', "\uff02con\uff02"),
        ("AUX.txt", '"AUX.txt"', "\uff02AUX.txt\uff02"),
        ("Cafe\u0301", "Caf\u00e9", "Caf\u00e9"),
        ("\u05d3\u05d5\u05d3 \U0001f600", "\u05d3\u05d5\u05d3 \U0001f600", "\u05d3\u05d5\u05d3 \U0001f600"),
    ],
)
def test_a_search_is_listed_as_every_disk_takes_it(typed: str, query: str, listed: str) -> None:
    assert search_query(typed) == query
    assert search_name(query) == listed
    assert search_query(listed) == query
    assert clean(listed) == listed
    assert fit(listed) == listed


@pytest.mark.parametrize(
    "character", ["\n", "\x00", "\x9b", "\u2028", "\u202e", "\u200b", "\U000e0067", "\ue000", "/"]
)
def test_a_query_without_a_valid_name_is_refused(character: str) -> None:
    with pytest.raises(ValueError, match="cannot stand in a name"):
        search_query(f"a{character}b")


def test_recordings_and_calls_are_found_as_well(searches: PlainSearches) -> None:
    root = build_root([JANE, BOB], fallback_s=1.0, searches=searches, calls=PlainCalls())
    search = at(at_directory(root, "Search"), "invoice")
    assert isinstance(search, SearchDirectory)
    name, called = (
        "2026-11-03T17.27.05Z from Eve 9s [77].mp3",
        "2026-11-03T17.27.05Z from Eve [aB-c].csv",
    )
    month = "2026-11.csv"
    searches.rows = [
        FoundRow((1 << 40) + 1, 5, 0, name, 2.0, 3.0, "Recordings", "2026-11"),
        FoundRow((1 << 40) + 2, COMPANY, 0, name.replace("77", "78"), 2.0, 3.0, "Recordings", "2026-11"),
        FoundRow((1 << 40) + 3, 6, 0, month, 2.0, 3.0, "Calls", "", link=called),
    ]
    expected = {
        name: f"../../101 Jane/Recordings/2026-11/{name}",
        name.replace("77", "78"): f"../../Company/Recordings/2026-11/{name.replace('77', '78')}",
        called: "../../Bob/Calls/2026-11.csv",
    }
    assert {name: target(node) for name, node in search.entries().items()} == expected
    assert {name: target(search.find(name)) for name in expected} == expected
    assert search.find(month) is None
    assert search.find(name.replace("77", "79")) is None


def test_what_the_company_has_is_not_found_while_it_is_not_shown(searches: PlainSearches) -> None:
    root = build_root([JANE], fallback_s=1.0, searches=searches, calls=PlainCalls(has_company=False))
    search = at(at_directory(root, "Search"), "invoice")
    assert isinstance(search, SearchDirectory)
    searches.rows = [FoundRow(1, COMPANY, 0, "x [7].mp3", 2.0, 3.0, "Recordings", "2026-11")]
    assert search.entries() == {}
    assert search.find("x [7].mp3") is None
