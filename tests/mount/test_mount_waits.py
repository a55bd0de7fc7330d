"""Waiting, interrupting, unmounting and dying, with a real mount and real processes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.mount.conftest import Mounted, Mounting, eventually, message_views, mounts, run

pytestmark = pytest.mark.mount

# Without hints, because their subscription would take one of the five.
TIGHT = (
    "--messages=300",
    "--limit=light=100000",
    "--limit=medium=5/600/600",
    "--without-scope=WebSocket",
)
"""Five content requests, of which mounting takes one, and then none for ten minutes."""


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
            process.wait(20)
            assert process.stderr is not None
            process.stderr.close()


@pytest.fixture
def spent(mounting: Mounting) -> Mounted:
    """A mount whose content budget is spent, and one voicemail of which is cached."""
    mount = mounting(*TIGHT)
    for path in voicemails(mount)[:4]:
        path.read_bytes()
    return mount


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_a_reader_that_waits_for_quota(spent: Mounted, number: signal.Signals) -> None:
    with readers([voicemails(spent)[5]]) as (process,):
        eventually(lambda: waiting(spent) == 1)
        began = time.monotonic()
        process.send_signal(number)
        assert process.wait(20) != 0
        assert time.monotonic() - began < 2.0
        eventually(lambda: waiting(spent) == 0)
    assert spent.server.summary()["content_requests"] == 4, "what nobody waits for is not sent"


def test_others_go_on_while_many_readers_are_parked(spent: Mounted) -> None:
    cold = voicemails(spent)[4:]
    files = [*cold, *sorted(spent.path.glob("102 */Voicemail/*/*/voicemail *.*"))][:100]
    with readers(files):
        eventually(lambda: waiting(spent) == len(files))
        began = time.monotonic()
        assert len(voicemails(spent)[0].read_bytes()) > 1000, "cached content"
        run(["ls", "-lR", *message_views(next(spent.path.glob("101 *")))])
        assert (spent.path / ".rcfs" / "queue").read_text()
        assert time.monotonic() - began < 10, "none of it waited for the parked readers"
        assert waiting(spent) == len(files)


def test_umount_ends_the_waits(spent: Mounted) -> None:
    with readers(voicemails(spent)[5:15]) as processes:
        eventually(lambda: waiting(spent) == 10)
        spent.umount()
        assert not spent.is_mounted
        assert all(process.wait(5) == 1 for process in processes)
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
    run(["fusermount3", "-u", str(mount.path)])
    eventually(lambda: not list((mount.state / "mounts").glob("*.json")))
    mount.mount()
    assert mount.is_mounted


def test_mounting_again_after_a_crash_needs_no_manual_step(mounting: Mounting) -> None:
    mount = mounting("--messages=300")
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


def test_a_wait_ends_at_its_deadline(mounting: Mounting) -> None:
    mount = mounting(*TIGHT, options=("--max-wait=1",))
    for path in voicemails(mount)[:4]:
        path.read_bytes()
    with pytest.raises(OSError, match="timed out"):
        voicemails(mount)[5].read_bytes()


def test_a_person_does_not_wait_behind_a_copy(mounting: Mounting, tmp_path: Path) -> None:
    # 40 requests in 4 s, so that a copy of 200 attachments takes about 20 s.
    mount = mounting("--messages=1500", "--limit=light=100000", "--limit=medium=40/4/4")
    sources = sorted(mount.path.glob("101 */Voicemail/*/*/voicemail *.*"))
    assert len(sources) >= 100
    others = sorted(mount.path.glob("102 */Voicemail/*/*/voicemail *.*"))
    month_folders = sorted({str(path.parent.parent) for path in sources})
    copy = subprocess.Popen(
        ["cp", "-r", *month_folders, str(tmp_path)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        eventually(lambda: mount.server.summary()["content_requests"] >= 45)
        waits = []
        for path in others[:4]:
            began = time.monotonic()
            run(["setsid", "--wait", "cat", str(path)])
            waits.append(time.monotonic() - began)
        assert copy.poll() is None, "the copy is still under way"
        assert max(waits) < 2.0, waits
    finally:
        copy.kill()
        copy.wait(20)
    summary = mount.server.summary()
    assert (summary["limited"], summary["in_penalty"]) == (0, 0)


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
        process.wait(20)
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
        assert process.wait(20) == 0
    assert not foreground.is_mounted
    assert not list((foreground.state / "mounts").glob("*.json"))


def test_quitting_unmounts(foreground: Mounted) -> None:
    with in_the_foreground(foreground) as process:
        process.send_signal(signal.SIGQUIT)
        assert process.wait(20) == 0
    assert not foreground.is_mounted


def test_a_mount_that_is_to_outlive_its_terminal_does(foreground: Mounted) -> None:
    with in_the_foreground(foreground, "nohup") as process:
        process.send_signal(signal.SIGHUP)
        assert any(foreground.path.iterdir())
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


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
            assert process.wait(20) == 128 + number
            assert process.stderr.read() == "rcfs: interrupted\n"
        finally:
            process.kill()
            process.wait(20)
    assert not mount.is_mounted


def catches(pid: int, number: int) -> bool:
    """Whether the process has a handler for the signal; Python has one for SIGINT from the start."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = int(status.partition("SigCgt:\t")[2].split()[0], 16)
    return bool(caught >> (number - 1) & 1) and bool(caught >> (signal.SIGTERM - 1) & 1)
