"""A person beside a bulk job of their own: real scripts and processes, on a budget that the job has used."""

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rcfs.quota import ELSEWHERE_OPENS, PERSON_OPENS
from tests.mount.conftest import COMMAND_S, Mounted, Mounting, eventually

pytestmark = pytest.mark.mount

LIMIT = 10
RESERVE = 2
"""Requests of `LIMIT` that bulk work leaves to persons; the window is longer than these tests."""
WALKS = {
    "one process": "xargs -0 cat",
    "a group and a shell for each file": "xargs -0 -P 2 -n 1 timeout 100 sh -c 'cat \"$0\"; true'",
}


@pytest.fixture
def mount(mounting: Mounting) -> Mounted:
    return mounting("--messages=200", f"--limit=medium={LIMIT}/600/60", "--without-scope=WebSocket")


@pytest.fixture
def started() -> Iterator[list["subprocess.Popen[bytes]"]]:
    """Scripts; all that they have started ends with the test."""
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(COMMAND_S)
        assert process.stdout is not None
        process.stdout.close()


def attachments(mount: Mounted) -> list[Path]:
    """Those of one mailbox, one of each message."""
    found = [*mount.path.glob("101 */Voicemail/*/*/*.wav"), *mount.path.glob("101 */Fax/*/*/*.pdf")]
    return sorted(found, key=lambda path: path.parent.name)


def classes(mount: Mounted) -> list[str]:
    """The classes in which contents were wanted, in that order."""
    log = (mount.path / ".rcfs" / "log").read_text()
    return re.findall(r" content requested .* priority=(\w+)$", log, re.MULTILINE)


def spent(mount: Mounted) -> int:
    """Requests of the group that contents are of."""
    return len(mount.server.journal(group="medium"))


def wait_until_stuck(mount: Mounted) -> None:
    """Returns when a walk has used up what bulk work may use, and was a person's for a few files only."""
    eventually(lambda: spent(mount) == LIMIT - RESERVE)
    requests = mount.server.summary()["content_requests"]
    eventually(lambda: len(classes(mount)) > requests)
    assert set(classes(mount)[requests:]) == {"bulk"}
    assert classes(mount).count("person") <= PERSON_OPENS + ELSEWHERE_OPENS


def tell(process: "subprocess.Popen[bytes]") -> None:
    """Makes a script continue."""
    assert process.stdin is not None
    with process.stdin as lines:
        lines.write(b"\n")


@pytest.mark.parametrize("walk", WALKS)
def test_a_person_does_not_wait_behind_a_bulk_job_of_the_same_script(
    mount: Mounted, started: list["subprocess.Popen[bytes]"], tmp_path: Path, walk: str
) -> None:
    wanted, *others = attachments(mount)
    (tmp_path / "names").write_bytes(b"\0".join(map(os.fsencode, others)))
    # A script has no job control: all that it starts is of one process group, and here of one program.
    script = (
        f"{WALKS[walk]} < {shlex.quote(str(tmp_path / 'names'))} > /dev/null &\n"
        f"read _; cat {shlex.quote(str(wanted))}; echo done\n"
    )
    process = subprocess.Popen(
        ["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0
    )
    started.append(process)
    wait_until_stuck(mount)
    assert process.stdout is not None
    tell(process)
    assert process.stdout.read(4) == wanted.read_bytes()[:4]
    assert spent(mount) == LIMIT - RESERVE + 1


COPIES_AND_SHOWS = """
import sys, threading
*copied, shown = sys.argv[1:]
def copy():
    for path in copied:
        open(path, "rb").read()
threading.Thread(target=copy, daemon=True).start()
sys.stdin.readline()
sys.stdout.buffer.write(open(shown, "rb").read(4))
"""


def test_one_program_that_copies_here_and_shows_there(
    mount: Mounted, started: list["subprocess.Popen[bytes]"]
) -> None:
    """As a file manager with a viewer of its own does."""
    voicemail, *_others = mount.path.glob("101 */Voicemail/*/*/*.wav")
    faxes = sorted(mount.path.glob("101 */Fax/*/*/*.pdf"))
    process = subprocess.Popen(
        [sys.executable, "-c", COPIES_AND_SHOWS, *map(str, faxes), str(voicemail)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        process_group=0,
    )
    started.append(process)
    wait_until_stuck(mount)
    assert process.stdout is not None
    tell(process)
    assert process.stdout.read(4) == voicemail.read_bytes()[:4]
    assert spent(mount) == LIMIT - RESERVE + 1
