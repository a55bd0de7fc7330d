"""A file manager browsing the mount: what a person sees, and that looking costs nothing."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from tests.mount.conftest import COMMAND_S, Mounted, Mounting, eventually, run

TUMBLERD = next((str(path) for path in Path("/usr/lib").glob("*/tumbler-1/tumblerd")), "tumblerd")
"""Xfce's thumbnailer, which Thunar asks for a picture of every image, sound and document it shows."""
TOOLS = ("Xvfb", "thunar", "dbus-daemon", "xdotool", "import", "tesseract", "xfconf-query", TUMBLERD)
MISSING = [tool for tool in TOOLS if shutil.which(tool) is None]

pytestmark = [
    pytest.mark.mount,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]


class Desktop:
    """Thunar with its thumbnailer on a screen of its own."""

    def __init__(self, home: Path, display: str, bus: str) -> None:
        self.environment = {
            **os.environ,
            "HOME": str(home),
            "DISPLAY": display,
            "DBUS_SESSION_BUS_ADDRESS": bus,
            "XDG_RUNTIME_DIR": str(home / "run"),
            "GDK_SCALE": "2",  # large letters, so that they can be read back from the screen
            "NO_AT_BRIDGE": "1",
        }
        self._screen = home / "screen.png"

    def run(self, *command: str, check: bool = True) -> str:
        """Output of a program on this desktop."""
        return run(list(command), env=self.environment, check=check).stdout

    @contextmanager
    def running(self, *command: str) -> Iterator[None]:
        """Lets a program run on this desktop."""
        process = subprocess.Popen(
            command, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            yield
        finally:
            process.kill()
            process.wait(COMMAND_S)

    def browse(self, folder: Path) -> None:
        """Opens a window that shows `folder`, and waits until it is there."""
        self.run("thunar", str(folder))
        # As wide as the screen: names of attachments would else push the other columns out of sight.
        window = ("--sync", "--onlyvisible", "--name", "Thunar", "windowsize", "%@", "1800", "1000")
        self.run("xdotool", "search", *window)

    def text(self) -> str:
        """The words on the screen."""
        self.run("import", "-window", "root", "-colorspace", "Gray", str(self._screen))
        return self.run("tesseract", str(self._screen), "-", "--psm", "11")


@pytest.fixture
def desktop(tmp_path: Path) -> Iterator[Desktop]:
    """A desktop whose file manager shows details, with ISO dates."""
    home = tmp_path / "desktop"
    (home / "run").mkdir(parents=True, mode=0o700)
    with ExitStack() as stack:

        def start(*command: str, environment: dict[str, str] | None = None) -> "subprocess.Popen[str]":
            process = subprocess.Popen(
                command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
            stack.callback(_end, process)
            return process

        screen = start("Xvfb", "-displayfd", "1", "-screen", "0", "1800x1000x24")
        display = f":{_line(screen)}"
        bus = start("dbus-daemon", "--session", "--nofork", "--print-address")
        seat = Desktop(home, display, _line(bus))
        for name, value in (("last-view", "ThunarDetailsView"), ("misc-date-style", "THUNAR_DATE_STYLE_ISO")):
            seat.run("xfconf-query", "-c", "thunar", "-p", f"/{name}", "-n", "-t", "string", "-s", value)
        start(TUMBLERD, environment=seat.environment)
        start("thunar", "--daemon", environment=seat.environment)
        yield seat


def _line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def _end(process: "subprocess.Popen[str]") -> None:
    process.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(COMMAND_S)
    process.kill()
    process.wait(COMMAND_S)
    if process.stdout is not None:
        process.stdout.close()


def shows(desktop: Desktop, *words: str) -> Callable[[], bool]:
    """Whether all `words` can be read on the screen."""

    def all_are_there() -> bool:
        text = desktop.text()  # Read once for all words: it takes a second of a core.
        return all(word in text for word in words)

    return all_are_there


def test_browsing_shows_the_tree_and_costs_nothing(mounting: Mounting, desktop: Desktop) -> None:
    mount = mounting("--messages=300", "--limit=medium=1000")
    voicemail = sorted(mount.path.glob("101 */Voicemail/*/*"))[-1]
    pictures = sorted(mount.path.glob("101 */SMS/*/*/*.jpg"))
    picture = next(path for path in pictures if path.name.isascii())  # what reads the screen knows Latin only
    mount.server.reset_journal()

    desktop.browse(mount.path)
    eventually(shows(desktop, "Jane Smith", "Support Queue", "folder"))
    desktop.browse(voicemail)
    date = voicemail.name[:10]
    eventually(shows(desktop, "message.json", "voicemail ", "JSON document", "audio", date))
    desktop.browse(picture.parent)
    eventually(shows(desktop, picture.name, "JPEG image"))
    _wait_for_thumbnailer(mount)
    assert mount.server.summary()["content_requests"] == 0

    # A person's double click is served, and from then on there is a thumbnail for free. The reader is another
    # process than this one, which has started the thumbnailer that was refused.
    assert run(["cat", str(picture)]).stdout
    assert mount.server.summary()["content_requests"] == 1


OTHERS = {
    "pcmanfm": ["pcmanfm", "--no-desktop"],
    "nemo": ["nemo", "--no-desktop"],
    "caja": ["caja", "--no-desktop"],
}
"""Other file managers, and how they show a folder and no more."""


@pytest.mark.skipif(not all(map(shutil.which, OTHERS)), reason=f"not installed: one of {', '.join(OTHERS)}")
def test_file_managers_that_make_thumbnails_themselves_cost_nothing_either(
    mounting: Mounting, desktop: Desktop
) -> None:
    mount = mounting("--messages=300", "--limit=medium=1000")
    pictures = sorted(path.parent for path in mount.path.glob("101 */SMS/*/*/*.jpg"))
    for (program, command), folder in zip(OTHERS.items(), dict.fromkeys(pictures), strict=False):
        # Caja leaves it at that when its thumbnailer was refused.
        by = "gdk-pixbuf-thum" if program == "caja" else program
        wanted = _refusals(mount, by) + len(list(folder.glob("*.jpg")))
        with desktop.running(*command, str(folder)):
            eventually(partial(_are_refused, mount, by, wanted))
    voicemail, fax = next(mount.path.glob("101 */Voicemail/*/*")), next(mount.path.glob("101 */Fax/*/*"))
    for command in OTHERS.values():
        for folder in (voicemail, fax):
            with desktop.running(*command, str(folder)):
                desktop.run("xdotool", "search", "--sync", "--onlyvisible", "--name", folder.name[:19])
    assert mount.server.summary()["content_requests"] == 0


def test_an_open_window_shows_new_messages_when_it_is_reloaded(mounting: Mounting, desktop: Desktop) -> None:
    """By itself it shows nothing: inotify(7) tells of changes made through the mount, and of no others."""
    mount = mounting("--messages=100")
    (mailbox,) = mount.path.glob("101 *")
    extension_id = int(json.loads((mailbox / "extension.json").read_text())["id"])
    months = sorted(path.name for path in (mailbox / "SMS").iterdir())
    desktop.browse(mailbox / "SMS")
    eventually(shows(desktop, months[-1]))
    mount.server.advance(60 * 86_400)
    mount.server.arrive(extension_id, "SMS")
    mount.rcfs("refresh", str(mailbox))
    (new,) = {path.name for path in (mailbox / "SMS").iterdir()} - set(months)
    desktop.run("xdotool", "search", "--onlyvisible", "--name", "Thunar", "windowfocus")
    desktop.run("xdotool", "key", "F5")
    eventually(shows(desktop, new))


def _wait_for_thumbnailer(mount: Mounted) -> None:
    """Returns when the thumbnailer has tried the picture, and was refused."""
    errors = mount.path / ".rcfs" / "log"
    eventually(lambda: "crawler refused" in errors.read_text())


def _are_refused(mount: Mounted, program: str, times: int) -> bool:
    """Whether `program` was refused so often."""
    return _refusals(mount, program) >= times


def _refusals(mount: Mounted, program: str) -> int:
    """How often `program` was refused what is not cached."""
    log = (mount.path / ".rcfs" / "log").read_text()
    return sum(line.endswith(f"by={program}") for line in log.splitlines() if "crawler refused" in line)
