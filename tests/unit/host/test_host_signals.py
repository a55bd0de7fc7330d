"""The signals that end a process: the first cancels the work, and a second one cuts no closing short."""

import os
import signal

import trio
import trio.testing

from rcfs.host.signals import interruptible, lasting


async def test_a_second_signal_does_not_cut_the_end_short() -> None:
    begun, closed = trio.Event(), False

    async def work() -> None:
        nonlocal closed
        try:
            begun.set()
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                os.kill(os.getpid(), signal.SIGINT)
                os.kill(os.getpid(), signal.SIGTERM)
                await trio.testing.wait_all_tasks_blocked()
            closed = True

    async def interrupt() -> None:
        await begun.wait()
        os.kill(os.getpid(), signal.SIGHUP)

    with lasting():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(interrupt)
            assert await interruptible(work) == signal.SIGHUP
    assert closed


async def test_without_a_signal_the_work_ends_by_itself() -> None:
    async def work() -> None:
        await trio.lowlevel.checkpoint()

    assert await interruptible(work) == 0


async def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:

        async def work() -> None:
            os.kill(os.getpid(), signal.SIGHUP)
            await trio.testing.wait_all_tasks_blocked()

        assert await interruptible(work) == 0
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
