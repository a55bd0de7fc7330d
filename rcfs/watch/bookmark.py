"""A bookmark of the mount in file managers, for as long as it is up.

Nautilus, Nemo, Thunar and the file dialogs of GTK read ``gtk-3.0/bookmarks``, Dolphin and those of KDE
``user-places.xbel``. Those of GTK show some mounts anyway, with a button that unmounts them; Dolphin does not
(measured 2026-11: Nautilus 43, Nemo 5.6, Thunar 4.18, Dolphin 22.12, GVfs 1.50).
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

from rcfs.model import one_line
from rcfs.private import FILE_MODE, reason_of, replace_private_file
from rcfs.transport import Recorder

_MARK = "(rcfs)"
"""The end of the name of each bookmark that rcfs has made; it touches no other."""
_ICON = "folder-remote"
_WITHIN_S = 2.0
"""Longest wait for the disk of the home directory when the mount ends."""
_Change = Callable[..., str]
_FSTAB = Path("/etc/fstab")
_OCTAL = re.compile(r"\\([0-7]{3})")
"""How fstab has spaces. Source: fstab(5)."""
_ENTRY = re.compile(r"[ \t]*<bookmark\b[^>]*>.*?</bookmark>\n?", re.DOTALL)


def is_shown_by_gvfs(path: Path, home: Path, fstab: str) -> bool:
    """Whether the file managers of GTK show a mount at `path` without a bookmark.

    Args:
        path: The mount point.
        home: The home directory of the user.
        fstab: The text of /etc/fstab. mount(8) tells its helpers nothing of the options ``x-…``, and says in
            /run/mount/utab that they apply when the helper has ended.

    Source: should_include_mount of GVfs 1.50, g_unix_mount_guess_should_display of GLib 2.74.
    """
    options = _fstab_options(path, fstab)
    if "x-gvfs-hide" in options or "x-gvfs-show" in options:
        return "x-gvfs-hide" not in options
    if any(part.startswith(".") for part in path.parts):
        return False
    return any(
        path != each and path.is_relative_to(each) for each in (home, Path("/media"), Path("/run/media"))
    )


def _fstab_options(path: Path, fstab: str) -> set[str]:
    """The options of the mount point `path`; none if `fstab` does not have it."""
    for line in fstab.splitlines():
        fields = [_OCTAL.sub(lambda octal: chr(int(octal[1], 8)), field) for field in line.split()]
        if len(fields) > 3 and not line.lstrip().startswith("#") and fields[1] == str(path):
            return set(fields[3].split(","))
    return set()


def with_gtk_bookmark(text: str, path: Path) -> str:
    """The lines of ``gtk-3.0/bookmarks`` with one for `path`; unchanged if somebody has made one."""
    if any(line.split(" ")[0] == path.as_uri() for line in text.split("\n")):
        return text
    begin = text if not text or text.endswith("\n") else f"{text}\n"
    return f"{begin}{path.as_uri()} {_title(path)}\n"


def without_gtk_bookmark(text: str, path: Path) -> str:
    """The lines without the one that `with_gtk_bookmark` has added."""
    own = f"{path.as_uri()} {_title(path)}"
    return "\n".join(line for line in text.split("\n") if line != own)


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
    # A name may hold what would end the line of GTK's file, or what no XML document may hold.
    return f"{one_line(path.name)} {_MARK}"


async def keep_bookmark(mountpoint: Path, recorder: Recorder) -> None:
    """Adds the bookmark of `mountpoint`, and removes it when it is cancelled; never raises `Exception`."""

    def gtk(text: str, path: Path) -> str:
        fstab = _FSTAB.read_text(errors="replace") if _FSTAB.exists() else ""
        return text if is_shown_by_gvfs(path, Path.home(), fstab) else with_gtk_bookmark(text, path)

    try:
        await _change_all(gtk, with_kde_place, mountpoint, recorder)
        await trio.sleep_forever()
    finally:
        with trio.CancelScope(deadline=trio.current_time() + _WITHIN_S, shield=True):
            await _change_all(without_gtk_bookmark, without_kde_place, mountpoint, recorder)


async def _change_all(gtk: _Change, kde: _Change, mountpoint: Path, recorder: Recorder) -> None:
    """Changes the files of both desktops, one also if the other cannot be changed."""
    for path, change in (
        (platformdirs.user_config_path() / "gtk-3.0" / "bookmarks", gtk),
        (platformdirs.user_data_path() / "user-places.xbel", kde),
    ):
        work = partial(_change, path, partial(change, path=mountpoint))
        try:
            await trio.to_thread.run_sync(work, abandon_on_cancel=True)
        except (OSError, UnicodeError) as exc:
            recorder.fault("bookmark", f"{path} cannot be changed: {reason_of(exc)}")


def _change(path: Path, change: Callable[[str], str]) -> None:
    """Replaces the text of a file, or of the file that it is a link to.

    Raises:
        OSError: It cannot be written.
    """
    path = Path(os.path.realpath(path))
    if not path.exists() and not change(""):
        return
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
