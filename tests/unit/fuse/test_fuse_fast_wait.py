import os
from collections.abc import Awaitable, Iterator
from pathlib import Path

import pyfuse3
import pytest
import trio

import rcfs.fuse._fast_wait as module
from rcfs.fuse._fast_wait import SPIN_S, TURN_S, FastWait, faster_wait, fuse_descriptor


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


class Clock:
    """Stands still, or goes a step on whenever it is looked at."""

    def __init__(self, step_s: float = 0.0) -> None:
        self.now_s = 100.0
        self.step_s = step_s

    def __call__(self) -> float:
        self.now_s += self.step_s
        return self.now_s


async def test_a_message_that_is_there_is_taken_without_the_event_loop(pipe: tuple[int, int]) -> None:
    def slow() -> Awaitable[bool]:
        raise AssertionError("nobody has to wait")

    wait = FastWait(pipe[0], slow, clock=Clock())
    os.write(pipe[1], b"x")

    assert await wait()


async def test_a_message_that_comes_within_a_moment_is_taken_without_the_event_loop(
    pipe: tuple[int, int],
) -> None:
    class Late(Clock):
        def __call__(self) -> float:
            if super().__call__() > 100 + SPIN_S / 2:
                os.write(pipe[1], b"x")
            return self.now_s

    def slow() -> Awaitable[bool]:
        raise AssertionError("nobody has to wait")

    assert await FastWait(pipe[0], slow, clock=Late(SPIN_S / 10))()


async def test_a_task_that_another_one_overtook_waits_again(pipe: tuple[int, int]) -> None:
    woken = 0

    async def slow() -> bool:
        nonlocal woken
        woken += 1
        await trio.lowlevel.checkpoint()
        if woken == 3:
            os.write(pipe[1], b"x")
        return True

    assert await FastWait(pipe[0], slow, spin_s=0.0)()
    assert woken == 3


async def test_the_end_of_the_mount_ends_the_wait(pipe: tuple[int, int]) -> None:
    async def slow() -> bool:
        await trio.lowlevel.checkpoint()
        return False

    assert not await FastWait(pipe[0], slow, spin_s=0.0)()


async def test_the_event_loop_gets_its_turn_also_when_messages_never_end(pipe: tuple[int, int]) -> None:
    turns = 0

    async def slow() -> bool:
        nonlocal turns
        turns += 1
        await trio.lowlevel.checkpoint()
        return True

    clock = Clock()
    wait = FastWait(pipe[0], slow, clock=clock)
    os.write(pipe[1], b"x")
    for _message in range(100):
        assert await wait()
        clock.now_s += TURN_S / 10
    assert turns == 9


def test_nothing_is_replaced_where_pyfuse3_is_another(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def present() -> object:
        return getattr(pyfuse3, "_wait_fuse_readable")  # noqa: B009 - its type hints do not tell of it

    usual = present()
    monkeypatch.setattr(module, "fuse_descriptor", lambda: pipe[0])
    with faster_wait() as faster:
        assert faster
        assert isinstance(present(), FastWait)
    assert present() is usual
    monkeypatch.setattr(module, "fuse_descriptor", lambda: None)
    with faster_wait() as faster:
        assert not faster
        assert present() is usual
    monkeypatch.setattr(module, "fuse_descriptor", lambda: pipe[0])
    monkeypatch.setattr(pyfuse3, "__version__", "4.0.0")
    with faster_wait() as faster:
        assert not faster
    monkeypatch.setattr(pyfuse3, "__version__", "3.5.1")
    monkeypatch.delattr(pyfuse3, "_wait_fuse_readable")
    with faster_wait() as faster:
        assert not faster


@pytest.mark.parametrize(("targets", "found"), [
    (["/dev/null", "/dev/fuse", "pipe:[7]"], 1),
    (["/dev/null"], None),
    (["/dev/fuse", "/dev/fuse"], None),
])  # fmt: skip
def test_the_descriptor_is_found_if_there_is_no_doubt(
    tmp_path: Path, targets: list[str], found: int | None
) -> None:
    for number, target in enumerate(targets):
        (tmp_path / str(number)).symlink_to(target)
    (tmp_path / "99").touch()  # closed meanwhile
    assert fuse_descriptor(tmp_path) == found
