"""Suspending, told by a logind on a bus of the test's own."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog
import trio

from rcfs.errors import ClosingError, SuspendError
from rcfs.files import Waits
from rcfs.fuse._processes import Process
from rcfs.fuse._suspend import answer_before_suspend
from rcfs.transport import Recorder
from tests.fakes.logind import Logind, bus, logind

WITHIN_S = 60.0


@pytest.fixture
def recorder() -> Recorder:
    return Recorder(structlog.get_logger())


@pytest.fixture
async def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    async with bus(tmp_path) as address:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
        yield address


@pytest.fixture
async def fake(address: str) -> AsyncIterator[Logind]:
    async with logind(address) as fake:
        yield fake


async def test_waits_end_before_a_suspend_and_may_begin_again_after_it(
    fake: Logind, recorder: Recorder, nursery: trio.Nursery
) -> None:
    waits, ended = Waits(), list[str]()
    nursery.start_soon(answer_before_suspend, waits, recorder)
    with trio.fail_after(WITHIN_S):
        await fake.asked.wait()
        for _night in range(3):
            ended.clear()
            for name in "abc":
                nursery.start_soon(_wait, waits, name, ended)
            await trio.testing.wait_all_tasks_blocked()
            assert waits.waiting == 3
            await fake.suspend()
            assert sorted(ended) == ["a", "b", "c"]
            with pytest.raises(SuspendError):
                await waits.until(Process(os.getpid()), trio.sleep_forever, within_s=1)
            with pytest.raises(SuspendError):
                waits.require_seat()
            assert await waits.until(Process(os.getpid()), _answer, within_s=1, seated=False), (
                "what is cached is read"
            )
            await fake.resume()
            await fake.asked.wait()
            assert await waits.until(Process(os.getpid()), _answer, within_s=1) == "awake"
        await fake.suspend()  # The lock that was given out last has come, else its descriptor would get lost.
    assert fake.requests == [("sleep", "rcfs", fake.requests[0][2], "delay")] * 4
    waits.close()


async def _wait(waits: Waits, name: str, ended: list[str]) -> None:
    with pytest.raises(SuspendError):
        await waits.until(Process(os.getpid()), trio.sleep_forever, within_s=1000)
    ended.append(name)


async def _answer() -> str:
    await trio.lowlevel.checkpoint()
    return "awake"


async def test_a_mount_that_ends_stays_ended(fake: Logind, recorder: Recorder, nursery: trio.Nursery) -> None:
    waits = Waits()
    nursery.start_soon(answer_before_suspend, waits, recorder)
    with trio.fail_after(WITHIN_S):
        await fake.asked.wait()
        waits.close()
        await fake.suspend()
        await fake.resume()
        await fake.asked.wait()
        await fake.suspend()
    with pytest.raises(ClosingError):
        await waits.until(Process(os.getpid()), _answer, within_s=1)


async def test_without_a_bus_nothing_happens_and_one_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recorder: Recorder
) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path / 'none'}")
    with trio.fail_after(WITHIN_S):
        await answer_before_suspend(Waits(), recorder)
    assert len(recorder.lines) == 1
    assert recorder.faults == ()


async def test_without_logind_nothing_happens(address: str, recorder: Recorder) -> None:
    with trio.fail_after(WITHIN_S):
        await answer_before_suspend(Waits(), recorder)
    assert len(recorder.lines) == 1
    assert recorder.faults == ()


async def test_a_bus_that_goes_away_while_suspended_leaves_no_pause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recorder: Recorder
) -> None:
    waits = Waits()
    with trio.fail_after(WITHIN_S):
        async with trio.open_nursery() as nursery, bus(tmp_path) as address:
            monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
            async with logind(address) as fake:
                nursery.start_soon(answer_before_suspend, waits, recorder)
                await fake.asked.wait()
                await fake.suspend()
                with pytest.raises(SuspendError):
                    await waits.until(Process(os.getpid()), _answer, within_s=1)
    assert await waits.until(Process(os.getpid()), _answer, within_s=1) == "awake"
