"""A bookmark of the mount in file managers, for as long as it is up.

Nautilus, Nemo, Thunar and the file dialogs of GTK read ``gtk-3.0/bookmarks``, Dolphin and those of KDE
``user-places.xbel``. GLib shows a mount in the home directory anyway, with a button that unmounts it; Dolphin
does not (measured 2026-11: Nautilus 43, Nemo 5.6, Thunar 4.18, Dolphin 22.12).
"""

import fcntl
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import platformdirs
import trio

from rcfs.private import FILE_MODE, reason_of, replace_private_file
from rcfs.transport import Recorder

_MARK = "(rcfs)"
"""The end of the name of each bookmark that rcfs has made; it touches no other."""
_ICON = "folder-remote"
_WITHIN_S = 2.0
"""Longest wait for the disk of the home directory when the mount ends."""
_Change = Callable[..., str]
_ENTRY = re.compile(r"[ \t]*<bookmark\b[^>]*>.*?</bookmark>\n?", re.DOTALL)


def is_shown_by_glib(path: Path, home: Path) -> bool:
    """Whether the file managers of GTK show a mount at `path` without a bookmark.

    Source: g_unix_mount_guess_should_display of GLib 2.74.
    """
    if any(part.startswith(".") for part in path.parts):
        return False
    return any(
        path != each and path.is_relative_to(each) for each in (home, Path("/media"), Path("/run/media"))
    )


def with_gtk_bookmark(text: str, path: Path) -> str:
    """The lines of ``gtk-3.0/bookmarks`` with one for `path`; unchanged if somebody has made one."""
    if any(line.split(" ")[0] == path.as_uri() for line in text.splitlines()):
        return text
    begin = text if not text or text.endswith("\n") else f"{text}\n"
    return f"{begin}{path.as_uri()} {_title(path)}\n"


def without_gtk_bookmark(text: str, path: Path) -> str:
    """The lines without the one that `with_gtk_bookmark` has added."""
    own = f"{path.as_uri()} {_title(path)}"
    return "".join(line for line in text.splitlines(keepends=True) if line.rstrip("\n") != own)


def with_kde_place(text: str, path: Path) -> str:
    """The XBEL document of ``user-places.xbel`` with a place for `path`; unchanged if it has one.

    An empty or foreign document stays as it is: KDE fills a missing one with its own places.
    """
    href = f"href={quoteattr(path.as_uri())}"
    before, end, after = text.rpartition("</xbel>")
    if not end or href in text:
        return text
    entry = (
        f" <bookmark {href}>\n  <title>{escape(_title(path))}</title>\n  <info>\n"
        f'   <metadata owner="http://freedesktop.org">\n    <bookmark:icon name="{_ICON}"/>\n   </metadata>\n'
        "  </info>\n </bookmark>\n"
    )
    return before + entry + end + after


def without_kde_place(text: str, path: Path) -> str:
    """The document without the place that `with_kde_place` has added, even if KDE has changed it since."""
    href, title = f"href={quoteattr(path.as_uri())}", f"<title>{escape(_title(path))}</title>"
    return _ENTRY.sub(lambda entry: "" if href in entry[0] and title in entry[0] else entry[0], text)


def _title(path: Path) -> str:
    return f"{path.name} {_MARK}"


async def keep_bookmark(mountpoint: Path, recorder: Recorder) -> None:
    """Adds the bookmark of `mountpoint`, and removes it when it is cancelled; never raises."""
    if not await _change_all(with_gtk_bookmark, with_kde_place, mountpoint, recorder):
        return
    try:
        await trio.sleep_forever()
    finally:
        with trio.CancelScope(deadline=trio.current_time() + _WITHIN_S, shield=True):
            await _change_all(without_gtk_bookmark, without_kde_place, mountpoint, recorder)


async def _change_all(gtk: _Change, kde: _Change, mountpoint: Path, recorder: Recorder) -> bool:
    """Changes the files of both desktops; whether that succeeded."""

    def change_both() -> None:
        if not is_shown_by_glib(mountpoint, Path.home()):
            _change(platformdirs.user_config_path() / "gtk-3.0" / "bookmarks", partial(gtk, path=mountpoint))
        _change(platformdirs.user_data_path() / "user-places.xbel", partial(kde, path=mountpoint))

    try:
        await trio.to_thread.run_sync(change_both, abandon_on_cancel=True)
    except (OSError, UnicodeDecodeError) as exc:
        recorder.fault("bookmark", f"the bookmarks cannot be changed: {reason_of(exc)}")
        return False
    return True


def _change(path: Path, change: Callable[[str], str]) -> None:
    """Replaces the text of a file, or of the file that it is a link to.

    Raises:
        OSError: It cannot be written.
    """
    path = Path(os.path.realpath(path))
    with _locked(path.parent):
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        after = change(before)
        if after != before:
            mode = path.stat().st_mode & 0o777 if path.exists() else FILE_MODE
            replace_private_file(path, after, mode=mode)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Keeps other mounts, which may begin at the same login, from changing the file at the same time."""
    directory.mkdir(parents=True, exist_ok=True)
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
