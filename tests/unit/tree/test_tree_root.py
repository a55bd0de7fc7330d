import pytest

from rcfs.model import Extension
from rcfs.tree import LIVE_TOPICS, REFRESH_ALL, Directory, LiveFile, RefreshFile, Times, build_root
from tests.fakes.searches import PlainSearches


def names(*extensions: Extension) -> list[str]:
    return list(build_root(extensions, fallback_s=1.0).entries())


@pytest.mark.parametrize(
    ("extension", "name"),
    [
        (Extension(5, "101", "Jane Smith"), "101 Jane Smith"),
        (Extension(5, "", "Jane Smith"), "Jane Smith"),
        (Extension(5, "101", ""), "101"),
        (Extension(5), "extension 5"),
        (Extension(5, "..", "\u202e"), "extension 5"),
        (Extension(5, "101", "A/B\n."), "101 A_B"),
        (Extension(5, "", ".rcfs"), "rcfs"),
    ],
)
def test_an_extension_is_called_by_number_and_name(extension: Extension, name: str) -> None:
    assert names(extension) == [name]


def test_equal_names_show_the_id() -> None:
    extensions = [Extension(3, "", "Sales"), Extension(1, "", "SALES"), Extension(2, "", "Support")]
    assert names(*extensions) == ["SALES [1]", "Sales [3]", "Support"]


def test_a_name_that_looks_like_anothers_id_is_still_unique() -> None:
    extensions = [Extension(1, "", "Sales"), Extension(2, "", "sales"), Extension(3, "", "Sales [1]")]
    assert names(*extensions) == ["Sales [1]", "Sales [1] (2)", "sales [2]"]


def test_names_that_are_equal_only_when_cut_show_the_id() -> None:
    found = names(Extension(1, "", "x" * 300), Extension(2, "", "x" * 301))
    assert found == ["x" * 251 + " [1]", "x" * 251 + " [2]"]


def test_extensions_are_found_by_id() -> None:
    root = build_root([Extension(1, "101"), Extension(2, "102")], fallback_s=1.0)
    assert root.extension(2) is root.entries()["102"]
    assert root.extension(1).extension.number == "101"
    with pytest.raises(KeyError):
        root.extension(3)


def test_of_records_with_the_same_id_the_last_counts() -> None:
    assert names(Extension(1, "101"), Extension(1, "102")) == ["102"]


def test_the_live_files_are_there_and_need_no_mailbox() -> None:
    root = build_root([], fallback_s=1.0)
    assert root.entries() == {}, "it is no part of the account"
    live = root.find(".rcfs")
    assert list(build_root([], fallback_s=1.0, list_control=True).entries()) == [".rcfs"]
    assert isinstance(live, Directory)
    assert (root.collection_id, live.collection_id, root.is_known, live.is_known) == (None, None, True, True)
    topics = [(name, node.topic) for name, node in live.entries().items() if isinstance(node, LiveFile)]
    assert topics == [(topic, topic) for topic in LIVE_TOPICS]
    assert topics[1][0] == "status.json"


def test_files_that_start_a_refresh_are_found_and_not_listed() -> None:
    root = build_root([Extension(1, "101")], fallback_s=1.0, searches=PlainSearches())
    control = root.find(".rcfs")
    assert isinstance(control, Directory)
    assert "refresh" not in control.entries()
    refresh = control.find("refresh")
    assert isinstance(refresh, Directory)
    assert refresh.entries() == {}
    for name in ("101", "Search", REFRESH_ALL):
        found = refresh.find(name)
        assert isinstance(found, RefreshFile)
        assert found.name == name
    assert [refresh.find(name) for name in ("102", ".rcfs", "", "refresh")] == [None] * 4


def test_the_root_has_the_time_given() -> None:
    root = build_root([Extension(1)], fallback_s=7.0)
    assert {node.times() for node in (root, *root.entries().values())} == {Times(7.0, 7.0)}


def test_extensions_that_come_go_and_change_keep_their_directories() -> None:
    root = build_root([Extension(1, "101", "Ann"), Extension(2, "102", "Bob")], fallback_s=1.0)
    ann = root.extension(1)
    assert root.show([Extension(1, "101", "Ann"), Extension(2, "102", "Bob")]) == set()
    changed = root.show([Extension(1, "101", "Ann Lee"), Extension(3, "103", "Eve")])
    assert changed == {"101 Ann", "101 Ann Lee", "102 Bob", "103 Eve"}
    assert root.find("101 Ann Lee") is ann
    assert ann.extension.name == "Ann Lee"
    assert (root.name_of(1), root.name_of(2)) == ("101 Ann Lee", None)
    assert root.show([Extension(1, "101", "Ann Lee", raw='{"x":1}'), Extension(3, "103", "Eve")]) == {
        "101 Ann Lee"
    }


def test_a_listing_of_the_root_continues_after_its_cursor() -> None:
    root = build_root([Extension(1, "105"), Extension(2, "107")], fallback_s=1.0)
    (first,) = root.page(0, 1)
    root.show([Extension(1, "105"), Extension(2, "107"), Extension(3, "101")])
    assert [entry.name for entry in (first, *root.page(first.cursor, 9))] == ["105", "107", "101"]
