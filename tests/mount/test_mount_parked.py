"""Four hundred parked readers: nobody else notices them, and they end when they are told to."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from tests.fakes.logind import bus, logind
from tests.mount.conftest import COMMAND_S, Mounted, Mounting, eventually, message_views, run

pytestmark = pytest.mark.mount

LIMIT = 400
# Without hints, because their subscription would take one of the five.
TIGHT = (
    "--messages=950",
    "--extensions=2",
    "--limit=light=100000",
    "--limit=medium=5/900/900",
    "--without-scope=WebSocket",
)
"""Five content requests, of which mounting takes one, and then none for a quarter of an hour."""
CACHED = 4
SLOW_S = 5.0
"""An answer that takes longer has waited for something: the readers are parked for minutes, and without load
all calls here take milliseconds."""

THREADS = """
import os, sys, threading
def read(path):
    try:
        os.close(os.open(path, os.O_RDONLY))
    except OSError as exc:
        os.write(1, b"%d\\n" % exc.errno)
threads = [threading.Thread(target=read, args=(path,), daemon=True) for path in sys.stdin.read().split("\\n")]
threading.stack_size(1 << 16)
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def voicemails(mount: Mounted) -> list[Path]:
    found = sorted(mount.path.glob("1* */Voicemail/*/*/voicemail *.*"))
    assert len(found) > 150
    return found


def waiting(mount: Mounted) -> int:
    text = (mount.path / ".rcfs" / "status").read_text()
    line = next(line for line in text.splitlines() if line.startswith("readers"))
    return int(line.split()[1])


@contextmanager
def threads(paths: list[Path]) -> "Iterator[subprocess.Popen[str]]":
    """A process in which a thread opens each of the paths, and which prints the number of each error."""
    process = subprocess.Popen(
        [sys.executable, "-c", THREADS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write("\n".join(map(str, paths)))
        process.stdin.close()
        yield process
    finally:
        process.kill()
        process.wait(COMMAND_S)
        process.stdout.close()


@contextmanager
def cats(paths: list[Path]) -> "Iterator[list[subprocess.Popen[bytes]]]":
    """A process for each path, all in one process group."""
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for path in paths:
            processes.append(
                subprocess.Popen(
                    ["cat", str(path)],
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    process_group=processes[0].pid if processes else 0,
                )
            )
        yield processes
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait(COMMAND_S)


@pytest.fixture
def spent(mounting: Mounting) -> Mounted:
    """A mount whose content budget is spent, and some voicemails of which are cached."""
    mount = mounting(*TIGHT)
    for path in voicemails(mount)[:CACHED]:
        path.read_bytes()
    return mount


def latencies_ms(known: Path, cold: Path, rounds: int = 100) -> dict[str, list[float]]:
    """How long each of what others do takes, in ms, sorted; none of it is answered by the kernel alone."""
    taken: dict[str, list[float]] = {"stat": [], "getxattr": [], "list": [], "open and read": []}

    def measure(name: str, work: Callable[[], object]) -> None:
        began = time.perf_counter()
        work()
        taken[name].append((time.perf_counter() - began) * 1000)

    def read() -> None:
        fd = os.open(known, os.O_RDONLY)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        assert len(os.pread(fd, 1 << 16, 0)) > 1000
        os.close(fd)

    for _ in range(rounds):
        measure("stat", lambda: os.stat(cold))  # noqa: PTH116 - a size that is not known is asked for
        measure("getxattr", lambda: os.getxattr(known, "user.rcfs.message_id"))
        measure("list", lambda: os.listdir(known.parent))  # noqa: PTH208 - one opendir and readdir
        measure("open and read", read)
    return {name: sorted(values) for name, values in taken.items()}


def test_nobody_notices_400_parked_readers_and_they_end_at_once(
    spent: Mounted, capsys: pytest.CaptureFixture[str]
) -> None:
    known, *cold, never_read = voicemails(spent)
    cold = cold[CACHED - 1 :]
    alone = latencies_ms(known, never_read)
    sent = spent.server.summary()["content_requests"]
    plenty = cold * 3
    with threads(plenty[:300]) as process, cats(plenty[300:400]) as processes:
        eventually(lambda: waiting(spent) == LIMIT)
        began = time.monotonic()
        with pytest.raises(OSError, match="busy"):
            os.open(cold[0], os.O_RDONLY)
        refused_s = time.monotonic() - began
        assert refused_s < SLOW_S
        beside = latencies_ms(known, never_read)
        run(["ls", "-lR", *message_views(next(spent.path.glob("101 *")))])
        assert waiting(spent) == LIMIT

        ends = []
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            began = time.monotonic()
            processes[number].send_signal(number)
            assert processes[number].wait(COMMAND_S) == -number
            ends.append(time.monotonic() - began)
        eventually(lambda: waiting(spent) == LIMIT - 3)

        process.kill()
        os.killpg(processes[0].pid, signal.SIGKILL)
        began = time.monotonic()
        process.wait(COMMAND_S)
        for cat in processes:
            cat.wait(COMMAND_S)
        all_s = time.monotonic() - began
    eventually(lambda: waiting(spent) == 0)
    for name, values in beside.items():
        assert values[int(len(values) * 0.98)] < SLOW_S * 1000, name
    assert spent.server.summary()["content_requests"] == sent, "what nobody waits for is not sent"
    lines = [
        f"one too many refused after {refused_s * 1000:.0f} ms",
        f"ended after INT, TERM, KILL: {', '.join(f'{end:.2f}' for end in ends)} s; all others: {all_s:.2f}",
    ]
    for name in alone:
        medians, p99s = (
            [values[int(len(values) * share)] for values in (alone[name], beside[name])]
            for share in (0.5, 0.98)
        )
        lines.append(
            f"{name}: median {medians[0]:.2f} ms alone, {medians[1]:.2f} beside 400;"
            f" p99 {p99s[0]:.2f} and {p99s[1]:.2f}"
        )
    with capsys.disabled():
        sys.stdout.write("\n  " + "\n  ".join(lines) + "\n")


def test_unmounting_ends_400_parked_readers_and_leaves_none_in_the_kernel(spent: Mounted) -> None:
    cold = voicemails(spent)[CACHED:]
    with threads((cold * 3)[:LIMIT]) as process:
        eventually(lambda: waiting(spent) == LIMIT)
        spent.umount()
        assert process.wait(COMMAND_S) == 0, "a process ends when the last of its threads has left the kernel"
        assert process.stdout is not None
        assert process.stdout.read().split() == ["107"] * LIMIT, "ENOTCONN"
    assert not spent.is_mounted


async def test_suspending_answers_400_parked_readers_and_all_works_again_after_it(
    mounting: Mounting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def park() -> tuple[Mounted, list[Path]]:
        mount = mounting(*TIGHT)
        paths = sorted(mount.path.glob("101 */Voicemail/*/*/voicemail *.*"))
        for path in paths[:CACHED]:
            path.read_bytes()
        return mount, paths

    in_thread = trio.to_thread.run_sync
    async with bus(tmp_path) as address, logind(address) as fake:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
        mount, (known, *paths) = await in_thread(park)
        cold = (paths[CACHED - 1 :] * LIMIT)[:LIMIT]
        with trio.fail_after(120), threads(cold) as process:
            await fake.asked.wait()
            await in_thread(eventually, lambda: waiting(mount) == LIMIT)
            await fake.suspend()
            assert await in_thread(process.wait, COMMAND_S) == 0
            assert process.stdout is not None
            assert process.stdout.read().split() == ["16"] * LIMIT, "EBUSY"
            assert len(await in_thread(known.read_bytes)) > 1000, "what is cached is read"
            mount.server.expire_tokens()
            await fake.resume()
            await fake.asked.wait()
            assert await in_thread(lambda: list(mount.path.glob("102 */Voicemail/*")))
            with threads(paths[-1:]):
                await in_thread(eventually, lambda: waiting(mount) == 1)
        await in_thread(mount.umount)


def test_a_signal_tells_what_the_mount_is_doing(mounting: Mounting) -> None:
    mount = mounting("--messages=20")
    os.kill(mount.pid, signal.SIGUSR1)
    logs = mount.state / "log"
    eventually(lambda: any("serve_mount" in path.read_text() for path in logs.glob("*.log")))
    eventually(lambda: any("most recent call first" in path.read_text() for path in logs.iterdir()))
    assert mount.is_mounted
    assert list(mount.path.iterdir())
