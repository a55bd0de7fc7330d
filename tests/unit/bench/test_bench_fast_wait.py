import os
from collections.abc import Awaitable, Iterator

import pytest
import trio
from bench._fast_wait import FastWait


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


async def test_a_message_that_is_there_is_taken_without_the_event_loop(pipe: tuple[int, int]) -> None:
    def slow() -> Awaitable[bool]:
        raise AssertionError("nobody has to wait")

    wait = FastWait(lambda: pipe[0], slow)
    os.write(pipe[1], b"x")

    assert await wait()


async def test_who_was_woken_but_came_too_late_waits_again(pipe: tuple[int, int]) -> None:
    woken = 0

    async def slow() -> bool:
        nonlocal woken
        woken += 1
        await trio.lowlevel.checkpoint()
        if woken == 3:
            os.write(pipe[1], b"x")
        return True

    assert await FastWait(lambda: pipe[0], slow, spin_s=0.0)()
    assert woken == 3


async def test_the_end_of_the_mount_ends_the_wait(pipe: tuple[int, int]) -> None:
    async def slow() -> bool:
        await trio.lowlevel.checkpoint()
        return False

    assert not await FastWait(lambda: pipe[0], slow, spin_s=0.0)()


async def test_the_event_loop_gets_its_turn_also_when_messages_never_end(pipe: tuple[int, int]) -> None:
    turns = 0

    async def slow() -> bool:
        nonlocal turns
        turns += 1
        await trio.lowlevel.checkpoint()
        return True

    wait = FastWait(lambda: pipe[0], slow)
    os.write(pipe[1], b"x")
    for _message in range(160):
        assert await wait()

    assert turns == 10
