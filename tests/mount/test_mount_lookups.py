"""Processes that look into a mailbox that is not loaded yet: nobody is stuck in the kernel."""

import errno
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.mount.conftest import (
    CALL_VIEWS,
    COMMAND_S,
    UNASKED,
    Mounted,
    Mounting,
    eventually,
    message_views,
    mounts,
    run,
)

pytestmark = pytest.mark.mount

ROOMY = tuple(f"--limit={group}=100000" for group in ("auth", "light", "medium"))
SLOW_S = 10.0
"""How late the pages of mailboxes come: five times as long as a lookup may wait."""


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mounted]:
    """A mount whose mailboxes are not loaded, and take long to load."""
    with mounts(tmp_path_factory.mktemp("slow")) as make:
        mount = make("--messages=300", *ROOMY)
        mount.server.fault("slow_pages", delay_s=SLOW_S, count=None)
        yield mount


@contextmanager
def stats(paths: list[Path]) -> "Iterator[list[subprocess.Popen[bytes]]]":
    """One `stat` for each path; all are gone at the end."""
    processes = [
        subprocess.Popen(
            ["stat", str(path)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C"},
        )
        for path in paths
    ]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait(COMMAND_S)
            assert process.stderr is not None
            process.stderr.close()


def state(process: "subprocess.Popen[bytes]") -> str:
    """The state of a process that runs `stat`; empty for one that does not yet."""
    text = Path(f"/proc/{process.pid}/stat").read_text()
    return text.rpartition(")")[2].split()[0] if "(stat)" in text else ""


def unloaded(mount: Mounted, number: str) -> Path:
    return next(mount.path.glob(f"{number} *")) / "SMS"


def is_loading(mount: Mounted, number: str) -> bool:
    """Whether the mount says that it loads a mailbox."""
    status, queue = ((mount.path / ".rcfs" / name).read_text() for name in ("status", "queue"))
    return f"loading {number} " in status and f"loading the mailbox of {number} " in queue


def test_waiting_lookups_can_be_killed(slow: Mounted) -> None:
    folder = unloaded(slow, "101")

    def die_while_they_wait() -> bool:
        """Whether the lookups waited when they were killed, and then died; else they were too fast for us."""
        with stats([folder / f"2026-0{number}" for number in range(1, 4)]) as processes:
            # One waits for the mount, the others for the kernel's lock, state D. Before the load begins they
            # look for the directory above in the same way.
            while not (is_loading(slow, "101") and sorted(map(state, processes)) == ["D", "D", "S"]):
                if any(process.poll() is not None for process in processes):
                    return False
                time.sleep(0.02)
            for process in processes:
                process.send_signal(signal.SIGKILL)
            return [process.wait(COMMAND_S) for process in processes] == [-signal.SIGKILL] * 3

    eventually(die_while_they_wait)


def test_a_lookup_that_waits_too_long_fails_and_the_load_continues(slow: Mounted) -> None:
    folder = unloaded(slow, "102")
    with stats([folder / f"2026-0{number}" for number in range(1, 9)]) as processes:
        eventually(lambda: is_loading(slow, "102"))
        said = [process.communicate(timeout=COMMAND_S)[1] for process in processes]
    # All of them before the page comes, though the kernel serves them one after the other.
    assert all(os.strerror(errno.EAGAIN).encode() in line for line in said), said
    eventually(lambda: not is_loading(slow, "102"))
    assert next(folder.iterdir()).stat().st_mode, "and it was there without another request"
    mailbox = f"/extension/{extension_id(folder.parent)}/"
    asked = [entry for entry in slow.server.journal(operation="listMessages") if mailbox in entry["path"]]
    assert len(asked) == 1


PROBES = (
    *(".hidden", ".directory", ".DS_Store", "._SMS", ".Trash-1000", ".git"),
    *("desktop.ini", "autorun.inf", "Thumbs.db", "CVS"),
)


@pytest.mark.parametrize("view", ["", "SMS", "Greetings", "By-Contact"])
def test_what_desktops_look_for_everywhere_loads_nothing(slow: Mounted, view: str) -> None:
    extension = next(slow.path.glob("200 *"))
    for name in PROBES:
        with pytest.raises(FileNotFoundError):
            (extension / view / name).lstat()
    mailbox = f"/extension/{extension_id(extension)}/"
    assert [entry for entry in slow.server.journal() if mailbox in entry["path"]] == []


def test_the_icon_of_the_mount_is_found_by_name_alone(slow: Mounted) -> None:
    assert "Icon=folder-remote\n" in (slow.path / ".xdg-volume-info").read_text()
    assert [path for path in slow.path.iterdir() if path.name.startswith(".")] == []


def test_a_listing_waits_until_the_mailbox_is_loaded(slow: Mounted) -> None:
    assert list(unloaded(slow, "103").iterdir())


def test_mailboxes_are_loaded_before_anybody_looks(mounting: Mounting) -> None:
    mount = mounting("--messages=300", *ROOMY, options=("--preload",))
    # All except the mailbox that the platform refuses.
    eventually(lambda: "5 of 6 loaded" in (mount.path / ".rcfs" / "status").read_text())
    asked = [entry["path"].split("/")[-2] for entry in mount.server.journal(operation="listMessages")]
    own = extension_id(next(mount.path.glob("101 *")))
    assert asked[0] == str(own), "the login's own mailbox comes first"
    mount.server.reset_journal()
    extensions = [path for path in mount.path.iterdir() if path.name not in ("Company", "Exports", "Search")]
    run(["ls", "-R", *(view for each in extensions for view in message_views(each))], check=False)
    assert {entry["operation"] for entry in mount.server.journal()} <= {"syncMessages", *UNASKED}
    assert len(asked) == len(set(asked)) == 5
    mount.remount()
    eventually(lambda: "5 of 6 loaded" in (mount.path / ".rcfs" / "status").read_text())
    assert mount.server.journal(operation="listMessages") == [], "nothing is loaded twice"


def test_an_extension_without_a_mailbox_has_no_folders(mounting: Mounting) -> None:
    mount = mounting("--messages=60", "--menus=1", *ROOMY, options=("--preload",))
    menu, beside = next(mount.path.glob("900 *")), {*CALL_VIEWS, "extension.json"}
    for _look in range(2):
        assert {path.name for path in menu.iterdir()} == beside
        assert not (menu / "SMS").exists()
    mount.remount()
    assert {path.name for path in menu.iterdir()} == beside
    asked = [entry for entry in mount.server.journal(operation="syncMessages") if entry["status"] == 403]
    assert len([entry for entry in asked if str(extension_id(menu)) in entry["path"]]) == 1
    done = mount.rcfs("pull", f"--cache-dir={mount.cache}", f"--state-dir={mount.state}", "--type=pager")
    assert "note: 104 Alex Kim" in done.stderr


def extension_id(folder: Path) -> int:
    return int(json.loads((folder / "extension.json").read_text())["id"])


def test_a_mount_at_boot_waits_for_the_network(mounting: Mounting) -> None:
    mount = mounting("--messages=60", *ROOMY, mount=False)
    mount.server.fault("refuse", for_s=8.0)
    mount.mount()
    assert mount.is_mounted
    mount.umount()


def test_a_first_mount_in_the_foreground_does_not_wait(mounting: Mounting) -> None:
    mount = mounting("--messages=60", *ROOMY, mount=False)
    mount.server.fault("refuse", count=None)
    done = mount.rcfs("mount", "-f", *mount.options, str(mount.path), check=False)
    assert done.returncode == 7, done.stderr
