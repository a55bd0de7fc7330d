"""Waiting, interrupting, unmounting and dying, with a real mount and real processes."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.mount.conftest import COMMAND_S, Mounted, Mounting, eventually, message_views, mounts, run

pytestmark = pytest.mark.mount

# Without hints, because their subscription would take one of the five.
TIGHT = (
    "--messages=160",
    "--extensions=2",
    "--limit=light=100000",
    "--limit=medium=5/600/600",
    "--without-scope=WebSocket",
)
"""Five content requests, of which mounting takes one, and then none for ten minutes."""
IN_FLIGHT = 2
"""Most requests of a copy that may be on their way when a person opens a file."""


def voicemails(mount: Mounted) -> list[Path]:
    """All voicemails of one mailbox."""
    found = sorted(mount.path.glob("101 */Voicemail/*/*/voicemail *.*"))
    assert len(found) > 10
    return found


def waiting(mount: Mounted) -> int:
    """Readers that the mount says are waiting."""
    text = (mount.path / ".rcfs" / "status").read_text()
    line = next(line for line in text.splitlines() if line.startswith("readers"))
    return int(line.split()[1])


@contextmanager
def readers(paths: list[Path]) -> "Iterator[list[subprocess.Popen[bytes]]]":
    """One `cat` for each path, in a session of its own; all are gone at the end."""
    processes = [
        subprocess.Popen(
            ["cat", str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
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


def spend(mount: Mounted) -> Mounted:
    """`mount`, after its content budget was spent for four voicemails, which are cached."""
    for path in voicemails(mount)[:4]:
        path.read_bytes()
    return mount


@pytest.fixture
def spent(mounting: Mounting) -> Mounted:
    """A mount whose content budget is spent, for one test."""
    return spend(mounting(*TIGHT))


@pytest.fixture(scope="module")
def shared_spent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mounted]:
    """The same, for tests that leave it as it is."""
    with mounts(tmp_path_factory.mktemp("spent")) as make:
        yield spend(make(*TIGHT))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_a_reader_that_waits_for_quota(shared_spent: Mounted, number: signal.Signals) -> None:
    spent = shared_spent
    with readers([voicemails(spent)[5]]) as (process,):
        eventually(lambda: waiting(spent) == 1)
        process.send_signal(number)
        assert process.wait(COMMAND_S) != 0
        eventually(lambda: waiting(spent) == 0)
    assert spent.server.summary()["content_requests"] == 4, "what nobody waits for is not sent"


def test_others_go_on_while_many_readers_are_parked(shared_spent: Mounted) -> None:
    spent = shared_spent
    cold = voicemails(spent)[4:]
    files = [*cold, *sorted(spent.path.glob("102 */Voicemail/*/*/voicemail *.*"))][:100]
    with readers(files):
        eventually(lambda: waiting(spent) == len(files))
        assert len(voicemails(spent)[0].read_bytes()) > 1000, "cached content"
        run(["ls", "-lR", *message_views(next(spent.path.glob("101 *")))])
        assert (spent.path / ".rcfs" / "queue").read_text()
        assert waiting(spent) == len(files), "none of it waited for the parked readers"


def test_umount_ends_the_waits(spent: Mounted) -> None:
    with readers(voicemails(spent)[5:15]) as processes:
        eventually(lambda: waiting(spent) == 10)
        spent.umount()
        assert not spent.is_mounted
        assert all(process.wait(COMMAND_S) == 1 for process in processes)
        assert processes[0].stderr is not None
        assert b"not connected" in processes[0].stderr.read()


def test_sigterm_unmounts_and_revokes(spent: Mounted) -> None:
    with readers(voicemails(spent)[5:8]):
        eventually(lambda: waiting(spent) == 3)
        os.kill(spent.pid, signal.SIGTERM)
        eventually(lambda: not spent.is_mounted)
        eventually(lambda: not list((spent.state / "mounts").glob("*.json")))
    operations = spent.server.summary()["by_operation"]
    assert operations["revokeToken"] == {"200": 1}


def test_a_plain_umount_is_enough(mounting: Mounting) -> None:
    mount = mounting("--messages=50")
    # Other programs look at every new mount for a moment, and it is busy meanwhile: `df`, file managers.
    umount = ["fusermount3", "-u", str(mount.path)]
    eventually(lambda: run(umount, check=False).returncode == 0)
    eventually(lambda: not list((mount.state / "mounts").glob("*.json")))
    mount.mount()
    assert mount.is_mounted


def test_mounting_again_after_a_crash_needs_no_manual_step(mounting: Mounting) -> None:
    mount = mounting("--messages=160", "--extensions=2")
    known = voicemails(mount)[0]
    expected = known.read_bytes()
    pid = mount.pid
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not Path(f"/proc/{pid}").exists())
    with pytest.raises(OSError, match="not connected"):
        list(mount.path.iterdir())
    mount.mount()
    assert known.read_bytes() == expected
    assert mount.server.summary()["content_requests"] == 1


def test_a_wait_ends_at_its_deadline(spent: Mounted) -> None:
    spent.options += ("--max-wait=1",)
    spent.remount()
    with pytest.raises(OSError, match="timed out"):
        voicemails(spent)[5].read_bytes()


def test_a_person_does_not_wait_behind_a_copy(mounting: Mounting, tmp_path: Path) -> None:
    # 10 requests in 4 s, so that a copy of 50 attachments takes about 20 s.
    mount = mounting("--messages=800", "--limit=light=100000", "--limit=medium=10/4/4")
    sources = sorted(mount.path.glob("101 */Voicemail/*/*/voicemail *.*"))
    assert len(sources) >= 50
    others = sorted(mount.path.glob("102 */Voicemail/*/*/voicemail *.*"))[:4]
    month_folders = sorted({str(path.parent.parent) for path in sources})
    copy = subprocess.Popen(
        ["cp", "-r", *month_folders, str(tmp_path)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        eventually(lambda: mount.server.summary()["content_requests"] >= 12)
        for path in others:
            run(["setsid", "--wait", "cat", str(path)])
        assert copy.poll() is None, "the copy is still under way"
    finally:
        copy.kill()
        copy.wait(COMMAND_S)
    assert all(overtaken(mount, path) <= IN_FLIGHT for path in others)
    summary = mount.server.summary()
    assert (summary["limited"], summary["in_penalty"]) == (0, 0)


def overtaken(mount: Mounted, path: Path) -> int:
    """How many requests for contents were sent between the moment when a person opened a file and its own."""
    key = os.getxattr(path, "user.rcfs.key").decode()
    log = (mount.path / ".rcfs" / "log").read_text()
    before, opened, _after = log.partition(f"content requested key={key} by=cat priority=person")
    assert opened
    sent = [entry["path"] for entry in mount.server.journal(operation="readMessageContent")]
    message, attachment = key.split("/")[-2:]
    (place,) = (i for i, each in enumerate(sent) if each.endswith(f"/{message}/content/{attachment}"))
    return place - before.count("operation=readMessageContent ")


@contextmanager
def in_the_foreground(mount: Mounted, *prefix: str) -> Iterator["subprocess.Popen[str]"]:
    """A mount that stays in the foreground; killed at the end if it has not ended."""
    process = subprocess.Popen(
        [*prefix, sys.executable, "-m", "rcfs", "mount", "-f", *mount.options, str(mount.path)],
        env=mount.environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if "Ctrl-C" in line:
                break
        yield process
    finally:
        process.kill()
        process.wait(COMMAND_S)
        process.stderr.close()


@pytest.fixture(scope="module")
def foreground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mounted]:
    with mounts(tmp_path_factory.mktemp("foreground")) as make:
        yield make("--messages=20", mount=False)


def test_no_signal_leaves_a_mount_behind(foreground: Mounted) -> None:
    """A mount whose process dies answers "Transport endpoint is not connected" until somebody detaches it."""
    survived = [
        signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF, signal.SIGIO,
        signal.SIGPWR, signal.SIGSTKFLT, signal.SIGXCPU, signal.SIGXFSZ, signal.SIGPIPE, signal.SIGTTIN,
        signal.SIGTTOU, signal.SIGTSTP, signal.SIGRTMIN, signal.SIGRTMAX,
    ]  # fmt: skip
    with in_the_foreground(foreground) as process:
        for number in survived:
            process.send_signal(number)
            assert any(foreground.path.iterdir()), number
        assert process.poll() is None
        # A terminal that is closed sends it, and so does the shell in it.
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGHUP)
        assert process.stderr is not None
        assert "programs that use the mount would hang" in process.stderr.read()
        assert process.wait(COMMAND_S) == 0
    assert not foreground.is_mounted
    assert not list((foreground.state / "mounts").glob("*.json"))


def test_quitting_unmounts(foreground: Mounted) -> None:
    with in_the_foreground(foreground) as process:
        process.send_signal(signal.SIGQUIT)
        assert process.wait(COMMAND_S) == 0
    assert not foreground.is_mounted


def test_a_mount_that_is_to_outlive_its_terminal_does(foreground: Mounted) -> None:
    with in_the_foreground(foreground, "nohup") as process:
        process.send_signal(signal.SIGHUP)
        assert any(foreground.path.iterdir())
        process.send_signal(signal.SIGTERM)
        assert process.wait(COMMAND_S) == 0


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM])
def test_a_mount_that_is_ended_while_it_logs_in(mounting: Mounting, number: signal.Signals) -> None:
    mount = mounting("--messages=20", "--latency=60", mount=False)
    process = subprocess.Popen(
        [sys.executable, "-m", "rcfs", "mount", "-f", *mount.options, str(mount.path)],
        env=mount.environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    with process.stderr:
        try:
            eventually(lambda: bool(mount.server.journal()) or (mount.state / "ledger.sqlite").exists())
            eventually(lambda: catches(process.pid, number))
            process.send_signal(number)
            assert process.wait(COMMAND_S) == 128 + number
            assert process.stderr.read() == "rcfs: interrupted\n"
        finally:
            process.kill()
            process.wait(COMMAND_S)
    assert not mount.is_mounted


def catches(pid: int, number: int) -> bool:
    """Whether the process has a handler for the signal; Python has one for SIGINT from the start."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = int(status.partition("SigCgt:\t")[2].split()[0], 16)
    return bool(caught >> (number - 1) & 1) and bool(caught >> (signal.SIGTERM - 1) & 1)
