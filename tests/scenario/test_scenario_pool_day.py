"""The documentation's own example: 40,000 recorded calls a day, of which one login can fetch 14,400.

A pool of three keeps up, in flat memory. A day takes minutes of CPU time, so only ``RCFS_LONG=1`` plays one,
which ``RCFS_HOURS`` shortens.

Source: "Archiving call recordings" of the API documentation.
"""

import os
from collections import Counter
from pathlib import Path
from unittest import mock

import trio

from rcfs.model import Filter
from rcfs.pull import Pull
from rcfs.simulator import AccountSpec, LoginSpec
from rcfs.simulator.account import _call_days
from tests.fakes.call_rig import CallRig, CallWorld, open_calls
from tests.fakes.integrity import LONG

HOURS = float(os.environ.get("RCFS_HOURS", "24" if LONG else "0.3"))
CONTENT = "readCallRecordingContent"
A_DAY = 40_000
PULL_EVERY_S = 600.0
SINCE_S = 2400.0
"""Each pull looks at the recordings of the last 40 minutes, for which the cache has room."""
SHORT_S = 33
"""Longest call, in seconds: size does not matter to the quota, and longer ones take CPU time to make."""


def memory_bytes() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def disk_bytes(directory: Path) -> int:
    """Size of all databases but the index, which has a row for each call."""
    files = (path for path in directory.rglob("*sqlite*") if not path.name.startswith("mailboxes"))
    return sum(path.stat().st_size for path in files)


async def test_a_pool_of_three_keeps_up_with_the_recordings_of_a_large_account(tmp_path: Path) -> None:
    fetched: Counter[str] = Counter()
    seen: set[str] = set()
    memory: list[int] = []
    disk: list[int] = []
    left: list[int] = []
    with mock.patch.object(_call_days, "_LONGEST_S", SHORT_S):
        async with (
            open_calls(
                tmp_path,
                spec=AccountSpec(messages=0, months=1),
                calls_per_day=A_DAY,
                call_days=1,
                more_logins=(LoginSpec(app="app 2"), LoginSpec(app="app 3")),
            ) as world,
            world.engine(pool=True, cache_bytes=256 << 20) as rig,
        ):
            await rig.open(0)
            begun_s = world.now_s
            while world.now_s < begun_s + HOURS * 3600:
                cycle_s = trio.current_time()
                await _pull(world, rig, begun_s, fetched, seen)
                left.append(int((world.now_s - begun_s) * A_DAY / 86_400) - fetched.total())
                memory.append(memory_bytes())
                disk.append(disk_bytes(tmp_path))
                if len(left) % 6 == 0:
                    sizes = f"memory {memory[-1] >> 20} MiB, disk {disk[-1] >> 20} MiB"
                    print(f"{world.now_s - begun_s:.0f} s: {left[-1]} left, {sizes}, {fetched}")  # noqa: T201
                await trio.sleep_until(max(cycle_s + PULL_EVERY_S, trio.current_time()))
    cycles = len(left)
    # Two pulls' worth is new at any time; it does not grow.
    assert max(left[cycles // 2 :]) <= max(left[: cycles // 2]) + A_DAY * PULL_EVERY_S / 86_400
    assert max(left) < 3 * A_DAY * PULL_EVERY_S / 86_400
    assert max(fetched.values()) - min(fetched.values()) < 0.2 * fetched.total()
    assert max(memory[cycles // 2 :]) < 1.2 * max(memory[: cycles // 2])
    assert max(disk) < 16 << 20  # 4 to 5 MiB after 14 hours


async def _pull(
    world: CallWorld, rig: CallRig, begun_s: float, fetched: Counter[str], seen: set[str]
) -> None:
    """Pulls what is new, each recording once, and counts it by login."""
    pull = Pull(rig.engine, wall_clock=lambda: world.now_s)
    wanted = Filter(types=frozenset({"recording"}), since_s=max(begun_s, world.now_s - SINCE_S))
    survey, _unknown = await pull.survey(((),), wanted)
    await pull.run(survey)
    assert pull.progress.failures == []
    for each in world.sent(CONTENT):
        assert each.status == 200
        assert each.path not in seen
        seen.add(each.path)
        fetched[each.client] += 1
    # The test keeps these for each request; all that grows then is rcfs's.
    world.platform.simulator.journal.clear()
    rig.logged.clear()
    rig.heard.clear()
