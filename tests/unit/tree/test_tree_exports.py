"""Exports as directories: their states, archives, attributes, and the members of archives."""

import io
import zipfile
from typing import TypeVar

import pytest

from rcfs.model import ExportKind, ExportState, Extension, ReportKey
from rcfs.tree import (
    ArchiveDirectory,
    Directory,
    ExportArchiveFile,
    ExportDirectory,
    ExportShelf,
    MemberFile,
    Node,
    Root,
    TextFile,
    ZipDirectory,
    build_root,
    zip_extent,
)
from tests.fakes.exports import PERIOD, WANTED_S, PlainExports, an_export

N = TypeVar("N", bound=Node)


def shown(*exports: object, **fields: object) -> tuple[Root, PlainExports]:
    catalogue = PlainExports(list(exports), **fields)  # type: ignore[arg-type]
    return build_root([Extension(5, "101")], fallback_s=0.0, exports=catalogue), catalogue


def at(root: Root, path: str, kind: type[N]) -> N:
    """The node at a path, which is the same in each listing above it."""
    node: Node = root
    for name in path.split("/"):
        assert isinstance(node, Directory)
        found, listed = node.find(name), node.entries()[name]
        assert found is not None
        assert type(found) is type(listed)
        assert found.times() == listed.times()
        node = found
    assert isinstance(node, kind)
    return node


def names(directory: Directory) -> list[str]:
    """The names in a directory, read one by one."""
    found, after = [], 0
    while page := directory.page(after, 1):
        (entry,) = page
        found.append(entry.name)
        after = entry.cursor
    return found


def inside(shelf: ExportShelf, key: ReportKey, *paths: str) -> None:
    """Makes the cache have an archive with these members."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as target:
        for path in paths:
            target.writestr(zipfile.ZipInfo(path, (2026, 2, 3, 4, 5, 6)), path)
    data = file.getvalue()
    extent = zip_extent(data, len(data))
    shelf.whole.add(key)
    shelf.insides[key] = ZipDirectory.parse(data[extent.start : extent.stop], extent)


def test_a_login_without_exports_has_no_directory() -> None:
    root, _catalogue = shown(an_export(1), kinds=())
    assert "Exports" not in root.entries()
    assert root.find("Exports") is None
    root, _catalogue = shown(an_export(1), kinds=(ExportKind.TEAM,))
    assert names(at(root, "Exports", Directory)) == ["Team Messaging"]
    assert at(root, "Exports", Directory).find("Messages") is None
    assert "Exports" not in build_root([], fallback_s=0.0).entries()


def test_rights_that_change_change_the_root() -> None:
    root, catalogue = shown()
    assert root.show([Extension(5, "101")]) == set()
    exports = root.find("Exports")
    catalogue.kinds = ()
    assert root.show([Extension(5, "101")]) == {"Exports"}
    catalogue.kinds = (ExportKind.MESSAGES,)
    assert root.show([Extension(5, "101")]) == {"Exports"}
    assert exports is not None


def test_no_extension_is_called_exports() -> None:
    root = build_root([Extension(5, "", "exports")], fallback_s=0.0, exports=PlainExports())
    assert list(root.entries()) == ["exports (2)", "Exports"]


@pytest.mark.parametrize("state", ExportState)
def test_the_state_in_words(state: ExportState) -> None:
    root, catalogue = shown(an_export(state=state), problem="no\x1b[2J luck")
    directory = at(root, f"Exports/Messages/{PERIOD}", ExportDirectory)
    assert names(directory) == ["status.txt"]
    status = at(root, f"Exports/Messages/{PERIOD}/status.txt", TextFile)
    text = status.content().decode()
    assert status.size_bytes == len(text)
    assert status.size_is_exact
    assert status.is_quick
    lines = text.splitlines()
    assert lines[0].endswith(".")
    assert f"state      {state.value}" in lines
    assert "since      2026-03-31 23:33:30Z" in lines
    assert "task       230-5-ab" in lines
    assert "reason     no [2J luck" in lines
    assert ("next look  2026-03-31 23:33:50Z" in lines) is not state.is_final
    assert ("mkdir" in text or "--again" in text) is (state.is_final and state is not ExportState.COMPLETED)
    catalogue.exports.clear()
    assert status.content() == b""
    assert names(directory) == []


def test_archives_take_the_place_of_the_state() -> None:
    root, catalogue = shown(an_export(state=ExportState.IN_PROGRESS))
    directory = at(root, f"Exports/Messages/{PERIOD}", ExportDirectory)
    assert names(directory) == ["status.txt"]
    catalogue.exports[0] = an_export(1000, 2000)
    assert names(directory) == ["archive-0.zip", "archive-1.zip"]
    assert directory.find("status.txt") is None
    catalogue.exports[0] = an_export(1000, state=ExportState.EXPIRED)
    assert names(directory) == ["status.txt", "archive-0.zip"]
    assert at(root, f"Exports/Messages/{PERIOD}/archive-0.zip", ExportArchiveFile).wanted().purged


def test_archives_have_exact_sizes_times_and_attributes() -> None:
    team = an_export(3000, kind=ExportKind.TEAM, task_id="t1")
    root, catalogue = shown(an_export(1000, None), team)
    first = at(root, f"Exports/Messages/{PERIOD}/archive-0.zip", ExportArchiveFile)
    second = at(root, f"Exports/Messages/{PERIOD}/archive-1.zip", ExportArchiveFile)
    assert first.size() == (1000, True)
    assert second.size() == (1 << 30, False), "the platform did not say"
    assert first.times().mtime_s == first.times().ctime_s == WANTED_S
    assert second.xattrs() == {
        "user.rcfs.task_id": "230-5-ab",
        "user.rcfs.archive_id": "1",
        "user.rcfs.key": "230/report/230-5-ab/1",
    }
    dataset = at(root, f"Exports/Team Messaging/{PERIOD}/archive-0.zip", ExportArchiveFile)
    assert dataset.xattrs()["user.rcfs.dataset_id"] == "set-0"
    assert (first.place == second.place) is not (first.place == dataset.place)
    wanted = dataset.wanted()
    assert (wanted.key, wanted.content_type, wanted.purged) == (dataset.key, "application/zip", False)
    catalogue.learned[first.key] = 999
    assert at(root, f"Exports/Messages/{PERIOD}/archive-0.zip", ExportArchiveFile).size() == (999, True)
    for file in (first, second, dataset):
        found = root.content_file(file.key)
        assert isinstance(found, ExportArchiveFile)
        assert found.archive == file.archive
    assert root.content_file(ReportKey("230", "other", 0)) is None


def test_listings_are_stable_while_exports_come_and_go() -> None:
    periods = [f"2026-0{month}-01 to 2026-0{month}-02" for month in range(1, 6)]
    exports = [an_export(name=name) for name in periods]
    root, catalogue = shown(*exports)
    kind = at(root, "Exports/Messages", Directory)
    first = kind.page(0, 2)
    assert [entry.name for entry in first] == periods[:2]
    del catalogue.exports[0]
    catalogue.exports.insert(0, an_export(name="2025-01-01 to 2025-01-01"))
    rest = kind.page(first[-1].cursor, 9)
    assert [entry.name for entry in rest] == [*periods[2:], "2025-01-01 to 2025-01-01"]


def test_a_whole_archive_has_a_directory_beside_it() -> None:
    root, _catalogue = shown(an_export(10, 20))
    above = f"Exports/Messages/{PERIOD}"
    directory = at(root, above, ExportDirectory)
    key = directory.archives()[1].key
    assert isinstance(key, ReportKey)
    assert directory.find("archive-1") is None
    root.exports.whole.add(key)
    assert names(directory) == ["archive-0.zip", "archive-1.zip", "archive-1"]
    unread = at(root, f"{above}/archive-1", ArchiveDirectory)
    assert not unread.is_known
    with pytest.raises(RuntimeError):
        unread.find("account")

    inside(root.exports, key, "account/230/message-store.json", "account/230/content/7.jpg", "../x")
    assert names(at(root, f"{above}/archive-1", ArchiveDirectory)) == ["_", "account"]
    member = at(root, f"{above}/archive-1/account/230/content/7.jpg", MemberFile)
    assert member.size_bytes == len("account/230/content/7.jpg")
    assert member.times().mtime_s == 1770091506.0
    assert at(root, f"{above}/archive-1/account/230", ArchiveDirectory).times() == directory.times()
    assert at(root, f"{above}/archive-1/_", ArchiveDirectory).find("..") is None
    root.exports.whole.clear()
    assert names(directory) == ["archive-0.zip", "archive-1.zip"]
