"""Bookmarks: what rcfs adds it takes away, and it touches nothing else."""

import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest
import structlog
import trio

from rcfs.transport import Recorder
from rcfs.watch import bookmark
from rcfs.watch.bookmark import (
    is_shown_by_gvfs,
    keep_bookmark,
    with_gtk_bookmark,
    with_kde_place,
    without_gtk_bookmark,
    without_kde_place,
)
from tests.fakes.rig import run_inline

PLACE = Path("/home/jane/Ring & Central <1>")
URI = "file:///home/jane/Ring%20%26%20Central%20%3C1%3E"
LINES = "file:///home/jane/Documents\nsftp://host/x My host"
XBEL = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE xbel>
<xbel xmlns:bookmark="http://www.freedesktop.org/standards/desktop-bookmarks">
 <bookmark href="file:///home/jane">
  <title>Home</title>
 </bookmark>
 <separator/>
</xbel>
"""


def test_gtk() -> None:
    added = with_gtk_bookmark(LINES, PLACE)
    assert added == f"{LINES}\n{URI} Ring & Central <1> (rcfs)\n"
    assert with_gtk_bookmark(added, PLACE) == added
    assert without_gtk_bookmark(added, PLACE) == f"{LINES}\n"
    assert without_gtk_bookmark(with_gtk_bookmark("", PLACE), PLACE) == ""
    own = f"{URI} My phone\n"
    assert with_gtk_bookmark(own, PLACE) == without_gtk_bookmark(own, PLACE) == own, "the user has made it"


def test_kde() -> None:
    added = with_kde_place(XBEL, PLACE)
    (_home, place) = ElementTree.fromstring(added).findall("bookmark")
    assert place.get("href") == URI
    assert place.findtext("title") == "Ring & Central <1> (rcfs)"
    assert with_kde_place(added, PLACE) == added
    assert without_kde_place(added, PLACE) == XBEL
    changed = added.replace("</info>\n </book", "<metadata/></info>\n </book")
    assert without_kde_place(changed, PLACE) == XBEL, "KDE has added something to it"
    own = XBEL.replace("file:///home/jane", URI)
    assert with_kde_place(own, PLACE) == without_kde_place(own, PLACE) == own
    assert with_kde_place("", PLACE) == "", "KDE fills a missing file with its own places"


@pytest.mark.parametrize("name", ["two\nlines", "end\n", "a\x01\x0bb", "a\x85\u2028b", "a\udcff", "<&>]]>"])
def test_any_name(name: str) -> None:
    place = Path("/srv", name)
    added = with_gtk_bookmark(LINES, place)
    assert added.encode().count(b"\n") == LINES.count("\n") + 2
    assert without_gtk_bookmark(added, place) == f"{LINES}\n"
    document = with_kde_place(XBEL, place)
    (_home, entry) = ElementTree.fromstring(document).findall("bookmark")
    assert entry.get("href") == place.as_uri()
    assert without_kde_place(document, place) == XBEL


FSTAB = """# <file system> <mount point> <type> <options> <dump> <pass>
#rcfs /home/jane/off fuse.rcfs x-gvfs-hide
rcfs /home/jane/rc fuse.rcfs setuid=jane,noauto,user 0 0
rcfs /home/jane/My\\040phone fuse.rcfs user,x-gvfs-hide 0 0
rcfs /srv/shown fuse.rcfs user,x-gvfs-show 0 0
rcfs /srv/both fuse.rcfs x-gvfs-show,x-gvfs-hide
broken
"""


@pytest.mark.parametrize(
    ("place", "shown"),
    [
        ("/home/jane/rc", True),
        ("/home/jane/other", True),
        ("/home/jane/off", True),
        ("/home/jane/My phone", False),
        ("/home/jane/.rc", False),
        ("/home/jane", False),
        ("/srv/rc", False),
        ("/srv/shown", True),
        ("/srv/both", False),
    ],
)
def test_gvfs_shows_some_mounts_anyway(place: str, shown: bool) -> None:
    assert is_shown_by_gvfs(Path(place), Path("/home/jane"), FSTAB) == shown


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("CONFIG", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    monkeypatch.setattr(trio.to_thread, "run_sync", run_inline)
    return tmp_path


async def test_it_is_there_while_the_mount_is(desk: Path) -> None:
    kept = desk / "dotfiles"
    kept.mkdir()
    (kept / "places").write_text(XBEL)
    (desk / "data").mkdir()
    (desk / "data" / "user-places.xbel").symlink_to(kept / "places")
    bookmarks, recorder = desk / "config" / "gtk-3.0" / "bookmarks", Recorder(structlog.get_logger())
    async with trio.open_nursery() as mount:
        mount.start_soon(keep_bookmark, PLACE, recorder)
        await trio.testing.wait_all_tasks_blocked()
        assert URI in bookmarks.read_text()
        assert URI in (kept / "places").read_text()
        mount.cancel_scope.cancel()
    assert recorder.faults == ()
    assert bookmarks.read_text() == ""
    assert (kept / "places").read_text() == XBEL
    assert (desk / "data" / "user-places.xbel").is_symlink()


async def test_where_gvfs_shows_the_mount_only_kde_gets_a_place(
    desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (desk / "fstab").write_text(FSTAB)
    monkeypatch.setattr(bookmark, "_FSTAB", desk / "fstab")
    places = desk / "data" / "user-places.xbel"
    places.parent.mkdir()
    places.write_text(XBEL)
    async with trio.open_nursery() as mount:
        mount.start_soon(keep_bookmark, Path("/srv/shown"), Recorder(structlog.get_logger()))
        await trio.testing.wait_all_tasks_blocked()
        assert "file:///srv/shown" in places.read_text()
        mount.cancel_scope.cancel()
    assert places.read_text() == XBEL
    assert not (desk / "config").exists()


@pytest.mark.parametrize("content", [None, b"\xff"])
async def test_a_file_that_cannot_be_changed_is_noted_and_the_other_is_changed(
    desk: Path, content: bytes | None
) -> None:
    bookmarks, places = desk / "config" / "gtk-3.0" / "bookmarks", desk / "data" / "user-places.xbel"
    for bad, good, text in ((bookmarks, places, XBEL), (places, bookmarks, "")):
        shutil.rmtree(desk)
        for path in (bad, good):
            path.parent.mkdir(parents=True)
        if content is None:
            bad.mkdir()
        else:
            bad.write_bytes(content)
        good.write_text(text)
        recorder = Recorder(structlog.get_logger())
        async with trio.open_nursery() as mount:
            mount.start_soon(keep_bookmark, PLACE, recorder)
            await trio.testing.wait_all_tasks_blocked()
            assert URI in good.read_text()
            mount.cancel_scope.cancel()
        assert {fault.event for fault in recorder.faults} == {"bookmark"}
        assert good.read_text() == text
